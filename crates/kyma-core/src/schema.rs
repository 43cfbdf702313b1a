//! Columns by name and type.

use std::sync::Arc;

use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::types::Type;

/// The bag that keeps values which did not fit their column.
pub const UNMAPPED_COLUMN: &str = "_unmapped";
/// The table that keeps rows which could not be decoded.
pub const REJECTED_TABLE: &str = "_rejected";
/// The event-time column of rows that carry no time of their own.
pub const INGESTION_TIME_COLUMN: &str = "_ingestion_time";

/// Begins the names of columns that no user sees or can name.
pub const HIDDEN_MARK: char = '\u{1}';
/// The commit of each row, in an extent that holds rows of several commits. Hidden.
pub const SEQUENCE_COLUMN: &str = "\u{1}commit_sequence";
/// When each row was ingested, in an extent that holds rows of several commits. Hidden.
pub const INGESTED_COLUMN: &str = "\u{1}ingestion_time";

/// Names under which the event time is looked for, most preferred first. Compared without case.
pub const TIME_COLUMN_NAMES: [&str; 9] =
    ["timestamp", "@timestamp", "time", "ts", "_time", "timegenerated", "datetime", "eventtime", "event_time"];

/// A named, typed column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// Case-sensitive name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Type,
}

impl Column {
    /// A column of `name` and `ty`.
    pub fn new(name: impl Into<String>, ty: Type) -> Self {
        Column { name: name.into(), ty }
    }
}

/// An ordered list of columns with distinct names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema {
    columns: Arc<Vec<Column>>,
}

impl Schema {
    /// A schema of `columns`, in this order.
    pub fn new(columns: Vec<Column>) -> Self {
        Schema { columns: Arc::new(columns) }
    }

    /// The columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The place of the column `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The column `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The Arrow schema with tagged, nullable fields.
    pub fn arrow(&self) -> SchemaRef {
        let fields: Vec<_> = self.columns.iter().map(|column| column.ty.field(&column.name)).collect();
        Arc::new(ArrowSchema::new(fields))
    }

    /// The schema of an Arrow schema, by tags where there are some.
    pub fn of_arrow(schema: &ArrowSchema) -> Self {
        schema.fields().iter().map(|field| Column::new(field.name(), Type::of_field(field))).collect()
    }
}

impl FromIterator<Column> for Schema {
    fn from_iter<I: IntoIterator<Item = Column>>(columns: I) -> Self {
        Schema::new(columns.into_iter().collect())
    }
}

impl<S: Into<String>, const N: usize> From<[(S, Type); N]> for Schema {
    fn from(columns: [(S, Type); N]) -> Self {
        columns.into_iter().map(|(name, ty)| Column::new(name, ty)).collect()
    }
}
