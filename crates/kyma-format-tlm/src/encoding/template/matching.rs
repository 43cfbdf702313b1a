//! Whether lines of a template pass a test of text: certainly not, maybe, or certainly.
//!
//! The template is a sequence of characters and holes; a hole stands for one of its words where these are known, and else for
//! one or more characters of the classes it has seen.
//! The needle runs through that sequence as an automaton whose states are the bits of one word: bit k says that the last
//! characters so far are the needle's first k + 1 (Shift-And; Baeza-Yates and Gonnet, CACM 1992). A character moves the bits
//! on by one, a hole by any number. "Certainly" needs the whole match inside one static text.

use kyma_core::predicate::TextOp;
use kyma_core::text::{TextTest, fold_char};

use super::dictionary::{CLASSES, Classes, HOLE, Hole, Template, Words, class};

/// Classes that are letters and digits only.
const ALPHANUMERIC: Classes = class::DIGIT | class::LOWER_HEX | class::LOWER | class::UPPER_HEX | class::UPPER;
/// Longer needles are cut: what contains the needle contains its beginning.
const NEEDLE_CHARS_MAX: usize = 64;
/// A letter that stands for whatever a hole may hold beside a static text. A needle that has it is never certain.
const UNKNOWN_LETTER: char = '\u{10330}';

/// What a template says of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No line passes.
    No,
    /// A line has to be read.
    Maybe,
    /// Every line passes.
    Yes,
}

/// A test of text, prepared once for many templates.
#[derive(Debug, Clone)]
pub(crate) struct Needle {
    chars: Vec<char>,
    op: TextOp,
    case_sensitive: bool,
    anchored_start: bool,
    anchored_end: bool,
    border_left: bool,
    border_right: bool,
    /// By byte of ASCII: the places of the needle where it fits.
    places: [u64; 128],
    /// The whole test, for static texts; `None` when nothing is ever certain.
    whole: Option<TextTest>,
}

/// What stands next to a character.
#[derive(Debug, Clone, Copy)]
enum Neighbour {
    Edge,
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
        let fits = |byte: u8| {
            let c = if case_sensitive { char::from(byte) } else { fold_char(char::from(byte)) };
            chars.iter().enumerate().fold(0, |places, (at, &wanted)| places | (u64::from(wanted == c) << at))
        };
        let whole = (!needle.contains(UNKNOWN_LETTER)).then(|| TextTest::new(op, needle, case_sensitive));
        Some(Needle {
            op,
            case_sensitive,
            anchored_start: matches!(op, TextOp::StartsWith | TextOp::Equal),
            anchored_end: matches!(op, TextOp::EndsWith | TextOp::Equal) && !is_cut,
            border_left: matches!(op, TextOp::Has | TextOp::HasPrefix),
            border_right: matches!(op, TextOp::Has | TextOp::HasSuffix) && !is_cut,
            places: std::array::from_fn(|byte| fits(byte as u8)),
            whole,
            chars,
        })
    }

    /// What `template` says of its lines.
    pub(crate) fn verdict(&self, template: &Template) -> Verdict {
        match () {
            () if !self.may_match(template) => Verdict::No,
            () if self.must_match(template) => Verdict::Yes,
            () => Verdict::Maybe,
        }
    }

    fn may_match(&self, template: &Template) -> bool {
        let segments: Vec<&[u8]> = template.segments().collect();
        let mut reached = 0_u64;
        let mut before = Neighbour::Edge;
        for (at, segment) in segments.iter().enumerate() {
            let text = String::from_utf8_lossy(segment);
            let hole = template.holes.get(at);
            let after = hole.map_or(Neighbour::Edge, |hole| Neighbour::Hole(hole.classes));
            match self.through(reached, &text, before, after) {
                None => return true,
                Some(further) => reached = further,
            }
            if let Some(last) = text.chars().next_back() {
                before = Neighbour::Char(last);
            }
            let Some(hole) = hole else { break };
            let next = segments.get(at + 1).copied().unwrap_or_default();
            let is_last = at + 2 == segments.len();
            let after = match String::from_utf8_lossy(next).chars().next() {
                Some(next) => Neighbour::Char(next),
                None if is_last => Neighbour::Edge,
                None => Neighbour::Hole(Classes::MAX),
            };
            match self.through_hole(reached, hole, before, after) {
                None => return true,
                Some(further) => reached = further,
            }
            before = Neighbour::Hole(hole.classes);
        }
        self.anchored_end && reached & self.done() != 0
    }

    /// The bit that says that the needle is complete.
    fn done(&self) -> u64 {
        1 << (self.chars.len().max(1) - 1)
    }

    /// The state after `text`; `None` when a match is complete.
    fn through(&self, mut reached: u64, text: &str, mut before: Neighbour, after: Neighbour) -> Option<u64> {
        let (first, last) = (self.chars.first().copied()?, self.chars.last().copied()?);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let is_start = !self.anchored_start || matches!(before, Neighbour::Edge);
            let start = u64::from(is_start && !(self.border_left && joins(first, before)));
            reached = ((reached << 1) | start) & self.places_of(c);
            let next = chars.peek().map_or(after, |&next| Neighbour::Char(next));
            if reached & self.done() != 0 && !self.anchored_end && !(self.border_right && joins(last, next)) {
                return None;
            }
            before = Neighbour::Char(c);
        }
        Some(reached)
    }

    /// The state after any of what stood in a hole; `None` when a match is complete.
    fn through_hole(&self, reached: u64, hole: &Hole, before: Neighbour, after: Neighbour) -> Option<u64> {
        if let Words::Few(words) = &hole.words {
            let through = |word: &[u8]| self.through(reached, &String::from_utf8_lossy(word), before, after);
            return words.iter().try_fold(0, |all, word| Some(all | through(word.as_ref())?));
        }
        let fits = self.places_in(hole.classes);
        let start = u64::from(!self.anchored_start || matches!(before, Neighbour::Edge));
        let mut reached = ((reached << 1) | start) & fits;
        loop {
            let further = reached | ((reached << 1) & fits);
            if further == reached {
                break;
            }
            reached = further;
        }
        (reached & self.done() == 0 || self.anchored_end).then_some(reached)
    }

    /// Whether some static text passes whatever stands in the holes.
    fn must_match(&self, template: &Template) -> bool {
        let Some(whole) = &self.whole else { return false };
        let text = template.text();
        if self.op == TextOp::Equal && text.contains(&HOLE) {
            return false;
        }
        let count = template.holes.len() + 1;
        template.segments().enumerate().any(|(at, segment)| {
            let (is_first, is_last) = (at == 0, at + 1 == count);
            if self.op == TextOp::StartsWith && !is_first || self.op == TextOp::EndsWith && !is_last {
                return false;
            }
            let mut text = String::new();
            if !is_first {
                text.push(UNKNOWN_LETTER);
            }
            text.push_str(&String::from_utf8_lossy(segment));
            if !is_last {
                text.push(UNKNOWN_LETTER);
            }
            whole.matches(&text)
        })
    }

    /// The places of the needle where `c` fits.
    fn places_of(&self, c: char) -> u64 {
        if let Some(places) = u8::try_from(c).ok().and_then(|byte| self.places.get(usize::from(byte))) {
            return *places;
        }
        let c = if self.case_sensitive { c } else { fold_char(c) };
        self.chars.iter().enumerate().fold(0, |places, (at, &wanted)| places | (u64::from(wanted == c) << at))
    }

    /// The places of the needle that may stand in a hole of `classes`.
    fn places_in(&self, classes: Classes) -> u64 {
        // Beyond ASCII a class says nothing about single characters, and some fold into ASCII.
        if classes & class::BEYOND != 0 {
            return u64::MAX;
        }
        let class_of = |c: char| u8::try_from(c).ok().filter(u8::is_ascii).map_or(0, |byte| CLASSES[usize::from(byte)]);
        let fits = |c: char| {
            let upper = if self.case_sensitive { 0 } else { class_of(c.to_ascii_uppercase()) };
            classes & (class_of(c) | upper) != 0
        };
        self.chars.iter().enumerate().fold(0, |places, (at, &c)| places | (u64::from(fits(c)) << at))
    }
}

/// Whether the neighbour of a match certainly makes one term with the match's outermost character.
fn joins(outermost: char, neighbour: Neighbour) -> bool {
    outermost.is_alphanumeric()
        && match neighbour {
            Neighbour::Edge => false,
            Neighbour::Char(c) => c.is_alphanumeric(),
            Neighbour::Hole(classes) => classes != 0 && classes & !ALPHANUMERIC == 0,
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

    fn verdicts(lines: &[&str], op: TextOp, needle: &str) -> String {
        let mut learner = Learner::new();
        let values: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        learner.encode(&values, None, &[], 3, Writer::default()).unwrap();
        let needle = Needle::new(op, needle, false).unwrap();
        let said = |at: u32| match needle.verdict(learner.dictionary.get(at).unwrap()) {
            Verdict::No => 'n',
            Verdict::Maybe => '?',
            Verdict::Yes => 'y',
        };
        (0..learner.dictionary.len() as u32).map(said).collect()
    }

    #[test]
    fn static_text_decides() {
        let lines = ["user 17 logged in", "user 18 logged in", "timed out after 12.5ms at 0a1b2c3d4e"];
        for (op, needle, expected) in [
            (TextOp::Has, "LOGGED", "yn"),
            (TextOp::Has, "log", "nn"),
            (TextOp::HasPrefix, "log", "yn"),
            (TextOp::Has, "timed out", "ny"),
            (TextOp::Contains, "7 log", "?n"),
            (TextOp::Contains, "x log", "nn"),
            (TextOp::EndsWith, "d in", "yn"),
            (TextOp::EndsWith, "4e", "n?"),
            (TextOp::Equal, "user 99 logged in", "nn"),
            (TextOp::Equal, "user 17 logged in", "?n"),
            (TextOp::StartsWith, "timed OUT after 3", "nn"),
            (TextOp::StartsWith, "timed OUT after 1", "n?"),
            (TextOp::StartsWith, "timed OUT", "ny"),
        ] {
            assert_eq!(verdicts(&lines, op, needle), expected, "{op:?} {needle}");
        }
    }

    proptest! {
        #[test]
        fn never_wrong_of_a_line(
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
                    let verdict = prepared.verdict(template);
                    if test.matches(line) {
                        prop_assert!(verdict != Verdict::No, "{:?} {:?} {:?} {}", op, needle, line, template.pattern());
                    } else {
                        prop_assert!(verdict != Verdict::Yes, "{:?} {:?} {:?} {}", op, needle, line, template.pattern());
                    }
                }
            }
        }
    }
}
