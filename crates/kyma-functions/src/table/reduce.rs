//! `reduce`: texts gathered under patterns.
//!
//! 1. Equal texts are counted once. Each is cut into terms (letters, digits and what the query adds to them) and what
//!    stands between them.
//! 2. A term with a digit is a variable from its first digit on.
//! 3. A text joins the pattern with the same separators that shares the most terms with it, if that is at least half of
//!    them; terms that differ become variables. Else it is a pattern of its own.
//! 4. Patterns of fewer rows than the threshold are gathered under `*`.
//!
//! Texts are taken in their own order, so that the same rows give the same patterns in whatever order a scan gives them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use kyma_core::Result;
use kyma_plan::table::Reduce;

use super::function::TableCall;
use crate::limits::REDUCE_PATTERNS_MAX;
use crate::view::Texts;
use crate::{Arg, build};

/// Pattern of the rows that no frequent pattern stands for.
const REST: &str = "*";

/// A term of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term<'a> {
    Exact(&'a str),
    /// Starts with this, which may be empty, and goes on differently.
    Starts(&'a str),
}

/// A text in parts: `gaps` has one more than `terms`.
struct Parts<'a> {
    gaps: Vec<&'a str>,
    terms: Vec<Term<'a>>,
}

struct Pattern<'a> {
    terms: Vec<Term<'a>>,
    rows: u64,
    representative: &'a str,
}

/// A row of the result.
struct Gathered<'a> {
    rows: u64,
    representative: &'a str,
}

pub(super) fn reduce(reduce: &Reduce, call: &TableCall<'_>) -> Result<RecordBatch> {
    let input = call.input(0)?;
    let arg = Arg::Array(Arc::clone(input.column(0)));
    let texts = Texts::of(&arg)?;
    let rows = input.num_rows();
    let gathered = gather((0..rows).map(|row| texts.get(row)), reduce);
    let patterns = build::texts(gathered.len(), |at| gathered[at].0.as_str());
    let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(gathered.iter().map(|(_, of)| of.rows as i64)));
    let representatives = build::texts(gathered.len(), |at| gathered[at].1.representative);
    call.batch(vec![patterns, counts, representatives])
}

/// Patterns, the most frequent first.
fn gather<'a>(texts: impl Iterator<Item = &'a str>, reduce: &Reduce) -> Vec<(String, Gathered<'a>)> {
    let (distinct, total) = counted(texts);
    let mut shapes: HashMap<Vec<&str>, Vec<Pattern<'_>>> = HashMap::new();
    for (text, rows) in distinct {
        let Parts { gaps, terms } = parts(text, &reduce.characters);
        join(shapes.entry(gaps).or_default(), terms, rows, text);
    }
    let wanted = reduce.threshold * total as f64;
    let mut found: HashMap<String, Gathered<'_>> = HashMap::new();
    // Rows of the rest have the representative that compares lowest, whatever order the shapes come in.
    for (gaps, patterns) in shapes {
        for pattern in patterns {
            let is_rest = (pattern.rows as f64) < wanted;
            let text = if is_rest { REST.to_owned() } else { written(&gaps, &pattern.terms) };
            let place = found.entry(text).or_insert(Gathered { rows: 0, representative: pattern.representative });
            place.rows += pattern.rows;
            place.representative = place.representative.min(pattern.representative);
        }
    }
    let mut found: Vec<(String, Gathered<'_>)> = found.into_iter().collect();
    found.sort_by(|a, b| b.1.rows.cmp(&a.1.rows).then_with(|| a.0.cmp(&b.0)));
    found
}

/// Distinct texts in their order, with how many rows have each; and how many rows there are.
fn counted<'a>(texts: impl Iterator<Item = &'a str>) -> (Vec<(&'a str, u64)>, u64) {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    let mut total = 0;
    for text in texts {
        total += 1;
        *counts.entry(text).or_default() += 1;
    }
    let mut distinct: Vec<(&str, u64)> = counts.into_iter().collect();
    distinct.sort_unstable();
    (distinct, total)
}

fn parts<'a>(text: &'a str, characters: &str) -> Parts<'a> {
    let is_term = |c: char| c.is_alphanumeric() || characters.contains(c);
    let (mut gaps, mut terms) = (Vec::new(), Vec::new());
    let mut rest = text;
    loop {
        let start = rest.find(is_term).unwrap_or(rest.len());
        let (gap, after) = rest.split_at(start);
        gaps.push(gap);
        if after.is_empty() {
            return Parts { gaps, terms };
        }
        let end = after.find(|c| !is_term(c)).unwrap_or(after.len());
        let (term, after) = after.split_at(end);
        terms.push(match term.find(|c: char| c.is_numeric()) {
            Some(digit) => Term::Starts(&term[..digit]),
            None => Term::Exact(term),
        });
        rest = after;
    }
}

/// Adds rows to the pattern that is most like them, or as a new one.
fn join<'a>(patterns: &mut Vec<Pattern<'a>>, terms: Vec<Term<'a>>, rows: u64, text: &'a str) {
    let shared = |pattern: &Pattern<'_>| pattern.terms.iter().zip(&terms).filter(|(a, b)| a == b).count();
    // The first of equally like ones.
    let best = patterns.iter().enumerate().map(|(at, pattern)| (shared(pattern), at));
    let best = best.max_by_key(|(shared, at)| (*shared, std::cmp::Reverse(*at)));
    let full = patterns.len() >= REDUCE_PATTERNS_MAX;
    match best.filter(|(shared, _)| full || shared * 2 >= terms.len()) {
        Some((_, at)) => {
            let pattern = &mut patterns[at];
            pattern.rows += rows;
            let pairs = pattern.terms.iter_mut().zip(&terms).filter(|(a, b)| a != b);
            pairs.for_each(|(term, _)| *term = Term::Starts(""));
        }
        None => patterns.push(Pattern { terms, rows, representative: text }),
    }
}

fn written(gaps: &[&str], terms: &[Term<'_>]) -> String {
    let mut text = String::new();
    for (at, gap) in gaps.iter().enumerate() {
        text.push_str(gap);
        match terms.get(at) {
            Some(Term::Exact(term)) => text.push_str(term),
            Some(Term::Starts(start)) => {
                text.push_str(start);
                text.push('*');
            }
            None => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[&str], threshold: f64, characters: &str, expected: &[(&str, u64, &str)]) {
        let reduce = Reduce { threshold, characters: characters.to_owned() };
        let found = gather(texts.iter().copied(), &reduce);
        let found: Vec<(&str, u64, &str)> =
            found.iter().map(|(pattern, of)| (pattern.as_str(), of.rows, of.representative)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn numbers_and_differing_terms_are_variables() {
        let lines = ["user 17 logged in", "user 4 logged in", "disk sda1 is full", "user 17 logged out"];
        check(
            &lines,
            0.1,
            "",
            &[("user * logged *", 3, "user 17 logged in"), ("disk sda* is full", 1, "disk sda1 is full")],
        );
    }

    #[test]
    fn characters_hold_a_term_together() {
        let lines = ["a-b x y", "a-c x y"];
        check(&lines, 0.1, "-", &[("* x y", 2, "a-b x y")]);
        check(&lines, 0.1, "", &[("a-* x y", 2, "a-b x y")]);
    }

    #[test]
    fn rare_patterns_are_the_rest() {
        let lines = ["up", "up", "up", "a b", "c: d", ""];
        check(&lines, 0.3, "", &[("*", 3, ""), ("up", 3, "up")]);
    }
}
