//! Columns that no extent stores: what the catalog knows, one value for all rows of an extent, and where a row is in it.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, StringViewArray, TimestampNanosecondArray};
use arrow::buffer::BooleanBuffer;
use kyma_core::extent::NewExtent;
use kyma_core::format::ReadColumn;
use kyma_core::ids::ExtentId;
use kyma_core::predicate::{ColumnRef, Predicate};
use kyma_core::prune::{StatsSource, evaluate};
use kyma_core::stats::ColumnStats;
use kyma_core::{Error, Result, Value};

use crate::scan::columns::with_filled;
use crate::scan::footers::Opened;

/// Begins the name of such a column; no name of a stored column starts so.
const MARK: char = '\u{1}';
const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// What the catalog knows of an extent.
#[derive(Debug, Clone)]
pub struct ExtentFacts {
    id: ExtentId,
    tags: Arc<[String]>,
}

/// One of these columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// When the extent was made: ids are ordered by time, to the millisecond.
    IngestionTime,
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
            "extent_id" => Some(Fact::Id),
            "extent_tags" => Some(Fact::Tags),
            "extent_row" => Some(Fact::Row),
            _ => None,
        }
    }

    /// The name of the column of a function's fact.
    pub fn column_name(function: &str) -> String {
        format!("{MARK}{function}")
    }

    /// The fact that a column of a scan is.
    pub fn of(column: &ReadColumn) -> Option<Fact> {
        Fact::named(column.source.column.strip_prefix(MARK)?)
    }

    /// Of so many rows, all of one block, whose places are asked for when they are wanted.
    fn array(self, facts: &ExtentFacts, rows: usize, places: impl FnOnce() -> Int64Array) -> Result<ArrayRef> {
        Ok(match self {
            Fact::Row => Arc::new(places()),
            Fact::IngestionTime => {
                let nanos = made_at(facts.id);
                Arc::new(TimestampNanosecondArray::from_iter(std::iter::repeat_n(nanos, rows)))
            }
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

/// The facts of an extent as statistics: one value for all of its rows.
#[derive(Debug)]
pub struct FactStats<'a> {
    extent: &'a NewExtent,
}

impl<'a> FactStats<'a> {
    /// Of an extent.
    pub fn new(extent: &'a NewExtent) -> Self {
        FactStats { extent }
    }

    /// Whether a filter is certainly true of no row.
    pub fn excludes(&self, filter: &Predicate) -> bool {
        evaluate(filter, self).is_none()
    }
}

impl StatsSource for FactStats<'_> {
    fn stats(&self, column: &ColumnRef) -> Option<ColumnStats> {
        let value = match Fact::named(column.column.strip_prefix(MARK)?)? {
            Fact::IngestionTime => Value::Datetime(made_at(self.extent.id)?),
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
    pub fn of(extent: &NewExtent) -> Self {
        ExtentFacts { id: extent.id, tags: extent.tags.as_slice().into() }
    }
}

/// When an extent was made, in nanoseconds since the epoch.
fn made_at(id: ExtentId) -> Option<i64> {
    let (seconds, nanos) = id.0.get_timestamp()?.to_unix();
    i64::try_from(i128::from(seconds) * NANOS_PER_SECOND + i128::from(nanos)).ok()
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
        let stored: Vec<ReadColumn> = wanted.iter().filter(|column| Fact::of(column).is_none()).cloned().collect();
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
        let column = |column: &ReadColumn| match Fact::of(column) {
            Some(fact) => fact.array(&self.facts, rows, || self.places(block, rows, selection)),
            None => read.next().ok_or_else(|| Error::internal("a format gave too few columns")),
        };
        wanted.iter().map(column).collect()
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
