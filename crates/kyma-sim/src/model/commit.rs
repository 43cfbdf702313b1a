//! The commit: everything is checked, then everything is done.
//!
//! The checks stand in the order of PostgreSQL's catalog: reservation, tables, sources, receipts.

use std::collections::{BTreeMap, BTreeSet};

use kyma_core::catalog::{Commit, Committed};
use kyma_core::extent::Extent;
use kyma_core::planted::{self, Bug};
use kyma_core::time::SECOND;
use kyma_core::{DatabaseId, Error, ExtentId, ReservationId, Result, Sequence, TableId};
use uuid::Uuid;

use super::{Change, ExtentRow, Model, ObjectRow, ObjectState, ReceiptRow, State, database_unknown, table_unknown};

impl Model {
    pub(crate) fn commit_now(&self, commit: &Commit, removal: Option<(TableId, &[ExtentId])>) -> Result<Committed> {
        check_shape(commit)?;
        let mut state = self.state();
        let at = self.now();
        state.check_objects(commit)?;
        let databases = state.check_tables(commit, removal.map(|(table, _)| table))?;
        let sources: Vec<ExtentId> = removal.map_or(Vec::new(), |(_, sources)| distinct(sources));
        if let Some((table, _)) = removal {
            state.check_sources(table, &sources)?;
        }
        state.check_receipts(commit, at)?;

        let mut sequences = BTreeMap::new();
        for database in databases {
            sequences.insert(database, state.next_sequence(database, at)?);
        }
        let removed: Vec<ExtentId> = sources.into_iter().filter(|id| state.is_live(*id)).collect();
        state.remove(&removed, &sequences, at);
        if !planted::is(Bug::ReceiptOutsideTransaction) {
            state.add_receipts(commit, &sequences, at);
        }
        state.add_extents(commit, &sequences, at);
        let reservation = commit.reservation.as_ref().map(|reservation| reservation.id);
        let change = Change { reservation, added: &commit.extents, removed: &removed, sequences: &sequences, at };
        self.observer().committed(&change);
        Ok(Committed { sequences })
    }

    /// Adds the receipts of a commit that took place without them; for the bug of that name.
    pub(crate) fn add_receipts_late(&self, commit: &Commit, committed: &Committed) {
        let at = self.now();
        self.state().add_receipts(commit, &committed.sequences, at);
    }

    pub(crate) fn outcome_now(&self, reservation: ReservationId) -> Result<Option<Committed>> {
        let mut state = self.state();
        let State { keys, objects, .. } = &mut *state;
        let known = keys.get(&reservation).and_then(|key| Some((key, objects.get_mut(key)?)));
        let Some((key, row)) = known else {
            return Err(Error::conflict("catalog.outcome_forgotten", "the object was collected and forgotten"));
        };
        if row.state == ObjectState::Reserved {
            if !planted::is(Bug::OutcomeWithoutRevocation) {
                row.state = ObjectState::Revoked;
                self.observer().doomed(key, Some(reservation));
            }
            return Ok(None);
        }
        Ok(row.sequences.clone().map(|sequences| Committed { sequences }))
    }
}

fn distinct(sources: &[ExtentId]) -> Vec<ExtentId> {
    BTreeSet::from_iter(sources.iter().copied()).into_iter().collect()
}

fn check_shape(commit: &Commit) -> Result<()> {
    for extent in &commit.extents {
        if extent.id.0 == Uuid::nil() || extent.id.0 == Uuid::max() {
            return Err(Error::invalid("catalog.extent_id", "an extent's id is nil or max"));
        }
        if commit.reservation.as_ref().is_some_and(|reservation| reservation.object_key != extent.location.key) {
            return Err(Error::invalid("catalog.object_mismatch", "an extent is not in the reserved object"));
        }
    }
    Ok(())
}

impl State {
    pub(super) fn next_sequence(&mut self, database: DatabaseId, at: i64) -> Result<Sequence> {
        let row = self.database(database)?;
        row.sequence = Sequence(row.sequence.0 + 1);
        row.times.insert(at.div_euclid(SECOND), row.sequence);
        Ok(row.sequence)
    }

    pub(super) fn is_live(&self, id: ExtentId) -> bool {
        self.extents.get(&id).is_some_and(|row| row.extent.removed.is_none())
    }

    fn check_objects(&self, commit: &Commit) -> Result<()> {
        let Some(reservation) = &commit.reservation else {
            let usable = |key: &String| self.objects.get(key).is_none_or(|row| row.state == ObjectState::Registered);
            if commit.extents.iter().all(|extent| usable(&extent.location.key)) {
                return Ok(());
            }
            return Err(Error::conflict("catalog.object_doomed", "an object is reserved by someone else, or doomed"));
        };
        let stands = self
            .objects
            .get(&reservation.object_key)
            .is_some_and(|row| row.reservation == Some(reservation.id) && row.state == ObjectState::Reserved);
        if stands || planted::is(Bug::CommitWithoutReservation) {
            return Ok(());
        }
        Err(Error::conflict("catalog.reservation_revoked", "the reservation was revoked"))
    }

    fn check_tables(&mut self, commit: &Commit, removal: Option<TableId>) -> Result<BTreeSet<DatabaseId>> {
        let mut databases: BTreeSet<DatabaseId> = commit.receipts.iter().map(|receipt| receipt.database).collect();
        for extent in &commit.extents {
            let owner = match self.tables.get(&extent.table) {
                Some(row) if planted::is(Bug::CommitToDroppedTable) => row.table.database,
                _ => self.live_table(extent.table)?.table.database,
            };
            if owner != extent.database {
                return Err(Error::invalid("catalog.database_mismatch", "a table is in another database"));
            }
            databases.insert(owner);
        }
        if let Some(table) = removal {
            databases.insert(self.live_table(table).map_err(|_| table_unknown(table))?.table.database);
        }
        for database in &databases {
            self.database(*database).map_err(|_| database_unknown(*database))?;
        }
        Ok(databases)
    }

    fn check_sources(&self, table: TableId, sources: &[ExtentId]) -> Result<()> {
        let is_visible = |id: &ExtentId| self.is_live(*id) && self.extents[id].extent.table == table;
        if sources.iter().all(is_visible) || planted::is(Bug::ReplaceWithoutSourceCheck) {
            return Ok(());
        }
        Err(Error::conflict("catalog.sources_changed", "a source is not visible any more"))
    }

    fn check_receipts(&self, commit: &Commit, at: i64) -> Result<()> {
        let mut seen = BTreeSet::new();
        for receipt in &commit.receipts {
            let place = (receipt.database, receipt.key.clone());
            let oldest = receipt.window_seconds.map(|seconds| at - i64::from(seconds) * SECOND);
            let is_there = |row: &ReceiptRow| oldest.is_none_or(|oldest| row.created_at >= oldest);
            let exists = self.receipts.get(&place).is_some_and(is_there);
            if exists || !seen.insert(place) {
                let message = format!("an idempotency key was used already: key={}", receipt.key);
                return Err(Error::conflict("catalog.receipt_exists", message));
            }
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, ids: &[ExtentId], sequences: &BTreeMap<DatabaseId, Sequence>, at: i64) {
        for id in ids {
            let Some(row) = self.extents.get_mut(id) else { continue };
            let Some(sequence) = sequences.get(&row.extent.database) else { continue };
            row.extent.removed = Some(*sequence);
            row.removed_at = Some(at);
            if let Some(table) = self.tables.get_mut(&row.extent.new.table) {
                table.changed = Some(*sequence);
            }
        }
    }

    fn add_receipts(&mut self, commit: &Commit, sequences: &BTreeMap<DatabaseId, Sequence>, created_at: i64) {
        for receipt in &commit.receipts {
            let Some(sequence) = sequences.get(&receipt.database) else { continue };
            let place = (receipt.database, receipt.key.clone());
            let row = ReceiptRow { answer: receipt.answer.clone(), sequence: *sequence, created_at };
            self.receipts.insert(place, row);
        }
    }

    fn add_extents(&mut self, commit: &Commit, sequences: &BTreeMap<DatabaseId, Sequence>, at: i64) {
        if let Some(reservation) = &commit.reservation {
            let state = if commit.extents.is_empty() { ObjectState::Doomed } else { ObjectState::Registered };
            let row = self.objects.entry(reservation.object_key.clone()).or_insert_with(|| adopted(at));
            row.state = state;
            row.sequences = Some(sequences.clone());
        }
        for new in &commit.extents {
            let Some(added) = sequences.get(&new.database) else { continue };
            let object = self.objects.entry(new.location.key.clone()).or_insert_with(|| adopted(at));
            object.extents.push(new.id);
            if let Some(table) = self.tables.get_mut(&new.table) {
                table.changed = Some(*added);
                table.extents.push(new.id);
            }
            let extent = Extent { new: new.clone(), added: *added, removed: None };
            self.extents.insert(new.id, ExtentRow { extent, added_at: at, removed_at: None });
        }
    }
}

/// An object that comes with its extents, unreserved.
fn adopted(at: i64) -> ObjectRow {
    ObjectRow {
        state: ObjectState::Registered,
        reservation: None,
        reserved_at: at,
        sequences: None,
        extents: Vec::new(),
    }
}
