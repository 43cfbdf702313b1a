//! What background work looks for among extents.

use async_trait::async_trait;
use kyma_core::catalog::{Uncompacted, Upkeep};
use kyma_core::extent::{Extent, LEVEL_FINAL};
use kyma_core::{ExtentId, Result, TableId};

use super::{ExtentRow, Model, State, TableRow};

#[async_trait]
impl Upkeep for Model {
    async fn uncompacted_tables(&self, limit: usize) -> Result<Vec<Uncompacted>> {
        let state = self.state();
        let mut tables = Vec::new();
        for row in state.tables.values().filter(|row| row.dropped.is_none()) {
            let (mut extents, mut raw_bytes) = (0, 0);
            for extent in visible(&state, row).filter(|extent| extent.level < LEVEL_FINAL) {
                extents += 1;
                raw_bytes += extent.raw_bytes;
            }
            if extents > 0 {
                tables.push(Uncompacted { table: row.table.id, extents, raw_bytes });
            }
        }
        tables.sort_by_key(|table| (std::cmp::Reverse(table.extents), table.table));
        tables.truncate(limit);
        Ok(tables)
    }

    async fn uncompacted(&self, table: TableId, limit: usize) -> Result<Vec<Extent>> {
        Ok(self.chosen(table, |extent| extent.level < LEVEL_FINAL, limit))
    }

    async fn still_visible(&self, table: TableId, extents: &[ExtentId]) -> Result<Vec<Extent>> {
        Ok(self.chosen(table, |extent| extents.contains(&extent.id), usize::MAX))
    }
}

impl Model {
    /// Visible extents of a table, in the order of their commits.
    fn chosen(&self, table: TableId, is_chosen: impl Fn(&Extent) -> bool, limit: usize) -> Vec<Extent> {
        let state = self.state();
        let Some(row) = state.tables.get(&table) else { return Vec::new() };
        let mut chosen: Vec<Extent> = visible(&state, row).filter(|extent| is_chosen(extent)).cloned().collect();
        chosen.sort_by_key(|extent| (extent.added, extent.id));
        chosen.truncate(limit);
        chosen
    }
}

fn visible<'a>(state: &'a State, table: &'a TableRow) -> impl Iterator<Item = &'a Extent> {
    let rows = table.extents.iter().filter_map(|id| state.extents.get(id));
    rows.map(|row: &ExtentRow| &row.extent).filter(|extent| extent.removed.is_none())
}
