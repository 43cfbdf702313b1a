//! What a `dynamic` value is and how it becomes a scalar.
//!
//! A dynamic is compact JSON text; JSON `null` and Arrow null are both Kusto's `dynamic(null)`. These
//! conversions are the one meaning of `tostring`, `tolong`, ... of a dynamic: a format that answers a
//! path from a typed sub-column must give exactly what these give for the text.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DurationNanosecondArray, FixedSizeBinaryBuilder, Float64Array, Int32Array, Int64Array,
    StringViewArray, TimestampNanosecondArray, new_null_array,
};
use sonic_rs::{JsonContainerTrait, JsonType, JsonValueTrait, LazyValue};

use crate::types::Type;

/// Deepest nesting of a stored dynamic value; deeper input is kept as text in `_unmapped`.
pub const DEPTH_MAX: usize = 64;

/// The member reached from `json` by object keys, as JSON text; `None` when a step is missing, is not an
/// object, or the member is `null`. The first of duplicate keys counts.
pub fn get<'a>(json: &'a str, path: &[impl AsRef<str>]) -> Option<Cow<'a, str>> {
    let mut at: Cow<'a, str> = Cow::Borrowed(json);
    for key in path {
        at = match at {
            Cow::Borrowed(text) => member(text, key.as_ref())?,
            Cow::Owned(text) => Cow::Owned(member(&text, key.as_ref())?.into_owned()),
        };
    }
    (at != "null").then_some(at)
}

fn member<'a>(json: &'a str, key: &str) -> Option<Cow<'a, str>> {
    if json.as_bytes().first() != Some(&b'{') {
        return None;
    }
    let value: LazyValue<'a> = sonic_rs::get_from_str(json, [key]).ok()?;
    Some(value.as_raw_cow())
}

/// `tostring(dynamic)`: a JSON string without its quotes and escapes; null is `""`; anything else is its JSON text.
pub fn to_text(json: &str) -> Cow<'_, str> {
    match json.as_bytes().first() {
        Some(b'"') => match plain_string(json) {
            Some(text) => Cow::Borrowed(text),
            None => sonic_rs::from_str::<String>(json).map_or(Cow::Borrowed(json), Cow::Owned),
        },
        _ if json == "null" => Cow::Borrowed(""),
        _ => Cow::Borrowed(json),
    }
}

/// What stands between the quotes of a JSON string, when it means just itself: no escapes, no control characters.
fn plain_string(json: &str) -> Option<&str> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    is_plain(inner).then_some(inner)
}

/// Whether a text stands in a JSON string as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| !matches!(byte, b'\\' | b'"' | 0..0x20))
}

/// `tolong(dynamic)`: an integral number, a real truncated towards zero, a truth value as 0 or 1, or a string
/// that spells a decimal or `0x` integer; else null.
pub fn to_long(json: &str) -> Option<i64> {
    match json.as_bytes().first()? {
        b't' if json == "true" => Some(1),
        b'f' if json == "false" => Some(0),
        b'"' => text_to_long(&to_text(json)),
        b'-' | b'0'..=b'9' => number_to_long(json),
        _ => None,
    }
}

/// `toreal(dynamic)`: a number, a truth value as 0 or 1, or a string that spells a number; else null.
pub fn to_real(json: &str) -> Option<f64> {
    match json.as_bytes().first()? {
        b't' if json == "true" => Some(1.0),
        b'f' if json == "false" => Some(0.0),
        b'"' => text_to_real(&to_text(json)),
        b'-' | b'0'..=b'9' => json.parse().ok(),
        _ => None,
    }
}

/// `tobool(dynamic)`: a truth value, a number as `!= 0`, or a string that spells either; else null.
pub fn to_bool(json: &str) -> Option<bool> {
    match json.as_bytes().first()? {
        b't' if json == "true" => Some(true),
        b'f' if json == "false" => Some(false),
        b'"' => text_to_bool(&to_text(json)),
        b'-' | b'0'..=b'9' => json.parse::<f64>().ok().map(|number| number != 0.0),
        _ => None,
    }
}

/// `todatetime(dynamic)`: a string that spells a datetime; else null.
pub fn to_datetime(json: &str) -> Option<i64> {
    match json.as_bytes().first()? {
        b'"' => crate::time::parse_datetime(&to_text(json)),
        _ => None,
    }
}

/// `totimespan(dynamic)`: a string that spells a timespan; else null.
pub fn to_timespan(json: &str) -> Option<i64> {
    match json.as_bytes().first()? {
        b'"' => crate::time::parse_timespan(&to_text(json)),
        _ => None,
    }
}

/// `toguid(dynamic)`: the text of the value, if that is 32 hexadecimal digits, bare or hyphenated; else null.
pub fn to_guid(json: &str) -> Option<u128> {
    let text = to_text(json);
    if !matches!(text.len(), 32 | 36) {
        return None;
    }
    let digits: String = text.chars().filter(|&c| c != '-').collect();
    let is_guid = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_guid { u128::from_str_radix(&digits, 16).ok() } else { None }
}

/// The members of a path as an array of `ty`, by the conversions of this module: what a format gives that keeps dynamics
/// as text. A decimal is null.
pub fn to_array<'a>(members: impl ExactSizeIterator<Item = Option<Cow<'a, str>>>, ty: Type) -> ArrayRef {
    match ty {
        Type::Dynamic => Arc::new(members.collect::<StringViewArray>()),
        Type::String => {
            let texts = members.map(|json| json.map(|json| to_text(&json).into_owned()));
            Arc::new(texts.collect::<StringViewArray>())
        }
        Type::Long => Arc::new(members.map(|json| to_long(&json?)).collect::<Int64Array>()),
        Type::Int => {
            let ints = members.map(|json| i32::try_from(to_long(&json?)?).ok());
            Arc::new(ints.collect::<Int32Array>())
        }
        Type::Real => Arc::new(members.map(|json| to_real(&json?)).collect::<Float64Array>()),
        Type::Bool => Arc::new(members.map(|json| to_bool(&json?)).collect::<BooleanArray>()),
        Type::Datetime => Arc::new(members.map(|json| to_datetime(&json?)).collect::<TimestampNanosecondArray>()),
        Type::Timespan => Arc::new(members.map(|json| to_timespan(&json?)).collect::<DurationNanosecondArray>()),
        Type::Guid => {
            let mut guids = FixedSizeBinaryBuilder::with_capacity(members.len(), 16);
            for json in members {
                match json.and_then(|json| to_guid(&json)) {
                    // The builder's width is 16.
                    Some(guid) => guids.append_value(guid.to_be_bytes()).unwrap_or_default(),
                    None => guids.append_null(),
                }
            }
            Arc::new(guids.finish())
        }
        Type::Decimal => new_null_array(&ty.arrow(), members.len()),
    }
}

/// Calls `visit` with every key path of objects inside `json`, outer paths first; `null` members count. Elements of arrays
/// are no paths. False when the text is not JSON or nests deeper than [`DEPTH_MAX`]: then paths may be missing.
pub fn for_each_path(json: &str, visit: &mut impl FnMut(&[String])) -> bool {
    depth(json) <= DEPTH_MAX && members_of(json, &mut Vec::new(), visit)
}

fn members_of(json: &str, path: &mut Vec<String>, visit: &mut impl FnMut(&[String])) -> bool {
    if !json.starts_with('{') {
        return true;
    }
    for member in sonic_rs::to_object_iter(json) {
        let Ok((key, value)) = member else { return false };
        path.push((*key).to_owned());
        visit(path);
        let is_complete = members_of(value.as_raw_str(), path, visit);
        path.pop();
        if !is_complete {
            return false;
        }
    }
    true
}

/// `tolong(string)`: digits with a sign, or hexadecimal ones; what looks like a fraction is none.
pub fn text_to_long(text: &str) -> Option<i64> {
    let text = text.trim();
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match hex {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|bits| bits as i64),
        None => text.parse().ok(),
    }
}

/// `toreal(string)`: unlike `tolong`, no hexadecimal digits.
pub fn text_to_real(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// `tobool(string)`: `true`, `false` in any case, or a number as `!= 0`.
pub fn text_to_bool(text: &str) -> Option<bool> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        text.parse::<i64>().ok().map(|number| number != 0)
    }
}

fn number_to_long(text: &str) -> Option<i64> {
    if let Ok(long) = text.parse::<i64>() {
        return Some(long);
    }
    let starts_like_number =
        text.as_bytes().first().is_some_and(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    let real: f64 = if starts_like_number { text.parse().ok()? } else { return None };
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&real);
    fits.then_some(real as i64)
}

/// Appends `text` as a JSON string.
pub fn quote_into(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&quote(text));
    }
}

/// Quotes `text` as a JSON string.
pub fn quote(text: &str) -> String {
    sonic_rs::to_string(text).unwrap_or_else(|_| String::from("\"\""))
}

/// Checks that `text` is one JSON value nested at most [`DEPTH_MAX`] deep and gives it in compact form.
pub fn parse(text: &str) -> Option<String> {
    if depth(text) > DEPTH_MAX {
        return None;
    }
    let value: sonic_rs::Value = sonic_rs::from_str(text).ok()?;
    sonic_rs::to_string(&value).ok()
}

/// An upper bound of how deep `json` nests, by brackets outside strings.
pub fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in json.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Kusto's `gettype` of a dynamic: `null`, `bool`, `long`, `double`, `string`, `array` or `dictionary`.
pub fn kind(json: &str) -> &'static str {
    match sonic_rs::from_str::<sonic_rs::Value>(json) {
        Ok(value) => match value.get_type() {
            JsonType::Null => "null",
            JsonType::Boolean => "bool",
            JsonType::Number if value.is_i64() || value.is_u64() => "long",
            JsonType::Number => "double",
            JsonType::String => "string",
            JsonType::Array => "array",
            JsonType::Object => "dictionary",
        },
        Err(_) => "string",
    }
}

/// How many elements a JSON array has; `None` for anything else.
pub fn array_length(json: &str) -> Option<usize> {
    let value: sonic_rs::Value = sonic_rs::from_str(json).ok()?;
    value.as_array().map(|array| array.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members() {
        let json = r#"{"a":{"b":"x\"y","n":null},"k":[1]}"#;
        assert_eq!(get(json, &["a", "b"]).as_deref(), Some(r#""x\"y""#));
        assert_eq!(get(json, &["a", "n"]), None);
        assert_eq!(get(json, &["k", "0"]), None);
        assert_eq!(get(json, &["a", "b", "c"]), None);
        assert_eq!(get("7", &["a"]), None);
    }

    #[test]
    fn every_path_is_visited() {
        let paths = |json: &str| {
            let mut paths = Vec::new();
            let is_complete = for_each_path(json, &mut |path| paths.push(path.join("/")));
            (is_complete, paths.join(" "))
        };
        let json = r#"{"a":{"b":1,"c\n":null},"k":[{"x":1}],"a":{}}"#;
        assert_eq!(paths(json), (true, "a a/b a/c\n k a".to_owned()));
        assert_eq!(paths("[1]"), (true, String::new()));
        assert!(!paths(r#"{"a":1,"#).0);
        assert!(!paths(&r#"{"a":"#.repeat(100)).0);
    }

    #[test]
    fn conversions() {
        assert_eq!(to_text(r#""a\nb""#), "a\nb");
        assert_eq!(to_text("null"), "");
        assert_eq!(to_text(r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(to_long("12"), Some(12));
        assert_eq!(to_long("12.9"), Some(12));
        assert_eq!(to_long("\"0x10\""), Some(16));
        assert_eq!(to_long("\"5.7\""), None);
        assert_eq!(to_real("\"0x10\""), None);
        assert_eq!(to_long("\"nan\""), None);
        assert_eq!(to_long("1e300"), None);
        assert_eq!(to_real("\"1.5\""), Some(1.5));
        assert_eq!(to_bool("0"), Some(false));
        assert_eq!(to_timespan("\"00:00:01\""), Some(1_000_000_000));
        assert_eq!(to_guid("\"00000000-0000-0000-0000-00000000000f\""), Some(15));
        assert_eq!(to_guid("\"0x\""), None);
        assert_eq!(depth(r#"{"a":["]"]}"#), 2);
    }
}
