//! What the catalog knows of stored rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{DatabaseId, ExtentId, Sequence, TableId};
use crate::predicate::ColumnRef;
use crate::prune::StatsSource;
use crate::schema::{SEQUENCE_COLUMN, Schema};
use crate::stats::ColumnStats;
use crate::time::TimeRange;
use crate::types::Type;
use crate::value::Value;

/// Slots that a tree keeps for an entry: its nodes are half full at worst.
const TREE_SLOTS_PER_ENTRY: usize = 2;

/// The level of extents that are as large as they should be, or as they ever will: compaction leaves them alone.
pub const LEVEL_FINAL: u8 = 2;

/// One byte range of one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectRange {
    /// Key of the object below the store's prefix.
    pub key: String,
    /// First byte of the extent.
    pub offset: u64,
    /// Bytes of the extent.
    pub length: u64,
}

/// The statistics of one column over one extent, with the type it was written with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnBounds {
    /// The type the extent stores.
    #[serde(rename = "type")]
    pub ty: Type,
    /// Its statistics.
    #[serde(flatten)]
    pub stats: ColumnStats,
}

/// An extent that is not yet in the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewExtent {
    /// Chosen by the writer.
    pub id: ExtentId,
    /// Database of the table.
    pub database: DatabaseId,
    /// The table whose rows it holds.
    pub table: TableId,
    /// Name of the `SegmentFormat`.
    pub format: String,
    /// Where its bytes are.
    pub location: ObjectRange,
    /// Bytes of the footer at the end of the range: opening takes one exact read.
    pub footer_length: u32,
    /// Rows.
    pub rows: u64,
    /// Blocks.
    pub blocks: u32,
    /// Bytes of the input that became these rows.
    pub raw_bytes: u64,
    /// Closed bounds of the event time; `i64::MIN..=i64::MAX` when some row has none.
    pub time: TimeRange,
    /// 0 as ingested; higher after compaction, at most [`LEVEL_FINAL`].
    pub level: u8,
    /// Column names the rows are sorted by.
    pub sorted_by: Vec<String>,
    /// Free marks.
    pub tags: Vec<String>,
    /// Dynamic paths that occur, as `column.key.key`; `None` when there were too many to list.
    pub paths: Option<Vec<String>>,
    /// Columns that occur, with bounds where they are worth it.
    pub columns: BTreeMap<String, ColumnBounds>,
}

/// An extent as the catalog knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extent {
    /// What the writer said.
    #[serde(flatten)]
    pub new: NewExtent,
    /// The commit that added it.
    pub added: Sequence,
    /// The commit that removed it, if one did.
    pub removed: Option<Sequence>,
}

impl Extent {
    /// The first and the last of the commits that its rows came with: its own, unless it took over the rows of others.
    pub fn commits(&self) -> (Sequence, Sequence) {
        let bounds = self.columns.get(SEQUENCE_COLUMN).map(|bounds| (&bounds.stats.min, &bounds.stats.max));
        match bounds {
            Some((Some(Value::Long(first)), Some(Value::Long(last)))) => (Sequence(*first), Sequence(*last)),
            _ => (self.added, self.added),
        }
    }

    /// Roughly the bytes of memory it takes.
    pub fn memory_bytes(&self) -> usize {
        let texts = |texts: &[String]| texts.iter().map(|text| size_of::<String>() + text.len()).sum::<usize>();
        let value = |value: &Option<Value>| match value {
            Some(Value::String(text) | Value::Dynamic(text)) => text.len(),
            _ => 0,
        };
        let column = |(name, bounds): (&String, &ColumnBounds)| {
            let heap = name.len() + value(&bounds.stats.min) + value(&bounds.stats.max) + value(&bounds.stats.sum);
            (size_of::<String>() + size_of::<ColumnBounds>()) * TREE_SLOTS_PER_ENTRY + heap
        };
        size_of::<Extent>()
            + self.format.len()
            + self.location.key.len()
            + texts(&self.sorted_by)
            + texts(&self.tags)
            + self.paths.as_deref().map_or(0, texts)
            + self.columns.iter().map(column).sum::<usize>()
    }
}

impl std::ops::Deref for Extent {
    type Target = NewExtent;

    fn deref(&self) -> &NewExtent {
        &self.new
    }
}

/// Catalog-level statistics of one extent, read with a table's schema.
#[derive(Debug)]
pub struct ExtentStats<'a> {
    /// The extent.
    pub extent: &'a NewExtent,
    /// The schema the query reads with.
    pub schema: &'a Schema,
    /// Name of the event-time column.
    pub time_column: &'a str,
    /// Whether null strings read as `""`.
    pub null_strings_are_empty: bool,
}

impl StatsSource for ExtentStats<'_> {
    fn stats(&self, column: &ColumnRef) -> Option<ColumnStats> {
        let rows = self.extent.rows;
        if !column.path.is_empty() {
            let paths = self.extent.paths.as_ref()?;
            let wanted = column.to_string();
            let below =
                |path: &String| *path == wanted || (path.starts_with(&wanted) && path[wanted.len()..].starts_with('.'));
            return (!paths.iter().any(below)).then(|| ColumnStats::all_null(rows));
        }
        let to = self.schema.column(&column.column)?.ty;
        match self.extent.columns.get(&column.column) {
            Some(bounds) => Some(bounds.stats.promoted(bounds.ty, to)),
            None => Some(ColumnStats::all_null(rows)),
        }
    }

    fn is_time(&self, column: &ColumnRef) -> bool {
        column.path.is_empty() && column.column == self.time_column
    }

    fn null_strings_are_empty(&self) -> bool {
        self.null_strings_are_empty
    }

    fn column_type(&self, column: &ColumnRef) -> Option<Type> {
        if column.path.is_empty() { self.schema.column(&column.column).map(|column| column.ty) } else { None }
    }
}
