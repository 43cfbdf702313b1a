//! What the catalog gives so that it can be made again from the bucket, takes when it is, and says of its own order.
//!
//! Not part of [`super::Catalog`]: nodes that answer queries and take writes do not need it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Database, IngestionMapping, Policy, Receipt, StoredFunction, Table, TableTexts, TableTotals};
use crate::error::Result;
use crate::extent::Extent;
use crate::ids::{DatabaseId, ExtentId, Sequence, TableId};

/// Which catalog this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogIdentity {
    /// Its identity: new with every catalog, also with one that is made again.
    pub id: Uuid,
    /// The catalog whose journal it was made again from.
    pub rebuilt_from: Option<Uuid>,
}

/// How far a database is written down in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalMark {
    /// Number of the last entry; 0 before the first.
    pub revision: i64,
    /// The sequence up to which it goes.
    pub sequence: Sequence,
    /// The version of the definitions in it.
    pub definitions_version: i64,
    /// Number of the last entry that is complete in itself; 0 when there is none.
    pub full_revision: i64,
}

/// A database, and how far it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalState {
    /// The database.
    pub database: Database,
    /// Its latest sequence.
    pub sequence: Sequence,
    /// Rises whenever a table, function, mapping, policy or text of it changes.
    pub definitions_version: i64,
    /// What is in the bucket.
    pub mark: JournalMark,
}

/// A table with what people said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDefinition {
    /// The table.
    pub table: Table,
    /// Its texts, if it has any.
    pub texts: Option<TableTexts>,
    /// Its mappings, by name.
    pub mappings: Vec<IngestionMapping>,
}

/// All of a database but its extents and receipts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseDefinition {
    /// The database.
    pub database: Database,
    /// Its latest sequence.
    pub sequence: Sequence,
    /// As in [`JournalState`].
    pub definitions_version: i64,
    /// Extents that were removed at or before this sequence may be forgotten.
    pub forgotten: Sequence,
    /// The highest identity that a table of any database had so far: no later table has it or a lower one.
    pub tables_max: TableId,
    /// Tables that are not dropped, by identity.
    pub tables: Vec<TableDefinition>,
    /// Functions, by name.
    pub functions: Vec<StoredFunction>,
    /// Policies of the database and of its tables.
    pub policies: Vec<Policy>,
}

/// A page of a database's extents, in order of `added`, then id, table by table.
#[derive(Debug, Clone, Copy)]
pub struct ExtentPage {
    /// Of this database.
    pub database: DatabaseId,
    /// Added at or before this sequence.
    pub to: Sequence,
    /// After this one; from the first when `None`.
    pub after: Option<(TableId, Sequence, ExtentId)>,
    /// At most so many.
    pub limit: usize,
}

/// A page of a database's receipts, in order of sequence, then key.
#[derive(Debug, Clone)]
pub struct ReceiptPage {
    /// Of this database.
    pub database: DatabaseId,
    /// After this sequence and key,
    pub after: (Sequence, String),
    /// up to this sequence.
    pub to: Sequence,
    /// At most so many.
    pub limit: usize,
}

/// A receipt with its sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberedReceipt {
    /// The receipt.
    #[serde(flatten)]
    pub receipt: Receipt,
    /// The commit that added it.
    pub sequence: Sequence,
}

/// What a catalog says of its own order, one database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Tables whose totals are not the sums over their visible extents: what is kept, what is counted.
    pub totals: BTreeMap<TableId, (TableTotals, TableTotals)>,
    /// Extents that were added, or removed, by a commit that there never was, or removed before they were added.
    pub misplaced: Vec<ExtentId>,
    /// Keys of receipts of commits that there never were.
    pub receipts: Vec<String>,
}

/// What the catalog knows of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectState {
    /// A writer may yet register it.
    Reserved,
    /// It holds extents.
    Registered,
    /// It may be deleted.
    Doomed,
}

/// Export, import and audit.
///
/// 1. What is exported with sequence *s* holds every commit up to *s*.
/// 2. A mark only moves forward, from the one that the caller knew.
/// 3. An import keeps identities and sequences, and is all or nothing: a catalog is empty until [`Import::finish`] returns, and
///    stays so when the import is dropped.
#[async_trait]
pub trait Recovery: Send + Sync {
    /// Which catalog this is.
    async fn identity(&self) -> Result<CatalogIdentity>;

    /// How far each database is written down, by identity; one statement.
    async fn journal_states(&self) -> Result<Vec<JournalState>>;

    /// Moves the mark of a database, if its revision is still `from`; whether it did.
    async fn advance_journal(&self, database: DatabaseId, from: i64, to: &JournalMark) -> Result<bool>;

    /// The definition of a database, all of one moment.
    async fn definition(&self, database: DatabaseId) -> Result<DatabaseDefinition>;

    /// A page of the extents that have a row, also of dropped tables; removed ones say so.
    async fn extent_page(&self, page: &ExtentPage) -> Result<Vec<Extent>>;

    /// A page of the receipts that are still remembered.
    async fn receipt_page(&self, page: &ReceiptPage) -> Result<Vec<NumberedReceipt>>;

    /// Begins to fill a catalog that must be empty: `Conflict` with code `catalog.not_empty` otherwise.
    async fn begin_import(&self, rebuilt_from: Option<Uuid>) -> Result<Box<dyn Import>>;

    /// Looks for disorder in a database; at most `limit` of each kind.
    async fn audit(&self, database: DatabaseId, limit: usize) -> Result<Audit>;

    /// Makes the totals of a database's tables the sums over their visible extents; of how many tables they were not.
    async fn repair_totals(&self, database: DatabaseId) -> Result<u64>;

    /// What is known of objects; unknown ones have no entry.
    async fn object_states(&self, keys: &[String]) -> Result<BTreeMap<String, ObjectState>>;

    /// Objects that should be deleted since longer than `age` and still are not forgotten.
    async fn overdue(&self, age: Duration, limit: usize) -> Result<Vec<String>>;
}

/// An import under way.
#[async_trait]
pub trait Import: Send {
    /// Adds a database with its tables and all that is said of them. Its sequence is the definition's.
    async fn database(&mut self, definition: &DatabaseDefinition) -> Result<()>;

    /// Adds extents of tables that were added, all of them visible; their objects are registered.
    async fn extents(&mut self, extents: &[Extent]) -> Result<()>;

    /// Adds receipts.
    async fn receipts(&mut self, receipts: &[NumberedReceipt]) -> Result<()>;

    /// Makes all of it visible. Later databases and tables get identities above these.
    async fn finish(self: Box<Self>, databases_max: DatabaseId, tables_max: TableId) -> Result<()>;
}
