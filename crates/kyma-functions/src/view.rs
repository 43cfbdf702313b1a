//! Typed, cheap access to an argument by row: a scalar is read once, an array in place.

use arrow::array::{
    Array, AsArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    StringViewArray,
};
use arrow::datatypes::{
    Decimal128Type, DurationNanosecondType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType,
};
use kyma_core::types::DECIMAL_SCALE;
use kyma_core::{Error, Result, Value};

use crate::{Arg, Call};

/// A string per row; null reads as `""`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Texts<'a> {
    One(&'a str),
    Many(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    pub(crate) fn of(arg: &'a Arg) -> Result<Texts<'a>> {
        match arg {
            Arg::Scalar(Value::String(text) | Value::Dynamic(text)) => Ok(Texts::One(text)),
            Arg::Scalar(Value::Null(_)) => Ok(Texts::One("")),
            Arg::Scalar(other) => Err(unlike("string", &format!("{:?}", other.ty()))),
            Arg::Array(array) => Ok(Texts::Many(strings(array.as_ref())?)),
        }
    }

    pub(crate) fn get(&self, row: usize) -> &'a str {
        match self {
            Texts::One(text) => text,
            Texts::Many(array) if array.is_null(row) => "",
            Texts::Many(array) => array.value(row),
        }
    }

    pub(crate) fn constant(&self) -> Option<&'a str> {
        match self {
            Texts::One(text) => Some(text),
            Texts::Many(_) => None,
        }
    }
}

/// A dynamic per row as JSON text; JSON null is `None`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jsons<'a>(Texts<'a>);

impl<'a> Jsons<'a> {
    pub(crate) fn of(arg: &'a Arg) -> Result<Jsons<'a>> {
        Texts::of(arg).map(Jsons)
    }

    pub(crate) fn get(&self, row: usize) -> Option<&'a str> {
        let text = self.0.get(row);
        (!text.is_empty() && text != "null").then_some(text)
    }
}

/// An integer per row: int, long, datetime or timespan.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Longs<'a> {
    One(Option<i64>),
    Short(&'a Int32Array),
    Long(&'a Int64Array),
    Datetime(&'a arrow::array::TimestampNanosecondArray),
    Timespan(&'a arrow::array::DurationNanosecondArray),
}

impl<'a> Longs<'a> {
    pub(crate) fn of(arg: &'a Arg) -> Result<Longs<'a>> {
        Ok(match arg {
            Arg::Scalar(Value::Null(_)) => Longs::One(None),
            Arg::Scalar(Value::Int(value)) => Longs::One(Some(i64::from(*value))),
            Arg::Scalar(Value::Long(value) | Value::Datetime(value) | Value::Timespan(value)) => {
                Longs::One(Some(*value))
            }
            Arg::Scalar(Value::Bool(value)) => Longs::One(Some(i64::from(*value))),
            Arg::Scalar(other) => return Err(unlike("integer", &format!("{:?}", other.ty()))),
            Arg::Array(array) => {
                let array = array.as_ref();
                if let Some(array) = array.as_primitive_opt::<Int64Type>() {
                    Longs::Long(array)
                } else if let Some(array) = array.as_primitive_opt::<Int32Type>() {
                    Longs::Short(array)
                } else if let Some(array) = array.as_primitive_opt::<TimestampNanosecondType>() {
                    Longs::Datetime(array)
                } else if let Some(array) = array.as_primitive_opt::<DurationNanosecondType>() {
                    Longs::Timespan(array)
                } else {
                    return Err(unlike("integer", &array.data_type().to_string()));
                }
            }
        })
    }

    pub(crate) fn get(&self, row: usize) -> Option<i64> {
        match self {
            Longs::One(value) => *value,
            Longs::Short(array) => array.is_valid(row).then(|| i64::from(array.value(row))),
            Longs::Long(array) => array.is_valid(row).then(|| array.value(row)),
            Longs::Datetime(array) => array.is_valid(row).then(|| array.value(row)),
            Longs::Timespan(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// A float per row, of any number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reals<'a> {
    Real(&'a Float64Array),
    Long(Longs<'a>),
    One(Option<f64>),
    Decimal(&'a Decimal128Array),
}

impl<'a> Reals<'a> {
    pub(crate) fn of(arg: &'a Arg) -> Result<Reals<'a>> {
        Ok(match arg {
            Arg::Scalar(Value::Real(value)) => Reals::One(Some(*value)),
            Arg::Scalar(Value::Decimal(value)) => Reals::One(Some(decimal_to_real(*value))),
            Arg::Scalar(_) => Reals::Long(Longs::of(arg)?),
            Arg::Array(array) => {
                if let Some(array) = array.as_primitive_opt::<Float64Type>() {
                    Reals::Real(array)
                } else if let Some(array) = array.as_primitive_opt::<Decimal128Type>() {
                    Reals::Decimal(array)
                } else {
                    Reals::Long(Longs::of(arg)?)
                }
            }
        })
    }

    pub(crate) fn get(&self, row: usize) -> Option<f64> {
        match self {
            Reals::Real(array) => array.is_valid(row).then(|| array.value(row)),
            Reals::Long(longs) => longs.get(row).map(|long| long as f64),
            Reals::One(value) => *value,
            Reals::Decimal(array) => array.is_valid(row).then(|| decimal_to_real(array.value(row))),
        }
    }
}

/// An unscaled decimal per row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Decimals<'a> {
    One(Option<i128>),
    Many(&'a Decimal128Array),
}

impl<'a> Decimals<'a> {
    pub(crate) fn of(arg: &'a Arg) -> Result<Decimals<'a>> {
        match arg {
            Arg::Scalar(Value::Decimal(value)) => Ok(Decimals::One(Some(*value))),
            Arg::Scalar(_) => Ok(Decimals::One(None)),
            Arg::Array(array) => array
                .as_primitive_opt::<Decimal128Type>()
                .map(Decimals::Many)
                .ok_or_else(|| unlike("decimal", &array.data_type().to_string())),
        }
    }

    pub(crate) fn get(&self, row: usize) -> Option<i128> {
        match self {
            Decimals::One(value) => *value,
            Decimals::Many(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// A truth value per row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bools<'a> {
    One(Option<bool>),
    Many(&'a BooleanArray),
}

impl<'a> Bools<'a> {
    pub(crate) fn of(arg: &'a Arg) -> Result<Bools<'a>> {
        match arg {
            Arg::Scalar(Value::Bool(value)) => Ok(Bools::One(Some(*value))),
            Arg::Scalar(Value::Null(_)) => Ok(Bools::One(None)),
            Arg::Scalar(other) => Err(unlike("bool", &format!("{:?}", other.ty()))),
            Arg::Array(array) => {
                array.as_boolean_opt().map(Bools::Many).ok_or_else(|| unlike("bool", &array.data_type().to_string()))
            }
        }
    }

    pub(crate) fn get(&self, row: usize) -> Option<bool> {
        match self {
            Bools::One(value) => *value,
            Bools::Many(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// An identifier per row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Guids<'a> {
    One(Option<u128>),
    Many(&'a FixedSizeBinaryArray),
}

impl<'a> Guids<'a> {
    pub(crate) fn of(arg: &'a Arg) -> Result<Guids<'a>> {
        match arg {
            Arg::Scalar(Value::Guid(value)) => Ok(Guids::One(Some(*value))),
            Arg::Scalar(_) => Ok(Guids::One(None)),
            Arg::Array(array) => array
                .as_fixed_size_binary_opt()
                .map(Guids::Many)
                .ok_or_else(|| unlike("guid", &array.data_type().to_string())),
        }
    }

    pub(crate) fn get(&self, row: usize) -> Option<u128> {
        match self {
            Guids::One(value) => *value,
            Guids::Many(array) => array.is_valid(row).then(|| guid_of(array.value(row))),
        }
    }
}

/// The identifier of 16 bytes; missing bytes are zero.
pub(crate) fn guid_of(bytes: &[u8]) -> u128 {
    bytes.iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

/// 10 to the number of a decimal's fractional digits.
pub(crate) const DECIMAL_ONE: i128 = 10_i128.pow(DECIMAL_SCALE as u32);

pub(crate) fn decimal_to_real(value: i128) -> f64 {
    let whole = (value / DECIMAL_ONE) as f64;
    whole + (value % DECIMAL_ONE) as f64 / DECIMAL_ONE as f64
}

pub(crate) fn real_to_decimal(value: f64) -> Option<i128> {
    let scaled = value * DECIMAL_ONE as f64;
    if !scaled.is_finite() || scaled.abs() >= 1e38 {
        return None;
    }
    // Through the shortest text, so that 0.1 is exactly 0.1.
    crate::convert::parse_decimal(&value.to_string()).or(Some(scaled as i128))
}

/// The string array behind `array`.
pub(crate) fn strings(array: &dyn Array) -> Result<&StringViewArray> {
    array.as_string_view_opt().ok_or_else(|| unlike("string view", &array.data_type().to_string()))
}

fn unlike(wanted: &str, given: &str) -> Error {
    Error::internal(format!("a kernel got an argument of another type: wanted={wanted}, given={given}"))
}

impl<'a> Call<'a> {
    /// The argument at `index`.
    pub(crate) fn arg(&self, index: usize) -> Result<&'a Arg> {
        self.args.get(index).ok_or_else(|| Error::internal(format!("a kernel lacks an argument: index={index}")))
    }

    pub(crate) fn has(&self, index: usize) -> bool {
        index < self.args.len()
    }

    pub(crate) fn ty(&self, index: usize) -> kyma_core::Type {
        self.types.get(index).copied().unwrap_or(kyma_core::Type::Dynamic)
    }

    pub(crate) fn texts(&self, index: usize) -> Result<Texts<'a>> {
        Texts::of(self.arg(index)?)
    }

    pub(crate) fn texts_or(&self, index: usize, default: &'a str) -> Result<Texts<'a>> {
        if self.has(index) { self.texts(index) } else { Ok(Texts::One(default)) }
    }

    pub(crate) fn jsons(&self, index: usize) -> Result<Jsons<'a>> {
        Jsons::of(self.arg(index)?)
    }

    pub(crate) fn longs(&self, index: usize) -> Result<Longs<'a>> {
        Longs::of(self.arg(index)?)
    }

    pub(crate) fn longs_or(&self, index: usize, default: Option<i64>) -> Result<Longs<'a>> {
        if self.has(index) { self.longs(index) } else { Ok(Longs::One(default)) }
    }

    pub(crate) fn reals(&self, index: usize) -> Result<Reals<'a>> {
        Reals::of(self.arg(index)?)
    }

    pub(crate) fn bools(&self, index: usize) -> Result<Bools<'a>> {
        Bools::of(self.arg(index)?)
    }

    pub(crate) fn bools_or(&self, index: usize, default: bool) -> Result<Bools<'a>> {
        if self.has(index) { self.bools(index) } else { Ok(Bools::One(Some(default))) }
    }
}
