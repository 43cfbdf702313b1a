//! The command: checks, enqueues, and answers or waits.

use std::time::Duration;

use kyma_core::catalog::{NewTask, Operation};
use kyma_core::{Error, Result};
use kyma_exec::QueryRequest;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{ATTEMPTS_MAX, Deletion, LANGUAGE, OPERATION, TASK};
use crate::failure::{Failure, Outcome};
use crate::http::query::Turn;
use crate::state::Shared;

/// Before work that nobody waits for.
const PRIORITY: i32 = 10;
/// First wait between two looks at the operation; it doubles up to [`WAIT_MAX`].
const WAIT: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_millis(500);

/// Begins to delete the rows of a query over one table; the operation's id.
pub(crate) async fn ask(
    state: &Shared,
    database: &str,
    table: &kyma_core::catalog::Table,
    query: String,
) -> Outcome<Uuid> {
    let now = state.clock.now();
    check(state, database, &query, now).await?;
    let operation = Uuid::new_v4();
    let deletion = Deletion { operation, database: database.to_owned(), table: table.id, query, now };
    let payload = serde_json::to_value(&deletion)
        .map_err(|error| Failure::from(Error::internal("a deletion is no JSON").because(error)))?;
    let task = NewTask {
        kind: TASK.to_owned(),
        dedup_key: operation.to_string(),
        payload,
        priority: PRIORITY,
        delay: Duration::ZERO,
        attempts_max: ATTEMPTS_MAX,
    };
    state.catalog.enqueue(&task).await?;
    state.catalog.begin_operation(operation, database, OPERATION, state.node.id).await?;
    Ok(operation)
}

/// Plans the query, and runs nothing of it.
async fn check(state: &Shared, database: &str, query: &str, now: i64) -> Outcome<()> {
    let request = QueryRequest { now: Some(now), ..QueryRequest::new(LANGUAGE, database, query) };
    let _turn = Turn::take(state).await?;
    let planned = state.engine.explain(request).await;
    planned.map(drop).map_err(|error| Failure::of_query(error, query))
}

/// Waits until the operation has ended.
///
/// # Errors
/// `Exhausted` with code `delete.still_running` when that takes longer than a query may; how it failed.
pub(crate) async fn wait(state: &Shared, operation: Uuid) -> Result<Operation> {
    let deadline = Instant::now() + Duration::from_secs(state.settings.query_seconds_max.max(1));
    let mut wait = WAIT;
    loop {
        let found = state.catalog.operations(Some(operation), 1).await?.into_iter().next();
        match found {
            Some(ended) if ended.state == "Completed" => return Ok(ended),
            Some(ended) if ended.state == "Failed" => {
                let message = format!("the rows could not be deleted: operation={operation}: {}", ended.status);
                return Err(Error::invalid("delete.failed", message));
            }
            _ if Instant::now() >= deadline => {
                let message = format!("the rows are still being deleted: operation={operation}");
                return Err(Error::exhausted("delete.still_running", message)
                    .hint("it goes on: .show operations tells; is there a live node with the role worker?"));
            }
            _ => sleep(wait).await,
        }
        wait = (wait * 2).min(WAIT_MAX);
    }
}
