//! Table functions: operators whose rows depend on whole tables at once, and which only a kernel can say.
//!
//! An operator of this kind is a variant of [`TableFunction`] (or, for `evaluate name(...)`, a name of [`Plugin`]), what
//! binds it in a frontend, and a kernel in `kyma_functions::table`. The engine needs to know nothing of it: it computes the
//! inputs, within the query's memory, and hands them over.

use kyma_core::Value;

use crate::Expr;
use crate::graph::GraphQuery;

/// What a [`crate::Node::Table`] computes from its inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum TableFunction {
    /// `evaluate name(...)`.
    Plugin(Plugin),
    /// `make-graph` and the operators after it.
    Graph(Box<GraphQuery>),
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
        }
    }

    /// The expressions in it, which its kernel computes; those of its inputs are not among them.
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            TableFunction::Plugin(_) => Vec::new(),
            TableFunction::Graph(query) => query.exprs_mut(),
        }
    }
}
