//! `top-nested` as aggregations, each joined with the rows left by the one before:
//!
//! 1. A level aggregates the input by its key and the keys before it.
//! 2. Only groups within the groups that the level before left go on; their columns come along.
//! 3. Within each group of the level before, rows are numbered by the aggregate, and the first ones stay.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::{AggregateCall, BinaryOp, Expr, JoinKind, Node, Plan, SortKey, WindowCall};

use super::expr::any_of;
use super::naming::Names;
use super::operators::{Columns, with_windows};
use super::{Bind, Binder, ScopeId, unsupported};
use crate::ast::Level;

/// One level, bound over the input.
struct Bound {
    count: Option<u64>,
    key: (String, Expr),
    by: (String, AggregateCall),
    ascending: bool,
}

impl Binder<'_> {
    pub(super) fn top_nested(&mut self, input: Plan, levels: &[Level], scope: ScopeId, span: Span) -> Bind<Plan> {
        let given = levels.iter().flat_map(|level| level.key.names.iter().chain(&level.by.names));
        let mut names = Names::declaring(given.map(|name| name.text.as_str()));
        let mut row = self.row(input.schema.clone(), scope);
        let mut bound: Vec<Bound> = Vec::new();
        for level in levels {
            if let Some(others) = &level.others {
                return unsupported("'with others' of top-nested", others.span);
            }
            let count = match &level.count {
                Some(count) => Some(self.count(count, scope)?),
                None => None,
            };
            let key = self.scalar(&level.key.value, &mut row)?;
            let key_name = names.of(level.key.names.first(), &level.key.value, &input.schema);
            let by = self.bare_aggregate(&level.by.value, &mut row)?;
            let by_name = match level.by.names.first() {
                Some(name) => names.unique(&name.text),
                None => names.unique(&format!("aggregated_{key_name}")),
            };
            bound.push(Bound { count, key: (key_name, key), by: (by_name, by), ascending: level.ascending });
        }
        let mut left: Option<Plan> = None;
        for at in 0..bound.len() {
            self.count_plan(&input)?;
            let groups = groups_of(&input, &bound[..=at], span);
            let nested = within(left, groups, &bound[at], span);
            left = Some(first_of_each(nested, &bound[at], span));
        }
        Ok(left.unwrap_or(input))
    }
}

/// The keys of the levels and the aggregate of the last one.
fn groups_of(input: &Plan, levels: &[Bound], span: Span) -> Plan {
    let keys: Vec<Expr> = levels.iter().map(|level| level.key.1.clone()).collect();
    let aggregates: Vec<AggregateCall> = levels.last().map(|level| level.by.1.clone()).into_iter().collect();
    let mut columns: Vec<Column> =
        keys.iter().enumerate().map(|(at, key)| Column::new(format!("$key{at}"), key.ty)).collect();
    columns.extend(aggregates.iter().map(|call| Column::new("$by", call.types[0])));
    let node = Node::Aggregate { input: Box::new(input.clone()), keys, aggregates };
    Plan::new(node, Schema::new(columns), span)
}

/// The groups that lie in those left by the level before, with its columns: key and aggregate of each level in turn.
fn within(left: Option<Plan>, groups: Plan, level: &Bound, span: Span) -> Plan {
    let before = left.as_ref().map_or(0, |left| left.schema.len());
    let depth = before / 2;
    let joined = match left {
        None => groups,
        Some(left) => {
            let columns: Vec<Column> = left.schema.columns().iter().chain(groups.schema.columns()).cloned().collect();
            let of = |schema: &Schema, at: usize| Expr::column(at, schema.columns()[at].ty, span);
            let on = (0..depth).map(|at| (of(&left.schema, 2 * at), of(&groups.schema, at))).collect();
            let node = Node::Join { left: Box::new(left), right: Box::new(groups), kind: JoinKind::Inner, on };
            Plan::new(node, Schema::new(columns), span)
        }
    };
    let column = |at: usize| Expr::column(at, joined.schema.columns()[at].ty, span);
    let mut columns: Columns = (0..before).map(|at| (joined.schema.columns()[at].name.clone(), column(at))).collect();
    columns.push((level.key.0.clone(), column(before + depth)));
    columns.push((level.by.0.clone(), column(before + depth + 1)));
    Plan::project(joined, columns, span)
}

/// The first rows of each group of the level before, by the aggregate.
fn first_of_each(rows: Plan, level: &Bound, span: Span) -> Plan {
    let Some(count) = level.count else { return rows };
    let width = rows.schema.len();
    let schema = rows.schema.clone();
    let column = |at: usize| Expr::column(at, schema.columns()[at].ty, span);
    let outer: Vec<usize> = (0..width - 2).step_by(2).collect();
    let by = SortKey { expr: column(width - 1), descending: !level.ascending, nulls_first: false };
    if outer.is_empty() {
        return Plan::limit(Plan::sort(rows, vec![by], span), count, span);
    }
    let key = |at: &usize| SortKey { expr: column(*at), descending: false, nulls_first: true };
    let sorted = Plan::sort(rows, outer.iter().map(key).chain([by]).collect(), span);
    let previous = |at: &usize| WindowCall { function: "prev", args: vec![column(*at)], ty: column(*at).ty, span };
    let with_previous = with_windows(sorted, outer.iter().map(previous).collect());
    let changes = outer.iter().enumerate().map(|(place, at)| {
        let before = Expr::column(width + place, column(*at).ty, span);
        Expr::binary(BinaryOp::NotEqual, column(*at), before, Type::Bool)
    });
    let restart = any_of(changes.collect(), span);
    let one = Expr::literal(Value::Long(1), span);
    let number = WindowCall { function: "row_number", args: vec![one, restart], ty: Type::Long, span };
    let numbered = with_windows(with_previous, vec![number]);
    let place = Expr::column(width + outer.len(), Type::Long, span);
    let limit = Expr::literal(Value::Long(i64::try_from(count).unwrap_or(i64::MAX)), span);
    let kept = Plan::filter(numbered, Expr::binary(BinaryOp::LessOrEqual, place, limit, Type::Bool));
    let columns = (0..width).map(|at| (schema.columns()[at].name.clone(), column(at))).collect();
    Plan::project(kept, columns, span)
}
