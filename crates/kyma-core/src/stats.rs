//! What is known of a column's values without reading them.

use serde::{Deserialize, Serialize};

use crate::types::Type;
use crate::value::Value;

/// Longest string kept as a bound, in bytes.
pub const STRING_BOUND_BYTES_MAX: usize = 32;

/// Statistics of one column over some rows.
///
/// Bounds speak of the non-null values. A `real` column that holds a NaN has no bounds, so that any order
/// of NaN stays sound. String bounds may be shortened: a lower bound to a prefix, an upper bound to the next
/// prefix; `exact` says that they were not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnStats {
    /// No value is below this.
    pub min: Option<Value>,
    /// No value is above this.
    pub max: Option<Value>,
    /// Whether `min` and `max` are values that occur.
    pub exact: bool,
    /// How many values are null.
    pub nulls: u64,
    /// How many rows there are, nulls included.
    pub rows: u64,
    /// Roughly how many distinct non-null values there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct: Option<u64>,
    /// Sum of the non-null numbers; `None` when it does not fit or is not a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<Value>,
}

impl ColumnStats {
    /// Statistics of `rows` nulls: what a missing column looks like.
    pub fn all_null(rows: u64) -> Self {
        ColumnStats { min: None, max: None, exact: true, nulls: rows, rows, distinct: Some(0), sum: None }
    }

    /// Statistics that say nothing but the number of rows.
    pub fn unknown(rows: u64) -> Self {
        ColumnStats { min: None, max: None, exact: false, nulls: 0, rows, distinct: None, sum: None }
    }

    /// Whether the statistics say anything about nulls and bounds. (`unknown` claims neither.)
    pub fn is_known(&self) -> bool {
        self.exact || self.min.is_some() || self.nulls > 0
    }

    /// The statistics as they are when the column is read as `to`: integers widen, strings and dynamics stay, and
    /// what cannot be read as `to` is all null (a mistyped value reads null).
    pub fn promoted(&self, from: Type, to: Type) -> ColumnStats {
        let widen = |value: &Value| match (value, to) {
            (Value::Int(int), Type::Long) => Some(Value::Long(i64::from(*int))),
            (Value::Int(int), Type::Real) => Some(Value::Real(f64::from(*int))),
            (Value::Long(long), Type::Real) => Some(Value::Real(*long as f64)),
            (value, _) => (value.ty() == to).then(|| value.clone()),
        };
        if from == to {
            return self.clone();
        }
        if !can_promote(from, to) {
            return ColumnStats::unknown(self.rows);
        }
        ColumnStats {
            min: self.min.as_ref().and_then(widen),
            max: self.max.as_ref().and_then(widen),
            sum: self.sum.as_ref().and_then(widen),
            ..self.clone()
        }
    }

    /// The statistics of both sets of rows together. Their distinct values are at least those of either; a
    /// [`crate::sketch::Sketch`] knows better.
    pub fn merge(&self, other: &ColumnStats) -> ColumnStats {
        if !self.is_known() || !other.is_known() {
            return ColumnStats::unknown(self.rows + other.rows);
        }
        let side = |mine: &Option<Value>,
                    theirs: &Option<Value>,
                    mine_all_null: bool,
                    theirs_all_null: bool,
                    want: std::cmp::Ordering| {
            match (mine, theirs) {
                (Some(a), Some(b)) => match b.partial_compare(a) {
                    Some(order) if order == want => Some(b.clone()),
                    Some(_) => Some(a.clone()),
                    None => None,
                },
                (Some(a), None) if theirs_all_null => Some(a.clone()),
                (None, Some(b)) if mine_all_null => Some(b.clone()),
                _ => None,
            }
        };
        let (a_null, b_null) = (self.nulls == self.rows, other.nulls == other.rows);
        let sum = match (&self.sum, &other.sum) {
            (Some(Value::Long(a)), Some(Value::Long(b))) => a.checked_add(*b).map(Value::Long),
            (Some(Value::Real(a)), Some(Value::Real(b))) => Some(Value::Real(a + b)),
            (Some(a), None) if b_null => Some(a.clone()),
            (None, Some(b)) if a_null => Some(b.clone()),
            _ => None,
        };
        ColumnStats {
            min: side(&self.min, &other.min, a_null, b_null, std::cmp::Ordering::Less),
            max: side(&self.max, &other.max, a_null, b_null, std::cmp::Ordering::Greater),
            exact: self.exact && other.exact,
            nulls: self.nulls + other.nulls,
            rows: self.rows + other.rows,
            distinct: match (self.distinct, other.distinct) {
                (Some(a), Some(b)) => Some(a.max(b)),
                _ => None,
            },
            sum,
        }
    }
}

/// A lower bound of `text` of at most [`STRING_BOUND_BYTES_MAX`] bytes, and whether it is `text` itself.
pub fn lower_bound(text: &str) -> (String, bool) {
    if text.len() <= STRING_BOUND_BYTES_MAX {
        return (text.to_owned(), true);
    }
    (prefix(text).to_owned(), false)
}

/// An upper bound of `text` of about [`STRING_BOUND_BYTES_MAX`] bytes, and whether it is `text` itself.
/// `None` when no short string is above it.
pub fn upper_bound(text: &str) -> Option<(String, bool)> {
    if text.len() <= STRING_BOUND_BYTES_MAX {
        return Some((text.to_owned(), true));
    }
    let mut chars: Vec<char> = prefix(text).chars().collect();
    while let Some(last) = chars.pop() {
        if let Some(next) = next_char(last) {
            chars.push(next);
            return Some((chars.into_iter().collect(), false));
        }
    }
    None
}

fn prefix(text: &str) -> &str {
    let end = (0..=STRING_BOUND_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

fn next_char(c: char) -> Option<char> {
    match c {
        '\u{10FFFF}' => None,
        '\u{D7FF}' => Some('\u{E000}'),
        c => char::from_u32(u32::from(c) + 1),
    }
}

/// Whether every value of `from` reads as a value of `to` without asking.
pub fn can_promote(from: Type, to: Type) -> bool {
    from == to || matches!((from, to), (Type::Int, Type::Long | Type::Real) | (Type::Long, Type::Real))
}

/// Whether statistics of this type carry a sum.
pub fn has_sum(ty: Type) -> bool {
    ty.is_numeric() || ty == Type::Timespan
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shortened_bounds_stay_bounds(text in "\\PC{0,60}") {
            let (low, _) = lower_bound(&text);
            prop_assert!(low.as_bytes() <= text.as_bytes());
            if let Some((high, _)) = upper_bound(&text) {
                prop_assert!(high.as_bytes() >= text.as_bytes());
            }
        }
    }

    #[test]
    fn merging_with_nulls_keeps_bounds_and_with_unknown_drops_them() {
        let known = ColumnStats {
            min: Some(Value::Long(1)),
            max: Some(Value::Long(9)),
            exact: true,
            nulls: 0,
            rows: 3,
            distinct: Some(2),
            sum: Some(Value::Long(12)),
        };
        assert_eq!(known.merge(&ColumnStats::all_null(2)).max, Some(Value::Long(9)));
        assert_eq!(known.merge(&ColumnStats::unknown(2)).max, None);
        assert!(!ColumnStats::all_null(2).merge(&ColumnStats::unknown(2)).is_known(), "two of four nulls is no claim");
    }
}
