//! The templates of one column over a whole extent.
//!
//! A template is a line with its variables taken out: static text, with [`HOLE`] where a variable was. `HOLE` is a byte that
//! UTF-8 never has, so any text can be static. Per hole the dictionary keeps which classes of bytes ever stood there, which
//! is what lets a predicate rule a template out without looking at values.
//!
//! ```text
//! templates = count varint, (text bytes varint, text, classes varint per hole)*
//! ```

use std::collections::HashMap;

use kyma_core::error::Result;
use xxhash_rust::xxh3::Xxh3Builder;

use crate::limits::{TEMPLATE_BYTES_MAX, TEMPLATES_BYTES_MAX, TEMPLATES_MAX};
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
    /// One per hole.
    pub(crate) holes: Vec<Classes>,
}

impl Template {
    fn new(text: &[u8]) -> Self {
        let holes = text.iter().filter(|&&byte| byte == HOLE).count();
        Template { text: text.into(), holes: vec![0; holes] }
    }

    /// The static texts: before the first hole, between holes, after the last; one more than there are holes.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|&byte| byte == HOLE)
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
        let of = |template: &Template| template.text.len() + template.holes.len() * 2 + 80;
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
            template.holes.iter().for_each(|&classes| out.varint(u64::from(classes)));
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
            for classes in &mut template.holes {
                *classes = reader.length(usize::from(Classes::MAX))? as Classes;
            }
            dictionary.templates.push(template);
        }
        Ok(dictionary)
    }
}
