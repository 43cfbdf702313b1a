//! Text operators.

use aho_corasick::AhoCorasick;
use arrow::array::ArrayRef;
use kyma_core::predicate::TextOp;
use kyma_core::{Result, Type, Value};

use super::{Kernel, kernel};
use crate::pattern::Patterns;
use crate::view::{Jsons, Texts};
use crate::{Arg, Call, build};
use kyma_core::text::TextTest;

pub(super) static KERNELS: &[Kernel] = &[
    kernel("has", |call| test(call, TextOp::Has, false)),
    kernel("has_cs", |call| test(call, TextOp::Has, true)),
    kernel("hasprefix", |call| test(call, TextOp::HasPrefix, false)),
    kernel("hasprefix_cs", |call| test(call, TextOp::HasPrefix, true)),
    kernel("hassuffix", |call| test(call, TextOp::HasSuffix, false)),
    kernel("hassuffix_cs", |call| test(call, TextOp::HasSuffix, true)),
    kernel("contains", |call| test(call, TextOp::Contains, false)),
    kernel("contains_cs", |call| test(call, TextOp::Contains, true)),
    kernel("startswith", |call| test(call, TextOp::StartsWith, false)),
    kernel("startswith_cs", |call| test(call, TextOp::StartsWith, true)),
    kernel("endswith", |call| test(call, TextOp::EndsWith, false)),
    kernel("endswith_cs", |call| test(call, TextOp::EndsWith, true)),
    kernel("equal_ci", |call| test(call, TextOp::Equal, false)),
    kernel("matches_regex", matches_regex),
    kernel("has_any", |call| has_terms(call, false)),
    kernel("has_all", |call| has_terms(call, true)),
    kernel("like", |call| like(call, "(?is)")),
    kernel("like_cs", |call| like(call, "(?s)")),
    kernel("has_any_index", has_any_index),
];

fn test(call: &Call<'_>, op: TextOp, case_sensitive: bool) -> Result<ArrayRef> {
    let (texts, needles) = (call.texts(0)?, call.texts(1)?);
    if let Some(needle) = needles.constant() {
        let test = TextTest::new(op, needle, case_sensitive);
        return Ok(build::flags(call.rows, |row| test.matches(texts.get(row))));
    }
    Ok(build::flags(call.rows, |row| TextTest::new(op, needles.get(row), case_sensitive).matches(texts.get(row))))
}

fn matches_regex(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, expressions) = (call.texts(0)?, call.texts(1)?);
    let mut patterns = Patterns::default();
    let mut found = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        found.push(patterns.get(expressions.get(row))?.is_match(texts.get(row)));
    }
    Ok(build::flags(call.rows, |row| found[row]))
}

/// `*` of the pattern is any text; the whole text must fit.
fn like(call: &Call<'_>, flags: &str) -> Result<ArrayRef> {
    let (texts, wildcards) = (call.texts(0)?, call.texts(1)?);
    let mut patterns = Patterns::default();
    let mut found = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let parts: Vec<String> = wildcards.get(row).split('*').map(regex::escape).collect();
        let expression = format!("{flags}^{}$", parts.join(".*"));
        found.push(patterns.get(&expression)?.is_match(texts.get(row)));
    }
    Ok(build::flags(call.rows, |row| found[row]))
}

/// The strings of constant needles: an array gives its elements; `None` when one of them is a column.
fn constant_needles(call: &Call<'_>) -> Option<Vec<String>> {
    let mut needles = Vec::new();
    for arg in &call.args[1..] {
        match arg {
            Arg::Scalar(Value::String(text)) => needles.push(text.clone()),
            Arg::Scalar(Value::Dynamic(json)) => needles.extend(strings_of(json)),
            Arg::Scalar(Value::Null(_)) => {}
            Arg::Scalar(other) => {
                needles.push(crate::convert::convert_value(other, Type::String).ok().and_then(|value| match value {
                    Value::String(text) => Some(text),
                    _ => None,
                })?)
            }
            Arg::Array(_) => return None,
        }
    }
    Some(needles)
}

/// The elements of a JSON array as text; anything else is one text.
pub(super) fn strings_of(json: &str) -> Vec<String> {
    match crate::json::parse(json) {
        Some(serde_json::Value::Array(items)) => items.iter().map(crate::json::plain).collect(),
        Some(other) => vec![crate::json::plain(&other)],
        None => vec![json.to_owned()],
    }
}

fn has_terms(call: &Call<'_>, all: bool) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    if let Some(needles) = constant_needles(call) {
        let tests = TermTests::new(&needles);
        return Ok(build::flags(call.rows, |row| tests.matches(texts.get(row), all)));
    }
    let columns: Vec<NeedleColumn<'_>> =
        (1..call.args.len()).map(|index| NeedleColumn::of(call, index)).collect::<Result<_>>()?;
    Ok(build::flags(call.rows, |row| {
        let needles: Vec<String> = columns.iter().flat_map(|column| column.get(row)).collect();
        TermTests::new(&needles).matches(texts.get(row), all)
    }))
}

enum NeedleColumn<'a> {
    Text(Texts<'a>),
    Dynamic(Jsons<'a>),
}

impl<'a> NeedleColumn<'a> {
    fn of(call: &Call<'a>, index: usize) -> Result<NeedleColumn<'a>> {
        Ok(match call.ty(index) {
            Type::Dynamic => NeedleColumn::Dynamic(call.jsons(index)?),
            _ => NeedleColumn::Text(call.texts(index)?),
        })
    }

    fn get(&self, row: usize) -> Vec<String> {
        match self {
            NeedleColumn::Text(texts) => vec![texts.get(row).to_owned()],
            NeedleColumn::Dynamic(jsons) => jsons.get(row).map(strings_of).unwrap_or_default(),
        }
    }
}

/// Many terms at once; from a handful on, an automaton says first whether any of them occurs at all.
struct TermTests {
    tests: Vec<TextTest>,
    any: Option<AhoCorasick>,
}

impl TermTests {
    fn new(needles: &[String]) -> TermTests {
        let tests = needles.iter().map(|needle| TextTest::new(TextOp::Has, needle, false)).collect();
        let worth_it = needles.len() >= 4 && needles.iter().all(|needle| needle.is_ascii() && !needle.is_empty());
        let any = worth_it.then(|| AhoCorasick::builder().ascii_case_insensitive(true).build(needles).ok()).flatten();
        TermTests { tests, any }
    }

    fn matches(&self, text: &str, all: bool) -> bool {
        if let Some(any) = &self.any
            && text.is_ascii()
            && !any.is_match(text)
        {
            return false;
        }
        match all {
            true => self.tests.iter().all(|test| test.matches(text)),
            false => self.tests.iter().any(|test| test.matches(text)),
        }
    }
}

fn has_any_index(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, lists) = (call.texts(0)?, call.jsons(1)?);
    build::longs(Type::Long, call.rows, |row| {
        let needles = lists.get(row).map(strings_of).unwrap_or_default();
        let found = needles.iter().position(|needle| TextTest::new(TextOp::Has, needle, false).matches(texts.get(row)));
        Some(found.map_or(-1, |at| at as i64))
    })
}
