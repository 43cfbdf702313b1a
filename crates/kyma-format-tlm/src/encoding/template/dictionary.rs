//! The templates of one column over a whole extent.
//!
//! A template is a line with its variables taken out: static text, with [`HOLE`] where a variable was. `HOLE` is a byte that
//! UTF-8 never has, so any text can be static. Per hole the dictionary keeps which classes of bytes ever stood there, and
//! the very words where they are few: that lets a predicate rule a template out without looking at values.
//!
//! ```text
//! templates = count varint, (text bytes varint, text, hole*)*
//! hole      = classes varint, words varint (0 unknown, else one more than the count), (bytes varint, word)*
//! ```

use std::collections::HashMap;

use kyma_core::error::Result;
use xxhash_rust::xxh3::Xxh3Builder;

use crate::constants::slot::COLUMNS_MAX;
use crate::limits::{
    HOLE_NUMBERS_MAX, HOLE_WORD_BYTES_MAX, HOLE_WORDS_MAX, TEMPLATE_BYTES_MAX, TEMPLATES_BYTES_MAX, TEMPLATES_MAX,
};
use crate::wire::{Reader, Writer, corrupt};

/// Stands for a variable in a template's text.
pub(crate) const HOLE: u8 = 0xff;

/// What kinds of bytes a hole has seen; bits of [`class`].
pub(crate) type Classes = u16;

/// Bits of [`Classes`]. They are on disk: never changed.
pub(crate) mod class {
    /// `0` to `9`.
    pub(crate) const DIGIT: u16 = 1;
    /// `a` to `f`.
    pub(crate) const LOWER_HEX: u16 = 2;
    /// `g` to `z`.
    pub(crate) const LOWER: u16 = 4;
    /// `A` to `F`.
    pub(crate) const UPPER_HEX: u16 = 8;
    /// `G` to `Z`.
    pub(crate) const UPPER: u16 = 16;
    /// `.`
    pub(crate) const DOT: u16 = 32;
    /// `-`
    pub(crate) const HYPHEN: u16 = 64;
    /// `:`
    pub(crate) const COLON: u16 = 128;
    /// Other bytes of ASCII.
    pub(crate) const OTHER: u16 = 256;
    /// Bytes beyond ASCII.
    pub(crate) const BEYOND: u16 = 512;
}

/// The class of each byte.
pub(crate) const CLASSES: [Classes; 256] = {
    let mut classes = [class::OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => class::DIGIT,
            b'a'..=b'f' => class::LOWER_HEX,
            b'g'..=b'z' => class::LOWER,
            b'A'..=b'F' => class::UPPER_HEX,
            b'G'..=b'Z' => class::UPPER,
            b'.' => class::DOT,
            b'-' => class::HYPHEN,
            b':' => class::COLON,
            0x80.. => class::BEYOND,
            _ => class::OTHER,
        };
        byte += 1;
    }
    classes
};

/// One template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    text: Box<[u8]>,
    pub(crate) holes: Vec<Hole>,
}

/// What stood in one place of all lines of a template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hole {
    /// Classes of all bytes.
    pub(crate) classes: Classes,
    /// Every word that stood there, when these are few.
    pub(crate) words: Words,
}

/// The words of a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Words {
    /// In order of appearance.
    Few(Vec<Box<[u8]>>),
    /// Too many, or not worth keeping.
    Many,
}

impl Default for Words {
    fn default() -> Self {
        Words::Few(Vec::new())
    }
}

impl Hole {
    /// Adds what stands there in one line.
    pub(crate) fn add(&mut self, word: &[u8]) {
        self.classes |= word.iter().fold(0, |classes, &byte| classes | CLASSES[usize::from(byte)]);
        let Words::Few(words) = &mut self.words else { return };
        // The last word is looked at first: lines come in runs.
        if words.last().is_some_and(|last| **last == *word) || words.iter().any(|known| **known == *word) {
            return;
        }
        // Classes of digits and hexadecimal letters say as much as their words.
        let is_word = self.classes & (class::LOWER | class::UPPER | class::BEYOND) != 0;
        if words.len() == HOLE_WORDS_MAX
            || word.len() > HOLE_WORD_BYTES_MAX
            || (words.len() == HOLE_NUMBERS_MAX && !is_word)
        {
            self.words = Words::Many;
            return;
        }
        words.push(word.into());
    }
}

impl Template {
    fn new(text: &[u8]) -> Self {
        let holes = text.iter().filter(|&&byte| byte == HOLE).count();
        Template { text: text.into(), holes: vec![Hole::default(); holes] }
    }

    /// The static texts: before the first hole, between holes, after the last; one more than there are holes.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|&byte| byte == HOLE)
    }

    /// The static texts with [`HOLE`] between them.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// For people: `<*>` for each hole.
    pub(crate) fn pattern(&self) -> String {
        let segments: Vec<_> = self.segments().map(String::from_utf8_lossy).collect();
        segments.join("<*>")
    }
}

/// Every template of a column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dictionary {
    templates: Vec<Template>,
    numbers: HashMap<Box<[u8]>, u32, Xxh3Builder>,
    bytes: usize,
}

impl Dictionary {
    /// The template numbered `number`.
    pub(crate) fn get(&self, number: u32) -> Option<&Template> {
        self.templates.get(number as usize)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Template> {
        self.templates.get_mut(number as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.templates.len()
    }

    /// Bytes of memory it holds, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let words = |hole: &Hole| if let Words::Few(words) = &hole.words { words.len() * 32 } else { 0 };
        let of = |template: &Template| {
            template.text.len() + template.holes.iter().map(|hole| 32 + words(hole)).sum::<usize>() + 80
        };
        self.templates.iter().map(of).sum()
    }

    /// The number of the template `text`, if it is known.
    pub(crate) fn find(&self, text: &[u8]) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// The number of a template that is there however full the dictionary is.
    pub(crate) fn intern_always(&mut self, text: &[u8]) -> u32 {
        self.find(text).unwrap_or_else(|| self.add(text))
    }

    /// The number of the template `text`; `None` when it is new and there is no room.
    pub(crate) fn intern(&mut self, text: &[u8]) -> Option<u32> {
        if let Some(number) = self.find(text) {
            return Some(number);
        }
        // One place is kept for the template that is one variable.
        let has_room = self.templates.len() + 1 < TEMPLATES_MAX
            && text.len() <= TEMPLATE_BYTES_MAX
            && self.bytes + text.len() <= TEMPLATES_BYTES_MAX;
        has_room.then(|| self.add(text))
    }

    fn add(&mut self, text: &[u8]) -> u32 {
        let number = self.templates.len() as u32;
        self.bytes += text.len();
        self.templates.push(Template::new(text));
        self.numbers.insert(text.into(), number);
        number
    }

    /// Keeps only the templates marked in `is_used`; gives the new numbers by the old.
    pub(crate) fn retain(&mut self, is_used: &[bool]) -> Vec<u32> {
        let mut renumbered = vec![0; self.templates.len()];
        let mut kept = Dictionary::default();
        for (number, template) in self.templates.drain(..).enumerate() {
            if is_used.get(number).copied().unwrap_or(false) {
                renumbered[number] = kept.templates.len() as u32;
                kept.templates.push(template);
            }
        }
        *self = kept;
        renumbered
    }

    /// Appends the dictionary.
    pub(crate) fn write(&self, out: &mut Writer) {
        out.length(self.templates.len());
        for template in &self.templates {
            out.length(template.text.len());
            out.raw(&template.text);
            let keeps_words = template.holes.len() <= COLUMNS_MAX;
            for hole in &template.holes {
                out.varint(u64::from(hole.classes));
                match &hole.words {
                    Words::Few(words) if keeps_words && hole.classes & !(class::DIGIT | class::DOT) != 0 => {
                        out.length(words.len() + 1);
                        for word in words {
                            out.length(word.len());
                            out.raw(word);
                        }
                    }
                    _ => out.length(0),
                }
            }
        }
    }

    /// Reads what [`Dictionary::write`] wrote.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Dictionary> {
        let count = reader.length(TEMPLATES_MAX)?;
        let mut dictionary = Dictionary::default();
        for _ in 0..count {
            let length = reader.length(TEMPLATE_BYTES_MAX)?;
            let mut template = Template::new(reader.raw(length)?);
            if template.segments().any(|segment| std::str::from_utf8(segment).is_err()) {
                return Err(corrupt("a template is not UTF-8"));
            }
            for hole in &mut template.holes {
                hole.classes = reader.length(usize::from(Classes::MAX))? as Classes;
                hole.words = Words::Many;
                if let Some(count) = reader.length(HOLE_WORDS_MAX + 1)?.checked_sub(1) {
                    let mut words: Vec<Box<[u8]>> = Vec::new();
                    for _ in 0..count {
                        let length = reader.length(HOLE_WORD_BYTES_MAX)?;
                        words.push(reader.raw(length)?.into());
                    }
                    hole.words = Words::Few(words);
                }
            }
            dictionary.templates.push(template);
        }
        Ok(dictionary)
    }
}
