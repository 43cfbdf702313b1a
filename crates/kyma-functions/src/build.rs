//! Builds result arrays, one closure call per row.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, DurationNanosecondArray, FixedSizeBinaryBuilder, Float64Array, Int32Array,
    Int64Array, StringViewBuilder, TimestampNanosecondArray,
};
use kyma_core::types::{DECIMAL_PRECISION, DECIMAL_SCALE};
use kyma_core::{Error, Result, Type};

/// Strings, never null.
pub(crate) fn texts<T: AsRef<str>>(rows: usize, mut value: impl FnMut(usize) -> T) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(rows);
    (0..rows).for_each(|row| builder.append_value(value(row)));
    Arc::new(builder.finish())
}

/// Strings, never null, from a closure that may fail.
pub(crate) fn try_texts<T: AsRef<str>>(rows: usize, mut value: impl FnMut(usize) -> Result<T>) -> Result<ArrayRef> {
    let mut builder = StringViewBuilder::with_capacity(rows);
    for row in 0..rows {
        let text = value(row)?;
        builder.try_append_value(text)?;
    }
    Ok(Arc::new(builder.finish()))
}

/// Dynamics as JSON text; `null` and `None` are both an Arrow null.
pub(crate) fn jsons<T: AsRef<str>>(rows: usize, mut value: impl FnMut(usize) -> Option<T>) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(rows);
    for row in 0..rows {
        match value(row) {
            Some(json) if json.as_ref() != "null" => builder.append_value(json),
            _ => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

/// Dynamics from a closure that may fail.
pub(crate) fn try_jsons<T: AsRef<str>>(
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<T>>,
) -> Result<ArrayRef> {
    let values = (0..rows).map(&mut value).collect::<Result<Vec<_>>>()?;
    let mut values = values.into_iter();
    Ok(jsons(rows, |_| values.next().flatten()))
}

/// Truth values.
pub(crate) fn bools(rows: usize, value: impl FnMut(usize) -> Option<bool>) -> ArrayRef {
    Arc::new((0..rows).map(value).collect::<BooleanArray>())
}

/// Truth values, never null.
pub(crate) fn flags(rows: usize, value: impl FnMut(usize) -> bool) -> ArrayRef {
    Arc::new(BooleanArray::from_iter((0..rows).map(value).map(Some)))
}

/// Floats.
pub(crate) fn reals(rows: usize, value: impl FnMut(usize) -> Option<f64>) -> ArrayRef {
    Arc::new((0..rows).map(value).collect::<Float64Array>())
}

/// Unscaled decimals.
pub(crate) fn decimals(rows: usize, value: impl FnMut(usize) -> Option<i128>) -> Result<ArrayRef> {
    let array = (0..rows).map(value).collect::<Decimal128Array>();
    Ok(Arc::new(array.with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE)?))
}

/// Integers of the type `out`: int (wrapped), long, datetime or timespan.
pub(crate) fn longs(out: Type, rows: usize, value: impl FnMut(usize) -> Option<i64>) -> Result<ArrayRef> {
    let values = (0..rows).map(value);
    Ok(match out {
        Type::Int => Arc::new(values.map(|value| value.map(|value| value as i32)).collect::<Int32Array>()),
        Type::Long => Arc::new(values.collect::<Int64Array>()),
        Type::Datetime => Arc::new(values.collect::<TimestampNanosecondArray>()),
        Type::Timespan => Arc::new(values.collect::<DurationNanosecondArray>()),
        Type::Real => Arc::new(values.map(|value| value.map(|value| value as f64)).collect::<Float64Array>()),
        other => return Err(Error::internal(format!("a kernel cannot build this type from integers: type={other}"))),
    })
}

/// Identifiers.
pub(crate) fn guids(rows: usize, mut value: impl FnMut(usize) -> Option<u128>) -> Result<ArrayRef> {
    let mut builder = FixedSizeBinaryBuilder::with_capacity(rows, 16);
    for row in 0..rows {
        match value(row) {
            Some(guid) => builder.append_value(guid.to_be_bytes())?,
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}
