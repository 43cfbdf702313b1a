//! Arithmetic, comparisons, members and lists: what the plan's expressions are besides calls.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use kyma_core::{Error, Result, Type, Value, dynamic};
use kyma_plan::BinaryOp;

use crate::view::{Bools, DECIMAL_ONE, Decimals, Guids, Jsons, Longs, Reals, Texts};
use crate::{Arg, build};
use kyma_core::text::fold;

/// Computes `left op right`, with Kusto's meaning as documented on [`BinaryOp`].
pub fn binary(op: BinaryOp, left: (&Arg, Type), right: (&Arg, Type), out: Type, rows: usize) -> Result<ArrayRef> {
    if let (Arg::Scalar(_), Arg::Scalar(_)) = (left.0, right.0)
        && rows > 1
    {
        let one = binary(op, left, right, out, 1)?;
        return Ok(crate::value_to_array(&crate::array_value(one.as_ref(), 0, out), rows));
    }
    if op.is_comparison() { compare(op, left, right, rows) } else { arithmetic(op, left, right, out, rows) }
}

fn compare(op: BinaryOp, left: (&Arg, Type), right: (&Arg, Type), rows: usize) -> Result<ArrayRef> {
    if let Some(fast) = compare_with_constant(op, left, right)? {
        return Ok(fast);
    }
    let numbers = |ty: Type| matches!(ty, Type::Int | Type::Long | Type::Real);
    match (left.1, right.1) {
        (Type::String, Type::String) => {
            let (a, b) = (Texts::of(left.0)?, Texts::of(right.0)?);
            Ok(build::flags(rows, |row| holds(op, Some(a.get(row).cmp(b.get(row))))))
        }
        (Type::Dynamic, _) | (_, Type::Dynamic) => compare_dynamics(op, left, right, rows),
        (Type::Bool, Type::Bool) => {
            let (a, b) = (Bools::of(left.0)?, Bools::of(right.0)?);
            Ok(build::bools(rows, |row| decide(op, a.get(row), b.get(row), |a, b| Some(a.cmp(b)))))
        }
        (Type::Guid, Type::Guid) => {
            let (a, b) = (Guids::of(left.0)?, Guids::of(right.0)?);
            Ok(build::bools(rows, |row| decide(op, a.get(row), b.get(row), |a, b| Some(a.cmp(b)))))
        }
        (Type::Decimal, Type::Decimal) => {
            let (a, b) = (Decimals::of(left.0)?, Decimals::of(right.0)?);
            Ok(build::bools(rows, |row| decide(op, a.get(row), b.get(row), |a, b| Some(a.cmp(b)))))
        }
        (a, b) if a == b && a != Type::Real || numbers(a) && numbers(b) && a != Type::Real && b != Type::Real => {
            let (a, b) = (Longs::of(left.0)?, Longs::of(right.0)?);
            Ok(build::bools(rows, |row| decide(op, a.get(row), b.get(row), |a, b| Some(a.cmp(b)))))
        }
        (a, b) if numbers(a) && numbers(b) => {
            let (a, b) = (Reals::of(left.0)?, Reals::of(right.0)?);
            Ok(build::bools(rows, |row| decide(op, a.get(row), b.get(row), f64::partial_cmp)))
        }
        (a, b) => Err(Error::internal(format!(
            "values of these types do not compare: left={a}, op={}, right={b}",
            op.symbol()
        ))),
    }
}

/// A long, datetime or timespan column against a constant: Arrow's vectorised kernels.
fn compare_with_constant(op: BinaryOp, left: (&Arg, Type), right: (&Arg, Type)) -> Result<Option<ArrayRef>> {
    let (Arg::Array(array), Arg::Scalar(Value::Long(constant))) = (left.0, right.0) else { return Ok(None) };
    if array.data_type() != &DataType::Int64 {
        return Ok(None);
    }
    let (array, constant) = (array.as_primitive::<Int64Type>(), arrow::array::Int64Array::new_scalar(*constant));
    use arrow::compute::kernels::cmp;
    let compared = match op {
        BinaryOp::Less => cmp::lt(array, &constant)?,
        BinaryOp::LessOrEqual => cmp::lt_eq(array, &constant)?,
        BinaryOp::Greater => cmp::gt(array, &constant)?,
        BinaryOp::GreaterOrEqual => cmp::gt_eq(array, &constant)?,
        _ => return Ok(None),
    };
    Ok(Some(Arc::new(compared)))
}

/// Kusto's rule: two nulls are neither equal nor unequal; one null is unequal; order with a null is null.
fn decide<T>(op: BinaryOp, a: Option<T>, b: Option<T>, order: impl Fn(&T, &T) -> Option<Ordering>) -> Option<bool> {
    match (a, b) {
        (Some(a), Some(b)) => Some(holds(op, order(&a, &b))),
        (None, None) => None,
        _ => match op {
            BinaryOp::Equal => Some(false),
            BinaryOp::NotEqual => Some(true),
            _ => None,
        },
    }
}

/// Whether the operator holds for an order; values without one (NaN) are only unequal.
fn holds(op: BinaryOp, order: Option<Ordering>) -> bool {
    match op {
        BinaryOp::Equal => order == Some(Ordering::Equal),
        BinaryOp::NotEqual => order != Some(Ordering::Equal),
        BinaryOp::Less => order == Some(Ordering::Less),
        BinaryOp::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        BinaryOp::Greater => order == Some(Ordering::Greater),
        BinaryOp::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        _ => false,
    }
}

/// A dynamic against a dynamic or a scalar: the scalar's type decides how the dynamic reads.
fn compare_dynamics(op: BinaryOp, left: (&Arg, Type), right: (&Arg, Type), rows: usize) -> Result<ArrayRef> {
    if left.1 != Type::Dynamic {
        let converted = Arg::Array(crate::convert(right.0, Type::Dynamic, left.1, rows)?);
        return compare(op, left, (&converted, left.1), rows);
    }
    if right.1 != Type::Dynamic {
        let converted = Arg::Array(crate::convert(left.0, Type::Dynamic, right.1, rows)?);
        return compare(op, (&converted, right.1), right, rows);
    }
    let (a, b) = (Jsons::of(left.0)?, Jsons::of(right.0)?);
    Ok(build::bools(rows, |row| decide(op, a.get(row), b.get(row), |a, b| Some(json_order(a, b)))))
}

fn json_order(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    match (crate::json::parse(a), crate::json::parse(b)) {
        (Some(a), Some(b)) if crate::json::same(&a, &b) => Ordering::Equal,
        (Some(a), Some(b)) => crate::json::compare(&a, &b),
        _ => a.cmp(b),
    }
}

fn arithmetic(op: BinaryOp, left: (&Arg, Type), right: (&Arg, Type), out: Type, rows: usize) -> Result<ArrayRef> {
    use Type::{Datetime, Decimal, Int, Long, Real, Timespan};
    let time_like = |ty: Type| matches!(ty, Datetime | Timespan);
    match (left.1, right.1) {
        (Int | Long, Int | Long) if out != Real => {
            let (a, b) = (Longs::of(left.0)?, Longs::of(right.0)?);
            let wraps_at_32 = out == Int;
            build::longs(out, rows, |row| {
                let result = integer(op, a.get(row)?, b.get(row)?)?;
                Some(if wraps_at_32 { i64::from(result as i32) } else { result })
            })
        }
        (Decimal, Decimal) => {
            let (a, b) = (Decimals::of(left.0)?, Decimals::of(right.0)?);
            build::decimals(rows, |row| decimal(op, a.get(row)?, b.get(row)?))
        }
        (a, b) if time_like(a) && time_like(b) => times(op, left.0, right.0, out, rows),
        (Timespan, _) => {
            let (a, b) = (Longs::of(left.0)?, Reals::of(right.0)?);
            scaled(op, out, rows, |row| a.get(row), |row| b.get(row))
        }
        (_, Timespan) if op == BinaryOp::Multiply => {
            let (a, b) = (Longs::of(right.0)?, Reals::of(left.0)?);
            scaled(op, out, rows, |row| a.get(row), |row| b.get(row))
        }
        _ => {
            let (a, b) = (Reals::of(left.0)?, Reals::of(right.0)?);
            Ok(build::reals(rows, |row| Some(float(op, a.get(row)?, b.get(row)?))))
        }
    }
}

fn integer(op: BinaryOp, a: i64, b: i64) -> Option<i64> {
    match op {
        BinaryOp::Add => Some(a.wrapping_add(b)),
        BinaryOp::Subtract => Some(a.wrapping_sub(b)),
        BinaryOp::Multiply => Some(a.wrapping_mul(b)),
        BinaryOp::Divide => (b != 0).then(|| a.wrapping_div(b)),
        BinaryOp::Modulo => (b != 0).then(|| a.wrapping_rem_euclid(b)),
        _ => None,
    }
}

fn float(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Subtract => a - b,
        BinaryOp::Multiply => a * b,
        BinaryOp::Divide => a / b,
        _ => a % b,
    }
}

fn decimal(op: BinaryOp, a: i128, b: i128) -> Option<i128> {
    match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Subtract => a.checked_sub(b),
        BinaryOp::Multiply => multiply_decimals(a, b),
        BinaryOp::Divide if b == 0 => None,
        BinaryOp::Divide => divide_decimals(a, b),
        BinaryOp::Modulo => (b != 0).then(|| a.rem_euclid(b)),
        _ => None,
    }
}

fn multiply_decimals(a: i128, b: i128) -> Option<i128> {
    match a.checked_mul(b) {
        Some(product) => Some(product / DECIMAL_ONE),
        None => {
            let (whole, fraction) = (b / DECIMAL_ONE, b % DECIMAL_ONE);
            let small = (a / DECIMAL_ONE).checked_mul(fraction)? + (a % DECIMAL_ONE) * fraction / DECIMAL_ONE;
            a.checked_mul(whole)?.checked_add(small)
        }
    }
}

fn divide_decimals(a: i128, b: i128) -> Option<i128> {
    match a.checked_mul(DECIMAL_ONE) {
        Some(scaled) => Some(scaled / b),
        None => (a / b).checked_mul(DECIMAL_ONE),
    }
}

/// `datetime ± timespan`, `datetime - datetime`, `timespan ± timespan`, `timespan / timespan`, and `%` on them.
fn times(op: BinaryOp, left: &Arg, right: &Arg, out: Type, rows: usize) -> Result<ArrayRef> {
    let (a, b) = (Longs::of(left)?, Longs::of(right)?);
    if op == BinaryOp::Divide {
        return Ok(build::reals(rows, |row| Some(a.get(row)? as f64 / b.get(row)? as f64)));
    }
    build::longs(out, rows, |row| {
        let (a, b) = (a.get(row)?, b.get(row)?);
        match op {
            BinaryOp::Add => Some(a.saturating_add(b)),
            BinaryOp::Subtract => Some(a.saturating_sub(b)),
            BinaryOp::Modulo => (b != 0).then(|| a.wrapping_rem_euclid(b)),
            _ => None,
        }
    })
}

/// `timespan * number` and `timespan / number`.
fn scaled(
    op: BinaryOp,
    out: Type,
    rows: usize,
    span: impl Fn(usize) -> Option<i64>,
    factor: impl Fn(usize) -> Option<f64>,
) -> Result<ArrayRef> {
    build::longs(out, rows, |row| {
        let (span, factor) = (span(row)?, factor(row)?);
        match op {
            BinaryOp::Multiply if factor.fract() == 0.0 && factor.abs() < 9e15 => {
                Some(span.saturating_mul(factor as i64))
            }
            BinaryOp::Multiply => crate::convert::real_to_long((span as f64 * factor).round()),
            BinaryOp::Divide if factor == 0.0 => None,
            BinaryOp::Divide => crate::convert::real_to_long((span as f64 / factor).round()),
            BinaryOp::Modulo if factor as i64 != 0 => Some(span.wrapping_rem_euclid(factor as i64)),
            _ => None,
        }
    })
}

/// The member reached from each dynamic by object keys; missing is null.
pub fn path(dynamics: &ArrayRef, keys: &[String]) -> Result<ArrayRef> {
    let arg = Arg::Array(Arc::clone(dynamics));
    let jsons = Jsons::of(&arg)?;
    Ok(build::jsons(dynamics.len(), |row| dynamic::get(jsons.get(row)?, keys)))
}

/// `dynamic[index]` by key (string) or position (negative from the end); missing is null.
pub fn element(dynamics: &Arg, index: (&Arg, Type), rows: usize) -> Result<ArrayRef> {
    let jsons = Jsons::of(dynamics)?;
    match index.1 {
        Type::Int | Type::Long => {
            let positions = Longs::of(index.0)?;
            Ok(build::jsons(rows, |row| item(jsons.get(row)?, positions.get(row)?)))
        }
        Type::String => {
            let keys = Texts::of(index.0)?;
            Ok(build::jsons(rows, |row| dynamic::get(jsons.get(row)?, &[keys.get(row)])))
        }
        Type::Dynamic => {
            let keys = Jsons::of(index.0)?;
            Ok(build::jsons(rows, |row| {
                let (json, key) = (jsons.get(row)?, keys.get(row)?);
                match key.as_bytes()[0] {
                    b'"' => dynamic::get(json, &[dynamic::to_text(key)]).map(|member| Cow::Owned(member.into_owned())),
                    _ => item(json, dynamic::to_long(key)?),
                }
            }))
        }
        other => {
            Err(Error::invalid("function.argument", format!("a dynamic has no element by this type: type={other}")))
        }
    }
}

/// The element at `position` of a JSON array.
fn item(json: &str, position: i64) -> Option<Cow<'_, str>> {
    if json.as_bytes().first() != Some(&b'[') {
        return None;
    }
    let position = match usize::try_from(position) {
        Ok(position) => position,
        Err(_) => {
            let length = i64::try_from(dynamic::array_length(json)?).ok()?;
            usize::try_from(length.checked_add(position)?).ok()?
        }
    };
    let found = sonic_rs::get_from_str(json, [position]).ok()?;
    Some(found.as_raw_cow())
}

/// Whether each value is in the list; two nulls are not equal. A dynamic item stands for its elements.
pub fn in_list(value: (&Arg, Type), list: &[Arg], ignore_case: bool, rows: usize) -> Result<ArrayRef> {
    let constants: Option<Vec<&Value>> = list.iter().map(Arg::as_scalar).collect();
    let texts = value.1 == Type::String || (ignore_case && value.1 == Type::Dynamic);
    match constants {
        Some(constants) if texts => in_texts(value, &constants, ignore_case, rows),
        Some(constants) => in_values(value, &constants, rows),
        None => in_columns(value, list, ignore_case, rows),
    }
}

fn in_texts(value: (&Arg, Type), constants: &[&Value], ignore_case: bool, rows: usize) -> Result<ArrayRef> {
    let mut set: HashSet<String> = HashSet::new();
    let mut insert = |text: &str| set.insert(if ignore_case { fold(text).into_owned() } else { text.to_owned() });
    for constant in constants {
        match constant {
            Value::String(text) => _ = insert(text),
            Value::Null(_) => _ = insert(""),
            Value::Dynamic(json) => match crate::json::parse(json) {
                Some(serde_json::Value::Array(items)) => {
                    items.iter().for_each(|item| _ = insert(&crate::json::plain(item)));
                }
                _ => _ = insert(&dynamic::to_text(json)),
            },
            other => _ = insert(&crate::value::to_json(other)),
        }
    }
    let texts = crate::convert::AnyText::of(value.0, value.1)?;
    Ok(build::flags(rows, |row| {
        let text = texts.get(row);
        if ignore_case { set.contains(fold(&text).as_ref()) } else { set.contains(text.as_ref()) }
    }))
}

/// A value as something that hashes equal when `==` holds.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Whole(i128),
    Real(u64),
    Guid(u128),
    Text(String),
}

fn key_of(value: &Value) -> Option<Key> {
    Some(match value {
        Value::Null(_) => return None,
        Value::Bool(value) => Key::Whole(i128::from(*value)),
        Value::Int(value) => Key::Whole(i128::from(*value)),
        Value::Long(value) | Value::Datetime(value) | Value::Timespan(value) => Key::Whole(i128::from(*value)),
        Value::Real(value) if value.is_nan() => return None,
        Value::Real(value) if value.fract() == 0.0 && value.abs() < 9e15 => Key::Whole(*value as i128),
        Value::Real(value) => Key::Real(value.to_bits()),
        Value::Decimal(value) => Key::Whole(*value),
        Value::Guid(value) => Key::Guid(*value),
        Value::String(text) => Key::Text(text.clone()),
        Value::Dynamic(json) => match crate::json::parse(json) {
            Some(serde_json::Value::String(text)) => Key::Text(text),
            Some(value) => json_key(&value)?,
            None => Key::Text(json.clone()),
        },
    })
}

fn json_key(value: &serde_json::Value) -> Option<Key> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(flag) => Key::Whole(i128::from(*flag)),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(long) => Key::Whole(i128::from(long)),
            None => return key_of(&Value::Real(number.as_f64()?)),
        },
        serde_json::Value::String(text) => Key::Text(text.clone()),
        other => Key::Text(other.to_string()),
    })
}

fn in_values(value: (&Arg, Type), constants: &[&Value], rows: usize) -> Result<ArrayRef> {
    let mut set: HashSet<Key> = HashSet::new();
    for constant in constants {
        match constant {
            Value::Dynamic(json) if value.1 != Type::Dynamic || json.starts_with('[') => {
                let items = crate::json::array(json).unwrap_or_default();
                for item in &items {
                    let typed = match value.1 {
                        Type::Dynamic => Value::Dynamic(item.to_string()),
                        to => crate::convert::convert_value(&Value::Dynamic(item.to_string()), to)?,
                    };
                    set.extend(key_of(&typed));
                }
                if items.is_empty() && value.1 != Type::Dynamic {
                    set.extend(key_of(&crate::convert::convert_value(constant, value.1)?));
                }
            }
            constant if constant.ty() == value.1 => set.extend(key_of(constant)),
            constant => set.extend(key_of(&crate::convert::convert_value(constant, value.1)?)),
        }
    }
    let array = value.0.to_array(rows);
    Ok(build::flags(rows, |row| {
        key_of(&crate::array_value(array.as_ref(), row, value.1)).is_some_and(|key| set.contains(&key))
    }))
}

fn in_columns(value: (&Arg, Type), list: &[Arg], ignore_case: bool, rows: usize) -> Result<ArrayRef> {
    let mut found = vec![false; rows];
    for item in list {
        let ty = match item {
            Arg::Scalar(value) => value.ty(),
            Arg::Array(_) => value.1,
        };
        let op: ArrayRef = match ignore_case {
            true => {
                let (a, b) = (crate::convert::AnyText::of(value.0, value.1)?, crate::convert::AnyText::of(item, ty)?);
                build::flags(rows, |row| fold(&a.get(row)) == fold(&b.get(row)))
            }
            false => compare(BinaryOp::Equal, value, (item, ty), rows)?,
        };
        let equal = Arg::Array(op);
        let equal = Bools::of(&equal)?;
        (0..rows).for_each(|row| found[row] |= equal.get(row) == Some(true));
    }
    Ok(build::flags(rows, |row| found[row]))
}
