//! `pivot`: the values of a column as columns.
//!
//! 1. The values are asked for, unless the columns are declared.
//! 2. The rows are aggregated by keys and value; then, by keys, each value's column takes the one result that it has.

use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::{AggregateCall, BinaryOp, Expr, Node, Plan};

use super::{Use, arg_at, bare_name, check_columns};
use crate::ast;
use crate::bind::call::aggregate_name;
use crate::bind::expr::resolved;
use crate::bind::operators::Columns;
use crate::bind::{Aggregates, Bind, Binder, fail};

pub(super) fn pivot(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let Use { input, call, declared, scope, span } = of;
    let mut row = binder.row(input.schema.clone(), scope);
    let pivot = binder.column_index(bare_name(call, 0, span)?, span, &row)?;
    let text = |at: usize| {
        let ty = input.schema.columns()[at].ty;
        resolved("tostring", vec![Expr::column(at, ty, span)], span)
    };
    let aggregate = call.args.get(1).filter(|arg| matches!(arg.value.kind, ast::ExprKind::Call(_)));
    row.aggregates = Some(Aggregates { calls: Vec::new(), next: 0, keys: Vec::new() });
    let counts = AggregateCall { function: aggregate_name("count"), args: Vec::new(), types: vec![Type::Long], span };
    let aggregate_call = match aggregate {
        None => counts,
        Some(arg) => {
            binder.scalar(&arg.value, &mut row)?;
            let calls = row.aggregates.take().map(|aggregates| aggregates.calls).unwrap_or_default();
            let [one] = <[AggregateCall; 1]>::try_from(calls)
                .or_else(|_| fail("kql.arguments", "pivot() takes one aggregate, such as sum(x)", arg.value.span))?;
            one
        }
    };
    let mut used = vec![pivot];
    aggregate_call.args.iter().for_each(|arg| arg.for_each_column(&mut |at| used.push(at)));
    let row = binder.row(input.schema.clone(), scope);
    let first_key = 1 + usize::from(aggregate.is_some());
    let mut keys = Vec::new();
    for at in first_key..call.args.len() {
        keys.push(binder.column_index(bare_name(call, at, span)?, arg_at(call, at, span)?.value.span, &row)?);
    }
    if keys.is_empty() {
        keys = (0..input.schema.len()).filter(|at| !used.contains(at)).collect();
    }
    let values: Vec<String> = match declared {
        Some(declared) => {
            let is_key = |name: &str| keys.iter().any(|at| input.schema.columns()[*at].name == name);
            let names = declared.columns.iter().map(|column| column.name.text.clone());
            names.filter(|name| !is_key(name)).collect()
        }
        None => {
            let distinct =
                Node::Aggregate { input: Box::new(input.clone()), keys: vec![text(pivot)?], aggregates: Vec::new() };
            let rows = binder.ask(Plan::new(distinct, Schema::from([("value", Type::String)]), span))?;
            let texts = rows.into_iter().filter_map(|row| row.into_iter().next());
            let mut values: Vec<String> =
                texts.filter_map(|text| if let Value::String(text) = text { Some(text) } else { None }).collect();
            values.sort();
            values
        }
    };
    check_columns(values.len(), span)?;
    let ty = aggregate_call.types.first().copied().unwrap_or(Type::Long);
    let counts = aggregate_call.function.contains("count") || aggregate_call.function.starts_with("sum");
    let width = keys.len();
    // By keys and value.
    let key_columns: Vec<Column> = keys.iter().map(|at| input.schema.columns()[*at].clone()).collect();
    let mut by: Vec<Expr> = keys.iter().map(|at| Expr::column(*at, input.schema.columns()[*at].ty, span)).collect();
    by.push(text(pivot)?);
    let grouped = Node::Aggregate { input: Box::new(input), keys: by, aggregates: vec![aggregate_call] };
    let named = [Column::new("$value", Type::String), Column::new("$result", ty)];
    let grouped = Plan::new(grouped, key_columns.iter().cloned().chain(named).collect(), span);
    // By keys.
    let by = key_columns.iter().enumerate().map(|(at, column)| Expr::column(at, column.ty, span)).collect();
    let calls: Vec<AggregateCall> = values
        .iter()
        .map(|value| {
            let wanted = Expr::literal(Value::String(value.clone()), span);
            let is = Expr::binary(BinaryOp::Equal, Expr::column(width, Type::String, span), wanted, Type::Bool);
            let args = vec![Expr::column(width + 1, ty, span), is];
            AggregateCall { function: aggregate_name("take_anyif"), args, types: vec![ty], span }
        })
        .collect();
    let results = (0..values.len()).map(|at| Column::new(format!("$r{at}"), ty));
    let schema: Schema = key_columns.iter().cloned().chain(results).collect();
    let spread = Plan::new(Node::Aggregate { input: Box::new(grouped), keys: by, aggregates: calls }, schema, span);
    let mut columns: Columns = Vec::new();
    for (at, column) in key_columns.iter().enumerate() {
        columns.push((column.name.clone(), Expr::column(at, column.ty, span)));
    }
    for (at, value) in values.into_iter().enumerate() {
        let result = Expr::column(width + at, ty, span);
        // Where there is nothing to count, the count is 0.
        let result = match counts && ty.is_numeric() {
            true => resolved("coalesce", vec![result, Expr::literal(Value::Long(0), span).convert(ty)], span)?,
            false => result,
        };
        let taken = columns.iter().any(|(name, _)| *name == value);
        columns.push((if taken { format!("{value}1") } else { value }, result));
    }
    Ok(Plan::project(spread, columns, span))
}
