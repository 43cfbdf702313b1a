//! Table functions: operators whose rows depend on whole tables at once, and which only a kernel can say.
//!
//! An operator of this kind is a variant of [`TableFunction`] (or, for `evaluate name(...)`, a name of [`Plugin`]), what
//! binds it in a frontend, and a kernel in `kyma_functions::table`. The engine needs to know nothing of it: it computes the
//! inputs, within the query's memory, and hands them over.

mod reduce;
mod scan;

use kyma_core::Value;

use crate::expr::Expr;
use crate::graph::GraphQuery;

pub use reduce::Reduce;
pub use scan::{Scan, ScanColumn, ScanStep, StepOutput};

/// What a [`crate::Node::Table`] computes from its inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum TableFunction {
    /// `evaluate name(...)`.
    Plugin(Plugin),
    /// `make-graph` and the operators after it.
    Graph(Box<GraphQuery>),
    /// `scan`.
    Scan(Box<Scan>),
    /// `reduce`.
    Reduce(Reduce),
}

/// A call of a plugin. The columns that it works on are its inputs', in the order that its kernel wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// Canonical name of the kernel.
    pub name: &'static str,
    /// Constants, in the kernel's order; what is not given is a null.
    pub args: Vec<Value>,
}

impl TableFunction {
    /// Its name in explanations and errors.
    pub fn name(&self) -> &'static str {
        match self {
            TableFunction::Plugin(plugin) => plugin.name,
            TableFunction::Graph(query) => query.name(),
            TableFunction::Scan(_) => "scan",
            TableFunction::Reduce(_) => "reduce",
        }
    }

    /// The expressions that the kernel computes while it runs. Sub-queries in them are put in before.
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            TableFunction::Plugin(_) | TableFunction::Reduce(_) => Vec::new(),
            TableFunction::Graph(query) => query.exprs_mut(),
            TableFunction::Scan(scan) => scan.exprs_mut(),
        }
    }
}
