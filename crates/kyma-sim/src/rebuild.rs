//! The catalog made again from the bucket alone, compared with what the judge saw: at any moment no row is lost that was
//! committed, and when all is calm nothing else is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kyma_core::time::TimeRange;
use kyma_core::{DatabaseId, Sequence, TableId};
use kyma_worker::Progress;
use kyma_worker::rebuild::{RebuildOptions, rebuild};

use crate::model::{Model, TableRow};
use crate::node::sound_store;
use crate::world::World;

/// Longer than any write here takes from its put to its commit, and less than clocks jump.
const UNKNOWN_AGE: Duration = Duration::from_secs(1_800);

/// Rows of tables, sorted: of each one by itself when all is told by a journal, or of all that have or had a name.
type Rows = BTreeMap<String, Vec<i64>>;

/// Makes a catalog again and compares. Nothing else happens meanwhile: this way takes no time.
pub async fn judge_rebuild(world: &Arc<World>, is_calm: bool) {
    let is_exact = is_calm && world.plan.has_journal;
    let before = visible(world, is_calm, is_exact);
    let empty = Model::new(world.clock.clone());
    let options = RebuildOptions { unknown_age: UNKNOWN_AGE, ..RebuildOptions::default() };
    let made = rebuild(&*empty, &sound_store(world), &world.formats, &options, &Progress::default()).await;
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
    for extent in empty.imported().iter() {
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
            let (extents, notes) = (empty.imported(), &report.notes);
            let told: Vec<_> = extents.iter().map(|extent| (extent.id, &*extent.location.key, extent.added)).collect();
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
