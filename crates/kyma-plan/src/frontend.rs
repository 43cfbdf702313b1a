//! A language: text and schemas in, plan and diagnostics out.

use std::collections::BTreeMap;
use std::fmt;

pub use kyma_core::catalog::StoredFunction;
use kyma_core::ids::Sequence;
use kyma_core::{Column, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::node::Plan;

/// A table as a frontend sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// Its database's name.
    pub database: String,
    /// Its name.
    pub name: String,
    /// Its columns.
    pub schema: Schema,
    /// Name of its event-time column.
    pub time_column: String,
}

/// The tables there are, as of the query's snapshot.
pub trait SchemaSource: Send + Sync {
    /// The table `name` of `database`. Names compare with case.
    fn table(&self, database: &str, name: &str) -> Option<TableSchema>;

    /// Names of the tables of `database`, sorted.
    fn tables(&self, database: &str) -> Vec<String>;

    /// Names of the databases, sorted.
    fn databases(&self) -> Vec<String>;

    /// The commit of `database` up to which rows are read, where that is known.
    fn sequence(&self, _database: &str) -> Option<Sequence> {
        None
    }

    /// The stored function `name` of `database`. Names compare with case.
    fn function(&self, _database: &str, _name: &str) -> Option<StoredFunction> {
        None
    }

    /// Names of the stored functions of `database`, sorted.
    fn functions(&self, _database: &str) -> Vec<String> {
        Vec::new()
    }

    /// The rows of a table that is not stored: the result of a command that a query goes on with.
    fn rows(&self, _database: &str, _name: &str) -> Option<Vec<Vec<Value>>> {
        None
    }
}

/// A parameter of a stored function, as tools show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type; `None` of a table.
    pub ty: Option<Type>,
    /// The columns that a table must have.
    pub columns: Vec<Column>,
}

/// What a frontend may know beside the text.
pub struct PlanContext<'a> {
    /// The tables.
    pub schemas: &'a dyn SchemaSource,
    /// The database that unqualified names are looked up in.
    pub database: &'a str,
    /// The query's one `now()`, in nanoseconds.
    pub now: i64,
    /// Values of declared query parameters, as literals of the language or plain text.
    pub parameters: &'a BTreeMap<String, serde_json::Value>,
    /// The rows of the questions asked so far, in the order of asking ([`Planned::Asks`]).
    pub answers: &'a [Rows],
}

/// Rows of one value per column.
pub type Rows = Vec<Vec<Value>>;

/// What a frontend makes of a text.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // One per text.
pub enum Planned {
    /// The query.
    Query(Query),
    /// The query's columns depend on rows (`bag_unpack` without declared columns, `pivot`): this is to be run, and the text
    /// planned again with its rows as one more answer. Few rows, the same ones whenever it is run over one snapshot.
    Asks(Plan),
}

impl Planned {
    /// The query, where nothing is asked.
    pub fn query(self) -> Option<Query> {
        match self {
            Planned::Query(query) => Some(query),
            Planned::Asks(_) => None,
        }
    }
}

impl fmt::Debug for PlanContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanContext").field("database", &self.database).field("now", &self.now).finish_non_exhaustive()
    }
}

/// How a client should draw a result: `render timechart with (title="...")`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Visualization {
    /// `table`, `timechart`, `barchart`, ...
    pub kind: String,
    /// Properties by name, as JSON values.
    pub properties: BTreeMap<String, String>,
}

/// One tabular result of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Its name, when it has one (`as`).
    pub name: Option<String>,
    /// Its rows.
    pub plan: Plan,
    /// How to draw it.
    pub visualization: Option<Visualization>,
}

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// One per tabular statement.
    pub statements: Vec<Statement>,
    /// `set` statements: options by name.
    pub options: BTreeMap<String, Value>,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// A query language.
///
/// Promises: pure (same text and context, same plan, and the same questions in the same order); never panics or overflows the stack on any text; every error has a
/// span inside the text.
pub trait QueryFrontend: Send + Sync + fmt::Debug {
    /// The name clients ask for: `kql`, `sql`.
    fn language(&self) -> &'static str;

    /// Reads a text.
    fn plan(&self, text: &str, context: &PlanContext<'_>) -> Result<Planned, Diagnostics>;

    /// The options that a text sets to constants itself, as far as it can be read; what is wrong with it, planning says.
    fn options(&self, _text: &str, _context: &PlanContext<'_>) -> BTreeMap<String, Value> {
        BTreeMap::new()
    }

    /// Whether a function can be stored: its text is read and bound as far as that does not depend on its arguments.
    fn check_function(&self, _function: &StoredFunction, _context: &PlanContext<'_>) -> Result<(), Diagnostics> {
        Ok(())
    }

    /// What a stored function takes; `None` when its parameters cannot be read.
    fn parameters(&self, _function: &StoredFunction) -> Option<Vec<Parameter>> {
        None
    }

    /// What the language has, for completion: an array of objects with `name`, `kind`, `syntax`, `doc` and `example`.
    fn reference(&self) -> serde_json::Value {
        serde_json::Value::Array(Vec::new())
    }

    /// Reads a management command; `None` when the text is not one.
    fn command(&self, _text: &str) -> Option<Result<Command, Diagnostics>> {
        None
    }
}
