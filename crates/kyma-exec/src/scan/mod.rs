//! From extents to rows: the levels below the catalog.
//!
//! Every partition of a scan repeats, until the shared [`queue`] is empty or enough rows came out:
//!
//! 1. have the next extents opened, some ahead (newest first when the query wants the newest rows), unless a filter that
//!    tightened while the query ran excludes them by now;
//! 2. opening reads the footer ([`footers`]) and prunes the blocks by statistics and indexes; what only has to be counted, and
//!    is known to match, is taken from manifest, footer or statistics ([`Known`]);
//! 3. read the next candidate block of whichever open extent ([`block`]), a bounded number of them ahead: filter columns first,
//!    then the rest for the rows that passed ([`partition`]).
//!
//! Filters are evaluated on every row read: pruning is advice.

pub mod block;
pub mod columns;
pub mod facts;
pub mod footers;
mod gate;
pub mod io;
pub mod partition;
pub mod queue;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::SchemaRef;
use kyma_core::Result;
use kyma_core::extent::Extent;
use kyma_core::format::{ReadColumn, SegmentReader};
use kyma_core::predicate::Predicate;

use crate::prune::TableQuery;
use crate::scope::QueryScope;

/// A test of rows, over columns of a scan.
pub trait RowFilter: Send + Sync + fmt::Debug {
    /// Places, in [`ScanSpec::columns`], of the columns that `evaluate` wants, ascending.
    fn columns(&self) -> &[usize];

    /// Whether the columns may be codes of a dictionary ([`kyma_core::format::coded_type`]).
    fn takes_codes(&self) -> bool;

    /// Which rows of a batch of those columns meet it.
    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanBuffer>;

    /// What the filter is by now, when it changes while the query runs: its generation and a weakening of it.
    fn live(&self) -> Option<(u64, Predicate)>;
}

/// One of the conditions that rows must meet, all of them.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The test.
    pub filter: Arc<dyn RowFilter>,
    /// The test, weakened to what pruners understand.
    pub predicate: Predicate,
    /// Whether `predicate` says all that the test does: a row of which it is certainly true passes.
    pub is_exact: bool,
}

/// Where a row is, to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowPlace {
    /// The extent's place in the list of the scan.
    pub extent: usize,
    /// The block.
    pub block: u32,
    /// The row in it.
    pub row: u32,
}

impl RowPlace {
    /// Bits of a row's number, and of a block's.
    const BITS: u32 = 20;

    /// In one number.
    pub fn packed(self) -> u64 {
        (self.extent as u64) << (2 * Self::BITS) | u64::from(self.block) << Self::BITS | u64::from(self.row)
    }

    /// Out of one number.
    pub fn of(packed: u64) -> Self {
        let part = |shift: u32| (packed >> shift) as u32 & ((1 << Self::BITS) - 1);
        RowPlace { extent: (packed >> (2 * Self::BITS)) as usize, block: part(Self::BITS), row: part(0) }
    }
}

impl ScanSpec {
    /// What the conditions are by now, where some change while the query runs.
    pub fn live(&self) -> Option<(u64, Predicate)> {
        let moving: Vec<(u64, Predicate)> = self.conditions.iter().filter_map(|one| one.filter.live()).collect();
        let generation = moving.iter().map(|(generation, _)| generation).sum();
        (!moving.is_empty()).then(|| (generation, Predicate::and(moving.into_iter().map(|(_, predicate)| predicate))))
    }

    /// Whether every row of which the query's predicate is certainly true comes out.
    pub fn is_exact(&self) -> bool {
        self.conditions.iter().all(|condition| condition.is_exact)
    }
}

/// Takes rows by what is known of them, where a query wants no more than that. What is asked about matches the filter in
/// every row; what is taken is not read.
pub trait Known: Send + Sync + fmt::Debug {
    /// Takes a whole extent by its manifest.
    fn extent(&self, extent: &Extent) -> Result<bool>;

    /// Takes a whole extent by its footer.
    fn opened(&self, reader: &dyn SegmentReader) -> Result<bool>;

    /// Takes a block by its statistics.
    fn block(&self, reader: &dyn SegmentReader, block: u32) -> Result<bool>;
}

/// Memory of one partition, within the query's.
pub trait Budget: Send + Sync {
    /// Takes `bytes`, or fails with `query.memory_exhausted`.
    fn take(&self, bytes: usize) -> Result<()>;

    /// Gives `bytes` back.
    fn give(&self, bytes: usize);
}

/// One scan.
#[derive(Debug, Clone)]
pub struct ScanSpec {
    /// The query.
    pub scope: Arc<QueryScope>,
    /// The table, its snapshot and the static filter's weakening.
    pub query: TableQuery,
    /// Every column that may be read.
    pub columns: Vec<ReadColumn>,
    /// Places of those that come out.
    pub output: Vec<usize>,
    /// The Arrow schema of what comes out.
    pub schema: SchemaRef,
    /// What rows must meet.
    pub conditions: Vec<Condition>,
    /// Stop after this many rows, over all partitions.
    pub fetch: Option<usize>,
    /// Who takes rows that need not be read; they do not come out then.
    pub known: Option<Arc<dyn Known>>,
    /// Places in `output` of columns that come out as nulls; then each row's place ([`RowPlace`]) comes last.
    pub deferred: Vec<usize>,
    /// Strings may come out as codes of a dictionary ([`kyma_core::format::coded_type`]).
    pub coded: bool,
}
