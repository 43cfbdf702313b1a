//! Conversions between types: the meaning of `tostring`, `tolong`, `todatetime`, ...
//!
//! What does not convert is null, for strings `""`. Datetimes and timespans convert from and to numbers as 100 ns ticks
//! (datetimes since 0001-01-01). Text becomes a dynamic as by `parse_json`: what is no JSON stays a string.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use kyma_core::types::DECIMAL_SCALE;
use kyma_core::{Error, Result, Type, Value, dynamic, time};

use crate::view::{Bools, DECIMAL_ONE, Decimals, Guids, Jsons, Longs, Reals, Texts, decimal_to_real, real_to_decimal};
use crate::{Arg, build};

/// Ticks of 0001-01-01 before the Unix epoch.
pub const EPOCH_TICKS: i64 = 621_355_968_000_000_000;

/// Converts `value` of type `from` to type `to`: one result per row.
pub fn convert(value: &Arg, from: Type, to: Type, rows: usize) -> Result<ArrayRef> {
    if let Arg::Scalar(_) = value
        && rows > 1
    {
        let one = convert_rows(value, from, to, 1)?;
        return Ok(crate::value_to_array(&crate::array_value(one.as_ref(), 0, to), rows));
    }
    convert_rows(value, from, to, rows)
}

fn convert_rows(value: &Arg, from: Type, to: Type, rows: usize) -> Result<ArrayRef> {
    if let Arg::Scalar(Value::Null(_)) = value {
        return Ok(crate::value_to_array(&Value::Null(to), rows));
    }
    if from == to {
        return Ok(value.to_array(rows));
    }
    match to {
        Type::String => to_string(value, from, rows),
        Type::Dynamic => to_dynamic(value, from, rows),
        Type::Bool => to_bool(value, from, rows),
        Type::Int => {
            let longs = to_long(value, from, rows)?;
            let longs = Arg::Array(longs);
            let longs = Longs::of(&longs)?;
            if from == Type::Real {
                let reals = Reals::of(value)?;
                let saturated = |real: f64| (!real.is_nan()).then_some(i64::from(real as i32));
                return build::longs(Type::Int, rows, |row| reals.get(row).and_then(saturated));
            }
            // Whole numbers and times keep their low 32 bits, as in Kusto; text must fit.
            let wraps = !matches!(from, Type::String | Type::Dynamic);
            build::longs(Type::Int, rows, |row| longs.get(row).filter(|&long| wraps || i32::try_from(long).is_ok()))
        }
        Type::Long => to_long(value, from, rows),
        Type::Real => to_real(value, from, rows),
        Type::Decimal => to_decimal(value, from, rows),
        Type::Datetime => to_datetime(value, from, rows),
        Type::Timespan => to_timespan(value, from, rows),
        Type::Guid => to_guid(value, from, rows),
    }
}

/// A reader of any argument as text, by row, as `tostring` gives it.
pub(crate) enum AnyText<'a> {
    Text(Texts<'a>),
    Json(Jsons<'a>),
    Bool(Bools<'a>),
    Long(Longs<'a>),
    Real(Reals<'a>),
    Decimal(Decimals<'a>),
    Datetime(Longs<'a>),
    Timespan(Longs<'a>),
    Guid(Guids<'a>),
}

impl<'a> AnyText<'a> {
    pub(crate) fn of(arg: &'a Arg, ty: Type) -> Result<AnyText<'a>> {
        Ok(match ty {
            Type::String => AnyText::Text(Texts::of(arg)?),
            Type::Dynamic => AnyText::Json(Jsons::of(arg)?),
            Type::Bool => AnyText::Bool(Bools::of(arg)?),
            Type::Int | Type::Long => AnyText::Long(Longs::of(arg)?),
            Type::Real => AnyText::Real(Reals::of(arg)?),
            Type::Decimal => AnyText::Decimal(Decimals::of(arg)?),
            Type::Datetime => AnyText::Datetime(Longs::of(arg)?),
            Type::Timespan => AnyText::Timespan(Longs::of(arg)?),
            Type::Guid => AnyText::Guid(Guids::of(arg)?),
        })
    }

    pub(crate) fn get(&self, row: usize) -> Cow<'a, str> {
        match self {
            AnyText::Text(texts) => Cow::Borrowed(texts.get(row)),
            AnyText::Json(jsons) => jsons.get(row).map(dynamic::to_text).unwrap_or_default(),
            AnyText::Bool(bools) => {
                bools.get(row).map(|flag| Cow::Borrowed(if flag { "True" } else { "False" })).unwrap_or_default()
            }
            AnyText::Long(longs) => owned(longs.get(row).map(|long| long.to_string())),
            AnyText::Real(reals) => owned(reals.get(row).map(format_real)),
            AnyText::Decimal(decimals) => owned(decimals.get(row).map(format_decimal)),
            AnyText::Datetime(times) => owned(times.get(row).map(time::format_datetime)),
            AnyText::Timespan(times) => owned(times.get(row).map(time::format_timespan)),
            AnyText::Guid(guids) => owned(guids.get(row).map(|guid| uuid::Uuid::from_u128(guid).to_string())),
        }
    }
}

fn owned(text: Option<String>) -> Cow<'static, str> {
    Cow::Owned(text.unwrap_or_default())
}

fn to_string(value: &Arg, from: Type, rows: usize) -> Result<ArrayRef> {
    let texts = AnyText::of(value, from)?;
    Ok(build::texts(rows, |row| texts.get(row)))
}

fn to_dynamic(value: &Arg, from: Type, rows: usize) -> Result<ArrayRef> {
    if from == Type::String {
        let texts = Texts::of(value)?;
        return Ok(build::jsons(rows, |row| parse_json(texts.get(row))));
    }
    let array = value.to_array(rows);
    Ok(build::jsons(rows, |row| Some(crate::value::json_at(array.as_ref(), row, from))))
}

/// `parse_json(text)`: the compact JSON of the text, or the text as a JSON string; `None` for empty text.
pub(crate) fn parse_json(text: &str) -> Option<String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return None;
    }
    let starts_like_json =
        matches!(trimmed.as_bytes()[0], b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n');
    let parsed = if starts_like_json { dynamic::parse(trimmed) } else { None };
    Some(parsed.unwrap_or_else(|| dynamic::quote(text)))
}

fn to_bool(value: &Arg, from: Type, rows: usize) -> Result<ArrayRef> {
    match from {
        Type::String => {
            let texts = Texts::of(value)?;
            Ok(build::bools(rows, |row| dynamic::text_to_bool(texts.get(row))))
        }
        Type::Dynamic => {
            let jsons = Jsons::of(value)?;
            Ok(build::bools(rows, |row| jsons.get(row).and_then(dynamic::to_bool)))
        }
        Type::Int | Type::Long | Type::Real | Type::Decimal => {
            let reals = Reals::of(value)?;
            Ok(build::bools(rows, |row| reals.get(row).map(|real| real != 0.0)))
        }
        _ => Ok(build::bools(rows, |_| None)),
    }
}

/// A float towards zero, if a long can hold it.
pub(crate) fn real_to_long(real: f64) -> Option<i64> {
    (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&real).then_some(real as i64)
}

fn to_long(value: &Arg, from: Type, rows: usize) -> Result<ArrayRef> {
    let long = |get: &dyn Fn(usize) -> Option<i64>| build::longs(Type::Long, rows, get);
    match from {
        Type::String => {
            let texts = Texts::of(value)?;
            long(&|row| dynamic::text_to_long(texts.get(row)))
        }
        Type::Dynamic => {
            let jsons = Jsons::of(value)?;
            long(&|row| jsons.get(row).and_then(dynamic::to_long))
        }
        Type::Bool => {
            let bools = Bools::of(value)?;
            long(&|row| bools.get(row).map(i64::from))
        }
        Type::Int | Type::Long => {
            let longs = Longs::of(value)?;
            long(&|row| longs.get(row))
        }
        Type::Real => {
            let reals = Reals::of(value)?;
            long(&|row| reals.get(row).filter(|real| !real.is_nan()).map(|real| real as i64))
        }
        Type::Decimal => {
            let decimals = Decimals::of(value)?;
            long(&|row| decimals.get(row).and_then(|decimal| i64::try_from(decimal / DECIMAL_ONE).ok()))
        }
        Type::Datetime => {
            let times = Longs::of(value)?;
            long(&|row| times.get(row).map(|nanos| nanos.div_euclid(time::TICK) + EPOCH_TICKS))
        }
        Type::Timespan => {
            let times = Longs::of(value)?;
            long(&|row| times.get(row).map(|nanos| nanos / time::TICK))
        }
        Type::Guid => long(&|_| None),
    }
}

fn to_real(value: &Arg, from: Type, rows: usize) -> Result<ArrayRef> {
    match from {
        Type::String => {
            let texts = Texts::of(value)?;
            Ok(build::reals(rows, |row| dynamic::text_to_real(texts.get(row))))
        }
        Type::Dynamic => {
            let jsons = Jsons::of(value)?;
            Ok(build::reals(rows, |row| jsons.get(row).and_then(dynamic::to_real)))
        }
        Type::Bool => {
            let bools = Bools::of(value)?;
            Ok(build::reals(rows, |row| bools.get(row).map(|flag| f64::from(u8::from(flag)))))
        }
        Type::Int | Type::Long | Type::Real | Type::Decimal => {
            let reals = Reals::of(value)?;
            Ok(build::reals(rows, |row| reals.get(row)))
        }
        Type::Datetime | Type::Timespan => {
            let ticks = Arg::Array(to_long(value, from, rows)?);
            let reals = Reals::of(&ticks)?;
            Ok(build::reals(rows, |row| reals.get(row)))
        }
        Type::Guid => Ok(build::reals(rows, |_| None)),
    }
}

fn to_decimal(value: &Arg, from: Type, rows: usize) -> Result<ArrayRef> {
    match from {
        Type::Int | Type::Long | Type::Bool => {
            let longs = Arg::Array(to_long(value, from, rows)?);
            let longs = Longs::of(&longs)?;
            build::decimals(rows, |row| longs.get(row).map(|long| i128::from(long) * DECIMAL_ONE))
        }
        Type::Real => {
            let reals = Reals::of(value)?;
            build::decimals(rows, |row| reals.get(row).and_then(real_to_decimal))
        }
        Type::String | Type::Dynamic => {
            let texts = AnyText::of(value, from)?;
            build::decimals(rows, |row| parse_decimal(&texts.get(row)))
        }
        _ => build::decimals(rows, |_| None),
    }
}

fn to_datetime(value: &Arg, from: Type, rows: usize) -> Result<ArrayRef> {
    match from {
        Type::String => {
            let texts = Texts::of(value)?;
            build::longs(Type::Datetime, rows, |row| parse_datetime(texts.get(row)))
        }
        Type::Dynamic => {
            let jsons = Jsons::of(value)?;
            build::longs(Type::Datetime, rows, |row| {
                let json = jsons.get(row)?;
                match json.as_bytes()[0] {
                    b'"' => parse_datetime(&dynamic::to_text(json)),
                    _ => dynamic::to_long(json).map(datetime_of_ticks),
                }
            })
        }
        Type::Int | Type::Long | Type::Real => {
            let longs = Arg::Array(to_long(value, from, rows)?);
            let longs = Longs::of(&longs)?;
            build::longs(Type::Datetime, rows, |row| longs.get(row).map(datetime_of_ticks))
        }
        _ => build::longs(Type::Datetime, rows, |_| None),
    }
}

/// Nanoseconds of ticks since 0001-01-01, saturated.
pub(crate) fn datetime_of_ticks(ticks: i64) -> i64 {
    let nanos = (i128::from(ticks) - i128::from(EPOCH_TICKS)) * i128::from(time::TICK);
    nanos.clamp(i128::from(time::MIN), i128::from(time::MAX)) as i64
}

/// `todatetime(text)`: ISO forms, RFC forms, and the month-first and slash forms that .NET reads.
pub(crate) fn parse_datetime(text: &str) -> Option<i64> {
    time::parse_datetime(text).or_else(|| {
        const FORMS: [&str; 13] = [
            "%m.%d.%Y %H:%M:%S%.f",
            "%m/%d/%Y %H:%M:%S%.f",
            "%m/%d/%Y %I:%M:%S %p",
            "%m/%d/%Y %H:%M",
            "%m/%d/%Y %I:%M %p",
            "%Y/%m/%d %H:%M:%S%.f",
            "%m-%d-%Y %H:%M:%S%.f",
            "%d %b %Y %H:%M:%S%.f",
            "%b %d %Y %H:%M:%S%.f",
            "%b %d, %Y %H:%M:%S%.f",
            "%A, %B %d, %Y %H:%M:%S%.f",
            "%Y%m%dT%H%M%S",
            "%a %b %d %H:%M:%S %Y",
        ];
        const DATES: [&str; 9] = [
            "%m/%d/%Y",
            "%m.%d.%Y",
            "%Y/%m/%d",
            "%m-%d-%Y",
            "%d %b %Y",
            "%b %d %Y",
            "%b %d, %Y",
            "%B %d, %Y",
            "%Y-%m-%d",
        ];
        let text = text.trim();
        if text.len() < 6 || text.len() > 64 {
            return None;
        }
        let text = text.strip_suffix('Z').unwrap_or(text);
        let instant = FORMS.iter().find_map(|form| chrono::NaiveDateTime::parse_from_str(text, form).ok());
        let day = || DATES.iter().find_map(|form| chrono::NaiveDate::parse_from_str(text, form).ok());
        instant.or_else(|| day().and_then(|day| day.and_hms_opt(0, 0, 0))).map(time::nanos_of)
    })
}

fn to_timespan(value: &Arg, from: Type, rows: usize) -> Result<ArrayRef> {
    match from {
        Type::String => {
            let texts = Texts::of(value)?;
            build::longs(Type::Timespan, rows, |row| parse_timespan(texts.get(row)))
        }
        Type::Bool => {
            let flags = Bools::of(value)?;
            build::longs(Type::Timespan, rows, |row| flags.get(row).map(|flag| i64::from(flag) * time::TICK))
        }
        // The time since 0001-01-01, where it can be held.
        Type::Datetime => {
            let times = Longs::of(value)?;
            build::longs(Type::Timespan, rows, |row| {
                (times.get(row)?.div_euclid(time::TICK) + EPOCH_TICKS).checked_mul(time::TICK)
            })
        }
        Type::Dynamic => {
            let jsons = Jsons::of(value)?;
            build::longs(Type::Timespan, rows, |row| {
                let json = jsons.get(row)?;
                match json.as_bytes()[0] {
                    b'"' => parse_timespan(&dynamic::to_text(json)),
                    _ => dynamic::to_long(json)?.checked_mul(time::TICK),
                }
            })
        }
        Type::Int | Type::Long | Type::Real => {
            let longs = Arg::Array(to_long(value, from, rows)?);
            let longs = Longs::of(&longs)?;
            build::longs(Type::Timespan, rows, |row| longs.get(row)?.checked_mul(time::TICK))
        }
        _ => build::longs(Type::Timespan, rows, |_| None),
    }
}

/// `totimespan(text)`: `[-][d.]hh:mm[:ss[.fffffff]]`, or a number with a unit (`2.5h`); digits alone are none.
pub(crate) fn parse_timespan(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    time::parse_timespan(text).or_else(|| {
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let number: f64 = text[..split].trim().parse().ok().filter(|number: &f64| number.is_finite())?;
        let unit = match &text[split..] {
            "" | "d" | "day" | "days" => time::DAY,
            "h" | "hr" | "hrs" | "hour" | "hours" => time::HOUR,
            "m" | "min" | "minute" | "minutes" => time::MINUTE,
            "s" | "sec" | "second" | "seconds" => time::SECOND,
            "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
            "us" | "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
            "tick" | "ticks" => time::TICK,
            _ => return None,
        };
        real_to_long((number * unit as f64).round())
    })
}

fn to_guid(value: &Arg, from: Type, rows: usize) -> Result<ArrayRef> {
    match from {
        Type::String | Type::Dynamic => {
            let texts = AnyText::of(value, from)?;
            build::guids(rows, |row| uuid::Uuid::try_parse(texts.get(row).trim()).ok().map(|guid| guid.as_u128()))
        }
        _ => build::guids(rows, |_| None),
    }
}

/// The text of a float: shortest digits, always with a point or an exponent.
pub(crate) fn format_real(value: f64) -> String {
    if value.is_nan() {
        return String::from("NaN");
    }
    if value.is_infinite() {
        return String::from(if value > 0.0 { "inf" } else { "-inf" });
    }
    crate::value::real_to_json(value)
}

/// The text of a decimal without trailing zeros.
pub(crate) fn format_decimal(value: i128) -> String {
    let (sign, digits) = if value < 0 { ("-", value.unsigned_abs()) } else { ("", value.unsigned_abs()) };
    let one = DECIMAL_ONE.unsigned_abs();
    let (whole, fraction) = (digits / one, digits % one);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{fraction:0width$}", width = DECIMAL_SCALE as usize);
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

/// The decimal that a text spells, digits beyond the scale cut off.
pub(crate) fn parse_decimal(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Some(at) = text.find(['e', 'E']) {
        let exponent: i32 = text[at + 1..].parse().ok()?;
        let mantissa = parse_decimal(&text[..at])?;
        let scale = 10_i128.checked_pow(exponent.unsigned_abs())?;
        return if exponent < 0 { Some(mantissa / scale) } else { mantissa.checked_mul(scale) };
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) || whole.len() > 20 {
        return None;
    }
    let kept = &fraction[..fraction.len().min(DECIMAL_SCALE as usize)];
    let part = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    let scale = 10_i128.pow(DECIMAL_SCALE as u32 - kept.len() as u32);
    let value = part(whole)?.checked_mul(DECIMAL_ONE)?.checked_add(part(kept)? * scale)?;
    Some(if negative { -value } else { value })
}

/// One value converted, for constants.
pub(crate) fn convert_value(value: &Value, to: Type) -> Result<Value> {
    let array = convert(&Arg::Scalar(value.clone()), value.ty(), to, 1)?;
    Ok(crate::array_value(array.as_ref(), 0, to))
}

/// A real value of a constant number.
pub(crate) fn constant_real(value: &Value) -> Result<f64> {
    match value {
        Value::Int(value) => Ok(f64::from(*value)),
        Value::Long(value) => Ok(*value as f64),
        Value::Real(value) => Ok(*value),
        Value::Decimal(value) => Ok(decimal_to_real(*value)),
        other => Err(Error::invalid("function.argument", format!("a constant number is wanted: got={:?}", other.ty()))),
    }
}
