//! Bounds of columns as PostgreSQL can test them: 32 slots of one smallest and one largest key.
//!
//! 1. A column's slot is a hash of its name; columns that meet in one slot share their widest bounds. No dictionary is kept.
//! 2. A key is a value cut to 32 bits, so that values in order have keys in order (equal ones, maybe). Where it cannot
//!    be told, the slot is all of them.
//! 3. An extent can hold a value of a range only if its slot overlaps the range's keys. A slot that no column fell into
//!    overlaps nothing: a column that is missing is null in every row. [`ColumnRange`] never means nulls.
//!
//! Stored keys are compared with keys of later versions: neither slots nor keys may ever change.

use std::collections::BTreeMap;

use kyma_core::Value;
use kyma_core::extent::ColumnBounds;
use kyma_core::predicate::ColumnRange;

/// Slots of an extent.
const SLOTS: usize = 32;

/// The smallest and the largest key of every slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) lows: Vec<i32>,
    pub(crate) highs: Vec<i32>,
}

/// What a slot must overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotRange {
    /// From 1, as PostgreSQL counts.
    pub(crate) slot: i32,
    pub(crate) low: i32,
    pub(crate) high: i32,
}

/// The slots of an extent's columns.
pub(crate) fn of_columns(columns: &BTreeMap<String, ColumnBounds>) -> Keys {
    let mut keys = Keys { lows: vec![i32::MAX; SLOTS], highs: vec![i32::MIN; SLOTS] };
    for (name, bounds) in columns {
        let (slot, (low, high)) = (slot(name), of_column(bounds));
        keys.lows[slot] = keys.lows[slot].min(low);
        keys.highs[slot] = keys.highs[slot].max(high);
    }
    keys
}

/// The slot and the keys of a range.
pub(crate) fn of_range(range: &ColumnRange) -> SlotRange {
    let end = |value: &Option<Value>, open| value.as_ref().and_then(key).unwrap_or(open);
    SlotRange { slot: slot(&range.column) as i32 + 1, low: end(&range.min, i32::MIN), high: end(&range.max, i32::MAX) }
}

fn of_column(bounds: &ColumnBounds) -> (i32, i32) {
    let stats = &bounds.stats;
    if stats.is_known() && stats.nulls == stats.rows {
        return (i32::MAX, i32::MIN);
    }
    let end = |value: &Option<Value>, open| value.as_ref().and_then(key).unwrap_or(open);
    (end(&stats.min, i32::MIN), end(&stats.max, i32::MAX))
}

/// FNV-1a of the name.
fn slot(name: &str) -> usize {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // The lowest bits of this hash are its worst.
    (hash >> 32) as usize % SLOTS
}

/// A value's key; ints, longs and reals have keys in one order. `None` where a value has none.
fn key(value: &Value) -> Option<i32> {
    match value {
        Value::Bool(value) => Some(i32::from(*value)),
        Value::Int(value) => Some(real_key(f64::from(*value))),
        Value::Long(value) => Some(real_key(*value as f64)),
        Value::Real(value) if !value.is_nan() => Some(real_key(*value)),
        Value::Datetime(nanos) | Value::Timespan(nanos) => Some((nanos >> 32) as i32),
        Value::Guid(bits) => Some(signed((bits >> 96) as u32)),
        Value::String(text) => Some(text_key(text)),
        _ => None,
    }
}

/// The upper half of a double's bits, arranged so that they compare as doubles do.
fn real_key(value: f64) -> i32 {
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    signed((ordered >> 32) as u32)
}

/// The first four bytes.
fn text_key(text: &str) -> i32 {
    let mut head = [0; 4];
    let bytes = &text.as_bytes()[..text.len().min(4)];
    head[..bytes.len()].copy_from_slice(bytes);
    signed(u32::from_be_bytes(head))
}

fn signed(ordered: u32) -> i32 {
    (ordered ^ 1 << 31) as i32
}

#[cfg(test)]
mod tests {
    use kyma_core::predicate::{ColumnRef, CompareOp, Predicate};
    use kyma_core::prune::evaluate;
    use kyma_core::stats::ColumnStats;
    use kyma_core::{Schema, Type};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slots_and_keys_stay_as_they_are() {
        assert_eq!(["", "Timestamp", "Service", "n"].map(slot), [4, 3, 16, 12]);
        let values = [
            Value::Bool(true),
            Value::Long(-1),
            Value::Long(0),
            Value::Real(1.5),
            Value::Datetime(1_704_067_200_000_000_000),
            Value::Guid(1 << 127),
            Value::String("web".to_owned()),
        ];
        assert_eq!(values.map(|value| key(&value).unwrap()), [1, -1072693249, 0, 1073217536, 396759063, 0, -144350720]);
    }

    fn numbers() -> impl Strategy<Value = Value> {
        prop_oneof![
            (-5_i32..5).prop_map(Value::Int),
            any::<i64>().prop_map(Value::Long),
            (-5_i64..5).prop_map(Value::Long),
            any::<f64>().prop_filter("a number", |value| !value.is_nan()).prop_map(Value::Real),
            (-5_i32..5).prop_map(|value| Value::Real(f64::from(value) / 2.0)),
        ]
    }

    fn pairs() -> impl Strategy<Value = (Value, Value)> {
        prop_oneof![
            (numbers(), numbers()),
            ("[ab\0é]{0,6}", "[ab\0é]{0,6}").prop_map(|(a, b)| (Value::String(a), Value::String(b))),
            any::<(i64, i64)>().prop_map(|(a, b)| (Value::Datetime(a), Value::Datetime(b))),
            any::<(u128, u128)>().prop_map(|(a, b)| (Value::Guid(a), Value::Guid(b))),
            any::<(bool, bool)>().prop_map(|(a, b)| (Value::Bool(a), Value::Bool(b))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]
        #[test]
        fn keys_keep_the_order_of_values((a, b) in pairs()) {
            if a.partial_compare(&b).is_some_and(|order| order.is_le()) {
                prop_assert!(key(&a) <= key(&b), "{a:?} {b:?}");
            }
        }

        /// The node's own pruner would keep nothing that the slots exclude.
        #[test]
        fn what_slots_exclude_the_bounds_exclude(
            low in -9_i64..9, length in 0_i64..5, nulls in 0_u64..3, literal in -9_i64..9, op in 0_usize..5, known in any::<bool>()
        ) {
            let ops = [CompareOp::Equal, CompareOp::Less, CompareOp::LessOrEqual, CompareOp::Greater, CompareOp::GreaterOrEqual];
            let stats = match known {
                true => ColumnStats { min: Some(Value::Long(low)), max: Some(Value::Long(low + length)), exact: true, nulls, rows: 9, distinct: None, sum: None },
                false => ColumnStats::unknown(9),
            };
            let columns = BTreeMap::from([("c".to_owned(), ColumnBounds { ty: Type::Long, stats: stats.clone() })]);
            let predicate = Predicate::Compare { column: ColumnRef::column("c"), op: ops[op], value: Value::Long(literal) };
            let ranges = predicate.ranges(&Schema::from([("c", Type::Long)]));
            let keys = of_columns(&columns);
            for range in ranges.iter().map(of_range) {
                let slot = range.slot as usize - 1;
                if keys.lows[slot] > range.high || keys.highs[slot] < range.low {
                    prop_assert!(evaluate(&predicate, &One(stats.clone())).is_none());
                }
            }
        }
    }

    struct One(ColumnStats);

    impl kyma_core::prune::StatsSource for One {
        fn stats(&self, _column: &ColumnRef) -> Option<ColumnStats> {
            Some(self.0.clone())
        }
    }
}
