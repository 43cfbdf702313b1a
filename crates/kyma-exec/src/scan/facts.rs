//! Columns of a scan that no writer stores: what the catalog knows, one value for all rows of an extent, and where a row is in
//! it. An extent that took over the rows of several commits stores what differs from row to row, hidden, under the same names.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, StringViewArray, TimestampNanosecondArray};
use arrow::buffer::BooleanBuffer;
use kyma_core::extent::Extent;
use kyma_core::format::ReadColumn;
use kyma_core::ids::ExtentId;
use kyma_core::predicate::{ColumnRef, Predicate};
use kyma_core::prune::{StatsSource, evaluate};
use kyma_core::schema::HIDDEN_MARK;
use kyma_core::stats::ColumnStats;
use kyma_core::{Error, Result, Sequence, Value};

use crate::scan::columns::with_filled;
use crate::scan::footers::Opened;

/// The name of [`Fact::Commit`]: no function gives it, cursors compare with it.
const COMMIT: &str = "commit_sequence";

/// What the catalog knows of an extent.
#[derive(Debug, Clone)]
pub struct ExtentFacts {
    id: ExtentId,
    added: Sequence,
    tags: Arc<[String]>,
}

/// One of these columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// When the row's first extent was made, to the millisecond.
    IngestionTime,
    /// The commit that the row came with.
    Commit,
    /// Its id.
    Id,
    /// Its tags, an array.
    Tags,
    /// The row's place in the extent.
    Row,
}

impl Fact {
    /// The fact that a function without arguments gives.
    pub fn named(function: &str) -> Option<Fact> {
        match function {
            "ingestion_time" => Some(Fact::IngestionTime),
            COMMIT => Some(Fact::Commit),
            "extent_id" => Some(Fact::Id),
            "extent_tags" => Some(Fact::Tags),
            "extent_row" => Some(Fact::Row),
            _ => None,
        }
    }

    /// The name of the column of a function's fact.
    pub fn column_name(function: &str) -> String {
        format!("{HIDDEN_MARK}{function}")
    }

    /// The fact that a column of a scan is.
    pub fn of(column: &ReadColumn) -> Option<Fact> {
        Fact::named(column.source.column.strip_prefix(HIDDEN_MARK)?)
    }

    /// Of so many rows, all of one block, whose places are asked for when they are wanted.
    fn array(self, facts: &ExtentFacts, rows: usize, places: impl FnOnce() -> Int64Array) -> Result<ArrayRef> {
        Ok(match self {
            Fact::Row => Arc::new(places()),
            Fact::IngestionTime => {
                let nanos = facts.id.made_at();
                Arc::new(TimestampNanosecondArray::from_iter(std::iter::repeat_n(nanos, rows)))
            }
            Fact::Commit => Arc::new(Int64Array::from_value(facts.added.0, rows)),
            Fact::Id => {
                let ids = std::iter::repeat_n(Some(facts.id.0.as_bytes()), rows);
                Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 16)?)
            }
            Fact::Tags => {
                let tags = serde_json::to_string(&facts.tags)
                    .map_err(|error| Error::internal("tags are not JSON").because(error))?;
                Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(tags, rows)))
            }
        })
    }
}

/// The facts of an extent as statistics: one value for all of its rows, or the bounds of those that it stores.
#[derive(Debug)]
pub struct FactStats<'a> {
    extent: &'a Extent,
}

impl<'a> FactStats<'a> {
    /// Of an extent.
    pub fn new(extent: &'a Extent) -> Self {
        FactStats { extent }
    }

    /// Whether a filter is certainly true of no row.
    pub fn excludes(&self, filter: &Predicate) -> bool {
        evaluate(filter, self).is_none()
    }
}

impl StatsSource for FactStats<'_> {
    fn stats(&self, column: &ColumnRef) -> Option<ColumnStats> {
        if let Some(stored) = self.extent.columns.get(&column.column) {
            return Some(stored.stats.clone());
        }
        let value = match Fact::named(column.column.strip_prefix(HIDDEN_MARK)?)? {
            Fact::IngestionTime => Value::Datetime(self.extent.id.made_at()?),
            Fact::Commit => Value::Long(self.extent.added.0),
            Fact::Id => Value::Guid(self.extent.id.0.as_u128()),
            Fact::Tags | Fact::Row => return None,
        };
        let rows = self.extent.rows;
        let (min, max) = (Some(value.clone()), Some(value));
        Some(ColumnStats { min, max, exact: true, nulls: 0, rows, distinct: Some(1), sum: None })
    }
}

impl ExtentFacts {
    /// Of an extent.
    pub fn of(extent: &Extent) -> Self {
        ExtentFacts { id: extent.id, added: extent.added, tags: extent.tags.as_slice().into() }
    }
}

impl Opened {
    /// The `wanted` columns of a block, for the rows of `selection`; with `coded`, texts as codes where they are stored so.
    pub async fn read(
        &self,
        block: u32,
        wanted: &[ReadColumn],
        selection: Option<&BooleanBuffer>,
        coded: bool,
        fill: bool,
    ) -> Result<Vec<ArrayRef>> {
        let is_stored = |column: &&ReadColumn| self.constant(column).is_none();
        let stored: Vec<ReadColumn> = wanted.iter().filter(is_stored).cloned().collect();
        let mut read = Vec::new();
        if !stored.is_empty() {
            let batch = match coded {
                true => self.reader.read_coded(&*self.source, block, &stored, selection).await?,
                false => self.reader.read(&*self.source, block, &stored, selection).await?,
            };
            read = with_filled(&batch, &stored, fill);
        }
        if stored.len() == wanted.len() {
            return Ok(read);
        }
        let rows = match selection {
            Some(selection) => selection.count_set_bits(),
            None => self.reader.block_rows().get(block as usize).copied().unwrap_or_default() as usize,
        };
        let mut read = read.into_iter();
        let column = |column: &ReadColumn| match self.constant(column) {
            Some(fact) => fact.array(&self.facts, rows, || self.places(block, rows, selection)),
            None => read.next().ok_or_else(|| Error::internal("a format gave too few columns")),
        };
        wanted.iter().map(column).collect()
    }

    /// The fact that a column is, unless the extent stores it row by row.
    fn constant(&self, column: &ReadColumn) -> Option<Fact> {
        Fact::of(column).filter(|_| self.reader.schema().column(&column.source.column).is_none())
    }

    /// The places in the extent of a block's rows, all or those of `selection`.
    fn places(&self, block: u32, rows: usize, selection: Option<&BooleanBuffer>) -> Int64Array {
        let before: i64 = self.reader.block_rows().iter().take(block as usize).map(|rows| i64::from(*rows)).sum();
        match selection {
            Some(selection) => selection.set_indices().map(|row| before + row as i64).collect(),
            None => (0..rows as i64).map(|row| before + row).collect(),
        }
    }
}
