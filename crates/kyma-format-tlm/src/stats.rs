//! Statistics of arrays, and their bytes.
//!
//! ```text
//! statistics = flags u8 (1 min, 2 max, 4 exact, 8 distinct, 16 sum), rows varint, nulls varint,
//!              [min value], [max value], [sum value], [distinct varint]
//! value      = type u8, then bool u8; int, long, datetime, timespan zigzag-varint; real, decimal, guid their bits;
//!              string text
//! type       = place in `Type::ALL`
//! ```

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    Decimal128Type, DurationNanosecondType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType,
};
use kyma_core::error::Result;
use kyma_core::stats::{ColumnStats, lower_bound, upper_bound};
use kyma_core::types::Type;
use kyma_core::value::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::wire::{Reader, Writer, corrupt, unzigzag, zigzag};

/// Bits of the sketch that counts distinct values (linear counting).
const SKETCH_BITS: usize = 16_384;

/// The statistics of `array`, which has the Arrow type of `ty`.
pub(crate) fn of(ty: Type, array: &dyn Array) -> ColumnStats {
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
        Type::Decimal => {
            bounded(array.as_primitive::<Decimal128Type>().iter().flatten(), Value::Decimal, |value| *value as u64)
        }
        Type::Guid => {
            let guid = |bytes: &[u8]| bytes.try_into().map(u128::from_be_bytes).unwrap_or_default();
            bounded(array.as_fixed_size_binary().iter().flatten().map(guid), Value::Guid, |guid| *guid as u64)
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
pub(crate) fn of_path(ty: Type, array: &dyn Array) -> ColumnStats {
    let mut stats = of(ty, array);
    if let (Some(Value::Real(low)), Some(Value::Real(high))) = (&stats.min, &stats.max) {
        let (low, high) = (low.floor(), high.ceil());
        stats = ColumnStats { min: Some(Value::Real(low)), max: Some(Value::Real(high)), exact: false, ..stats };
    }
    stats
}

const HAS_MIN: u8 = 1;
const HAS_MAX: u8 = 2;
const IS_EXACT: u8 = 4;
const HAS_DISTINCT: u8 = 8;
const HAS_SUM: u8 = 16;

/// Appends `stats` to `out`.
pub(crate) fn write(stats: &ColumnStats, out: &mut Writer) {
    let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    out.u8(flag(stats.min.is_some(), HAS_MIN)
        | flag(stats.max.is_some(), HAS_MAX)
        | flag(stats.exact, IS_EXACT)
        | flag(stats.distinct.is_some(), HAS_DISTINCT)
        | flag(stats.sum.is_some(), HAS_SUM));
    out.varint(stats.rows);
    out.varint(stats.nulls);
    for value in [&stats.min, &stats.max, &stats.sum].into_iter().flatten() {
        write_value(value, out);
    }
    if let Some(distinct) = stats.distinct {
        out.varint(distinct);
    }
}

/// Reads what [`write`] wrote.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<ColumnStats> {
    let flags = reader.u8()?;
    let rows = reader.varint()?;
    let nulls = reader.varint()?;
    let mut value = |bit: u8| if flags & bit != 0 { read_value(reader).map(Some) } else { Ok(None) };
    let (min, max, sum) = (value(HAS_MIN)?, value(HAS_MAX)?, value(HAS_SUM)?);
    let distinct = if flags & HAS_DISTINCT != 0 { Some(reader.varint()?) } else { None };
    Ok(ColumnStats { min, max, exact: flags & IS_EXACT != 0, nulls, rows, distinct, sum })
}

/// The number of a type on disk.
pub(crate) fn type_tag(ty: Type) -> u8 {
    Type::ALL.iter().position(|known| *known == ty).unwrap_or_default() as u8
}

/// The type of a number.
pub(crate) fn type_of(tag: u8) -> Result<Type> {
    Type::ALL.get(usize::from(tag)).copied().ok_or_else(|| corrupt("unknown type"))
}

fn write_value(value: &Value, out: &mut Writer) {
    out.u8(type_tag(value.ty()));
    match value {
        Value::Null(_) => {}
        Value::Bool(value) => out.u8(u8::from(*value)),
        Value::Int(value) => out.varint(zigzag(i64::from(*value))),
        Value::Long(value) | Value::Datetime(value) | Value::Timespan(value) => out.varint(zigzag(*value)),
        Value::Real(value) => out.u64(value.to_bits()),
        Value::Decimal(value) => out.raw(&value.to_le_bytes()),
        Value::Guid(value) => out.raw(&value.to_le_bytes()),
        Value::String(value) | Value::Dynamic(value) => out.text(value),
    }
}

fn read_value(reader: &mut Reader<'_>) -> Result<Value> {
    Ok(match type_of(reader.u8()?)? {
        Type::Bool => Value::Bool(reader.u8()? != 0),
        Type::Int => {
            let int = i32::try_from(unzigzag(reader.varint()?));
            Value::Int(int.map_err(|_| corrupt("an int is out of range"))?)
        }
        Type::Long => Value::Long(unzigzag(reader.varint()?)),
        Type::Datetime => Value::Datetime(unzigzag(reader.varint()?)),
        Type::Timespan => Value::Timespan(unzigzag(reader.varint()?)),
        Type::Real => Value::Real(f64::from_bits(reader.u64()?)),
        Type::Decimal => Value::Decimal(reader.u128()? as i128),
        Type::Guid => Value::Guid(reader.u128()?),
        Type::String => Value::String(reader.text()?.to_owned()),
        Type::Dynamic => Value::Dynamic(reader.text()?.to_owned()),
    })
}
