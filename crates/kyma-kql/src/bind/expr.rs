//! Scalar expressions: names, members, operators and their types.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::functions::{common_type, nearest, resolve_scalar};
use kyma_plan::{BinaryOp, Diagnostic, Expr, ExprKind, Severity};

use super::recover::follows;
use super::{Bind, Binder, Binding, Bound, Row, fail, fail_with_hint, fold};
use crate::ast;
use crate::limits::{STACK_PIECE, STACK_RED_ZONE, WARNINGS_MAX};

impl Binder<'_> {
    /// A scalar expression over a row.
    pub(super) fn scalar(&mut self, expr: &ast::Expr, row: &mut Row) -> Bind<Expr> {
        stacker::maybe_grow(STACK_RED_ZONE, STACK_PIECE, || self.scalar_here(expr, row))
    }

    fn scalar_here(&mut self, expr: &ast::Expr, row: &mut Row) -> Bind<Expr> {
        use ast::ExprKind as Ast;
        let span = expr.span;
        self.exprs += 1;
        match &expr.kind {
            Ast::Literal(value) => Ok(Expr::literal(value.clone(), span)),
            Ast::Name(name) => self.name(name, span, row),
            Ast::Member(base, name) => self.member(base, name, span, row),
            Ast::Index(base, index) => self.index(base, index, span, row),
            Ast::Call(call) => match self.call(call, span, row)? {
                Bound::Scalar(expr) => Ok(expr),
                Bound::Table(_) => table_as_scalar(span),
            },
            Ast::Binary(op, left, right) => {
                let (left, right) = self.both(left, right, row)?;
                self.warn_of_text(*op, &left, &right, span);
                Ok(Expr { span, ..binary(*op, left, right)? })
            }
            Ast::And(parts) => Ok(Expr { kind: ExprKind::And(self.truths(parts, row)?), ty: Type::Bool, span }),
            Ast::Or(parts) => Ok(Expr { kind: ExprKind::Or(self.truths(parts, row)?), ty: Type::Bool, span }),
            Ast::Negative(inner) => self.negative(inner, span, row),
            Ast::Text { function, negated, left, right } => self.text(function, *negated, left, right, span, row),
            Ast::In { left, list, negated, ignore_case } => {
                let found = self.in_list(left, list, *ignore_case, span, row)?;
                Ok(if *negated { not(found) } else { found })
            }
            Ast::Between { left, from, to, negated } => {
                let inside = self.between(left, from, to, span, row)?;
                Ok(if *negated { not(inside) } else { inside })
            }
            Ast::Typeof(text) => Ok(Expr::literal(Value::String(text.clone()), span)),
            Ast::Star | Ast::Wildcard(_) => fail("kql.syntax", "'*' cannot stand here", span),
            Ast::Pipeline(_) | Ast::Source(_) => table_as_scalar(span),
            Ast::EntityGroup(_) => fail("kql.syntax", "an entity group cannot stand here", span),
            Ast::Lambda(_) => fail("kql.syntax", "a function cannot stand here", span),
        }
    }

    fn truths(&mut self, parts: &[ast::Expr], row: &mut Row) -> Bind<Vec<Expr>> {
        self.every(parts, |binder, part| binder.scalar(part, row).and_then(truth))
    }

    /// Says so when values of types that have nothing in common are compared by their texts.
    fn warn_of_text(&mut self, op: BinaryOp, left: &Expr, right: &Expr, span: Span) {
        if is_equality(op) && compared_as(left, right).is_none() {
            let message = format!("{} is compared with {} by their texts", left.ty, right.ty);
            self.warn("kql.compared_as_text", message, span);
        }
    }

    pub(super) fn warn(&mut self, code: &str, message: String, span: Span) {
        let warning = Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message, span) };
        if self.warnings.len() < WARNINGS_MAX && !self.warnings.contains(&warning) {
            self.warnings.push(warning.hint("convert one side: tolong(), toreal(), tostring(), todatetime(), ..."));
        }
    }

    fn both(&mut self, left: &ast::Expr, right: &ast::Expr, row: &mut Row) -> Bind<(Expr, Expr)> {
        match (self.scalar(left, row), self.scalar(right, row)) {
            (Ok(left), Ok(right)) => Ok((left, right)),
            (Err(first), Err(second)) => {
                self.report(*first);
                Err(second)
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// A predicate: a scalar that is or becomes a `bool`.
    pub(super) fn predicate(&mut self, expr: &ast::Expr, row: &mut Row) -> Bind<Expr> {
        self.scalar(expr, row).and_then(truth)
    }

    pub(super) fn name(&mut self, name: &str, span: Span, row: &mut Row) -> Bind<Expr> {
        if let Some(whole) = row.variable(name, span) {
            return Ok(whole);
        }
        if let Some(found) = column(&row.schema, name, span) {
            if self.is_poisoned(name) {
                return follows(span);
            }
            if let Some(aggregates) = &row.aggregates {
                let key = aggregates.keys.iter().position(|(key, _)| key == name);
                return match key {
                    Some(index) => Ok(Expr::column(index, found.ty, span)),
                    None => fail_with_hint(
                        "kql.not_aggregated",
                        format!("column '{name}' is neither aggregated nor a key of the 'summarize'"),
                        span,
                        Some(format!("add it after 'by', or use take_any({name})")),
                    ),
                };
            }
            return Ok(found);
        }
        match self.lookup(name, row.scope) {
            Some(Binding::Scalar { expr, row: owner }) => {
                let (expr, owner) = (expr.clone(), *owner);
                if owner != row.id && fold::uses_columns(&expr) {
                    let message = format!("'{name}' depends on a row, and cannot be used over another table");
                    return fail("kql.not_constant", message, span);
                }
                self.count_expr(&expr)?;
                Ok(Expr { span, ..expr })
            }
            Some(Binding::Poison) => follows(span),
            Some(_) => match self.named(name, span, row)? {
                Bound::Scalar(expr) => Ok(expr),
                Bound::Table(_) => table_as_scalar(span),
            },
            None => self.unknown_column(name, span, row),
        }
    }

    fn unknown_column<T>(&self, name: &str, span: Span, row: &Row) -> Bind<T> {
        if self.is_open(&row.schema) || self.has_enough_errors() {
            return follows(span);
        }
        let columns = row.schema.columns().iter().map(|column| column.name.as_str());
        let near = nearest(name, columns.chain(self.names_in(row.scope))).map(|near| format!("did you mean '{near}'?"));
        fail_with_hint("kql.unknown_column", format!("unknown column '{name}'"), span, near)
    }

    /// The place of a column that must exist.
    pub(super) fn column_index(&self, name: &str, span: Span, row: &Row) -> Bind<usize> {
        match row.schema.index_of(name) {
            Some(index) => Ok(index),
            None => self.unknown_column(name, span, row),
        }
    }

    fn member(&mut self, base: &ast::Expr, name: &ast::Name, span: Span, row: &mut Row) -> Bind<Expr> {
        if let ast::ExprKind::Name(side) = &base.kind {
            if let Some(property) = self.property(side, name, span, row) {
                return property;
            }
            if row.side == Some(side.as_str()) {
                let index = self.column_index(&name.text, name.span, row)?;
                return Ok(Expr::column(index, row.schema.columns()[index].ty, span));
            }
            if let Some(step) = row.steps.iter().position(|step| step == side) {
                let index = self.column_index(&name.text, name.span, row)?;
                let ty = row.schema.columns()[index].ty;
                return Ok(Expr::column((step + 1) * row.schema.len() + index, ty, span));
            }
            if matches!(side.as_str(), "$left" | "$right") {
                return fail("kql.syntax", format!("'{side}' cannot stand here"), base.span);
            }
        }
        let base = self.scalar(base, row)?;
        path(base, name.text.clone(), span)
    }

    fn index(&mut self, base: &ast::Expr, index: &ast::Expr, span: Span, row: &mut Row) -> Bind<Expr> {
        let (base, index) = self.both(base, index, row)?;
        if let Some(Value::String(key)) = index.as_literal() {
            return path(base, key.clone(), span);
        }
        let base = dynamic(base)?;
        let index = match index.ty {
            Type::String | Type::Long => index,
            Type::Int => fold::convert(index, Type::Long),
            Type::Real => fold::convert(index, Type::Long),
            Type::Dynamic => fold::convert(index, Type::String),
            other => return fail("kql.type", format!("an index is a string or a number, not a {other}"), index.span),
        };
        Ok(Expr { kind: ExprKind::Element { base: Box::new(base), index: Box::new(index) }, ty: Type::Dynamic, span })
    }

    fn negative(&mut self, inner: &ast::Expr, span: Span, row: &mut Row) -> Bind<Expr> {
        let inner = self.scalar(inner, row)?;
        if let Some(value) = fold::negative(&inner) {
            return Ok(Expr::literal(value, span));
        }
        let zero = match inner.ty {
            Type::Timespan => Value::Timespan(0),
            _ => Value::Long(0),
        };
        let result = binary(BinaryOp::Subtract, Expr::literal(zero, span), inner)?;
        Ok(Expr { span, ..result })
    }

    fn text(
        &mut self,
        function: &'static str,
        negated: bool,
        left: &ast::Expr,
        right: &[ast::Expr],
        span: Span,
        row: &mut Row,
    ) -> Bind<Expr> {
        let found = if matches!(&left.kind, ast::ExprKind::Star) {
            self.any_column(function, right, span, row)?
        } else {
            let items = std::iter::once((left, false)).chain(right.iter().map(|item| (item, true)));
            let args = self.every(
                items,
                |binder, (item, lists)| {
                    if lists { binder.list_item(item, row) } else { binder.scalar(item, row) }
                },
            )?;
            resolved(function, args, span)?
        };
        Ok(if negated { not(found) } else { found })
    }

    /// `* has "x"`: some column.
    fn any_column(&mut self, function: &'static str, right: &[ast::Expr], span: Span, row: &mut Row) -> Bind<Expr> {
        let columns = row.schema.columns().to_vec();
        let mut parts = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            if !matches!(column.ty, Type::String | Type::Dynamic) {
                continue;
            }
            let mut args = vec![Expr::column(index, column.ty, span)];
            for item in right {
                args.push(self.list_item(item, row)?);
            }
            parts.push(resolved(function, args, span)?);
        }
        Ok(any_of(parts, span))
    }

    /// An item of a list: a scalar or a table. A name that is no column may be that of a stored table.
    fn listed(&mut self, item: &ast::Expr, row: &mut Row) -> Bind<Bound> {
        if let ast::ExprKind::Name(name) = &item.kind
            && row.schema.index_of(name).is_none()
            && self.lookup(name, row.scope).is_none()
            && self.context.schemas.table(self.context.database, name).is_some()
        {
            return self.stored(name, None, item.span).map(Bound::Table);
        }
        self.value(item, row)
    }

    /// As [`Binder::listed`], where the first column of a table becomes an array.
    fn list_item(&mut self, item: &ast::Expr, row: &mut Row) -> Bind<Expr> {
        match self.listed(item, row)? {
            Bound::Scalar(expr) => Ok(expr),
            Bound::Table(plan) => self.array_of(plan, item.span),
        }
    }

    fn between(&mut self, left: &ast::Expr, from: &ast::Expr, to: &ast::Expr, span: Span, row: &mut Row) -> Bind<Expr> {
        let parts = self.every([left, from, to], |binder, part| binder.scalar(part, row))?;
        let Ok([left, from, mut to]) = <[Expr; 3]>::try_from(parts) else { return follows(span) };
        // `between (t .. 1h)` is up to `t + 1h`.
        if to.ty == Type::Timespan && from.ty == Type::Datetime {
            to = binary(BinaryOp::Add, from.clone(), to)?;
        }
        let low = binary(BinaryOp::GreaterOrEqual, left.clone(), from)?;
        let high = binary(BinaryOp::LessOrEqual, left, to)?;
        Ok(Expr { kind: ExprKind::And(vec![low, high]), ty: Type::Bool, span })
    }

    fn in_list(
        &mut self,
        left: &ast::Expr,
        list: &[ast::Expr],
        ignore_case: bool,
        span: Span,
        row: &mut Row,
    ) -> Bind<Expr> {
        if matches!(&left.kind, ast::ExprKind::Star) {
            return fail("kql.unsupported", "'* in' is not supported", span);
        }
        let left = self.scalar(left, row);
        let items = self.every(list, |binder, item| match binder.listed(item, row)? {
            Bound::Table(plan) if binder.is_first_unknown(&plan.schema) => follows(item.span),
            Bound::Table(_) if list.len() > 1 => table_as_scalar(item.span),
            bound => Ok(bound),
        });
        let (expr, bound) = match (left, items) {
            (Ok(left), Ok(items)) => (left, items),
            (Err(first), Err(second)) => {
                self.report(*first);
                return Err(second);
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let mut items = Vec::with_capacity(bound.len());
        for item in bound {
            match item {
                Bound::Table(plan) => return in_plan(expr, plan, ignore_case, span),
                Bound::Scalar(item) => items.push(item),
            }
        }
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        for item in items {
            match fold::array_elements(&item) {
                Some(values) => {
                    let item_span = item.span;
                    plain.extend(values.into_iter().map(|value| Expr::literal(value, item_span)));
                }
                None if item.ty == Type::Dynamic => parts.push(in_array(expr.clone(), item, ignore_case, span)?),
                None => plain.push(item),
            }
        }
        if !plain.is_empty() || parts.is_empty() {
            parts.push(in_plain(expr, plain, ignore_case, span)?);
        }
        Ok(any_of(parts, span))
    }
}

pub(super) fn column(schema: &Schema, name: &str, span: Span) -> Option<Expr> {
    let index = schema.index_of(name)?;
    Some(Expr::column(index, schema.columns()[index].ty, span))
}

/// Names and values, alternating, of the columns that are wanted: what makes a bag.
pub(super) fn named_columns(schema: &Schema, wanted: impl Fn(&Column) -> bool, span: Span) -> Vec<Expr> {
    let columns = schema.columns().iter().enumerate().filter(|(_, column)| wanted(column));
    let pairs = columns.map(|(at, column)| {
        [Expr::literal(Value::String(column.name.clone()), span), Expr::column(at, column.ty, span)]
    });
    pairs.flatten().collect()
}

pub(super) fn table_as_scalar<T>(span: Span) -> Bind<T> {
    let hint = Some("use toscalar() for the first value of a table".to_owned());
    fail_with_hint("kql.type", "a table stands where a scalar is wanted", span, hint)
}

pub(super) fn not(expr: Expr) -> Expr {
    let span = expr.span;
    Expr { kind: ExprKind::Not(Box::new(expr)), ty: Type::Bool, span }
}

/// At least one; false of none.
pub(super) fn any_of(mut parts: Vec<Expr>, span: Span) -> Expr {
    match parts.len() {
        0 => Expr::literal(Value::Bool(false), span),
        1 => parts.remove(0),
        _ => Expr { kind: ExprKind::Or(parts), ty: Type::Bool, span },
    }
}

/// As a `bool`.
pub(super) fn truth(expr: Expr) -> Bind<Expr> {
    match expr.ty {
        Type::Bool => Ok(expr),
        Type::Dynamic | Type::Int | Type::Long | Type::Real => Ok(fold::convert(expr, Type::Bool)),
        other => {
            let hint = if other == Type::String {
                "compare it, or ask isnotempty()"
            } else {
                "compare it, or ask isnotnull()"
            };
            let message = format!("expected a bool, found a {other}");
            fail_with_hint("kql.type", message, expr.span, Some(hint.to_owned()))
        }
    }
}

fn dynamic(expr: Expr) -> Bind<Expr> {
    match expr.ty {
        Type::Dynamic => Ok(expr),
        other => {
            let hint = Some("convert it with parse_json()".to_owned());
            fail_with_hint("kql.type", format!("a {other} has no members"), expr.span, hint)
        }
    }
}

/// `base.key`.
fn path(base: Expr, key: String, span: Span) -> Bind<Expr> {
    let base = dynamic(base)?;
    let kind = match base.kind {
        ExprKind::Path { base, mut keys } => {
            keys.push(key);
            ExprKind::Path { base, keys }
        }
        _ => ExprKind::Path { base: Box::new(base), keys: vec![key] },
    };
    Ok(Expr { kind, ty: Type::Dynamic, span })
}

/// A call of a scalar function with conversions.
pub(super) fn resolved(name: &str, args: Vec<Expr>, span: Span) -> Bind<Expr> {
    let types: Vec<Type> = args.iter().map(|arg| arg.ty).collect();
    match resolve_scalar(name, &types) {
        Ok(found) => {
            let args = converted(args, &found.args);
            Ok(Expr::call(found.function.name, args, found.ty, span))
        }
        Err(error) => super::call::call_error(name, error, &args, span),
    }
}

pub(super) fn converted(args: Vec<Expr>, types: &[Type]) -> Vec<Expr> {
    args.into_iter().zip(types).map(|(arg, ty)| fold::convert(arg, *ty)).collect()
}

fn in_plan(expr: Expr, plan: kyma_plan::Plan, ignore_case: bool, span: Span) -> Bind<Expr> {
    let Some(first) = plan.schema.columns().first().cloned() else {
        return fail("kql.type", "the table has no columns", plan.span);
    };
    if first.ty == Type::Dynamic && plan.schema.len() == 1 && expr.ty != Type::Dynamic {
        // One dynamic column holds arrays or values: compare with each as its own type.
        let item = Expr::column(0, Type::Dynamic, span).convert(expr.ty);
        let plan = kyma_plan::Plan::project(plan, vec![(first.name, item)], span);
        return Ok(Expr {
            kind: ExprKind::InPlan { expr: Box::new(expr), plan: Box::new(plan), ignore_case },
            ty: Type::Bool,
            span,
        });
    }
    let ty = match (expr.ty, first.ty) {
        (Type::Dynamic, other) => other,
        // Types with nothing in common are compared by their texts.
        (a, b) => common_type(a, b).unwrap_or(Type::String),
    };
    let item = fold::convert(Expr::column(0, first.ty, span), ty);
    let plan = kyma_plan::Plan::project(plan, vec![(first.name, item)], span);
    let expr = Box::new(fold::convert(expr, ty));
    Ok(Expr { kind: ExprKind::InPlan { expr, plan: Box::new(plan), ignore_case }, ty: Type::Bool, span })
}

/// `x in (array)` for an array that is not constant.
fn in_array(expr: Expr, array: Expr, ignore_case: bool, span: Span) -> Bind<Expr> {
    if !ignore_case {
        return resolved("set_has_element", vec![array, expr], span);
    }
    let lower = resolved("tolower", vec![array], span)?;
    let array = resolved("parse_json", vec![lower], span)?;
    let expr = resolved("tolower", vec![expr], span)?;
    resolved("set_has_element", vec![array, expr], span)
}

fn in_plain(expr: Expr, list: Vec<Expr>, ignore_case: bool, span: Span) -> Bind<Expr> {
    let mut ty = expr.ty;
    for item in list.iter().filter(|item| !item.as_literal().is_some_and(Value::is_null)) {
        ty = match (ty, item.ty) {
            (a, b) if a == b => a,
            (Type::Dynamic, _) => dynamic_as(item),
            (other, Type::Dynamic) => other,
            (Type::Int, Type::Long) if fits(item, Type::Int) => Type::Int,
            (a, Type::String) if text_fits(item, a) => a,
            (Type::String, _) => Type::String,
            // Types with nothing in common are compared by their texts.
            (a, b) => common_type(a, b).unwrap_or(Type::String),
        };
    }
    let list = list.into_iter().map(|item| fold::convert(item, ty)).collect();
    let expr = Box::new(fold::convert(expr, ty));
    Ok(Expr { kind: ExprKind::In { expr, list, ignore_case }, ty: Type::Bool, span })
}

/// Largest whole number up to which a real is exact.
const EXACT_REAL_MAX: i64 = 1 << 53;

/// What a dynamic is converted to beside `other`: its type, but a real where a whole constant is exact as one, so that
/// 5.7 is neither 5 nor below it.
fn dynamic_as(other: &Expr) -> Type {
    match other.as_literal() {
        Some(Value::Int(_)) => Type::Real,
        Some(Value::Long(number)) if number.unsigned_abs() <= EXACT_REAL_MAX as u64 => Type::Real,
        _ => other.ty,
    }
}

/// Whether a constant is exactly a value of `ty` too.
fn fits(expr: &Expr, ty: Type) -> bool {
    expr.as_literal().and_then(|value| fold::convert_value(value, ty)).is_some()
}

/// Whether a constant text is a value of `ty`.
fn text_fits(expr: &Expr, ty: Type) -> bool {
    !matches!(ty, Type::String | Type::Dynamic) && expr.ty == Type::String && fits(expr, ty)
}

/// `left op right` with the conversions of Kusto.
pub(super) fn binary(op: BinaryOp, left: Expr, right: Expr) -> Bind<Expr> {
    if op.is_comparison() { compare(op, left, right) } else { arithmetic(op, left, right) }
}

fn compare(op: BinaryOp, left: Expr, right: Expr) -> Bind<Expr> {
    let as_text = is_equality(op).then_some(Type::String);
    let Some(ty) = compared_as(&left, &right).or(as_text) else {
        let span = left.span.to(right.span);
        let hint = Some("convert one side, for example with tostring()".to_owned());
        let message = format!("cannot compare {} with {}", left.ty, right.ty);
        return fail_with_hint("kql.type", message, span, hint);
    };
    Ok(Expr::binary(op, fold::convert(left, ty), fold::convert(right, ty), Type::Bool))
}

fn is_equality(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Equal | BinaryOp::NotEqual)
}

fn compared_as(left: &Expr, right: &Expr) -> Option<Type> {
    match (left.ty, right.ty) {
        (a, b) if a == b => Some(a),
        (Type::Dynamic, _) => Some(dynamic_as(right)),
        (_, Type::Dynamic) => Some(dynamic_as(left)),
        (Type::Int, Type::Long) if fits(right, Type::Int) => Some(Type::Int),
        (Type::Long, Type::Int) if fits(left, Type::Int) => Some(Type::Int),
        (Type::Bool, Type::Int | Type::Long) | (Type::Int | Type::Long, Type::Bool) => Some(Type::Long),
        (a, Type::String) if text_fits(right, a) => Some(a),
        (Type::String, b) if text_fits(left, b) => Some(b),
        (Type::Guid, Type::String) | (Type::String, Type::Guid) => Some(Type::String),
        (a, b) => common_type(a, b),
    }
}

fn arithmetic(op: BinaryOp, left: Expr, right: Expr) -> Bind<Expr> {
    let Some((left_ty, right_ty, ty)) = arithmetic_types(op, left.ty, right.ty) else {
        let message = format!("'{}' has no meaning between {} and {}", op.symbol(), left.ty, right.ty);
        let hint = (left.ty == Type::String || right.ty == Type::String)
            .then(|| "join texts with strcat(); convert numbers with tolong() or toreal()".to_owned());
        return fail_with_hint("kql.type", message, left.span.to(right.span), hint);
    };
    let (left, right) = (fold::convert(left, left_ty), fold::convert(right, right_ty));
    if let (Some(a), Some(b)) = (left.as_literal(), right.as_literal())
        && let Some(value) = fold::binary(op, a, b).filter(|value| value.ty() == ty)
    {
        return Ok(Expr::literal(value, left.span.to(right.span)));
    }
    // `number * timespan` is put the way the plan wants it.
    if (op, right.ty) == (BinaryOp::Multiply, Type::Timespan) {
        return Ok(Expr::binary(op, right, left, ty));
    }
    if (op, left.ty, right.ty) == (BinaryOp::Add, Type::Timespan, Type::Datetime) {
        return Ok(Expr::binary(op, right, left, ty));
    }
    Ok(Expr::binary(op, left, right, ty))
}

/// The types both sides are converted to, and the type of the result.
fn arithmetic_types(op: BinaryOp, left: Type, right: Type) -> Option<(Type, Type, Type)> {
    use BinaryOp::{Add, Divide, Modulo, Multiply, Subtract};
    use Type::{Bool, Datetime, Dynamic, Int, Long, Real, Timespan};
    Some(match (op, left, right) {
        (Add, Datetime, Timespan) | (Subtract, Datetime, Timespan) => (left, right, Datetime),
        (Add, Timespan, Datetime) => (left, right, Datetime),
        (Subtract, Datetime, Datetime) => (left, right, Timespan),
        (Add | Subtract, Timespan, Timespan) => (left, right, Timespan),
        (Divide, Timespan, Timespan) => (left, right, Real),
        (Modulo, Datetime | Timespan, Timespan) => (left, right, Timespan),
        (Multiply | Divide, Timespan, Int | Long | Real) => (Timespan, wide(right), Timespan),
        (Multiply, Int | Long | Real, Timespan) => (wide(left), Timespan, Timespan),
        (Multiply | Divide, Timespan, Dynamic) => (Timespan, Real, Timespan),
        (Subtract, Datetime, Dynamic) | (Subtract, Dynamic, Datetime) => (Datetime, Datetime, Timespan),
        (Add | Subtract, Dynamic, Timespan) => (Datetime, Timespan, Datetime),
        (_, Int | Long, Int | Long) => (Long, Long, Long),
        (_, Dynamic, Dynamic) => (Real, Real, Real),
        (_, Dynamic, Bool) | (_, Bool, Dynamic) => (Long, Long, Long),
        (_, Dynamic, other) | (_, other, Dynamic) if other.is_numeric() => {
            let ty = if other == Int { Long } else { other };
            (ty, ty, ty)
        }
        (_, Bool, other) | (_, other, Bool) if other.is_integral() => (Long, Long, Long),
        (_, a, b) if a.is_numeric() && b.is_numeric() => {
            let ty = common_type(a, b)?;
            (ty, ty, ty)
        }
        _ => return None,
    })
}

fn wide(ty: Type) -> Type {
    if ty == Type::Int { Type::Long } else { ty }
}
