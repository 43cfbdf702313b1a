//! The queue of background work.
//!
//! A claim raises the task's token and starts a lease; renew, complete and fail change the row only under the current
//! token, so a worker that stalled past its lease cannot end a task that another one runs. A task whose lease ran
//! out at its last attempt is parked, so that work which kills its worker does not kill the next one for ever.

use std::time::Duration;

use async_trait::async_trait;
use kyma_core::catalog::{ClaimedTask, NewTask, TaskCount, TaskStatus, Tasks};
use kyma_core::{Error, NodeId, Result, TaskId};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::pool::{PostgresCatalog, get};

/// Wait before the second attempt; doubles with each.
const BACKOFF_FIRST_SECS: f64 = 1.0;
/// Longest wait between attempts.
const BACKOFF_SECS_MAX: f64 = 600.0;

const PARK: &str = "UPDATE tasks SET state = 'parked', changed_at = clock_timestamp(), \
                    error = coalesce(error || '; ', '') || 'the lease ran out at the last attempt' \
                    WHERE state = 'running' AND lease_until < now() AND attempts >= attempts_max AND kind = ANY($1)";

const CLAIM: &str = "WITH next AS (\
                         SELECT id FROM tasks WHERE state IN ('queued', 'running') AND kind = ANY($1) \
                         AND (state = 'queued' AND run_at <= now() \
                              OR state = 'running' AND lease_until < now() AND attempts < attempts_max) \
                         ORDER BY priority DESC, run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) \
                     UPDATE tasks t SET state = 'running', token = t.token + 1, attempts = t.attempts + 1, node_id = $2, \
                     lease_until = now() + make_interval(secs => $3), changed_at = clock_timestamp() \
                     FROM next WHERE t.id = next.id RETURNING t.id, t.kind, t.payload, t.token, t.attempts";

/// A statement with the columns that [`read_status`] expects, in order.
macro_rules! with_status {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " id, kind, dedup_key, payload, state, priority, attempts, attempts_max, node_id, \
             (extract(epoch FROM run_at) * 1000000)::bigint, (extract(epoch FROM changed_at) * 1000000)::bigint, error",
            $after
        )
    };
}

const RECENT: &str = with_status!("SELECT", " FROM tasks ORDER BY id DESC LIMIT $1");
const OPEN: &str = with_status!(
    "SELECT",
    " FROM tasks WHERE kind = $1 AND (state IN ('queued', 'running') \
     OR state = 'parked' AND changed_at > clock_timestamp() - make_interval(secs => $2)) ORDER BY id DESC LIMIT $3"
);
const UNPARK: &str = with_status!(
    "UPDATE tasks SET state = 'queued', attempts = 0, run_at = now(), changed_at = clock_timestamp() \
     WHERE id = $1 AND state = 'parked' AND NOT EXISTS ( \
         SELECT 1 FROM tasks o WHERE o.kind = tasks.kind AND o.dedup_key = tasks.dedup_key \
         AND o.state IN ('queued', 'running')) RETURNING",
    ""
);

#[async_trait]
impl Tasks for PostgresCatalog {
    async fn enqueue(&self, task: &NewTask) -> Result<bool> {
        let sql = "INSERT INTO tasks (kind, dedup_key, payload, priority, attempts_max, run_at) \
                   VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) \
                   ON CONFLICT (kind, dedup_key) WHERE state IN ('queued', 'running') DO NOTHING";
        let NewTask { kind, dedup_key, payload, priority, delay, attempts_max } = task;
        let (payload, delay) = (Json(payload), delay.as_secs_f64());
        let added = self.change("enqueue", sql, &[kind, dedup_key, &payload, priority, attempts_max, &delay]).await?;
        Ok(added == 1)
    }

    async fn claim(&self, node: NodeId, kinds: &[String], lease: Duration) -> Result<Option<ClaimedTask>> {
        self.change("claim", PARK, &[&kinds]).await?;
        let rows = self.rows("claim", CLAIM, &[&kinds, &node.0, &lease.as_secs_f64()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Json(payload): Json<serde_json::Value> = get(row, 2)?;
        let (id, kind) = (TaskId(get(row, 0)?), get(row, 1)?);
        Ok(Some(ClaimedTask { id, kind, payload, token: get(row, 3)?, attempt: get(row, 4)? }))
    }

    async fn renew(&self, task: TaskId, token: i64, lease: Duration) -> Result<()> {
        let sql = "UPDATE tasks SET lease_until = now() + make_interval(secs => $3), changed_at = clock_timestamp() \
                   WHERE id = $1 AND token = $2 AND state = 'running'";
        let renewed = self.change("renew", sql, &[&task.0, &token, &lease.as_secs_f64()]).await?;
        current(task, renewed)
    }

    /// Also removes tasks that were done more than a week ago.
    async fn complete(&self, task: TaskId, token: i64) -> Result<()> {
        let sql = "WITH swept AS (DELETE FROM tasks WHERE state = 'done' AND changed_at < now() - interval '7 days') \
                   UPDATE tasks SET state = 'done', error = NULL, lease_until = NULL, changed_at = clock_timestamp() \
                   WHERE id = $1 AND token = $2 AND state = 'running'";
        let completed = self.change("complete", sql, &[&task.0, &token]).await?;
        current(task, completed)
    }

    async fn fail(&self, task: TaskId, token: i64, error: &str) -> Result<()> {
        let sql = "UPDATE tasks SET state = CASE WHEN attempts >= attempts_max THEN 'parked' ELSE 'queued' END, \
                   run_at = now() + make_interval(secs => least($4 * power(2, least(attempts - 1, 30)), $5)), \
                   error = $3, lease_until = NULL, changed_at = clock_timestamp() \
                   WHERE id = $1 AND token = $2 AND state = 'running'";
        let error = error.replace('\0', "\u{fffd}");
        let failed =
            self.change("fail", sql, &[&task.0, &token, &error, &BACKOFF_FIRST_SECS, &BACKOFF_SECS_MAX]).await?;
        current(task, failed)
    }

    async fn give_back(&self, task: TaskId, token: i64) -> Result<()> {
        let sql = "UPDATE tasks SET state = 'queued', attempts = greatest(attempts - 1, 0), run_at = now(), \
                   lease_until = NULL, changed_at = clock_timestamp() WHERE id = $1 AND token = $2 AND state = 'running'";
        let given = self.change("give back", sql, &[&task.0, &token]).await?;
        current(task, given)
    }

    async fn recent(&self, limit: usize) -> Result<Vec<TaskStatus>> {
        let rows = self.rows("recent", RECENT, &[&bounded(limit)]).await?;
        rows.iter().map(read_status).collect()
    }

    async fn open_tasks(&self, kind: &str, parked_within: Duration, limit: usize) -> Result<Vec<TaskStatus>> {
        let rows = self.rows("open tasks", OPEN, &[&kind, &parked_within.as_secs_f64(), &bounded(limit)]).await?;
        rows.iter().map(read_status).collect()
    }

    async fn task_counts(&self) -> Result<Vec<TaskCount>> {
        let sql =
            "SELECT kind, state, count(*) FROM tasks WHERE state <> 'done' GROUP BY kind, state ORDER BY kind, state";
        let rows = self.rows("task counts", sql, &[]).await?;
        let read = |row| {
            let tasks: i64 = get(row, 2)?;
            Ok(TaskCount { kind: get(row, 0)?, state: get(row, 1)?, tasks: tasks.unsigned_abs() })
        };
        rows.iter().map(read).collect()
    }

    async fn unpark(&self, task: TaskId) -> Result<Option<TaskStatus>> {
        if let Some(row) = self.rows("unpark", UNPARK, &[&task.0]).await?.first() {
            return read_status(row).map(Some);
        }
        let parked = self.rows("unpark", "SELECT 1 FROM tasks WHERE id = $1 AND state = 'parked'", &[&task.0]).await?;
        if parked.is_empty() {
            return Ok(None);
        }
        let message = format!("a task of the same kind and key is queued or running: task={task}");
        Err(Error::conflict("catalog.task_open", message).hint("it does the same work: wait for it"))
    }
}

fn read_status(row: &Row) -> Result<TaskStatus> {
    let Json(payload): Json<serde_json::Value> = get(row, 3)?;
    Ok(TaskStatus {
        id: TaskId(get(row, 0)?),
        kind: get(row, 1)?,
        dedup_key: get(row, 2)?,
        payload,
        state: get(row, 4)?,
        priority: get(row, 5)?,
        attempts: get(row, 6)?,
        attempts_max: get(row, 7)?,
        node: get::<Option<Uuid>>(row, 8)?.map(NodeId),
        run_at: get::<i64>(row, 9)?.saturating_mul(1_000),
        changed: get::<i64>(row, 10)?.saturating_mul(1_000),
        error: get(row, 11)?,
    })
}

fn bounded(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn current(task: TaskId, changed: u64) -> Result<()> {
    if changed == 1 {
        return Ok(());
    }
    Err(Error::conflict(
        "catalog.token_stale",
        format!("the task was claimed by someone else, or has ended: task={task}"),
    ))
}
