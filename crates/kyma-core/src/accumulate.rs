//! Statistics of arrays: what every format keeps of a block's column.
//!
//! Bounds and sums are exact; distinct values are counted by linear counting over a small bit map, so an estimate beyond a
//! few ten thousand saturates at the number of values.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    Decimal128Type, DurationNanosecondType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::stats::{ColumnStats, lower_bound, upper_bound};
use crate::types::Type;
use crate::value::Value;

/// Bits of the sketch that counts distinct values (linear counting).
const SKETCH_BITS: usize = 16_384;

/// The statistics of `array`, which has the Arrow type of `ty`.
pub fn of(ty: Type, array: &dyn Array) -> ColumnStats {
    let rows = array.len() as u64;
    let nulls = array.null_count() as u64;
    if nulls == rows {
        return ColumnStats::all_null(rows);
    }
    if ty == Type::Dynamic && array.as_string_view().iter().flatten().any(|json| json == "null") {
        // A JSON null is stored as a value and read as a null: nothing is claimed.
        return ColumnStats::unknown(rows);
    }
    let mut found = match ty {
        Type::Bool => bounded(array.as_boolean().iter().flatten(), Value::Bool, |value| u64::from(*value)),
        Type::Int => {
            let values = array.as_primitive::<Int32Type>();
            let mut found = bounded(values.iter().flatten(), Value::Int, |value| *value as u64);
            found.sum = sum(values.iter().flatten().map(i64::from));
            found
        }
        Type::Long => {
            let values = array.as_primitive::<Int64Type>();
            let mut found = bounded(values.iter().flatten(), Value::Long, |value| *value as u64);
            found.sum = sum(values.iter().flatten());
            found
        }
        Type::Datetime => {
            bounded(array.as_primitive::<TimestampNanosecondType>().iter().flatten(), Value::Datetime, |at| *at as u64)
        }
        Type::Timespan => {
            let values = array.as_primitive::<DurationNanosecondType>();
            let mut found = bounded(values.iter().flatten(), Value::Timespan, |value| *value as u64);
            found.sum = sum(values.iter().flatten());
            found
        }
        Type::Decimal => bounded(array.as_primitive::<Decimal128Type>().iter().flatten(), Value::Decimal, |value| {
            fold(*value as u128)
        }),
        Type::Guid => {
            let guid = |bytes: &[u8]| bytes.try_into().map(u128::from_be_bytes).unwrap_or_default();
            bounded(array.as_fixed_size_binary().iter().flatten().map(guid), Value::Guid, |guid| fold(*guid))
        }
        Type::Real => reals(array.as_primitive::<Float64Type>().iter().flatten()),
        Type::String => strings(array.as_string_view().iter().flatten()),
        Type::Dynamic => ColumnStats::all_null(0),
    };
    if ty == Type::Dynamic {
        found.distinct = None;
    }
    ColumnStats { nulls, rows, ..found }
}

/// Counts distinct hashes.
struct Sketch(Vec<u64>);

impl Sketch {
    fn new() -> Self {
        Sketch(vec![0; SKETCH_BITS / 64])
    }

    fn add(&mut self, hash: u64) {
        let bit = hash as usize % SKETCH_BITS;
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    fn estimate(&self, values: u64) -> u64 {
        let zeros: u32 = self.0.iter().map(|word| word.count_zeros()).sum();
        if zeros == 0 {
            return values;
        }
        let bits = SKETCH_BITS as f64;
        let estimate = (bits * (bits / f64::from(zeros)).ln()).round() as u64;
        estimate.clamp(1, values)
    }
}

/// Both halves of a wide value in one word: either alone may be the same in all.
fn fold(bits: u128) -> u64 {
    (bits as u64).wrapping_mul(31) ^ (bits >> 64) as u64
}

fn hash(bits: u64) -> u64 {
    let mixed = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32
}

fn bounded<T: Copy + Ord>(
    values: impl Iterator<Item = T>,
    wrap: impl Fn(T) -> Value,
    bits: impl Fn(&T) -> u64,
) -> ColumnStats {
    let mut bounds: Option<(T, T)> = None;
    let (mut sketch, mut count) = (Sketch::new(), 0);
    for value in values {
        bounds = Some(bounds.map_or((value, value), |(low, high)| (low.min(value), high.max(value))));
        sketch.add(hash(bits(&value)));
        count += 1;
    }
    ColumnStats {
        min: bounds.map(|(low, _)| wrap(low)),
        max: bounds.map(|(_, high)| wrap(high)),
        distinct: Some(sketch.estimate(count)),
        ..ColumnStats::all_null(0)
    }
}

fn sum(mut values: impl Iterator<Item = i64>) -> Option<Value> {
    values.try_fold(0_i64, i64::checked_add).map(Value::Long)
}

fn reals(values: impl Iterator<Item = f64>) -> ColumnStats {
    let mut bounds: Option<(f64, f64)> = None;
    let (mut sketch, mut count, mut sum, mut has_nan) = (Sketch::new(), 0, 0.0, false);
    for value in values {
        has_nan |= value.is_nan();
        let least = |a: f64, b: f64| if b.total_cmp(&a).is_lt() { b } else { a };
        let most = |a: f64, b: f64| if b.total_cmp(&a).is_gt() { b } else { a };
        bounds = Some(bounds.map_or((value, value), |(low, high)| (least(low, value), most(high, value))));
        sketch.add(hash(value.to_bits()));
        count += 1;
        sum += value;
    }
    let bounds = bounds.filter(|_| !has_nan);
    ColumnStats {
        min: bounds.map(|(low, _)| Value::Real(low)),
        max: bounds.map(|(_, high)| Value::Real(high)),
        distinct: Some(sketch.estimate(count)),
        sum: bounds.map(|_| Value::Real(sum)),
        ..ColumnStats::all_null(0)
    }
}

fn strings<'a>(values: impl Iterator<Item = &'a str>) -> ColumnStats {
    let mut bounds: Option<(&str, &str)> = None;
    let (mut sketch, mut count) = (Sketch::new(), 0);
    for value in values {
        bounds = Some(bounds.map_or((value, value), |(low, high)| (low.min(value), high.max(value))));
        sketch.add(xxh3_64(value.as_bytes()));
        count += 1;
    }
    let min = bounds.map(|(low, _)| lower_bound(low));
    let max = bounds.and_then(|(_, high)| upper_bound(high));
    ColumnStats {
        exact: min.as_ref().is_some_and(|(_, exact)| *exact) && max.as_ref().is_some_and(|(_, exact)| *exact),
        min: min.map(|(low, _)| Value::String(low)),
        max: max.map(|(high, _)| Value::String(high)),
        distinct: Some(sketch.estimate(count)),
        ..ColumnStats::all_null(0)
    }
}

/// Statistics of a path that hold for every conversion of its value: real bounds are widened to whole numbers, since
/// `tolong` truncates.
pub fn of_path(ty: Type, array: &dyn Array) -> ColumnStats {
    let mut stats = of(ty, array);
    if let (Some(Value::Real(low)), Some(Value::Real(high))) = (&stats.min, &stats.max) {
        let (low, high) = (low.floor(), high.ceil());
        stats = ColumnStats { min: Some(Value::Real(low)), max: Some(Value::Real(high)), exact: false, ..stats };
    }
    stats
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, FixedSizeBinaryArray};

    use super::*;

    #[test]
    fn guids_that_differ_in_one_half_are_distinct() {
        for shift in [0, 64] {
            let guids = (0..1_000_u128).map(|row| Some((row << shift).to_be_bytes()));
            let guids: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(guids, 16).unwrap());
            let distinct = of(Type::Guid, &guids).distinct.unwrap_or_default();
            assert!((900..=1_000).contains(&distinct), "{distinct} of about 1,000");
        }
    }
}
