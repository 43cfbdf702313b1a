//! What an extent says of itself: enough to make the catalog's row again when the catalog is lost.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::EncodeOptions;
use crate::error::{Error, Result};
use crate::extent::{ColumnBounds, NewExtent, ObjectRange};
use crate::ids::{DatabaseId, ExtentId, TableId};
use crate::limits::{EXTENT_REPLACES_MAX, EXTENT_WRITES_MAX};
use crate::time::TimeRange;

/// What the footer of an extent knows of it, as [`super::Encoded`] gave it when it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The extent.
    pub extent: ExtentId,
    /// Its database.
    pub database: DatabaseId,
    /// Its database's name when it was written.
    pub database_name: String,
    /// Its table.
    pub table: TableId,
    /// Its table's name when it was written.
    pub table_name: String,
    /// Name of the event-time column.
    pub time_column: String,
    /// Columns the rows are sorted by.
    pub sorted_by: Vec<String>,
    /// 0 as ingested; higher after compaction.
    pub level: u8,
    /// Rows.
    pub rows: u64,
    /// Blocks.
    pub blocks: u32,
    /// Bytes of the input that became these rows; `None` in extents of before this was kept.
    pub raw_bytes: Option<u64>,
    /// Closed bounds of the event time.
    pub time: TimeRange,
    /// Columns that occur, with type and statistics.
    pub columns: BTreeMap<String, ColumnBounds>,
    /// Dynamic paths that occur; `None` when there were too many to list.
    pub paths: Option<Vec<String>>,
    /// As in [`EncodeOptions::replaces`].
    pub replaces: Vec<ExtentId>,
    /// As in [`EncodeOptions::writes`].
    pub writes: Vec<u128>,
    /// Of the data; `None` in extents of before this was kept. The footer has a checksum of its own, compared when it is opened.
    pub checksum: Option<DataChecksum>,
}

/// The checksum of an extent's first bytes: all of its data, but not always what lies between data and footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DataChecksum {
    /// How many bytes it covers.
    pub bytes: u64,
    /// Their CRC-32C.
    pub crc32c: u32,
}

impl Identity {
    /// The catalog's row of this extent, found at `location`. Input bytes that are not known count as none.
    pub fn to_extent(&self, format: &str, location: ObjectRange, footer_length: u32) -> NewExtent {
        NewExtent {
            id: self.extent,
            database: self.database,
            table: self.table,
            format: format.to_owned(),
            location,
            footer_length,
            rows: self.rows,
            blocks: self.blocks,
            raw_bytes: self.raw_bytes.unwrap_or_default(),
            time: self.time,
            level: self.level,
            sorted_by: self.sorted_by.clone(),
            tags: Vec::new(),
            paths: self.paths.clone(),
            columns: self.columns.clone(),
        }
    }
}

/// How an extent's footer names the write with this idempotency key: a hash, since keys are long and may be secret. Never changes.
pub fn write_hash(database: DatabaseId, key: &str) -> u128 {
    xxh3_128_with_seed(key.as_bytes(), database.0 as u64)
}

impl EncodeOptions {
    /// Whether the lists fit into a footer; every writer asks before it writes.
    ///
    /// # Errors
    /// `Exhausted` when one is longer than its limit.
    pub fn check_lists(&self) -> Result<()> {
        let too_long = |what: &str, count: usize, limit: usize| {
            let detail = format!("{what}={count}, limit={limit}");
            Error::exhausted("format.list_too_long", format!("an extent names too many others: {detail}"))
        };
        if self.replaces.len() > EXTENT_REPLACES_MAX {
            return Err(too_long("replaces", self.replaces.len(), EXTENT_REPLACES_MAX));
        }
        if self.writes.len() > EXTENT_WRITES_MAX {
            return Err(too_long("writes", self.writes.len(), EXTENT_WRITES_MAX));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_writes_never_change() {
        assert_eq!(write_hash(DatabaseId(1), "a"), 0xfdd9_b77f_dcaf_3221_d2f6_d099_6f37_a720);
        assert_ne!(write_hash(DatabaseId(1), "a"), write_hash(DatabaseId(2), "a"));
    }
}
