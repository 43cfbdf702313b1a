//! What background work looks for among extents. The partial index `extents_uncompacted` holds only what may still be merged,
//! so that the search costs nothing for what is done.

use async_trait::async_trait;
use kyma_core::catalog::{Uncompacted, Upkeep};
use kyma_core::extent::{Extent, LEVEL_FINAL};
use kyma_core::{ExtentId, Result, TableId};
use uuid::Uuid;

use crate::pool::{PostgresCatalog, get};
use crate::rows;

// The statements say `level < 2`, as the index does: with a parameter it would not be used.
const _: () = assert!(LEVEL_FINAL == 2);

const TABLES: &str = "SELECT e.table_id, count(*), coalesce(sum(e.raw_bytes), 0)::bigint \
                      FROM extents e JOIN tables t ON t.id = e.table_id \
                      WHERE e.removed_seq IS NULL AND e.level < 2 AND t.dropped_at IS NULL \
                      GROUP BY e.table_id ORDER BY count(*) DESC, e.table_id LIMIT $1";

const UNCOMPACTED: &str = concat!(
    "SELECT ",
    rows::columns!(),
    ", removed_seq FROM extents WHERE table_id = $1 AND removed_seq IS NULL AND level < 2 ORDER BY added_seq, id LIMIT $2"
);

const STILL_VISIBLE: &str = concat!(
    "SELECT ",
    rows::columns!(),
    ", removed_seq FROM extents WHERE id = ANY($2) AND table_id = $1 AND removed_seq IS NULL ORDER BY added_seq, id"
);

#[async_trait]
impl Upkeep for PostgresCatalog {
    async fn uncompacted_tables(&self, limit: usize) -> Result<Vec<Uncompacted>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.rows("uncompacted tables", TABLES, &[&limit]).await?;
        let count = |row, place| get::<i64>(row, place).map(i64::unsigned_abs);
        let read =
            |row| Ok(Uncompacted { table: TableId(get(row, 0)?), extents: count(row, 1)?, raw_bytes: count(row, 2)? });
        rows.iter().map(read).collect()
    }

    async fn uncompacted(&self, table: TableId, limit: usize) -> Result<Vec<Extent>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.rows("uncompacted", UNCOMPACTED, &[&table.0, &limit]).await?;
        rows.iter().map(rows::read).collect()
    }

    async fn still_visible(&self, table: TableId, extents: &[ExtentId]) -> Result<Vec<Extent>> {
        let ids: Vec<Uuid> = extents.iter().map(|extent| extent.0).collect();
        let rows = self.rows("still visible", STILL_VISIBLE, &[&table.0, &ids]).await?;
        rows.iter().map(rows::read).collect()
    }
}
