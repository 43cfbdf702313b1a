//! `parse`: columns taken from text by a pattern of texts, skips and captures.
//!
//! The whole text must match. A gap (skip or capture) reaches to the first occurrence of the text after it. Where texts and
//! gaps alternate, plain searching decides; otherwise, and in regex mode, the pattern becomes a regular expression. In regex
//! mode gaps are greedy (`U` turns that around, as for the rest of the expression) and need not reach the end.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use arrow::buffer::BooleanBuffer;
use kyma_core::{Result, Type, Value};
use kyma_plan::node::{ParseMode, ParsePart};
use memchr::memmem::Finder;
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
    let mut captured: Vec<StringViewBuilder> = types.iter().map(|_| StringViewBuilder::with_capacity(rows)).collect();
    let mut matched: Vec<bool> = Vec::with_capacity(rows);
    let mut found = Vec::with_capacity(types.len());
    for row in 0..rows {
        found.clear();
        let fits = matcher.captures(texts.get(row), &mut found);
        matched.push(fits);
        for (at, column) in captured.iter_mut().enumerate() {
            let text = found.get(at).copied().filter(|_| fits).unwrap_or_default();
            column.try_append_value(text)?;
        }
    }
    let columns: Vec<ArrayRef> = captured
        .into_iter()
        .zip(&types)
        .map(|(mut column, ty)| convert(&Arg::Array(Arc::new(column.finish())), Type::String, *ty, rows))
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
    Plain(Vec<Step>),
    Regex(Regex, usize),
}

/// A part of a plain pattern.
enum Step {
    /// This text, which is searched for after a gap.
    Text(Box<Finder<'static>>),
    /// Any text; taken, if it is captured.
    Gap {
        /// Whether it is.
        captured: bool,
    },
}

impl Step {
    fn of(part: &ParsePart) -> Step {
        match part {
            ParsePart::Text(text) => Step::Text(Box::new(Finder::new(text.as_bytes()).into_owned())),
            ParsePart::Skip => Step::Gap { captured: false },
            ParsePart::Capture(_) => Step::Gap { captured: true },
        }
    }
}

impl Matcher {
    fn new(pattern: &[ParsePart], mode: &ParseMode) -> Result<Matcher> {
        let gap = |part: &ParsePart| !matches!(part, ParsePart::Text(_));
        let adjacent = pattern.windows(2).any(|pair| gap(&pair[0]) && gap(&pair[1]));
        match mode {
            ParseMode::Regex(flags) => expression(pattern, Some(flags)),
            _ if adjacent => expression(pattern, None),
            _ => Ok(Matcher::Plain(pattern.iter().map(Step::of).collect())),
        }
    }

    /// Whether the text matches; if so, what it captures is put into `found`.
    fn captures<'t>(&self, text: &'t str, found: &mut Vec<&'t str>) -> bool {
        match self {
            Matcher::Plain(steps) => search(steps, text, found).is_some(),
            Matcher::Regex(regex, count) => {
                let Some(captures) = regex.captures(text) else { return false };
                // Groups stand in the order of their captures, but for those of the pattern's own expressions.
                found.extend((0..*count).map(|at| captures.name(&group(at)).map_or("", |found| found.as_str())));
                true
            }
        }
    }
}

fn search<'t>(steps: &[Step], text: &'t str, captures: &mut Vec<&'t str>) -> Option<()> {
    let (mut rest, mut gap): (&str, Option<bool>) = (text, None);
    let mut fill = |captured: bool, text: &'t str| {
        if captured {
            captures.push(text);
        }
    };
    for (at, step) in steps.iter().enumerate() {
        let finder = match step {
            Step::Gap { captured } => {
                gap = Some(*captured);
                continue;
            }
            Step::Text(finder) => finder,
        };
        let (wanted, last) = (finder.needle(), at + 1 == steps.len());
        let found = match gap {
            None => rest.as_bytes().starts_with(wanted).then_some(0)?,
            Some(_) if last => rest.as_bytes().ends_with(wanted).then(|| rest.len() - wanted.len())?,
            Some(_) => finder.find(rest.as_bytes())?,
        };
        fill(gap.take().unwrap_or_default(), &rest[..found]);
        rest = &rest[found + wanted.len()..];
    }
    match gap {
        Some(captured) => fill(captured, rest),
        None if rest.is_empty() => {}
        None => return None,
    }
    Some(())
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
