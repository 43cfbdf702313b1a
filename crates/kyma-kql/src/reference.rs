//! What the language has, by name: from the tables that binding uses come `docs/kql.md`, completion, and the ledger of what is
//! and is not there.
//!
//! Nothing here is written twice: scalar functions, aggregates and window functions stand in `kyma_plan::functions`, plugins
//! in `bind/plugin`; only operators, and functions that are part of something else, are told here.

mod markdown;
mod operators;
mod special;

use crate::bind::plugin;
use kyma_plan::functions::{self, Class, Function, Nulls, Returns};
use serde::Serialize;

pub use markdown::markdown;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A tabular operator, or what starts a query.
    Operator,
    /// A function of the values of one row.
    Scalar,
    /// A function of the values of many rows.
    Aggregate,
    /// A function of the rows around, in their order.
    Window,
    /// What `evaluate` calls.
    Plugin,
}

/// One thing of the language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: &'static str,
    /// Its other names.
    pub aliases: &'static [&'static str],
    /// How it is written.
    pub syntax: String,
    /// The type of the result, where it has one.
    pub returns: Option<String>,
    /// What it does with nulls, where that can be said.
    pub nulls: Option<&'static str>,
    /// One sentence.
    pub doc: &'static str,
    /// A query that shows it.
    pub example: &'static str,
}

/// What stands in a table of this crate.
pub(crate) struct Told {
    pub(crate) name: &'static str,
    pub(crate) syntax: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) example: &'static str,
}

impl Told {
    fn entry(&self, kind: Kind) -> Entry {
        Entry {
            kind,
            name: self.name,
            aliases: &[],
            syntax: self.syntax.to_owned(),
            returns: None,
            nulls: None,
            doc: self.doc,
            example: self.example,
        }
    }
}

/// Everything, by kind and name.
pub fn entries() -> Vec<Entry> {
    let functions = |kind: Kind, all: &mut dyn Iterator<Item = &'static Function>| -> Vec<Entry> {
        all.map(|function| of_function(kind, function)).collect()
    };
    let mut entries: Vec<Entry> = operators::TABLE.iter().map(|told| told.entry(Kind::Operator)).collect();
    entries.extend(special::TABLE.iter().map(|told| told.entry(Kind::Scalar)));
    entries.extend(functions(Kind::Scalar, &mut functions::planned()));
    entries.extend(functions(Kind::Scalar, &mut functions::scalars()));
    entries.extend(functions(Kind::Aggregate, &mut functions::aggregates()));
    entries.extend(functions(Kind::Window, &mut functions::windows()));
    entries.extend(plugin::TABLE.iter().map(|info| {
        let plugin::PluginInfo { name, syntax, doc, example, .. } = *info;
        Told { name, syntax, doc, example }.entry(Kind::Plugin)
    }));
    entries.sort_by_key(|entry| (entry.kind, entry.name));
    entries
}

fn of_function(kind: Kind, function: &'static Function) -> Entry {
    let nulls = match (function.nulls, kind) {
        (Nulls::Own, _) => "sees them",
        (Nulls::Propagate, Kind::Aggregate) => "skips them",
        (Nulls::Propagate, _) => "null",
    };
    Entry {
        kind,
        name: function.name,
        aliases: function.aliases,
        syntax: syntax(function),
        returns: Some(returns(function)),
        nulls: Some(nulls),
        doc: function.doc,
        example: function.example,
    }
}

/// `name(string, long[, long])`; dots where the last argument repeats.
fn syntax(function: &Function) -> String {
    let shown_max = function.params.len().max(function.min_args).min(function.max_args);
    let class = |at: usize| function.params.get(at).or(function.params.last()).copied().unwrap_or(Class::Any);
    let mut text = format!("{}(", function.name);
    for at in 0..shown_max {
        if at == function.min_args {
            text.push('[');
        }
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(class_name(class(at)));
    }
    if function.max_args > shown_max {
        text.push_str(if shown_max == 0 { "..." } else { ", ..." });
    }
    if shown_max > function.min_args {
        text.push(']');
    }
    text.push(')');
    text
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Any => "any",
        Class::Text => "text",
        Class::String => "string",
        Class::Bool => "bool",
        Class::Integral => "int|long",
        Class::Long => "long",
        Class::Number => "number",
        Class::Real => "real",
        Class::Datetime => "datetime",
        Class::Timespan => "timespan",
        Class::Summable => "number|time",
        Class::Dynamic => "dynamic",
        Class::ToDynamic => "dynamic|any",
        Class::Guid => "guid",
    }
}

fn returns(function: &Function) -> String {
    match function.returns {
        Returns::Is(ty) => ty.name().to_owned(),
        Returns::Arg(at) => format!("as argument {}", at + 1),
        Returns::CommonFrom(_) | Returns::CommonValueFrom(_) | Returns::CommonOfCase => "the common type".to_owned(),
        Returns::Rule(_) => "by the arguments".to_owned(),
    }
}
