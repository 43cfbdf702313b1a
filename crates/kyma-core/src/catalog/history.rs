//! What was: old snapshots, dropped tables, rows past their time. All of it within the grace period of garbage collection.
//!
//! 1. **Old snapshots.** What a sequence shows stays complete until the first of its extents is doomed: [`History::oldest`]
//!    is the earliest sequence of which nothing is doomed, and rises only. Whoever reads an old sequence asks before, and
//!    again after having listed extents: what was listed is complete if the answer is still no later than the sequence.
//! 2. **Moments.** The sequence of a database at a time is that of its last commit in an earlier second. Asked for a
//!    time that has come, the answer never changes.
//! 3. **Drops.** A dropped table is seen by no sequence from the drop on, and by every earlier one as it was. Its extents are
//!    removed, as of the drop, when it is given up; until then the drop can be undone.
//! 4. **Undone drops** leave the gap: sequences between the drop and its undoing do not see the table.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Table;
use crate::error::Result;
use crate::extent::Extent;
use crate::ids::{DatabaseId, Sequence, TableId};

/// Which extents have had their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiryQuery {
    /// Of this table.
    pub table: TableId,
    /// What time it is for the caller. The catalog's clock counts where it is behind: a clock that ran ahead removes nothing.
    pub now: i64,
    /// Nanoseconds that rows are kept.
    pub period: i64,
    /// At most so many.
    pub limit: usize,
}

/// A table that was dropped and can come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedTable {
    /// The table as it was.
    pub table: Table,
    /// The first sequence that does not see it.
    pub dropped: Sequence,
    /// When it was dropped, in nanoseconds.
    pub dropped_at: i64,
}

/// What was given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Dropped tables whose extents were removed.
    pub tables: u64,
    /// These extents.
    pub extents: u64,
    /// Dropped tables that nothing is left of, whose rows were deleted.
    pub forgotten: u64,
}

/// Old snapshots, dropped tables, and rows past their time.
#[async_trait]
pub trait History: Send + Sync {
    /// Visible extents every row of which is older than the period, the oldest first. An extent in which some row has no
    /// event time is as old as the commit that added it.
    async fn expired(&self, query: &ExpiryQuery) -> Result<Vec<Extent>>;

    /// The sequence that a database had at the start of the second of `time`. `Invalid` with code
    /// `catalog.time_ahead` for a time that has not come, `NotFound` with code `catalog.time_forgotten` for one before what
    /// is remembered.
    async fn sequence_at(&self, database: DatabaseId, time: i64) -> Result<Sequence>;

    /// The earliest sequence of a database that is still complete.
    async fn oldest(&self, database: DatabaseId) -> Result<Sequence>;

    /// The tables that a sequence sees, by name; those that came later, too, unless they bear the name of one that it sees.
    async fn tables_at(&self, database: DatabaseId, at: Sequence) -> Result<Vec<Table>>;

    /// The tables of a database whose drop can be undone, the last drop first.
    async fn dropped_tables(&self, database: DatabaseId) -> Result<Vec<DroppedTable>>;

    /// Undoes a drop under a name: the table is back at the next sequence with what it had. `NotFound` with code
    /// `catalog.drop_final` when it was given up, `Conflict` with code `catalog.table_exists` when the name is taken.
    async fn undrop_table(&self, table: TableId, name: &str) -> Result<Table>;

    /// Gives up tables that were dropped longer than `grace` ago, as if their extents had been removed by the drop; deletes
    /// the rows of those that no extent is left of. At most `limit` tables of each.
    async fn give_up_dropped(&self, grace: Duration, limit: usize) -> Result<GivenUp>;

    /// Forgets what sequences were when, of times longer than `grace` ago; how many times.
    async fn forget_times(&self, grace: Duration) -> Result<u64>;
}
