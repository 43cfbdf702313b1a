//! JSON rows to cells.
//!
//! Each row is walked once by sonic-rs' validating object iterator; strings with escapes are unescaped into the arena, so
//! that what is accepted here is certain to be decodable later. sonic-rs recurses into nested values, therefore the
//! nesting is bounded before.

use std::ops::Range;

use bytes::Bytes;
use kyma_core::dynamic::{self, DEPTH_MAX};
use memchr::{memchr, memchr2_iter};

use super::Rejected;
use super::cells::{Cells, Place, Shape};
use super::mapped::{self, Fields};
use crate::settings::LINE_BYTES_MAX;

/// Brackets that no stack minds.
const SHALLOW: usize = 12;
/// Stack for a row that nests as deep as is allowed.
const DEEP_STACK_BYTES: usize = 8 * 1024 * 1024;

/// Decodes rows of a chunk, as `fields` say if they do. `text` is UTF-8 and `rows` lie within it; blank rows do not count.
pub(crate) fn decode(text: &Bytes, rows: &[Range<usize>], fields: Option<&Fields>) -> Cells {
    let mut cells = Cells::new(text.clone());
    let whole = std::str::from_utf8(text).unwrap_or_default();
    for row in rows {
        let Some(line) = whole.get(row.clone()) else { continue };
        let line = line.trim_start_matches('\u{feff}').trim_ascii();
        if line.is_empty() {
            continue;
        }
        cells.begin();
        match decode_row(&mut cells, whole, line, fields) {
            Ok(()) => cells.keep(),
            Err(reason) => {
                cells.take_back();
                cells.rejected.push(Rejected::new(reason, line.as_bytes(), line.len() as u64));
            }
        }
    }
    cells
}

/// Adds one row's values, or says why it is no row.
fn decode_row(cells: &mut Cells, whole: &str, line: &str, fields: Option<&Fields>) -> Result<(), String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("row is longer than {LINE_BYTES_MAX} bytes"));
    }
    if !line.starts_with('{') {
        return Err("not a json object".to_owned());
    }
    let mut decode = || match fields {
        Some(fields) => mapped::add_object(cells, whole, line, fields),
        None => walk(cells, whole, line),
    };
    if !opens_many(line) {
        return decode();
    }
    if dynamic::depth(line) > DEPTH_MAX {
        return Err(format!("nested deeper than {DEPTH_MAX}"));
    }
    // An unoptimised sonic-rs takes tens of KiB of stack per level.
    stacker::maybe_grow(DEEP_STACK_BYTES, DEEP_STACK_BYTES, decode)
}

/// Adds the values of a row whose nesting the stack can bear.
fn walk(cells: &mut Cells, whole: &str, line: &str) -> Result<(), String> {
    for_each_member(line, |position, key, raw| add_value(cells, position, key, raw, offset(raw, whole)))
}

/// Visits the members of an object, and checks that it is one and nothing else.
pub(super) fn for_each_member(
    line: &str,
    mut visit: impl FnMut(usize, &str, &str) -> Result<(), String>,
) -> Result<(), String> {
    let mut end = 1;
    for (position, entry) in sonic_rs::to_object_iter(line).enumerate() {
        let (key, value) = entry.map_err(|error| broken(&error.to_string()))?;
        let raw = value.as_raw_str();
        end = offset(raw, line) + raw.len();
        visit(position, &key, raw)?;
    }
    // The iterator stops at the closing brace and does not look further.
    match line.get(end..).map(str::trim_ascii) {
        Some("}") => Ok(()),
        _ => Err("broken json: text after the object".to_owned()),
    }
}

/// The place of `part` within `whole`, of which it is a slice.
pub(super) fn offset(part: &str, whole: &str) -> usize {
    (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize)
}

fn broken(why: &str) -> String {
    let sentence = why.lines().next().unwrap_or_default();
    format!("broken json: {sentence}")
}

pub(super) fn add_value(cells: &mut Cells, position: usize, key: &str, raw: &str, at: usize) -> Result<(), String> {
    let bytes = raw.as_bytes();
    let shape = match bytes.first() {
        Some(b'n') => return Ok(()),
        Some(b't') => Shape::True,
        Some(b'f') => Shape::False,
        Some(b'"') => return add_string(cells, position, key, Shape::String, raw, at),
        Some(b'{' | b'[') => {
            if !escapes_are_sound(raw) {
                return Err("broken json: an escape is not a character".to_owned());
            }
            Shape::Nested
        }
        _ => number_shape(bytes),
    };
    cells.add(position, key, shape, Place::Chunk(at, raw.len()));
    Ok(())
}

/// Adds a string's content, as a string or as a field whose type is not yet known.
pub(super) fn add_string(
    cells: &mut Cells,
    position: usize,
    key: &str,
    shape: Shape,
    raw: &str,
    at: usize,
) -> Result<(), String> {
    let content = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if memchr(b'\\', content.as_bytes()).is_none() {
        cells.add(position, key, shape, Place::Chunk(at + 1, content.len()));
        return Ok(());
    }
    let arena = cells.arena();
    let start = arena.len();
    if !unescape(content, arena) {
        return Err("broken json: an escape is not a character".to_owned());
    }
    cells.add_from_arena(position, key, shape, start);
    Ok(())
}

fn number_shape(digits: &[u8]) -> Shape {
    if digits.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return Shape::Real;
    }
    // Up to 18 digits always fit.
    let fits = digits.len() <= 18 || std::str::from_utf8(digits).is_ok_and(|text| text.parse::<i64>().is_ok());
    if fits { Shape::Integer } else { Shape::BigInteger }
}

/// Whether the row has so many opening brackets that it may be deep: only then is the exact depth worth counting.
fn opens_many(line: &str) -> bool {
    memchr2_iter(b'{', b'[', line.as_bytes()).nth(SHALLOW).is_some()
}

/// Appends a JSON string's content without its escapes; `false` when an escape stands for no character.
pub(crate) fn unescape(content: &str, out: &mut String) -> bool {
    let mut rest = content;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let Some((character, used)) = escape(&rest.as_bytes()[at..]) else { return false };
        out.push(character);
        rest = &rest[at + used..];
    }
    out.push_str(rest);
    true
}

/// Whether every escape in a JSON text stands for a character.
pub(super) fn escapes_are_sound(json: &str) -> bool {
    let mut rest = json.as_bytes();
    while let Some(at) = memchr(b'\\', rest) {
        let Some((_, used)) = escape(&rest[at..]) else { return false };
        rest = &rest[at + used..];
    }
    true
}

/// The character of the escape that `bytes` starts with, and its length.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let simple = match bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(bytes),
        _ => return None,
    };
    Some((simple, 2))
}

fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let first = hex4(bytes.get(2..6)?)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).map(|character| (character, 6));
    }
    if bytes.get(6..8)? != b"\\u" {
        return None;
    }
    let second = hex4(bytes.get(8..12)?)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).map(|character| (character, 12))
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, &byte| Some(sum * 16 + char::from(byte).to_digit(16)?))
}
