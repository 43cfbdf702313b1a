//! A field's terms in order, with their postings: front-coded, in blocks of one zstd frame each.
//!
//! ```text
//! dictionary = block*                              back to back; the directory has their first terms, lengths and checksums
//! block      = one zstd frame of: terms varint, bytes of each region varint [3], heads, suffixes, postings
//! heads      = per term: bytes shared with the term before varint, bytes of the suffix varint
//! suffixes   = the rest of each term, back to back
//! postings   = of each term, see `postings`
//! ```
//!
//! A term is found with one block: its first term is in the directory, and postings lie beside the terms, so that no second read
//! follows. Substrings look at every block; a dictionary of words is small, because identifiers are kept in filters.
//!
//! `tantivy-sstable` has the same idea, but reads synchronously, keeps values apart from terms, and trusts its bytes.

use kyma_core::error::Result;

use super::filter::Part;
use super::postings;
use super::units::Units;
use crate::encoding::blob;
use crate::limits::{DICTIONARY_BLOCK_BYTES, DICTIONARY_BLOCK_BYTES_MAX, TERM_BYTES_MAX};
use crate::wire::{Reader, Writer, checksum, corrupt};

/// Regions of a block.
const REGIONS: usize = 3;
/// zstd level of dictionaries.
const LEVEL: i32 = 9;

/// What the directory says of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) first: Vec<u8>,
    pub(crate) part: Part,
    /// Bytes after decompression.
    pub(crate) decompressed: u32,
}

/// Takes ascending terms with their units.
#[derive(Debug)]
pub(crate) struct DictionaryWriter {
    units: u32,
    last: Vec<u8>,
    first: Vec<u8>,
    terms: usize,
    regions: [Writer; REGIONS],
    pub(crate) blocks: Vec<Block>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) terms_total: u64,
}

impl DictionaryWriter {
    pub(crate) fn new(units: u32) -> Self {
        DictionaryWriter {
            units,
            last: Vec::new(),
            first: Vec::new(),
            terms: 0,
            regions: Default::default(),
            blocks: Vec::new(),
            bytes: Vec::new(),
            terms_total: 0,
        }
    }

    pub(crate) fn push(&mut self, term: &[u8], units: &[u32]) -> Result<()> {
        let [heads, suffixes, postings] = &mut self.regions;
        if self.terms == 0 {
            self.first = term.to_vec();
            self.last.clear();
        }
        let shared = term.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        heads.length(shared);
        heads.length(term.len() - shared);
        suffixes.raw(&term[shared..]);
        postings::write(units, self.units, postings);
        self.last.clear();
        self.last.extend_from_slice(term);
        self.terms += 1;
        self.terms_total += 1;
        if self.regions.iter().map(|region| region.bytes.len()).sum::<usize>() >= DICTIONARY_BLOCK_BYTES {
            self.close()?;
        }
        Ok(())
    }

    /// Closes the block at hand.
    pub(crate) fn close(&mut self) -> Result<()> {
        if self.terms == 0 {
            return Ok(());
        }
        let mut block = Writer::default();
        block.length(self.terms);
        self.regions.iter().for_each(|region| block.length(region.bytes.len()));
        for region in &mut self.regions {
            block.raw(&region.bytes);
            region.bytes.clear();
        }
        self.terms = 0;
        let compressed = blob::compress(&block.bytes, LEVEL)?;
        let part = Part { bytes: compressed.len() as u32, crc: checksum(&compressed) };
        self.blocks.push(Block {
            first: std::mem::take(&mut self.first),
            part,
            decompressed: block.bytes.len() as u32,
        });
        self.bytes.extend_from_slice(&compressed);
        Ok(())
    }
}

/// Calls `visit` with every term of a block; where it says yes, the term's units are added to `found`.
pub(crate) fn search(
    compressed: &[u8],
    block: &Block,
    units: u32,
    mut visit: impl FnMut(&[u8]) -> bool,
    found: &mut Units,
) -> Result<()> {
    if block.decompressed as usize > DICTIONARY_BLOCK_BYTES_MAX {
        return Err(corrupt("a block of a dictionary is too large"));
    }
    let bytes = blob::decompress(compressed, block.decompressed as usize)?;
    let mut reader = Reader::new(&bytes);
    let terms = reader.length(bytes.len())?;
    let mut lengths = [0; REGIONS];
    for length in &mut lengths {
        *length = reader.length(bytes.len())?;
    }
    let mut regions = [Reader::new(&[]); REGIONS];
    for (region, length) in regions.iter_mut().zip(lengths) {
        *region = Reader::new(reader.raw(length)?);
    }
    let [mut heads, mut suffixes, mut lists] = regions;
    let mut term = Vec::with_capacity(TERM_BYTES_MAX);
    for _ in 0..terms {
        let shared = heads.length(term.len())?;
        let rest = heads.length(TERM_BYTES_MAX - shared)?;
        term.truncate(shared);
        term.extend_from_slice(suffixes.raw(rest)?);
        match visit(&term) {
            true => postings::read(&mut lists, units, found)?,
            false => postings::skip(&mut lists, units)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_term_has_its_units() {
        let terms: Vec<String> = (0..40_000).map(|at| format!("term{at:06}")).collect();
        let mut writer = DictionaryWriter::new(300);
        for (at, term) in terms.iter().enumerate() {
            writer.push(term.as_bytes(), &[at as u32 % 100, 100 + at as u32 % 200]).unwrap();
        }
        writer.close().unwrap();
        assert!(writer.blocks.len() > 1);
        let mut start = 0;
        let mut seen = 0;
        for block in &writer.blocks {
            let bytes = &writer.bytes[start..start + block.part.bytes as usize];
            start += bytes.len();
            for wanted in terms.iter().step_by(7_001) {
                let mut found = Units::none(300);
                search(bytes, block, 300, |term| term == wanted.as_bytes(), &mut found).unwrap();
                let at = wanted[4..].parse::<u32>().unwrap();
                if !found.is_empty() {
                    assert!(found.has(at % 100) && found.has(100 + at % 200));
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, terms.len().div_ceil(7_001));
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_answer(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let compressed = blob::compress(&bytes, 1).unwrap();
            let part = Part { bytes: compressed.len() as u32, crc: 0 };
            let block = Block { first: Vec::new(), part, decompressed: bytes.len() as u32 };
            let _ = search(&compressed, &block, 50, |term| term.len() % 2 == 0, &mut Units::none(50));
        }
    }
}
