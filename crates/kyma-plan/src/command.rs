//! Management commands: what a language says about tables rather than rows.

use kyma_core::Column;
use serde::{Deserialize, Serialize};

/// A management command. Names are as written; the database is the request's unless named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// `.show version`
    ShowVersion,
    /// `.show cluster`
    ShowCluster,
    /// `.show databases`
    ShowDatabases,
    /// `.show tables`
    ShowTables,
    /// `.show tables details`, `.show table T details`
    ShowTableDetails {
        /// One table, or all.
        table: Option<String>,
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
    /// `.show database schema`
    ShowDatabaseSchema,
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
    /// `.create table T (a:long, ...)`, `.create-merge table T (...)`
    CreateTable {
        /// The table.
        table: String,
        /// Its columns.
        columns: Vec<Column>,
        /// Whether columns are added to a table that exists.
        merge: bool,
    },
    /// `.alter table T policy format "parquet"`
    AlterTableFormat {
        /// The table.
        table: String,
        /// Name of the format of its new extents.
        format: String,
    },
    /// `.drop table T [ifexists]`
    DropTable {
        /// The table.
        table: String,
        /// Whether an absent table is fine.
        if_exists: bool,
    },
    /// `.ingest inline into table T <| csv`
    IngestInline {
        /// The table.
        table: String,
        /// CSV rows without a header, in column order.
        data: String,
    },
}
