//! Literals with brackets: `datetime(...)`, `long(null)`, `guid(...)`, `dynamic({...})`, `typeof(...)`.

use kyma_core::error::Span;
use kyma_core::{Type, Value, dynamic, time};
use kyma_plan::Diagnostic;

use super::{Parsed, Parser};
use crate::ast::ExprKind;
use crate::lex::{Kind, unit_nanos};

impl Parser<'_> {
    /// `word(...)` if it is a literal of a type; reads nothing if it is not.
    pub(super) fn typed_literal(&mut self, word: &str) -> Parsed<Option<ExprKind>> {
        if word == "typeof" {
            self.at += 2;
            let (raw, _) = self.raw_until_close()?;
            return Ok(Some(ExprKind::Typeof(raw.to_owned())));
        }
        if word.chars().any(|letter| letter.is_ascii_uppercase()) {
            return Ok(None);
        }
        let Ok(ty) = word.parse::<Type>() else { return Ok(None) };
        if ty == Type::String || matches!(word, "float" | "int32" | "int64") {
            return Ok(None);
        }
        let start = self.at;
        self.at += 2;
        if ty == Type::Dynamic {
            let json = self.nested(Self::json)?;
            self.expect(")")?;
            let is_null = json == "null";
            let value = if is_null { Value::Null(Type::Dynamic) } else { Value::Dynamic(json) };
            return Ok(Some(ExprKind::Literal(value)));
        }
        let (raw, span) = self.raw_until_close()?;
        match literal_of(ty, unquoted(raw)) {
            Some(value) => Ok(Some(ExprKind::Literal(value))),
            // Quoted text is converted, as by `todatetime()`: what does not convert is null.
            None if unquoted(raw).len() < raw.len() => Ok(Some(ExprKind::Literal(Value::Null(ty)))),
            // `datetime(x)`-like calls of a name are conversions.
            None if raw.starts_with(crate::lex::is_name_start) || raw.contains('(') => {
                self.at = start;
                Ok(None)
            }
            None => {
                let message = format!("not a {ty}: '{}'", super::shorten(raw));
                Err(Box::new(Diagnostic::error("kql.bad_literal", message, span)))
            }
        }
    }

    /// A value inside `dynamic(...)`, as compact JSON.
    fn json(&mut self) -> Parsed<String> {
        let span = self.span();
        match self.kind().clone() {
            Kind::Text(mut text) => {
                self.advance();
                while let Kind::Text(next) = self.kind().clone() {
                    text.push_str(&next);
                    self.advance();
                }
                Ok(dynamic::quote(&text))
            }
            Kind::Long(_) | Kind::Real(_) => {
                let text = self.text_of(self.token(0)).to_owned();
                self.json_number(&text, "", span)
            }
            Kind::Timespan(nanos) => {
                self.advance();
                Ok(json_of_literal(&Value::Timespan(nanos)))
            }
            Kind::Punct("-") => {
                self.advance();
                let text = self.text_of(self.token(0)).to_owned();
                self.json_number(&text, "-", span)
            }
            Kind::Punct("[") => {
                self.advance();
                let items = self.list_until("]", |parser| parser.nested(Self::json))?;
                Ok(format!("[{}]", items.join(",")))
            }
            Kind::Punct("{") => {
                self.advance();
                let items = self.list_until("}", |parser| parser.nested(Self::json_member))?;
                Ok(format!("{{{}}}", items.join(",")))
            }
            Kind::Word => self.json_word(),
            _ => Err(self.unexpected("a JSON value")),
        }
    }

    fn json_number(&mut self, text: &str, sign: &str, span: Span) -> Parsed<String> {
        let number = match self.kind() {
            Kind::Long(value) if text.starts_with("0x") || text.starts_with("0X") => value.to_string(),
            Kind::Long(value) => value.to_string(),
            Kind::Real(value) if serde_json::from_str::<serde_json::Number>(text).is_err() => format!("{value:?}"),
            Kind::Real(_) => text.to_owned(),
            _ => return Err(Box::new(Diagnostic::error("kql.syntax", "expected a number", span))),
        };
        self.advance();
        Ok(format!("{sign}{number}"))
    }

    fn json_member(&mut self) -> Parsed<String> {
        let key = match self.kind().clone() {
            Kind::Text(text) => {
                self.advance();
                text
            }
            Kind::Word => self.name()?.text,
            _ => return Err(self.unexpected("a key")),
        };
        self.expect(":")?;
        Ok(format!("{}:{}", dynamic::quote(&key), self.nested(Self::json)?))
    }

    fn json_word(&mut self) -> Parsed<String> {
        let word = self.word().unwrap_or_default();
        if self.is_punct_at(1, "(")
            && let Some(ExprKind::Literal(value)) = self.typed_literal(word)?
        {
            return Ok(json_of_literal(&value));
        }
        let json = match word.to_ascii_lowercase().as_str() {
            "null" => "null",
            "true" => "true",
            "false" => "false",
            _ => return Err(self.unexpected("a JSON value")),
        };
        self.advance();
        Ok(json.to_owned())
    }
}

/// A literal inside `dynamic(...)`: timespans are numbers of ticks there.
fn json_of_literal(value: &Value) -> String {
    match value {
        Value::Timespan(nanos) => (nanos / time::TICK).to_string(),
        other => json_of(other),
    }
}

/// A scalar as JSON.
pub(crate) fn json_of(value: &Value) -> String {
    match value {
        Value::Null(_) => "null".to_owned(),
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Long(v) => v.to_string(),
        Value::Real(v) if v.is_finite() => format!("{v:?}"),
        Value::Real(v) => dynamic::quote(&real_text(*v)),
        Value::Decimal(v) => dynamic::quote(&decimal_text(*v)),
        Value::Datetime(v) => dynamic::quote(&time::format_datetime(*v)),
        Value::Timespan(v) => dynamic::quote(&time::format_timespan(*v)),
        Value::Guid(v) => dynamic::quote(&uuid::Uuid::from_u128(*v).to_string()),
        Value::String(v) => dynamic::quote(v),
        Value::Dynamic(v) => v.clone(),
    }
}

fn real_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
}

pub(crate) fn decimal_text(unscaled: i128) -> String {
    let scale = 10_i128.pow(18);
    let sign = if unscaled < 0 { "-" } else { "" };
    let (whole, part) = ((unscaled / scale).unsigned_abs(), (unscaled % scale).unsigned_abs());
    let digits = format!("{part:018}");
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{digits}") }
}

fn unquoted(raw: &str) -> &str {
    let inner = |quote: char| raw.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(raw).trim()
}

/// The value of `type(text)`.
pub(crate) fn literal_of(ty: Type, text: &str) -> Option<Value> {
    if text.eq_ignore_ascii_case("null") {
        return Some(Value::Null(ty));
    }
    // A number alone is no date, a year neither, but it is not refused.
    if ty == Type::Datetime && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Value::Null(ty));
    }
    Some(match ty {
        Type::Bool => Value::Bool(boolean(text)?),
        Type::Int => Value::Int(integer(text)? as i32),
        Type::Long => Value::Long(integer(text)?),
        Type::Real => Value::Real(real(text)?),
        Type::Decimal => Value::Decimal(decimal(text)?),
        Type::Datetime => Value::Datetime(datetime(text)?),
        Type::Timespan => Value::Timespan(timespan(text)?),
        Type::Guid => Value::Guid(uuid::Uuid::parse_str(text).ok()?.as_u128()),
        Type::String => Value::String(text.to_owned()),
        Type::Dynamic => Value::Dynamic(dynamic::parse(text)?),
    })
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn integer(text: &str) -> Option<i64> {
    let compact: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (sign, digits) = compact.strip_prefix('-').map_or((1, compact.as_str()), |rest| (-1, rest));
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok().map(|value| (value as i64).wrapping_mul(sign));
    }
    compact.parse().ok()
}

fn real(text: &str) -> Option<f64> {
    let compact: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    match compact.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "+inf" | "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        "infinity" | "-infinity" => None,
        other => other.parse().ok(),
    }
}

/// Decimal text, with or without an exponent, as an unscaled number of 18 digits after the point.
pub(crate) fn decimal(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let shift = 18 - i32::try_from(part.len()).ok()? + exponent;
    let number: i128 = digits.parse().ok()?;
    let unscaled = if shift >= 0 {
        number.checked_mul(10_i128.checked_pow(shift.unsigned_abs())?)?
    } else {
        10_i128.checked_pow(shift.unsigned_abs()).map_or(0, |scale| number / scale)
    };
    Some(if negative { -unscaled } else { unscaled })
}

/// `datetime(...)`: ISO forms, a year and a month, spaces around hyphens, `M/d/yyyy`.
fn datetime(text: &str) -> Option<i64> {
    if text.contains(',') && !text.contains(':') {
        let parts: Vec<u32> = text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().ok()?;
        let at = |index: usize| parts.get(index).copied().unwrap_or(if index < 3 { 1 } else { 0 });
        let (date, clock) = ((at(0), at(1), at(2)), (at(3), at(4), at(5)));
        return time::parse_datetime(&format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            date.0, date.1, date.2, clock.0, clock.1, clock.2
        ));
    }
    if let Some(nanos) = time::parse_datetime(text) {
        return Some(nanos);
    }
    let compact = text.replace(" - ", "-").replace("- ", "-").replace(" -", "-");
    if let Some(nanos) = time::parse_datetime(&compact) {
        return Some(nanos);
    }
    let parts: Vec<&str> = compact.splitn(2, ['T', ' ']).collect();
    let date = padded_date(parts[0])?;
    match parts.get(1) {
        Some(clock) => time::parse_datetime(&format!("{date}T{}", padded_clock(clock.trim()))),
        None => time::parse_datetime(&date),
    }
}

/// `2017-8-1`, `2017-08`, `8/1/2017`, `2017/8/1` as `2017-08-01`.
fn padded_date(text: &str) -> Option<String> {
    let numbers: Vec<u32> = text.split(['-', '/', '.']).map(str::parse).collect::<Result<_, _>>().ok()?;
    match numbers[..] {
        [year, month] if year > 31 => Some(format!("{year:04}-{month:02}-01")),
        [year, month, day] if year > 31 => Some(format!("{year:04}-{month:02}-{day:02}")),
        [month, day, year] if year > 31 => Some(format!("{year:04}-{month:02}-{day:02}")),
        _ => None,
    }
}

fn padded_clock(text: &str) -> String {
    match text.split_once(':') {
        Some((hour, rest)) if hour.len() == 1 => format!("0{hour}:{rest}"),
        Some(_) => text.to_owned(),
        None => format!("{text:0>2}:00"),
    }
}

/// `time(...)`: a timespan literal, a number of days, or `d.hh:mm:ss`.
pub(crate) fn timespan(text: &str) -> Option<i64> {
    if let Some(nanos) = time::parse_timespan(text) {
        return Some(nanos);
    }
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest.trim()));
    let split = text.find(|letter: char| letter.is_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = (text[..split].trim(), text[split..].trim());
    let unit = if suffix.is_empty() { time::DAY } else { unit_nanos(suffix)? };
    let nanos = match number.parse::<i64>() {
        Ok(whole) => whole.saturating_mul(unit),
        Err(_) => (number.parse::<f64>().ok()? * unit as f64).round() as i64,
    };
    Some(if negative { -nanos } else { nanos })
}
