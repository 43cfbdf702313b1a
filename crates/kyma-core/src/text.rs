//! Tests of text: `has`, `contains`, `startswith`, `=~` and their relatives.
//!
//! A **term** is a maximal run of alphanumeric characters. Letters compare by simple case folding: each character by its
//! lower-case form where that is one character. Texts and needles that are ASCII never allocate.
//!
//! The kernels that filter and the indexes that prune share these rules, so that an index never misses what a kernel finds.

use std::borrow::Cow;

use crate::predicate::TextOp;
use memchr::memmem::Finder;

/// The text with every character in its simple lower-case form.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(text.to_ascii_lowercase()),
            false => Cow::Borrowed(text),
        };
    }
    Cow::Owned(text.chars().map(fold_char).collect())
}

/// The simple lower-case form of a character.
pub fn fold_char(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

/// The terms of `text`: its maximal runs of alphanumeric characters, as they are written.
pub fn terms(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|term| !term.is_empty())
}

/// A test of text with a constant needle, prepared once.
#[derive(Debug, Clone)]
pub struct TextTest {
    op: TextOp,
    case_sensitive: bool,
    needle: String,
    finder: Finder<'static>,
}

impl TextTest {
    /// Prepares a test. [`TextOp::Regex`] is not one of these: see [`crate::pattern`].
    pub fn new(op: TextOp, needle: &str, case_sensitive: bool) -> TextTest {
        let needle = if case_sensitive { needle.to_owned() } else { fold(needle).into_owned() };
        let finder = Finder::new(needle.as_bytes()).into_owned();
        TextTest { op, case_sensitive, needle, finder }
    }

    /// Whether `text` passes.
    pub fn matches(&self, text: &str) -> bool {
        if self.case_sensitive {
            return self.matches_folded(text);
        }
        if text.is_ascii() {
            return self.needle.is_ascii() && self.matches_ascii(text.as_bytes());
        }
        self.matches_folded(&fold(text))
    }

    /// Both sides compare by bytes.
    fn matches_folded(&self, text: &str) -> bool {
        let needle = self.needle.as_str();
        match self.op {
            TextOp::Equal => text == needle,
            TextOp::StartsWith => text.starts_with(needle),
            TextOp::EndsWith => text.ends_with(needle),
            TextOp::Contains => self.finder.find(text.as_bytes()).is_some(),
            TextOp::Has | TextOp::HasPrefix | TextOp::HasSuffix => {
                needle.is_empty()
                    || self.finder.find_iter(text.as_bytes()).any(|at| self.at_borders(text, at))
                    || self.overlapping(text)
            }
            TextOp::Regex => false,
        }
    }

    /// Occurrences that overlap an earlier one which fails at its borders (`find_iter` skips them).
    fn overlapping(&self, text: &str) -> bool {
        let mut from = 0;
        while let Some(at) = self.finder.find(&text.as_bytes()[from..]) {
            let at = from + at;
            if self.at_borders(text, at) {
                return true;
            }
            from = at + text[at..].chars().next().map_or(1, char::len_utf8);
        }
        false
    }

    /// Whether an occurrence at `at` starts and ends where the operator wants a border of terms.
    fn at_borders(&self, text: &str, at: usize) -> bool {
        let end = at + self.needle.len();
        let joins = |outside: Option<char>, inside: Option<char>| {
            outside.is_some_and(char::is_alphanumeric) && inside.is_some_and(char::is_alphanumeric)
        };
        let left = joins(text[..at].chars().next_back(), self.needle.chars().next());
        let right = joins(text[end..].chars().next(), self.needle.chars().next_back());
        !(left && self.op != TextOp::HasSuffix || right && self.op != TextOp::HasPrefix)
    }

    /// ASCII text against a folded ASCII needle, without case.
    fn matches_ascii(&self, text: &[u8]) -> bool {
        let needle = self.needle.as_bytes();
        let equal = |part: &[u8]| part.eq_ignore_ascii_case(needle);
        match self.op {
            TextOp::Equal => equal(text),
            TextOp::StartsWith => text.len() >= needle.len() && equal(&text[..needle.len()]),
            TextOp::EndsWith => text.len() >= needle.len() && equal(&text[text.len() - needle.len()..]),
            TextOp::Contains => needle.is_empty() || self.ascii_occurrences(text, |_| true),
            TextOp::Has | TextOp::HasPrefix | TextOp::HasSuffix => {
                needle.is_empty() || self.ascii_occurrences(text, |at| self.at_ascii_borders(text, at))
            }
            TextOp::Regex => false,
        }
    }

    fn at_ascii_borders(&self, text: &[u8], at: usize) -> bool {
        let needle = self.needle.as_bytes();
        let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let left = alphanumeric(before) && alphanumeric(needle.first());
        let right = alphanumeric(text.get(at + needle.len())) && alphanumeric(needle.last());
        !(left && self.op != TextOp::HasSuffix || right && self.op != TextOp::HasPrefix)
    }

    /// Whether an occurrence of the needle satisfies `accept`; candidates are found by its first byte in both cases.
    fn ascii_occurrences(&self, text: &[u8], accept: impl Fn(usize) -> bool) -> bool {
        let needle = self.needle.as_bytes();
        let Some(last) = text.len().checked_sub(needle.len()) else { return false };
        let (lower, upper) = (needle[0], needle[0].to_ascii_uppercase());
        let starts = &text[..=last];
        memchr::memchr2_iter(lower, upper, starts)
            .any(|at| text[at..at + needle.len()].eq_ignore_ascii_case(needle) && accept(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slow, obvious version, over folded characters.
    fn obvious(op: TextOp, text: &str, needle: &str, case_sensitive: bool) -> bool {
        let fold_all =
            |text: &str| -> Vec<char> { text.chars().map(|c| if case_sensitive { c } else { fold_char(c) }).collect() };
        let (text, needle) = (fold_all(text), fold_all(needle));
        let places = (0..=text.len()).filter(|&at| text[at..].starts_with(&needle));
        let word = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric());
        let left = |at: usize| at > 0 && word(text.get(at - 1)) && word(needle.first());
        let right = |at: usize| word(text.get(at + needle.len())) && word(needle.last());
        match op {
            TextOp::Equal => text == needle,
            TextOp::StartsWith => text.starts_with(&needle),
            TextOp::EndsWith => text.ends_with(&needle),
            TextOp::Contains => places.count() > 0,
            _ if needle.is_empty() => true,
            TextOp::Has => places.into_iter().any(|at| !left(at) && !right(at)),
            TextOp::HasPrefix => places.into_iter().any(|at| !left(at)),
            TextOp::HasSuffix => places.into_iter().any(|at| !right(at)),
            TextOp::Regex => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_obvious_version(
            text in "[aAbB é\u{212A}kKÉ.1ſsΣσ]{0,12}",
            needle in "[aAbB éÉkK.1sσ]{0,3}",
            case_sensitive in any::<bool>(),
        ) {
            for op in [
                TextOp::Has, TextOp::HasPrefix, TextOp::HasSuffix, TextOp::Contains,
                TextOp::StartsWith, TextOp::EndsWith, TextOp::Equal,
            ] {
                let found = TextTest::new(op, &needle, case_sensitive).matches(&text);
                prop_assert_eq!(found, obvious(op, &text, &needle, case_sensitive), "{:?} {:?} {:?}", op, text, needle);
            }
        }
    }

    #[test]
    fn terms() {
        let has = |text, needle| TextTest::new(TextOp::Has, needle, false).matches(text);
        assert!(has("GET /api/Orders?id=7", "orders"));
        assert!(!has("GET /api/reorders", "orders"));
        assert!(has("a.b.c", "a.b"));
        assert!(has("straße x", "STRAßE"));
    }
}
