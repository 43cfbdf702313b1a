//! One scalar of any type: a literal, a bound, a parameter.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::types::Type;

/// A scalar. Times are nanoseconds; a decimal is unscaled with 18 digits after the point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "v", rename_all = "lowercase")]
pub enum Value {
    /// The null of a type.
    Null(Type),
    /// A truth value.
    Bool(bool),
    /// 32-bit integer.
    Int(i32),
    /// 64-bit integer.
    Long(i64),
    /// IEEE double; NaN and infinities keep their bits.
    Real(#[serde(with = "real_bits")] f64),
    /// Unscaled decimal, scale 18.
    Decimal(#[serde(with = "as_text")] i128),
    /// Nanoseconds since the epoch.
    Datetime(i64),
    /// Nanoseconds.
    Timespan(i64),
    /// 128-bit identifier, big-endian order of its text.
    Guid(#[serde(with = "as_text")] u128),
    /// Text.
    String(String),
    /// Compact JSON text.
    Dynamic(String),
}

impl Value {
    /// The type of the value.
    pub fn ty(&self) -> Type {
        match self {
            Value::Null(ty) => *ty,
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Long(_) => Type::Long,
            Value::Real(_) => Type::Real,
            Value::Decimal(_) => Type::Decimal,
            Value::Datetime(_) => Type::Datetime,
            Value::Timespan(_) => Type::Timespan,
            Value::Guid(_) => Type::Guid,
            Value::String(_) => Type::String,
            Value::Dynamic(_) => Type::Dynamic,
        }
    }

    /// Whether this is a null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null(_))
    }

    /// Compares two values of comparable types.
    ///
    /// Numbers compare across `int`, `long` and `real` without losing digits. NaN, nulls, dynamics and
    /// values of unlike types do not compare: the answer is `None`, which a pruner must read as "maybe".
    pub fn partial_compare(&self, other: &Value) -> Option<Ordering> {
        use Value::*;
        match (self, other) {
            (Bool(a), Bool(b)) => Some(a.cmp(b)),
            (Int(a), Int(b)) => Some(a.cmp(b)),
            (Long(a), Long(b)) | (Datetime(a), Datetime(b)) | (Timespan(a), Timespan(b)) => Some(a.cmp(b)),
            (Int(a), Long(b)) => Some(i64::from(*a).cmp(b)),
            (Long(a), Int(b)) => Some(a.cmp(&i64::from(*b))),
            (Real(a), Real(b)) => a.partial_cmp(b),
            (Int(a), Real(b)) => f64::from(*a).partial_cmp(b),
            (Real(a), Int(b)) => a.partial_cmp(&f64::from(*b)),
            (Long(a), Real(b)) => compare_long_real(*a, *b),
            (Real(a), Long(b)) => compare_long_real(*b, *a).map(Ordering::reverse),
            (Decimal(a), Decimal(b)) => Some(a.cmp(b)),
            (Guid(a), Guid(b)) => Some(a.cmp(b)),
            (String(a), String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            _ => None,
        }
    }
}

/// Compares an integer with a float exactly: the float is never rounded to the integer's neighbours.
fn compare_long_real(long: i64, real: f64) -> Option<Ordering> {
    if real.is_nan() {
        return None;
    }
    if real >= 9_223_372_036_854_775_808.0 {
        return Some(Ordering::Less);
    }
    if real < -9_223_372_036_854_775_808.0 {
        return Some(Ordering::Greater);
    }
    let whole = real.trunc();
    let by_whole = long.cmp(&(whole as i64));
    Some(by_whole.then_with(|| 0.0_f64.partial_cmp(&(real - whole)).unwrap_or(Ordering::Equal)))
}

/// 128-bit integers as text: JSON readers, and serde's buffers, stop at 64 bits.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

mod real_bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Repr {
        Number(f64),
        Bits(String),
    }

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        // JSON numbers round-trip every finite double except the sign of zero in some readers.
        if value.is_finite() && *value != 0.0 {
            return Repr::Number(*value).serialize(serializer);
        }
        Repr::Bits(format!("{:016x}", value.to_bits())).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Repr::deserialize(deserializer)? {
            Repr::Number(number) => Ok(number),
            Repr::Bits(bits) => u64::from_str_radix(&bits, 16).map(f64::from_bits).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_real_compare_exactly() {
        let big = (1_i64 << 53) + 1;
        assert_eq!(Value::Long(big).partial_compare(&Value::Real((1_i64 << 53) as f64)), Some(Ordering::Greater));
        assert_eq!(Value::Long(i64::MAX).partial_compare(&Value::Real(9.3e18)), Some(Ordering::Less));
        assert_eq!(Value::Long(-1).partial_compare(&Value::Real(-1.5)), Some(Ordering::Greater));
        assert_eq!(Value::Real(f64::NAN).partial_compare(&Value::Long(0)), None);
    }

    #[test]
    fn wide_integers_survive_json() {
        for value in [Value::Decimal(i128::MIN), Value::Guid(u128::MAX)] {
            let json = serde_json::to_value(&value).unwrap();
            assert_eq!(serde_json::from_value::<Value>(json).unwrap(), value);
        }
    }

    #[test]
    fn reals_keep_their_bits_in_json() {
        for real in [0.0, -0.0, 1.5, f64::MAX, f64::INFINITY, f64::NEG_INFINITY] {
            let json = serde_json::to_string(&Value::Real(real)).unwrap();
            let Value::Real(back) = serde_json::from_str(&json).unwrap() else { panic!("{json}") };
            assert_eq!(back.to_bits(), real.to_bits(), "{json}");
        }
    }
}
