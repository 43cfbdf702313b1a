//! Falsification: whether a predicate can be true of any row, from statistics alone.
//!
//! One evaluator serves the catalog's rows, an extent's footer and a block's statistics. For every leaf it
//! asks which of *true*, *false* and *null* are possible, combines these by three-valued logic, and prunes only
//! when *true* is impossible. "All" (every row is true) lets a metadata answer skip the filter.
//!
//! Source: O'Neil's zone maps; the three-outcome form follows from SQL's NOT over nulls.

use std::cmp::Ordering;

use crate::predicate::{ColumnRef, CompareOp, Predicate, TextOp};
use crate::stats::ColumnStats;
use crate::types::Type;
use crate::value::Value;

/// Why something was pruned. The names are the profile's and the metrics'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The event time lies outside.
    Time,
    /// It was added before or after what is asked for, or has another id.
    Cursor,
    /// Minimum and maximum exclude it.
    Bounds,
    /// A needed path or value is null everywhere.
    Missing,
    /// A token filter excludes a term.
    Filter,
    /// The term dictionary excludes a term.
    Terms,
    /// No template can match.
    Templates,
    /// A filter that tightened while the query ran excludes it.
    Dynamic,
    /// The limit was reached before it was opened.
    Limit,
}

impl Reason {
    /// Its name as it is serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Time => "time",
            Reason::Cursor => "cursor",
            Reason::Bounds => "bounds",
            Reason::Missing => "missing",
            Reason::Filter => "filter",
            Reason::Terms => "terms",
            Reason::Templates => "templates",
            Reason::Dynamic => "dynamic",
            Reason::Limit => "limit",
        }
    }
}

/// Which outcomes are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Some row may be true.
    pub can_true: bool,
    /// Some row may be false.
    pub can_false: bool,
    /// Some row may be null.
    pub can_null: bool,
    /// Which leaf excluded true, when it is excluded.
    pub reason: Option<Reason>,
}

impl Outcome {
    /// Nothing is known.
    pub const MAYBE: Outcome = Outcome { can_true: true, can_false: true, can_null: true, reason: None };
    /// True of every row.
    pub const TRUE: Outcome = Outcome { can_true: true, can_false: false, can_null: false, reason: None };

    /// Certainly no row is true.
    pub fn is_none(&self) -> bool {
        !self.can_true
    }

    /// Certainly every row is true.
    pub fn is_all(&self) -> bool {
        !self.can_false && !self.can_null
    }

    fn and(self, other: Outcome) -> Outcome {
        let can_true = self.can_true && other.can_true;
        Outcome {
            can_true,
            can_false: self.can_false || other.can_false,
            can_null: (self.can_null && (other.can_null || other.can_true))
                || (other.can_null && (self.can_null || self.can_true)),
            reason: if can_true { None } else { self.reason.or(other.reason) },
        }
    }

    fn or(self, other: Outcome) -> Outcome {
        let can_true = self.can_true || other.can_true;
        Outcome {
            can_true,
            can_false: self.can_false && other.can_false,
            can_null: (self.can_null && (other.can_null || other.can_false))
                || (other.can_null && (self.can_null || self.can_false)),
            reason: if can_true { None } else { self.reason.or(other.reason) },
        }
    }

    fn not(self) -> Outcome {
        let can_true = self.can_false;
        Outcome {
            can_true,
            can_false: self.can_true,
            can_null: self.can_null,
            reason: if can_true { None } else { self.reason.or(Some(Reason::Bounds)) },
        }
    }
}

/// Where the evaluator finds statistics.
pub trait StatsSource {
    /// The statistics of `column`, promoted to the type that the query reads it with; `None` when nothing is
    /// known. A column or path that certainly does not occur is [`ColumnStats::all_null`].
    fn stats(&self, column: &ColumnRef) -> Option<ColumnStats>;

    /// Whether `column` holds the event time, for the reason's name.
    fn is_time(&self, _column: &ColumnRef) -> bool {
        false
    }

    /// Whether null strings read as `""`, as KQL does.
    fn null_strings_are_empty(&self) -> bool {
        false
    }

    /// The type that the query reads `column` with, if it is known.
    fn column_type(&self, _column: &ColumnRef) -> Option<Type> {
        None
    }
}

/// Which outcomes of `predicate` are possible over the rows that `source` describes.
pub fn evaluate(predicate: &Predicate, source: &dyn StatsSource) -> Outcome {
    match predicate {
        Predicate::True => Outcome::TRUE,
        Predicate::Opaque => Outcome::MAYBE,
        Predicate::And(parts) => parts.iter().map(|part| evaluate(part, source)).fold(Outcome::TRUE, Outcome::and),
        Predicate::Or(parts) => {
            let nothing = Outcome { can_true: false, can_false: true, can_null: false, reason: None };
            parts.iter().map(|part| evaluate(part, source)).fold(nothing, Outcome::or)
        }
        Predicate::Not(inner) => evaluate(inner, source).not(),
        Predicate::Compare { column, op, value } => {
            leaf(source, column, value.ty(), |bounds| bounds.compare(*op, value))
        }
        Predicate::In { column, values } => {
            let ty = values.first().map_or(Type::String, Value::ty);
            leaf(source, column, ty, |bounds| {
                values
                    .iter()
                    .map(|value| bounds.compare(CompareOp::Equal, value))
                    .fold((false, true), |(t, f), (can_true, can_false)| (t || can_true, f && can_false))
            })
        }
        Predicate::IsNull(column) => is_null(source, column),
        Predicate::Text { column, op, needle, case_sensitive } => {
            leaf(source, column, Type::String, |bounds| bounds.text(*op, needle, *case_sensitive))
        }
    }
}

fn is_null(source: &dyn StatsSource, column: &ColumnRef) -> Outcome {
    let Some(stats) = source.stats(column).filter(ColumnStats::is_known) else {
        return Outcome { can_null: false, ..Outcome::MAYBE };
    };
    if column.path.is_empty()
        && source.null_strings_are_empty()
        && source.column_type(column).is_none_or(|ty| ty == Type::String)
    {
        return Outcome { can_null: false, ..Outcome::MAYBE };
    }
    let can_true = stats.nulls > 0;
    Outcome {
        can_true,
        can_false: stats.nulls < stats.rows,
        can_null: false,
        reason: (!can_true).then_some(Reason::Missing),
    }
}

/// Evaluates a leaf that is null where the column is null.
fn leaf(
    source: &dyn StatsSource,
    column: &ColumnRef,
    literal: Type,
    test: impl Fn(&Bounds) -> (bool, bool),
) -> Outcome {
    let Some(stats) = source.stats(column).filter(ColumnStats::is_known) else { return Outcome::MAYBE };
    let nulls_are_empty = literal == Type::String && source.null_strings_are_empty();
    let mut bounds = Bounds { min: stats.min.clone(), max: stats.max.clone(), exact: stats.exact };
    let mut has_values = stats.nulls < stats.rows;
    let mut has_nulls = stats.nulls > 0;
    if nulls_are_empty && has_nulls {
        let empty = Value::String(String::new());
        if !has_values {
            bounds.max = Some(empty.clone());
        }
        bounds.min = Some(empty);
        bounds.exact = !has_values;
        has_values = true;
        has_nulls = false;
    }
    if !has_values {
        return Outcome { can_true: false, can_false: false, can_null: has_nulls, reason: Some(Reason::Missing) };
    }
    let (can_true, can_false) = test(&bounds);
    let reason = match source.is_time(column) {
        _ if stats.nulls == stats.rows => Reason::Missing,
        true => Reason::Time,
        false => Reason::Bounds,
    };
    Outcome { can_true, can_false, can_null: has_nulls, reason: (!can_true).then_some(reason) }
}

struct Bounds {
    min: Option<Value>,
    max: Option<Value>,
    exact: bool,
}

/// Up to this, every whole number is a real.
pub(crate) const REAL_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

impl Bounds {
    fn is_long(&self) -> bool {
        [&self.min, &self.max].iter().any(|bound| matches!(bound, Some(Value::Long(_))))
    }

    /// Whether a value within the bounds can make the comparison true, and false.
    fn compare(&self, op: CompareOp, value: &Value) -> (bool, bool) {
        if matches!(value, Value::Real(real) if *real == 0.0 || real.is_nan()) {
            // -0.0 and 0.0 compare unlike in Arrow's total order and alike in IEEE's: claim nothing.
            return (true, true);
        }
        if matches!(value, Value::Real(real) if real.abs() >= REAL_WHOLE_MAX) && self.is_long() {
            // The query rounds such longs to reals before it compares; the bounds do not.
            return (true, true);
        }
        let min = self.min.as_ref().and_then(|min| min.partial_compare(value));
        let max = self.max.as_ref().and_then(|max| max.partial_compare(value));
        let above = min == Some(Ordering::Greater);
        let below = max == Some(Ordering::Less);
        let is_point = self.exact && min == Some(Ordering::Equal) && max == Some(Ordering::Equal);
        let (at_least, at_most) = (above || min == Some(Ordering::Equal), below || max == Some(Ordering::Equal));
        match op {
            CompareOp::Equal => (!(above || below), !is_point),
            CompareOp::NotEqual => (!is_point, !(above || below)),
            CompareOp::Less => (!at_least, !below),
            CompareOp::LessOrEqual => (!above, !at_most),
            CompareOp::Greater => (!at_most, !above),
            CompareOp::GreaterOrEqual => (!below, !at_least),
        }
    }

    /// Text is falsified by bounds only for case-sensitive prefixes, and where every value is empty.
    fn text(&self, op: TextOp, needle: &str, case_sensitive: bool) -> (bool, bool) {
        let is_empty = |bound: &Option<Value>| matches!(bound, Some(Value::String(text)) if text.is_empty());
        if is_empty(&self.min) && is_empty(&self.max) && !needle.is_empty() && op != TextOp::Regex {
            return (false, true);
        }
        if op != TextOp::StartsWith || !case_sensitive || needle.is_empty() {
            return (true, true);
        }
        let needle = needle.as_bytes();
        let head = |text: &str| -> Ordering { text.as_bytes()[..text.len().min(needle.len())].cmp(needle) };
        let above = matches!(&self.min, Some(Value::String(min)) if head(min) == Ordering::Greater);
        let below = matches!(&self.max, Some(Value::String(max)) if max.as_bytes() < needle);
        (!(above || below), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct One(ColumnStats);

    impl StatsSource for One {
        fn stats(&self, _column: &ColumnRef) -> Option<ColumnStats> {
            Some(self.0.clone())
        }
    }

    fn stats_of(rows: &[Option<i64>]) -> ColumnStats {
        let values: Vec<i64> = rows.iter().flatten().copied().collect();
        ColumnStats {
            min: values.iter().min().copied().map(Value::Long),
            max: values.iter().max().copied().map(Value::Long),
            exact: true,
            nulls: (rows.len() - values.len()) as u64,
            rows: rows.len() as u64,
            distinct: None,
            sum: None,
        }
    }

    fn both(left: Option<bool>, right: Option<bool>) -> Option<bool> {
        match (left, right) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    fn slow(predicate: &Predicate, row: Option<i64>) -> Option<bool> {
        match predicate {
            Predicate::True => Some(true),
            Predicate::Opaque => None,
            Predicate::And(parts) => parts.iter().map(|p| slow(p, row)).reduce(both).unwrap_or(Some(true)),
            Predicate::Or(parts) => {
                let not = |part: &Predicate| slow(part, row).map(|holds| !holds);
                parts.iter().map(not).reduce(both).unwrap_or(Some(true)).map(|holds| !holds)
            }
            Predicate::Not(inner) => slow(inner, row).map(|b| !b),
            Predicate::Compare { op, value, .. } => row.map(|row| {
                let order = Value::Long(row).partial_compare(value).unwrap();
                match op {
                    CompareOp::Equal => order.is_eq(),
                    CompareOp::NotEqual => order.is_ne(),
                    CompareOp::Less => order.is_lt(),
                    CompareOp::LessOrEqual => order.is_le(),
                    CompareOp::Greater => order.is_gt(),
                    CompareOp::GreaterOrEqual => order.is_ge(),
                }
            }),
            Predicate::In { values, .. } => row.map(|row| values.contains(&Value::Long(row))),
            Predicate::IsNull(_) => Some(row.is_none()),
            Predicate::Text { .. } => None,
        }
    }

    fn predicates() -> impl Strategy<Value = Predicate> {
        let column = || ColumnRef::column("c");
        let ops = prop_oneof![
            Just(CompareOp::Equal),
            Just(CompareOp::NotEqual),
            Just(CompareOp::Less),
            Just(CompareOp::LessOrEqual),
            Just(CompareOp::Greater),
            Just(CompareOp::GreaterOrEqual)
        ];
        let leaf = prop_oneof![
            Just(Predicate::True),
            Just(Predicate::IsNull(column())),
            (ops, -4_i64..4).prop_map(move |(op, v)| Predicate::Compare {
                column: column(),
                op,
                value: Value::Long(v)
            }),
            proptest::collection::vec(-4_i64..4, 0..3).prop_map(move |vs| Predicate::In {
                column: column(),
                values: vs.into_iter().map(Value::Long).collect()
            }),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Predicate::And),
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Predicate::Or),
                inner.prop_map(|p| Predicate::Not(Box::new(p))),
            ]
        })
    }

    #[test]
    fn a_long_that_rounds_to_the_real_is_not_pruned() {
        let long = (1_i64 << 53) + 1;
        let equal = Predicate::Compare {
            column: ColumnRef::column("c"),
            op: CompareOp::Equal,
            value: Value::Real(long as f64),
        };
        assert!(evaluate(&equal, &One(stats_of(&[Some(long)]))).can_true);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn never_claims_what_a_row_refutes(rows in proptest::collection::vec(proptest::option::weighted(0.8, -4_i64..4), 1..6), predicate in predicates()) {
            let outcome = evaluate(&predicate, &One(stats_of(&rows)));
            for row in &rows {
                match slow(&predicate, *row) {
                    Some(true) => prop_assert!(outcome.can_true, "{predicate:?} {rows:?}"),
                    Some(false) => prop_assert!(outcome.can_false, "{predicate:?} {rows:?}"),
                    None => prop_assert!(outcome.can_null, "{predicate:?} {rows:?}"),
                }
            }
        }
    }
}
