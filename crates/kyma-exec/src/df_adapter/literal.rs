//! Between our values and DataFusion's scalars.

use arrow::array::ArrayRef;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use kyma_core::types::{DECIMAL_PRECISION, DECIMAL_SCALE};
use kyma_core::{Type, Value};
use kyma_functions::array_value;

use crate::df_adapter::error::from_df;

/// The scalar of a value; a null string is `""`.
pub(crate) fn scalar_of(value: &Value) -> ScalarValue {
    match value {
        Value::Null(ty) => null_of(*ty),
        Value::Bool(value) => ScalarValue::Boolean(Some(*value)),
        Value::Int(value) => ScalarValue::Int32(Some(*value)),
        Value::Long(value) => ScalarValue::Int64(Some(*value)),
        Value::Real(value) => ScalarValue::Float64(Some(*value)),
        Value::Decimal(value) => ScalarValue::Decimal128(Some(*value), DECIMAL_PRECISION, DECIMAL_SCALE),
        Value::Datetime(value) => ScalarValue::TimestampNanosecond(Some(*value), None),
        Value::Timespan(value) => ScalarValue::DurationNanosecond(Some(*value)),
        Value::Guid(value) => ScalarValue::FixedSizeBinary(16, Some(value.to_be_bytes().to_vec())),
        Value::String(text) | Value::Dynamic(text) => ScalarValue::Utf8View(Some(text.clone())),
    }
}

fn null_of(ty: Type) -> ScalarValue {
    match ty {
        Type::Bool => ScalarValue::Boolean(None),
        Type::Int => ScalarValue::Int32(None),
        Type::Long => ScalarValue::Int64(None),
        Type::Real => ScalarValue::Float64(None),
        Type::Decimal => ScalarValue::Decimal128(None, DECIMAL_PRECISION, DECIMAL_SCALE),
        Type::Datetime => ScalarValue::TimestampNanosecond(None, None),
        Type::Timespan => ScalarValue::DurationNanosecond(None),
        Type::Guid => ScalarValue::FixedSizeBinary(16, None),
        Type::String => ScalarValue::Utf8View(Some(String::new())),
        Type::Dynamic => ScalarValue::Utf8View(None),
    }
}

/// The value of a scalar of the Arrow type of `ty` (texts of any width).
pub(crate) fn value_of(scalar: &ScalarValue, ty: Type) -> Result<Value> {
    let array = as_type(scalar.to_array_of_size(1)?, ty)?;
    Ok(array_value(&*array, 0, ty))
}

/// The value of a scalar where its own Arrow type says which; `None` for nulls and types that we do not have.
pub(crate) fn plain_value(scalar: &ScalarValue) -> Option<Value> {
    Some(match scalar {
        ScalarValue::Boolean(Some(value)) => Value::Bool(*value),
        ScalarValue::Int32(Some(value)) => Value::Int(*value),
        ScalarValue::Int64(Some(value)) => Value::Long(*value),
        ScalarValue::Float64(Some(value)) => Value::Real(*value),
        ScalarValue::Decimal128(Some(value), DECIMAL_PRECISION, DECIMAL_SCALE) => Value::Decimal(*value),
        ScalarValue::TimestampNanosecond(Some(value), None) => Value::Datetime(*value),
        ScalarValue::DurationNanosecond(Some(value)) => Value::Timespan(*value),
        ScalarValue::FixedSizeBinary(16, Some(bytes)) => {
            Value::Guid(u128::from_be_bytes(bytes.as_slice().try_into().ok()?))
        }
        ScalarValue::Utf8View(Some(text)) | ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => {
            Value::String(text.clone())
        }
        ScalarValue::Dictionary(_, inner) => plain_value(inner)?,
        _ => return None,
    })
}

/// The array of values of type `ty`.
pub(crate) fn array_of<'a>(values: impl Iterator<Item = &'a Value>, ty: Type) -> kyma_core::Result<ArrayRef> {
    let mut scalars = values.map(scalar_of).peekable();
    match scalars.peek() {
        None => Ok(arrow::array::new_empty_array(&ty.arrow())),
        Some(_) => ScalarValue::iter_to_array(scalars).map_err(from_df),
    }
}

/// The array in the Arrow type of `ty`.
pub(crate) fn as_type(array: ArrayRef, ty: Type) -> Result<ArrayRef> {
    let wanted = ty.arrow();
    if *array.data_type() == wanted { Ok(array) } else { Ok(arrow::compute::cast(&array, &wanted)?) }
}
