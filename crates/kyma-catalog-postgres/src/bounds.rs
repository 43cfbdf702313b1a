//! Column bounds as the catalog stores them: compact JSON whose values are text with a one-letter type.
//!
//! Text, because JSON numbers keep neither 128-bit integers nor every double.

use std::collections::BTreeMap;

use kyma_core::extent::ColumnBounds;
use kyma_core::stats::ColumnStats;
use kyma_core::{Error, Result, Type, Value};
use serde::{Deserialize, Serialize};

/// The stored shape of every column's bounds.
pub(crate) type StoredBounds = BTreeMap<String, StoredColumn>;

/// Type, minimum, maximum, exact, nulls, rows, distinct, sum.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredColumn(Type, Option<String>, Option<String>, bool, u64, u64, Option<u64>, Option<String>);

pub(crate) fn store(columns: &BTreeMap<String, ColumnBounds>) -> StoredBounds {
    columns.iter().map(|(name, bounds)| (name.clone(), store_column(bounds))).collect()
}

pub(crate) fn load(stored: StoredBounds) -> Result<BTreeMap<String, ColumnBounds>> {
    stored.into_iter().map(|(name, column)| Ok((name, load_column(column)?))).collect()
}

fn store_column(bounds: &ColumnBounds) -> StoredColumn {
    let stats = &bounds.stats;
    let text = |value: &Option<Value>| value.as_ref().map(value_text);
    StoredColumn(
        bounds.ty,
        text(&stats.min),
        text(&stats.max),
        stats.exact,
        stats.nulls,
        stats.rows,
        stats.distinct,
        text(&stats.sum),
    )
}

fn load_column(column: StoredColumn) -> Result<ColumnBounds> {
    let StoredColumn(ty, min, max, exact, nulls, rows, distinct, sum) = column;
    let value = |text: Option<String>| text.map(|text| parse_value(&text)).transpose();
    let stats = ColumnStats { min: value(min)?, max: value(max)?, exact, nulls, rows, distinct, sum: value(sum)? };
    Ok(ColumnBounds { ty, stats })
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Null(ty) => format!("n{ty}"),
        Value::Bool(value) => format!("b{}", u8::from(*value)),
        Value::Int(value) => format!("i{value}"),
        Value::Long(value) => format!("l{value}"),
        Value::Real(value) => format!("r{:016x}", value.to_bits()),
        Value::Decimal(value) => format!("c{value}"),
        Value::Datetime(value) => format!("t{value}"),
        Value::Timespan(value) => format!("d{value}"),
        Value::Guid(value) => format!("g{value:032x}"),
        Value::String(value) => format!("s{value}"),
        Value::Dynamic(value) => format!("j{value}"),
    }
}

fn parse_value(text: &str) -> Result<Value> {
    let parsed = || {
        let tag = text.chars().next()?;
        let rest = &text[tag.len_utf8()..];
        Some(match tag {
            'n' => Value::Null(rest.parse().ok()?),
            'b' => Value::Bool(rest == "1"),
            'i' => Value::Int(rest.parse().ok()?),
            'l' => Value::Long(rest.parse().ok()?),
            'r' => Value::Real(f64::from_bits(u64::from_str_radix(rest, 16).ok()?)),
            'c' => Value::Decimal(rest.parse().ok()?),
            't' => Value::Datetime(rest.parse().ok()?),
            'd' => Value::Timespan(rest.parse().ok()?),
            'g' => Value::Guid(u128::from_str_radix(rest, 16).ok()?),
            's' => Value::String(rest.to_owned()),
            'j' => Value::Dynamic(rest.to_owned()),
            _ => return None,
        })
    };
    parsed().ok_or_else(|| Error::corrupt(format!("a bound in the catalog is not understood: bound={text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_back() {
        let values = [
            Value::Null(Type::Guid),
            Value::Bool(true),
            Value::Int(i32::MIN),
            Value::Long(i64::MIN),
            Value::Real(-0.0),
            Value::Real(f64::INFINITY),
            Value::Decimal(i128::MIN),
            Value::Datetime(i64::MAX),
            Value::Timespan(-1),
            Value::Guid(u128::MAX),
            Value::String("a\0\"é".to_owned()),
            Value::String(String::new()),
            Value::Dynamic("{\"a\":1}".to_owned()),
        ];
        for value in values {
            let stats = ColumnStats { min: Some(value.clone()), sum: Some(value.clone()), ..ColumnStats::unknown(3) };
            let columns = BTreeMap::from([("c\0".to_owned(), ColumnBounds { ty: value.ty(), stats })]);
            let json = serde_json::to_string(&store(&columns)).unwrap();
            assert_eq!(load(serde_json::from_str(&json).unwrap()).unwrap(), columns, "{json}");
        }
    }
}
