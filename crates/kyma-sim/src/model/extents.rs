//! Snapshots, reservations, receipts, lists.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use kyma_core::catalog::{
    ChangeQuery, Commit, Committed, Database, DatabasePin, ExtentOrder, ExtentQuery, Extents, Reservation, TableChange,
};
use kyma_core::extent::Extent;
use kyma_core::planted::{self, Bug};
use kyma_core::time::SECOND;
use kyma_core::{DatabaseId, Error, ExtentId, NodeId, ReservationId, Result, Sequence, TableId};

use super::{Model, ObjectRow, ObjectState, State, TableRow};

#[async_trait]
impl Extents for Model {
    async fn pin(&self, database: DatabaseId) -> Result<Sequence> {
        let sequence = self.state().database(database)?.sequence;
        Ok(if planted::is(Bug::PinAheadOfCommit) { Sequence(sequence.0 + 1) } else { sequence })
    }

    async fn pins(&self, known: &BTreeMap<DatabaseId, Sequence>) -> Result<Vec<DatabasePin>> {
        let state = self.state();
        let pin = |row: &super::DatabaseRow| DatabasePin {
            database: Database { id: row.id, name: row.name.clone() },
            sequence: row.sequence,
            schema_version: row.schema_version,
            changed: known.get(&row.id).map_or(Vec::new(), |known| changed(&state, row.id, *known)),
        };
        let mut pins: Vec<DatabasePin> = state.databases.iter().map(pin).collect();
        pins.sort_by(|one, other| one.database.name.cmp(&other.database.name));
        Ok(pins)
    }

    async fn changes(&self, query: &ChangeQuery) -> Result<Option<Vec<Extent>>> {
        let state = self.state();
        let Some(table) = state.tables.get(&query.table) else { return Ok(Some(Vec::new())) };
        if table.forgotten > query.after {
            return Ok(None);
        }
        let within = |sequence: Sequence| sequence > query.after && sequence <= query.to;
        let is_wanted = |extent: &&Extent| {
            let changed =
                within(extent.added) || extent.removed.is_some_and(|r| within(r) && extent.added <= query.after);
            changed && extent.time.end >= query.time.start && extent.time.start <= query.time.end
        };
        let found: Vec<Extent> = of_table(&state, table).filter(is_wanted).cloned().collect();
        Ok((found.len() <= query.limit).then_some(found))
    }

    async fn reserve(&self, writer: NodeId, object_key: &str) -> Result<Reservation> {
        let mut state = self.state();
        if state.objects.contains_key(object_key) {
            let message = format!("the object key was used already: key={object_key}");
            return Err(Error::conflict("catalog.object_reserved", message));
        }
        let id = ReservationId(self.clock.new_id());
        let row = ObjectRow {
            state: ObjectState::Reserved,
            reservation: Some(id),
            reserved_at: self.now(),
            sequences: None,
            extents: Vec::new(),
        };
        state.objects.insert(object_key.to_owned(), row);
        state.keys.insert(id, object_key.to_owned());
        self.observer().reserved(object_key, id);
        Ok(Reservation { id, object_key: object_key.to_owned(), writer })
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed> {
        self.commit_now(commit, None)
    }

    async fn outcome(&self, reservation: &Reservation) -> Result<Option<Committed>> {
        self.outcome_now(reservation.id)
    }

    async fn receipt(
        &self,
        database: DatabaseId,
        key: &str,
        window_seconds: Option<u32>,
    ) -> Result<Option<(serde_json::Value, Sequence)>> {
        let oldest = window_seconds.map(|seconds| self.now() - i64::from(seconds) * SECOND);
        let state = self.state();
        let found = state.receipts.get(&(database, key.to_owned()));
        let found = found.filter(|row| oldest.is_none_or(|oldest| row.created_at >= oldest));
        Ok(found.map(|row| (row.answer.clone(), row.sequence)))
    }

    async fn receipts(&self, database: DatabaseId, prefix: &str) -> Result<Vec<(String, serde_json::Value, Sequence)>> {
        let state = self.state();
        let own = state.receipts.iter().filter(|((owner, key), _)| *owner == database && key.starts_with(prefix));
        Ok(own.map(|((_, key), row)| (key.clone(), row.answer.clone(), row.sequence)).collect())
    }

    fn list(&self, query: ExtentQuery) -> BoxStream<'static, Result<Extent>> {
        stream::iter(self.listed(&query).into_iter().map(Ok)).boxed()
    }

    async fn replace(&self, table: TableId, sources: &[ExtentId], commit: &Commit) -> Result<Committed> {
        self.commit_now(commit, Some((table, sources)))
    }
}

impl Model {
    /// What a list shows.
    pub(crate) fn listed(&self, query: &ExtentQuery) -> Vec<Extent> {
        let state = self.state();
        let Some(table) = state.tables.get(&query.table).filter(|_| !query.time.is_empty()) else { return Vec::new() };
        let at = if planted::is(Bug::ListLatestInsteadOfPinned) { Sequence(i64::MAX) } else { query.at };
        let visible = table.extents.iter().filter_map(|id| state.extents.get(id)).filter(|row| row.is_visible(at));
        let overlapping = visible.filter(|row| row.extent.time.overlaps(&query.time));
        let mut found: Vec<Extent> = overlapping.map(|row| row.extent.clone()).collect();
        match query.order {
            ExtentOrder::NewestFirst => found.sort_by_key(|extent| std::cmp::Reverse((extent.time.end, extent.id))),
            ExtentOrder::OldestFirst => found.sort_by_key(|extent| (extent.time.start, extent.id)),
        }
        found
    }
}

fn of_table<'a>(state: &'a State, table: &'a TableRow) -> impl Iterator<Item = &'a Extent> {
    let known = |id: &ExtentId| state.extents.get(id).map(|row| &row.extent);
    table.extents.iter().filter_map(known)
}

fn changed(state: &State, database: DatabaseId, known: Sequence) -> Vec<TableChange> {
    let of_database = state.tables.values().filter(|row| row.table.database == database);
    let newer = of_database.filter_map(|row| Some((row, row.changed.filter(|sequence| *sequence > known)?)));
    newer
        .map(|(row, sequence)| {
            let visible = || of_table(state, row).filter(|extent| extent.removed.is_none());
            let (extents, rows) = (visible().count() as u64, visible().map(|extent| extent.rows).sum());
            TableChange { table: row.table.id, sequence, extents, rows }
        })
        .collect()
}
