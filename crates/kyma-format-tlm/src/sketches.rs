//! How many distinct values each column of the extent has, and sketches of them.
//!
//! ```text
//! SKETCHES = start varint, columns varint, (column varint, distinct varint, bytes varint, [crc u32])*
//!            ascending columns, after the first their differences; the sketches lie in this order from start on;
//!            no bytes, no sketch and no crc
//! sketch   = blob of the portable bytes of `kyma_core::sketch`
//! ```
//!
//! A sketch is kept where it costs little: at most 128 bytes, or a thirty-second of the column's own.

use std::ops::Range;

use arrow::array::Array;
use kyma_core::error::Result;
use kyma_core::format::RangeReader;
use kyma_core::sketch::Sketch;
use kyma_core::types::Type;

use crate::encoding::blob;
use crate::fetch::named;
use crate::footer::{Block, SubPiece};
use crate::limits::SKETCH_BYTES_MAX;
use crate::wire::{Reader, Writer, checksum, corrupt, is_intact};

/// A sketch of at most this many bytes is always kept.
const SMALL_BYTES: u64 = 128;
/// A larger one takes at most this part of its column's bytes.
const SHARE: u64 = 32;

/// Counts the values of an extent's columns while it is written.
#[derive(Debug)]
pub(crate) struct Sketches {
    by_column: Vec<Sketch>,
}

impl Sketches {
    pub(crate) fn new(columns: usize) -> Self {
        Sketches { by_column: vec![Sketch::default(); columns] }
    }

    /// Counts the values of column `at`.
    pub(crate) fn add(&mut self, at: usize, ty: Type, array: &dyn Array) {
        if let Some(sketch) = self.by_column.get_mut(at) {
            sketch.add(ty, array);
        }
    }

    /// Appends the sketches worth keeping to `data`.
    pub(crate) fn write(&self, blocks: &[Block], level: i32, data: &mut Vec<u8>) -> Result<Directory> {
        let mut directory = Directory { start: data.len() as u64, entries: Vec::new() };
        for (column, sketch) in self.by_column.iter().enumerate() {
            let distinct = sketch.estimate();
            if distinct == 0 {
                continue;
            }
            let stored = blocks.iter().filter_map(|block| block.columns.get(column));
            let stored: u64 = stored
                .map(|column| column.piece.bytes() + column.shredded.iter().map(SubPiece::bytes).sum::<u64>())
                .sum();
            let mut out = Writer::default();
            blob::encode(&sketch.to_bytes(), level, &mut out)?;
            let start = data.len() as u64;
            let mut crc = 0;
            if out.bytes.len() as u64 <= SMALL_BYTES.max(stored / SHARE) {
                crc = checksum(&out.bytes);
                data.extend_from_slice(&out.bytes);
            }
            directory.entries.push(Entry { column: column as u32, distinct, range: start..data.len() as u64, crc });
        }
        Ok(directory)
    }
}

#[derive(Debug, Clone)]
struct Entry {
    column: u32,
    distinct: u64,
    /// Empty when there is no sketch.
    range: Range<u64>,
    crc: u32,
}

/// Where all sketches are, ascending by column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    start: u64,
    entries: Vec<Entry>,
}

impl Directory {
    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all sketches.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.range.end - entry.range.start).sum()
    }

    fn find(&self, column: usize) -> Option<&Entry> {
        let at = self.entries.binary_search_by_key(&column, |entry| entry.column as usize).ok()?;
        self.entries.get(at)
    }

    /// Roughly how many distinct non-null values a column has.
    pub(crate) fn distinct(&self, column: usize) -> Option<u64> {
        self.find(column).map(|entry| entry.distinct)
    }

    /// The sketch of a column; `None` when none is kept.
    pub(crate) async fn read(&self, source: &dyn RangeReader, column: usize) -> Result<Option<Sketch>> {
        let Some(entry) = self.find(column).filter(|entry| !entry.range.is_empty()) else { return Ok(None) };
        let read = source.read(std::slice::from_ref(&entry.range)).await?;
        let bytes = read.first().map(AsRef::as_ref).unwrap_or_default();
        decode(entry, bytes).map(Some).map_err(|error| named(error, &format!("sketches, column={column}")))
    }

    /// The footer's section.
    pub(crate) fn write_section(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.varint(self.start);
        out.length(self.entries.len());
        let mut last = 0;
        for entry in &self.entries {
            out.varint(u64::from(entry.column - last));
            out.varint(entry.distinct);
            out.varint(entry.range.end - entry.range.start);
            if !entry.range.is_empty() {
                out.u32(entry.crc);
            }
            last = entry.column;
        }
        out.bytes
    }

    /// Reads what [`Directory::write_section`] wrote, of an extent with `columns` columns.
    pub(crate) fn read_section(mut reader: Reader<'_>, columns: usize, data_bytes: u64) -> Result<Self> {
        let start = reader.varint()?;
        let mut directory = Directory { start, entries: Vec::new() };
        let (mut at, mut last) = (start, 0);
        for place in 0..reader.length(columns)? {
            let column = last + reader.length(columns - 1 - last)?;
            if place > 0 && column == last {
                return Err(corrupt("a column is counted twice"));
            }
            last = column;
            let distinct = reader.varint()?;
            let bytes = reader.length(SKETCH_BYTES_MAX)? as u64;
            let crc = if bytes > 0 { reader.u32()? } else { 0 };
            let end = at.checked_add(bytes).filter(|&end| end <= data_bytes);
            let end = end.ok_or_else(|| corrupt("a sketch lies outside the extent"))?;
            directory.entries.push(Entry { column: column as u32, distinct, range: at..end, crc });
            at = end;
        }
        Ok(directory)
    }
}

fn decode(entry: &Entry, bytes: &[u8]) -> Result<Sketch> {
    if !is_intact(bytes, entry.crc) {
        return Err(corrupt("the checksum does not match"));
    }
    let portable = blob::decode(&mut Reader::new(bytes))?;
    Sketch::from_bytes(&portable).ok_or_else(|| corrupt("a sketch is broken"))
}
