//! Gets the bytes of pages: joins ranges, reads once, checks each piece before anything looks at it.

use std::ops::Range;

use bytes::Bytes;
use kyma_core::error::{Error, Result};
use kyma_core::format::{RangeReader, joined};

use crate::constants::MAGIC;
use crate::directory::checksum;

/// A run of bytes with one checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// First byte; of the file's first page the magic before it.
    pub(crate) start: u64,
    /// One past the last byte.
    pub(crate) end: u64,
    /// CRC-32C.
    pub(crate) crc: u32,
}

impl Piece {
    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.end - self.start
    }

    /// The page alone.
    pub(crate) fn page(&self) -> Range<u64> {
        self.start.max(MAGIC.len() as u64)..self.end
    }
}

/// The ranges that cover `pieces`, joined where they touch, ascending.
pub(crate) fn ranges<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Vec<Range<u64>> {
    joined(pieces.map(|piece| piece.start..piece.end).collect())
}

/// Bytes of some ranges of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fetched {
    parts: Vec<(Range<u64>, Bytes)>,
}

impl Fetched {
    /// Reads `ranges`, which are ascending and apart, at once.
    pub(crate) async fn read(source: &dyn RangeReader, ranges: Vec<Range<u64>>) -> Result<Self> {
        if ranges.is_empty() {
            return Ok(Fetched::default());
        }
        let read = source.read(&ranges).await?;
        Ok(Fetched { parts: ranges.into_iter().zip(read).collect() })
    }

    /// Bytes that are at hand from `start` on.
    pub(crate) fn at_hand(start: u64, bytes: Bytes) -> Self {
        Fetched { parts: vec![(start..start + bytes.len() as u64, bytes)] }
    }

    /// The bytes of `range`; `None` when they were not read, or the store gave fewer.
    pub(crate) fn slice(&self, range: &Range<u64>) -> Option<Bytes> {
        let at = self.parts.partition_point(|(part, _)| part.end <= range.start);
        let (part, bytes) = self.parts.get(at)?;
        let start = usize::try_from(range.start.checked_sub(part.start)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(part.start)?).ok()?;
        (start <= end && end <= bytes.len()).then(|| bytes.slice(start..end))
    }

    /// The bytes of `piece`, compared with their checksum.
    pub(crate) fn checked(&self, piece: &Piece) -> Result<Bytes> {
        let bytes = self.slice(&(piece.start..piece.end));
        let bytes = bytes.ok_or_else(|| Error::corrupt("the store gave too few bytes"))?;
        if checksum(&bytes) == piece.crc { Ok(bytes) } else { Err(Error::corrupt("the checksum does not match")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_pieces_are_one_range() {
        let piece = |start, end| Piece { start, end, crc: 0 };
        let pieces = [piece(30, 40), piece(0, 10), piece(10, 20), piece(0, 10)];
        assert_eq!(ranges(pieces.iter()), [0..20, 30..40]);
    }

    #[test]
    fn only_what_was_read_is_given() {
        let fetched = Fetched::at_hand(10, Bytes::from_static(b"abcdef"));
        assert_eq!(fetched.slice(&(11..13)).as_deref(), Some(b"bc".as_slice()));
        assert_eq!((fetched.slice(&(9..11)), fetched.slice(&(14..17)), fetched.slice(&(20..21))), (None, None, None));
    }
}
