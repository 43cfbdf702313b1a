//! Management commands: what a language says about tables rather than rows.

use kyma_core::catalog::StoredFunction;
use kyma_core::{Column, Type};
use serde::{Deserialize, Serialize};

/// A management command. Names are as written; the database is the request's unless named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// `.show version`
    ShowVersion,
    /// `.show cluster`
    ShowCluster,
    /// `.show capacity`
    ShowCapacity,
    /// `.show principal`, `.show database principals` and their like
    ShowPrincipals {
        /// Whose roles are wanted, `database` for example; `principal` for who asks.
        of: String,
    },
    /// `.show databases`
    ShowDatabases,
    /// `.show database`, `.show database details`
    ShowDatabase {
        /// A database, or the request's.
        database: Option<String>,
    },
    /// `.show tables`, `.show tables (a, b)`
    ShowTables {
        /// These; all when empty.
        tables: Vec<String>,
    },
    /// `.show table T`: its columns.
    ShowTable {
        /// The table.
        table: String,
    },
    /// `.show tables details`, `.show tables (a, b) details`, `.show table T details`
    ShowTableDetails {
        /// These; all when empty.
        tables: Vec<String>,
    },
    /// `.show table T schema as json`
    ShowTableSchemaJson {
        /// The table.
        table: String,
    },
    /// `.show table T cslschema`
    ShowTableCslSchema {
        /// The table.
        table: String,
    },
    /// `.show database schema`, `.show schema`
    ShowSchema {
        /// These databases; all when empty.
        databases: Vec<String>,
        /// How it is written.
        form: SchemaForm,
    },
    /// `.show extents`, `.show table T extents`
    ShowExtents {
        /// One table, or all.
        table: Option<String>,
    },
    /// `.show table T patterns`
    ShowTablePatterns {
        /// The table.
        table: String,
    },
    /// `.show functions`, `.show function f`
    ShowFunctions {
        /// One function, or all.
        name: Option<String>,
    },
    /// `.show table T ingestion mappings`, `.show table T ingestion csv mapping "m"`
    ShowMappings {
        /// One table, or all.
        table: Option<String>,
        /// One kind, or all.
        kind: Option<String>,
        /// One mapping, or all.
        name: Option<String>,
    },
    /// `.show operations`, `.show operations id`
    ShowOperations {
        /// These; the latest when empty.
        ids: Vec<String>,
    },
    /// `.show tasks`
    ShowTasks,
    /// `.show queries`, `.show running queries`
    ShowQueries {
        /// Only those that run.
        running: bool,
    },
    /// `.show ingestion failures`
    ShowIngestionFailures,
    /// `.show table T policy retention`
    ShowPolicy {
        /// Whose policy.
        of: PolicyOwner,
        /// What kind; all when it is `*`.
        kind: String,
    },
    /// `.show materialized-views`, `.show external tables` and other things that there are none of
    ShowNone {
        /// What.
        what: String,
    },
    /// `.create database D`
    CreateDatabase {
        /// The database.
        name: String,
    },
    /// `.create table T (a:long, ...)`, `.create tables ...`, `.create-merge table T (...)`
    CreateTables {
        /// Names and columns.
        tables: Vec<(String, Vec<Column>)>,
        /// Whether columns are added to a table that exists.
        merge: bool,
        /// What is said about them.
        texts: Texts,
    },
    /// `.alter table T (a:long, ...)`, `.alter-merge table T (...)`
    AlterTable {
        /// The table.
        table: String,
        /// All its columns, or those that it must have.
        columns: Vec<Column>,
        /// Whether the other columns stay.
        merge: bool,
        /// What is said about it.
        texts: Texts,
    },
    /// `.alter table T docstring "..."`, `.alter table T folder "..."`
    AlterTableTexts {
        /// The table.
        table: String,
        /// What is said about it.
        texts: Texts,
    },
    /// `.alter table T column-docstrings (a: "...")`, `.alter-merge table T column-docstrings (...)`
    AlterColumnTexts {
        /// The table.
        table: String,
        /// Texts by column.
        texts: Vec<(String, String)>,
        /// Whether texts of other columns stay.
        merge: bool,
    },
    /// `.alter table T policy format "parquet"`
    AlterTableFormat {
        /// The table.
        table: String,
        /// Name of the format of its new extents.
        format: String,
    },
    /// `.alter column T.c type=long`
    AlterColumnType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type from now on.
        ty: Type,
    },
    /// `.rename table A to B`, `.rename tables A=B, C=D`
    RenameTables {
        /// Old and new names.
        names: Vec<(String, String)>,
    },
    /// `.rename column T.a to b`, `.rename columns b=T.a, ...`
    RenameColumns {
        /// The table.
        table: String,
        /// Old and new names.
        names: Vec<(String, String)>,
    },
    /// `.drop column T.c`, `.drop table T columns (a, b)`
    DropColumns {
        /// The table.
        table: String,
        /// The columns.
        columns: Vec<String>,
    },
    /// `.drop table T [ifexists]`, `.drop tables (a, b) [ifexists]`
    DropTables {
        /// The tables.
        tables: Vec<String>,
        /// Whether an absent table is fine.
        if_exists: bool,
    },
    /// `.undo drop table T [as New]`
    UndoDropTable {
        /// The table, by the name that it had.
        table: String,
        /// Its new name, if it gets another.
        name: Option<String>,
    },
    /// `.clear table T data`
    ClearTable {
        /// The table.
        table: String,
    },
    /// `.drop extent id`, `.drop extents (ids) from T`
    DropExtents {
        /// The extents.
        ids: Vec<String>,
        /// Their table; any when absent.
        table: Option<String>,
    },
    /// `.create function`, `.create-or-alter function`, `.alter function`
    PutFunction {
        /// The function; a folder or docstring that is not named stays as it is.
        function: StoredFunction,
        /// What may be there before.
        put: Put,
        /// What is said about it.
        texts: Texts,
        /// Whether its text must be right.
        validate: bool,
    },
    /// `.alter function f docstring "..."`, `.alter function f folder "..."`
    AlterFunctionTexts {
        /// The function.
        name: String,
        /// What is said about it.
        texts: Texts,
    },
    /// `.drop function f [ifexists]`, `.drop functions (f, g) [ifexists]`
    DropFunctions {
        /// The functions.
        names: Vec<String>,
        /// Whether an absent function is fine.
        if_exists: bool,
    },
    /// `.create table T ingestion csv mapping "m" '[...]'`
    PutMapping {
        /// The table.
        table: String,
        /// `csv` or `json`.
        kind: String,
        /// The mapping's name.
        name: String,
        /// Its columns.
        json: String,
        /// What may be there before.
        put: Put,
    },
    /// `.drop table T ingestion csv mapping "m"`
    DropMapping {
        /// The table.
        table: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// `.alter table T policy retention '{...}'`
    PutPolicy {
        /// Whose policy.
        of: PolicyOwner,
        /// What kind.
        kind: String,
        /// What it says: JSON, or words of the command's own.
        value: String,
        /// Whether what it does not say stays.
        merge: bool,
    },
    /// `.delete table T policy retention`
    DropPolicy {
        /// Whose policy.
        of: PolicyOwner,
        /// What kind.
        kind: String,
    },
    /// `.delete [async] table T records <| T | where ...`
    DeleteRecords {
        /// The table.
        table: String,
        /// Whether the answer comes before the end.
        is_async: bool,
        /// The rows that go: the table and nothing but conditions.
        query: String,
    },
    /// `.set`, `.append`, `.set-or-append`, `.set-or-replace`
    Store {
        /// The table.
        table: String,
        /// What becomes of rows that are there.
        mode: StoreMode,
        /// Whether the answer comes before the end.
        is_async: bool,
        /// What is said about a table that it creates.
        texts: Texts,
        /// The query whose rows are stored.
        query: String,
    },
    /// `.ingest inline into table T <| csv`
    IngestInline {
        /// The table.
        table: String,
        /// CSV rows without a header, in column order.
        data: String,
    },
    /// `.retry task 7`
    RetryTask {
        /// Its number.
        id: String,
    },
    /// `.cancel query "id"`
    CancelQuery {
        /// The client's request id.
        id: String,
    },
    /// A command and what follows it: `.show tables | where TableName has "x"`
    Piped {
        /// The command.
        command: Box<Command>,
        /// The rest, from its first `|`.
        pipeline: String,
    },
}

/// How a schema is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SchemaForm {
    /// A row per column.
    Rows,
    /// One JSON object of one database.
    Json,
    /// One JSON object of all databases.
    ClusterJson,
    /// A row per command that would make it.
    Script,
}

/// What is said about something; what is not said stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// The folder that tools show it in.
    pub folder: Option<String>,
    /// What it is for.
    pub docstring: Option<String>,
}

/// What may be there before something is kept under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Put {
    /// Nothing.
    Create,
    /// Something, which then stays as it is.
    CreateIfNotExists,
    /// Anything.
    CreateOrAlter,
    /// Something.
    Alter,
}

/// What becomes of the rows of a table that more are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreMode {
    /// The table must not be there.
    Set,
    /// The table must be there; its rows stay.
    Append,
    /// Rows stay.
    SetOrAppend,
    /// Rows go.
    SetOrReplace,
}

/// Whose policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyOwner {
    /// The whole cluster's.
    Cluster,
    /// A database's; the request's when not named.
    Database(Option<String>),
    /// A table's.
    Table(String),
    /// Of every table, to be shown.
    EveryTable,
}
