//! Dynamic-path pushdown: `d.a.b`, and its conversion to a type, become columns of the scan, which the format reads from a
//! typed sub-column where it has one.
//!
//! 1. Every node says which paths of its input's columns its expressions use.
//! 2. A wish travels down through nodes that pass the column along (filter, sort, limit, a projection of the column itself) and
//!    arrives at the scan, which appends a virtual column, or at a node that makes the column anew, which refuses it.
//! 3. On the way back, nodes in between carry the new column at their end, and the expression becomes that column.
//!
//! What the catalog knows of a row's extent (`extent_id()`) travels the same way, as a wish without a column.
//!
//! A rewritten relation may so have more columns than before, at its end; [`exact`] cuts them off where the number counts.

use std::collections::BTreeMap;

use kyma_core::format::ReadColumn;
use kyma_core::predicate::ColumnRef;
use kyma_core::{Column, Schema, Type};
use kyma_plan::node::Scan;
use kyma_plan::{Expr, ExprKind, Node, Plan, SortKey};

use crate::scan::facts::Fact;

/// A path of an input column, read as a type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    column: usize,
    keys: Vec<String>,
    ty: Type,
}

/// Where a wish was fulfilled.
type Granted = BTreeMap<Wish, usize>;

/// Marks the name of a virtual column; no name of a stored column starts so.
const MARK: char = '\u{1}';
const SEPARATOR: char = '\u{2}';
/// Instead of a column, where a wish is for what the catalog knows of a row's extent; its key is the function.
const FACT: usize = usize::MAX;

/// The plan with paths pushed into its scans.
pub(crate) fn push_paths(plan: Plan) -> Plan {
    exact(plan)
}

/// What a column of a scan's schema reads.
pub(crate) fn read_column(column: &Column) -> ReadColumn {
    match column.name.strip_prefix(MARK) {
        None => ReadColumn::column(&column.name, column.ty),
        Some(marked) => {
            let mut parts = marked.split(SEPARATOR).map(str::to_owned);
            let name = parts.next().unwrap_or_default();
            ReadColumn { source: ColumnRef::path(name, parts.skip(1).collect()), ty: column.ty }
        }
    }
}

/// The column of a scan that reads what the catalog knows under this name.
pub(crate) fn fact_column(name: &str, ty: Type) -> Column {
    Column::new(format!("{MARK}{name}"), ty)
}

fn virtual_name(column: &str, wish: &Wish) -> String {
    let mut name = format!("{MARK}{column}{SEPARATOR}{}", wish.ty);
    wish.keys.iter().for_each(|key| {
        name.push(SEPARATOR);
        name.push_str(key);
    });
    name
}

/// The rewritten plan with exactly the columns it had.
fn exact(plan: Plan) -> Plan {
    let wanted = plan.schema.len();
    let (plan, _) = push(plan, Vec::new());
    if plan.schema.len() == wanted {
        return plan;
    }
    let span = plan.span;
    Plan::keep(plan, 0..wanted, span)
}

fn push(plan: Plan, wishes: Vec<Wish>) -> (Plan, Granted) {
    stacker::maybe_grow(128 * 1024, 4 * 1024 * 1024, || push_here(plan, wishes))
}

fn push_here(plan: Plan, wishes: Vec<Wish>) -> (Plan, Granted) {
    let Plan { node, schema, span } = plan;
    match node {
        Node::Scan(scan) => push_scan(scan, schema, span, wishes),
        Node::Filter { input, predicate } => {
            let (input, granted) = push(*input, with(wishes, [&predicate]));
            let predicate = replace(predicate, &granted);
            (carry(Node::Filter { input: Box::new(input.clone()), predicate }, schema, &input, span), granted)
        }
        Node::Sort { input, keys } => {
            let (input, granted) = push(*input, with(wishes, keys.iter().map(|key| &key.expr)));
            let keys = keys.into_iter().map(|key| SortKey { expr: replace(key.expr, &granted), ..key }).collect();
            (carry(Node::Sort { input: Box::new(input.clone()), keys }, schema, &input, span), granted)
        }
        Node::Limit { input, count } => {
            let (input, granted) = push(*input, wishes);
            (carry(Node::Limit { input: Box::new(input.clone()), count }, schema, &input, span), granted)
        }
        Node::Sample { input, count } => {
            let (input, granted) = push(*input, wishes);
            (carry(Node::Sample { input: Box::new(input.clone()), count }, schema, &input, span), granted)
        }
        Node::Project { input, exprs } => push_project(*input, exprs, schema, span, wishes),
        Node::Aggregate { input, keys, mut aggregates } => {
            let used = keys.iter().chain(aggregates.iter().flat_map(|call| &call.args));
            let (input, granted) = push(*input, with(Vec::new(), used));
            let keys = keys.into_iter().map(|key| replace(key, &granted)).collect();
            for call in &mut aggregates {
                call.args = std::mem::take(&mut call.args).into_iter().map(|arg| replace(arg, &granted)).collect();
            }
            (Plan::new(Node::Aggregate { input: Box::new(input), keys, aggregates }, schema, span), Granted::new())
        }
        other => (Plan::new(inputs_exact(other), schema, span), Granted::new()),
    }
}

/// A node that passes its input's columns on, new ones included.
fn carry(node: Node, schema: Schema, input: &Plan, span: kyma_core::error::Span) -> Plan {
    let extra = input.schema.columns().iter().skip(schema.len()).cloned();
    let columns = schema.columns().iter().cloned().chain(extra).collect();
    Plan::new(node, columns, span)
}

fn push_scan(scan: Scan, schema: Schema, span: kyma_core::error::Span, wishes: Vec<Wish>) -> (Plan, Granted) {
    let mut columns = schema.columns().to_vec();
    let mut granted = Granted::new();
    for wish in wishes {
        if wish.column == FACT {
            if let Some(function) = wish.keys.first().filter(|_| !granted.contains_key(&wish)) {
                columns.push(fact_column(&Fact::column_name(function), wish.ty));
                granted.insert(wish, columns.len() - 1);
            }
            continue;
        }
        let Some(base) = schema.columns().get(wish.column).filter(|base| base.ty == Type::Dynamic) else { continue };
        let clean = |text: &str| !text.contains([MARK, SEPARATOR]);
        if granted.contains_key(&wish) || !clean(&base.name) || !wish.keys.iter().all(|key| clean(key)) {
            continue;
        }
        columns.push(Column::new(virtual_name(&base.name, &wish), wish.ty));
        granted.insert(wish, columns.len() - 1);
    }
    (Plan::new(Node::Scan(scan), Schema::new(columns), span), granted)
}

fn push_project(
    input: Plan,
    exprs: Vec<Expr>,
    schema: Schema,
    span: kyma_core::error::Span,
    wishes: Vec<Wish>,
) -> (Plan, Granted) {
    let below = |wish: &Wish| match exprs.get(wish.column).map(|expr| &expr.kind) {
        Some(ExprKind::Column(column)) => Some(Wish { column: *column, ..wish.clone() }),
        None if wish.column == FACT => Some(wish.clone()),
        _ => None,
    };
    let passed: Vec<(Wish, Wish)> = wishes.iter().filter_map(|wish| Some((wish.clone(), below(wish)?))).collect();
    let wanted = with(passed.iter().map(|(_, below)| below.clone()).collect(), exprs.iter());
    let (input, granted) = push(input, wanted);
    let mut exprs: Vec<Expr> = exprs.into_iter().map(|expr| replace(expr, &granted)).collect();
    let mut columns = schema.columns().to_vec();
    let mut mine = Granted::new();
    for (wish, below) in passed {
        let Some(at) = granted.get(&below).filter(|_| !mine.contains_key(&wish)) else { continue };
        let Some(column) = input.schema.columns().get(*at) else { continue };
        if columns.iter().any(|known| known.name == column.name) {
            continue;
        }
        columns.push(column.clone());
        exprs.push(Expr::column(*at, column.ty, span));
        mine.insert(wish, columns.len() - 1);
    }
    (Plan::new(Node::Project { input: Box::new(input), exprs }, Schema::new(columns), span), mine)
}

fn with<'a>(mut wishes: Vec<Wish>, exprs: impl IntoIterator<Item = &'a Expr>) -> Vec<Wish> {
    exprs.into_iter().for_each(|expr| collect(expr, &mut wishes));
    wishes.sort();
    wishes.dedup();
    wishes
}

fn collect(expr: &Expr, wishes: &mut Vec<Wish>) {
    match wish_of(expr) {
        Some(wish) => wishes.push(wish),
        None => stacker::maybe_grow(128 * 1024, 4 * 1024 * 1024, || {
            expr.children().into_iter().for_each(|child| collect(child, wishes));
        }),
    }
}

/// Types that every format converts a path to exactly as our kernels do. (Times have spellings that only the kernels know.)
fn read_by_formats(ty: Type) -> bool {
    matches!(ty, Type::String | Type::Long | Type::Int | Type::Real | Type::Bool)
}

/// The path that an expression is.
fn wish_of(expr: &Expr) -> Option<Wish> {
    match &expr.kind {
        ExprKind::Call { function, args } if args.is_empty() && Fact::named(function).is_some() => {
            Some(Wish { column: FACT, keys: vec![(*function).to_owned()], ty: expr.ty })
        }
        ExprKind::Path { base, keys } => {
            let ExprKind::Column(column) = base.kind else { return None };
            Some(Wish { column, keys: keys.clone(), ty: Type::Dynamic })
        }
        _ => {
            let path = converted(expr).filter(|inner| matches!(inner.kind, ExprKind::Path { .. }))?;
            let wish = wish_of(path)?;
            read_by_formats(expr.ty).then_some(Wish { ty: expr.ty, ..wish })
        }
    }
}

/// What an expression converts to its type.
pub(crate) fn converted(expr: &Expr) -> Option<&Expr> {
    const CONVERSIONS: [&str; 9] =
        ["tostring", "tolong", "toint", "toreal", "todecimal", "tobool", "todatetime", "totimespan", "toguid"];
    match &expr.kind {
        ExprKind::Convert(inner) => Some(inner),
        ExprKind::Call { function, args } if CONVERSIONS.contains(function) && args.len() == 1 => args.first(),
        _ => None,
    }
}

fn replace(expr: Expr, granted: &Granted) -> Expr {
    if granted.is_empty() {
        return expr;
    }
    stacker::maybe_grow(128 * 1024, 4 * 1024 * 1024, || {
        if let Some(at) = wish_of(&expr).and_then(|wish| granted.get(&wish)) {
            return Expr::column(*at, expr.ty, expr.span);
        }
        map_children(expr, &mut |child| replace(child, granted))
    })
}

/// The expression with its direct sub-expressions changed.
pub(crate) fn map_children(expr: Expr, change: &mut impl FnMut(Expr) -> Expr) -> Expr {
    let Expr { kind, ty, span } = expr;
    let mut boxed = |inner: Box<Expr>| Box::new(change(*inner));
    let kind = match kind {
        ExprKind::Call { function, args } => ExprKind::Call { function, args: args.into_iter().map(change).collect() },
        ExprKind::Binary { op, left, right } => ExprKind::Binary { op, left: boxed(left), right: boxed(right) },
        ExprKind::And(parts) => ExprKind::And(parts.into_iter().map(change).collect()),
        ExprKind::Or(parts) => ExprKind::Or(parts.into_iter().map(change).collect()),
        ExprKind::Not(inner) => ExprKind::Not(boxed(inner)),
        ExprKind::Convert(inner) => ExprKind::Convert(boxed(inner)),
        ExprKind::Path { base, keys } => ExprKind::Path { base: boxed(base), keys },
        ExprKind::In { expr, list, ignore_case } => {
            let expr = boxed(expr);
            ExprKind::In { expr, list: list.into_iter().map(change).collect(), ignore_case }
        }
        ExprKind::InPlan { expr, plan, ignore_case } => ExprKind::InPlan { expr: boxed(expr), plan, ignore_case },
        ExprKind::Element { base, index } => ExprKind::Element { base: boxed(base), index: boxed(index) },
        leaf @ (ExprKind::Literal(_) | ExprKind::Column(_) | ExprKind::Scalar(_)) => leaf,
    };
    Expr { kind, ty, span }
}

/// A node whose inputs keep their number of columns.
fn inputs_exact(mut node: Node) -> Node {
    let placeholder = || Plan::new(Node::Input, Schema::default(), Default::default());
    let redo = |input: &mut Box<Plan>| **input = exact(std::mem::replace(&mut **input, placeholder()));
    match &mut node {
        Node::MvExpand { input, .. }
        | Node::Parse { input, .. }
        | Node::ParseKv { input, .. }
        | Node::Window { input, .. }
        | Node::MakeSeries { input, .. }
        | Node::TopNested { input, .. }
        | Node::Materialize { input, .. } => redo(input),
        Node::MvApply { input, body, .. } | Node::Partition { input, body, .. } => {
            redo(input);
            redo(body);
        }
        Node::Join { left, right, .. } => {
            redo(left);
            redo(right);
        }
        Node::Union(inputs) | Node::Table { inputs, .. } => {
            inputs.iter_mut().for_each(|input| *input = exact(std::mem::replace(input, placeholder())));
        }
        _ => {}
    }
    node
}
