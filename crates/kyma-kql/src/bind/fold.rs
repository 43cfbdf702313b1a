//! Constants computed while planning, so that pruning sees `ago(1h)` as a time.

use kyma_core::{Type, Value, dynamic, time};
use kyma_plan::{BinaryOp, Expr, ExprKind};

use crate::ast;
use crate::parse;
use crate::parse::literal::{decimal, json_of, literal_of};

/// Unscaled value of the decimal 1.
const DECIMAL_ONE: i128 = 1_000_000_000_000_000_000;

/// The expression converted to `ty`, at once when it is a constant that converts.
pub(super) fn convert(expr: Expr, ty: Type) -> Expr {
    if expr.ty == ty {
        return expr;
    }
    match expr.as_literal().and_then(|value| convert_value(value, ty)) {
        Some(value) => Expr::literal(value, expr.span),
        None => expr.convert(ty),
    }
}

/// A constant of another type; `None` where the conversion is left to the kernels.
pub(super) fn convert_value(value: &Value, ty: Type) -> Option<Value> {
    Some(match (value, ty) {
        (value, ty) if value.ty() == ty => value.clone(),
        (Value::Null(_), Type::String) => Value::String(String::new()),
        (Value::Null(_), ty) => Value::Null(ty),
        (value, Type::Dynamic) => Value::Dynamic(json_of(value)),
        (Value::Dynamic(json), ty) => dynamic_value(json, ty)?,
        (Value::String(text), ty) => text_value(text, ty)?,
        (Value::Bool(v), Type::String) => Value::String(if *v { "True" } else { "False" }.to_owned()),
        (Value::Bool(v), Type::Long) => Value::Long(i64::from(*v)),
        (Value::Bool(v), Type::Int) => Value::Int(i32::from(*v)),
        (Value::Int(v), Type::Long) => Value::Long(i64::from(*v)),
        (Value::Int(v), Type::Real) => Value::Real(f64::from(*v)),
        (Value::Int(v), Type::Decimal) => Value::Decimal(i128::from(*v) * DECIMAL_ONE),
        (Value::Int(v), Type::String) => Value::String(v.to_string()),
        (Value::Long(v), Type::Int) => Value::Int(i32::try_from(*v).ok()?),
        (Value::Long(v), Type::Real) => Value::Real(*v as f64),
        (Value::Long(v), Type::Decimal) => Value::Decimal(i128::from(*v) * DECIMAL_ONE),
        (Value::Long(v), Type::String) => Value::String(v.to_string()),
        (Value::Real(v), Type::Decimal) => Value::Decimal(decimal(&v.to_string())?),
        (Value::Guid(v), Type::String) => Value::String(uuid::Uuid::from_u128(*v).to_string()),
        (Value::Datetime(v), Type::String) => Value::String(time::format_datetime(*v)),
        (Value::Timespan(v), Type::String) => Value::String(time::format_timespan(*v)),
        _ => return None,
    })
}

fn text_value(text: &str, ty: Type) -> Option<Value> {
    Some(match ty {
        Type::Datetime => Value::Datetime(time::parse_datetime(text)?),
        Type::Timespan => Value::Timespan(time::parse_timespan(text)?),
        Type::Guid => Value::Guid(uuid::Uuid::parse_str(text).ok()?.as_u128()),
        Type::Long => Value::Long(dynamic::text_to_long(text)?),
        Type::Real => Value::Real(dynamic::text_to_real(text)?),
        Type::Bool => Value::Bool(dynamic::text_to_bool(text)?),
        _ => return None,
    })
}

fn dynamic_value(json: &str, ty: Type) -> Option<Value> {
    Some(match ty {
        Type::String => Value::String(dynamic::to_text(json).into_owned()),
        Type::Long => Value::Long(dynamic::to_long(json)?),
        Type::Real => Value::Real(dynamic::to_real(json)?),
        Type::Bool => Value::Bool(dynamic::to_bool(json)?),
        _ => return None,
    })
}

/// A constant for a column of a `datatable`: what does not fit is null.
pub(super) fn cell(value: &Value, ty: Type) -> Option<Value> {
    match (value, ty) {
        (Value::Null(_), Type::String) => Some(Value::String(String::new())),
        (Value::Long(v), Type::Int) => Some(Value::Int(*v as i32)),
        (Value::Real(v), Type::Long) => Some(Value::Long(*v as i64)),
        (Value::Real(v), Type::Int) => Some(Value::Int(*v as i32)),
        (Value::String(text), ty) if ty != Type::String && ty != Type::Dynamic => {
            Some(literal_of(ty, text).or_else(|| text_value(text, ty)).unwrap_or(Value::Null(ty)))
        }
        _ => convert_value(value, ty),
    }
}

/// `left op right` of constants; `None` where it is left to the kernels.
pub(super) fn binary(op: BinaryOp, left: &Value, right: &Value) -> Option<Value> {
    use Value::{Datetime, Long, Real, Timespan};
    Some(match (op, left, right) {
        (BinaryOp::Add, Long(a), Long(b)) => Long(a.wrapping_add(*b)),
        (BinaryOp::Subtract, Long(a), Long(b)) => Long(a.wrapping_sub(*b)),
        (BinaryOp::Multiply, Long(a), Long(b)) => Long(a.wrapping_mul(*b)),
        (BinaryOp::Add, Real(a), Real(b)) => Real(a + b),
        (BinaryOp::Subtract, Real(a), Real(b)) => Real(a - b),
        (BinaryOp::Multiply, Real(a), Real(b)) => Real(a * b),
        (BinaryOp::Divide, Real(a), Real(b)) => Real(a / b),
        (BinaryOp::Add, Datetime(a), Timespan(b)) | (BinaryOp::Add, Timespan(b), Datetime(a)) => {
            Datetime(a.saturating_add(*b).max(time::MIN))
        }
        (BinaryOp::Subtract, Datetime(a), Timespan(b)) => Datetime(a.saturating_sub(*b).max(time::MIN)),
        (BinaryOp::Subtract, Datetime(a), Datetime(b)) => Timespan(a.saturating_sub(*b)),
        (BinaryOp::Add, Timespan(a), Timespan(b)) => Timespan(a.saturating_add(*b)),
        (BinaryOp::Subtract, Timespan(a), Timespan(b)) => Timespan(a.saturating_sub(*b)),
        (BinaryOp::Multiply, Timespan(a), Long(b)) | (BinaryOp::Multiply, Long(b), Timespan(a)) => {
            Timespan(a.saturating_mul(*b))
        }
        (BinaryOp::Multiply, Timespan(a), Real(b)) | (BinaryOp::Multiply, Real(b), Timespan(a)) => {
            Timespan((*a as f64 * b) as i64)
        }
        (BinaryOp::Divide, Timespan(a), Timespan(b)) if *b != 0 => Real(*a as f64 / *b as f64),
        _ => return None,
    })
}

/// The value of a query parameter: a literal of the language, or plain text for a string.
pub(super) fn parameter_value(text: &str, is_string: bool, ty: Type) -> Option<Value> {
    let literal = parse::parse_expression(text).and_then(|expr| match expr.kind {
        ast::ExprKind::Literal(value) => Some(value),
        _ => None,
    });
    if let (Type::String, true) = (ty, is_string) {
        let quoted = matches!(text.chars().next(), Some('\'' | '"' | '@' | 'h'));
        return match literal {
            Some(Value::String(value)) if quoted => Some(Value::String(value)),
            _ => Some(Value::String(text.to_owned())),
        };
    }
    literal.and_then(|value| convert_value(&value, ty)).or_else(|| literal_of(ty, text))
}

/// Whether an expression uses a column of its row.
pub(super) fn uses_columns(expr: &Expr) -> bool {
    let mut found = false;
    expr.for_each_column(&mut |_| found = true);
    found
}

/// The elements of a constant array, each as its own scalar.
pub(super) fn array_elements(expr: &Expr) -> Option<Vec<Value>> {
    let Some(Value::Dynamic(json)) = expr.as_literal() else { return None };
    let serde_json::Value::Array(items) = serde_json::from_str(json).ok()? else { return None };
    Some(items.into_iter().map(|item| element(&item)).collect())
}

fn element(item: &serde_json::Value) -> Value {
    match item {
        serde_json::Value::Null => Value::Null(Type::Dynamic),
        serde_json::Value::Bool(v) => Value::Bool(*v),
        serde_json::Value::String(v) => Value::String(v.clone()),
        serde_json::Value::Number(v) => match v.as_i64() {
            Some(long) => Value::Long(long),
            None => Value::Real(v.as_f64().unwrap_or(f64::NAN)),
        },
        other => Value::Dynamic(other.to_string()),
    }
}

/// A constant with a sign turned.
pub(super) fn negative(expr: &Expr) -> Option<Value> {
    match &expr.kind {
        ExprKind::Literal(Value::Long(v)) => Some(Value::Long(v.wrapping_neg())),
        ExprKind::Literal(Value::Int(v)) => Some(Value::Int(v.wrapping_neg())),
        ExprKind::Literal(Value::Real(v)) => Some(Value::Real(-v)),
        ExprKind::Literal(Value::Timespan(v)) => Some(Value::Timespan(v.saturating_neg())),
        ExprKind::Literal(Value::Decimal(v)) => Some(Value::Decimal(-v)),
        _ => None,
    }
}
