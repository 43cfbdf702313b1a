//! Names of columns that the query does not name, as Kusto gives them.

use std::collections::HashSet;

use kyma_core::{Schema, Value};
use kyma_plan::functions::{self, Naming};

use crate::ast::{Call, Expr, ExprKind};

/// The name that an expression gives its column, if it gives one.
pub(super) fn name_of(expr: &Expr, schema: &Schema) -> Option<String> {
    match &expr.kind {
        ExprKind::Name(name) => schema.index_of(name).map(|_| name.clone()),
        ExprKind::Member(base, name) => match &base.kind {
            ExprKind::Name(side) if side.starts_with('$') => Some(name.text.clone()),
            _ => Some(format!("{}_{}", name_of(base, schema)?, name.text)),
        },
        ExprKind::Index(base, index) => {
            let base = name_of(base, schema)?;
            match &index.kind {
                ExprKind::Literal(Value::String(key)) => Some(format!("{base}_{key}")),
                ExprKind::Literal(Value::Long(at)) => Some(format!("{base}_{at}")),
                _ => None,
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
        Naming::FirstArgument => name_of(first?, schema),
        Naming::Fixed(name) => Some(name.to_owned()),
        Naming::Prefixed(prefix) => {
            let first = first.and_then(|first| name_of(first, schema)).unwrap_or_default();
            let second = matches!(name, "covariance" | "covariancep" | "covarianceif" | "covariancepif")
                .then(|| call.args.get(1).and_then(|arg| name_of(&arg.value, schema)))
                .flatten();
            Some(match second {
                Some(second) => format!("{prefix}_{first}_{second}"),
                None => format!("{prefix}_{first}"),
            })
        }
    }
}

fn name_of_special(name: &str, call: &Call, schema: &Schema) -> Option<Option<String>> {
    let literal_at = |at: usize| match call.args.get(at).map(|arg| &arg.value.kind) {
        Some(ExprKind::Literal(Value::String(text))) => Some(text.clone()),
        Some(ExprKind::Literal(Value::Long(number))) => Some(number.to_string()),
        Some(ExprKind::Literal(Value::Real(number))) => Some(number.to_string().replace('.', "_")),
        _ => None,
    };
    match name {
        "column_ifexists" | "columnifexists" => Some(literal_at(0).filter(|name| schema.index_of(name).is_some())),
        "percentile" | "percentilew" => {
            let first = name_of(&call.args.first()?.value, schema).unwrap_or_default();
            let at = literal_at(if name == "percentile" { 1 } else { 2 })?;
            Some(Some(format!("percentile_{first}_{at}")))
        }
        _ => None,
    }
}

/// Names given so far in one operator.
#[derive(Default)]
pub(super) struct Names {
    used: HashSet<String>,
    numbered: usize,
}

impl Names {
    /// Names that are taken: those that the query gives, and kept columns.
    pub(super) fn taken<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Names { used: names.into_iter().map(str::to_owned).collect(), numbered: 0 }
    }

    /// A name already reserved, or marked as used now.
    pub(super) fn take(&mut self, name: &str) -> String {
        self.used.insert(name.to_owned());
        name.to_owned()
    }

    /// The name, or with the first free number from 1 after it.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let mut candidate = name.to_owned();
        let mut number = 0;
        while !self.used.insert(candidate.clone()) {
            number += 1;
            candidate = format!("{name}{number}");
        }
        candidate
    }

    /// The next free `Column1`, `Column2`, ...
    pub(super) fn number(&mut self) -> String {
        loop {
            self.numbered += 1;
            let candidate = format!("Column{}", self.numbered);
            if self.used.insert(candidate.clone()) {
                return candidate;
            }
        }
    }

    /// The name an expression gives, made unique, or a number.
    pub(super) fn implicit(&mut self, name: Option<String>) -> String {
        match name {
            Some(name) => self.unique(&name),
            None => self.number(),
        }
    }
}
