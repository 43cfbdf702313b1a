//! `parse`: columns taken from text by a pattern of texts, skips and captures.
//!
//! The whole text must match. A gap (skip or capture) reaches to the first occurrence of the text after it. Where texts and
//! gaps alternate, plain searching decides; otherwise, and in regex mode, the pattern becomes a regular expression. In regex
//! mode gaps are greedy (`U` turns that around, as for the rest of the expression) and need not reach the end.

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use kyma_core::{Result, Type, Value};
use kyma_plan::node::{ParseMode, ParsePart};
use regex::Regex;

use crate::view::Texts;
use crate::{Arg, convert};

/// Gives one array per capture, of its type, and which rows matched; a row that did not has nulls.
pub fn parse(
    text: &Arg,
    rows: usize,
    pattern: &[ParsePart],
    mode: &ParseMode,
) -> Result<(Vec<ArrayRef>, BooleanBuffer)> {
    let texts = Texts::of(text)?;
    let matcher = Matcher::new(pattern, mode)?;
    let types: Vec<Type> = pattern
        .iter()
        .filter_map(|part| match part {
            ParsePart::Capture(ty) => Some(*ty),
            _ => None,
        })
        .collect();
    let mut captured: Vec<Vec<Option<&str>>> = vec![Vec::with_capacity(rows); types.len()];
    for row in 0..rows {
        let found = matcher.captures(texts.get(row));
        for (at, column) in captured.iter_mut().enumerate() {
            column.push(found.as_ref().map(|found| found[at]));
        }
    }
    let mut matched: Vec<bool> = (0..rows).map(|row| matches_row(&captured, &matcher, texts.get(row), row)).collect();
    let columns: Vec<ArrayRef> = captured
        .iter()
        .zip(&types)
        .map(|(column, ty)| {
            let strings = crate::build::texts(rows, |row| column[row].unwrap_or(""));
            convert(&Arg::Array(strings), Type::String, *ty, rows)
        })
        .collect::<Result<_>>()?;
    if *mode == ParseMode::Relaxed {
        return Ok((columns, BooleanBuffer::from(matched)));
    }
    for (column, ty) in columns.iter().zip(&types).filter(|(_, ty)| **ty != Type::String) {
        let fails = |row: usize| crate::array_value(column.as_ref(), row, *ty).is_null();
        (0..rows).for_each(|row| matched[row] &= !fails(row));
    }
    let columns = columns.iter().zip(&types).map(|(column, ty)| keep(column, *ty, &matched)).collect::<Result<_>>()?;
    Ok((columns, BooleanBuffer::from(matched)))
}

fn matches_row(captured: &[Vec<Option<&str>>], matcher: &Matcher, text: &str, row: usize) -> bool {
    match captured.first() {
        Some(first) => first[row].is_some(),
        None => matcher.captures(text).is_some(),
    }
}

/// Nulls where a row did not match.
fn keep(column: &ArrayRef, ty: Type, matched: &[bool]) -> Result<ArrayRef> {
    if matched.iter().all(|matched| *matched) {
        return Ok(column.clone());
    }
    let null = crate::value_to_array(&Value::Null(ty), 1);
    let indices: Vec<(usize, usize)> =
        matched.iter().enumerate().map(|(row, matched)| if *matched { (0, row) } else { (1, 0) }).collect();
    Ok(arrow::compute::interleave(&[column.as_ref(), null.as_ref()], &indices)?)
}

enum Matcher {
    Plain(Vec<ParsePart>),
    Regex(Regex, usize),
}

impl Matcher {
    fn new(pattern: &[ParsePart], mode: &ParseMode) -> Result<Matcher> {
        let gap = |part: &ParsePart| !matches!(part, ParsePart::Text(_));
        let adjacent = pattern.windows(2).any(|pair| gap(&pair[0]) && gap(&pair[1]));
        match mode {
            ParseMode::Regex(flags) => expression(pattern, Some(flags)),
            _ if adjacent => expression(pattern, None),
            _ => Ok(Matcher::Plain(pattern.to_vec())),
        }
    }

    /// The captured texts, if the text matches.
    fn captures<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        match self {
            Matcher::Plain(parts) => search(parts, text),
            Matcher::Regex(regex, count) => {
                let captures = regex.captures(text)?;
                let capture = |at: usize| captures.name(&group(at)).map_or("", |found| found.as_str());
                Some((0..*count).map(capture).collect())
            }
        }
    }
}

fn search<'t>(parts: &[ParsePart], text: &'t str) -> Option<Vec<&'t str>> {
    let mut captures = Vec::new();
    let (mut rest, mut gap): (&str, Option<&ParsePart>) = (text, None);
    let mut fill = |gap: Option<&ParsePart>, text: &'t str| {
        if let Some(ParsePart::Capture(_)) = gap {
            captures.push(text);
        }
    };
    for (at, part) in parts.iter().enumerate() {
        let ParsePart::Text(wanted) = part else {
            gap = Some(part);
            continue;
        };
        let last = at + 1 == parts.len();
        let found = match gap {
            None => rest.starts_with(wanted.as_str()).then_some(0)?,
            Some(_) if last => rest.ends_with(wanted.as_str()).then(|| rest.len() - wanted.len())?,
            Some(_) => rest.find(wanted.as_str())?,
        };
        fill(gap.take(), &rest[..found]);
        rest = &rest[found + wanted.len()..];
    }
    match gap {
        Some(_) => fill(gap, rest),
        None if rest.is_empty() => {}
        None => return None,
    }
    Some(captures)
}

fn group(at: usize) -> String {
    format!("kyma_{at}")
}

/// The pattern as a regular expression with one named group per capture.
fn expression(pattern: &[ParsePart], flags: Option<&String>) -> Result<Matcher> {
    let any = if flags.is_some() { ".*" } else { ".*?" };
    let mut source = match flags {
        Some(flags) if !flags.is_empty() => format!("(?{flags})^"),
        Some(_) => String::from("^"),
        None => String::from("(?s)^"),
    };
    let mut count = 0;
    for (at, part) in pattern.iter().enumerate() {
        match part {
            ParsePart::Text(text) if flags.is_some() => source.push_str(&format!("(?:{text})")),
            ParsePart::Text(text) => source.push_str(&regex::escape(text)),
            ParsePart::Skip => source.push_str(any),
            ParsePart::Capture(ty) => {
                let before_gap = matches!(pattern.get(at + 1), Some(ParsePart::Skip | ParsePart::Capture(_)));
                let body = match ty {
                    Type::Int | Type::Long if before_gap || flags.is_some() => r"\s*[-+]?[0-9]+",
                    Type::Real | Type::Decimal if before_gap => r"\s*[-+]?[0-9.eE+-]+",
                    Type::Guid if before_gap => "[0-9a-fA-F-]{36}",
                    Type::Bool if flags.is_some() => r"\s*(?i:true|false)",
                    _ => any,
                };
                source.push_str(&format!("(?P<{}>{body})", group(count)));
                count += 1;
            }
        }
    }
    if !matches!(pattern.last(), Some(ParsePart::Text(_))) || flags.is_none() {
        source.push('$');
    }
    Ok(Matcher::Regex(kyma_core::pattern::compile(&source)?, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_columns_from_text() {
        use ParsePart::{Capture, Skip, Text};
        let pattern =
            [Skip, Text("name=".into()), Capture(Type::String), Text(", n=".into()), Capture(Type::Long), Skip];
        let text = Arg::Array(crate::build::texts(3, |row| ["x name=a b, n=12 z", "name=q, n=z", "nothing"][row]));
        let (columns, matched) = parse(&text, 3, &pattern, &ParseMode::Simple).unwrap();
        assert_eq!(matched.iter().collect::<Vec<_>>(), [true, false, false]);
        let value = |column: usize, row: usize, ty| crate::array_value(columns[column].as_ref(), row, ty);
        assert_eq!(value(0, 0, Type::String), Value::String("a b".into()));
        assert_eq!(value(1, 0, Type::Long), Value::Long(12));
        assert_eq!(value(0, 1, Type::String), Value::String(String::new()));
        let (columns, _) = parse(&text, 3, &pattern[..4], &ParseMode::Relaxed).unwrap();
        assert_eq!(columns.len(), 1);
    }

    #[test]
    fn regex_mode() {
        let pattern =
            [ParsePart::Text(".*?id:".into()), ParsePart::Capture(Type::Long), ParsePart::Text("[,;]".into())];
        let text = Arg::Scalar(Value::String("a id:7; b".into()));
        let (columns, _) = parse(&text, 1, &pattern, &ParseMode::Regex(String::new())).unwrap();
        assert_eq!(crate::array_value(columns[0].as_ref(), 0, Type::Long), Value::Long(7));
        let between = [ParsePart::Text("a".into()), ParsePart::Capture(Type::String), ParsePart::Text("b".into())];
        let text = Arg::Scalar(Value::String("abcbd".into()));
        for (flags, expected) in [("", "bc"), ("U", "")] {
            let (columns, _) = parse(&text, 1, &between, &ParseMode::Regex(flags.into())).unwrap();
            let found = crate::array_value(columns[0].as_ref(), 0, Type::String);
            assert_eq!(found, Value::String(expected.into()), "flags={flags}");
        }
    }
}
