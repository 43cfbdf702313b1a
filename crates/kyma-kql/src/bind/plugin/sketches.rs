//! `dcount_intersect`: how many distinct values sets have in common, from their sketches.
//!
//! By inclusion and exclusion over unions, which sketches can form.

use kyma_core::{Type, Value};
use kyma_plan::{BinaryOp, Expr, Plan};

use super::Use;
use crate::bind::expr::resolved;
use crate::bind::operators::all_columns;
use crate::bind::{Bind, Binder, fail};

/// Most sets of one call: the terms double with each.
const SETS_MAX: usize = 8;

pub(super) fn dcount_intersect(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let Use { input, call, scope, span, .. } = of;
    if !(1..=SETS_MAX).contains(&call.args.len()) {
        return fail("kql.arguments", format!("dcount_intersect() takes 1 to {SETS_MAX} sketches"), span);
    }
    let mut row = binder.row(input.schema.clone(), scope);
    let mut sets = Vec::new();
    for arg in &call.args {
        sets.push(binder.scalar(&arg.value, &mut row)?);
    }
    let mut columns = all_columns(&input.schema, span);
    for upto in 1..=sets.len() {
        columns.push((format!("s{}", upto - 1), in_common(&sets[..upto], span)?));
    }
    Ok(Plan::project(input, columns, span))
}

/// The sum over all non-empty choices of sets of the size of their union, odd choices added, even ones subtracted.
fn in_common(sets: &[Expr], span: kyma_core::error::Span) -> Bind<Expr> {
    let mut sum = Expr::literal(Value::Long(0), span);
    for choice in 1..1_usize << sets.len() {
        let mut chosen = sets.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1).map(|(_, set)| set.clone());
        let Some(mut union) = chosen.next() else { continue };
        for set in chosen {
            union = resolved("hll_merge", vec![union, set], span)?;
        }
        let size = resolved("dcount_hll", vec![union], span)?;
        let op = if choice.count_ones() % 2 == 1 { BinaryOp::Add } else { BinaryOp::Subtract };
        sum = Expr::binary(op, sum, size, Type::Long);
    }
    Ok(sum)
}
