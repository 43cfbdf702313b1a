//! `evaluate geo_polygon_lookup` and `evaluate geo_line_lookup`: points joined with the shapes that they are in or near.
//!
//! A cross join that keeps the pairs whose shape and point fit. Where rows without a shape are asked for, the input is
//! numbered and kept (`materialize`), so that rows can be told from those of the pairs; the rest follows with nulls.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::{BinaryOp, Expr, JoinKind, Node, Plan, WindowCall};

use super::Use;
use crate::ast::{self, Arg, Call};
use crate::bind::expr::resolved;
use crate::bind::naming::Names;
use crate::bind::operators::{Columns, all_columns, keep_columns, with_windows};
use crate::bind::{Bind, Binder, Row, ScopeId, fail, fail_with_hint, fold};

/// What may follow the table, its key, longitude and latitude, by name or in this order.
const OPTIONS: [&str; 4] = ["radius", "return_unmatched", "join_hint", "return_lookup_key"];
const FIXED: usize = 4;

/// Points in polygons or, with a radius, near them.
pub(super) fn geo_polygon_lookup(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let span = of.span;
    let lookup = binder.geo_lookup(of.input, of.call, of.scope, span)?;
    let distance = lookup.radius.is_some().then_some("geo_distance_point_to_polygon");
    binder.geo_joined(lookup, distance.unwrap_or("geo_point_in_polygon"), span)
}

/// Points near lines.
pub(super) fn geo_line_lookup(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let span = of.span;
    let lookup = binder.geo_lookup(of.input, of.call, of.scope, span)?;
    if lookup.radius.is_none() {
        let hint = Some("evaluate geo_line_lookup(lines, line, longitude, latitude, 100)".to_owned());
        return fail_with_hint("kql.arguments", "geo_line_lookup() needs a radius", span, hint);
    }
    binder.geo_joined(lookup, "geo_distance_point_to_line", span)
}

impl Binder<'_> {
    fn geo_lookup(&mut self, input: Plan, call: &Call, scope: ScopeId, span: Span) -> Bind<Lookup> {
        let [table, key, longitude, latitude] = fixed(call, span)?;
        let right = self.table(table, scope)?;
        let right_row = self.row(right.schema.clone(), scope);
        let key = self.bare_column(key, &right_row)?;
        let mut row = self.row(input.schema.clone(), scope);
        let longitude = self.scalar(longitude, &mut row)?;
        let latitude = self.scalar(latitude, &mut row)?;
        let radius = match option(call, OPTIONS[0], span)? {
            Some(arg) => Some(self.number(arg, scope)?),
            None => None,
        };
        let keeps_unmatched = self.geo_flag(option(call, OPTIONS[1], span)?, scope)?;
        let keeps_key = self.geo_flag(option(call, OPTIONS[3], span)?, scope)?;
        Ok(Lookup { left: input, right, key, longitude, latitude, radius, keeps_unmatched, keeps_key })
    }

    fn bare_column(&self, expr: &ast::Expr, row: &Row) -> Bind<usize> {
        match &expr.kind {
            ast::ExprKind::Name(name) => self.column_index(name, expr.span, row),
            _ => fail("kql.arguments", "expected the column of the shapes", expr.span),
        }
    }

    fn number(&mut self, arg: &Arg, scope: ScopeId) -> Bind<Expr> {
        let value = self.constant(&arg.value, scope)?;
        let number = match value {
            Value::Int(value) => f64::from(value),
            Value::Long(value) => value as f64,
            Value::Real(value) => value,
            _ => return fail("kql.type", "the radius is a number", arg.value.span),
        };
        Ok(Expr::literal(Value::Real(number), arg.value.span))
    }

    fn geo_flag(&mut self, arg: Option<&Arg>, scope: ScopeId) -> Bind<bool> {
        let Some(arg) = arg else { return Ok(false) };
        match self.constant(&arg.value, scope)? {
            Value::Bool(flag) => Ok(flag),
            _ => fail("kql.type", "expected true or false", arg.value.span),
        }
    }

    fn geo_joined(&mut self, lookup: Lookup, function: &str, span: Span) -> Bind<Plan> {
        let width = lookup.left.schema.len();
        if !lookup.keeps_unmatched {
            let fits = lookup.fits(function, width, span)?;
            let kept = lookup.kept(width);
            let pairs = Plan::filter(cross(lookup.left, lookup.right, span), fits);
            return Ok(keep_columns(pairs, &kept, span));
        }
        // The number follows the left columns: those of the right table move on by one.
        let fits = lookup.fits(function, width + 1, span)?;
        let kept = lookup.kept(width + 1);
        let rows = self.numbered(lookup.left, span);
        let pairs = Plan::filter(cross(rows.clone(), lookup.right, span), fits);
        let matched = keep_columns(pairs.clone(), &kept, span);
        let alone = without(rows, keep_columns(pairs, &[width], span), width, span);
        let unmatched = filled(alone, width, &matched.schema, span);
        let schema = matched.schema.clone();
        Ok(Plan::new(Node::Union(vec![matched, unmatched]), schema, span))
    }

    /// The rows with their number in a column after the others, the same wherever they are used.
    fn numbered(&mut self, rows: Plan, span: Span) -> Plan {
        let number = WindowCall { function: "row_number", args: Vec::new(), ty: Type::Long, span };
        let rows = with_windows(rows, vec![number]);
        let schema = rows.schema.clone();
        let id = self.materialized;
        self.materialized += 1;
        Plan::new(Node::Materialize { id, input: Box::new(rows) }, schema, span)
    }
}

/// A call, bound.
struct Lookup {
    left: Plan,
    right: Plan,
    /// Place of the shapes in it.
    key: usize,
    longitude: Expr,
    latitude: Expr,
    radius: Option<Expr>,
    keeps_unmatched: bool,
    keeps_key: bool,
}

impl Lookup {
    /// Whether point and shape of a pair fit, when the right table's columns begin at `right_at`.
    fn fits(&self, function: &str, right_at: usize, span: Span) -> Bind<Expr> {
        let ty = self.right.schema.columns().get(self.key).map_or(Type::Dynamic, |column| column.ty);
        let shape = Expr::column(right_at + self.key, ty, span);
        let found = resolved(function, vec![self.longitude.clone(), self.latitude.clone(), shape], span)?;
        Ok(match self.radius.clone() {
            Some(radius) => Expr::binary(BinaryOp::LessOrEqual, found, radius, Type::Bool),
            None => found,
        })
    }

    /// Places of the columns of a pair that stay.
    fn kept(&self, right_at: usize) -> Vec<usize> {
        let right = (0..self.right.schema.len()).filter(|at| self.keeps_key || *at != self.key);
        (0..self.left.schema.len()).chain(right.map(|at| right_at + at)).collect()
    }
}

fn fixed(call: &Call, span: Span) -> Bind<[&ast::Expr; FIXED]> {
    let positional: Vec<&ast::Expr> =
        call.args.iter().take_while(|arg| arg.names.is_empty()).take(FIXED).map(|arg| &arg.value).collect();
    match <[&ast::Expr; FIXED]>::try_from(positional) {
        Ok(fixed) => Ok(fixed),
        Err(_) => {
            let name = &call.name.text;
            let hint = Some(format!("evaluate {name}(shapes, shape, longitude, latitude)"));
            let message = format!("{name}() needs a table, its column of shapes, longitude and latitude");
            fail_with_hint("kql.arguments", message, span, hint)
        }
    }
}

/// The option of this name, given by it or by its place.
fn option<'c>(call: &'c Call, name: &str, span: Span) -> Bind<Option<&'c Arg>> {
    let mut found = None;
    for (at, arg) in call.args.iter().enumerate().skip(FIXED) {
        let given = match arg.names.first() {
            Some(given) => OPTIONS.iter().find(|option| given.text.eq_ignore_ascii_case(option)),
            None => OPTIONS.get(at - FIXED),
        };
        let Some(given) = given else {
            return fail("kql.arguments", format!("{}() has no such option", call.name.text), span);
        };
        if *given == name {
            found = Some(arg);
        }
    }
    Ok(found)
}

/// All pairs. Columns of the same name are told apart, as in a join.
pub(in crate::bind) fn cross(left: Plan, right: Plan, span: Span) -> Plan {
    let mut names = Names::default();
    let columns = left.schema.columns().iter().chain(right.schema.columns());
    let schema = columns.map(|column| Column::new(names.unique(&column.name), column.ty)).collect();
    let node = Node::Join { left: Box::new(left), right: Box::new(right), kind: JoinKind::Inner, on: Vec::new() };
    Plan::new(node, schema, span)
}

/// The rows whose number, in column `at`, is none of `numbers`.
fn without(rows: Plan, numbers: Plan, at: usize, span: Span) -> Plan {
    let schema = rows.schema.clone();
    let on = vec![(Expr::column(at, Type::Long, span), Expr::column(0, Type::Long, span))];
    let node = Node::Join { left: Box::new(rows), right: Box::new(numbers), kind: JoinKind::LeftAnti, on };
    Plan::new(node, schema, span)
}

/// The first `width` columns, and nulls for the others of `schema`.
fn filled(plan: Plan, width: usize, schema: &Schema, span: Span) -> Plan {
    let mut columns: Columns = all_columns(&plan.schema, span).into_iter().take(width).collect();
    for (at, column) in schema.columns().iter().enumerate() {
        match columns.get_mut(at) {
            Some(place) => place.0.clone_from(&column.name),
            None => {
                let null = Expr::literal(Value::Null(column.ty), span);
                columns.push((column.name.clone(), fold::convert(null, column.ty)));
            }
        }
    }
    Plan::project(plan, columns, span)
}
