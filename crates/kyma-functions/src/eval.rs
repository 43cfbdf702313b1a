//! Expressions of a plan over arrays, for operators that compute them while they run (`scan`, `graph-match`).
//!
//! Everything else is computed by the engine below or above an operator; use this only where an expression speaks of what
//! the operator itself makes, such as the state of a step or the nodes of a path.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use kyma_core::{Error, Result, Type};
use kyma_plan::{Expr, ExprKind};

use crate::{Arg, Call, EvalContext, binary, build, convert, element, in_list, path, scalar};

/// Stack left that makes recursion go on elsewhere, and the size of the new stack.
const STACK: (usize, usize) = (128 * 1024, 4 * 1024 * 1024);

/// The values of `expr` over the columns of `rows` rows. Sub-queries must have been put in before.
pub fn eval(expr: &Expr, columns: &[ArrayRef], rows: usize, context: &EvalContext) -> Result<Arg> {
    stacker::maybe_grow(STACK.0, STACK.1, || eval_here(expr, columns, rows, context))
}

/// Whether a condition is true, by row; null is not.
pub fn holds(expr: &Expr, columns: &[ArrayRef], rows: usize, context: &EvalContext) -> Result<Vec<bool>> {
    let array = eval(expr, columns, rows, context)?.to_array(rows);
    let flags = array.as_boolean_opt().ok_or_else(|| Error::internal("a condition is no truth value"))?;
    Ok((0..rows).map(|row| flags.is_valid(row) && flags.value(row)).collect())
}

fn eval_here(expr: &Expr, columns: &[ArrayRef], rows: usize, context: &EvalContext) -> Result<Arg> {
    let arg = |expr: &Expr| eval(expr, columns, rows, context);
    let args = |exprs: &[Expr]| exprs.iter().map(arg).collect::<Result<Vec<Arg>>>();
    let array = match &expr.kind {
        ExprKind::Literal(value) => return Ok(Arg::Scalar(value.clone())),
        ExprKind::Column(at) => {
            let column =
                columns.get(*at).ok_or_else(|| Error::internal("an expression names a column that is not there"))?;
            Arc::clone(column)
        }
        ExprKind::Call { function, args: given } => {
            let kernel = scalar(function)
                .ok_or_else(|| Error::internal(format!("the function has no kernel: {function}")).at(expr.span))?;
            let types: Vec<Type> = given.iter().map(|arg| arg.ty).collect();
            kernel.eval(&Call { args: &args(given)?, types: &types, out: expr.ty, rows, context })?
        }
        ExprKind::Binary { op, left, right } => {
            binary(*op, (&arg(left)?, left.ty), (&arg(right)?, right.ty), expr.ty, rows)?
        }
        ExprKind::And(parts) => junction(&args(parts)?, rows, false)?,
        ExprKind::Or(parts) => junction(&args(parts)?, rows, true)?,
        ExprKind::Not(inner) => {
            let inner = arg(inner)?.to_array(rows);
            Arc::new(arrow::compute::not(truths(&inner)?)?)
        }
        ExprKind::In { expr: value, list, ignore_case } => {
            in_list((&arg(value)?, value.ty), &args(list)?, *ignore_case, rows)?
        }
        ExprKind::Path { base, keys } => path(&arg(base)?.to_array(rows), keys)?,
        ExprKind::Element { base, index } => element(&arg(base)?, (&arg(index)?, index.ty), rows)?,
        ExprKind::Convert(inner) => convert(&arg(inner)?, inner.ty, expr.ty, rows)?,
        ExprKind::InPlan { .. } | ExprKind::Scalar(_) => {
            return Err(Error::internal("a sub-query was not evaluated before the query").at(expr.span));
        }
    };
    Ok(Arg::Array(array))
}

/// Three-valued `and` or `or`: `decisive` is the truth value that decides alone.
fn junction(parts: &[Arg], rows: usize, decisive: bool) -> Result<ArrayRef> {
    let arrays: Vec<ArrayRef> = parts.iter().map(|part| part.to_array(rows)).collect();
    let parts = arrays.iter().map(truths).collect::<Result<Vec<_>>>()?;
    Ok(build::bools(rows, |row| {
        let mut all_known = true;
        for part in &parts {
            match part.is_valid(row) {
                true if part.value(row) == decisive => return Some(decisive),
                true => {}
                false => all_known = false,
            }
        }
        all_known.then_some(!decisive)
    }))
}

fn truths(array: &ArrayRef) -> Result<&arrow::array::BooleanArray> {
    array.as_boolean_opt().ok_or_else(|| Error::internal("an operand is no truth value"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Int64Array};
    use kyma_core::Value;
    use kyma_core::error::Span;
    use kyma_plan::BinaryOp;

    use super::*;

    #[test]
    fn conditions_are_three_valued() {
        let span = Span::default();
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
        let longs: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let flag = Expr::column(0, Type::Bool, span);
        let small = Expr::binary(
            BinaryOp::Less,
            Expr::column(1, Type::Long, span),
            Expr::literal(Value::Long(3), span),
            Type::Bool,
        );
        let and = Expr { kind: ExprKind::And(vec![flag.clone(), small.clone()]), ty: Type::Bool, span };
        let or = Expr { kind: ExprKind::Or(vec![flag, small]), ty: Type::Bool, span };
        let columns = [flags, longs];
        let context = EvalContext { now: 0 };
        assert_eq!(holds(&and, &columns, 3, &context).unwrap(), [true, false, false]);
        assert_eq!(holds(&or, &columns, 3, &context).unwrap(), [true, true, false]);
        let or = eval(&or, &columns, 3, &context).unwrap().to_array(3);
        assert!(or.is_null(2), "unknown or false is unknown");
    }
}
