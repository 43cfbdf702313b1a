//! Background work, as the catalog's queue has it: the same from every node.

use kyma_core::catalog::TaskStatus;
use kyma_core::{Error, Result, TaskId, Type, Value};

use super::table::{SmallTable, long, string};
use crate::settings::SHOW_TASKS_MAX;
use crate::state::Shared;

/// `.show tasks`: the latest, newest first.
pub(super) async fn show(state: &Shared) -> Result<SmallTable> {
    let mut shown = columns();
    for task in state.catalog.recent(SHOW_TASKS_MAX).await? {
        add(&mut shown, &task);
    }
    Ok(shown)
}

/// `.retry task 7`: queues a task anew that was parked because all of its attempts failed.
pub(super) async fn retry(state: &Shared, id: &str) -> Result<SmallTable> {
    let hint = "`.show tasks | where State == 'parked'` lists them";
    let wrong = |_| Error::invalid("command.task_id", format!("this is not a task's number: id={id}")).hint(hint);
    let task = TaskId(id.parse().map_err(wrong)?);
    let Some(queued) = state.catalog.unpark(task).await? else {
        return Err(Error::not_found("task.not_parked", format!("no such task is parked: id={id}")).hint(hint));
    };
    let mut shown = columns();
    add(&mut shown, &queued);
    Ok(shown)
}

fn columns() -> SmallTable {
    let text = Type::String;
    SmallTable::new([
        ("TaskId", Type::Long),
        ("Kind", text),
        ("State", text),
        ("Priority", Type::Long),
        ("Attempts", Type::Long),
        ("AttemptsMax", Type::Long),
        ("NodeId", text),
        ("NotBefore", Type::Datetime),
        ("LastUpdatedOn", Type::Datetime),
        ("Error", text),
        ("Key", text),
        ("Parameters", Type::Dynamic),
    ])
}

fn add(shown: &mut SmallTable, task: &TaskStatus) {
    let count = |number: i32| long(number.unsigned_abs().into());
    shown.row([
        Value::Long(task.id.0),
        string(&task.kind),
        string(&task.state),
        Value::Long(task.priority.into()),
        count(task.attempts),
        count(task.attempts_max),
        string(task.node.map(|node| node.to_string()).unwrap_or_default()),
        Value::Datetime(task.run_at),
        Value::Datetime(task.changed),
        string(task.error.as_deref().unwrap_or_default()),
        string(&task.dedup_key),
        Value::Dynamic(task.payload.to_string()),
    ]);
}
