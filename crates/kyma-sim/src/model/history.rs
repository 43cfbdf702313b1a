//! Old snapshots, dropped tables, and rows past their time.

use std::time::Duration;

use async_trait::async_trait;
use kyma_core::catalog::{DroppedTable, ExpiryQuery, GivenUp, History, Table};
use kyma_core::extent::Extent;
use kyma_core::ids::check_name;
use kyma_core::planted::{self, Bug};
use kyma_core::time::{SECOND, TimeRange};
use kyma_core::{DatabaseId, Error, ExtentId, Result, Sequence, TableId};

use super::tables::{change, named};
use super::{Change, ExtentRow, Model, ObjectState, State, TableRow, nanos};

#[async_trait]
impl History for Model {
    async fn expired(&self, query: &ExpiryQuery) -> Result<Vec<Extent>> {
        let now = if planted::is(Bug::RetentionTrustsNode) { query.now } else { query.now.min(self.now()) };
        let before = now.saturating_sub(query.period);
        let state = self.state();
        let is_past = |row: &&ExtentRow| match row.extent.time {
            _ if planted::is(Bug::RetentionByIngestion) => row.added_at < before,
            time if planted::is(Bug::RetentionByOldest) => time.start < before,
            TimeRange::ALL => row.added_at < before,
            time => time.end < before,
        };
        let Some(table) = state.tables.get(&query.table) else { return Ok(Vec::new()) };
        let rows = table.extents.iter().filter_map(|id| state.extents.get(id));
        let live = rows.filter(|row| row.extent.removed.is_none()).filter(is_past);
        let mut expired: Vec<Extent> = live.map(|row| row.extent.clone()).collect();
        expired.sort_by_key(|extent| (extent.time.end, extent.id));
        expired.truncate(query.limit);
        Ok(expired)
    }

    async fn sequence_at(&self, database: DatabaseId, time: i64) -> Result<Sequence> {
        let (second, now) = (time.div_euclid(SECOND), self.now().div_euclid(SECOND));
        let mut state = self.state();
        let row = state.database(database)?;
        if second > now {
            return Err(Error::invalid("catalog.time_ahead", "the time has not come yet"));
        }
        let found = row.times.range(..second).next_back().map(|(_, sequence)| *sequence);
        found.ok_or_else(|| Error::not_found("catalog.time_forgotten", "what a database was then is not remembered"))
    }

    async fn oldest(&self, database: DatabaseId) -> Result<Sequence> {
        let mut state = self.state();
        let mut oldest = state.database(database)?.complete_from;
        for row in state.tables.values().filter(|row| row.table.database == database) {
            oldest = oldest.max(row.forgotten);
        }
        for row in state.objects.values() {
            if matches!(row.state, ObjectState::Revoked | ObjectState::Doomed) {
                let extents = row.extents.iter().filter_map(|id| state.extents.get(id));
                let own = extents.filter(|row| row.extent.database == database);
                oldest = own.filter_map(|row| row.extent.removed).fold(oldest, Sequence::max);
            }
        }
        Ok(oldest)
    }

    async fn tables_at(&self, database: DatabaseId, at: Sequence) -> Result<Vec<Table>> {
        let state = self.state();
        let is_seen = |row: &&TableRow| {
            let is_in_gap = row.gaps.iter().any(|(dropped, restored)| *dropped <= at && at < *restored);
            row.table.database == database && row.dropped.is_none_or(|(dropped, _)| dropped > at) && !is_in_gap
        };
        let mut seen: Vec<&TableRow> = state.tables.values().filter(is_seen).collect();
        // Of one name the table that was dropped first after the sequence: a later one did not exist yet.
        let dropped = |row: &TableRow| row.dropped.map_or(Sequence(i64::MAX), |(dropped, _)| dropped);
        seen.sort_by(|one, other| (&one.table.name, dropped(one)).cmp(&(&other.table.name, dropped(other))));
        seen.dedup_by(|later, first| later.table.name == first.table.name);
        Ok(seen.into_iter().map(|row| row.table.clone()).collect())
    }

    async fn dropped_tables(&self, database: DatabaseId) -> Result<Vec<DroppedTable>> {
        let state = self.state();
        let own = state.tables.values().filter(|row| row.table.database == database && !row.given_up);
        let shown = |row: &TableRow| {
            let (dropped, dropped_at) = row.dropped?;
            Some(DroppedTable { table: row.table.clone(), dropped, dropped_at })
        };
        let mut dropped: Vec<DroppedTable> = own.filter_map(shown).collect();
        dropped.sort_by_key(|table| std::cmp::Reverse(table.dropped));
        Ok(dropped)
    }

    async fn undrop_table(&self, table: TableId, name: &str) -> Result<Table> {
        check_name("table", name)?;
        let at = self.now();
        let mut state = self.state();
        let found = state.tables.get(&table).filter(|row| !row.given_up);
        let Some((database, (dropped, _))) = found.and_then(|row| Some((row.table.database, row.dropped?))) else {
            return Err(Error::not_found("catalog.drop_final", "the table is not dropped, or its drop is final"));
        };
        if named(&state, database, name).is_some() {
            return Err(Error::conflict("catalog.table_exists", "a table of that name exists"));
        }
        let restored = state.next_sequence(database, at)?;
        if let Some(row) = state.tables.get_mut(&table) {
            row.dropped = None;
            row.gaps.push((dropped, restored));
            if planted::is(Bug::UndropForgetsExtents) {
                row.extents.pop();
            }
        }
        let table = change(&mut state, table, |table| name.clone_into(&mut table.name));
        self.observer().undropped(table.id);
        Ok(table)
    }

    async fn give_up_dropped(&self, grace: Duration, limit: usize) -> Result<GivenUp> {
        let before = self.now().saturating_sub(nanos(grace));
        let mut state = self.state();
        let mut given_up = GivenUp::default();
        let is_due = |row: &TableRow| row.dropped.filter(|(_, at)| *at < before && !row.given_up);
        let due = state.tables.iter().filter_map(|(id, row)| Some((is_due(row)?.1, *id)));
        let mut due: Vec<(i64, TableId)> = due.collect();
        due.sort_unstable();
        for (_, id) in due.into_iter().take(limit) {
            given_up.tables += 1;
            given_up.extents += self.give_up(&mut state, id);
        }
        let is_empty = |row: &TableRow| row.given_up && row.extents.is_empty();
        let empty = state.tables.iter().filter(|(_, row)| is_empty(row)).map(|(id, _)| *id);
        let empty: Vec<TableId> = empty.take(limit).collect();
        for id in empty {
            given_up.forgotten += 1;
            state.forget_table(id);
        }
        Ok(given_up)
    }

    async fn forget_times(&self, grace: Duration) -> Result<u64> {
        let before = self.now().saturating_sub(nanos(grace)).div_euclid(SECOND);
        let mut forgotten = 0;
        for row in &mut self.state().databases {
            let last = row.times.range(..before).next_back().map(|(second, _)| *second);
            let known = row.times.len();
            row.times.retain(|second, _| last.is_none_or(|last| *second >= last));
            forgotten += (known - row.times.len()) as u64;
        }
        Ok(forgotten)
    }
}

impl Model {
    /// Removes the extents of a dropped table as of its drop; how many.
    fn give_up(&self, state: &mut State, id: TableId) -> u64 {
        let Some(row) = state.tables.get_mut(&id) else { return 0 };
        let Some((dropped, at)) = row.dropped else { return 0 };
        row.given_up = true;
        let (database, extents) = (row.table.database, row.extents.clone());
        let removed: Vec<ExtentId> = extents.into_iter().filter(|id| state.is_live(*id)).collect();
        let sequences = [(database, dropped)].into();
        state.remove(&removed, &sequences, at);
        let change = Change { reservation: None, added: &[], removed: &removed, sequences: &sequences, at };
        self.observer().committed(&change);
        removed.len() as u64
    }
}

impl State {
    /// Forgets a table that nothing is left of.
    fn forget_table(&mut self, id: TableId) {
        let Some(row) = self.tables.remove(&id) else { return };
        let dropped = row.dropped.map_or(Sequence(0), |(dropped, _)| dropped);
        self.mappings.retain(|(table, _), _| *table != id);
        self.texts.remove(&id);
        self.policies.retain(|(_, table, _), _| *table != Some(id));
        if let Ok(database) = self.database(row.table.database) {
            database.complete_from = database.complete_from.max(dropped);
        }
    }
}
