//! Members of dynamic values to arrays of a type, by the conversions of `kyma_core::dynamic`.
//!
//! A member is JSON text (from a residue) or a typed value (from a sub-column). Both give the same: a typed value is
//! converted as its JSON text would be, without being printed first.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DurationNanosecondArray, FixedSizeBinaryArray, Float64Array, Int32Array,
    Int64Array, StringViewBuilder, TimestampNanosecondArray, new_null_array,
};
use arrow::datatypes::{Float64Type, Int64Type};
use kyma_core::dynamic;
use kyma_core::error::Result;
use kyma_core::time::{parse_datetime, parse_timespan};
use kyma_core::types::Type;

use super::scan::real_text;

/// Bytes of one buffer of made strings.
const BUFFER_BYTES: u32 = 1 << 20;

/// One member.
#[derive(Debug, Clone)]
pub(crate) enum Member<'a> {
    Json(Cow<'a, str>),
    Long(i64),
    Real(f64),
    Bool(bool),
    Text(&'a str),
}

/// A complete sub-column of type `from` read as `to`.
///
/// What `kyma_core::dynamic` has no conversion for follows the string's: a timespan and a guid are spelled by a string,
/// an int is a long in range; a decimal reads null.
pub(crate) fn typed(values: &ArrayRef, from: Type, to: Type) -> Result<ArrayRef> {
    match from {
        from if from == to && from != Type::Dynamic => Ok(values.clone()),
        Type::Dynamic => {
            let texts = values.as_string_view();
            convert(texts.len(), |row| member_at(values, from, row).filter(|member| !member.is_null()), to)
        }
        Type::Long => {
            let values = values.as_primitive::<Int64Type>();
            convert(values.len(), |row| values.is_valid(row).then(|| Member::Long(values.value(row))), to)
        }
        Type::Real => {
            let values = values.as_primitive::<Float64Type>();
            convert(values.len(), |row| values.is_valid(row).then(|| Member::Real(values.value(row))), to)
        }
        Type::Bool => {
            let values = values.as_boolean();
            convert(values.len(), |row| values.is_valid(row).then(|| Member::Bool(values.value(row))), to)
        }
        _ => {
            let values = values.as_string_view();
            convert(values.len(), |row| values.is_valid(row).then(|| Member::Text(values.value(row))), to)
        }
    }
}

/// The value of a sub-column of type `ty`.
pub(crate) fn member_at(values: &ArrayRef, ty: Type, row: usize) -> Option<Member<'_>> {
    if values.is_null(row) {
        return None;
    }
    Some(match ty {
        Type::Long => Member::Long(values.as_primitive::<Int64Type>().value(row)),
        Type::Real => Member::Real(values.as_primitive::<Float64Type>().value(row)),
        Type::Bool => Member::Bool(values.as_boolean().value(row)),
        Type::Dynamic => Member::json(values.as_string_view().value(row)),
        _ => Member::Text(values.as_string_view().value(row)),
    })
}

/// The members of `rows` rows read as `to`.
pub(crate) fn convert<'a>(rows: usize, at: impl FnMut(usize) -> Option<Member<'a>>, to: Type) -> Result<ArrayRef> {
    let members = (0..rows).map(at);
    Ok(match to {
        Type::Dynamic => strings(members, |member, text| member.write_json(text)),
        Type::String => strings(members, |member, text| member.write_text(text)),
        Type::Long => Arc::new(members.map(|member| member?.long()).collect::<Int64Array>()),
        Type::Int => Arc::new(members.map(|member| i32::try_from(member?.long()?).ok()).collect::<Int32Array>()),
        Type::Real => Arc::new(members.map(|member| member?.real()).collect::<Float64Array>()),
        Type::Bool => Arc::new(members.map(|member| member?.bool()).collect::<BooleanArray>()),
        Type::Datetime => {
            let times = members.map(|member| parse_datetime(&member?.string()?));
            Arc::new(times.collect::<TimestampNanosecondArray>())
        }
        Type::Timespan => {
            let spans = members.map(|member| parse_timespan(&member?.string()?));
            Arc::new(spans.collect::<DurationNanosecondArray>())
        }
        Type::Guid => {
            let guids = members.map(|member| guid(&member?));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(guids, 16)?)
        }
        Type::Decimal => new_null_array(&to.arrow(), rows),
    })
}

fn strings<'a>(
    members: impl ExactSizeIterator<Item = Option<Member<'a>>>,
    write: impl Fn(&Member<'a>, &mut String),
) -> ArrayRef {
    let mut out = StringViewBuilder::with_capacity(members.len()).with_fixed_block_size(BUFFER_BYTES);
    let mut text = String::new();
    for member in members {
        match member {
            None => out.append_null(),
            Some(member) => {
                text.clear();
                write(&member, &mut text);
                out.append_value(&text);
            }
        }
    }
    Arc::new(out.finish())
}

impl<'a> Member<'a> {
    /// The member that `text` spells.
    pub(crate) fn json(text: &'a str) -> Self {
        Member::Json(Cow::Borrowed(text))
    }

    /// Whether it is a JSON null, which a path reads like nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Member::Json(text) if text == "null")
    }

    fn long(&self) -> Option<i64> {
        match self {
            Member::Json(json) => dynamic::to_long(json),
            Member::Long(long) => Some(*long),
            Member::Real(real) => dynamic::to_long(&real_text(*real)),
            Member::Bool(truth) => Some(i64::from(*truth)),
            Member::Text(text) => dynamic::text_to_long(text),
        }
    }

    fn real(&self) -> Option<f64> {
        match self {
            Member::Json(json) => dynamic::to_real(json),
            Member::Long(long) => Some(*long as f64),
            Member::Real(real) => Some(*real),
            Member::Bool(truth) => Some(f64::from(u8::from(*truth))),
            Member::Text(text) => dynamic::text_to_real(text),
        }
    }

    fn bool(&self) -> Option<bool> {
        match self {
            Member::Json(json) => dynamic::to_bool(json),
            Member::Long(long) => Some(*long != 0),
            Member::Real(real) => Some(*real != 0.0),
            Member::Bool(truth) => Some(*truth),
            Member::Text(text) => dynamic::text_to_bool(text),
        }
    }

    /// The text of a JSON string; null for anything else.
    fn string(&self) -> Option<Cow<'_, str>> {
        match self {
            Member::Json(json) if json.starts_with('"') => Some(dynamic::to_text(json)),
            Member::Text(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn write_text(&self, out: &mut String) {
        match self {
            Member::Json(json) => out.push_str(&dynamic::to_text(json)),
            Member::Text(text) => out.push_str(text),
            scalar => scalar.write_json(out),
        }
    }

    /// Appends the member as JSON.
    pub(crate) fn write_json(&self, out: &mut String) {
        use std::fmt::Write;
        match self {
            Member::Json(json) => out.push_str(json),
            // Writing to a string cannot fail.
            Member::Long(long) => write!(out, "{long}").unwrap_or_default(),
            Member::Real(real) => out.push_str(&real_text(*real)),
            Member::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Member::Text(text) => write_quoted(text, out),
        }
    }
}

/// [`dynamic::quote`], at once for texts that need no escape.
fn write_quoted(text: &str, out: &mut String) {
    let is_plain = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if !is_plain {
        return out.push_str(&dynamic::quote(text));
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
}

/// The 16 bytes of a hyphenated or bare guid.
fn guid(member: &Member<'_>) -> Option<[u8; 16]> {
    let mut text = String::new();
    member.write_text(&mut text);
    let digits: String = text.chars().filter(|&c| c != '-').collect();
    let is_guid = matches!(text.len(), 32 | 36) && digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if is_guid { u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes) } else { None }
}
