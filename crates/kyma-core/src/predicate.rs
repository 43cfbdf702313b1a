//! What a filter says about single columns, in a form that every pruner understands.
//!
//! A predicate is a *weakening* of the query's filter: whatever cannot be expressed becomes
//! [`Predicate::Opaque`], which may be true, false or null. Logic is three-valued, as in SQL.

use std::fmt;

use crate::prune::REAL_WHOLE_MAX;
use crate::schema::Schema;
use crate::types::Type;
use crate::value::Value;

/// A column, or a path inside a dynamic column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnRef {
    /// The column's name.
    pub column: String,
    /// Object keys inside the column; empty for the column itself.
    pub path: Vec<String>,
}

impl ColumnRef {
    /// The column `name` itself.
    pub fn column(name: impl Into<String>) -> Self {
        ColumnRef { column: name.into(), path: Vec::new() }
    }

    /// The path `path` inside the dynamic column `name`.
    pub fn path(name: impl Into<String>, path: Vec<String>) -> Self {
        ColumnRef { column: name.into(), path }
    }
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.column)?;
        self.path.iter().try_for_each(|key| write!(f, ".{key}"))
    }
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl CompareOp {
    /// The operator with its sides swapped.
    pub fn flip(self) -> Self {
        match self {
            CompareOp::Less => CompareOp::Greater,
            CompareOp::LessOrEqual => CompareOp::GreaterOrEqual,
            CompareOp::Greater => CompareOp::Less,
            CompareOp::GreaterOrEqual => CompareOp::LessOrEqual,
            same => same,
        }
    }
}

/// A test of text. Unless `case_sensitive`, letters compare by Unicode simple case folding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextOp {
    /// Contains the needle as whole terms (maximal alphanumeric runs): Kusto's `has`.
    Has,
    /// Contains a term that starts with the needle: `hasprefix`.
    HasPrefix,
    /// Contains a term that ends with the needle: `hassuffix`.
    HasSuffix,
    /// Contains the needle anywhere: `contains`.
    Contains,
    /// `startswith`.
    StartsWith,
    /// `endswith`.
    EndsWith,
    /// Equal but for case: `=~`.
    Equal,
    /// Matches the needle as a regular expression of the `regex` crate.
    Regex,
}

/// A condition over one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// True for every row.
    True,
    /// Not known: true, false or null.
    Opaque,
    /// All hold. Empty is true.
    And(Vec<Predicate>),
    /// At least one holds. Empty is false.
    Or(Vec<Predicate>),
    /// Does not hold; null stays null.
    Not(Box<Predicate>),
    /// A comparison with a constant; null when the column is null.
    Compare {
        /// Left side.
        column: ColumnRef,
        /// How.
        op: CompareOp,
        /// Right side, never null.
        value: Value,
    },
    /// Equal to one of the constants; null when the column is null.
    In {
        /// Left side.
        column: ColumnRef,
        /// The set; no nulls.
        values: Vec<Value>,
    },
    /// The column is null; never null itself.
    IsNull(ColumnRef),
    /// A test of text; null when the column is null.
    Text {
        /// Left side: a string column, or a path read as text.
        column: ColumnRef,
        /// How.
        op: TextOp,
        /// What is looked for.
        needle: String,
        /// Whether case counts.
        case_sensitive: bool,
    },
}

/// The values of one column that a filter lets through: closed bounds, open where `None`.
///
/// Null is not among them, nor what reads as null: a range of strings never holds `""`. Bounds are of the column's type;
/// ints, longs and reals mix.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnRange {
    /// The column's name.
    pub column: String,
    /// No value below it passes.
    pub min: Option<Value>,
    /// No value above it passes.
    pub max: Option<Value>,
}

impl Predicate {
    /// All of `parts`, flattened; `True` parts fall away.
    pub fn and(parts: impl IntoIterator<Item = Predicate>) -> Predicate {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Predicate::True => {}
                Predicate::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Predicate::True,
            1 => flat.remove(0),
            _ => Predicate::And(flat),
        }
    }

    /// Whether some part of it is not known: without such a part it says exactly what the filter does.
    pub fn has_opaque(&self) -> bool {
        match self {
            Predicate::Opaque => true,
            Predicate::And(parts) | Predicate::Or(parts) => parts.iter().any(Predicate::has_opaque),
            Predicate::Not(inner) => inner.has_opaque(),
            _ => false,
        }
    }

    /// Whether it speaks of a path inside a dynamic column.
    pub fn has_path(&self) -> bool {
        match self {
            Predicate::True | Predicate::Opaque => false,
            Predicate::And(parts) | Predicate::Or(parts) => parts.iter().any(Predicate::has_path),
            Predicate::Not(inner) => inner.has_path(),
            Predicate::IsNull(column)
            | Predicate::Compare { column, .. }
            | Predicate::In { column, .. }
            | Predicate::Text { column, .. } => !column.path.is_empty(),
        }
    }

    /// The top-level conjuncts.
    pub fn conjuncts(&self) -> &[Predicate] {
        match self {
            Predicate::And(parts) => parts,
            Predicate::True => &[],
            other => std::slice::from_ref(other),
        }
    }

    /// Calls `visit` with every column the predicate speaks of.
    pub fn for_each_column<'a>(&'a self, visit: &mut impl FnMut(&'a ColumnRef)) {
        match self {
            Predicate::True | Predicate::Opaque => {}
            Predicate::And(parts) | Predicate::Or(parts) => parts.iter().for_each(|part| part.for_each_column(visit)),
            Predicate::Not(inner) => inner.for_each_column(visit),
            Predicate::Compare { column, .. }
            | Predicate::In { column, .. }
            | Predicate::IsNull(column)
            | Predicate::Text { column, .. } => visit(column),
        }
    }

    /// The ranges that columns must lie in for the predicate to be true, by those conjuncts that say so for certain.
    pub fn ranges(&self, schema: &Schema) -> Vec<ColumnRange> {
        self.conjuncts().iter().filter_map(|part| part.range(schema)).collect()
    }

    fn range(&self, schema: &Schema) -> Option<ColumnRange> {
        let (column, min, max) = match self {
            Predicate::Compare { column, op, value } => match op {
                CompareOp::Equal => (column, Some(value), Some(value)),
                CompareOp::Less | CompareOp::LessOrEqual => (column, None, Some(value)),
                CompareOp::Greater | CompareOp::GreaterOrEqual => (column, Some(value), None),
                CompareOp::NotEqual => return None,
            },
            Predicate::In { column, values } => {
                let is_in_order = |pair: &[Value]| pair[0].partial_compare(&pair[1]).is_some();
                if !values.windows(2).all(is_in_order) {
                    return None;
                }
                let order = |a: &&Value, b: &&Value| a.partial_compare(b).unwrap_or(std::cmp::Ordering::Equal);
                (column, Some(values.iter().min_by(order)?), Some(values.iter().max_by(order)?))
            }
            _ => return None,
        };
        let ty = schema.column(&column.column)?.ty;
        let is_usable = column.path.is_empty() && [min, max].into_iter().flatten().all(|value| bounds(value, ty));
        let may_be_empty =
            ty == Type::String && min.is_none_or(|min| matches!(min, Value::String(text) if text.is_empty()));
        let range = || ColumnRange { column: column.column.clone(), min: min.cloned(), max: max.cloned() };
        (is_usable && !may_be_empty).then(range)
    }

    /// The closed range that `column` must lie in for the predicate to be true, by its conjuncts.
    pub fn time_range(&self, time_column: &str) -> crate::time::TimeRange {
        let mut range = crate::time::TimeRange::ALL;
        for part in self.conjuncts() {
            let Predicate::Compare { column, op, value: Value::Datetime(at) } = part else { continue };
            if column.column != time_column || !column.path.is_empty() {
                continue;
            }
            match op {
                CompareOp::Equal => range = range.intersect(&crate::time::TimeRange::new(*at, *at)),
                CompareOp::Less => range.end = range.end.min(at.saturating_sub(1)),
                CompareOp::LessOrEqual => range.end = range.end.min(*at),
                CompareOp::Greater => range.start = range.start.max(at.saturating_add(1)),
                CompareOp::GreaterOrEqual => range.start = range.start.max(*at),
                CompareOp::NotEqual => {}
            }
        }
        range
    }
}

/// Whether a constant bounds values of `ty` as the filter compares them. Reals about which the filter and the order of
/// bounds may differ do not (see `crate::prune`).
fn bounds(value: &Value, ty: Type) -> bool {
    match value {
        Value::Real(real) => ty.is_numeric() && ty != Type::Decimal && *real != 0.0 && real.abs() < REAL_WHOLE_MAX,
        Value::Int(_) | Value::Long(_) => ty.is_numeric() && ty != Type::Decimal,
        value => value.ty() == ty && !matches!(ty, Type::Decimal | Type::Dynamic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_conjuncts_say_for_certain() {
        let schema = Schema::from([("n", Type::Long), ("s", Type::String), ("d", Type::Dynamic)]);
        let compare = |column: &str, op, value| Predicate::Compare { column: ColumnRef::column(column), op, value };
        let text = |text: &str| Value::String(text.to_owned());
        let check = |predicate: Predicate, expected: Option<(Option<Value>, Option<Value>)>| {
            let found = predicate.ranges(&schema).pop().map(|range| (range.min, range.max));
            assert_eq!(found, expected, "{predicate:?}");
        };
        check(compare("n", CompareOp::Less, Value::Int(5)), Some((None, Some(Value::Int(5)))));
        check(compare("n", CompareOp::Equal, Value::Real(0.5)), Some((Some(Value::Real(0.5)), Some(Value::Real(0.5)))));
        check(compare("s", CompareOp::Greater, text("a")), Some((Some(text("a")), None)));
        let values = [7, 3, 9].map(Value::Long).to_vec();
        let is_in = Predicate::In { column: ColumnRef::column("n"), values };
        check(is_in.clone(), Some((Some(Value::Long(3)), Some(Value::Long(9)))));
        for unsure in [
            compare("n", CompareOp::NotEqual, Value::Long(5)),
            compare("n", CompareOp::Less, Value::Real(0.0)),
            compare("n", CompareOp::Less, Value::Real(f64::NAN)),
            compare("n", CompareOp::Less, Value::Real(1e300)),
            compare("n", CompareOp::Equal, text("5")),
            compare("s", CompareOp::Less, text("b")),
            compare("s", CompareOp::Equal, text("")),
            compare("d", CompareOp::Equal, Value::Dynamic("1".to_owned())),
            compare("missing", CompareOp::Equal, Value::Long(1)),
            Predicate::Not(Box::new(is_in)),
            Predicate::In { column: ColumnRef::column("n"), values: Vec::new() },
            Predicate::In { column: ColumnRef::column("n"), values: vec![Value::Long(1), text("a")] },
        ] {
            check(unsure, None);
        }
    }
}
