//! `summarize`: DataFusion's own aggregates where they mean the same, else our kernels.

use std::sync::Arc;

use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{AggregateUDF, Expr as DfExpr, LogicalPlan, lit};
use kyma_core::{Error, Result, Schema, Type, Value};
use kyma_plan::{AggregateCall, Expr};

use crate::df_adapter::aggregate::KernelAggregate;
use crate::df_adapter::expr::{Exprs, literal};
use crate::df_adapter::lower::{Lowering, aggregation, columns_of, field_of, project};

/// Whether the result depends on the order of the rows.
pub(crate) fn minds_order(function: &str) -> bool {
    ["make_list", "make_set", "make_bag", "take_any", "any", "arg_"].iter().any(|start| function.starts_with(start))
}

/// One call in DataFusion's form, and the value of no rows where ours is not null.
struct Lowered {
    call: DfExpr,
    over_nothing: Option<Value>,
}

/// The rows of `input` by distinct keys, with columns as in `schema`.
pub(crate) fn aggregate(
    lowering: &Lowering,
    input: LogicalPlan,
    keys: &[Expr],
    calls: &[AggregateCall],
    schema: &Schema,
) -> Result<LogicalPlan> {
    let columns = columns_of(&input);
    let exprs = lowering.exprs(&columns);
    let by = exprs.values(keys)?.into_iter().enumerate().map(|(at, key)| key.alias(format!("k{at}"))).collect();
    let mut over_nothing = Vec::with_capacity(calls.len());
    let mut lowered = Vec::with_capacity(calls.len());
    for (at, call) in calls.iter().enumerate() {
        let one = lower_call(&exprs, call)?;
        over_nothing.push(one.over_nothing);
        lowered.push(one.call.alias(format!("a{at}")));
    }
    let grouped = aggregation(input, by, lowered)?;
    let places = columns_of(&grouped);
    let (key_columns, call_columns) = places.split_at(keys.len().min(places.len()));
    let mut results: Vec<DfExpr> = key_columns.iter().cloned().map(DfExpr::Column).collect();
    for ((call, column), nothing) in calls.iter().zip(call_columns).zip(over_nothing) {
        let whole = DfExpr::Column(column.clone());
        match (call.types.len(), nothing) {
            (1, Some(nothing)) => results.push(coalesce(vec![whole, literal(&nothing)])),
            (1, None) => results.push(whole),
            (count, _) => {
                let field = |at: usize| field_of(whole.clone(), at, call.types[at], lowering.context());
                results.extend((0..count).map(field));
            }
        }
    }
    project(grouped, results, schema)
}

fn lower_call(exprs: &Exprs<'_>, call: &AggregateCall) -> Result<Lowered> {
    if let Some(native) = native(exprs, call)? {
        return Ok(native);
    }
    let arg_types = call.args.iter().map(|arg| arg.ty).collect();
    let constants = call.args.iter().map(|arg| arg.as_literal().cloned()).collect();
    let kernel = KernelAggregate::new(call.function, arg_types, constants, call.types.clone());
    let udaf = Arc::new(AggregateUDF::new_from_impl(kernel));
    let call = AggregateFunction::new_udf(udaf, exprs.values(&call.args)?, false, None, Vec::new(), None);
    Ok(Lowered { call: DfExpr::AggregateFunction(call), over_nothing: None })
}

/// The call in DataFusion's own functions, if one means the same.
fn native(exprs: &Exprs<'_>, call: &AggregateCall) -> Result<Option<Lowered>> {
    let (base, conditional) = match call.function {
        "countif" | "sumif" | "minif" | "maxif" | "avgif" => (call.function.trim_end_matches("if"), true),
        other => (other, false),
    };
    let [out] = call.types.as_slice() else { return Ok(None) };
    let (args, condition) = match (conditional, call.args.as_slice()) {
        (true, [args @ .., condition]) => (args, Some(Box::new(exprs.condition(condition)?))),
        (true, []) => return Err(Error::internal("an aggregate lacks its condition")),
        (false, args) => (args, None),
    };
    let ty = args.first().map(|arg| arg.ty);
    let ordered = matches!(ty, Some(Type::Int | Type::Long | Type::Real | Type::Datetime | Type::Timespan));
    let (udaf, over_nothing) = match (base, ty) {
        ("count", None) => (count_udaf(), None),
        ("sum", Some(Type::Long | Type::Int)) if *out == Type::Long => (sum_udaf(), Some(Value::Long(0))),
        ("sum", Some(Type::Real)) if *out == Type::Real => (sum_udaf(), Some(Value::Real(0.0))),
        ("avg", Some(Type::Long | Type::Int | Type::Real)) if *out == Type::Real => {
            (avg_udaf(), Some(Value::Real(f64::NAN)))
        }
        ("min", _) if ordered && ty == Some(*out) => (min_udaf(), None),
        ("max", _) if ordered && ty == Some(*out) => (max_udaf(), None),
        _ => return Ok(None),
    };
    let args = match args.first() {
        None => vec![lit(1_i64)],
        Some(arg) => {
            let value = exprs.value(arg)?;
            let widen = base == "avg" && arg.ty != Type::Real;
            let real = Type::Real.arrow();
            vec![if widen { datafusion::logical_expr::cast(value, real) } else { value }]
        }
    };
    let call = AggregateFunction::new_udf(udaf, args, false, condition, Vec::new(), None);
    Ok(Some(Lowered { call: DfExpr::AggregateFunction(call), over_nothing }))
}
