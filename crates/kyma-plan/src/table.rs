//! Table functions: operators whose rows depend on whole tables at once, and which only a kernel can say.
//!
//! An operator of this kind is a variant of [`TableFunction`] (or, for `evaluate name(...)`, a name of [`Plugin`]), what
//! binds it in a frontend, and a kernel in `kyma_functions::table`. The engine needs to know nothing of it: it computes the
//! inputs, within the query's memory, and hands them over.

use kyma_core::Value;

/// What a [`crate::Node::Table`] computes from its inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum TableFunction {
    /// `evaluate name(...)`.
    Plugin(Plugin),
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
        }
    }
}
