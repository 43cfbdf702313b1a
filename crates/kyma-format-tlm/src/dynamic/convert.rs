//! JSON texts to arrays of a type, by the conversions of `kyma_core::dynamic`.

use std::sync::Arc;

use arrow::array::DurationNanosecondArray;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    StringViewArray, StringViewBuilder, TimestampNanosecondArray, new_null_array,
};
use kyma_core::dynamic;
use kyma_core::error::Result;
use kyma_core::types::Type;

use super::assemble::leaf_text;

/// A path's values, JSON text or null, read as `to`.
///
/// What `kyma_core::dynamic` has no conversion for follows the string's: a timespan and a guid are spelled by a string,
/// an int is a long in range; a decimal reads null.
pub(crate) fn texts(values: &StringViewArray, to: Type) -> Result<ArrayRef> {
    Ok(match to {
        Type::Dynamic => Arc::new(values.clone()),
        Type::String => {
            let mut out = StringViewBuilder::with_capacity(values.len());
            values.iter().for_each(|json| out.append_option(json.map(dynamic::to_text)));
            Arc::new(out.finish())
        }
        Type::Long => Arc::new(values.iter().map(|json| dynamic::to_long(json?)).collect::<Int64Array>()),
        Type::Int => {
            let int = |json: &str| dynamic::to_long(json).and_then(|long| i32::try_from(long).ok());
            Arc::new(values.iter().map(|json| int(json?)).collect::<Int32Array>())
        }
        Type::Real => Arc::new(values.iter().map(|json| dynamic::to_real(json?)).collect::<Float64Array>()),
        Type::Bool => Arc::new(values.iter().map(|json| dynamic::to_bool(json?)).collect::<BooleanArray>()),
        Type::Datetime => {
            Arc::new(values.iter().map(|json| dynamic::to_datetime(json?)).collect::<TimestampNanosecondArray>())
        }
        Type::Timespan => {
            let span = |json: &str| {
                if json.starts_with('"') { kyma_core::time::parse_timespan(&dynamic::to_text(json)) } else { None }
            };
            Arc::new(values.iter().map(|json| span(json?)).collect::<DurationNanosecondArray>())
        }
        Type::Guid => {
            let guids = values.iter().map(|json| guid(&dynamic::to_text(json?)));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(guids, 16)?)
        }
        Type::Decimal => new_null_array(&to.arrow(), values.len()),
    })
}

/// The 16 bytes of a hyphenated or bare guid.
fn guid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|&c| c != '-').collect();
    let is_guid = matches!(text.len(), 32 | 36) && digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if is_guid { u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes) } else { None }
}

/// A complete sub-column read as `to`.
pub(crate) fn typed(values: &ArrayRef, from: Type, to: Type) -> Result<ArrayRef> {
    match (from, to) {
        (from, to) if from == to => Ok(values.clone()),
        (Type::Long, Type::Real) => {
            let longs = values.as_primitive::<arrow::datatypes::Int64Type>();
            Ok(Arc::new(longs.iter().map(|long| long.map(|long| long as f64)).collect::<Float64Array>()))
        }
        _ => texts(&json_of(values, from), to),
    }
}

fn json_of(values: &ArrayRef, ty: Type) -> StringViewArray {
    (0..values.len()).map(|row| values.is_valid(row).then(|| leaf_text(ty, values, row))).collect()
}
