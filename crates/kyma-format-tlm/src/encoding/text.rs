//! Strings, and other bytes of varying content (a guid is 16 of them).
//!
//! ```text
//! CONSTANT_TEXT  blob
//! DICTIONARY     transform u8, values varint, lengths integers, bytes blob, codes integers
//! FRAMES         transform u8, lengths integers; each frame is one blob
//! ```
//!
//! 1. One value: a constant.
//! 2. Values that repeat: a dictionary, in sorted order, or in order of appearance where that makes the codes so much
//!    smaller that the whole is (ids that come in bursts).
//! 3. Else frames of at most 8,192 rows, so that a read of few rows decompresses little. Frames are cut by rows, nulls
//!    counted, so that a selection knows its frames before anything is read.

use std::collections::HashMap;

use arrow::array::make_view;
use arrow::buffer::{BooleanBuffer, Buffer};
use kyma_core::error::{Error, Result};
use xxhash_rust::xxh3::Xxh3Builder;

use super::column::PackedFrame;
use super::wanted::Wanted;
use super::{blob, integers, transform};
use crate::constants::encoding;
use crate::limits::{DICTIONARY_BYTES_MAX, DICTIONARY_VALUES_MAX, FRAME_BYTES, FRAME_BYTES_MAX, FRAME_ROWS};
use crate::wire::{Reader, Writer, corrupt};

/// After this many values a column that hardly repeats is no longer tried as a dictionary.
const TRIED_VALUES: usize = 4_096;
/// A dictionary up to this size is always sorted.
const SORTED_VALUES: usize = 256;

/// Strings as Arrow views over shared buffers.
#[derive(Debug)]
pub(crate) struct Texts {
    /// One view per distinct value, or per wanted value when there are no codes.
    pub(crate) views: Vec<u128>,
    /// What the views point into.
    pub(crate) buffers: Vec<Buffer>,
    /// For a dictionary: the view of each wanted value.
    pub(crate) codes: Option<Vec<u32>>,
}

/// Appends the head to `out` and gives the encoding and the frames. `valid` marks the rows that `values` belong to.
pub(crate) fn encode(
    values: &[&[u8]],
    valid: Option<&BooleanBuffer>,
    level: i32,
    out: &mut Writer,
) -> Result<(u8, Vec<PackedFrame>)> {
    if values.iter().any(|value| value.len() >= FRAME_BYTES_MAX - FRAME_BYTES) {
        return Err(Error::invalid("format.value_too_long", "a string is too long to be stored")
            .hint(format!("at most {} bytes", FRAME_BYTES_MAX - FRAME_BYTES)));
    }
    if values.iter().all(|value| *value == values[0]) {
        blob::encode(values.first().copied().unwrap_or_default(), level, out)?;
        return Ok((encoding::CONSTANT_TEXT, Vec::new()));
    }
    encode_spelled(values, valid, transform::choose(values), level, out)
}

/// [`encode`] of bytes that are not text.
pub(crate) fn encode_bytes(
    values: &[&[u8]],
    valid: Option<&BooleanBuffer>,
    level: i32,
    out: &mut Writer,
) -> Result<(u8, Vec<PackedFrame>)> {
    encode_spelled(values, valid, crate::constants::transform::NONE, level, out)
}

fn encode_spelled(
    values: &[&[u8]],
    valid: Option<&BooleanBuffer>,
    spelled: u8,
    level: i32,
    out: &mut Writer,
) -> Result<(u8, Vec<PackedFrame>)> {
    if let Some(dictionary) = Dictionary::try_of(values) {
        let head = dictionary.encode(spelled, level)?;
        let spelled_bytes = values.iter().map(|value| value.len()).sum::<usize>() * 16 / 36;
        if spelled == crate::constants::transform::NONE || head.len() < spelled_bytes {
            out.raw(&head);
            return Ok((encoding::DICTIONARY, Vec::new()));
        }
    }
    let frames = encode_frames(values, valid, spelled, level, out)?;
    Ok((encoding::FRAMES, frames))
}

struct Dictionary<'a> {
    /// Distinct values in order of appearance.
    values: Vec<&'a [u8]>,
    codes: Vec<i64>,
}

impl<'a> Dictionary<'a> {
    /// `None` when the values repeat too little, or are too many or too long.
    fn try_of(values: &[&'a [u8]]) -> Option<Self> {
        let mut places: HashMap<&[u8], i64, Xxh3Builder> = HashMap::with_hasher(Xxh3Builder::new());
        let mut dictionary = Dictionary { values: Vec::new(), codes: Vec::with_capacity(values.len()) };
        let mut bytes = 0;
        for (at, &value) in values.iter().enumerate() {
            let next = dictionary.values.len();
            let code = *places.entry(value).or_insert_with(|| {
                dictionary.values.push(value);
                bytes += value.len();
                next as i64
            });
            dictionary.codes.push(code);
            let hardly_repeats = at == TRIED_VALUES && dictionary.values.len() * 10 > at * 8;
            if hardly_repeats || bytes > DICTIONARY_BYTES_MAX || dictionary.values.len() > DICTIONARY_VALUES_MAX {
                return None;
            }
        }
        (dictionary.values.len() * 3 <= values.len() * 2).then_some(dictionary)
    }

    fn encode(self, spelled: u8, level: i32) -> Result<Vec<u8>> {
        let mut by_value: Vec<u32> = (0..self.values.len() as u32).collect();
        by_value.sort_unstable_by_key(|&at| self.values[at as usize]);
        let mut rank = vec![0_i64; by_value.len()];
        by_value.iter().enumerate().for_each(|(place, &at)| rank[at as usize] = place as i64);
        let sorted_values: Vec<&[u8]> = by_value.iter().map(|&at| self.values[at as usize]).collect();
        let sorted_codes: Vec<i64> = self.codes.iter().map(|&code| rank[code as usize]).collect();
        let sorted = encode_dictionary(&sorted_values, &sorted_codes, spelled, level)?;
        if self.values.len() <= SORTED_VALUES {
            return Ok(sorted);
        }
        let appeared = encode_dictionary(&self.values, &self.codes, spelled, level)?;
        Ok(if appeared.len() < sorted.len() { appeared } else { sorted })
    }
}

fn encode_dictionary(values: &[&[u8]], codes: &[i64], spelled: u8, level: i32) -> Result<Vec<u8>> {
    let mut out = Writer::default();
    let stored: Vec<_> = values.iter().map(|value| transform::apply(spelled, value)).collect();
    out.u8(spelled);
    out.length(values.len());
    integers::encode(&stored.iter().map(|value| value.len() as i64).collect::<Vec<_>>(), &mut out);
    blob::encode(&stored.concat(), level, &mut out)?;
    integers::encode(codes, &mut out);
    Ok(out.bytes)
}

fn encode_frames(
    values: &[&[u8]],
    valid: Option<&BooleanBuffer>,
    spelled: u8,
    level: i32,
    out: &mut Writer,
) -> Result<Vec<PackedFrame>> {
    let rows = valid.map_or(values.len(), BooleanBuffer::len);
    let mut lengths = Vec::with_capacity(values.len());
    let mut frames = Vec::new();
    let (mut bytes, mut frame_rows) = (Vec::new(), 0);
    let mut values = values.iter();
    for row in 0..rows {
        if valid.is_none_or(|valid| valid.value(row)) {
            let value = values.next().ok_or_else(|| Error::internal("fewer values than valid rows"))?;
            let stored = transform::apply(spelled, value);
            lengths.push(stored.len() as i64);
            bytes.extend_from_slice(&stored);
        }
        frame_rows += 1;
        if frame_rows == FRAME_ROWS || bytes.len() >= FRAME_BYTES || row + 1 == rows {
            let mut frame = Writer::default();
            blob::encode(&bytes, level, &mut frame)?;
            frames.push(PackedFrame { rows: frame_rows as u32, bytes: frame.bytes });
            (bytes, frame_rows) = (Vec::new(), 0);
        }
    }
    out.u8(spelled);
    integers::encode(&lengths, out);
    Ok(frames)
}

/// Reads the one value of a constant column.
pub(crate) fn decode_constant(reader: &mut Reader<'_>, count: usize) -> Result<Texts> {
    let value = blob::decode(reader)?;
    let view = make_view(&value, 0, 0);
    Ok(Texts { views: vec![view], buffers: vec![Buffer::from_vec(value)], codes: Some(vec![0; count]) })
}

/// Reads a dictionary and the wanted codes.
pub(crate) fn decode_dictionary(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Texts> {
    let spelled = reader.u8()?;
    let count = reader.length(DICTIONARY_VALUES_MAX)?;
    let lengths = integers::decode(reader, count, &Wanted::All)?;
    let stored = blob::decode(reader)?;
    let mut views = Vec::with_capacity(count);
    let buffer = frame_views(spelled, stored, &lengths, 0, &mut views)?;
    let codes = integers::decode(reader, rows, wanted)?;
    let in_range = |code: i64| u32::try_from(code).ok().filter(|&code| (code as usize) < count);
    let codes: Option<Vec<u32>> = codes.into_iter().map(in_range).collect();
    let codes = codes.ok_or_else(|| corrupt("a dictionary code is out of range"))?;
    Ok(Texts { views, buffers: vec![buffer], codes: Some(codes) })
}

/// A frame at hand: how many values it holds, and its bytes unless no row of it is wanted.
pub(crate) type FrameBytes<'a> = (usize, Option<&'a [u8]>);

/// Reads the wanted values of frames.
pub(crate) fn decode_frames(
    reader: &mut Reader<'_>,
    frames: &[FrameBytes<'_>],
    rows: usize,
    wanted: &Wanted,
) -> Result<Texts> {
    let spelled = reader.u8()?;
    let lengths = integers::decode(reader, rows, &Wanted::All)?;
    let mut texts = Texts { views: Vec::with_capacity(wanted.count(rows)), buffers: Vec::new(), codes: None };
    let mut start = 0;
    let mut views = Vec::new();
    for &(count, bytes) in frames {
        let end = start + count;
        let frame_lengths = lengths.get(start..end).ok_or_else(|| corrupt("frames hold more values than rows"))?;
        if let Some(bytes) = bytes {
            let stored = blob::decode(&mut Reader::new(bytes))?;
            let into = if *wanted == Wanted::All { &mut texts.views } else { &mut views };
            let buffer = frame_views(spelled, stored, frame_lengths, texts.buffers.len() as u32, into)?;
            texts.buffers.push(buffer);
            if let Wanted::Rows(list) = wanted {
                let from = list.partition_point(|&row| (row as usize) < start);
                let to = list.partition_point(|&row| (row as usize) < end);
                texts.views.extend(list[from..to].iter().map(|&row| views[row as usize - start]));
                views.clear();
            }
        }
        start = end;
    }
    if start != rows || texts.views.len() != wanted.count(rows) {
        return Err(corrupt("frames do not hold the wanted rows"));
    }
    Ok(texts)
}

/// Appends one view per length over the texts that `stored` spells, and gives their buffer.
fn frame_views(spelled: u8, stored: Vec<u8>, lengths: &[i64], buffer: u32, views: &mut Vec<u128>) -> Result<Buffer> {
    let stored_bytes = stored.len();
    let texts = transform::undo(spelled, stored);
    let (mut at, mut stored_at) = (0_usize, 0_usize);
    views.reserve(lengths.len());
    for &length in lengths {
        let length = usize::try_from(length).ok().filter(|&length| length <= stored_bytes - stored_at);
        let length = length.ok_or_else(|| corrupt("lengths pass the bytes"))?;
        let text = transform::text_bytes(spelled, length)?;
        let value = texts.get(at..at + text).ok_or_else(|| corrupt("lengths pass the texts"))?;
        views.push(make_view(value, buffer, at as u32));
        at += text;
        stored_at += length;
    }
    if stored_at != stored_bytes {
        return Err(corrupt("lengths do not cover the bytes"));
    }
    Ok(Buffer::from_vec(texts))
}
