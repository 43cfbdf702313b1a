//! What a journal is written from. What is imported is only collected, for the judge of rebuilds ([`crate::rebuild`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kyma_core::catalog::{
    Audit, CatalogIdentity, Database, DatabaseDefinition, ExtentPage, Import, JournalMark, JournalState,
    NumberedReceipt, ObjectState, Receipt, ReceiptPage, Recovery, TableDefinition,
};
use kyma_core::extent::Extent;
use kyma_core::{DatabaseId, Error, Result, Sequence, TableId};
use parking_lot::Mutex;
use uuid::Uuid;

use super::{Model, TableRow};

/// Nothing is written down.
pub(super) const NO_MARK: JournalMark =
    JournalMark { revision: 0, sequence: Sequence(0), definitions_version: 0, full_revision: 0 };

fn not_simulated<T>() -> Result<T> {
    Err(Error::internal("this is not simulated"))
}

/// Takes the extents of an import.
struct Collected(Arc<Mutex<Vec<Extent>>>);

#[async_trait]
impl Import for Collected {
    async fn database(&mut self, _definition: &DatabaseDefinition) -> Result<()> {
        Ok(())
    }

    async fn extents(&mut self, extents: &[Extent]) -> Result<()> {
        self.0.lock().extend_from_slice(extents);
        Ok(())
    }

    async fn receipts(&mut self, _receipts: &[NumberedReceipt]) -> Result<()> {
        Ok(())
    }

    async fn finish(self: Box<Self>, _databases_max: DatabaseId, _tables_max: TableId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Recovery for Model {
    async fn identity(&self) -> Result<CatalogIdentity> {
        Ok(CatalogIdentity { id: self.identity, rebuilt_from: None })
    }

    async fn journal_states(&self) -> Result<Vec<JournalState>> {
        let state = |row: &super::DatabaseRow| JournalState {
            database: Database { id: row.id, name: row.name.clone() },
            sequence: row.sequence,
            definitions_version: row.definitions_version,
            mark: row.mark,
        };
        Ok(self.state().databases.iter().map(state).collect())
    }

    async fn advance_journal(&self, database: DatabaseId, from: i64, to: &JournalMark) -> Result<bool> {
        let mut state = self.state();
        let row = state.database(database)?;
        let is_from = row.mark.revision == from;
        if is_from {
            row.mark = *to;
        }
        Ok(is_from)
    }

    async fn definition(&self, database: DatabaseId) -> Result<DatabaseDefinition> {
        let mut state = self.state();
        let row = state.database(database)?;
        let shown = Database { id: row.id, name: row.name.clone() };
        let (sequence, definitions_version) = (row.sequence, row.definitions_version);
        let own = || state.tables.values().filter(|row| row.table.database == database);
        let definition = |row: &TableRow| TableDefinition {
            table: row.table.clone(),
            texts: state.texts.get(&row.table.id).cloned(),
            mappings: state.mappings.values().filter(|mapping| mapping.table == row.table.id).cloned().collect(),
        };
        let functions = state.functions.iter().filter(|((owner, _), _)| *owner == database);
        Ok(DatabaseDefinition {
            database: shown,
            sequence,
            definitions_version,
            forgotten: own().map(|row| row.forgotten).max().unwrap_or(Sequence(0)),
            tables_max: TableId(state.tables_made),
            tables: own().filter(|row| row.dropped.is_none()).map(definition).collect(),
            functions: functions.map(|(_, function)| function.clone()).collect(),
            policies: state.policies.values().filter(|policy| policy.database == database).cloned().collect(),
        })
    }

    async fn extent_page(&self, page: &ExtentPage) -> Result<Vec<Extent>> {
        let state = self.state();
        let own = state.tables.values().filter(|row| row.table.database == page.database);
        let extents = own.flat_map(|row| &row.extents).filter_map(|id| state.extents.get(id)).map(|row| &row.extent);
        let place = |extent: &Extent| (extent.table, extent.added, extent.id);
        let is_wanted =
            |extent: &&Extent| extent.added <= page.to && page.after.is_none_or(|after| place(extent) > after);
        let mut found: Vec<Extent> = extents.filter(is_wanted).cloned().collect();
        found.sort_by_key(place);
        found.truncate(page.limit);
        Ok(found)
    }

    async fn receipt_page(&self, page: &ReceiptPage) -> Result<Vec<NumberedReceipt>> {
        let state = self.state();
        let mut found = Vec::new();
        for ((database, key), row) in state.receipts.iter().filter(|((owner, _), _)| *owner == page.database) {
            if (row.sequence, key) <= (page.after.0, &page.after.1) || row.sequence > page.to {
                continue;
            }
            let (key, answer) = (key.clone(), row.answer.clone());
            let receipt = Receipt { database: *database, key, answer, window_seconds: None };
            found.push(NumberedReceipt { receipt, sequence: row.sequence });
        }
        found.sort_by(|one, other| (one.sequence, &one.receipt.key).cmp(&(other.sequence, &other.receipt.key)));
        found.truncate(page.limit);
        Ok(found)
    }

    async fn begin_import(&self, _rebuilt_from: Option<Uuid>) -> Result<Box<dyn Import>> {
        Ok(Box::new(Collected(Arc::clone(&self.imported))))
    }

    async fn audit(&self, _database: DatabaseId, _limit: usize) -> Result<Audit> {
        not_simulated()
    }

    async fn repair_totals(&self, _database: DatabaseId) -> Result<u64> {
        not_simulated()
    }

    async fn object_states(&self, _keys: &[String]) -> Result<BTreeMap<String, ObjectState>> {
        not_simulated()
    }

    async fn overdue(&self, _age: Duration, _limit: usize) -> Result<Vec<String>> {
        not_simulated()
    }
}
