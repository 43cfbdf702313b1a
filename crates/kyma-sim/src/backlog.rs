//! What is left to be done when all is calm: the work of the catalog's queue, compaction, retention, collection, sweep.
//!
//! A world has drained when nothing of this is left at one moment:
//! 1. tasks that are overdue, or merges in the queue;
//! 2. extents that compaction would merge now or soon, but for those of a merge that was parked;
//! 3. extents whose every row is past its time, and dropped tables;
//! 4. objects that no visible extent needs, reservations among them, and objects that no row of the catalog knows;
//! 5. what the journal does not tell.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use kyma_core::ExtentId;
use kyma_core::clock::Clock;
use kyma_core::extent::{Extent, LEVEL_FINAL};
use kyma_worker::compact::{MERGE, plan};
use tokio::time::{Instant, sleep};

use crate::journal::is_behind;
use crate::model::{ObjectState, State, TaskRow};
use crate::oracle::is_journals;
use crate::world::World;

/// Longest time that it takes.
const DRAIN_MAX: Duration = Duration::from_secs(3 * 3_600);
/// Time between looks at whether it is done.
const LOOK: Duration = Duration::from_secs(15);
/// How long a task may wait for a slot: as long as what runs in it takes, some times over.
const OVERDUE: i64 = 600_000_000_000;
/// How long after the last write compaction is asked for what is left.
const SOON: i64 = 600_000_000_000;
/// How long what is past its time may be there: until retention has come by.
const PAST_TIME: i64 = 240_000_000_000;

/// Waits until nothing is left to be done.
pub async fn drain(world: &World) {
    let deadline = Instant::now() + DRAIN_MAX;
    while let Some(left) = backlog(world).or(unwritten(world).await) {
        if Instant::now() >= deadline {
            world.oracle.break_down("the backlog drains", left);
            return;
        }
        sleep(LOOK).await;
    }
    let state = world.model.state();
    let registered: BTreeSet<String> = state.objects.keys().cloned().collect();
    let tables = state.tables.iter().filter(|(_, row)| row.dropped.is_none()).map(|(id, _)| *id).collect();
    drop(state);
    world.oracle.judge_end(&world.bucket.keys(), &registered, &tables);
}

/// What is left to be done, if anything is.
fn backlog(world: &World) -> Option<String> {
    let now = world.clock.now();
    let state = world.model.state();
    let left = garbage(&state)
        .or_else(|| dropped(&state))
        .or_else(|| tasks(&state, now))
        .or_else(|| if world.plan.worker.compact.enabled { unmerged(world, &state) } else { None })
        .or_else(|| orphan(world, &state));
    drop(state);
    left.or_else(|| world.oracle.past_its_time(now - PAST_TIME))
}

/// Point 5.
async fn unwritten(world: &World) -> Option<String> {
    is_behind(world).await.then(|| "the journal is behind the catalog".to_owned())
}

/// Point 4.
fn garbage(state: &State) -> Option<String> {
    let is_kept = |id: &ExtentId| state.extents.get(id).is_some_and(|row| row.removed_at.is_none());
    let is_needed =
        |row: &crate::model::ObjectRow| row.state == ObjectState::Registered && row.extents.iter().any(is_kept);
    let left = state.objects.iter().find(|(_, row)| !is_needed(row));
    left.map(|(key, row)| format!("{key} is {:?} and not collected", row.state))
}

fn orphan(world: &World, state: &State) -> Option<String> {
    let keys = world.bucket.keys().into_iter();
    let is_unknown =
        |key: &String| !state.objects.contains_key(key) && !world.oracle.is_sacred(key) && !is_journals(key);
    let mut unknown = keys.filter(is_unknown);
    unknown.next().map(|key| format!("{key} is an orphan and not swept"))
}

/// Point 3. The row of a table that was given up stays for as long as an object holds extents of others, too.
fn dropped(state: &State) -> Option<String> {
    let left = state.tables.values().find(|row| row.dropped.is_some() && !row.given_up);
    left.map(|row| format!("table {} was dropped and is not given up", row.table.id))
}

/// Point 1.
fn tasks(state: &State, now: i64) -> Option<String> {
    let is_left = |row: &TaskRow| match row.state {
        "queued" | "running" if row.kind == MERGE => true,
        "queued" => row.run_at < now - OVERDUE,
        "running" => row.lease_until < now - OVERDUE,
        _ => false,
    };
    let left = state.tasks.iter().find(|(_, row)| is_left(row));
    left.map(|(id, row)| format!("task {id}, {}, is {} and nobody works on it", row.kind, row.state))
}

/// Point 2.
fn unmerged(world: &World, state: &State) -> Option<String> {
    let merges = state.tasks.values().filter(|row| row.kind == MERGE && row.state == "parked");
    let parked: HashSet<ExtentId> = merges.flat_map(|row| sources(&row.payload)).collect();
    // By then everything is quiet, but for what was made by a clock that ran far ahead.
    let settings = &world.plan.worker.compact;
    let soon = world.clock.now() + settings.quiet_millis as i64 * 1_000_000 + SOON;
    for table in state.tables.values().filter(|row| row.dropped.is_none()) {
        let visible = table.extents.iter().filter_map(|id| state.extents.get(id)).map(|row| &row.extent);
        let is_open =
            |extent: &&Extent| extent.removed.is_none() && extent.level < LEVEL_FINAL && !parked.contains(&extent.id);
        let open: Vec<Extent> = visible.filter(is_open).cloned().collect();
        if open.is_empty() {
            continue;
        }
        if let Some(merge) = plan(&open, settings, soon).first() {
            return Some(format!("a merge of table {} waits: {:?} {:?}", table.table.id, merge.reason, merge.sources));
        }
    }
    None
}

fn sources(payload: &serde_json::Value) -> Vec<ExtentId> {
    serde_json::from_value(payload["sources"].clone()).unwrap_or_default()
}
