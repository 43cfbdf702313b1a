//! `summarize`: keys, aggregates, and expressions over aggregates.
//!
//! The node computes keys and bare aggregates; a projection after it computes what stands around them (`round(sum(x), 2)`).

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::{AggregateCall, Expr, ExprKind, Node, Plan};

use super::naming::{Names, name_of};
use super::operators::{Columns, all_columns, explicit};
use super::{Aggregates, Bind, Binder, Row, ScopeId, fail};
use crate::ast::{self, Arg};

impl Binder<'_> {
    pub(super) fn summarize(
        &mut self,
        input: Plan,
        aggregates: &[Arg],
        by: &[Arg],
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let columns = input.schema.columns().iter().map(|column| column.name.as_str());
        let mut names = Names::declaring(explicit(by).chain(explicit(aggregates))).beside(columns);
        let mut row = self.row(input.schema.clone(), scope);
        let keys = self.keys(by, &mut names, &mut row)?;
        let key_columns: Vec<(String, Type)> = keys.iter().map(|(name, key)| (name.clone(), key.ty)).collect();
        row.aggregates = Some(Aggregates { calls: Vec::new(), next: keys.len(), keys: key_columns.clone() });
        let mut results: Columns = Vec::new();
        self.every(aggregates, |binder, arg| binder.result(arg, by, &mut names, &mut results, &mut row))?;
        let calls = row.aggregates.map(|aggregates| aggregates.calls).unwrap_or_default();
        Ok(aggregated(input, keys, calls, results, span))
    }

    /// Group keys with their names.
    pub(super) fn keys(&mut self, by: &[Arg], names: &mut Names, row: &mut Row) -> Bind<Columns> {
        let mut keys: Columns = Vec::new();
        for arg in by {
            let value = self.scalar(&arg.value, row);
            let name = names.of(arg.names.first(), &arg.value, &row.schema);
            keys.push((name.clone(), self.value_or_poison(value, &name, arg.value.span)?));
            keys.extend(self.meant_columns(arg.value.span));
        }
        Ok(keys)
    }

    /// One item of the list: one result, or several of `arg_max` and its like.
    fn result(&mut self, arg: &Arg, by: &[Arg], names: &mut Names, results: &mut Columns, row: &mut Row) -> Bind<()> {
        if let ast::ExprKind::Call(call) = &arg.value.kind
            && is_multiple(&call.name.text)
            && self.lookup(&call.name.text, row.scope).is_none()
        {
            return self.multiple(arg, call, by, names, results, row);
        }
        let value = self.scalar(&arg.value, row);
        let name = names.of(arg.names.first(), &arg.value, &row.schema);
        results.push((name.clone(), self.value_or_poison(value, &name, arg.value.span)?));
        Ok(())
    }

    fn multiple(
        &mut self,
        arg: &Arg,
        call: &ast::Call,
        by: &[Arg],
        names: &mut Names,
        results: &mut Columns,
        row: &mut Row,
    ) -> Bind<()> {
        let Some(mut aggregates) = row.aggregates.take() else {
            return fail("kql.aggregate", "no aggregate here", arg.value.span);
        };
        let function = call.name.text.to_ascii_lowercase();
        let bound = self.multiple_args(&function, call, by, row).and_then(|(args, wanted)| {
            let bound = self.aggregate_of(&function, args, arg.value.span)?;
            Ok((bound, wanted))
        });
        let (bound, wanted) = match bound {
            Ok(bound) => bound,
            Err(error) => {
                row.aggregates = Some(aggregates);
                return Err(error);
            }
        };
        for (at, ty) in bound.types.iter().enumerate() {
            let name = match (arg.names.get(at), wanted.get(at)) {
                (Some(name), _) => names.unique(&name.text),
                (None, Some(Some(name))) => names.unique(name),
                (None, _) => names.number(),
            };
            results.push((name, Expr::column(aggregates.next + at, *ty, arg.value.span)));
        }
        aggregates.next += bound.types.len();
        aggregates.calls.push(bound);
        row.aggregates = Some(aggregates);
        Ok(())
    }

    /// Arguments with `*` expanded, and the names of the results.
    fn multiple_args(
        &mut self,
        function: &str,
        call: &ast::Call,
        by: &[Arg],
        row: &mut Row,
    ) -> Bind<(Vec<Expr>, Vec<Option<String>>)> {
        let (mut args, mut wanted) = (Vec::new(), Vec::new());
        let prefix = match function {
            "any" => "any_",
            _ => "",
        };
        let compared = call.args.first().and_then(|first| column_name(&first.value));
        for (at, arg) in call.args.iter().enumerate() {
            if matches!(arg.value.kind, ast::ExprKind::Star) {
                for (index, column) in row.schema.columns().iter().enumerate() {
                    let is_key = by.iter().any(|key| is_column(&key.value, column));
                    let is_compared = at > 0 && compared == Some(&column.name);
                    if !is_key && !is_compared {
                        args.push(Expr::column(index, column.ty, arg.value.span));
                        wanted.push(Some(format!("{prefix}{}", column.name)));
                    }
                }
                continue;
            }
            let named = arg.names.first().map(|name| name.text.clone());
            let name = named.or_else(|| name_of(&arg.value, &row.schema).map(|name| format!("{prefix}{name}")));
            wanted.push(match (name, function) {
                (None, "arg_max") if at == 0 => Some("max_".to_owned()),
                (None, "arg_min") if at == 0 => Some("min_".to_owned()),
                (name, _) => name,
            });
            args.push(self.scalar(&arg.value, row)?);
        }
        if function.starts_with("percentiles") {
            let skipped = if function == "percentilesw" { 2 } else { 1 };
            let first = wanted.first().cloned().flatten().unwrap_or_default();
            wanted =
                args.iter().skip(skipped).map(|arg| Some(format!("percentile_{first}_{}", percent(arg)))).collect();
        }
        if let Some(prefix) = old_prefix(function) {
            name_as_before(prefix, &mut wanted);
        }
        if args.is_empty() {
            return fail("kql.arguments", format!("{function}() needs an argument"), call.name.span);
        }
        Ok((args, wanted))
    }
}

/// What the old spellings put before the names of their results.
fn old_prefix(function: &str) -> Option<&'static str> {
    match function {
        "argmax" => Some("max"),
        "argmin" => Some("min"),
        _ => None,
    }
}

/// `max_x` for the first, `max_x_y` for the others.
fn name_as_before(prefix: &str, wanted: &mut [Option<String>]) {
    let mut names = wanted.iter_mut();
    let Some(first) = names.next() else { return };
    let of = first.clone().unwrap_or_default();
    *first = Some(format!("{prefix}_{of}"));
    names.flatten().for_each(|name| *name = format!("{prefix}_{of}_{name}"));
}

fn is_multiple(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "arg_max" | "arg_min" | "argmax" | "argmin" | "take_any" | "any" | "percentiles" | "percentilesw"
    )
}

/// Whether an expression is the column, or converts it to the type that it has.
fn is_column(expr: &ast::Expr, column: &Column) -> bool {
    match &expr.kind {
        ast::ExprKind::Call(call) if call.args.len() == 1 && converts_to(&call.name.text) == Some(column.ty) => {
            column_name(&call.args[0].value) == Some(&column.name)
        }
        _ => column_name(expr) == Some(&column.name),
    }
}

fn converts_to(function: &str) -> Option<Type> {
    Some(match function {
        "tostring" => Type::String,
        "toint" => Type::Int,
        "tolong" => Type::Long,
        "todouble" | "toreal" => Type::Real,
        "tobool" => Type::Bool,
        "todatetime" => Type::Datetime,
        "totimespan" => Type::Timespan,
        _ => return None,
    })
}

fn column_name(expr: &ast::Expr) -> Option<&String> {
    match &expr.kind {
        ast::ExprKind::Name(name) => Some(name),
        _ => None,
    }
}

fn percent(expr: &Expr) -> String {
    match expr.as_literal() {
        Some(Value::Long(number)) => number.to_string(),
        Some(Value::Real(number)) => number.to_string().replace('.', "_"),
        _ => String::new(),
    }
}

/// The node, and a projection where results are more than bare aggregates.
pub(super) fn aggregated(input: Plan, keys: Columns, calls: Vec<AggregateCall>, results: Columns, span: Span) -> Plan {
    let types: Vec<Type> = calls.iter().flat_map(|call| call.types.iter().copied()).collect();
    let bare = results.len() == types.len()
        && results.iter().enumerate().all(|(at, (_, expr))| expr.kind == ExprKind::Column(keys.len() + at));
    let mut columns: Vec<Column> = keys.iter().map(|(name, key)| Column::new(name, key.ty)).collect();
    let width = columns.len();
    for (at, ty) in types.iter().enumerate() {
        let name = if bare { results[at].0.clone() } else { format!("$aggregate{at}") };
        columns.push(Column::new(name, *ty));
    }
    let keys = keys.into_iter().map(|(_, key)| key).collect();
    let node = Node::Aggregate { input: Box::new(input), keys, aggregates: calls };
    let plan = Plan::new(node, Schema::new(columns), span);
    if bare {
        return plan;
    }
    let mut projected = all_columns(&plan.schema, span);
    projected.truncate(width);
    projected.extend(results);
    Plan::project(plan, projected, span)
}
