//! Plugins over ids on a timeline: `name(id, timeline, constants..., dimensions...)`.

use kyma_core::{Column, Type, Value};
use kyma_plan::{Expr, Plan};

use super::{Use, arg_at, not_given, over};
use crate::ast::{self, Call};
use crate::bind::naming::name_of;
use crate::bind::operators::Columns;
use crate::bind::{Bind, Binder, Binding, ScopeId, fail};

/// What the plugins of this file have in common.
struct Activity {
    input: Plan,
    /// Id, timeline, dimensions.
    columns: Columns,
    constants: Vec<Value>,
}

/// Reads a call with so many constants; with two less where start and end may be left out.
fn read(binder: &mut Binder<'_>, of: Use<'_>, constants: usize, range_is_optional: bool) -> Bind<Activity> {
    let Use { input, call, scope, span, .. } = of;
    let mut row = binder.row(input.schema.clone(), scope);
    let mut columns: Columns = Vec::new();
    for at in 0..2 {
        let arg = arg_at(call, at, span)?;
        let expr = binder.scalar(&arg.value, &mut row)?;
        columns.push((name_of(&arg.value, &input.schema).unwrap_or_else(|| format!("Column{}", at + 1)), expr));
    }
    let timeline = columns[1].1.ty;
    if !matches!(timeline, Type::Datetime | Type::Long | Type::Int) {
        let message = format!("the timeline is a datetime or a whole number, not a {timeline}");
        return fail("kql.type", message, columns[1].1.span);
    }
    if timeline == Type::Int {
        columns[1].1 = columns[1].1.clone().convert(Type::Long);
    }
    let mut values = Vec::new();
    for arg in call.args.iter().skip(2).take(constants) {
        match binder.constant(&arg.value, scope) {
            Ok(value) => values.push(value),
            Err(_) if range_is_optional && values.len() == constants - 2 => break,
            Err(error) => return Err(error),
        }
    }
    let taken = values.len();
    if range_is_optional && taken == constants - 2 {
        values.splice(0..0, [not_given(), not_given()]);
    }
    if values.len() < constants {
        arg_at(call, call.args.len(), span)?;
    }
    for arg in call.args.iter().skip(2 + taken) {
        let expr = binder.scalar(&arg.value, &mut row)?;
        columns.push((name_of(&arg.value, &input.schema).unwrap_or_else(|| format!("dim{}", columns.len() - 1)), expr));
    }
    Ok(Activity { input, columns, constants: values })
}

impl Activity {
    /// The kernel: bins, dimensions, figures.
    fn plan(self, name: &'static str, bins: &[&str], figures: &[(&str, Type)], span: kyma_core::error::Span) -> Plan {
        self.plan_beside(name, bins, figures, None, span)
    }

    /// The same, with a column that the kernel looks at but does not give.
    fn plan_beside(
        mut self,
        name: &'static str,
        bins: &[&str],
        figures: &[(&str, Type)],
        beside: Option<Expr>,
        span: kyma_core::error::Span,
    ) -> Plan {
        let (timeline, ty) = (self.columns[1].0.clone(), self.columns[1].1.ty);
        let bin = |prefix: &&str| Column::new(format!("{prefix}{timeline}"), ty);
        let mut names: Vec<Column> = bins.iter().map(bin).collect();
        names.extend(self.columns[2..].iter().map(|(name, expr)| Column::new(name, expr.ty)));
        names.extend(figures.iter().map(|(name, ty)| Column::new(*name, *ty)));
        self.columns.extend(beside.map(|expr| (String::new(), expr)));
        over(name, self.input, self.columns, self.constants, names.into_iter().collect(), span)
    }
}

pub(super) fn activity_counts_metrics(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let span = of.span;
    let figures =
        [("count", Type::Long), ("dcount", Type::Long), ("new_dcount", Type::Long), ("aggregated_dcount", Type::Long)];
    Ok(read(binder, of, 3, false)?.plan("activity_counts_metrics", &[""], &figures, span))
}

pub(super) fn activity_engagement(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let span = of.span;
    let figures = [
        ("dcount_activities_inner", Type::Long),
        ("dcount_activities_outer", Type::Long),
        ("activity_ratio", Type::Real),
    ];
    Ok(read(binder, of, 4, true)?.plan("activity_engagement", &[""], &figures, span))
}

pub(super) fn activity_metrics(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let span = of.span;
    let figures = [
        ("dcount_values", Type::Long),
        ("dcount_newvalues", Type::Long),
        ("retention_rate", Type::Real),
        ("churn_rate", Type::Real),
    ];
    Ok(read(binder, of, 3, true)?.plan("activity_metrics", &[""], &figures, span))
}

/// After the window may come a cohort (a constant), then dimensions, then a table of ids that are not new.
pub(super) fn new_activity_metrics(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let Use { input, call, declared, scope, span } = of;
    let figures = [
        ("dcount_new_values", Type::Long),
        ("dcount_retained_values", Type::Long),
        ("dcount_churn_values", Type::Long),
        ("retention_rate", Type::Real),
        ("churn_rate", Type::Real),
    ];
    let mut rest = call.clone();
    let look_back = rest.args.pop_if(|last| call.args.len() > 5 && is_table(binder, &input, &last.value, scope));
    let cohort = match rest.args.get(5).map(|arg| binder.constant(&arg.value, scope)) {
        Some(Ok(cohort)) => {
            rest.args.remove(5);
            cohort
        }
        _ => not_given(),
    };
    let known = match look_back {
        Some(ids) => is_in(binder, &input, &rest, ids.value, scope, span)?,
        None => Expr::literal(Value::Bool(false), span),
    };
    let mut activity = read(binder, Use { input, call: &rest, declared, scope, span }, 3, false)?;
    activity.constants.push(cohort);
    Ok(activity.plan_beside("new_activity_metrics", &["from_", "to_"], &figures, Some(known), span))
}

/// Whether an argument is a table: a pipeline, or a name of neither a column nor a scalar.
fn is_table(binder: &Binder<'_>, input: &Plan, expr: &ast::Expr, scope: ScopeId) -> bool {
    match &expr.kind {
        ast::ExprKind::Pipeline(_) | ast::ExprKind::Source(_) => true,
        ast::ExprKind::Name(name) => {
            input.schema.index_of(name).is_none() && !matches!(binder.lookup(name, scope), Some(Binding::Scalar { .. }))
        }
        _ => false,
    }
}

/// Whether the id of a row is among those of the same name in a table.
fn is_in(
    binder: &mut Binder<'_>,
    input: &Plan,
    call: &Call,
    table: ast::Expr,
    scope: ScopeId,
    span: kyma_core::error::Span,
) -> Bind<Expr> {
    let id = arg_at(call, 0, span)?;
    let place = table.span;
    let only_ids = ast::Operator { kind: ast::OperatorKind::Project(vec![id.clone()]), span: place };
    let pipeline = ast::Pipeline { source: table, operators: vec![only_ids] };
    let list = vec![ast::Expr { kind: ast::ExprKind::Pipeline(Box::new(pipeline)), span: place }];
    let left = Box::new(id.value.clone());
    let kind = ast::ExprKind::In { left, list, negated: false, ignore_case: false };
    let mut row = binder.row(input.schema.clone(), scope);
    binder.scalar(&ast::Expr { kind, span: place }, &mut row)
}

pub(super) fn active_users_count(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let span = of.span;
    Ok(read(binder, of, 6, false)?.plan("active_users_count", &[""], &[("dcount", Type::Long)], span))
}

pub(super) fn session_count(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let span = of.span;
    Ok(read(binder, of, 4, false)?.plan("session_count", &[""], &[("count_sessions", Type::Long)], span))
}

pub(super) fn sliding_window_counts(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let span = of.span;
    let figures = [("Count", Type::Long), ("Dcount", Type::Long)];
    Ok(read(binder, of, 4, false)?.plan("sliding_window_counts", &[""], &figures, span))
}

/// Its arguments stand in another order: value, percentile, index, bin, bins, dimensions.
pub(super) fn rolling_percentile(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let Use { input, call, scope, span, .. } = of;
    let mut row = binder.row(input.schema.clone(), scope);
    let mut columns: Columns = Vec::new();
    let mut constants = Vec::new();
    for (at, arg) in call.args.iter().enumerate() {
        if matches!(at, 1 | 3 | 4) {
            constants.push(binder.constant(&arg.value, scope)?);
            continue;
        }
        let expr = binder.scalar(&arg.value, &mut row)?;
        columns.push((name_of(&arg.value, &input.schema).unwrap_or_else(|| format!("Column{}", at + 1)), expr));
    }
    arg_at(call, 4, span)?;
    let [percent, _, bins] = &constants[..] else { return fail("kql.arguments", "a constant is missing", span) };
    let number = |value: &Value| match value {
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Real(value) => value.to_string().replace('.', "_"),
        _ => String::new(),
    };
    let name = format!("rolling_{}_percentile_{}_{}", number(bins), columns[0].0, number(percent));
    let ty = columns[0].1.ty;
    if !ty.is_numeric() {
        return fail("kql.type", format!("the value is a number, not a {ty}"), columns[0].1.span);
    }
    let widen = |expr: &mut Expr| {
        if expr.ty == Type::Int {
            *expr = expr.clone().convert(Type::Long);
        }
    };
    widen(&mut columns[1].1);
    Ok(Activity { input, columns, constants }.plan("rolling_percentile", &[""], &[(&name, ty)], span))
}
