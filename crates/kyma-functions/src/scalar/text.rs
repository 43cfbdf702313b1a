//! Text functions. Positions and lengths are in characters.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use kyma_core::dynamic::{quote, quote_into};
use kyma_core::{Error, Result, Type};
use serde_json::Value as Json;

use super::{Kernel, kernel};
use crate::limits::STRING_BYTES_MAX;
use crate::pattern::Patterns;
use crate::view::Texts;
use crate::{Call, build, json};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("strcat", strcat),
    kernel("strcat_delim", strcat_delim),
    kernel("strcat_array", strcat_array),
    kernel("strlen", |call| {
        let texts = call.texts(0)?;
        build::longs(Type::Long, call.rows, |row| Some(char_count(texts.get(row)) as i64))
    }),
    kernel("string_size", |call| {
        let texts = call.texts(0)?;
        build::longs(Type::Long, call.rows, |row| Some(texts.get(row).len() as i64))
    }),
    kernel("substring", substring),
    kernel("tolower", |call| {
        map(call, |text| match text.is_ascii() {
            true if !text.bytes().any(|byte| byte.is_ascii_uppercase()) => Cow::Borrowed(text),
            true => Cow::Owned(text.to_ascii_lowercase()),
            false => Cow::Owned(text.to_lowercase()),
        })
    }),
    kernel("toupper", |call| map(call, |text| Cow::Owned(text.to_uppercase()))),
    kernel("reverse", |call| map(call, |text| Cow::Owned(text.chars().rev().collect()))),
    kernel("split", split),
    kernel("trim", |call| trim(call, true, true)),
    kernel("trim_start", |call| trim(call, true, false)),
    kernel("trim_end", |call| trim(call, false, true)),
    kernel("replace_string", replace_string),
    kernel("replace_strings", replace_strings),
    kernel("replace_regex", |call| replace_regex(call, [0, 1, 2])),
    kernel("replace", |call| replace_regex(call, [2, 0, 1])),
    kernel("extract", extract),
    kernel("extract_all", extract_all),
    kernel("indexof", indexof),
    kernel("indexof_regex", indexof_regex),
    kernel("countof", countof),
    kernel("strcmp", |call| {
        let (a, b) = (call.texts(0)?, call.texts(1)?);
        build::longs(Type::Long, call.rows, |row| Some(a.get(row).cmp(b.get(row)) as i64))
    }),
    kernel("strrep", strrep),
    kernel("translate", translate),
    kernel("isascii", |call| {
        let texts = call.texts(0)?;
        Ok(build::flags(call.rows, |row| texts.get(row).is_ascii()))
    }),
    kernel("isutf8", |call| Ok(build::flags(call.rows, |_| true))),
    kernel("regex_quote", |call| map(call, |text| Cow::Owned(regex::escape(text)))),
];

/// A text function of one text.
pub(super) fn map(call: &Call<'_>, function: impl for<'t> Fn(&'t str) -> Cow<'t, str>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    Ok(build::texts(call.rows, |row| function(texts.get(row))))
}

fn char_count(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// The byte place of a character's place; the end when there is none.
fn byte_at(text: &str, chars: usize) -> usize {
    if text.is_ascii() {
        return chars.min(text.len());
    }
    text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at)
}

fn bounded(text: String) -> Result<String> {
    if text.len() > STRING_BYTES_MAX {
        return Err(too_long(text.len()));
    }
    Ok(text)
}

fn too_long(bytes: usize) -> Error {
    let message = format!("a string would be too long: bytes={bytes}, limit={STRING_BYTES_MAX}");
    Error::exhausted("function.string_too_long", message)
}

fn strcat(call: &Call<'_>) -> Result<ArrayRef> {
    let parts: Vec<Texts<'_>> = (0..call.args.len()).map(|index| call.texts(index)).collect::<Result<_>>()?;
    let mut buffer = String::new();
    build::try_texts(call.rows, |row| {
        buffer.clear();
        parts.iter().for_each(|part| buffer.push_str(part.get(row)));
        bounded(buffer.clone())
    })
}

fn strcat_delim(call: &Call<'_>) -> Result<ArrayRef> {
    let delimiters = call.texts(0)?;
    let parts: Vec<Texts<'_>> = (1..call.args.len()).map(|index| call.texts(index)).collect::<Result<_>>()?;
    build::try_texts(call.rows, |row| {
        let texts: Vec<&str> = parts.iter().map(|part| part.get(row)).collect();
        bounded(texts.join(delimiters.get(row)))
    })
}

fn strcat_array(call: &Call<'_>) -> Result<ArrayRef> {
    let (jsons, delimiters) = (call.jsons(0)?, call.texts(1)?);
    build::try_texts(call.rows, |row| {
        let items = jsons.get(row).and_then(json::array).unwrap_or_default();
        let texts: Vec<String> = items.iter().map(json::plain).collect();
        bounded(texts.join(delimiters.get(row)))
    })
}

fn substring(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, starts, lengths) = (call.texts(0)?, call.longs(1)?, call.longs_or(2, Some(i64::MAX))?);
    Ok(build::texts(call.rows, |row| {
        let text = texts.get(row);
        let (Some(start), Some(length)) = (starts.get(row), lengths.get(row)) else { return "" };
        let start = match usize::try_from(start) {
            Ok(start) => start,
            // Counted from the end; before the text there is nothing.
            Err(_) => match char_count(text).checked_sub(start.unsigned_abs() as usize) {
                Some(start) => start,
                None => return "",
            },
        };
        let rest = &text[byte_at(text, start)..];
        &rest[..byte_at(rest, usize::try_from(length).unwrap_or(0))]
    }))
}

fn split(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, delimiters, wanted) = (call.texts(0)?, call.texts(1)?, call.longs_or(2, None)?);
    let one = call.has(2);
    Ok(build::jsons(call.rows, |row| {
        let (text, delimiter) = (texts.get(row), delimiters.get(row));
        if !one && !delimiter.is_empty() {
            return Some(quoted(text.split(delimiter)));
        }
        let parts: Vec<&str> = match delimiter {
            "" => text.split("").filter(|part| !part.is_empty()).collect(),
            delimiter => text.split(delimiter).collect(),
        };
        if !one {
            return Some(quoted(parts.into_iter()));
        }
        let index = wanted.get(row)?;
        let index = if index < 0 {
            parts.len().checked_sub(index.unsigned_abs() as usize)
        } else {
            usize::try_from(index).ok()
        };
        match index.and_then(|index| parts.get(index)) {
            Some(part) => Some(quoted(std::iter::once(*part))),
            None => Some(String::from("[\"\"]")),
        }
    }))
}

/// A JSON array of strings.
pub(super) fn quoted<'t>(parts: impl Iterator<Item = &'t str>) -> String {
    let mut array = String::from("[");
    for (at, part) in parts.enumerate() {
        if at > 0 {
            array.push(',');
        }
        quote_into(part, &mut array);
    }
    array.push(']');
    array
}

/// Everything that matches at the start or the end goes, in one pass over the text: what is left is not looked at again.
fn trim(call: &Call<'_>, start: bool, end: bool) -> Result<ArrayRef> {
    let (expressions, texts) = (call.texts(0)?, call.texts(1)?);
    let mut patterns = Patterns::default();
    build::try_texts(call.rows, |row| {
        let (expression, text) = (expressions.get(row), texts.get(row));
        let at_start = start.then(|| patterns.get(&format!("^({expression})")).cloned()).transpose()?;
        let at_end = end.then(|| patterns.get(&format!("({expression})$")).cloned()).transpose()?;
        Ok(without(text, at_start.as_ref(), at_end.as_ref()))
    })
}

/// The text without the matches of either expression, from left to right.
fn without<'t>(text: &'t str, at_start: Option<&regex::Regex>, at_end: Option<&regex::Regex>) -> Cow<'t, str> {
    let mut kept = Cow::Borrowed("");
    let mut from = 0;
    loop {
        let find = |regex: &regex::Regex| regex.find_at(text, from).filter(|found| !found.is_empty());
        let found = match (at_start.and_then(find), at_end.and_then(find)) {
            (Some(a), Some(b)) if b.start() < a.start() => Some(b),
            (Some(a), _) => Some(a),
            (None, b) => b,
        };
        let Some(found) = found else {
            kept += &text[from..];
            return kept;
        };
        kept += &text[from..found.start()];
        from = found.end();
    }
}

fn replace_string(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, lookups, rewrites) = (call.texts(0)?, call.texts(1)?, call.texts(2)?);
    build::try_texts(call.rows, |row| {
        let (text, lookup) = (texts.get(row), lookups.get(row));
        if lookup.is_empty() || !text.contains(lookup) {
            return Ok(Cow::Borrowed(text));
        }
        bounded(text.replace(lookup, rewrites.get(row))).map(Cow::Owned)
    })
}

/// Lookups are replaced one after the other; what was put in is not searched again.
fn replace_strings(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, lookups, rewrites) = (call.texts(0)?, call.jsons(1)?, call.jsons(2)?);
    build::try_texts(call.rows, |row| {
        let lookups = lookups.get(row).and_then(json::array).unwrap_or_default();
        let rewrites = match rewrites.get(row).and_then(json::parse) {
            Some(Json::Array(rewrites)) => rewrites,
            Some(one) => vec![one; lookups.len()],
            None => Vec::new(),
        };
        // Pieces of the text, and whether they are put in.
        let mut pieces: Vec<(Cow<'_, str>, bool)> = vec![(Cow::Borrowed(texts.get(row)), false)];
        for (lookup, rewrite) in lookups.iter().zip(&rewrites) {
            let lookup = json::plain(lookup);
            // What is no string leaves its lookup as it is.
            let rewrite = rewrite.as_str().unwrap_or(&lookup);
            if !lookup.is_empty() {
                pieces = replaced(pieces, &lookup, rewrite)?;
            }
        }
        Ok(pieces.into_iter().map(|(piece, _)| piece).collect::<String>())
    })
}

fn replaced<'t>(pieces: Vec<(Cow<'t, str>, bool)>, lookup: &str, rewrite: &str) -> Result<Vec<(Cow<'t, str>, bool)>> {
    let mut out = Vec::with_capacity(pieces.len());
    let mut bytes = 0;
    for (piece, put_in) in pieces {
        if put_in || !piece.contains(lookup) {
            bytes += piece.len();
            out.push((piece, put_in));
            continue;
        }
        for (at, rest) in piece.split(lookup).enumerate() {
            if at > 0 {
                bytes += rewrite.len();
                out.push((Cow::Owned(rewrite.to_owned()), true));
            }
            bytes += rest.len();
            if bytes > STRING_BYTES_MAX {
                return Err(too_long(bytes));
            }
            if !rest.is_empty() {
                out.push((Cow::Owned(rest.to_owned()), false));
            }
        }
    }
    Ok(out)
}

/// Text, expression and rewrite stand at these places.
fn replace_regex(call: &Call<'_>, [text, expression, rewrite]: [usize; 3]) -> Result<ArrayRef> {
    let (texts, expressions, rewrites) = (call.texts(text)?, call.texts(expression)?, call.texts(rewrite)?);
    let mut patterns = Patterns::default();
    let mut rewrite = (String::new(), String::new());
    build::try_texts(call.rows, |row| {
        let source = rewrites.get(row);
        if rewrite.0 != source || row == 0 {
            rewrite = (source.to_owned(), rewrite_template(source));
        }
        let replaced = patterns.get(expressions.get(row))?.replace_all(texts.get(row), rewrite.1.as_str());
        match replaced {
            Cow::Owned(text) => bounded(text).map(Cow::Owned),
            Cow::Borrowed(text) => Ok(Cow::Borrowed(text)),
        }
    })
}

/// `\1` becomes `${1}`, `\\` a backslash, and a dollar stands for itself.
fn rewrite_template(rewrite: &str) -> String {
    let mut out = String::with_capacity(rewrite.len() + 8);
    let mut chars = rewrite.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                chars.next();
                out.push_str(&format!("${{{digit}}}"));
            }
            ('\\', Some('\\')) => {
                chars.next();
                out.push('\\');
            }
            ('$', _) => out.push_str("$$"),
            (c, _) => out.push(c),
        }
    }
    out
}

fn extract(call: &Call<'_>) -> Result<ArrayRef> {
    let (expressions, groups, texts) = (call.texts(0)?, call.longs(1)?, call.texts(2)?);
    let mut patterns = Patterns::default();
    build::try_texts(call.rows, |row| {
        let regex = patterns.get(expressions.get(row))?;
        let Some(group) = groups.get(row).and_then(|group| usize::try_from(group).ok()) else { return Ok("") };
        let text = texts.get(row);
        if group == 0 {
            return Ok(regex.find(text).map_or("", |found| found.as_str()));
        }
        let found = regex.captures(text).and_then(|captures| captures.get(group));
        Ok(found.map_or("", |found| found.as_str()))
    })
}

/// Without groups the whole match; with one its text; with several an array of texts. No match is null.
fn extract_all(call: &Call<'_>) -> Result<ArrayRef> {
    let last = call.args.len() - 1;
    let (expressions, texts) = (call.texts(0)?, call.texts(last)?);
    let chosen = (last == 2).then(|| call.jsons(1)).transpose()?;
    let mut patterns = Patterns::default();
    build::try_jsons(call.rows, |row| {
        let regex = patterns.get(expressions.get(row))?;
        let groups: Vec<usize> = match chosen.and_then(|chosen| chosen.get(row)).and_then(json::array) {
            Some(wanted) => wanted.iter().filter_map(|group| group_index(regex, group)).collect(),
            None => (1..regex.captures_len()).collect(),
        };
        let mut matches = Vec::new();
        for captures in regex.captures_iter(texts.get(row)) {
            let text = |group: usize| quote(captures.get(group).map_or("", |found| found.as_str()));
            matches.push(match groups.as_slice() {
                [] => text(0),
                [group] => text(*group),
                groups => format!("[{}]", groups.iter().map(|group| text(*group)).collect::<Vec<_>>().join(",")),
            });
        }
        Ok((!matches.is_empty()).then(|| format!("[{}]", matches.join(","))))
    })
}

fn group_index(regex: &regex::Regex, group: &Json) -> Option<usize> {
    match group {
        Json::Number(number) => usize::try_from(number.as_u64()?).ok().filter(|&index| index < regex.captures_len()),
        Json::String(name) => regex.capture_names().position(|found| found == Some(name)),
        _ => None,
    }
}

/// Where to search in a text.
struct Window<'t> {
    /// The text from the start of the search on.
    rest: &'t str,
    /// Bytes of it within which a match must begin (`indexof`) or lie (`indexof_regex`).
    bytes: usize,
    /// Characters before it.
    offset: usize,
}

/// From `start` (negative: from the end) over `length` characters (-1: all).
fn window(text: &str, start: i64, length: i64) -> Option<Window<'_>> {
    let count = char_count(text);
    let offset = if start < 0 { count.saturating_sub(start.unsigned_abs() as usize) } else { start as usize };
    if offset > count || length < -1 {
        return None;
    }
    let rest = &text[byte_at(text, offset)..];
    let bytes = if length < 0 { rest.len() } else { byte_at(rest, length as usize) };
    Some(Window { rest, bytes, offset })
}

fn indexof(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, lookups) = (call.texts(0)?, call.texts(1)?);
    let (starts, lengths, nths) = (call.longs_or(2, Some(0))?, call.longs_or(3, Some(-1))?, call.longs_or(4, Some(1))?);
    build::longs(Type::Long, call.rows, |row| {
        let (start, length, nth) = (starts.get(row)?, lengths.get(row)?, nths.get(row)?);
        if nth < 1 {
            return None;
        }
        let Some(Window { rest, bytes, offset }) = window(texts.get(row), start, length) else { return Some(-1) };
        let in_range = |at: &usize| *at < bytes || bytes == rest.len();
        let found = occurrences(rest, lookups.get(row)).nth(nth as usize - 1).filter(in_range);
        Some(found.map_or(-1, |at| (offset + char_count(&rest[..at])) as i64))
    })
}

/// Byte places of `needle`, overlapping ones too.
fn occurrences<'t>(text: &'t str, needle: &'t str) -> impl Iterator<Item = usize> + 't {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + text.get(from..)?.find(needle)?;
        from = at + text[at..].chars().next().map_or(1, char::len_utf8);
        Some(at)
    })
}

fn indexof_regex(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, expressions) = (call.texts(0)?, call.texts(1)?);
    let (starts, lengths, nths) = (call.longs_or(2, Some(0))?, call.longs_or(3, Some(-1))?, call.longs_or(4, Some(1))?);
    let mut patterns = Patterns::default();
    let mut found = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let regex = patterns.get(expressions.get(row))?;
        found.push((|| {
            let (start, length, nth) = (starts.get(row)?, lengths.get(row)?, nths.get(row)?);
            if nth < 1 || start < 0 {
                return None;
            }
            let Some(Window { rest, bytes, offset }) = window(texts.get(row), start, length) else {
                return Some(-1);
            };
            let part = &rest[..bytes];
            let at = regex.find_iter(part).nth(nth as usize - 1);
            Some(at.map_or(-1, |at| (offset + char_count(&part[..at.start()])) as i64))
        })());
    }
    build::longs(Type::Long, call.rows, |row| found[row])
}

fn countof(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, lookups, kinds) = (call.texts(0)?, call.texts(1)?, call.texts_or(2, "normal")?);
    let mut patterns = Patterns::default();
    let mut counts = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let (text, lookup) = (texts.get(row), lookups.get(row));
        counts.push(match kinds.get(row) {
            "regex" => patterns.get(lookup)?.find_iter(text).count(),
            "normal" if lookup.is_empty() => 0,
            "normal" => occurrences(text, lookup).count(),
            other => {
                return Err(Error::invalid("function.argument", format!("unknown kind of search: kind={other}"))
                    .hint("use \"normal\" or \"regex\""));
            }
        } as i64);
    }
    build::longs(Type::Long, call.rows, |row| Some(counts[row]))
}

fn strrep(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, counts, delimiters) = (call.texts(0)?, call.longs(1)?, call.texts_or(2, "")?);
    build::try_texts(call.rows, |row| {
        let (text, delimiter) = (texts.get(row), delimiters.get(row));
        let count = counts.get(row).unwrap_or(0).clamp(0, 1024) as usize;
        if (text.len() + delimiter.len()) * count > STRING_BYTES_MAX {
            return bounded(" ".repeat(STRING_BYTES_MAX + 1));
        }
        Ok(vec![text; count].join(delimiter))
    })
}

fn translate(call: &Call<'_>) -> Result<ArrayRef> {
    let (searches, replacements, texts) = (call.texts(0)?, call.texts(1)?, call.texts(2)?);
    Ok(build::texts(call.rows, |row| {
        let search: Vec<char> = searches.get(row).chars().collect();
        let replacement: Vec<char> = replacements.get(row).chars().collect();
        texts
            .get(row)
            .chars()
            .filter_map(|c| match search.iter().position(|&wanted| wanted == c) {
                None => Some(c),
                Some(at) => replacement.get(at).or(replacement.last()).copied(),
            })
            .collect::<String>()
    }))
}
