//! Table functions: operators whose rows depend on whole tables at once, and which only a kernel can say.
//!
//! An operator of this kind is a variant of [`TableFunction`] (or, for `evaluate name(...)`, a name of [`Plugin`]), what
//! binds it in a frontend, and a kernel in `kyma_functions::table`. The engine needs to know nothing of it: it computes the
//! inputs, within the query's memory, and hands them over.

mod reduce;
mod scan;

use kyma_core::Value;

use crate::expr::Expr;

pub use reduce::Reduce;
pub use scan::{Scan, ScanColumn, ScanStep, StepOutput};

/// What a [`crate::Node::Table`] computes from its inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum TableFunction {
    /// `evaluate name(...)`.
    Plugin(Plugin),
    /// `scan`.
    Scan(Box<Scan>),
    /// `reduce`.
    Reduce(Reduce),
}

/// A call of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// Canonical name.
    pub name: &'static str,
    /// Arguments, in the plugin's order; what is not given is a null of the parameter's type.
    pub args: Vec<PluginArg>,
}

/// An argument of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub enum PluginArg {
    /// A column of the first input. Expressions are columns that a projection below computes.
    Column(usize),
    /// A constant.
    Value(Value),
}

impl TableFunction {
    /// Its name in explanations and errors.
    pub fn name(&self) -> &'static str {
        match self {
            TableFunction::Plugin(plugin) => plugin.name,
            TableFunction::Scan(_) => "scan",
            TableFunction::Reduce(_) => "reduce",
        }
    }

    /// The expressions that the kernel computes while it runs. Sub-queries in them are put in before.
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            TableFunction::Plugin(_) | TableFunction::Reduce(_) => Vec::new(),
            TableFunction::Scan(scan) => scan.exprs_mut(),
        }
    }
}
