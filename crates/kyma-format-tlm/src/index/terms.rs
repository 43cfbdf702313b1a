//! Cuts text into terms, and says of what class each is.
//!
//! A term is a maximal run of alphanumeric characters, folded as `kyma_core::text::fold` does. Folding keeps what is
//! alphanumeric (a test looks at every character), so that the terms of a folded text are the folded terms of the text.
//!
//! A **class** is a pure function of the term: its kind of characters and its length. The directory says per field and class
//! where such terms are kept, so that a lookup knows where to look. Classes that identifiers have are **pooled**: all fields share
//! their keys, since a trace id stands in a column of its own and in the line beside it.
//!
//! Of a run that is shaped like a UUID only the first and the last part are terms: the others have four digits, tell little and
//! would fill the dictionary. A field that left some out says so, and answers "maybe" for such parts.
//!
//! Four short runs of digits with a dot between them are an **address**, a term of its own beside the four: each of these stands on
//! nearly every page. Of a longer chain every four neighbours are one, so that a needle's address is found wherever its runs are.

use kyma_core::text::fold_char;
use xxhash_rust::xxh3::xxh3_64;

use crate::constants::index::{CLASSES, LENGTHS, kind};
use crate::limits::TERM_BYTES_MAX;

/// Kind of characters and length of a term; below [`CLASSES`].
pub(crate) type Class = u8;

const DIGIT: u8 = 1;
const HEX_LETTER: u8 = 2;
const LETTER: u8 = 4;

/// What an ASCII byte of a folded text is; 0 for what is not alphanumeric.
const BYTES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' => HEX_LETTER,
            b'g'..=b'z' => LETTER,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// Bytes of a UUID's text, and where its hyphens are.
const UUID_BYTES: usize = 36;
const UUID_HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The class of addresses.
const ADDRESS: Class = kind::ADDRESS * LENGTHS;

/// The class of a kind and a length in bytes.
pub(crate) const fn class(kind: u8, length: usize) -> Class {
    if length > TERM_BYTES_MAX {
        return kind::LONG * LENGTHS;
    }
    let length = if length > LENGTHS as usize { LENGTHS } else { length as u8 };
    kind * LENGTHS + length.saturating_sub(1)
}

/// The kind of a class.
pub(crate) fn kind_of(class: Class) -> u8 {
    class / LENGTHS
}

/// The longest term of a class, in bytes.
pub(crate) fn longest(class: Class) -> usize {
    match (kind_of(class), class % LENGTHS) {
        (kind::LONG | kind::ADDRESS, _) => usize::MAX,
        (_, length) if length + 1 == LENGTHS => TERM_BYTES_MAX,
        (_, length) => usize::from(length) + 1,
    }
}

/// Whether terms of a class look like identifiers: these are kept in filters, under keys that all fields share.
pub(crate) fn is_pooled(class: Class) -> bool {
    let length = class % LENGTHS + 1;
    match kind_of(class) {
        kind::DIGITS => length >= 13,
        kind::HEX => length >= 8,
        kind::MIXED => length >= 12,
        kind::LONG => true,
        _ => false,
    }
}

/// Whether a term may be a part of a UUID that is not kept.
pub(crate) fn may_be_uuid_part(term: &[u8]) -> bool {
    term.len() == 4 && term.iter().all(u8::is_ascii_hexdigit)
}

/// The class of a folded term, or of an address.
pub(crate) fn class_of(term: &[u8]) -> Class {
    if term.contains(&b'.') {
        return ADDRESS;
    }
    let kinds = term.iter().fold(0, |kinds, &byte| kinds | BYTES[usize::from(byte)]);
    let kind = if term.is_ascii() { kind_of_bits(kinds) } else { kind::OTHER };
    class(kind, term.len())
}

const fn kind_of_bits(kinds: u8) -> u8 {
    match kinds {
        DIGIT => kind::DIGITS,
        kinds if kinds & DIGIT == 0 => kind::WORD,
        kinds if kinds & LETTER == 0 => kind::HEX,
        _ => kind::MIXED,
    }
}

/// The hash that keys are made of. Never changes: filters on disk hold it.
pub(crate) fn hash(term: &[u8]) -> u64 {
    xxh3_64(term)
}

/// The longest run of letters of an ASCII term.
pub(crate) fn letters(term: &[u8]) -> usize {
    term.split(|byte| !byte.is_ascii_alphabetic()).map(<[u8]>::len).max().unwrap_or_default()
}

/// Finds addresses among the runs of a text.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    /// Runs that may be part of one, up to the last.
    chain: usize,
    /// Where the last four of these start.
    starts: [usize; 4],
    end: usize,
}

impl Addresses {
    /// Takes the next run of `bytes`; the start of the address that ends with it.
    pub(crate) fn push(&mut self, bytes: &[u8], run: std::ops::Range<usize>) -> Option<usize> {
        let is_short = run.len() <= 3 && bytes.get(run.clone()).is_some_and(|run| run.iter().all(u8::is_ascii_digit));
        if !is_short {
            self.chain = 0;
            return None;
        }
        let is_next = self.chain > 0 && run.start == self.end + 1 && bytes.get(self.end) == Some(&b'.');
        self.chain = if is_next { self.chain + 1 } else { 1 };
        self.starts.rotate_left(1);
        self.starts[3] = run.start;
        self.end = run.end;
        (self.chain >= 4).then_some(self.starts[0])
    }
}

/// Cuts texts into terms; keeps its buffer.
#[derive(Debug, Default)]
pub(crate) struct Tokenizer {
    folded: Vec<u8>,
    /// Whether parts of a UUID have been left out since this was cleared.
    pub(crate) left_out_uuid_parts: bool,
}

impl Tokenizer {
    /// Calls `visit` with every folded term of `text` and its class; with addresses too.
    pub(crate) fn each(&mut self, text: &str, mut visit: impl FnMut(&[u8], Class)) {
        self.folded.clear();
        if !text.is_ascii() {
            return self.each_of_any(text, visit);
        }
        self.folded.extend_from_slice(text.as_bytes());
        self.folded.make_ascii_lowercase();
        let bytes = self.folded.as_slice();
        let mut addresses = Addresses::default();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let mut kinds = BYTES[usize::from(byte)];
            if kinds == 0 {
                at += 1;
                continue;
            }
            let start = at;
            at += 1;
            while let Some(bits) = bytes.get(at).map(|&byte| BYTES[usize::from(byte)]).filter(|&bits| bits != 0) {
                kinds |= bits;
                at += 1;
            }
            let term = &bytes[start..at];
            if term.len() == 8 && kinds & LETTER == 0 && is_uuid(&bytes[start..]) {
                let last = &bytes[start + 24..start + UUID_BYTES];
                visit(term, class(kind_of_bits(kinds), 8));
                visit(last, class_of(last));
                self.left_out_uuid_parts = true;
                at = start + UUID_BYTES;
                continue;
            }
            visit(term, class(kind_of_bits(kinds), term.len()));
            if kinds == DIGIT
                && let Some(start) = addresses.push(bytes, start..at)
            {
                visit(&bytes[start..at], ADDRESS);
            }
        }
    }

    fn each_of_any(&mut self, text: &str, mut visit: impl FnMut(&[u8], Class)) {
        let mut buffer = [0; 4];
        text.chars().for_each(|c| self.folded.extend_from_slice(fold_char(c).encode_utf8(&mut buffer).as_bytes()));
        let bytes = self.folded.as_slice();
        let Ok(folded) = std::str::from_utf8(bytes) else { return };
        let mut addresses = Addresses::default();
        for term in kyma_core::text::terms(folded) {
            let start = term.as_ptr() as usize - folded.as_ptr() as usize;
            let end = start + term.len();
            visit(term.as_bytes(), class_of(term.as_bytes()));
            if let Some(start) = addresses.push(bytes, start..end) {
                visit(&bytes[start..end], ADDRESS);
            }
        }
    }
}

/// Whether `bytes` starts with the lower-case text of a UUID that ends at a border of terms.
fn is_uuid(bytes: &[u8]) -> bool {
    let Some((uuid, rest)) = bytes.split_at_checked(UUID_BYTES) else { return false };
    let fits = |(at, byte): (usize, &u8)| match UUID_HYPHENS.contains(&at) {
        true => *byte == b'-',
        false => byte.is_ascii_hexdigit(),
    };
    uuid.iter().enumerate().all(fits) && rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

const _: () = assert!(ADDRESS + 1 == CLASSES);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        Tokenizer::default().each(text, |term, class| {
            assert_eq!(class, class_of(term));
            found.push(String::from_utf8(term.to_vec()).unwrap());
        });
        found
    }

    #[test]
    fn folding_keeps_borders() {
        for c in '\0'..=char::MAX {
            assert_eq!(c.is_alphanumeric(), fold_char(c).is_alphanumeric(), "{c:?}");
            assert_eq!(fold_char(c), fold_char(fold_char(c)), "{c:?}");
        }
    }

    #[test]
    fn a_uuid_gives_its_ends() {
        assert_eq!(cut("id=0A1B2C3D-0000-1111-2222-0123456789AB."), ["id", "0a1b2c3d", "0123456789ab"]);
        assert_eq!(cut("0a1b2c3d-0000-1111-2222-0123456789abc").len(), 5);
        assert_eq!(cut("x0a1b2c3-0000-1111-2222-0123456789ab").len(), 5);
    }

    #[test]
    fn addresses_are_terms_too() {
        assert_eq!(cut("10.0.255.1:80"), ["10", "0", "255", "1", "10.0.255.1", "80"]);
        assert_eq!(cut("é 1.2.3.4.5"), ["é", "1", "2", "3", "4", "1.2.3.4", "5", "2.3.4.5"]);
        assert_eq!(cut("1.2.3..4"), ["1", "2", "3", "4"]);
        assert_eq!(cut("v1.2.3.4"), ["v1", "2", "3", "4"]);
        assert_eq!(cut("1.2.3.4a"), ["1", "2", "3", "4a"]);
    }

    #[test]
    fn classes() {
        let of = |term: &str| (kind_of(class_of(term.as_bytes())), longest(class_of(term.as_bytes())));
        assert_eq!(of("2024"), (kind::DIGITS, 4));
        assert_eq!(of("dead"), (kind::WORD, 4));
        assert_eq!(of("dead1"), (kind::HEX, 5));
        assert_eq!(of("pod7"), (kind::MIXED, 4));
        assert_eq!(of("žluť"), (kind::OTHER, 6));
        assert_eq!(of(&"a".repeat(17)), (kind::WORD, TERM_BYTES_MAX));
        assert_eq!(of(&"a".repeat(TERM_BYTES_MAX + 1)), (kind::LONG, usize::MAX));
    }

    proptest! {
        #[test]
        fn terms_are_those_of_the_core(text in "[a-cX-Z0-9é\u{212A}Σ .-]{0,40}") {
            let slow: Vec<String> =
                kyma_core::text::terms(&text).map(|term| kyma_core::text::fold(term).into_owned()).collect();
            let found: Vec<String> = cut(&text).into_iter().filter(|term| !term.contains('.')).collect();
            prop_assert_eq!(found, slow);
        }
    }
}
