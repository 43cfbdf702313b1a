//! `mv-apply` as one plan over the elements of all rows, instead of one plan per row.
//!
//! 1. The elements of all rows come as one table; beside its own columns each has those that are kept of its row, and the row's
//!    number, last.
//! 2. The body's operators are rewritten so that they pass these on: a filter filters, a projection carries them along, a sort
//!    sorts within the row, a limit counts within the row, an aggregate groups by the row too.
//! 3. An aggregate without keys gives a row also for a row whose elements were all filtered away: what it gives over nothing.
//!
//! A body with other operators, or with a sub-query over the row's elements, is left to run row by row.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::{AggregateCall, BinaryOp, Expr, ExprKind, JoinKind, Node, Plan, SortKey, WindowCall};

/// A body over the elements of all rows.
struct Flat<'a> {
    /// The leaf's columns: elements, kept columns, the row's number.
    leaf: &'a Schema,
    /// How many columns are kept of the row.
    kept: usize,
}

/// A rewritten relation: the body's columns, then the kept ones, then the row's number.
struct Rewritten {
    plan: Plan,
    /// Whether a row may have lost all its elements.
    may_be_empty: bool,
    /// Whether the rows are no longer in the order of the input's.
    is_scattered: bool,
}

/// Name of the column that holds the number of an element's row, and the start of those of the kept columns.
const ROW: &str = "\u{3}row";
const KEPT: &str = "\u{3}kept";

/// The columns of the table that [`flat`]'s plan is fed with.
pub(crate) fn leaf(elements: &Schema, kept: &[Column]) -> Schema {
    let kept = kept.iter().enumerate().map(|(at, column)| Column::new(format!("{KEPT}{at}"), column.ty));
    elements.columns().iter().cloned().chain(kept).chain([Column::new(ROW, Type::Long)]).collect()
}

/// The body over a table of columns `leaf`, giving the kept columns and its own, named as in `out`; `None` if it must run
/// row by row. Rows come in the order of the input's if `in_order`.
pub(crate) fn flat(body: &Plan, leaf: &Schema, kept: usize, in_order: bool, out: &Schema) -> Option<Plan> {
    let span = body.span;
    let Rewritten { plan, is_scattered, .. } = Flat { leaf, kept }.rewrite(body)?;
    let row = plan.schema.len() - 1;
    let plan = if in_order && is_scattered { Plan::sort(plan, vec![by_row(row, span)], span) } else { plan };
    let width = body.schema.len();
    let places = (width..width + kept).chain(0..width);
    let columns =
        places.zip(out.columns()).map(|(at, column)| (column.name.clone(), Expr::column(at, column.ty, span)));
    let columns = columns.collect();
    Some(Plan::project(plan, columns, span))
}

fn by_row(row: usize, span: Span) -> SortKey {
    SortKey { expr: Expr::column(row, Type::Long, span), descending: false, nulls_first: true }
}

impl Flat<'_> {
    fn rewrite(&self, body: &Plan) -> Option<Rewritten> {
        let span = body.span;
        match &body.node {
            Node::Input => {
                let plan = Plan::new(Node::Input, self.leaf.clone(), span);
                Some(Rewritten { plan, may_be_empty: false, is_scattered: false })
            }
            Node::Filter { input, predicate } if over_columns([predicate]) => {
                let below = self.rewrite(input)?;
                let plan = Plan::filter(below.plan, predicate.clone());
                Some(Rewritten { plan, may_be_empty: true, ..below })
            }
            Node::Project { input, exprs } if over_columns(exprs) => {
                let below = self.rewrite(input)?;
                let named = body.schema.columns().iter().zip(exprs);
                let mut columns: Vec<_> = named.map(|(column, expr)| (column.name.clone(), expr.clone())).collect();
                columns.extend(self.passed(&below.plan.schema, span));
                Some(Rewritten { plan: Plan::project(below.plan, columns, span), ..below })
            }
            Node::Sort { input, keys } if over_columns(keys.iter().map(|key| &key.expr)) => {
                let below = self.rewrite(input)?;
                let mut all = vec![by_row(below.plan.schema.len() - 1, span)];
                all.extend(keys.iter().cloned());
                Some(Rewritten { plan: Plan::sort(below.plan, all, span), is_scattered: false, ..below })
            }
            Node::Limit { input, count } => {
                let below = self.rewrite(input)?;
                let may_be_empty = below.may_be_empty || *count == 0;
                let plan = first_of_each(below.plan, below.is_scattered, *count, span);
                Some(Rewritten { plan, may_be_empty, is_scattered: false })
            }
            Node::Aggregate { input, keys, aggregates } => {
                let args = aggregates.iter().flat_map(|call| &call.args);
                over_columns(keys.iter().chain(args)).then_some(())?;
                let below = self.rewrite(input)?;
                Some(match keys.is_empty() && below.may_be_empty {
                    true => self.total(below.plan, aggregates, &body.schema, span),
                    false => {
                        let may_be_empty = below.may_be_empty;
                        let plan = self.grouped(below.plan, keys, aggregates, &body.schema, span);
                        Rewritten { plan, may_be_empty, is_scattered: true }
                    }
                })
            }
            _ => None,
        }
    }

    /// The columns that every operator passes on.
    fn passed(&self, schema: &Schema, span: Span) -> Vec<(String, Expr)> {
        let from = schema.len() - self.kept - 1;
        let column = |at: usize| {
            let column = &schema.columns()[at];
            (column.name.clone(), Expr::column(at, column.ty, span))
        };
        (from..schema.len()).map(column).collect()
    }

    /// Aggregates of which no row loses all its elements, or which have keys.
    fn grouped(&self, input: Plan, keys: &[Expr], calls: &[AggregateCall], out: &Schema, span: Span) -> Plan {
        let passed = self.passed(&input.schema, span);
        let row = passed.len() - 1;
        let by: Vec<Expr> = keys.iter().cloned().chain([passed[row].1.clone()]).collect();
        let mut all = calls.to_vec();
        all.extend(passed[..row].iter().map(|(_, column)| any_of(column)));
        let (key_columns, results) = out.columns().split_at(keys.len());
        let mut columns = key_columns.to_vec();
        columns.push(Column::new(ROW, Type::Long));
        columns.extend(results.iter().cloned());
        columns.extend(passed[..row].iter().map(|(name, column)| Column::new(name, column.ty)));
        let schema = Schema::new(columns);
        let node = Node::Aggregate { input: Box::new(input), keys: by, aggregates: all };
        let grouped = Plan::new(node, schema.clone(), span);
        // The row's number goes last again.
        let places = (0..schema.len()).filter(|at| *at != keys.len()).chain([keys.len()]);
        Plan::keep(grouped, places, span)
    }

    /// Aggregates without keys: every row has a result.
    fn total(&self, input: Plan, calls: &[AggregateCall], out: &Schema, span: Span) -> Rewritten {
        let nothing = Plan::new(Node::Values(Vec::new()), input.schema.clone(), span);
        let over_nothing = Node::Aggregate { input: Box::new(nothing), keys: Vec::new(), aggregates: calls.to_vec() };
        let over_nothing = Plan::new(over_nothing, out.clone(), span);
        let leaf = Plan::new(Node::Input, self.leaf.clone(), span);
        // Every row with its kept columns, in the order [kept..., row]; the results, in the order [results..., row, true].
        let rows = self.grouped(leaf, &[], &[], &Schema::default(), span);
        let row = input.schema.len() - 1;
        let by = vec![Expr::column(row, Type::Long, span)];
        let named = [Column::new(ROW, Type::Long)].into_iter().chain(out.columns().iter().cloned()).collect();
        let node = Node::Aggregate { input: Box::new(input), keys: by, aggregates: calls.to_vec() };
        let found = Plan::new(node, named, span);
        let present = ("\u{3}present".to_owned(), Expr::literal(Value::Bool(true), span));
        let columns = found.schema.columns().iter().enumerate();
        let columns = columns.map(|(at, column)| (format!("\u{3}r{at}"), Expr::column(at, column.ty, span)));
        let columns = columns.chain([present]).collect();
        let found = Plan::project(found, columns, span);
        let width = rows.schema.len();
        let on = vec![(Expr::column(width - 1, Type::Long, span), Expr::column(0, Type::Long, span))];
        let schema: Schema = rows.schema.columns().iter().chain(found.schema.columns()).cloned().collect();
        let present = Expr::column(schema.len() - 1, Type::Bool, span);
        let join = Node::Join { left: Box::new(rows), right: Box::new(found), kind: JoinKind::LeftOuter, on };
        let joined = Plan::new(join, schema.clone(), span);
        let result = |(at, column): (usize, &Column)| {
            let there = Expr::column(width + 1 + at, column.ty, span);
            let place = Expr::column(at, column.ty, span);
            let one = Plan::project(over_nothing.clone(), vec![(column.name.clone(), place)], span);
            let empty = Expr { kind: ExprKind::Scalar(Box::new(one)), ty: column.ty, span };
            let missing = Expr::call("isnull", vec![present.clone()], Type::Bool, span);
            (column.name.clone(), Expr::call("iff", vec![missing, empty, there], column.ty, span))
        };
        let mut columns: Vec<_> = out.columns().iter().enumerate().map(result).collect();
        columns.extend((0..width).map(|at| {
            let column = &schema.columns()[at];
            (column.name.clone(), Expr::column(at, column.ty, span))
        }));
        Rewritten { plan: Plan::project(joined, columns, span), may_be_empty: false, is_scattered: true }
    }
}

/// The value that a column has in all rows of a group.
fn any_of(column: &Expr) -> AggregateCall {
    AggregateCall { function: "take_any", args: vec![column.clone()], types: vec![column.ty], span: column.span }
}

/// At most `count` elements of every row, in their order.
fn first_of_each(input: Plan, is_scattered: bool, count: u64, span: Span) -> Plan {
    let width = input.schema.len();
    let row = Expr::column(width - 1, Type::Long, span);
    let input = if is_scattered { Plan::sort(input, vec![by_row(width - 1, span)], span) } else { input };
    let before = WindowCall { function: "prev", args: vec![row.clone()], ty: Type::Long, span };
    let before = with_window(input, "\u{3}before", before, span);
    let changes = Expr::binary(BinaryOp::NotEqual, row, Expr::column(width, Type::Long, span), Type::Bool);
    let one = Expr::literal(Value::Long(1), span);
    let number = WindowCall { function: "row_number", args: vec![one, changes], ty: Type::Long, span };
    let numbered = with_window(before, "\u{3}number", number, span);
    let limit = Expr::literal(Value::Long(i64::try_from(count).unwrap_or(i64::MAX)), span);
    let number = Expr::column(width + 1, Type::Long, span);
    let kept = Plan::filter(numbered, Expr::binary(BinaryOp::LessOrEqual, number, limit, Type::Bool));
    Plan::keep(kept, 0..width, span)
}

fn with_window(input: Plan, name: &str, call: WindowCall, span: Span) -> Plan {
    let schema = input.schema.columns().iter().cloned().chain([Column::new(name, call.ty)]).collect();
    Plan::new(Node::Window { input: Box::new(input), calls: vec![call] }, schema, span)
}

/// Whether no expression asks a sub-query over the row's elements.
fn over_columns<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> bool {
    exprs.into_iter().all(|expr| {
        let own = match &expr.kind {
            ExprKind::Scalar(plan) | ExprKind::InPlan { plan, .. } => !plan.is_fed(),
            _ => true,
        };
        own && over_columns(expr.children())
    })
}
