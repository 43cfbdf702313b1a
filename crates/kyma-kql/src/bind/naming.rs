//! Names of columns that the query does not name, as Kusto gives them.

use std::collections::{HashMap, HashSet};

use kyma_core::{Schema, Value};
use kyma_plan::functions::{self, Naming};

use crate::ast::{Call, Expr, ExprKind, Name};

/// The name that an expression gives its column, if it gives one.
pub(super) fn name_of(expr: &Expr, schema: &Schema) -> Option<String> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name.clone()),
        ExprKind::Member(base, name) => match &base.kind {
            ExprKind::Name(side) if side.starts_with('$') => Some(name.text.clone()),
            _ => Some(format!("{}_{}", name_of(base, schema)?, name.text)),
        },
        ExprKind::Index(base, index) => {
            let index = match &index.kind {
                ExprKind::Literal(Value::String(key)) => key.clone(),
                ExprKind::Literal(Value::Long(at)) => at.to_string().replace('-', "_"),
                _ => return None,
            };
            match (name_of(base, schema), &base.kind) {
                (Some(base), _) => Some(format!("{base}_{index}")),
                (None, ExprKind::Call(_)) => Some(index),
                (None, _) => None,
            }
        }
        ExprKind::Call(call) => name_of_call(call, schema),
        _ => None,
    }
}

fn name_of_call(call: &Call, schema: &Schema) -> Option<String> {
    let first = call.args.first().map(|arg| &arg.value);
    let name = call.name.text.as_str();
    if let Some(named) = name_of_special(name, call, schema) {
        return named;
    }
    let naming = match (functions::aggregate(name), functions::scalar(name), functions::window(name)) {
        (Some(function), ..) => function.naming,
        (_, Some(function), _) | (.., Some(function)) => function.naming,
        _ => return None,
    };
    match naming {
        Naming::Numbered => None,
        Naming::FirstArgument => match call.args.first()?.names.first() {
            Some(given) => Some(given.text.clone()),
            None => name_of(first?, schema),
        },
        Naming::Fixed(name) => Some(name.to_owned()),
        Naming::Prefixed(prefix) => Some(prefixed(prefix, first, schema)),
    }
}

fn prefixed(prefix: &str, first: Option<&Expr>, schema: &Schema) -> String {
    let first = first.and_then(|first| name_of(first, schema)).unwrap_or_default();
    format!("{prefix}_{first}")
}

fn name_of_special(name: &str, call: &Call, schema: &Schema) -> Option<Option<String>> {
    let literal_at = |at: usize| match call.args.get(at).map(|arg| &arg.value.kind) {
        Some(ExprKind::Literal(Value::String(text))) => Some(text.clone()),
        Some(ExprKind::Literal(Value::Long(number))) => Some(number.to_string()),
        Some(ExprKind::Literal(Value::Real(number))) => Some(number.to_string().replace('.', "_")),
        _ => None,
    };
    let first = call.args.first().map(|arg| &arg.value);
    match name {
        "strlen" | "string_size" => Some(Some(prefixed(name, first, schema))),
        "gettype" => Some(Some(prefixed("type", first, schema))),
        "pow" | "exp10" => Some(None),
        "make_dictionary" => Some(Some(prefixed("dictionary", first, schema))),
        "bin_auto" => Some(name_of(first?, schema)),
        "covariance" | "covariancep" | "covarianceif" | "covariancepif" => {
            let second = call.args.get(1).and_then(|arg| name_of(&arg.value, schema)).unwrap_or_default();
            Some(Some(format!("{}_{second}", prefixed(name, first, schema))))
        }
        "column_ifexists" | "columnifexists" => Some(literal_at(0).filter(|name| schema.index_of(name).is_some())),
        "percentile" | "percentilew" => {
            let first = name_of(&call.args.first()?.value, schema).unwrap_or_default();
            let at = literal_at(if name == "percentile" { 1 } else { 2 })?;
            Some(Some(format!("percentile_{first}_{at}")))
        }
        _ => None,
    }
}

/// Whether the name of an expression is that of a call of `gettype`.
fn is_type(expr: &Expr) -> bool {
    let ExprKind::Call(call) = &expr.kind else { return false };
    let name = call.name.text.as_str();
    let passes_on = functions::scalar(name).is_some_and(|function| function.naming == Naming::FirstArgument);
    name == "gettype" || (passes_on && call.args.first().is_some_and(|arg| is_type(&arg.value)))
}

/// Names given so far in one operator.
#[derive(Default)]
pub(super) struct Names {
    used: HashSet<String>,
    /// Names that the query gives somewhere in the operator: a number is not added so that it becomes one of them.
    declared: HashSet<String>,
    /// Names of columns: a numbered name is none of them.
    columns: HashSet<String>,
    /// In `distinct` a type gives no name.
    is_distinct: bool,
    numbered: usize,
    /// The last number given after a name.
    last: HashMap<String, usize>,
}

impl Names {
    /// For an operator in which the query gives these names.
    pub(super) fn declaring<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Names { declared: names.into_iter().map(str::to_owned).collect(), ..Names::default() }
    }

    /// Names that are used already.
    pub(super) fn taken<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Names { used: names.into_iter().map(str::to_owned).collect(), ..Names::default() }
    }

    /// Columns whose names no number may make.
    #[must_use]
    pub(super) fn beside<'n>(mut self, columns: impl IntoIterator<Item = &'n str>) -> Self {
        self.columns.extend(columns.into_iter().map(str::to_owned));
        self
    }

    /// For `distinct`.
    #[must_use]
    pub(super) fn of_distinct(self) -> Self {
        Names { is_distinct: true, ..self }
    }

    /// The name, or with the first free number from 1 after it.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let mut candidate = name.to_owned();
        // Numbers that are taken stay taken: the search goes on where it ended.
        let mut number = self.last.get(name).copied().unwrap_or(0);
        if number > 0 {
            candidate = format!("{name}{number}");
        }
        while self.used.contains(&candidate) || (number > 0 && self.declared.contains(&candidate)) {
            number += 1;
            candidate = format!("{name}{number}");
        }
        if number > 0 {
            self.last.insert(name.to_owned(), number);
        }
        self.used.insert(candidate.clone());
        candidate
    }

    /// The next of `Column1`, `Column2`, ...
    pub(super) fn number(&mut self) -> String {
        loop {
            self.numbered += 1;
            let candidate = format!("Column{}", self.numbered);
            if !self.columns.contains(&candidate) {
                return self.unique(&candidate);
            }
        }
    }

    /// The name that the query gives, else the one the expression gives, else a number.
    pub(super) fn of(&mut self, given: Option<&Name>, expr: &Expr, schema: &Schema) -> String {
        match (given, name_of(expr, schema)) {
            (Some(name), _) => self.unique(&name.text),
            (None, Some(_)) if self.is_distinct && is_type(expr) => self.number(),
            (None, Some(name)) => self.unique(&name),
            (None, None) => self.number(),
        }
    }
}
