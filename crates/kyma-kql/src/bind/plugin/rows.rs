//! Plugins over whatever columns there are.

use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::{BinaryOp, Expr, Plan};

use super::{Use, arg_at, bare_name, column, kernel, named, not_given, over};
use crate::ast;
use crate::bind::expr::{resolved, truth};
use crate::bind::naming::name_of;
use crate::bind::operators::{Columns, all_columns};
use crate::bind::{Bind, Binder, fail};

/// One row per cell: row number, column name, value as text.
pub(super) fn narrow(_binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let schema = Schema::from([("Row", Type::Long), ("Column", Type::String), ("Value", Type::String)]);
    Ok(kernel("narrow", vec![of.input], Vec::new(), schema, of.span))
}

pub(super) fn rows_near(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let Use { input, call, scope, span, .. } = of;
    let mut row = binder.row(input.schema.clone(), scope);
    let condition = truth(binder.scalar(&arg_at(call, 0, span)?.value, &mut row)?)?;
    let before = binder.constant(&arg_at(call, 1, span)?.value, scope)?;
    let after = match call.args.get(2) {
        Some(arg) => binder.constant(&arg.value, scope)?,
        None => before.clone(),
    };
    let out = input.schema.clone();
    let mut columns = all_columns(&input.schema, span);
    columns.push(("$condition".to_owned(), condition));
    Ok(over("rows_near", input, columns, vec![before, after], out, span))
}

pub(super) fn schema_merge(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let Use { input, call, scope, span, .. } = of;
    let in_place = binder.flag_of(named(call, "PreserveOrder").or(call.args.first()), scope)?.unwrap_or(true);
    let row = binder.row(input.schema.clone(), scope);
    let mut columns = Columns::new();
    for name in ["ColumnName", "ColumnOrdinal", "DataType", "ColumnType"] {
        let at = binder.column_index(name, span, &row)?;
        columns.extend(column(&input.schema, at, span));
    }
    let out = Schema::from([
        ("ColumnName", Type::String),
        ("ColumnOrdinal", Type::Long),
        ("DataType", Type::String),
        ("ColumnType", Type::String),
    ]);
    Ok(over("schema_merge", input, columns, vec![Value::Bool(in_place)], out, span))
}

/// The constant at a place; `~` stands for what is not given.
fn setting(binder: &mut Binder<'_>, of: &Use<'_>, at: usize) -> Bind<Value> {
    let Some(arg) = of.call.args.get(at) else { return Ok(not_given()) };
    Ok(match binder.constant(&arg.value, of.scope)? {
        Value::String(text) if text == "~" => not_given(),
        Value::Int(value) => Value::Long(i64::from(value)),
        other => other,
    })
}

/// A share: whole numbers are written for 0 and 1.
fn share(value: Value) -> Value {
    match value {
        Value::Long(whole) => Value::Real(whole as f64),
        other => other,
    }
}

fn segments(input: &Schema) -> Schema {
    let fixed = [("SegmentId", Type::Long), ("Count", Type::Long), ("Percent", Type::Real)];
    fixed.into_iter().map(|(name, ty)| Column::new(name, ty)).chain(input.columns().iter().cloned()).collect()
}

/// Weights by a column are refused rather than ignored.
fn unweighted(weight: &Value, of: &Use<'_>) -> Bind<()> {
    match weight.is_null() {
        true => Ok(()),
        false => fail("kql.unsupported", "weights by a column are not supported here", of.span),
    }
}

pub(super) fn autocluster(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let weight = share(setting(binder, &of, 0)?);
    unweighted(&setting(binder, &of, 1)?, &of)?;
    let out = segments(&of.input.schema);
    Ok(kernel("autocluster", vec![of.input], vec![weight], out, of.span))
}

pub(super) fn basket(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let threshold = share(setting(binder, &of, 0)?);
    unweighted(&setting(binder, &of, 1)?, &of)?;
    let dimensions = setting(binder, &of, 2)?;
    let out = segments(&of.input.schema);
    Ok(kernel("basket", vec![of.input], vec![threshold, dimensions], out, of.span))
}

pub(super) fn diffpatterns(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let row = binder.row(of.input.schema.clone(), of.scope);
    let split = binder.column_index(bare_name(of.call, 0, of.span)?, of.span, &row)?;
    let (span, schema) = (of.span, of.input.schema.clone());
    let ty = schema.columns().get(split).map_or(Type::String, |column| column.ty);
    let text = resolved("tostring", vec![Expr::column(split, ty, span)], span)?;
    let mut columns: Columns =
        (0..schema.len()).filter(|at| *at != split).filter_map(|at| column(&schema, at, span)).collect();
    for at in [1, 2] {
        let value = binder.constant(&arg_at(of.call, at, span)?.value, of.scope)?;
        let value = resolved("tostring", vec![Expr::literal(value, span)], span)?;
        columns.push((format!("$set{at}"), Expr::binary(BinaryOp::Equal, text.clone(), value, Type::Bool)));
    }
    unweighted(&setting(binder, &of, 3)?, &of)?;
    let args = vec![share(setting(binder, &of, 4)?), setting(binder, &of, 5)?];
    let figures = [
        ("SegmentId", Type::Long),
        ("CountA", Type::Long),
        ("CountB", Type::Long),
        ("PercentA", Type::Real),
        ("PercentB", Type::Real),
        ("PercentDiffAB", Type::Real),
    ];
    let rest = schema.columns().iter().enumerate().filter(|(at, _)| *at != split).map(|(_, column)| column.clone());
    let out = figures.into_iter().map(|(name, ty)| Column::new(name, ty)).chain(rest).collect();
    Ok(over("diffpatterns", of.input, columns, args, out, span))
}

pub(super) fn sequence_detect(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let Use { input, call, scope, span, .. } = of;
    let mut row = binder.row(input.schema.clone(), scope);
    let timeline = &arg_at(call, 0, span)?.value;
    let time = binder.scalar(timeline, &mut row)?;
    let name = name_of(timeline, &input.schema).unwrap_or_else(|| "Timeline".to_owned());
    let mut args = vec![
        binder.constant(&arg_at(call, 1, span)?.value, scope)?,
        binder.constant(&arg_at(call, 2, span)?.value, scope)?,
    ];
    let (mut steps, mut dimensions) = (Columns::new(), Columns::new());
    for (at, arg) in call.args.iter().enumerate().skip(3) {
        let expr = binder.scalar(&arg.value, &mut row)?;
        let given = arg.names.first().map(|name| name.text.clone()).or_else(|| name_of(&arg.value, &input.schema));
        let is_column = matches!(arg.value.kind, ast::ExprKind::Name(_)) && arg.names.is_empty();
        match expr.ty == Type::Bool && !is_column && dimensions.is_empty() {
            true => steps.push((given.unwrap_or_else(|| format!("Expr{}", at - 2)), expr)),
            false => dimensions.push((given.unwrap_or_else(|| format!("Dim{}", at - 2)), expr)),
        }
    }
    if steps.is_empty() {
        return fail("kql.arguments", "sequence_detect() needs the conditions of its steps", span);
    }
    let ty = if time.ty == Type::Datetime { Type::Datetime } else { Type::Long };
    let time = time.convert(ty);
    args.push(Value::Long(i64::try_from(steps.len()).unwrap_or_default()));
    let duration = if ty == Type::Datetime { Type::Timespan } else { Type::Long };
    let out = dimensions.iter().map(|(name, expr)| Column::new(name, expr.ty));
    let out = out.chain(steps.iter().map(|(step, _)| Column::new(format!("{step}_{name}"), ty)));
    let out = out.chain([Column::new("Duration", duration)]).collect();
    let columns = [("$time".to_owned(), time)].into_iter().chain(steps).chain(dimensions).collect();
    Ok(over("sequence_detect", input, columns, args, out, span))
}
