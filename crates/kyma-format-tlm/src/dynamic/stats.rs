//! Statistics of a path from those of its sub-columns, of which a row has a value in at most one.

use kyma_core::stats::ColumnStats;
use kyma_core::types::Type;
use kyma_core::value::Value;

/// Up to this, every whole number is a real.
const REAL_WHOLE_MAX: u64 = 1 << 53;

/// The statistics of all values of the complete sub-columns of one path in a block; `None` when one has none.
pub(crate) fn unite<'a>(subs: impl Iterator<Item = (Type, Option<&'a ColumnStats>)>) -> Option<(Type, ColumnStats)> {
    let mut united: Option<(Type, ColumnStats)> = None;
    for (ty, stats) in subs {
        let stats = stats?;
        united = Some(match united {
            None => (ty, stats.clone()),
            Some(known) => {
                let rows = stats.rows;
                let (ty, mut sum) = join(known, (ty, stats.clone()));
                // Both speak of the same rows.
                sum.rows = rows;
                sum.nulls = sum.nulls.saturating_sub(rows);
                (ty, sum)
            }
        });
    }
    united
}

/// The statistics of two sets of values together. Longs and reals are reals; other types have no bounds in common.
pub(crate) fn join(left: (Type, ColumnStats), right: (Type, ColumnStats)) -> (Type, ColumnStats) {
    let is_empty = |(_, stats): &(Type, ColumnStats)| stats.nulls == stats.rows && stats.is_known();
    let ty = match (left.0, right.0) {
        (a, b) if a == b => a,
        (_, b) if is_empty(&left) => b,
        (a, _) if is_empty(&right) => a,
        (Type::Long, Type::Real) | (Type::Real, Type::Long) => Type::Real,
        _ => Type::Dynamic,
    };
    let (left, right) = (read_as(left, ty), read_as(right, ty));
    let counts =
        ColumnStats { nulls: left.nulls + right.nulls, distinct: None, ..ColumnStats::unknown(left.rows + right.rows) };
    let merged = if ty == Type::Dynamic { counts } else { left.merge(&right) };
    (ty, merged)
}

/// The statistics of values read as `ty`; bounds that do not fit are dropped.
fn read_as((from, stats): (Type, ColumnStats), ty: Type) -> ColumnStats {
    if from == ty {
        return stats;
    }
    let real = |bound: &Option<Value>| match bound {
        Some(Value::Long(long)) if long.unsigned_abs() <= REAL_WHOLE_MAX => Some(Value::Real(*long as f64)),
        _ => None,
    };
    let bounds = if ty == Type::Real { (real(&stats.min), real(&stats.max)) } else { (None, None) };
    let exact = stats.exact && stats.nulls == stats.rows;
    ColumnStats { min: bounds.0, max: bounds.1, exact, sum: None, distinct: None, ..stats }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(ty: Type, min: Value, max: Value, nulls: u64) -> (Type, ColumnStats) {
        let stats = ColumnStats { min: Some(min), max: Some(max), nulls, ..ColumnStats::unknown(10) };
        (ty, stats)
    }

    #[test]
    fn kinds_under_one_path() {
        let longs = bounded(Type::Long, Value::Long(1), Value::Long(9), 4);
        let reals = bounded(Type::Real, Value::Real(-2.0), Value::Real(3.0), 7);
        let texts = bounded(Type::String, Value::String("a".into()), Value::String("b".into()), 9);
        let unite = |subs: &[&(Type, ColumnStats)]| unite(subs.iter().map(|sub| (sub.0, Some(&sub.1)))).unwrap();
        let (ty, stats) = unite(&[&longs, &reals]);
        assert_eq!((ty, &stats.min, &stats.max), (Type::Real, &Some(Value::Real(-2.0)), &Some(Value::Real(9.0))));
        assert_eq!((stats.rows, stats.nulls), (10, 1));
        let (ty, stats) = unite(&[&longs, &reals, &texts]);
        assert_eq!((ty, stats.min, stats.rows, stats.nulls), (Type::Dynamic, None, 10, 0));
        let nulls = (Type::Dynamic, ColumnStats::all_null(10));
        let (ty, stats) = unite(&[&longs, &nulls]);
        assert_eq!((ty, stats.max, stats.nulls), (Type::Long, Some(Value::Long(9)), 4));
        assert!(super::unite([(Type::Long, Some(&longs.1)), (Type::Real, None)].into_iter()).is_none());
    }
}
