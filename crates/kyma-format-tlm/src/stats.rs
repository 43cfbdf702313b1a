//! Statistics of arrays, and their bytes.
//!
//! ```text
//! statistics = flags u8 (1 min, 2 max, 4 exact, 8 distinct, 16 sum), rows varint, nulls varint,
//!              [min value], [max value], [sum value], [distinct varint]
//! value      = type u8, then bool u8; int, long, datetime, timespan zigzag-varint; real, decimal, guid their bits;
//!              string text
//! type       = place in `Type::ALL`
//! ```

pub(crate) use kyma_core::accumulate::{of, of_path};
use kyma_core::error::Result;
use kyma_core::stats::ColumnStats;
use kyma_core::types::Type;
use kyma_core::value::Value;

use crate::wire::{Reader, Writer, corrupt, unzigzag, zigzag};

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
