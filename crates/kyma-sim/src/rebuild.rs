//! The catalog made again from the bucket alone, compared with what the judge saw: at any moment no row is lost that was
//! committed, and when all is calm nothing else is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kyma_core::catalog::{
    Audit, CatalogIdentity, DatabaseDefinition, ExtentPage, Import, JournalMark, JournalState, NumberedReceipt,
    ObjectState, ReceiptPage, Recovery,
};
use kyma_core::extent::Extent;
use kyma_core::time::TimeRange;
use kyma_core::{DatabaseId, Result, Sequence, TableId};
use kyma_worker::Progress;
use kyma_worker::rebuild::{RebuildOptions, rebuild};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::model::TableRow;
use crate::model::recovery::not_simulated;
use crate::node::sound_store;
use crate::world::World;

/// Rows of tables, sorted: of each one by itself when all is told by a journal, or of all that have or had a name.
type Rows = BTreeMap<String, Vec<i64>>;

/// Makes a catalog again and compares. Nothing else happens meanwhile: this way takes no time.
pub async fn judge_rebuild(world: &Arc<World>, is_calm: bool) {
    let is_exact = is_calm && world.plan.has_journal;
    let before = visible(world, is_calm, is_exact);
    let filled = Arc::new(Mutex::new(Vec::new()));
    let options = RebuildOptions::default();
    let scratch = Scratch(Arc::clone(&filled));
    let made = rebuild(&scratch, &sound_store(world), &world.formats, &options, &Progress::default()).await;
    let broken = |seen: String| world.oracle.break_down("the bucket tells all", seen);
    let report = match made {
        Ok(report) => report,
        Err(error) => return broken(error.chain()),
    };
    // Whoever did something meanwhile spoiled the comparison.
    if visible(world, is_calm, is_exact) != before {
        return;
    }
    let names = names(world, is_exact);
    let mut told = Rows::new();
    for extent in filled.lock().iter() {
        // Of a table that was given up, objects may be left that others need.
        let Some(name) = names.get(&extent.table) else { continue };
        match world.oracle.rows(extent) {
            Ok(rows) => told.entry(name.clone()).or_default().extend(rows),
            Err(why) => return broken(format!("extent {} of {name} cannot be read: {why}", extent.id)),
        }
    }
    told.values_mut().for_each(|rows| rows.sort_unstable());
    // Without a journal what was removed comes back, and without keys what was put and never committed.
    let is_whole = report.notes.iter().all(|note| !matches!(note.code, "no_journal" | "journal_flaw"));
    if !is_whole && world.plan.drops > 0 {
        // Nobody knows then which table of a name was dropped, and which rows were put for it in vain.
        return;
    }
    let is_told_once = is_whole && world.plan.keyed == 1_000 && world.plan.drops == 0;
    for (table, rows) in &before {
        let found = told.get(table).map_or(&[][..], Vec::as_slice);
        let is_right = match is_exact {
            true => found == rows,
            false => holds(found, rows) && (!is_told_once || found.is_sorted_by(|one, next| one < next)),
        };
        if !is_right {
            let (filled, notes) = (filled.lock(), &report.notes);
            let told: Vec<_> = filled.iter().map(|extent| (extent.id, &*extent.location.key, extent.added)).collect();
            return broken(format!("{table} shows {rows:?}, made again {found:?}; {notes:?}; {told:?}"));
        }
    }
}

/// What stands for each table that ever was. A write may have been put for a table that was dropped then, and again for the
/// next one of the name: of these two a rebuild keeps one.
fn names(world: &World, is_exact: bool) -> BTreeMap<TableId, String> {
    let state = world.model.state();
    let name = |row: &TableRow| match is_exact {
        true => format!("table {} {}", row.table.id, row.table.name),
        false => row.table.name.clone(),
    };
    state.tables.values().map(|row| (row.table.id, name(row))).collect()
}

/// What is there. Before all is calm the journal may have missed that a drop was undone.
fn visible(world: &World, is_calm: bool, is_exact: bool) -> Rows {
    let names = names(world, is_exact);
    let state = world.model.state();
    let tables = state.tables.values().filter(|row| row.dropped.is_none() && (is_calm || row.gaps.is_empty()));
    let tables: Vec<(DatabaseId, TableId)> = tables.map(|row| (row.table.database, row.table.id)).collect();
    let sequences: BTreeMap<DatabaseId, Sequence> = state.databases.iter().map(|row| (row.id, row.sequence)).collect();
    drop(state);
    let rows = |(database, table): (DatabaseId, TableId)| {
        let expected = world.oracle.expected(table, *sequences.get(&database)?, TimeRange::ALL);
        Some((names.get(&table)?.clone(), expected.rows))
    };
    tables.into_iter().filter_map(rows).collect()
}

/// Whether all of `wanted` is in `found`, each as often at least. Both are sorted.
fn holds(found: &[i64], wanted: &[i64]) -> bool {
    let mut rest = found.iter();
    wanted.iter().all(|row| rest.any(|other| other == row))
}

/// An empty catalog that a rebuild fills. Nothing else is asked of it.
struct Scratch(Arc<Mutex<Vec<Extent>>>);

struct Filling(Arc<Mutex<Vec<Extent>>>);

#[async_trait]
impl Import for Filling {
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
impl Recovery for Scratch {
    async fn identity(&self) -> Result<CatalogIdentity> {
        not_simulated()
    }

    async fn journal_states(&self) -> Result<Vec<JournalState>> {
        not_simulated()
    }

    async fn advance_journal(&self, _database: DatabaseId, _from: i64, _to: &JournalMark) -> Result<bool> {
        not_simulated()
    }

    async fn definition(&self, _database: DatabaseId) -> Result<DatabaseDefinition> {
        not_simulated()
    }

    async fn extent_page(&self, _page: &ExtentPage) -> Result<Vec<Extent>> {
        not_simulated()
    }

    async fn receipt_page(&self, _page: &ReceiptPage) -> Result<Vec<NumberedReceipt>> {
        not_simulated()
    }

    async fn begin_import(&self, _rebuilt_from: Option<Uuid>) -> Result<Box<dyn Import>> {
        Ok(Box::new(Filling(Arc::clone(&self.0))))
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
