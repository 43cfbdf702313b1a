//! Small helpers over parsed JSON.

use std::cmp::Ordering;

use kyma_core::dynamic::DEPTH_MAX;
use serde_json::{Map, Value as Json};

/// The JSON value of a dynamic's text; nested too deep, or no JSON, is `None`.
pub(crate) fn parse(text: &str) -> Option<Json> {
    if kyma_core::dynamic::depth(text) > DEPTH_MAX {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// The elements of a JSON array.
pub(crate) fn array(text: &str) -> Option<Vec<Json>> {
    match parse(text)? {
        Json::Array(items) => Some(items),
        _ => None,
    }
}

/// The members of a JSON object.
pub(crate) fn bag(text: &str) -> Option<Map<String, Json>> {
    match parse(text)? {
        Json::Object(members) => Some(members),
        _ => None,
    }
}

/// The text of a value as `tostring` gives it.
pub(crate) fn plain(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A number, or `None`.
pub(crate) fn real(value: &Json) -> Option<f64> {
    match value {
        Json::Number(number) => number.as_f64(),
        Json::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Json::String(text) if text == "NaN" => Some(f64::NAN),
        Json::String(text) if text == "Infinity" => Some(f64::INFINITY),
        Json::String(text) if text == "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Equality of elements: numbers by value, all else by content.
pub(crate) fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x == y,
            _ => x.as_f64() == y.as_f64(),
        },
        _ => a == b,
    }
}

/// A text that is equal for [`same`] values.
pub(crate) fn identity(value: &Json) -> String {
    match value {
        Json::Number(number) if number.as_i64().is_none() => match number.as_f64() {
            Some(real) if real.fract() == 0.0 && real.abs() < 9e15 => (real as i64).to_string(),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// The order of elements in a sorted array: by kind (numbers, strings, the rest), then by value.
pub(crate) fn compare(a: &Json, b: &Json) -> Ordering {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x.cmp(&y),
            _ => x.as_f64().partial_cmp(&y.as_f64()).unwrap_or(Ordering::Equal),
        },
        (Json::String(x), Json::String(y)) => x.cmp(y),
        (Json::Bool(x), Json::Bool(y)) => x.cmp(y),
        _ => rank(a).cmp(&rank(b)).then_with(|| a.to_string().cmp(&b.to_string())),
    }
}

fn rank(value: &Json) -> u8 {
    match value {
        Json::Bool(_) => 0,
        Json::Number(_) => 1,
        Json::String(_) => 2,
        Json::Array(_) => 3,
        Json::Object(_) => 4,
        Json::Null => 5,
    }
}

/// A float as a JSON number; what is not finite is a string.
pub(crate) fn from_real(value: f64) -> Json {
    match serde_json::Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None if value.is_nan() => Json::from("NaN"),
        None => Json::from(if value > 0.0 { "Infinity" } else { "-Infinity" }),
    }
}
