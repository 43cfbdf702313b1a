//! What the footer says of the indexes: [`Directory::write`] and [`Directory::read`].
//!
//! ```text
//! INDEXES = version u8, filter of pages, filter of blocks, fields varint, field*
//! filter  = width u8 (0: there is none), [offset varint, shards varint, (bytes varint, crc u32)*]
//! field   = column varint, source u8, keys (count varint, text*), flags u8, letters u8, places [97], dictionary
//! places  = per class of terms: where they are
//! letters = the longest run of letters in terms with digits that are kept in a filter
//! dictionary = blocks varint (0: there is none), [terms varint, offset varint, (first term: bytes varint and bytes, bytes varint,
//!              decompressed bytes varint, crc u32)*]
//! ```
//!
//! Offsets count from the extent's first byte; shards and blocks lie back to back.

use kyma_core::error::Result;

use super::dictionary::Block;
use super::filter::{Filter, Part};
use super::terms::Class;
use crate::constants::index::{CLASSES, PAGE_POSTINGS, UUID_PARTS, VERSION, place, source};
use crate::limits::{COLUMNS_MAX, DICTIONARY_BLOCK_BYTES_MAX, INDEX_FIELDS_MAX, INDEX_PARTS_MAX, TERM_BYTES_MAX};
use crate::wire::{Reader, Writer, corrupt};

/// Keys of a path.
const KEYS_MAX: usize = 256;

/// The indexes of an extent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Directory {
    pub(crate) pages: Filter,
    pub(crate) blocks: Filter,
    pub(crate) fields: Vec<Field>,
}

/// Texts that are indexed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) column: u32,
    /// One of [`source`].
    pub(crate) source: u8,
    /// Of a path: its keys.
    pub(crate) keys: Vec<String>,
    pub(crate) left_out_uuid_parts: bool,
    pub(crate) has_page_postings: bool,
    pub(crate) letters: u8,
    /// Per class one of [`place`].
    pub(crate) places: [u8; CLASSES as usize],
    pub(crate) dictionary: Dictionary,
}

/// Where a field's dictionary is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Dictionary {
    pub(crate) terms: u64,
    pub(crate) offset: u64,
    pub(crate) blocks: Vec<Block>,
}

impl Field {
    /// Where terms of a class are.
    pub(crate) fn place(&self, class: Class) -> u8 {
        self.places.get(usize::from(class)).copied().unwrap_or(place::ABSENT)
    }
}

impl Dictionary {
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.part.bytes)).sum()
    }
}

impl Filter {
    pub(crate) fn bytes(&self) -> u64 {
        self.shards.iter().map(|part| u64::from(part.bytes)).sum()
    }
}

impl Directory {
    /// The section's payload.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(VERSION);
        write_filter(&self.pages, &mut out);
        write_filter(&self.blocks, &mut out);
        out.length(self.fields.len());
        for field in &self.fields {
            out.varint(u64::from(field.column));
            out.u8(field.source);
            out.length(field.keys.len());
            field.keys.iter().for_each(|key| out.text(key));
            let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
            out.u8(flag(field.left_out_uuid_parts, UUID_PARTS) | flag(field.has_page_postings, PAGE_POSTINGS));
            out.u8(field.letters);
            out.raw(&field.places);
            write_dictionary(&field.dictionary, &mut out);
        }
        out.bytes
    }

    /// Reads a payload; `None` for a version that is not known. Everything lies in `data_bytes` bytes.
    pub(crate) fn read(mut reader: Reader<'_>, columns: usize, data_bytes: u64) -> Result<Option<Directory>> {
        if reader.u8()? != VERSION {
            return Ok(None);
        }
        let pages = read_filter(&mut reader, data_bytes)?;
        let blocks = read_filter(&mut reader, data_bytes)?;
        let mut fields = Vec::new();
        for _ in 0..reader.length(INDEX_FIELDS_MAX)? {
            fields.push(read_field(&mut reader, columns, data_bytes)?);
        }
        Ok(Some(Directory { pages, blocks, fields }))
    }

    /// Roughly how much memory this takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let shards = self.pages.shards.len() + self.blocks.shards.len();
        let blocks: usize = self.fields.iter().map(|field| field.dictionary.blocks.len()).sum();
        shards * size_of::<Part>() + self.fields.len() * 320 + blocks * 96
    }

    /// Bytes of everything the directory points at.
    pub(crate) fn bytes(&self) -> u64 {
        let dictionaries: u64 = self.fields.iter().map(|field| field.dictionary.bytes()).sum();
        self.pages.bytes() + self.blocks.bytes() + dictionaries
    }
}

fn write_part(part: &Part, out: &mut Writer) {
    out.varint(u64::from(part.bytes));
    out.u32(part.crc);
}

fn read_part(reader: &mut Reader<'_>) -> Result<Part> {
    Ok(Part { bytes: reader.length(u32::MAX as usize)? as u32, crc: reader.u32()? })
}

fn write_filter(filter: &Filter, out: &mut Writer) {
    if filter.shards.is_empty() {
        return out.u8(0);
    }
    out.u8(filter.width);
    out.varint(filter.offset);
    out.length(filter.shards.len());
    filter.shards.iter().for_each(|part| write_part(part, out));
}

fn read_filter(reader: &mut Reader<'_>, data_bytes: u64) -> Result<Filter> {
    let width = reader.u8()?;
    if width == 0 {
        return Ok(Filter::default());
    }
    let offset = reader.varint()?;
    let mut shards = Vec::new();
    for _ in 0..reader.length(INDEX_PARTS_MAX)? {
        shards.push(read_part(reader)?);
    }
    let filter = Filter { offset, width, shards };
    inside(offset, filter.bytes(), data_bytes)?;
    Ok(filter)
}

fn write_dictionary(dictionary: &Dictionary, out: &mut Writer) {
    out.length(dictionary.blocks.len());
    if dictionary.blocks.is_empty() {
        return;
    }
    out.varint(dictionary.terms);
    out.varint(dictionary.offset);
    for block in &dictionary.blocks {
        out.length(block.first.len());
        out.raw(&block.first);
        write_part(&block.part, out);
        out.varint(u64::from(block.decompressed));
    }
}

fn read_dictionary(reader: &mut Reader<'_>, data_bytes: u64) -> Result<Dictionary> {
    let count = reader.length(INDEX_PARTS_MAX)?;
    if count == 0 {
        return Ok(Dictionary::default());
    }
    let (terms, offset) = (reader.varint()?, reader.varint()?);
    let mut blocks = Vec::new();
    for _ in 0..count {
        let length = reader.length(TERM_BYTES_MAX)?;
        let first = reader.raw(length)?.to_vec();
        let part = read_part(reader)?;
        let decompressed = reader.length(DICTIONARY_BLOCK_BYTES_MAX)? as u32;
        blocks.push(Block { first, part, decompressed });
    }
    let dictionary = Dictionary { terms, offset, blocks };
    inside(offset, dictionary.bytes(), data_bytes)?;
    Ok(dictionary)
}

fn read_field(reader: &mut Reader<'_>, columns: usize, data_bytes: u64) -> Result<Field> {
    let column = reader.length(COLUMNS_MAX)?;
    let source = reader.u8()?;
    if column >= columns || source > source::RESIDUE {
        return Err(corrupt("an index covers what is not there"));
    }
    let mut keys = Vec::new();
    for _ in 0..reader.length(KEYS_MAX)? {
        keys.push(reader.text()?.to_owned());
    }
    let flags = reader.u8()?;
    let letters = reader.u8()?;
    let places = reader.raw(usize::from(CLASSES))?.try_into().map_err(|_| corrupt("bytes end early"))?;
    Ok(Field {
        column: column as u32,
        source,
        keys,
        left_out_uuid_parts: flags & UUID_PARTS != 0,
        has_page_postings: flags & PAGE_POSTINGS != 0,
        letters,
        places,
        dictionary: read_dictionary(reader, data_bytes)?,
    })
}

fn inside(offset: u64, bytes: u64, data_bytes: u64) -> Result<()> {
    let is_inside = offset.checked_add(bytes).is_some_and(|end| end <= data_bytes);
    if is_inside { Ok(()) } else { Err(corrupt("an index lies outside the extent")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> Directory {
        let part = |bytes: u32| Part { bytes, crc: bytes + 1 };
        let mut places = [place::ABSENT; CLASSES as usize];
        places[3] = place::PAGES;
        let block = Block { first: b"error".to_vec(), part: part(9), decompressed: 20 };
        let field = Field {
            column: 1,
            source: source::PATH,
            keys: vec!["k8s".to_owned(), "pod".to_owned()],
            left_out_uuid_parts: true,
            has_page_postings: true,
            letters: 4,
            places,
            dictionary: Dictionary { terms: 2, offset: 30, blocks: vec![block] },
        };
        let pages = Filter { offset: 5, width: 11, shards: vec![part(3), part(0)] };
        Directory { pages, blocks: Filter::default(), fields: vec![field] }
    }

    #[test]
    fn is_read_back() {
        let bytes = example().write();
        let read = |bytes: &[u8], data_bytes| Directory::read(Reader::new(bytes), 2, data_bytes);
        assert_eq!(read(&bytes, 39).unwrap(), Some(example()));
        assert!(read(&bytes, 38).is_err(), "the dictionary ends after the data");
        assert!(Directory::read(Reader::new(&bytes), 1, 39).is_err(), "there is no column 1");
        let newer = [&[VERSION + 1], &bytes[1..]].concat();
        assert_eq!(read(&newer, 39).unwrap(), None);
    }

    proptest! {
        #[test]
        fn changed_bytes_are_refused_or_read(at in 0_usize..120, byte: u8, length in 0_usize..160) {
            let mut bytes = example().write();
            bytes.truncate(length);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = Directory::read(Reader::new(&bytes), 2, 39);
        }
    }
}
