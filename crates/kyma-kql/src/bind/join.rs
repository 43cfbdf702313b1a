//! `join` and `lookup`.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type};
use kyma_plan::functions::{common_type, nearest};
use kyma_plan::{BinaryOp, Expr, JoinKind, Node, Plan};

use super::naming::Names;
use super::operators::keep_columns;
use super::{Bind, Binder, ScopeId, fail, fail_with_hint, fold};
use crate::ast::{self, ExprKind, Settings};

/// Kinds of join, for hints.
const KINDS: [&str; 9] =
    ["innerunique", "inner", "leftouter", "rightouter", "fullouter", "leftsemi", "rightsemi", "leftanti", "rightanti"];

impl Binder<'_> {
    #[allow(clippy::too_many_arguments)] // The parts of one operator.
    pub(super) fn join(
        &mut self,
        left: Plan,
        settings: &Settings,
        right: &ast::Expr,
        on: &[ast::Expr],
        lookup: bool,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let kind = match kind_of(settings, lookup) {
            Ok(kind) => kind,
            // Its inputs and conditions are read as of any other.
            Err(error) => {
                self.report(*error);
                JoinKind::Inner
            }
        };
        let right_span = right.span;
        let right = self.table(right, scope);
        let right = self.table_or_open(right, right_span)?;
        if on.is_empty() && !is_cross(settings) {
            return fail("kql.join_condition", "the join needs 'on' and the columns to match", span);
        }
        let mut pairs = Vec::new();
        for condition in on {
            // A broken condition changes no column.
            if let Err(error) = self.condition(condition, &left.schema, &right.schema, scope, &mut pairs) {
                self.report(*error);
            }
        }
        let right_keys: Vec<Option<usize>> = pairs.iter().map(|(_, key)| bare_column(key)).collect();
        let left_width = left.schema.len();
        let right_schema = right.schema.clone();
        let schema = joined_schema(kind, &left.schema, &right.schema);
        let node = Node::Join { left: Box::new(left), right: Box::new(right), kind, on: pairs };
        let plan = Plan::new(node, schema, span);
        if !lookup {
            return Ok(plan);
        }
        // A lookup does not repeat the keys of the right side.
        let kept: Vec<usize> = (0..left_width)
            .chain((0..right_schema.len()).filter(|at| !right_keys.contains(&Some(*at))).map(|at| left_width + at))
            .collect();
        Ok(keep_columns(plan, &kept, span))
    }

    fn condition(
        &mut self,
        condition: &ast::Expr,
        left: &Schema,
        right: &Schema,
        scope: ScopeId,
        pairs: &mut Vec<(Expr, Expr)>,
    ) -> Bind<()> {
        match &condition.kind {
            ExprKind::And(parts) => parts.iter().try_for_each(|part| self.condition(part, left, right, scope, pairs)),
            ExprKind::Binary(BinaryOp::Equal, a, b) => {
                let (a, b) = match (side_of(a), side_of(b)) {
                    (Some("$right"), _) | (_, Some("$left")) => (b, a),
                    _ => (a, b),
                };
                self.key(a, b, left, right, scope, pairs)
            }
            ExprKind::Name(_) => self.key(condition, condition, left, right, scope, pairs),
            _ => {
                let message = "a join is on equal columns: 'name' or '$left.a == $right.b'";
                fail("kql.join_condition", message, condition.span)
            }
        }
    }

    fn key(
        &mut self,
        a: &ast::Expr,
        b: &ast::Expr,
        left: &Schema,
        right: &Schema,
        scope: ScopeId,
        pairs: &mut Vec<(Expr, Expr)>,
    ) -> Bind<()> {
        match (self.side(a, left, "$left", scope), self.side(b, right, "$right", scope)) {
            (Ok(a), Ok(b)) => pairs.push(pair(a, b)?),
            // One name that neither side has is one error.
            (Err(first), Err(second)) => {
                if first.span != second.span {
                    self.report(*first);
                }
                return Err(second);
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
        Ok(())
    }

    fn side(&mut self, expr: &ast::Expr, schema: &Schema, side: &'static str, scope: ScopeId) -> Bind<Expr> {
        let mut row = self.row(schema.clone(), scope);
        row.side = Some(side);
        self.scalar(expr, &mut row)
    }
}

/// Passes a condition on the left side's columns on to before an `innerunique` join picks one row per key, so that it
/// picks among the rows that the query wants.
pub(super) fn before_unique(plan: Plan, predicate: &Expr) -> Plan {
    let Plan { node, schema, span } = plan;
    let node = match node {
        Node::Join { left, right, kind: JoinKind::InnerUnique, on } => {
            let width = left.schema.len();
            let parts = match &predicate.kind {
                kyma_plan::ExprKind::And(parts) => parts.as_slice(),
                _ => std::slice::from_ref(predicate),
            };
            let of_left = |part: &&Expr| {
                let mut all = true;
                part.for_each_column(&mut |column| all &= column < width);
                all
            };
            let left = parts.iter().filter(of_left).fold(*left, |left, part| Plan::filter(left, part.clone()));
            Node::Join { left: Box::new(left), right, kind: JoinKind::InnerUnique, on }
        }
        other => other,
    };
    Plan::new(node, schema, span)
}

fn is_cross(settings: &Settings) -> bool {
    settings.iter().any(|(_, value)| matches!(&value.kind, ExprKind::Name(word) if word == "cross"))
}

/// The first `$left` or `$right` in an expression.
fn side_of(expr: &ast::Expr) -> Option<&'static str> {
    match &expr.kind {
        ExprKind::Name(name) if name == "$left" => Some("$left"),
        ExprKind::Name(name) if name == "$right" => Some("$right"),
        ExprKind::Member(base, _) => side_of(base),
        ExprKind::Index(base, _) => side_of(base),
        ExprKind::Call(call) => call.args.iter().find_map(|arg| side_of(&arg.value)),
        _ => None,
    }
}

fn pair(a: Expr, b: Expr) -> Bind<(Expr, Expr)> {
    let ty = match (a.ty, b.ty) {
        (Type::Dynamic, Type::Dynamic) => Type::Dynamic,
        (Type::Dynamic, other) | (other, Type::Dynamic) => other,
        (a_ty, b_ty) => match common_type(a_ty, b_ty) {
            Some(ty) => ty,
            None => {
                let message = format!("a {a_ty} cannot be joined with a {b_ty}");
                return fail("kql.type", message, a.span.to(b.span));
            }
        },
    };
    Ok((fold::convert(a, ty), fold::convert(b, ty)))
}

fn bare_column(expr: &Expr) -> Option<usize> {
    match &expr.kind {
        kyma_plan::ExprKind::Column(index) => Some(*index),
        kyma_plan::ExprKind::Convert(inner) => bare_column(inner),
        _ => None,
    }
}

fn kind_of(settings: &Settings, lookup: bool) -> Bind<JoinKind> {
    let Some((_, value)) = settings.iter().find(|(name, _)| name.text.eq_ignore_ascii_case("kind")) else {
        return Ok(if lookup { JoinKind::LeftOuter } else { JoinKind::InnerUnique });
    };
    let ExprKind::Name(word) = &value.kind else { return fail("kql.syntax", "expected a kind of join", value.span) };
    Ok(match word.to_ascii_lowercase().as_str() {
        "innerunique" => JoinKind::InnerUnique,
        "inner" => JoinKind::Inner,
        "leftouter" => JoinKind::LeftOuter,
        "rightouter" => JoinKind::RightOuter,
        "fullouter" => JoinKind::FullOuter,
        "leftsemi" => JoinKind::LeftSemi,
        "rightsemi" => JoinKind::RightSemi,
        "leftanti" | "anti" | "leftantisemi" => JoinKind::LeftAnti,
        "rightanti" | "rightantisemi" => JoinKind::RightAnti,
        "cross" => JoinKind::Inner,
        other => {
            let hint = nearest(other, KINDS.into_iter()).map(|near| format!("did you mean '{near}'?"));
            let all = || format!("kinds are {}", KINDS.join(", "));
            let message = format!("unknown kind of join '{other}'");
            return fail_with_hint("kql.unknown_kind", message, value.span, Some(hint.unwrap_or_else(all)));
        }
    })
}

fn joined_schema(kind: JoinKind, left: &Schema, right: &Schema) -> Schema {
    match kind {
        JoinKind::LeftSemi | JoinKind::LeftAnti => return left.clone(),
        JoinKind::RightSemi | JoinKind::RightAnti => return right.clone(),
        _ => {}
    }
    // A number makes no name of the other columns.
    let mut names = Names::declaring(left.columns().iter().chain(right.columns()).map(|column| column.name.as_str()));
    let columns = left.columns().iter().chain(right.columns());
    columns.map(|column| Column::new(names.unique(&column.name), column.ty)).collect()
}
