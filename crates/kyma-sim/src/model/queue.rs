//! Tasks and nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use kyma_core::catalog::{ClaimedTask, NewTask, Node, Nodes, TaskCount, TaskStatus, Tasks};
use kyma_core::planted::{self, Bug};
use kyma_core::{Error, NodeId, Result, TaskId};

use super::{Model, TaskRow, nanos};

const SECOND: i64 = 1_000_000_000;
const BACKOFF_SECONDS_MAX: i64 = 600;

#[async_trait]
impl Tasks for Model {
    async fn enqueue(&self, task: &NewTask) -> Result<bool> {
        let mut state = self.state();
        let in_flight = |row: &TaskRow| {
            row.kind == task.kind && row.dedup_key == task.dedup_key && matches!(row.state, "queued" | "running")
        };
        if state.tasks.values().any(in_flight) {
            return Ok(false);
        }
        let id = TaskId(state.tasks.last_key_value().map_or(0, |(id, _)| id.0) + 1);
        let row = TaskRow {
            kind: task.kind.clone(),
            dedup_key: task.dedup_key.clone(),
            payload: task.payload.clone(),
            priority: task.priority,
            state: "queued",
            token: 0,
            attempts: 0,
            attempts_max: task.attempts_max,
            run_at: self.now().saturating_add(nanos(task.delay)),
            lease_until: 0,
            node: None,
            changed: self.now(),
            error: None,
        };
        state.tasks.insert(id, row);
        Ok(true)
    }

    async fn claim(&self, node: NodeId, kinds: &[String], lease: Duration) -> Result<Option<ClaimedTask>> {
        let mut state = self.state();
        let now = self.now();
        let mut next: Option<(i32, i64, TaskId)> = None;
        for (id, row) in state.tasks.iter_mut().filter(|(_, row)| kinds.contains(&row.kind)) {
            let is_lost = row.state == "running" && row.lease_until < now;
            if is_lost && row.attempts >= row.attempts_max {
                row.state = "parked";
                row.changed = now;
                row.error = Some("the lease ran out at the last attempt".to_owned());
                continue;
            }
            let is_due = row.state == "queued" && row.run_at <= now || is_lost;
            let place = (-row.priority, row.run_at, *id);
            if is_due && next.is_none_or(|next| place < next) {
                next = Some(place);
            }
        }
        let Some((_, _, id)) = next else { return Ok(None) };
        let Some(row) = state.tasks.get_mut(&id) else { return Ok(None) };
        row.state = "running";
        row.token += 1;
        (row.node, row.changed) = (Some(node), now);
        row.attempts += 1;
        row.lease_until = now.saturating_add(nanos(lease));
        self.observer().claimed(id, row.token);
        let (kind, payload) = (row.kind.clone(), row.payload.clone());
        Ok(Some(ClaimedTask { id, kind, payload, token: row.token, attempt: row.attempts }))
    }

    async fn renew(&self, task: TaskId, token: i64, lease: Duration) -> Result<()> {
        let until = self.now().saturating_add(nanos(lease));
        self.keep(task, token, |row| row.lease_until = until)
    }

    async fn complete(&self, task: TaskId, token: i64) -> Result<()> {
        self.keep(task, token, |row| {
            row.state = "done";
            row.error = None;
        })
    }

    async fn fail(&self, task: TaskId, token: i64, error: &str) -> Result<()> {
        let now = self.now();
        self.keep(task, token, |row| {
            row.state = if row.attempts >= row.attempts_max { "parked" } else { "queued" };
            let wait = (1_i64 << (row.attempts - 1).clamp(0, 30)).min(BACKOFF_SECONDS_MAX);
            row.run_at = now.saturating_add(wait * SECOND);
            row.error = Some(error.replace('\0', "\u{fffd}"));
        })
    }

    async fn give_back(&self, task: TaskId, token: i64) -> Result<()> {
        let now = self.now();
        self.keep(task, token, |row| {
            row.state = "queued";
            row.attempts -= 1;
            row.run_at = now;
        })
    }

    async fn recent(&self, limit: usize) -> Result<Vec<TaskStatus>> {
        let state = self.state();
        Ok(state.tasks.iter().rev().take(limit).map(shown).collect())
    }

    async fn open_tasks(&self, kind: &str, parked_within: Duration, limit: usize) -> Result<Vec<TaskStatus>> {
        let since = self.now().saturating_sub(nanos(parked_within));
        let is_open = |row: &TaskRow| match row.state {
            "queued" | "running" => true,
            "parked" => row.changed > since,
            _ => false,
        };
        let state = self.state();
        let open = state.tasks.iter().rev().filter(|(_, row)| row.kind == kind && is_open(row));
        Ok(open.take(limit).map(shown).collect())
    }

    async fn task_counts(&self) -> Result<Vec<TaskCount>> {
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        for row in self.state().tasks.values().filter(|row| row.state != "done") {
            *counts.entry((row.kind.clone(), row.state.to_owned())).or_default() += 1;
        }
        Ok(counts.into_iter().map(|((kind, state), tasks)| TaskCount { kind, state, tasks }).collect())
    }

    async fn unpark(&self, task: TaskId) -> Result<Option<TaskStatus>> {
        let now = self.now();
        let mut state = self.state();
        let Some(row) = state.tasks.get(&task).filter(|row| row.state == "parked") else { return Ok(None) };
        let (kind, key) = (row.kind.clone(), row.dedup_key.clone());
        let is_same =
            |row: &TaskRow| row.kind == kind && row.dedup_key == key && matches!(row.state, "queued" | "running");
        if state.tasks.values().any(is_same) {
            return Err(Error::conflict("catalog.task_open", "a task of the same kind and key is queued or running"));
        }
        let Some(row) = state.tasks.get_mut(&task) else { return Ok(None) };
        (row.state, row.attempts, row.run_at, row.changed) = ("queued", 0, now, now);
        Ok(Some(shown((&task, row))))
    }
}

fn shown((id, row): (&TaskId, &TaskRow)) -> TaskStatus {
    TaskStatus {
        id: *id,
        kind: row.kind.clone(),
        dedup_key: row.dedup_key.clone(),
        payload: row.payload.clone(),
        state: row.state.to_owned(),
        priority: row.priority,
        attempts: row.attempts,
        attempts_max: row.attempts_max,
        node: row.node,
        run_at: row.run_at,
        changed: row.changed,
        error: row.error.clone(),
    }
}

impl Model {
    /// Changes a running task under its current token.
    fn keep(&self, task: TaskId, token: i64, change: impl FnOnce(&mut TaskRow)) -> Result<()> {
        let now = self.now();
        let mut state = self.state();
        let row = state.tasks.get_mut(&task).filter(|row| row.state == "running");
        match row {
            Some(row) if row.token == token || planted::is(Bug::CompleteWithoutToken) => {
                row.changed = now;
                change(row);
            }
            _ => {
                return Err(Error::conflict(
                    "catalog.token_stale",
                    "the task was claimed by someone else, or has ended",
                ));
            }
        }
        self.observer().kept(task, token);
        Ok(())
    }
}

#[async_trait]
impl Nodes for Model {
    async fn heartbeat(&self, node: &Node) -> Result<()> {
        let now = self.now();
        self.state().nodes.insert(node.id, (node.clone(), now));
        Ok(())
    }

    async fn leave(&self, node: NodeId) -> Result<()> {
        self.state().nodes.remove(&node);
        Ok(())
    }

    async fn live(&self, within: Duration) -> Result<Vec<Node>> {
        let since = self.now().saturating_sub(nanos(within));
        let state = self.state();
        Ok(state.nodes.values().filter(|(_, seen)| *seen >= since).map(|(node, _)| node.clone()).collect())
    }
}
