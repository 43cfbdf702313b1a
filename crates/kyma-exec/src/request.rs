//! What is asked and what is answered.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use arrow::array::RecordBatch;
use futures::stream::BoxStream;
use kyma_core::profile::Profile;
use kyma_core::{Error, Schema, Value, limits};
use kyma_plan::{Diagnostic, Diagnostics, Visualization};

/// What an answer may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most rows, over all tables; `None` is any number.
    pub rows: Option<usize>,
    /// Most bytes in memory; `None` is any number.
    pub bytes: Option<usize>,
    /// Longest time from text to last row.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            rows: Some(limits::RESULT_ROWS_MAX),
            bytes: Some(limits::RESULT_BYTES_MAX),
            timeout: Duration::from_secs(240),
        }
    }
}

/// Bounds of a datetime column, in nanoseconds, both inclusive. Tables without the column are not bounded; nor are the
/// tables of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeScope {
    /// The column; each table's event time where none is named.
    pub column: Option<String>,
    /// Earliest time.
    pub from: i64,
    /// Latest time.
    pub to: i64,
}

/// What a query reads instead of what is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The request's database as of this sequence; other databases, whose sequences are their own, as they are now.
    Sequence(i64),
    /// Every database as of the start of the second of this time, in nanoseconds.
    Time(i64),
}

impl AsOf {
    /// A sequence, as a number, or a datetime.
    ///
    /// # Errors
    /// `Invalid` with code `query.as_of_invalid` for anything else.
    pub fn parse(text: &str) -> Result<AsOf, Error> {
        let text = text.trim();
        if let Ok(sequence) = text.parse() {
            return AsOf::sequence(sequence);
        }
        let inner = text.strip_prefix("datetime(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
        let time = kyma_core::time::parse_datetime(inner).map(AsOf::Time);
        time.ok_or_else(|| as_of_invalid(text))
    }

    /// The value of an option.
    ///
    /// # Errors
    /// As [`AsOf::parse`].
    pub fn of_value(value: &Value) -> Result<AsOf, Error> {
        match value {
            Value::Int(sequence) => AsOf::sequence(i64::from(*sequence)),
            Value::Long(sequence) => AsOf::sequence(*sequence),
            Value::Datetime(time) => Ok(AsOf::Time(*time)),
            Value::String(text) => AsOf::parse(text),
            other => Err(as_of_invalid(&format!("{other:?}"))),
        }
    }

    fn sequence(sequence: i64) -> Result<AsOf, Error> {
        if sequence >= 0 { Ok(AsOf::Sequence(sequence)) } else { Err(as_of_invalid(&sequence.to_string())) }
    }
}

fn as_of_invalid(text: &str) -> Error {
    let message = format!("as_of is neither a sequence nor a datetime: as_of={text}");
    Error::invalid("query.as_of_invalid", message).hint("write a number, or a datetime like 2026-11-27T04:00:00Z")
}

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryRequest {
    /// Its text.
    pub text: String,
    /// Name of its language: `kql` or `sql`.
    pub language: String,
    /// The database that unqualified names are looked up in.
    pub database: String,
    /// Values of declared parameters.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Its `now()`; the engine's clock when absent.
    pub now: Option<i64>,
    /// The rows that it may see.
    pub time_scope: Option<TimeScope>,
    /// What it reads instead of what is there now. What the text itself sets by `set query_as_of` counts before this.
    pub as_of: Option<AsOf>,
    /// What it may cost.
    pub limits: Limits,
    /// Cut a result that is too large, with a warning, instead of failing.
    pub truncate: bool,
}

impl QueryRequest {
    /// A query with default limits.
    pub fn new(language: &str, database: &str, text: impl Into<String>) -> Self {
        QueryRequest {
            text: text.into(),
            language: language.to_owned(),
            database: database.to_owned(),
            parameters: BTreeMap::new(),
            now: None,
            time_scope: None,
            as_of: None,
            limits: Limits::default(),
            truncate: false,
        }
    }
}

/// One table of an answer.
#[derive(Debug, Clone)]
pub struct ResultTable {
    /// Its name, when the query gave one.
    pub name: Option<String>,
    /// Its columns.
    pub schema: Schema,
    /// Its rows; every batch has the Arrow schema of `schema`.
    pub batches: Vec<RecordBatch>,
    /// How to draw it.
    pub visualization: Option<Visualization>,
}

impl ResultTable {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// One per statement.
    pub tables: Vec<ResultTable>,
    /// What it cost.
    pub profile: Profile,
    /// Remarks.
    pub warnings: Vec<Diagnostic>,
}

/// The first table of an answer while it is made. Dropping it stops the query.
pub struct AnswerStream {
    /// Its columns.
    pub schema: Schema,
    /// How to draw it.
    pub visualization: Option<Visualization>,
    /// Remarks.
    pub warnings: Vec<Diagnostic>,
    /// Its rows; ends after the first error.
    pub batches: BoxStream<'static, Result<RecordBatch, QueryError>>,
    /// What it has cost so far; final after the last batch.
    pub profile: Box<dyn Fn() -> Profile + Send + Sync>,
}

impl fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is wrong; where and why.
    #[error("{0}")]
    Invalid(Diagnostics),
    /// It could not run.
    #[error("{0}")]
    Failed(#[source] Error),
}

impl From<Error> for QueryError {
    fn from(error: Error) -> Self {
        QueryError::Failed(error)
    }
}

impl From<Diagnostics> for QueryError {
    fn from(diagnostics: Diagnostics) -> Self {
        QueryError::Invalid(diagnostics)
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Invalid(diagnostics) => diagnostics.into(),
            QueryError::Failed(error) => error,
        }
    }
}
