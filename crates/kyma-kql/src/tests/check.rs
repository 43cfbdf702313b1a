//! A plan is valid when every column exists, types agree and names are distinct.

use std::collections::HashSet;

use kyma_core::{Schema, Type};
use kyma_plan::graph::{GraphOutput, GraphQuery};
use kyma_plan::table::TableFunction;
use kyma_plan::{AggregateCall, Expr, ExprKind, JoinKind, Node, Plan};

use crate::limits::{STACK_PIECE, STACK_RED_ZONE};

/// Panics with the plan when it is not valid.
pub(super) fn valid(plan: &Plan) {
    if let Err(problem) = relation(plan, None) {
        panic!("{problem}\n{plan}");
    }
}

type Checked = Result<(), String>;

/// Plans are as tall as `PLAN_HEIGHT_MAX`: the stack grows as it does while binding.
fn relation(plan: &Plan, fed: Option<&Schema>) -> Checked {
    stacker::maybe_grow(STACK_RED_ZONE, STACK_PIECE, || relation_here(plan, fed))
}

fn relation_here(plan: &Plan, fed: Option<&Schema>) -> Checked {
    let mut seen = HashSet::new();
    if let Some(double) = plan.schema.columns().iter().find(|column| !seen.insert(&column.name)) {
        return Err(format!("column '{}' twice", double.name));
    }
    let width = plan.schema.len();
    let types: Vec<Type> = plan.schema.columns().iter().map(|column| column.ty).collect();
    for input in plan.inputs() {
        match &plan.node {
            Node::MvApply { body, .. } if std::ptr::eq(&**body, input) => {}
            Node::Partition { input: rows, body, .. } if std::ptr::eq(&**body, input) => {
                relation(input, Some(&rows.schema))?;
            }
            _ => relation(input, fed)?,
        }
    }
    match &plan.node {
        Node::Values(rows) => {
            let fits = rows.iter().all(|row| row.len() == width && row.iter().zip(&types).all(|(v, ty)| v.ty() == *ty));
            same(fits, true, "values")
        }
        Node::Filter { input, predicate } => {
            same(predicate.ty, Type::Bool, "predicate")?;
            same(&plan.schema, &input.schema, "filter schema")?;
            expression(predicate, &input.schema)
        }
        Node::Project { input, exprs } => {
            same(exprs.iter().map(|expr| expr.ty).collect::<Vec<_>>(), types, "project types")?;
            exprs.iter().try_for_each(|expr| expression(expr, &input.schema))
        }
        Node::Aggregate { input, keys, aggregates } => {
            let results = keys.iter().map(|key| key.ty).chain(aggregates.iter().flat_map(|call| call.types.clone()));
            same(results.collect::<Vec<_>>(), types, "aggregate types")?;
            keys.iter().try_for_each(|key| expression(key, &input.schema))?;
            aggregates.iter().try_for_each(|call| aggregate(call, &input.schema))
        }
        Node::Sort { input, keys } => keys.iter().try_for_each(|key| expression(&key.expr, &input.schema)),
        Node::Join { left, right, kind, on } => {
            for (a, b) in on {
                expression(a, &left.schema)?;
                expression(b, &right.schema)?;
                same(a.ty, b.ty, "join keys")?;
            }
            let sides = match kind {
                JoinKind::LeftSemi | JoinKind::LeftAnti => left.schema.columns().to_vec(),
                JoinKind::RightSemi | JoinKind::RightAnti => right.schema.columns().to_vec(),
                _ => left.schema.columns().iter().chain(right.schema.columns()).cloned().collect(),
            };
            same(sides.iter().map(|column| column.ty).collect::<Vec<_>>(), types, "join types")
        }
        Node::Union(inputs) => inputs.iter().try_for_each(|input| same(&input.schema, &plan.schema, "union schema")),
        Node::Window { input, calls } => {
            same(width, input.schema.len() + calls.len(), "window width")?;
            calls.iter().flat_map(|call| &call.args).try_for_each(|arg| expression(arg, &input.schema))
        }
        Node::MvApply { input, columns, item_index, body, keep, .. } => {
            let mut expanded = input.schema.columns().to_vec();
            columns.iter().for_each(|column| expanded[column.index].ty = column.ty);
            expanded.extend(item_index.iter().map(|name| kyma_core::Column::new(name, Type::Long)));
            same(width, keep.len() + body.schema.len(), "mv-apply width")?;
            relation(body, Some(&Schema::new(expanded)))
        }
        Node::Input => match fed {
            Some(schema) => same(&plan.schema, schema, "input schema"),
            None => Err("an input that nothing feeds".to_owned()),
        },
        Node::Parse { input, text, outputs, .. } => {
            same(text.ty, Type::String, "parsed text")?;
            same(outputs.iter().all(|at| *at < width), true, "parse outputs")?;
            expression(text, &input.schema)
        }
        Node::MakeSeries { input, keys, aggregates, axis, .. } => {
            same(width, keys.len() + aggregates.len() + 1, "series width")?;
            keys.iter().chain([axis]).try_for_each(|expr| expression(expr, &input.schema))
        }
        Node::Table { function, .. } => match &**function {
            TableFunction::Graph(query) => graph(query, &types),
            TableFunction::Plugin(_) | TableFunction::Scan(_) | TableFunction::Reduce(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Conditions are truth values, columns of matches are there, and the result has the types of what is projected.
fn graph(query: &GraphQuery, types: &[Type]) -> Checked {
    let GraphOutput::Match(wanted) = &query.output else { return Ok(()) };
    let mut used = Vec::new();
    for expr in wanted.conditions.iter().chain(&wanted.project) {
        expr.for_each_column(&mut |column| used.push(column));
    }
    same(used.iter().all(|column| *column < wanted.columns.len()), true, "columns of matches")?;
    wanted.conditions.iter().try_for_each(|condition| same(condition.ty, Type::Bool, "condition"))?;
    same(wanted.project.iter().map(|expr| expr.ty).collect::<Vec<_>>(), types.to_vec(), "graph types")
}

fn aggregate(call: &AggregateCall, schema: &Schema) -> Checked {
    call.args.iter().try_for_each(|arg| expression(arg, schema))
}

fn expression(expr: &Expr, schema: &Schema) -> Checked {
    match &expr.kind {
        ExprKind::Literal(value) => same(value.ty(), expr.ty, "literal type")?,
        ExprKind::Column(index) => {
            let Some(column) = schema.columns().get(*index) else {
                return Err(format!("column #{index} of {} columns", schema.len()));
            };
            same(column.ty, expr.ty, "column type")?;
        }
        ExprKind::In { expr: left, list, .. } => {
            list.iter().try_for_each(|item| same(item.ty, left.ty, "item type"))?;
        }
        ExprKind::InPlan { expr: left, plan, .. } => {
            relation(plan, None)?;
            same(plan.schema.columns()[0].ty, left.ty, "in (plan) type")?;
        }
        ExprKind::Scalar(plan) => {
            relation(plan, None)?;
            same(plan.schema.columns()[0].ty, expr.ty, "scalar type")?;
        }
        ExprKind::Binary { op, left, right } if op.is_comparison() => same(left.ty, right.ty, "compared types")?,
        ExprKind::And(parts) | ExprKind::Or(parts) => {
            parts.iter().try_for_each(|part| same(part.ty, Type::Bool, "truth"))?;
        }
        ExprKind::Path { base, .. } | ExprKind::Element { base, .. } => same(base.ty, Type::Dynamic, "base")?,
        _ => {}
    }
    expr.children().into_iter().try_for_each(|child| expression(child, schema))
}

fn same<T: PartialEq + std::fmt::Debug>(found: T, wanted: T, what: &str) -> Checked {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?}, not {wanted:?}")) }
}
