//! Whether any line of a template can pass a test of text.
//!
//! The template is a sequence of characters and holes; a hole stands for one or more characters of the classes it has seen.
//! The needle is followed through that sequence as through an automaton: the answer is "certainly not" or "maybe". A "maybe"
//! becomes certain only when the line is read.

use kyma_core::predicate::TextOp;
use kyma_core::text::fold_char;

use super::dictionary::{CLASSES, Classes, Template, class};

/// Classes that are letters and digits only.
const ALPHANUMERIC: Classes = class::DIGIT | class::LOWER_HEX | class::LOWER | class::UPPER_HEX | class::UPPER;
/// Longer needles are cut: what must contain the needle must contain its beginning.
const NEEDLE_CHARS_MAX: usize = 256;

/// A test of text, prepared once for many templates.
#[derive(Debug, Clone)]
pub(crate) struct Needle {
    chars: Vec<char>,
    case_sensitive: bool,
    anchored_start: bool,
    anchored_end: bool,
    border_left: bool,
    border_right: bool,
}

enum Item {
    Char(char),
    Hole(Classes),
}

impl Needle {
    /// `None` when nothing can be said: a regular expression, an empty needle.
    pub(crate) fn new(op: TextOp, needle: &str, case_sensitive: bool) -> Option<Needle> {
        if needle.is_empty() || op == TextOp::Regex {
            return None;
        }
        let chars = needle.chars().map(|c| if case_sensitive { c } else { fold_char(c) });
        let mut chars: Vec<char> = chars.collect();
        let is_cut = chars.len() > NEEDLE_CHARS_MAX;
        chars.truncate(NEEDLE_CHARS_MAX);
        Some(Needle {
            chars,
            case_sensitive,
            anchored_start: matches!(op, TextOp::StartsWith | TextOp::Equal),
            anchored_end: matches!(op, TextOp::EndsWith | TextOp::Equal) && !is_cut,
            border_left: matches!(op, TextOp::Has | TextOp::HasPrefix),
            border_right: matches!(op, TextOp::Has | TextOp::HasSuffix) && !is_cut,
        })
    }

    /// Whether a line of `template` may pass.
    pub(crate) fn may_match(&self, template: &Template) -> bool {
        let items = self.items(template);
        let length = self.chars.len();
        // `reached[k]`: the last characters so far are the needle's first k.
        let mut reached = vec![false; length + 1];
        reached[0] = true;
        for (at, item) in items.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| items.get(before));
            let mut next = vec![false; length + 1];
            next[0] = !self.anchored_start;
            for k in 0..length {
                let step = match item {
                    Item::Char(c) => {
                        let starts_at_border = k > 0 || !self.border_left || !joins(self.chars[0], before);
                        reached[k] && *c == self.chars[k] && starts_at_border
                    }
                    Item::Hole(classes) => (reached[k] || (k > 0 && next[k])) && self.fits(self.chars[k], *classes),
                };
                next[k + 1] |= step;
            }
            if next[length] && !self.anchored_end {
                let last = self.chars[length - 1];
                let is_inside = matches!(item, Item::Char(_));
                if !(self.border_right && is_inside && joins(last, items.get(at + 1))) {
                    return true;
                }
            }
            reached = next;
        }
        self.anchored_end && reached[length]
    }

    fn items(&self, template: &Template) -> Vec<Item> {
        let mut items = Vec::new();
        let mut holes = template.holes.iter();
        for (at, segment) in template.segments().enumerate() {
            if at > 0 {
                items.push(Item::Hole(holes.next().copied().unwrap_or(Classes::MAX)));
            }
            let text = String::from_utf8_lossy(segment);
            items.extend(text.chars().map(|c| Item::Char(if self.case_sensitive { c } else { fold_char(c) })));
        }
        items
    }

    /// Whether `c` may stand in a hole of `classes`.
    fn fits(&self, c: char, classes: Classes) -> bool {
        // Beyond ASCII a class says nothing about single characters, and some fold into ASCII.
        if classes & class::BEYOND != 0 {
            return true;
        }
        let class_of = |c: char| u8::try_from(c).ok().filter(u8::is_ascii).map_or(0, |byte| CLASSES[usize::from(byte)]);
        let upper = if self.case_sensitive { 0 } else { class_of(c.to_ascii_uppercase()) };
        classes & (class_of(c) | upper) != 0
    }
}

/// Whether the neighbour of a match certainly makes one term with the match's outermost character.
fn joins(outermost: char, neighbour: Option<&Item>) -> bool {
    outermost.is_alphanumeric()
        && match neighbour {
            None => false,
            Some(Item::Char(c)) => c.is_alphanumeric(),
            Some(Item::Hole(classes)) => *classes != 0 && classes & !ALPHANUMERIC == 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::template::Learner;
    use crate::wire::Writer;
    use kyma_core::text::TextTest;
    use proptest::prelude::*;

    const OPS: [TextOp; 7] = [
        TextOp::Has,
        TextOp::HasPrefix,
        TextOp::HasSuffix,
        TextOp::Contains,
        TextOp::StartsWith,
        TextOp::EndsWith,
        TextOp::Equal,
    ];

    fn may_match(lines: &[&str], op: TextOp, needle: &str) -> Vec<bool> {
        let mut learner = Learner::new();
        let values: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        learner.encode(&values, None, &[], 3, Writer::default()).unwrap();
        let needle = Needle::new(op, needle, false).unwrap();
        (0..learner.dictionary.len() as u32).map(|at| needle.may_match(learner.dictionary.get(at).unwrap())).collect()
    }

    #[test]
    fn static_text_decides() {
        let lines = ["user 17 logged in", "user 18 logged in", "timed out after 12.5ms at 0a1b2c3d4e"];
        assert_eq!(may_match(&lines, TextOp::Has, "LOGGED"), [true, false]);
        assert_eq!(may_match(&lines, TextOp::Has, "log"), [false, true]);
        assert_eq!(may_match(&lines, TextOp::HasPrefix, "log"), [true, true]);
        assert_eq!(may_match(&lines, TextOp::Contains, "7 log"), [true, false]);
        assert_eq!(may_match(&lines, TextOp::Contains, "x log"), [false, false]);
        assert_eq!(may_match(&lines, TextOp::EndsWith, "d in"), [true, false]);
        assert_eq!(may_match(&lines, TextOp::EndsWith, "4e"), [false, true]);
        assert_eq!(may_match(&lines, TextOp::Equal, "user 99 logged in"), [true, false]);
        assert_eq!(may_match(&lines, TextOp::StartsWith, "timed OUT after 3"), [false, true]);
    }

    proptest! {
        #[test]
        fn never_rules_out_a_line_that_passes(
            lines in proptest::collection::vec("[abAB \u{212A}kK.0-9é:-]{0,14}", 1..12),
            needle in "[abAB kK.0-9é:]{1,4}",
            case_sensitive in any::<bool>(),
        ) {
            let mut learner = Learner::new();
            let values: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
            let packed = learner.encode(&values, None, &[], 3, Writer::default()).unwrap();
            let codes = crate::encoding::template::decode_codes(&mut crate::wire::Reader::new(&packed.packed.head), lines.len()).unwrap();
            for op in OPS {
                let test = TextTest::new(op, &needle, case_sensitive);
                let prepared = Needle::new(op, &needle, case_sensitive).unwrap();
                for (line, code) in lines.iter().zip(&codes) {
                    let template = learner.dictionary.get(packed.templates[*code as usize].0).unwrap();
                    if test.matches(line) {
                        prop_assert!(prepared.may_match(template), "{:?} {:?} {:?} {}", op, needle, line, template.pattern());
                    }
                }
            }
        }
    }
}
