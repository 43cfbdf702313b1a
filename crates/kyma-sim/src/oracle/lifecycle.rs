//! What may go, and when: removed extents, rows past their time, dropped tables, snapshots that are held.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kyma_core::clock::Clock;
use kyma_core::extent::NewExtent;
use kyma_core::{DatabaseId, ExtentId, NodeId, Sequence, TableId};

use super::{Known, Oracle};
use crate::model::Change;

/// What was said of the life of extents and tables.
#[derive(Default)]
pub(super) struct State {
    /// Extents whose removal loses their rows.
    condemned: BTreeSet<ExtentId>,
    /// How long rows are kept, of a database or of a table.
    kept_for: BTreeMap<(DatabaseId, Option<TableId>), i64>,
    /// Dropped tables: the first sequence that does not see each, and when that was.
    dropped: BTreeMap<TableId, (Sequence, i64)>,
    /// What each node reads, and until when that counts.
    held: BTreeMap<NodeId, (BTreeMap<DatabaseId, Sequence>, i64)>,
}

impl State {
    pub(super) fn drop_table(&mut self, table: TableId, sequence: Sequence, at: i64) {
        self.dropped.insert(table, (sequence, at));
    }

    pub(super) fn hold(&mut self, node: NodeId, oldest: &BTreeMap<DatabaseId, Sequence>, until: i64) {
        self.held.insert(node, (oldest.clone(), until));
    }

    fn kept_for(&self, database: DatabaseId, table: TableId) -> Option<i64> {
        let of = |table| self.kept_for.get(&(database, table)).copied();
        of(Some(table)).or_else(|| of(None))
    }

    /// Whether every row is past its time.
    fn is_past(&self, known: &Known, now: i64) -> bool {
        let kept_for = self.kept_for(known.database, known.table);
        kept_for.is_some_and(|kept_for| known.rows.iter().all(|(_, time)| *time < now - kept_for))
    }
}

impl Oracle {
    /// Extents that may be removed with their rows.
    pub fn condemn(&self, ids: impl IntoIterator<Item = ExtentId>) {
        self.state.lock().lifecycle.condemned.extend(ids);
    }

    /// Rows of a database, or of one of its tables, are kept for so long from now on.
    pub fn keep_for(&self, database: DatabaseId, table: Option<TableId>, time: Duration) {
        self.state.lock().lifecycle.kept_for.insert((database, table), time.as_nanos() as i64);
    }

    /// A visible extent that was past its time already at `then`.
    pub fn past_its_time(&self, then: i64) -> Option<String> {
        let state = self.state.lock();
        let mut live = state.extents.iter().filter(|(_, known)| known.removed.is_none());
        let found = live.find(|(_, known)| state.lifecycle.is_past(known, then));
        found.map(|(id, _)| format!("extent {id} is past its time and not removed"))
    }

    /// An extent is removed and nothing takes its place. Whether that is right, and its rows are lost.
    pub(super) fn judge_removal(&self, state: &super::State, id: ExtentId, change: &Change<'_>) -> bool {
        let Some(known) = state.extents.get(&id) else { return false };
        let lifecycle = &state.lifecycle;
        if let Some((sequence, at)) = lifecycle.dropped.get(&known.table) {
            if change.sequences.get(&known.database) != Some(sequence) {
                self.break_down("a dropped table does not change", format!("extent {id} was removed from it"));
            }
            if self.clock.now() - at < self.grace {
                let seen =
                    format!("table {} was given up {} s after", known.table, (self.clock.now() - at) / 1_000_000_000);
                self.break_down("a drop can be undone within the grace period", seen);
            }
            return true;
        }
        if lifecycle.condemned.contains(&id) {
            return true;
        }
        let is_past = lifecycle.is_past(known, change.at);
        if !is_past && lifecycle.kept_for(known.database, known.table).is_some() {
            let newest = known.rows.iter().map(|(_, time)| *time).max().unwrap_or(i64::MIN);
            let seen =
                format!("extent {id} was removed, its newest row is {} s old", (change.at - newest) / 1_000_000_000);
            self.break_down("retention removes what is past its time", seen);
        }
        is_past
    }

    /// An extent is added to a table.
    pub(super) fn judge_table(&self, state: &super::State, extent: &NewExtent) {
        if state.lifecycle.dropped.contains_key(&extent.table) {
            let seen = format!("extent {} came to table {}", extent.id, extent.table);
            self.break_down("a dropped table does not change", seen);
        }
    }

    /// A drop is undone.
    pub(super) fn judge_undrop(&self, state: &mut super::State, table: TableId) {
        let Some((dropped, _)) = state.lifecycle.dropped.remove(&table) else {
            self.break_down("a drop is undone once", format!("table {table} was not dropped"));
            return;
        };
        let is_given_up = |known: &&Known| known.table == table && known.removed.is_some_and(|(at, _)| at == dropped);
        if state.extents.values().any(|known| is_given_up(&known)) {
            self.break_down("a drop is final when it was given up", format!("table {table} is back"));
        }
    }

    /// An object is doomed: nobody may need what it holds.
    pub(super) fn judge_doom(&self, state: &super::State, key: &str) {
        let now = self.clock.now();
        for id in state.by_key.get(key).into_iter().flatten() {
            let Some(known) = state.extents.get(id) else { continue };
            let Some((removed, at)) = known.removed else {
                self.break_down("a live extent has its object", format!("{key} of extent {id} was doomed"));
                continue;
            };
            // Of an object that is gone, what swept it may come late.
            if state.deleted.contains(key) {
                continue;
            }
            if now - at < self.grace {
                let seen =
                    format!("{key} of extent {id} was doomed {} s after its removal", (now - at) / 1_000_000_000);
                self.break_down("what was removed is kept for the grace period", seen);
            }
            let holds = |(oldest, until): &(BTreeMap<DatabaseId, Sequence>, i64)| {
                *until > now && oldest.get(&known.database).is_some_and(|at| *at < removed)
            };
            if let Some((node, _)) = state.lifecycle.held.iter().find(|(_, held)| holds(held)) {
                let seen = format!("{key} of extent {id}, removed at {removed}, was doomed and node {node} reads it");
                self.break_down("what a query reads is kept", seen);
            }
        }
    }
}
