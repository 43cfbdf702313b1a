//! Gathers the terms of every indexed text while blocks are written.
//!
//! 1. Each text is cut into terms, unless an equal one was seen lately in the same unit: it has no new ones.
//! 2. Level 0: the terms of a block, each once, become pairs for the filter of blocks. No term is kept as text.
//! 3. Higher levels: terms that look like identifiers become pairs for the filter of pages; others are interned per field, with the
//!    pages they occur in.
//!
//! `build` turns what was gathered into sections.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{FixedSizeBinaryArray, StringViewArray};

use super::filter::salted;
use super::terms::{Class, Tokenizer, class_of, hash, is_pooled, kind_of, letters};
use crate::constants::PAGE_ROWS;
use crate::constants::index::{CLASSES, kind, source};
use crate::limits::{INDEX_FIELDS_MAX, INDEX_PAGES_MAX};

/// Texts that are remembered: a column with fewer values is cut into terms once per unit.
const RECENT: usize = 512;
/// Longer texts are only compared with the last such one.
const RECENT_BYTES_MAX: usize = 128;

/// Which texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FieldName {
    pub(crate) column: u32,
    /// One of [`source`].
    pub(crate) source: u8,
    pub(crate) keys: Vec<String>,
}

/// What is known of a field's terms.
#[derive(Debug)]
pub(crate) struct FieldTerms {
    pub(crate) name: FieldName,
    /// Per class: whether some term has it.
    pub(crate) present: [bool; CLASSES as usize],
    pub(crate) left_out_uuid_parts: bool,
    /// The longest run of letters in terms with letters and digits.
    pub(crate) letters: u8,
    pub(crate) interned: Interned,
}

/// Terms by number, and the pages they occur in.
#[derive(Debug, Default)]
pub(crate) struct Interned {
    numbers: HashMap<Box<[u8]>, u32, BuildHasherDefault<TermHasher>>,
    last_page: Vec<u32>,
    /// Term and page, each pair once; the pages of one term ascend.
    pub(crate) pairs: Vec<(u32, u32)>,
}

impl Interned {
    /// Notes a term of `page`; whether it is a new term.
    fn note(&mut self, term: &[u8], page: u32) -> bool {
        let known = self.numbers.get(term).copied();
        let number = known.unwrap_or(self.last_page.len() as u32);
        if known.is_none() {
            self.numbers.insert(term.into(), number);
            self.last_page.push(u32::MAX);
        }
        if let Some(last) = self.last_page.get_mut(number as usize).filter(|last| **last != page) {
            *last = page;
            self.pairs.push((number, page));
        }
        known.is_none()
    }

    /// The terms in order, with their numbers.
    pub(crate) fn sorted(&mut self) -> Vec<(Box<[u8]>, u32)> {
        let mut terms: Vec<_> = self.numbers.drain().collect();
        terms.sort_unstable();
        terms
    }
}

/// Hashes terms as filters do.
#[derive(Debug, Default)]
pub(crate) struct TermHasher(u64);

impl Hasher for TermHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= hash(bytes);
    }

    fn write_usize(&mut self, length: usize) {
        self.0 ^= length as u64;
    }
}

/// A set of hashes that is emptied often: open addressing, a power of two of places, at most half of them taken.
#[derive(Debug)]
struct Seen {
    places: Vec<u64>,
    taken: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Seen { places: vec![0; 1 << 10], taken: 0 }
    }
}

impl Seen {
    fn clear(&mut self) {
        if self.taken > 0 {
            self.places.fill(0);
            self.taken = 0;
        }
    }

    /// Adds a hash; whether it is new. Zero always is.
    fn insert(&mut self, hash: u64) -> bool {
        let mask = self.places.len() - 1;
        let mut at = (hash >> 20) as usize & mask;
        loop {
            match self.places[at] {
                0 => break,
                other if other == hash => return false,
                _ => at = (at + 1) & mask,
            }
        }
        self.places[at] = hash;
        self.taken += 1;
        if self.taken * 2 > self.places.len() {
            let larger = vec![0; self.places.len() * 2];
            self.taken = 0;
            let smaller = std::mem::replace(&mut self.places, larger);
            smaller.into_iter().filter(|&hash| hash != 0).for_each(|hash| {
                self.insert(hash);
            });
        }
        true
    }
}

/// Texts seen lately, one per place. They are compared whole, so that none is taken for another.
struct Recent<'a> {
    places: [Option<&'a str>; RECENT],
}

impl Default for Recent<'_> {
    fn default() -> Self {
        Recent { places: [None; RECENT] }
    }
}

impl<'a> Recent<'a> {
    /// Whether `text` is among them; from now on it is.
    fn has_seen(&mut self, text: &'a str) -> bool {
        let place = if text.len() <= RECENT_BYTES_MAX { hash(text.as_bytes()) as usize % RECENT } else { 0 };
        self.places[place].replace(text) == Some(text)
    }
}

/// Gathers terms; see the module.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    pub(crate) level: u8,
    pub(crate) fields: Vec<FieldTerms>,
    by_name: HashMap<FieldName, usize>,
    tokenizer: Tokenizer,
    seen: Seen,
    pub(crate) page_pairs: Vec<(u64, u32)>,
    pub(crate) block_pairs: Vec<(u64, u32)>,
    /// The block of each page.
    pub(crate) block_of_page: Vec<u32>,
    /// Blocks before the one at hand.
    pub(crate) blocks: u32,
    /// Bytes of all texts.
    pub(crate) text_bytes: u64,
    /// Whether there were more pages than an index may have.
    pub(crate) is_too_large: bool,
}

impl Collector {
    pub(crate) fn new(level: u8) -> Self {
        Collector { level, ..Collector::default() }
    }

    /// Takes a column of strings.
    pub(crate) fn strings(&mut self, column: usize, values: &StringViewArray) {
        let name = FieldName { column: column as u32, source: source::COLUMN, keys: Vec::new() };
        self.texts(name, values, Cut::Text);
    }

    /// Takes a sub-column of strings of a dynamic column.
    pub(crate) fn path(&mut self, column: usize, keys: Vec<String>, values: &StringViewArray) {
        self.texts(FieldName { column: column as u32, source: source::PATH, keys }, values, Cut::Text);
    }

    /// Takes the residues of a dynamic column.
    pub(crate) fn residues(&mut self, column: usize, values: &StringViewArray) {
        let name = FieldName { column: column as u32, source: source::RESIDUE, keys: Vec::new() };
        self.texts(name, values, Cut::Json);
    }

    /// Takes a column of guids: each is one term of 32 digits.
    pub(crate) fn guids(&mut self, column: usize, values: &FixedSizeBinaryArray) {
        let name = FieldName { column: column as u32, source: source::COLUMN, keys: Vec::new() };
        let texts: StringViewArray = values.iter().map(|guid| guid.map(guid_term)).collect();
        self.texts(name, &texts, Cut::Whole);
    }

    /// Ends a block of `rows` rows.
    pub(crate) fn end_block(&mut self, rows: usize) {
        let pages = rows.div_ceil(PAGE_ROWS);
        self.is_too_large |= self.block_of_page.len() + pages > INDEX_PAGES_MAX as usize;
        if !self.is_too_large {
            self.block_of_page.extend(std::iter::repeat_n(self.blocks, pages));
        }
        self.blocks += 1;
        self.seen.clear();
    }

    fn texts(&mut self, name: FieldName, values: &StringViewArray, cut: Cut) {
        if self.is_too_large {
            return;
        }
        let Some(number) = self.number(name) else { return };
        let Collector { fields, tokenizer, seen, page_pairs, block_pairs, text_bytes, .. } = self;
        let field = &mut fields[number];
        let (first_page, block) = (self.block_of_page.len() as u32, self.blocks);
        let mut page = u32::MAX;
        let mut recent = Recent::default();
        for (row, text) in values.iter().enumerate() {
            let Some(text) = text else { continue };
            *text_bytes += text.len() as u64;
            let page_here = first_page + (row / PAGE_ROWS) as u32;
            if self.level > 0 && page_here != page {
                page = page_here;
                seen.clear();
                recent = Recent::default();
            }
            if recent.has_seen(text) {
                continue;
            }
            if self.level == 0 {
                cut.each(tokenizer, text, |term, class| {
                    let key = salted(hash(term), number, is_pooled(class));
                    let is_new = seen.insert(key);
                    if is_new {
                        block_pairs.push((key, block));
                    }
                    // Another field may have had a pooled term first.
                    if is_new || is_pooled(class) {
                        field.note_class(term, class);
                    }
                });
            } else {
                cut.each(tokenizer, text, |term, class| {
                    if !is_pooled(class) {
                        if field.interned.note(term, page) {
                            field.note_class(term, class);
                        }
                        return;
                    }
                    let key = salted(hash(term), number, true);
                    if seen.insert(key) {
                        page_pairs.push((key, page));
                        field.note_class(term, class);
                    }
                });
            }
        }
        field.left_out_uuid_parts |= std::mem::take(&mut tokenizer.left_out_uuid_parts);
    }

    /// The number of a field; `None` when there are too many.
    fn number(&mut self, name: FieldName) -> Option<usize> {
        if let Some(&number) = self.by_name.get(&name) {
            return Some(number);
        }
        if self.fields.len() == INDEX_FIELDS_MAX {
            return None;
        }
        self.fields.push(FieldTerms {
            name: name.clone(),
            present: [false; CLASSES as usize],
            left_out_uuid_parts: false,
            letters: 0,
            interned: Interned::default(),
        });
        self.by_name.insert(name, self.fields.len() - 1);
        Some(self.fields.len() - 1)
    }
}

impl FieldTerms {
    fn note_class(&mut self, term: &[u8], class: Class) {
        self.present[usize::from(class)] = true;
        if kind_of(class) == kind::MIXED {
            self.letters = self.letters.max(letters(term).min(usize::from(u8::MAX)) as u8);
        }
    }
}

/// The term of a guid: its 32 hexadecimal digits.
pub(crate) fn guid_term(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How texts are cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Into terms.
    Text,
    /// Into the terms of a JSON text and of its strings.
    Json,
    /// Not at all: each is one folded term.
    Whole,
}

impl Cut {
    fn each(self, tokenizer: &mut Tokenizer, text: &str, mut visit: impl FnMut(&[u8], Class)) {
        match self {
            Cut::Text => tokenizer.each(text, visit),
            Cut::Json => each_of_json(tokenizer, text, visit),
            Cut::Whole => visit(text.as_bytes(), class_of(text.as_bytes())),
        }
    }
}

/// The terms of a JSON text as it stands, and of its strings with their escapes undone: a member is read as either.
fn each_of_json(tokenizer: &mut Tokenizer, json: &str, mut visit: impl FnMut(&[u8], Class)) {
    tokenizer.each(json, &mut visit);
    if !json.contains('\\') {
        return;
    }
    let (mut start, mut is_escaped, mut has_escapes) = (None, false, false);
    for (at, byte) in json.bytes().enumerate() {
        match (byte, start) {
            _ if is_escaped => is_escaped = false,
            (b'\\', _) => {
                is_escaped = true;
                has_escapes = true;
            }
            (b'"', None) => (start, has_escapes) = (Some(at), false),
            (b'"', Some(from)) => {
                if has_escapes {
                    tokenizer.each(&kyma_core::dynamic::to_text(&json[from..=at]), &mut visit);
                }
                start = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seen_is_a_set() {
        let mut seen = Seen::default();
        let hashes: Vec<u64> = (1..5_000_u64).map(super::super::fuse::mix).collect();
        assert!(hashes.iter().all(|&hash| seen.insert(hash)));
        assert!(hashes.iter().all(|&hash| !seen.insert(hash)));
        seen.clear();
        assert!(seen.insert(hashes[0]));
    }

    #[test]
    fn json_gives_terms_with_and_without_escapes() {
        let mut found = Vec::new();
        let json = r#"{"a":"x\ny","é":["q\"z",1.5]}"#;
        each_of_json(&mut Tokenizer::default(), json, |term, _| {
            found.push(String::from_utf8(term.to_vec()).unwrap());
        });
        assert_eq!(found, ["a", "x", "ny", "é", "q", "z", "1", "5", "x", "y", "q", "z"]);
    }
}
