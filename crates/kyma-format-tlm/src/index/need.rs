//! What a text must hold for a condition to be true of it, said in terms.
//!
//! A needle is cut into its runs of alphanumeric characters. A run that the condition shows to be bounded on both sides is
//! a whole term of the text; one that is open to the left ends a term, one open to the right starts one, and a single run open to
//! both sides lies inside a term. So no substring is ever taken for a term.
//!
//! | condition                         | left end | right end |
//! |-----------------------------------|----------|-----------|
//! | `has`, `==`, `=~`, `in`           | bounded  | bounded   |
//! | `hasprefix`, `startswith`         | bounded  | open      |
//! | `hassuffix`, `endswith`           | open     | bounded   |
//! | `contains`, literals of a regex   | open     | open      |
//!
//! Whether case counts makes no difference: terms are folded, and what is equal is equal when folded.

use kyma_core::predicate::TextOp;
use kyma_core::text::{fold, fold_char};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::terms::Addresses;
use crate::limits::{NEED_DEPTH_MAX, NEEDLE_TERMS_MAX, REGEX_LITERALS_MAX};

/// What must hold; a text without terms meets none but `Maybe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing is known.
    Maybe,
    /// Some term of the text passes.
    Test(TermTest),
    /// All hold.
    All(Vec<Need>),
    /// At least one holds.
    Any(Vec<Need>),
}

/// A test of one folded term.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TermTest {
    pub(crate) is_open_left: bool,
    pub(crate) is_open_right: bool,
    pub(crate) text: String,
}

impl TermTest {
    pub(crate) fn exact(text: impl Into<String>) -> Self {
        TermTest { is_open_left: false, is_open_right: false, text: text.into() }
    }

    pub(crate) fn is_exact(&self) -> bool {
        !self.is_open_left && !self.is_open_right
    }

    /// Whether a term passes; of an address its runs are terms of their own.
    pub(crate) fn passes(&self, term: &[u8]) -> bool {
        let text = self.text.as_bytes();
        if !self.is_exact() && term.contains(&b'.') {
            return false;
        }
        match (self.is_open_left, self.is_open_right) {
            (false, false) => term == text,
            (false, true) => term.starts_with(text),
            (true, false) => term.ends_with(text),
            (true, true) => memchr::memmem::find(term, text).is_some(),
        }
    }
}

impl Need {
    pub(crate) fn all(mut needs: Vec<Need>) -> Need {
        needs.retain(|need| *need != Need::Maybe);
        match needs.len() {
            0 => Need::Maybe,
            1 => needs.remove(0),
            _ => Need::All(needs),
        }
    }

    pub(crate) fn any(mut needs: Vec<Need>) -> Need {
        match needs.len() {
            _ if needs.contains(&Need::Maybe) => Need::Maybe,
            1 => needs.remove(0),
            _ => Need::Any(needs),
        }
    }

    /// How many tests there are.
    pub(crate) fn tests(&self) -> usize {
        match self {
            Need::Maybe => 0,
            Need::Test(_) => 1,
            Need::All(needs) | Need::Any(needs) => needs.iter().map(Need::tests).sum(),
        }
    }
}

/// What `op` with `needle` needs.
pub(crate) fn of_text(op: TextOp, needle: &str) -> Need {
    let (is_open_left, is_open_right) = match op {
        TextOp::Has | TextOp::Equal => (false, false),
        TextOp::HasPrefix | TextOp::StartsWith => (false, true),
        TextOp::HasSuffix | TextOp::EndsWith => (true, false),
        TextOp::Contains => (true, true),
        TextOp::Regex => return of_regex(needle),
    };
    of_literal(needle, is_open_left, is_open_right)
}

/// What a literal needs whose ends are open or bounded.
pub(crate) fn of_literal(literal: &str, is_open_left: bool, is_open_right: bool) -> Need {
    let folded = fold(literal);
    let mut tests: Vec<TermTest> = Vec::new();
    let mut addresses = Addresses::default();
    for run in kyma_core::text::terms(&folded).take(NEEDLE_TERMS_MAX) {
        let start = run.as_ptr() as usize - folded.as_ptr() as usize;
        let end = start + run.len();
        tests.push(TermTest {
            is_open_left: is_open_left && start == 0,
            is_open_right: is_open_right && end == folded.len(),
            text: run.to_owned(),
        });
        let address = addresses.push(folded.as_bytes(), start..end);
        let runs = tests.len().saturating_sub(4);
        let is_bounded = |tests: &[TermTest]| tests.iter().all(|test| test.is_exact() && !test.text.contains('.'));
        if let Some(address) = address.and_then(|start| folded.get(start..end)).filter(|_| is_bounded(&tests[runs..])) {
            // The address says more than its four runs.
            tests.truncate(runs);
            tests.push(TermTest::exact(address));
        }
    }
    Need::all(tests.into_iter().map(Need::Test).collect())
}

/// Literals of a regular expression: every match holds one of each list, folded as text without case is. Alternations are
/// left out; empty when nothing is known.
pub(crate) fn literals_of_regex(pattern: &str) -> Vec<Vec<String>> {
    let Ok(hir) = ParserBuilder::new().nest_limit(NEED_DEPTH_MAX as u32).build().parse(pattern) else {
        return Vec::new();
    };
    let mut literals = Literals::default();
    literals.walk(&hir, 0);
    literals.close();
    literals.lists
}

/// What a match of a regular expression needs: its literals, anywhere.
fn of_regex(pattern: &str) -> Need {
    // What this parser refuses but `kyma_core::pattern` takes leniently is not looked into.
    let parsed = ParserBuilder::new().nest_limit(NEED_DEPTH_MAX as u32).build().parse(pattern);
    parsed.map_or(Need::Maybe, |hir| of_hir(&hir, 0))
}

fn of_hir(hir: &Hir, depth: usize) -> Need {
    let mut literals = Literals::default();
    literals.walk(hir, depth);
    literals.close();
    Need::all(literals.needs)
}

/// Collects what every match holds, from left to right.
#[derive(Debug)]
struct Literals {
    needs: Vec<Need>,
    /// The literals so far, each in every spelling.
    lists: Vec<Vec<String>>,
    /// The literal at hand, in every spelling that is possible.
    spellings: Vec<String>,
}

impl Default for Literals {
    fn default() -> Self {
        Literals { needs: Vec::new(), lists: Vec::new(), spellings: vec![String::new()] }
    }
}

impl Literals {
    /// Ends the literal at hand: anything may follow.
    fn close(&mut self) {
        let spellings = std::mem::replace(&mut self.spellings, vec![String::new()]);
        self.needs.push(Need::any(spellings.iter().map(|literal| of_literal(literal, true, true)).collect()));
        if spellings.iter().all(|literal| !literal.is_empty()) {
            self.lists.push(spellings);
        }
    }

    fn walk(&mut self, hir: &Hir, depth: usize) {
        if depth > NEED_DEPTH_MAX {
            return self.close();
        }
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(text) => self.spellings.iter_mut().for_each(|spelling| spelling.push_str(text)),
                Err(_) => self.close(),
            },
            HirKind::Class(class) => self.one_of(class),
            HirKind::Repetition(repetition) => {
                // The first round follows what is before; what follows comes after the last one.
                if repetition.min > 0 {
                    self.walk(&repetition.sub, depth + 1);
                }
                self.close();
            }
            HirKind::Capture(capture) => self.walk(&capture.sub, depth + 1),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.walk(part, depth + 1)),
            HirKind::Alternation(branches) => {
                self.close();
                self.needs.push(Need::any(branches.iter().map(|branch| of_hir(branch, depth + 1)).collect()));
            }
        }
    }

    /// A class of few characters, such as one letter in both cases, is spelled out.
    fn one_of(&mut self, class: &Class) {
        let Class::Unicode(class) = class else { return self.close() };
        let characters: u32 = class.iter().map(|range| u32::from(range.end()) - u32::from(range.start()) + 1).sum();
        if characters == 0 || characters as usize > REGEX_LITERALS_MAX {
            return self.close();
        }
        let mut folded: Vec<char> = class.iter().flat_map(|range| range.start()..=range.end()).map(fold_char).collect();
        folded.sort_unstable();
        folded.dedup();
        if folded.len() * self.spellings.len() > REGEX_LITERALS_MAX {
            return self.close();
        }
        let with = |spelling: &String| folded.iter().map(|c| format!("{spelling}{c}")).collect::<Vec<_>>();
        self.spellings = self.spellings.iter().flat_map(with).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(need: &Need) -> String {
        let list = |needs: &[Need], by: &str| needs.iter().map(said).collect::<Vec<_>>().join(by);
        match need {
            Need::Maybe => "?".to_owned(),
            Need::Test(test) => {
                let star = |is_open: bool| if is_open { "*" } else { "" };
                format!("{}{}{}", star(test.is_open_left), test.text, star(test.is_open_right))
            }
            Need::All(needs) => list(needs, " & "),
            Need::Any(needs) => format!("({})", list(needs, " | ")),
        }
    }

    #[test]
    fn needles() {
        let of = |op, needle| said(&of_text(op, needle));
        assert_eq!(of(TextOp::Has, "Connection refused"), "connection & refused");
        assert_eq!(of(TextOp::Equal, "GET /a"), "get & a");
        assert_eq!(of(TextOp::HasPrefix, "a.b.c"), "a & b & c*");
        assert_eq!(of(TextOp::StartsWith, "a.b."), "a & b");
        assert_eq!(of(TextOp::HasSuffix, "a.b.c"), "*a & b & c");
        assert_eq!(of(TextOp::EndsWith, ".b"), "b");
        assert_eq!(of(TextOp::Contains, "rror: Tim"), "*rror & tim*");
        assert_eq!(of(TextOp::Contains, "time"), "*time*");
        assert_eq!(of(TextOp::Contains, " ÉTÉ "), "été");
        assert_eq!(of(TextOp::Contains, " -"), "?");
        assert_eq!(of(TextOp::Has, ""), "?");
        assert_eq!(of(TextOp::Has, "from 10.0.0.1:80"), "from & 10.0.0.1 & 80");
        assert_eq!(of(TextOp::Has, "1.2.3.4.5"), "1.2.3.4 & 5");
        assert_eq!(of(TextOp::Contains, "10.0.0.1"), "*10 & 0 & 0 & 1*");
        assert_eq!(of(TextOp::Contains, "=10.0.0.1 "), "10.0.0.1");
    }

    #[test]
    fn literals() {
        assert_eq!(literals_of_regex("us[ae]r=\\d+ failed"), [vec!["usar=", "user="], vec![" failed"]]);
        assert_eq!(literals_of_regex("(foo|bar) x"), [[" x"]]);
        assert!(literals_of_regex("(").is_empty() && literals_of_regex(".*").is_empty());
    }

    #[test]
    fn regexes() {
        let of = |pattern| said(&of_text(TextOp::Regex, pattern));
        assert_eq!(of("time[od]ut"), "(*timedut* | *timeout*)");
        assert_eq!(of("user=\\d+ failed"), "*user & failed*");
        assert_eq!(of("(foo|bar baz) x"), "(*foo* | *bar & baz*) & x*");
        assert_eq!(of("(foo|b?)"), "?");
        assert_eq!(of("(?i)git"), "*git*");
        assert_eq!(of("(?i)is"), "(*is* | *iſ*)");
        assert_eq!(of("(ab){2,}c"), "*ab* & *c*");
        assert_eq!(of("(ab)?c.*d"), "*c* & *d*");
        assert_eq!(of("^a\\b b$"), "*a & b*");
        assert_eq!(of("["), "?");
    }
}
