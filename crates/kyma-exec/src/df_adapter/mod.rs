//! The only place that knows DataFusion: our plan becomes its plan, our scan its source, our kernels its functions.
//!
//! Read in the order of a query: [`run`] (what the engine calls), [`narrow`] (columns that nobody uses), [`paths`] (dynamic paths become columns of the scan),
//! [`eager`] (sub-queries that must be known before), [`lower`] (plan by plan), [`expr`] (expression by expression),
//! [`table`] (a table's scan is planned and pruned), [`source`] (and run), [`grouped`] (aggregation joined to the scan), [`late`]
//! (columns read for few rows). [`extract`] turns filters back into predicates that
//! every pruner understands. Operators that DataFusion lacks are one file each below [`operators`]. What ran is written
//! down by [`watch`], what would run by [`explain`].

pub(crate) mod aggregate;
pub(crate) mod apply;
pub(crate) mod body;
pub(crate) mod bounds;
pub(crate) mod eager;
pub(crate) mod error;
pub(crate) mod explain;
pub(crate) mod expr;
pub(crate) mod extract;
pub(crate) mod filter;
pub(crate) mod grouped;
pub(crate) mod late;
pub(crate) mod literal;
pub(crate) mod lower;
pub(crate) mod memory;
pub(crate) mod narrow;
pub(crate) mod operators;
pub(crate) mod paths;
pub mod run;
pub(crate) mod scalar;
pub(crate) mod session;
pub(crate) mod source;
pub(crate) mod spans;
pub(crate) mod sql;
pub(crate) mod sql_functions;
pub(crate) mod statistics;
pub(crate) mod summarize;
pub(crate) mod table;
pub(crate) mod watch;
pub(crate) mod words;
