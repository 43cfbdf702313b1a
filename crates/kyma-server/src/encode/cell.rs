//! One value as JSON, exactly as Kusto spells it.
//!
//! A datetime has seven fractional digits, a timespan is `[-][d.]hh:mm:ss[.fffffff]`, decimals and guids are
//! strings, NaN and the infinities are strings, a dynamic is its JSON, spliced in as it is.

use std::io::Write as _;

use ::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, DurationNanosecondArray, FixedSizeBinaryArray,
    Float64Array, Int32Array, Int64Array, StringArray, StringViewArray, TimestampNanosecondArray,
};
use ::arrow::datatypes::{
    DataType, Decimal128Type, DurationNanosecondType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType,
};
use ::arrow::util::display::{ArrayFormatter, FormatOptions};
use kyma_core::types::DECIMAL_SCALE;
use kyma_core::{Result, Type, time};
use serde::de::IgnoredAny;

/// Whether a null string is shown as `""` (KQL, Kusto) or as `null` (SQL).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NullStrings {
    Empty,
    Null,
}

/// A column whose cells can be written.
pub(crate) enum Cells {
    Bool(BooleanArray),
    Int(Int32Array),
    Long(Int64Array),
    Real(Float64Array),
    Decimal(Decimal128Array),
    Datetime(TimestampNanosecondArray),
    Timespan(DurationNanosecondArray),
    Guid(FixedSizeBinaryArray),
    String(StringViewArray),
    Dynamic(StringViewArray),
}

impl Cells {
    /// The cells of `array` as `ty`; an array of another Arrow type is converted.
    pub(crate) fn new(array: &ArrayRef, ty: Type) -> Result<Self> {
        let array = to_arrow_of(array, ty)?;
        Ok(match ty {
            Type::Bool => Cells::Bool(array.as_boolean().clone()),
            Type::Int => Cells::Int(array.as_primitive::<Int32Type>().clone()),
            Type::Long => Cells::Long(array.as_primitive::<Int64Type>().clone()),
            Type::Real => Cells::Real(array.as_primitive::<Float64Type>().clone()),
            Type::Decimal => Cells::Decimal(array.as_primitive::<Decimal128Type>().clone()),
            Type::Datetime => Cells::Datetime(array.as_primitive::<TimestampNanosecondType>().clone()),
            Type::Timespan => Cells::Timespan(array.as_primitive::<DurationNanosecondType>().clone()),
            Type::Guid => Cells::Guid(array.as_fixed_size_binary().clone()),
            Type::String => Cells::String(array.as_string_view().clone()),
            Type::Dynamic => Cells::Dynamic(array.as_string_view().clone()),
        })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Cells::Bool(array) => array.is_null(row),
            Cells::Int(array) => array.is_null(row),
            Cells::Long(array) => array.is_null(row),
            Cells::Real(array) => array.is_null(row),
            Cells::Decimal(array) => array.is_null(row),
            Cells::Datetime(array) => array.is_null(row),
            Cells::Timespan(array) => array.is_null(row),
            Cells::Guid(array) => array.is_null(row),
            Cells::String(array) | Cells::Dynamic(array) => array.is_null(row),
        }
    }

    /// Appends the cell as JSON.
    pub(crate) fn write_json(&self, row: usize, null_strings: NullStrings, out: &mut Vec<u8>) {
        if self.is_null(row) {
            let empty = matches!(self, Cells::String(_)) && null_strings == NullStrings::Empty;
            out.extend_from_slice(if empty { b"\"\"" } else { b"null" });
            return;
        }
        match self {
            Cells::Bool(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
            Cells::Int(array) => write_integer(i64::from(array.value(row)), out),
            Cells::Long(array) => write_integer(array.value(row), out),
            Cells::Real(array) => write_real(array.value(row), out),
            Cells::String(array) => write_text(array.value(row), out),
            Cells::Dynamic(array) => write_dynamic(array.value(row), out),
            Cells::Decimal(_) | Cells::Datetime(_) | Cells::Timespan(_) | Cells::Guid(_) => {
                out.push(b'"');
                out.extend_from_slice(self.text(row).as_bytes());
                out.push(b'"');
            }
        }
    }

    /// The cell as plain text, for CSV: null is empty, a dynamic is its JSON.
    pub(crate) fn text(&self, row: usize) -> String {
        if self.is_null(row) {
            return String::new();
        }
        match self {
            Cells::Bool(array) => array.value(row).to_string(),
            Cells::Int(array) => array.value(row).to_string(),
            Cells::Long(array) => array.value(row).to_string(),
            Cells::Real(array) => real_text(array.value(row)),
            Cells::Decimal(array) => decimal_text(array.value(row)),
            Cells::Datetime(array) => time::format_datetime(array.value(row)),
            Cells::Timespan(array) => time::format_timespan(array.value(row)),
            Cells::Guid(array) => guid_text(array.value(row)),
            Cells::String(array) | Cells::Dynamic(array) => array.value(row).to_owned(),
        }
    }
}

/// Converts an array to the Arrow type that carries `ty`. What Arrow cannot convert is shown as text.
fn to_arrow_of(array: &ArrayRef, ty: Type) -> Result<ArrayRef> {
    let wanted = ty.arrow();
    if *array.data_type() == wanted {
        return Ok(array.clone());
    }
    if ::arrow::compute::can_cast_types(array.data_type(), &wanted) {
        return Ok(::arrow::compute::cast(array, &wanted)?);
    }
    let options = FormatOptions::default().with_null("");
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let shown: StringArray = (0..array.len())
        .map(|row| {
            let text = || formatter.value(row).to_string();
            array.is_valid(row).then(|| if ty == Type::Dynamic { kyma_core::dynamic::quote(&text()) } else { text() })
        })
        .collect();
    let shown: ArrayRef = ::arrow::compute::cast(&shown, &DataType::Utf8View)?;
    if wanted == DataType::Utf8View { Ok(shown) } else { Ok(::arrow::compute::cast(&shown, &wanted)?) }
}

fn write_integer(value: i64, out: &mut Vec<u8>) {
    // Writing to a Vec does not fail.
    let _ = write!(out, "{value}");
}

fn write_real(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        let _ = serde_json::to_writer(out, &value);
    } else {
        write_text(&real_text(value), out);
    }
}

pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, text);
}

/// Splices JSON in; text that is not JSON becomes a string, so that a body is always well-formed.
fn write_dynamic(text: &str, out: &mut Vec<u8>) {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return write_text(text, out);
    }
    if !text.contains(['\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    // Only white space between tokens can be a newline in JSON; a line of NDJSON must not have one.
    out.extend(text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
}

fn real_text(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        value => serde_json::to_string(&value).unwrap_or_default(),
    }
}

/// A decimal without trailing zeros after its point.
fn decimal_text(unscaled: i128) -> String {
    let scale = 10_u128.pow(DECIMAL_SCALE as u32);
    let (whole, fraction) = (unscaled.unsigned_abs() / scale, unscaled.unsigned_abs() % scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let digits = format!("{fraction:0width$}", width = DECIMAL_SCALE as usize);
    format!("{sign}{whole}.{}", digits.trim_end_matches('0'))
}

fn guid_text(bytes: &[u8]) -> String {
    uuid::Uuid::from_slice(bytes).map(|guid| guid.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn json(array: impl Array + 'static, ty: Type) -> String {
        let cells = Cells::new(&(Arc::new(array) as ArrayRef), ty).unwrap();
        let mut out = Vec::new();
        cells.write_json(0, NullStrings::Empty, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_spelled_as_kusto_does() {
        assert_eq!(json(BooleanArray::from(vec![true]), Type::Bool), "true");
        assert_eq!(json(Int64Array::from(vec![i64::MAX]), Type::Long), "9223372036854775807");
        assert_eq!(json(Float64Array::from(vec![1.0]), Type::Real), "1.0");
        assert_eq!(json(Float64Array::from(vec![f64::NAN]), Type::Real), "\"NaN\"");
        assert_eq!(json(Float64Array::from(vec![f64::NEG_INFINITY]), Type::Real), "\"-Infinity\"");
        assert_eq!(
            json(TimestampNanosecondArray::from(vec![1_420_074_061_000_000_100]), Type::Datetime),
            "\"2015-01-01T01:01:01.0000001Z\""
        );
        assert_eq!(json(DurationNanosecondArray::from(vec![-time::SECOND]), Type::Timespan), "\"-00:00:01\"");
        assert_eq!(json(StringViewArray::from(vec![None::<&str>]), Type::String), "\"\"");
        assert_eq!(json(Int32Array::from(vec![None]), Type::Int), "null");
    }

    #[test]
    fn a_dynamic_is_spliced_and_never_breaks_the_body() {
        let dynamic = |text: &str| json(StringViewArray::from(vec![text]), Type::Dynamic);
        assert_eq!(dynamic(r#"{"a":[1,"x"]}"#), r#"{"a":[1,"x"]}"#);
        assert_eq!(dynamic("{\"a\":\n1}"), "{\"a\": 1}");
        assert_eq!(dynamic("{broken"), r#""{broken""#);
    }

    #[test]
    fn decimals_lose_no_digit() {
        assert_eq!(decimal_text(2_000_000_000_000_010_000), "2.00000000000001");
        assert_eq!(decimal_text(-500_000_000_000_000_000), "-0.5");
        assert_eq!(decimal_text(3_000_000_000_000_000_000), "3");
    }

    #[test]
    fn other_arrow_types_are_converted() {
        assert_eq!(json(StringArray::from(vec!["x"]), Type::String), "\"x\"");
        assert_eq!(json(::arrow::array::UInt8Array::from(vec![7]), Type::Int), "7");
    }
}
