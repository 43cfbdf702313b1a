//! What people define beside tables: ingestion mappings, stored functions, policies, texts. And what long commands came to.
//!
//! The catalog keeps these as they were written; what they mean is checked before, where it is known.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Result;
use crate::ids::{DatabaseId, NodeId, TableId};

/// How fields of a format become columns of a table. Its name is unique in the table, whatever its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestionMapping {
    /// The table.
    pub table: TableId,
    /// Its name.
    pub name: String,
    /// The format that it reads: `csv` or `json`.
    pub kind: String,
    /// The mapping, a JSON array of columns.
    pub json: String,
}

/// A function that is kept by name, as text of its language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFunction {
    /// Its name, unique in the database.
    pub name: String,
    /// Its parameters in brackets: `(a:long, T:(*))`.
    pub parameters: String,
    /// Its body in braces: `{ T | take a }`.
    pub body: String,
    /// The folder that tools show it in, or "".
    pub folder: String,
    /// What it is for, or "".
    pub docstring: String,
}

/// What people wrote about a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableTexts {
    /// The folder that tools show it in, or "".
    pub folder: String,
    /// What it is for, or "".
    pub docstring: String,
    /// What columns are for, by name; those without a text have no entry.
    pub columns: BTreeMap<String, String>,
}

/// A policy of a database, or of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The database.
    pub database: DatabaseId,
    /// The table; of the database itself when `None`.
    pub table: Option<TableId>,
    /// `retention`, `caching`, ...
    pub kind: String,
    /// What it says, a JSON object.
    pub json: String,
}

/// A command that runs after its answer was given, or ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its identity.
    pub id: Uuid,
    /// The database it runs in.
    pub database: String,
    /// What kind of command it is: `TableSetOrAppend`.
    pub kind: String,
    /// The node that runs it.
    pub node: NodeId,
    /// `InProgress`, `Completed` or `Failed`.
    pub state: String,
    /// The error of one that failed, or "".
    pub status: String,
    /// What it has come to so far, a JSON object, or "".
    pub details: String,
    /// When it began, in nanoseconds.
    pub started: i64,
    /// When its state last changed, in nanoseconds.
    pub changed: i64,
}

/// Definitions of users.
///
/// Functions and texts are part of what a query reads: a change of a function raises its database's schema version.
#[async_trait]
pub trait Definitions: Send + Sync {
    /// The mapping of a table with this name.
    async fn ingestion_mapping(&self, table: TableId, name: &str) -> Result<Option<IngestionMapping>>;

    /// A table's mappings, by name.
    async fn ingestion_mappings(&self, table: TableId) -> Result<Vec<IngestionMapping>>;

    /// Keeps a mapping. One of its name is replaced if `replace` and its kind is the same, else `Conflict` with code
    /// `catalog.mapping_exists`.
    async fn put_ingestion_mapping(&self, mapping: &IngestionMapping, replace: bool) -> Result<()>;

    /// Forgets a mapping; whether there was one.
    async fn drop_ingestion_mapping(&self, table: TableId, kind: &str, name: &str) -> Result<bool>;

    /// The functions of a database, by name.
    async fn functions(&self, database: DatabaseId) -> Result<Vec<StoredFunction>>;

    /// Keeps a function. One of its name is replaced if `replace`, else `Conflict` with code `catalog.function_exists`.
    async fn put_function(&self, database: DatabaseId, function: &StoredFunction, replace: bool) -> Result<()>;

    /// Forgets a function; whether there was one.
    async fn drop_function(&self, database: DatabaseId, name: &str) -> Result<bool>;

    /// The texts of a database's tables; those without any have no entry.
    async fn table_texts(&self, database: DatabaseId) -> Result<BTreeMap<TableId, TableTexts>>;

    /// Replaces the texts of a table.
    async fn put_table_texts(&self, table: TableId, texts: &TableTexts) -> Result<()>;

    /// The policies of a database and of its tables.
    async fn policies(&self, database: DatabaseId) -> Result<Vec<Policy>>;

    /// Keeps a policy instead of the one of its kind.
    async fn put_policy(&self, policy: &Policy) -> Result<()>;

    /// Forgets a policy; whether there was one.
    async fn drop_policy(&self, database: DatabaseId, table: Option<TableId>, kind: &str) -> Result<bool>;
}

/// What became of commands that answer before they end.
#[async_trait]
pub trait Operations: Send + Sync {
    /// Notes that an operation began; one that began already stays as it is. The catalog's clock counts.
    async fn begin_operation(&self, id: Uuid, database: &str, kind: &str, node: NodeId) -> Result<()>;

    /// Notes what a running operation has come to so far, and that `node` runs it now. `Conflict` when it has ended.
    async fn note_operation(&self, id: Uuid, node: NodeId, details: &str) -> Result<()>;

    /// Notes how it ended: with an error, or without.
    async fn end_operation(&self, id: Uuid, error: Option<&str>) -> Result<()>;

    /// One operation, or the latest ones, newest first.
    async fn operations(&self, id: Option<Uuid>, limit: usize) -> Result<Vec<Operation>>;
}
