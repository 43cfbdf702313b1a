//! Values of varying length as Arrow views over shared buffers, without a copy and without a check per value.
//!
//! 1. `append` takes a whole decompressed buffer. As texts it is checked to be UTF-8 once, and each value to begin and
//!    end between characters.
//! 2. `replicate` turns dictionary values into rows; only views are copied.
//! 3. `into_strings` gives the array.
//!
//! Arrow's own check goes through UTF-8 value by value, which costs more than decompression does. The proof that it is
//! not needed is this module, whose fields nobody else can touch:
//!
//! - A view is made by [`make_view`] from a `&str` cut out of `buffers[its buffer]` at its offset, so it lies inside the
//!   buffer, carries the right prefix, is padded with zeros, and is UTF-8.
//! - Buffers are only ever appended, and never change, so a view stays true.
//! - `replicate` copies such views; [`Filler`] moves them and adds zeros, which is the view of the empty string.
#![allow(unsafe_code, reason = "StringViewArray::new_unchecked; the proof is the module's documentation")]

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, StringViewArray, make_view};
use arrow::buffer::Buffer;
use kyma_core::error::{Error, Result};

use super::filler::Filler;
use crate::wire::corrupt;

/// Bytes of a guid.
const GUID_BYTES: usize = 16;

/// What the bytes of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// UTF-8, which is checked.
    Text,
    /// Anything.
    Bytes,
}

/// Values over shared buffers.
#[derive(Debug)]
pub(crate) struct Views {
    content: Content,
    views: Vec<u128>,
    buffers: Vec<Buffer>,
}

impl Views {
    /// No values yet, and room for `count`.
    pub(crate) fn new(content: Content, count: usize) -> Self {
        Views { content, views: Vec::with_capacity(count), buffers: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.views.len()
    }

    /// Appends the values that fill `bytes` one after the other, or of these only the ones `wanted`, by ascending place.
    /// Few wanted values are copied out, so that they do not hold the buffer.
    pub(crate) fn append(
        &mut self,
        bytes: Vec<u8>,
        lengths: impl Iterator<Item = Result<usize>>,
        wanted: Option<&[u32]>,
    ) -> Result<()> {
        match self.content {
            Content::Text => {
                let text = String::from_utf8(bytes).map_err(|error| corrupt("strings are not UTF-8").because(error))?;
                let cut = |from: usize, to: usize| text.get(from..to).map(str::as_bytes);
                let kept = self.cut(text.len(), cut, lengths, wanted)?;
                self.buffers.push(Buffer::from_vec(kept.unwrap_or_else(|| text.into_bytes())));
            }
            Content::Bytes => {
                let cut = |from: usize, to: usize| bytes.get(from..to);
                let kept = self.cut(bytes.len(), cut, lengths, wanted)?;
                self.buffers.push(Buffer::from_vec(kept.unwrap_or(bytes)));
            }
        }
        Ok(())
    }

    /// Makes the views. When only some values are wanted, gives the bytes that these point into, instead of all bytes.
    fn cut<'a>(
        &mut self,
        bytes: usize,
        cut: impl Fn(usize, usize) -> Option<&'a [u8]>,
        lengths: impl Iterator<Item = Result<usize>>,
        wanted: Option<&[u32]>,
    ) -> Result<Option<Vec<u8>>> {
        if u32::try_from(bytes).is_err() {
            return Err(corrupt("a buffer of strings is too large"));
        }
        let buffer = self.buffers.len() as u32;
        let mut kept = Vec::new();
        let mut still_wanted = wanted.unwrap_or_default();
        let mut at = 0_usize;
        for (place, length) in lengths.enumerate() {
            let end = length?.checked_add(at).filter(|&end| end <= bytes);
            let end = end.ok_or_else(|| corrupt("lengths pass the bytes"))?;
            let value = || cut(at, end).ok_or_else(|| corrupt("a string ends inside a character"));
            match (wanted, still_wanted.first()) {
                (None, _) => self.views.push(make_view(value()?, buffer, at as u32)),
                (Some(_), Some(&next)) if next as usize == place => {
                    let value = value()?;
                    self.views.push(make_view(value, buffer, kept.len() as u32));
                    kept.extend_from_slice(value);
                    still_wanted = &still_wanted[1..];
                }
                _ => {}
            }
            at = end;
        }
        if at != bytes || !still_wanted.is_empty() {
            return Err(corrupt("lengths do not cover the bytes"));
        }
        Ok(wanted.map(|_| kept))
    }

    /// The values at `codes` instead of the values.
    pub(crate) fn replicate(&mut self, codes: impl ExactSizeIterator<Item = usize>) -> Result<()> {
        let mut rows = Vec::with_capacity(codes.len());
        for code in codes {
            rows.push(*self.views.get(code).ok_or_else(|| corrupt("a dictionary code is out of range"))?);
        }
        self.views = rows;
        Ok(())
    }

    /// The values as strings.
    pub(crate) fn into_strings(self, filler: Filler) -> Result<ArrayRef> {
        if self.content != Content::Text {
            return Err(Error::internal("bytes are not strings"));
        }
        let views = filler.fill(self.views)?;
        if filler.nulls.as_ref().is_some_and(|nulls| nulls.len() != views.len()) {
            return Err(corrupt("a column has the wrong number of values"));
        }
        // SAFETY: every view is true of `buffers` and UTF-8: see the module's documentation. Nulls have the same length.
        Ok(Arc::new(unsafe { StringViewArray::new_unchecked(views.into(), self.buffers, filler.nulls) }))
    }

    /// The values as guids.
    pub(crate) fn into_guids(self, filler: Filler) -> Result<ArrayRef> {
        let wide = |view: u128| -> Result<[u8; GUID_BYTES]> {
            let offset = (view >> 96) as u32 as usize;
            let buffer = self.buffers.get((view >> 64) as u32 as usize);
            let bytes = buffer.and_then(|buffer| buffer.get(offset..)).and_then(|bytes| bytes.first_chunk());
            let is_guid = view as u32 as usize == GUID_BYTES;
            bytes.copied().filter(|_| is_guid).ok_or_else(|| corrupt("a guid has the wrong length"))
        };
        let guids: Vec<[u8; GUID_BYTES]> = self.views.iter().map(|&view| wide(view)).collect::<Result<_>>()?;
        let bytes = filler.fill(guids)?.concat();
        let array = FixedSizeBinaryArray::try_new(GUID_BYTES as i32, Buffer::from_vec(bytes), filler.nulls);
        Ok(Arc::new(array.map_err(|error| corrupt("guids are broken").because(error))?))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    fn strings(bytes: &[u8], lengths: &[usize], wanted: Option<&[u32]>) -> Result<ArrayRef> {
        let mut views = Views::new(Content::Text, lengths.len());
        views.append(bytes.to_vec(), lengths.iter().map(|&length| Ok(length)), wanted)?;
        let wanted_rows = views.len();
        views.into_strings(Filler { nulls: None, wanted_rows })
    }

    #[test]
    fn values_are_cut_between_characters_only() {
        let text = "short, é, and a longer one".as_bytes();
        let read = strings(text, &[7, 4, 16], None).unwrap();
        let texts: Vec<&str> = read.as_string_view().iter().flatten().collect();
        assert_eq!(texts, ["short, ", "é, ", "and a longer one"]);
        read.to_data().validate_full().unwrap();
        let read = strings(text, &[7, 4, 16], Some(&[2])).unwrap();
        assert_eq!(read.as_string_view().value(0), "and a longer one");
        read.to_data().validate_full().unwrap();
        for (bytes, lengths) in [
            (text, &[8_usize, 19][..]),
            (text, &[7, 4]),
            (text, &[7, 4, 17]),
            (text, &[usize::MAX, 28]),
            (&[0xff, 0xfe], &[1, 1]),
        ] {
            assert!(strings(bytes, lengths, None).is_err(), "{lengths:?}");
        }
    }
}
