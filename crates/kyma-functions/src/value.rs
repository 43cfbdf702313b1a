//! Between single values and arrays, and between values and JSON.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::datatypes::{
    Decimal128Type, DurationNanosecondType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType,
};
use kyma_core::dynamic::quote;
use kyma_core::{Result, Type, Value, time};

use crate::build;
use crate::view::guid_of;

/// An array of `rows` times `value`.
pub fn value_to_array(value: &Value, rows: usize) -> ArrayRef {
    let failed = |_| new_null_array(&value.ty().arrow(), rows);
    match value {
        Value::Null(Type::String) => build::texts(rows, |_| ""),
        Value::Null(ty) => new_null_array(&ty.arrow(), rows),
        Value::Bool(value) => build::flags(rows, |_| *value),
        Value::Int(value) => Arc::new(arrow::array::Int32Array::from_value(*value, rows)),
        Value::Long(value) => Arc::new(arrow::array::Int64Array::from_value(*value, rows)),
        Value::Real(value) => Arc::new(arrow::array::Float64Array::from_value(*value, rows)),
        Value::Decimal(value) => build::decimals(rows, |_| Some(*value)).unwrap_or_else(failed),
        Value::Datetime(value) => Arc::new(arrow::array::TimestampNanosecondArray::from_value(*value, rows)),
        Value::Timespan(value) => Arc::new(arrow::array::DurationNanosecondArray::from_value(*value, rows)),
        Value::Guid(value) => build::guids(rows, |_| Some(*value)).unwrap_or_else(failed),
        Value::String(text) => build::texts(rows, |_| text),
        Value::Dynamic(json) => build::jsons(rows, |_| Some(json)),
    }
}

/// The value at `row` of an array of the Arrow type of `ty`; a null string is `""`.
pub fn array_value(array: &dyn Array, row: usize, ty: Type) -> Value {
    if array.is_null(row) {
        return if ty == Type::String { Value::String(String::new()) } else { Value::Null(ty) };
    }
    let found = match ty {
        Type::Bool => array.as_boolean_opt().map(|array| Value::Bool(array.value(row))),
        Type::Int => array.as_primitive_opt::<Int32Type>().map(|array| Value::Int(array.value(row))),
        Type::Long => array.as_primitive_opt::<Int64Type>().map(|array| Value::Long(array.value(row))),
        Type::Real => array.as_primitive_opt::<Float64Type>().map(|array| Value::Real(array.value(row))),
        Type::Decimal => array.as_primitive_opt::<Decimal128Type>().map(|array| Value::Decimal(array.value(row))),
        Type::Datetime => {
            array.as_primitive_opt::<TimestampNanosecondType>().map(|array| Value::Datetime(array.value(row)))
        }
        Type::Timespan => {
            array.as_primitive_opt::<DurationNanosecondType>().map(|array| Value::Timespan(array.value(row)))
        }
        Type::Guid => array.as_fixed_size_binary_opt().map(|array| Value::Guid(guid_of(array.value(row)))),
        Type::String => array.as_string_view_opt().map(|array| Value::String(array.value(row).to_owned())),
        Type::Dynamic => array.as_string_view_opt().map(|array| Value::Dynamic(array.value(row).to_owned())),
    };
    found.unwrap_or(Value::Null(ty))
}

/// The array of `values`, which all are of type `ty` or null.
pub(crate) fn values_to_array(values: &[Value], ty: Type) -> Result<ArrayRef> {
    let rows = values.len();
    Ok(match ty {
        Type::Bool => build::bools(rows, |row| match values[row] {
            Value::Bool(value) => Some(value),
            _ => None,
        }),
        Type::Int | Type::Long | Type::Datetime | Type::Timespan => build::longs(ty, rows, |row| match values[row] {
            Value::Int(value) => Some(i64::from(value)),
            Value::Long(value) | Value::Datetime(value) | Value::Timespan(value) => Some(value),
            _ => None,
        })?,
        Type::Real => build::reals(rows, |row| match values[row] {
            Value::Real(value) => Some(value),
            _ => None,
        }),
        Type::Decimal => build::decimals(rows, |row| match values[row] {
            Value::Decimal(value) => Some(value),
            _ => None,
        })?,
        Type::Guid => build::guids(rows, |row| match values[row] {
            Value::Guid(value) => Some(value),
            _ => None,
        })?,
        Type::String => build::texts(rows, |row| match &values[row] {
            Value::String(text) => text.as_str(),
            _ => "",
        }),
        Type::Dynamic => build::jsons(rows, |row| match &values[row] {
            Value::Dynamic(json) => Some(json.as_str()),
            _ => None,
        }),
    })
}

/// The JSON text of a value, as an element of an array or bag.
pub(crate) fn to_json(value: &Value) -> String {
    match value {
        Value::Null(Type::String) => String::from("\"\""),
        Value::Null(_) => String::from("null"),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Real(value) => real_to_json(*value),
        Value::Decimal(value) => quote(&crate::convert::format_decimal(*value)),
        Value::Datetime(value) => quote(&time::format_datetime(*value)),
        Value::Timespan(value) => quote(&time::format_timespan(*value)),
        Value::Guid(value) => quote(&uuid::Uuid::from_u128(*value).to_string()),
        Value::String(text) => quote(text),
        Value::Dynamic(json) if json.is_empty() => String::from("null"),
        Value::Dynamic(json) => json.clone(),
    }
}

/// The JSON text of a float: shortest digits, always with a point or an exponent; what is not finite is a string.
pub(crate) fn real_to_json(value: f64) -> String {
    if value.is_nan() {
        String::from("\"NaN\"")
    } else if value.is_infinite() {
        String::from(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" })
    } else {
        serde_json::to_string(&value).unwrap_or_else(|_| String::from("null"))
    }
}

/// The JSON text at `row` of an array of the Arrow type of `ty`.
pub(crate) fn json_at(array: &dyn Array, row: usize, ty: Type) -> String {
    to_json(&array_value(array, row, ty))
}
