//! The catalog: what exists, what is visible, what is to be done. One implementation, on PostgreSQL.
//!
//! Promises of every [`Catalog`], checked by the conformance suite in `kyma-testkit`:
//!
//! 1. **Snapshots.** Each commit takes the next sequence of each database it touches. An extent is visible at `s`
//!    when `added <= s` and it was not removed at or before `s`. What a pinned sequence shows never changes
//!    while its removed extents are within the grace period.
//! 2. **Commit is one transaction**: extents, receipts and the reservation's end, or nothing.
//! 3. **Fencing.** A commit whose reservation was revoked fails with `Conflict` (code `catalog.reservation_revoked`)
//!    and changes nothing. A revoked reservation never becomes valid again, so its object may be deleted.
//! 4. **Once.** Of any number of commits with the same (database, idempotency key) one succeeds; the others fail with
//!    `Conflict` (code `catalog.receipt_exists`) and change nothing.
//! 5. **Removals revalidate.** `replace` fails with `Conflict` unless every source is still visible.
//! 6. **Tasks.** A claim returns a fencing token; complete, fail and renew need the current one.
//! 7. **Holds.** What a snapshot shows that a node holds is not doomed while it does.
//!
//! Times are integer nanoseconds; ranges are closed.

mod definitions;
mod history;
mod recovery;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::extent::{Extent, NewExtent};
use crate::ids::{DatabaseId, ExtentId, NodeId, ReservationId, Sequence, TableId, TaskId};
use crate::predicate::ColumnRange;
use crate::schema::{Column, Schema};
use crate::time::TimeRange;

pub use definitions::{Definitions, IngestionMapping, Operation, Operations, Policy, StoredFunction, TableTexts};
pub use history::{DroppedTable, ExpiryQuery, GivenUp, History};
pub use recovery::{
    Audit, CatalogIdentity, DatabaseDefinition, ExtentPage, Import, JournalMark, JournalState, NumberedReceipt,
    ObjectState, ReceiptPage, Recovery, TableDefinition,
};

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its identity.
    pub id: DatabaseId,
    /// Its name.
    pub name: String,
}

/// A table and its schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its identity.
    pub id: TableId,
    /// Its database.
    pub database: DatabaseId,
    /// Its database's name.
    pub database_name: String,
    /// Its name, unique in the database.
    pub name: String,
    /// Its columns, in order of first appearance.
    pub schema: Schema,
    /// Rises whenever the schema or the format changes.
    pub schema_version: i64,
    /// Name of the event-time column: a `datetime` column of `schema`.
    pub time_column: String,
    /// Columns that rows are sorted by within an extent, before the event time.
    pub sort_key: Vec<String>,
    /// Name of the `SegmentFormat` for new extents.
    pub format: String,
    /// For how many seconds a write without a key is recognised by its content; 0 is not at all.
    pub deduplication_seconds: u32,
}

/// What a new table starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTable {
    /// Its first columns; must hold `time_column` as `datetime`.
    pub schema: Schema,
    /// Name of the event-time column.
    pub time_column: String,
    /// Columns to sort by before the event time.
    pub sort_key: Vec<String>,
    /// Name of the `SegmentFormat`.
    pub format: String,
}

/// Sums over the visible extents of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableTotals {
    /// Visible extents.
    pub extents: u64,
    /// Their rows.
    pub rows: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// The input bytes they came from.
    pub raw_bytes: u64,
}

/// Databases, tables and columns.
#[async_trait]
pub trait Tables: Send + Sync {
    /// Creates the database unless it exists, and returns it.
    async fn ensure_database(&self, name: &str) -> Result<Database>;

    /// The database `name`, if it exists.
    async fn database(&self, name: &str) -> Result<Option<Database>>;

    /// Every database, by name.
    async fn databases(&self) -> Result<Vec<Database>>;

    /// Creates the table unless it exists, and returns it as it is (which may differ from `new`).
    async fn ensure_table(&self, database: DatabaseId, name: &str, new: &NewTable) -> Result<Table>;

    /// The table `name`, if it exists.
    async fn table(&self, database: DatabaseId, name: &str) -> Result<Option<Table>>;

    /// The table with this identity, if it exists.
    async fn table_by_id(&self, table: TableId) -> Result<Option<Table>>;

    /// Every table of a database, by name.
    async fn tables(&self, database: DatabaseId) -> Result<Vec<Table>>;

    /// Adds columns and widens types, and returns the table as it then is. A column that exists keeps its type unless
    /// the given one is wider (`int` → `long` → `real`); columns beyond
    /// [`crate::limits::TABLE_COLUMNS_MAX`] are not added, but for [`crate::schema::UNMAPPED_COLUMN`], which always finds a
    /// place. Concurrent calls agree on one answer.
    async fn grow_table(&self, table: TableId, columns: &[Column]) -> Result<Table>;

    /// Sets the format of extents that are written from now on, and returns the table as it then is; extents that exist stay
    /// as they are. Writers may go on with the old format for as long as they remember tables.
    async fn set_format(&self, table: TableId, format: &str) -> Result<Table>;

    /// Sets for how many seconds writes are recognised by their content, and returns the table as it then is.
    async fn set_deduplication(&self, table: TableId, seconds: u32) -> Result<Table>;

    /// Replaces the columns of a table, and returns it as it then is. `Conflict` with code `catalog.schema_changed` when its
    /// schema version is not `version` any more. Extents know columns by name: while some are visible, a column may not
    /// go, and its type may only be widened (`Invalid`, code `catalog.columns_in_use`). The event-time column stays.
    async fn set_columns(&self, table: TableId, version: i64, columns: &[Column]) -> Result<Table>;

    /// Gives tables of a database new names, all or none; names may be swapped. `NotFound` for a name that is not there,
    /// `Conflict` with code `catalog.table_exists` for one that is taken. Extents stay with their table.
    async fn rename_tables(&self, database: DatabaseId, names: &[(String, String)]) -> Result<()>;

    /// Drops a table: no sequence from the next one on sees it, and its name is free at once. What earlier sequences see stays,
    /// and the drop can be undone, until it is given up ([`History`]).
    async fn drop_table(&self, table: TableId) -> Result<()>;

    /// Sums over what is visible at `at`. Costs as much as there were changes since.
    async fn totals(&self, table: TableId, at: Sequence) -> Result<TableTotals>;
}

/// The right to register one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Its identity.
    pub id: ReservationId,
    /// Key of the object it is for.
    pub object_key: String,
    /// Who asked.
    pub writer: NodeId,
}

/// What an idempotent request was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Database of the request.
    pub database: DatabaseId,
    /// The client's `Idempotency-Key`, or what stands for one.
    pub key: String,
    /// The answer, without its sequence.
    pub answer: serde_json::Value,
    /// For how many seconds it is remembered at least; a receipt that is older gives way. `None` when a key is never free
    /// again while its receipt is there.
    pub window_seconds: Option<u32>,
}

/// Everything that one flush adds, in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Ends with the commit; must not have been revoked. One object holds every extent of the commit.
    pub reservation: Option<Reservation>,
    /// New extents.
    pub extents: Vec<NewExtent>,
    /// Answers to remember.
    pub receipts: Vec<Receipt>,
}

/// What a commit took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The sequence of each database that the commit touched.
    pub sequences: BTreeMap<DatabaseId, Sequence>,
}

/// In which order extents are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExtentOrder {
    /// Latest `time.end` first.
    #[default]
    NewestFirst,
    /// Earliest `time.start` first.
    OldestFirst,
}

/// Which extents are wanted.
#[derive(Debug, Clone)]
pub struct ExtentQuery {
    /// Of this table.
    pub table: TableId,
    /// Visible at this sequence.
    pub at: Sequence,
    /// Whose time overlaps this closed range.
    pub time: TimeRange,
    /// In this order.
    pub order: ExtentOrder,
    /// Extents without a row in all of these may be left out; the catalog leaves out those that it can tell cheaply.
    pub ranges: Vec<ColumnRange>,
}

/// What a query pins of one database, all of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabasePin {
    /// The database.
    pub database: Database,
    /// Its latest sequence.
    pub sequence: Sequence,
    /// Rises whenever one of its tables is created, dropped, or changes its schema or format. Tables that are read after the
    /// pin are at least as new.
    pub schema_version: i64,
    /// Tables whose extents changed after the sequence that the caller knew; empty for a database it did not name.
    pub changed: Vec<TableChange>,
}

/// The latest change of a table's extents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableChange {
    /// The table.
    pub table: TableId,
    /// The latest commit that added or removed extents of it.
    pub sequence: Sequence,
    /// Its visible extents after that commit.
    pub extents: u64,
    /// Their rows.
    pub rows: u64,
}

/// Which changes of a table are wanted.
#[derive(Debug, Clone)]
pub struct ChangeQuery {
    /// Of this table.
    pub table: TableId,
    /// By commits later than this one,
    pub after: Sequence,
    /// up to this one.
    pub to: Sequence,
    /// To extents whose time overlaps this closed range.
    pub time: TimeRange,
    /// More than this many are not wanted.
    pub limit: usize,
}

/// Snapshots, extents and receipts.
#[async_trait]
pub trait Extents: Send + Sync {
    /// The latest sequence of a database: what a query pins.
    async fn pin(&self, database: DatabaseId) -> Result<Sequence>;

    /// Pins every database, by name, in one statement. `known` names those whose changed tables are wanted, each with the
    /// sequence up to which the caller knows them.
    async fn pins(&self, known: &BTreeMap<DatabaseId, Sequence>) -> Result<Vec<DatabasePin>>;

    /// The extents that were added or removed in `after..=to`, in no order. `None` when there are more than the limit, or when
    /// some that were removed since `after` may be forgotten already: list afresh.
    async fn changes(&self, query: &ChangeQuery) -> Result<Option<Vec<Extent>>>;

    /// Reserves an object key for `writer`. Must precede the put.
    async fn reserve(&self, writer: NodeId, object_key: &str) -> Result<Reservation>;

    /// Adds extents, receipts and the reservation's end in one transaction.
    ///
    /// An `Unavailable` error with code `catalog.commit_unknown` means that the outcome is not known: ask [`Extents::outcome`].
    async fn commit(&self, commit: &Commit) -> Result<Committed>;

    /// Whether the commit of this reservation took place: its sequences if so, `None` if it certainly did not and,
    /// because this call revoked the reservation, never will. `Conflict` with code `catalog.outcome_forgotten` when the object
    /// was collected meanwhile: it never was committed, or all of it was removed since and its grace period is over; nobody
    /// knows which, and nothing can be registered under it any more.
    async fn outcome(&self, reservation: &Reservation) -> Result<Option<Committed>>;

    /// The remembered answer to an idempotency key, with its sequence; with `window_seconds` only one that is not older.
    async fn receipt(
        &self,
        database: DatabaseId,
        key: &str,
        window_seconds: Option<u32>,
    ) -> Result<Option<(serde_json::Value, Sequence)>>;

    /// The remembered answers to keys that begin with `prefix`, by key. For the few keys of kyma's own work: it looks at
    /// every key of the database.
    async fn receipts(&self, database: DatabaseId, prefix: &str) -> Result<Vec<(String, serde_json::Value, Sequence)>>;

    /// Visible extents that overlap a time range, in order, streamed.
    fn list(&self, query: ExtentQuery) -> BoxStream<'static, Result<Extent>>;

    /// Removes `sources` and adds what `commit` says, in one transaction.
    async fn replace(&self, table: TableId, sources: &[ExtentId], commit: &Commit) -> Result<Committed>;
}

/// A table with extents that may still be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncompacted {
    /// The table.
    pub table: TableId,
    /// Its visible extents below the last level.
    pub extents: u64,
    /// The input bytes they came from.
    pub raw_bytes: u64,
}

/// What background work looks for among extents. An extent may still be merged while its level is below
/// [`LEVEL_FINAL`](crate::extent::LEVEL_FINAL).
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Tables that are there and have extents that may still be merged, those with the most first.
    async fn uncompacted_tables(&self, limit: usize) -> Result<Vec<Uncompacted>>;

    /// The visible extents of a table that may still be merged, in the order of their commits.
    async fn uncompacted(&self, table: TableId, limit: usize) -> Result<Vec<Extent>>;

    /// Those of `extents` that are visible extents of the table now, in the order of their commits.
    async fn still_visible(&self, table: TableId, extents: &[ExtentId]) -> Result<Vec<Extent>>;
}

/// An object that may be deleted, or whose row may be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoomedObject {
    /// Key of the object.
    pub key: String,
}

/// What may be deleted from the store. Order of use: doom in the catalog → delete the object → forget.
#[async_trait]
pub trait Garbage: Send + Sync {
    /// When this catalog came to be, in nanoseconds: an object that is older belongs to an earlier catalog of the same
    /// bucket, from which it can be rebuilt, and is nobody's garbage. `i64::MAX` when not known: nothing is swept.
    async fn created(&self) -> Result<i64> {
        Ok(i64::MAX)
    }

    /// Revokes reservations older than `age` that never committed; their objects are doomed.
    async fn revoke_stale(&self, age: Duration, limit: usize) -> Result<Vec<DoomedObject>>;

    /// Tells which snapshots a node's queries read: of each database the oldest. Until `time` from now, what is removed
    /// later than that stays. Replaces what the node told before; to be told well within the grace period.
    async fn hold(&self, node: NodeId, oldest: &BTreeMap<DatabaseId, Sequence>, time: Duration) -> Result<()>;

    /// Dooms objects whose every extent was removed longer than `grace` ago and before every snapshot that is held.
    async fn doom_removed(&self, grace: Duration, limit: usize) -> Result<Vec<DoomedObject>>;

    /// Of `keys` found in the store, dooms those that no row knows, and returns them.
    async fn doom_unknown(&self, keys: &[String]) -> Result<Vec<DoomedObject>>;

    /// Objects doomed earlier and not yet forgotten: a collector that died left them.
    async fn doomed(&self, limit: usize) -> Result<Vec<DoomedObject>>;

    /// Forgets a doomed object after it is confirmed gone, with the rows of its extents.
    async fn forget(&self, key: &str) -> Result<()>;
}

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its identity, new at every start.
    pub id: NodeId,
    /// What it does: `ingest`, `query`, `worker`.
    pub roles: Vec<String>,
    /// Where its HTTP port is.
    pub http_address: String,
    /// Where its gRPC port is.
    pub grpc_address: String,
    /// Its version.
    pub version: String,
    /// Its availability zone, or "".
    pub zone: String,
}

/// Who is there.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Adds or renews a node's row. The catalog's clock counts.
    async fn heartbeat(&self, node: &Node) -> Result<()>;

    /// Removes a node's row.
    async fn leave(&self, node: NodeId) -> Result<()>;

    /// Nodes heard from within `within`.
    async fn live(&self, within: Duration) -> Result<Vec<Node>>;
}

/// Work to enqueue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewTask {
    /// What kind of work, `garbage` for example.
    pub kind: String,
    /// At most one task of a kind and key is queued or running.
    pub dedup_key: String,
    /// The work's own parameters.
    pub payload: serde_json::Value,
    /// Higher first.
    pub priority: i32,
    /// Not before this many nanoseconds from now.
    pub delay: Duration,
    /// Attempts before the task is parked.
    pub attempts_max: i32,
}

/// A claimed task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimedTask {
    /// Its identity.
    pub id: TaskId,
    /// Its kind.
    pub kind: String,
    /// Its parameters.
    pub payload: serde_json::Value,
    /// The fencing token of this claim.
    pub token: i64,
    /// Which attempt this is, from 1.
    pub attempt: i32,
}

/// A task as people see it. Times are nanoseconds since the epoch by the catalog's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// Its identity.
    pub id: TaskId,
    /// Its kind.
    pub kind: String,
    /// At most one task of a kind and key is queued or running.
    pub dedup_key: String,
    /// Its parameters.
    pub payload: serde_json::Value,
    /// `queued`, `running`, `done` or `parked`.
    pub state: String,
    /// Higher first.
    pub priority: i32,
    /// Attempts so far.
    pub attempts: i32,
    /// Attempts before it is parked.
    pub attempts_max: i32,
    /// The node that claimed it last.
    pub node: Option<NodeId>,
    /// Not before this time.
    pub run_at: i64,
    /// When its state last changed.
    pub changed: i64,
    /// The last error.
    pub error: Option<String>,
}

/// How many tasks there are of a kind in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCount {
    /// The kind.
    pub kind: String,
    /// `queued`, `running` or `parked`.
    pub state: String,
    /// How many.
    pub tasks: u64,
}

/// The queue of background work, claimed with `FOR UPDATE SKIP LOCKED`.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Enqueues, unless one of the kind and key is queued or running; whether it did.
    async fn enqueue(&self, task: &NewTask) -> Result<bool>;

    /// Claims the next due task of one of `kinds` for `lease`, also one whose lease ran out.
    async fn claim(&self, node: NodeId, kinds: &[String], lease: Duration) -> Result<Option<ClaimedTask>>;

    /// Extends the lease. `Conflict` when the token is not current.
    async fn renew(&self, task: TaskId, token: i64, lease: Duration) -> Result<()>;

    /// Ends a task. `Conflict` when the token is not current.
    async fn complete(&self, task: TaskId, token: i64) -> Result<()>;

    /// Gives a task back with an error: retried with backoff, then parked. `Conflict` when the token is not current.
    async fn fail(&self, task: TaskId, token: i64, error: &str) -> Result<()>;

    /// Gives a task back untried, due at once: the attempt does not count. `Conflict` when the token is not current.
    async fn give_back(&self, task: TaskId, token: i64) -> Result<()>;

    /// The latest tasks, newest first.
    async fn recent(&self, limit: usize) -> Result<Vec<TaskStatus>>;

    /// The tasks of a kind that are queued or running, or parked since `parked_within`, newest first.
    async fn open_tasks(&self, kind: &str, parked_within: Duration, limit: usize) -> Result<Vec<TaskStatus>>;

    /// How many tasks are not done, by kind and state.
    async fn task_counts(&self) -> Result<Vec<TaskCount>>;

    /// Queues a parked task anew, with all its attempts, and gives it as it is then; `None` when it was not parked. `Conflict`
    /// with code `catalog.task_open` when one of its kind and key is queued or running.
    async fn unpark(&self, task: TaskId) -> Result<Option<TaskStatus>>;
}

/// The whole catalog.
#[async_trait]
pub trait Catalog:
    Tables + Extents + Upkeep + Garbage + Nodes + Tasks + Definitions + Operations + History + fmt::Debug
{
    /// Answers when the catalog does; the error says why it does not.
    async fn ping(&self) -> Result<()>;
}
