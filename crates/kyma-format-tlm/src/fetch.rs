//! Gets the bytes of pieces: plans ranges, reads once, checks every part.
//!
//! 1. `add` says which piece is wanted, and of its frames those that hold selected rows.
//! 2. `run` joins neighbouring parts into ranges and reads them all at once.
//! 3. Each part is cut out and compared with its checksum before anything looks at it.

use std::ops::Range;

use arrow::buffer::BooleanBuffer;
use bytes::Bytes;
use kyma_core::error::{Error, Result};
use kyma_core::format::{RangeReader, joined};

use crate::encoding::{Fetched, template};
use crate::footer::Piece;
use crate::wire::is_intact;

/// What one read needs.
#[derive(Debug, Default)]
pub(crate) struct Fetch<'a> {
    wanted: Vec<Wanted<'a>>,
}

#[derive(Debug)]
struct Wanted<'a> {
    piece: &'a Piece,
    section: String,
    /// The head, then each frame; `None` for a frame that is not needed.
    parts: Vec<Option<Part>>,
}

#[derive(Debug)]
struct Part {
    range: Range<u64>,
    crc: u32,
}

impl<'a> Fetch<'a> {
    /// Asks for a piece; `section` names it in errors. Gives its place in the answer.
    pub(crate) fn add(&mut self, piece: &'a Piece, section: String, selection: Option<&BooleanBuffer>) -> usize {
        let same = |wanted: &Wanted<'_>| std::ptr::eq(wanted.piece, piece);
        if let Some(at) = self.wanted.iter().position(same) {
            return at;
        }
        let mut offset = piece.offset;
        let mut take = |bytes: u32, crc: u32| {
            let range = offset..offset + u64::from(bytes);
            offset = range.end;
            Part { range, crc }
        };
        let mut parts = vec![Some(take(piece.head_bytes, piece.head_crc))];
        let mut row = 0;
        for frame in &piece.frames {
            let rows = frame.rows as usize;
            let is_wanted = selection.is_none_or(|bits| bits.slice(row, rows).count_set_bits() > 0);
            let part = take(frame.bytes, frame.crc);
            parts.push(is_wanted.then_some(part));
            row += rows;
        }
        self.wanted.push(Wanted { piece, section, parts });
        self.wanted.len() - 1
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        let parts = self.wanted.iter().flat_map(|wanted| wanted.parts.iter().flatten());
        joined(parts.map(|part| part.range.clone()).filter(|range| !range.is_empty()).collect())
    }

    /// Bytes that `run` would read.
    pub(crate) fn bytes(&self) -> u64 {
        self.ranges().iter().map(|range| range.end - range.start).sum()
    }

    /// Reads and checks everything.
    pub(crate) async fn run(self, source: &dyn RangeReader) -> Result<Answer<'a>> {
        let ranges = self.ranges();
        let read = if ranges.is_empty() { Vec::new() } else { source.read(&ranges).await? };
        let mut answer = Answer { pieces: Vec::with_capacity(self.wanted.len()) };
        for wanted in self.wanted {
            let mut parts = Vec::with_capacity(wanted.parts.len());
            for part in &wanted.parts {
                parts.push(match part {
                    None => None,
                    Some(part) => Some(cut(part, &ranges, &read).map_err(|error| named(error, &wanted.section))?),
                });
            }
            answer.pieces.push((wanted.piece, wanted.section, parts));
        }
        Ok(answer)
    }
}

fn cut(part: &Part, ranges: &[Range<u64>], read: &[Bytes]) -> Result<Bytes> {
    if part.range.is_empty() {
        return if is_intact(&[], part.crc) {
            Ok(Bytes::new())
        } else {
            Err(Error::corrupt("the checksum does not match"))
        };
    }
    let at = ranges.partition_point(|range| range.end <= part.range.start);
    let bytes = ranges.get(at).zip(read.get(at)).and_then(|(range, bytes)| {
        let start = (part.range.start - range.start) as usize;
        let end = (part.range.end - range.start) as usize;
        (end <= bytes.len()).then(|| bytes.slice(start..end))
    });
    let bytes = bytes.ok_or_else(|| Error::corrupt("the store gave too few bytes"))?;
    if is_intact(&bytes, part.crc) { Ok(bytes) } else { Err(Error::corrupt("the checksum does not match")) }
}

/// Names the section of an error about stored bytes.
pub(crate) fn named(error: Error, section: &str) -> Error {
    match error.kind() {
        kyma_core::error::Kind::Corrupt => {
            Error::corrupt(format!("extent data is corrupt: section={section}")).because(error)
        }
        _ => error,
    }
}

/// The checked bytes of every piece that was asked for.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pieces: Vec<Checked<'a>>,
}

/// A piece, its section, and its head and frames.
type Checked<'a> = (&'a Piece, String, Vec<Option<Bytes>>);

/// The head of a piece: from the footer, or else its first part.
fn head_of<'a>(piece: &'a Piece, parts: &'a [Option<Bytes>]) -> &'a [u8] {
    if let Some(head) = &piece.inline_head {
        return head;
    }
    parts.first().and_then(Option::as_ref).map(AsRef::as_ref).unwrap_or_default()
}

impl<'a> Answer<'a> {
    fn piece(&self, place: usize) -> Result<&Checked<'a>> {
        self.pieces.get(place).ok_or_else(|| Error::internal("a piece was not asked for"))
    }

    /// Hands the piece at `place` to `decode`, with that at `base` if it is made of differences, and names its section
    /// in errors.
    pub(crate) fn with<T>(
        &self,
        place: usize,
        base: Option<usize>,
        decode: impl FnOnce(&Fetched<'_>) -> Result<T>,
    ) -> Result<T> {
        self.with_all(place, base, None, decode)
    }

    /// The same for a piece that is made of templates.
    pub(crate) fn with_lines<T>(
        &self,
        place: usize,
        lines: &template::Context<'_>,
        decode: impl FnOnce(&Fetched<'_>) -> Result<T>,
    ) -> Result<T> {
        self.with_all(place, None, Some(lines), decode)
    }

    fn with_all<T>(
        &self,
        place: usize,
        base: Option<usize>,
        lines: Option<&template::Context<'_>>,
        decode: impl FnOnce(&Fetched<'_>) -> Result<T>,
    ) -> Result<T> {
        let (piece, section, parts) = self.piece(place)?;
        let base = match base {
            None => None,
            Some(base) => self.piece(base).map(|(piece, _, parts)| Some((piece.encoding, head_of(piece, parts))))?,
        };
        let frames = piece.frames.iter().zip(parts.iter().skip(1));
        let frames = frames.map(|(frame, bytes)| (frame.rows, bytes.as_ref().map(AsRef::as_ref))).collect();
        decode(&Fetched { encoding: piece.encoding, head: head_of(piece, parts), frames, base, lines })
            .map_err(|error| named(error, section))
    }
}
