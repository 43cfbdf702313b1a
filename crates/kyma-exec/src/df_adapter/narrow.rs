//! Columns that nobody uses stop below the operators that DataFusion does not see through (`parse`, `mv-expand`, windows,
//! `make-series`, `top-nested`), so that scans do not read them.
//!
//! 1. From the root down, every relation learns which of its columns are used above it.
//! 2. An operator over more columns than it and those above use gets a projection below it that passes only the used ones.
//! 3. A projection above it puts nulls where columns went missing, so that nothing further up has to change; nobody reads them,
//!    and DataFusion drops them.
//!
//! Bodies of `mv-apply` and `partition`, and what several read (`materialize`), keep all their columns.

use std::collections::BTreeSet;

use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::node::{MvExpandColumn, TopNestedLevel};
use kyma_plan::{AggregateCall, Expr, ExprKind, JoinKind, Node, Plan, WindowCall};

use crate::df_adapter::paths::{map_children, push_paths};

/// Places of columns.
type Places = BTreeSet<usize>;

/// The plan as it is lowered: narrowed, with paths pushed into its scans.
pub(crate) fn prepared(plan: Plan) -> Plan {
    push_paths(narrow(plan))
}

/// The plan with operators over the columns that are used.
fn narrow(plan: Plan) -> Plan {
    let all = all(&plan);
    below(plan, &all)
}

fn all(plan: &Plan) -> Places {
    (0..plan.schema.len()).collect()
}

fn used<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Places {
    let mut places = Places::new();
    exprs.into_iter().for_each(|expr| {
        expr.for_each_column(&mut |at| {
            places.insert(at);
        });
    });
    places
}

fn below(plan: Plan, wanted: &Places) -> Plan {
    stacker::maybe_grow(128 * 1024, 4 * 1024 * 1024, || below_here(plan, wanted))
}

fn below_here(plan: Plan, wanted: &Places) -> Plan {
    let Plan { node, schema, span } = plan;
    let with = |more: Places| -> Places { wanted.union(&more).copied().collect() };
    let boxed = |input: Box<Plan>, wanted: &Places| Box::new(below(*input, wanted));
    let whole = |input: Box<Plan>| Box::new(narrow(*input));
    let node = match node {
        Node::Filter { input, predicate } => Node::Filter { input: boxed(input, &with(used([&predicate]))), predicate },
        Node::Project { input, exprs } => {
            let places = used(wanted.iter().filter_map(|at| exprs.get(*at)));
            Node::Project { input: boxed(input, &places), exprs }
        }
        Node::Aggregate { input, keys, aggregates } => {
            let places = used(keys.iter().chain(aggregates.iter().flat_map(|call| &call.args)));
            Node::Aggregate { input: boxed(input, &places), keys, aggregates }
        }
        Node::Sort { input, keys } => {
            Node::Sort { input: boxed(input, &with(used(keys.iter().map(|key| &key.expr)))), keys }
        }
        Node::Limit { input, count } => Node::Limit { input: boxed(input, wanted), count },
        Node::Sample { input, count } => Node::Sample { input: boxed(input, wanted), count },
        Node::Join { left, right, kind, on } => {
            let (ours, theirs) = sides(wanted, left.schema.len(), kind);
            let left_places = used(on.iter().map(|(left, _)| left)).union(&ours).copied().collect();
            let right_places = used(on.iter().map(|(_, right)| right)).union(&theirs).copied().collect();
            Node::Join { left: boxed(left, &left_places), right: boxed(right, &right_places), kind, on }
        }
        Node::Union(inputs) => Node::Union(inputs.into_iter().map(|input| below(input, wanted)).collect()),
        Node::MvExpand { .. }
        | Node::Parse { .. }
        | Node::ParseKv { .. }
        | Node::Window { .. }
        | Node::MakeSeries { .. }
        | Node::TopNested { .. } => return operator(node, schema, span, wanted),
        Node::MvApply { input, columns, item_index, row_limit, body, keep } => {
            Node::MvApply { input: whole(input), columns, item_index, row_limit, body: whole(body), keep }
        }
        Node::Partition { input, key, body } => Node::Partition { input: whole(input), key, body: whole(body) },
        Node::Table { function, inputs } => Node::Table { function, inputs: inputs.into_iter().map(narrow).collect() },
        Node::Materialize { id, input } => Node::Materialize { id, input: whole(input) },
        leaf @ (Node::Scan(_)
        | Node::External(_)
        | Node::Values(_)
        | Node::Unit
        | Node::Range { .. }
        | Node::Input
        | Node::Sql(_)) => leaf,
    };
    Plan { node, schema, span }
}

/// The columns wanted of the left and of the right side of a join.
fn sides(wanted: &Places, left_width: usize, kind: JoinKind) -> (Places, Places) {
    match kind {
        JoinKind::LeftSemi | JoinKind::LeftAnti => (wanted.clone(), Places::new()),
        JoinKind::RightSemi | JoinKind::RightAnti => (Places::new(), wanted.clone()),
        _ => {
            let (left, right): (Places, Places) = wanted.iter().partition(|at| **at < left_width);
            (left, right.into_iter().map(|at| at - left_width).collect())
        }
    }
}

/// An operator over the columns that are used of its input.
fn operator(node: Node, schema: Schema, span: kyma_core::error::Span, wanted: &Places) -> Plan {
    let plan = Plan { node, schema, span };
    let Some(input) = plan.inputs().first().map(|input| &input.schema) else { return plan };
    let mut uses = uses(&plan, input, wanted);
    if uses.is_empty() {
        // Rows without columns are still counted, but not everything below can tell how many there are.
        uses.extend(cheapest(input));
    }
    if uses.len() == input.len() {
        return on_all(plan, &uses);
    }
    let mut narrowed = with_input(plan.clone(), |input| Plan::keep(below(input, &uses), uses.iter().copied(), span));
    // Which of the operator's columns are left, by their place now.
    let kept: Vec<usize> = kept(&plan, input, &uses);
    narrowed.schema = kept.iter().filter_map(|at| plan.schema.columns().get(*at).cloned()).collect();
    renumber(&mut narrowed.node, &|at| uses.range(..at).count(), &|at| {
        kept.iter().take_while(|one| **one < at).count()
    });
    let column = |(at, column): (usize, &Column)| {
        let expr = match kept.binary_search(&at) {
            Ok(now) => Expr::column(now, column.ty, span),
            Err(_) => Expr::literal(Value::Null(column.ty), span),
        };
        (column.name.clone(), expr)
    };
    if kept.len() == plan.schema.len() {
        return narrowed;
    }
    let columns = plan.schema.columns().iter().enumerate().map(column).collect();
    Plan::project(narrowed, columns, span)
}

/// The column that costs least to read.
fn cheapest(schema: &Schema) -> Option<usize> {
    let wide = |column: &Column| matches!(column.ty, Type::String | Type::Dynamic);
    (0..schema.len()).min_by_key(|at| schema.columns().get(*at).is_none_or(wide))
}

/// The operator over all columns of its input.
fn on_all(plan: Plan, uses: &Places) -> Plan {
    with_input(plan, |input| below(input, uses))
}

/// The columns of the operator's input that it and those above it use.
fn uses(plan: &Plan, input: &Schema, wanted: &Places) -> Places {
    let width = input.len();
    let passed = || wanted.iter().copied().filter(|at| *at < width);
    let by_name = |at: &usize| plan.schema.columns().get(*at).and_then(|column| input.index_of(&column.name));
    match &plan.node {
        Node::MvExpand { columns, .. } => passed().chain(columns.iter().map(|column| column.index)).collect(),
        Node::Parse { text, outputs, .. } => {
            let taken = wanted.iter().filter(|at| !outputs.contains(at)).filter_map(by_name);
            taken.chain(used([text])).collect()
        }
        Node::ParseKv { text, keys, .. } => {
            let passing = plan.schema.len().saturating_sub(keys.len());
            let taken = wanted.iter().filter(|at| **at < passing).filter_map(by_name);
            taken.chain(used([text])).collect()
        }
        Node::Window { calls, .. } => passed().chain(used(calls.iter().flat_map(|call| &call.args))).collect(),
        Node::MakeSeries { keys, aggregates, axis, .. } => {
            let args = aggregates.iter().flat_map(|(call, _)| &call.args);
            used(keys.iter().chain(args).chain([axis]))
        }
        Node::TopNested { levels, .. } => {
            used(levels.iter().flat_map(|level| std::iter::once(&level.key).chain(&level.by.args)))
        }
        _ => (0..width).collect(),
    }
}

/// The operator's columns that are left when its input has only those of `uses`.
fn kept(plan: &Plan, input: &Schema, uses: &Places) -> Vec<usize> {
    let places = 0..plan.schema.len();
    let passes = |at: usize| {
        let name = plan.schema.columns().get(at).map(|column| &column.name);
        name.and_then(|name| input.index_of(name)).is_some_and(|at| uses.contains(&at))
    };
    match &plan.node {
        Node::MvExpand { .. } | Node::Window { .. } => {
            places.filter(|at| *at >= input.len() || uses.contains(at)).collect()
        }
        Node::Parse { outputs, .. } => places.filter(|at| outputs.contains(at) || passes(*at)).collect(),
        Node::ParseKv { keys, .. } => {
            let passing = plan.schema.len().saturating_sub(keys.len());
            places.filter(|at| *at >= passing || passes(*at)).collect()
        }
        _ => places.collect(),
    }
}

/// Gives the places in a node their new numbers: those of the input's columns, and those of its own.
fn renumber(node: &mut Node, input: &impl Fn(usize) -> usize, output: &impl Fn(usize) -> usize) {
    let moved = |expr: &mut Expr| {
        let old = std::mem::replace(expr, Expr::literal(Value::Bool(false), expr.span));
        *expr = moved(old, input);
    };
    match node {
        Node::MvExpand { columns, .. } => {
            columns.iter_mut().for_each(|MvExpandColumn { index, .. }| *index = input(*index));
        }
        Node::Parse { text, outputs, .. } => {
            moved(text);
            outputs.iter_mut().for_each(|at| *at = output(*at));
        }
        Node::ParseKv { text, .. } => moved(text),
        Node::Window { calls, .. } => {
            calls.iter_mut().for_each(|WindowCall { args, .. }| args.iter_mut().for_each(moved));
        }
        Node::MakeSeries { keys, aggregates, axis, .. } => {
            let args = aggregates.iter_mut().flat_map(|(AggregateCall { args, .. }, _)| args);
            keys.iter_mut().chain(args).chain([axis]).for_each(moved);
        }
        Node::TopNested { levels, .. } => levels.iter_mut().for_each(|TopNestedLevel { key, by, .. }| {
            moved(key);
            by.args.iter_mut().for_each(moved);
        }),
        _ => {}
    }
}

fn moved(expr: Expr, place: &impl Fn(usize) -> usize) -> Expr {
    match expr.kind {
        ExprKind::Column(at) => Expr { kind: ExprKind::Column(place(at)), ..expr },
        _ => stacker::maybe_grow(128 * 1024, 4 * 1024 * 1024, || map_children(expr, &mut |child| moved(child, place))),
    }
}

/// The plan with its one input changed.
fn with_input(mut plan: Plan, change: impl FnOnce(Plan) -> Plan) -> Plan {
    match &mut plan.node {
        Node::MvExpand { input, .. }
        | Node::Parse { input, .. }
        | Node::ParseKv { input, .. }
        | Node::Window { input, .. }
        | Node::MakeSeries { input, .. }
        | Node::TopNested { input, .. } => {
            let placeholder = Plan::new(Node::Input, Schema::default(), plan.span);
            **input = change(std::mem::replace(&mut **input, placeholder));
        }
        _ => {}
    }
    plan
}
