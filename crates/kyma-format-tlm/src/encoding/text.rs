//! Strings, and other bytes of varying content (a guid is 16 of them).
//!
//! ```text
//! CONSTANT_TEXT  blob
//! DICTIONARY     transform u8, values varint, lengths integers, bytes blob, codes integers
//! FRONT_DICTIONARY  transform u8, values varint, shared integers, rest integers, bytes blob, codes integers
//! FRAMES         transform u8, lengths integers; each frame is one blob
//! ```
//!
//! 1. One value: a constant.
//! 2. Values that repeat: a dictionary, in sorted order, or in order of appearance where that makes the codes so much
//!    smaller that the whole is (ids that come in bursts).
//!    A thorough writer also tries a sorted one whose values share their beginnings: each is stored as the number of bytes
//!    that it shares with the one before, and the rest.
//! 3. Strings that spell integers are stored as these where that is smaller, see `spelled`.
//! 4. Else frames of at most 8,192 rows, or of 1,024 where smaller ones lose nothing (unique ids are as large either way), so that a read of few rows decompresses little. Frames are cut by rows, nulls
//!    counted, so that a selection knows its frames before anything is read.
//!
//! Codes of frequent substrings (OnPair) were measured and are not among the layouts: on real messages, URLs and ids they take
//! 1.8 to 6 times the bytes of zstd frames, and come near (1.04) only on generated lines.

use std::collections::HashMap;

use arrow::buffer::BooleanBuffer;
use kyma_core::error::{Error, Result};
use xxhash_rust::xxh3::Xxh3Builder;

use super::column::PackedFrame;
use super::views::{Content, Views};
use super::wanted::Wanted;
use super::{THOROUGH, blob, integers, spelled, transform};
use crate::constants::{PAGE_ROWS, encoding};
use crate::limits::{DICTIONARY_BYTES_MAX, DICTIONARY_VALUES_MAX, FRAME_BYTES, FRAME_BYTES_MAX, FRAME_ROWS};
use crate::wire::{Reader, Writer, corrupt};

/// After this many values a column that hardly repeats is no longer tried as a dictionary.
const TRIED_VALUES: usize = 4_096;
/// Smaller frames are taken when they cost at most one byte in this many.
const SMALL_FRAMES_SHARE: usize = 50;
/// A dictionary up to this size is always sorted.
const SORTED_VALUES: usize = 256;

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
    let transformed = transform::choose(values);
    // Digits are hexadecimal too: they are tried as numbers first.
    let may_be_numbers = transformed == crate::constants::transform::NONE || values.iter().all(|it| it.len() <= 18);
    if let Some(whole) = may_be_numbers.then(|| spelled::encode(values, level)).transpose()?.flatten() {
        let dictionary = Dictionary::try_of(values).map(|dictionary| dictionary.encode(transformed, level));
        let smaller = dictionary.transpose()?.filter(|(_, dictionary)| dictionary.len() <= whole.len());
        let (encoding, head) = smaller.unwrap_or((encoding::SPELLED, whole));
        out.raw(&head);
        return Ok((encoding, Vec::new()));
    }
    encode_as(values, valid, transformed, level, out)
}

/// [`encode`] of bytes that are not text.
pub(crate) fn encode_bytes(
    values: &[&[u8]],
    valid: Option<&BooleanBuffer>,
    level: i32,
    out: &mut Writer,
) -> Result<(u8, Vec<PackedFrame>)> {
    encode_as(values, valid, crate::constants::transform::NONE, level, out)
}

fn encode_as(
    values: &[&[u8]],
    valid: Option<&BooleanBuffer>,
    spelled: u8,
    level: i32,
    out: &mut Writer,
) -> Result<(u8, Vec<PackedFrame>)> {
    if let Some(dictionary) = Dictionary::try_of(values) {
        let (encoding, head) = dictionary.encode(spelled, level)?;
        let spelled_bytes = values.iter().map(|value| value.len()).sum::<usize>() * 16 / 36;
        if spelled == crate::constants::transform::NONE || head.len() < spelled_bytes {
            out.raw(&head);
            return Ok((encoding, Vec::new()));
        }
    }
    let rows_max = if lose_little(values, spelled, level)? { PAGE_ROWS } else { FRAME_ROWS };
    let frames = encode_frames(values, valid, spelled, level, rows_max, out)?;
    Ok((encoding::FRAMES, frames))
}

/// Whether frames of one page are hardly larger than the usual ones: when the first page does not compress at all, or by the
/// first usual frame where there is time to look.
fn lose_little(values: &[&[u8]], spelled: u8, level: i32) -> Result<bool> {
    let sample = &values[..values.len().min(FRAME_ROWS)];
    if sample.iter().map(|value| value.len()).sum::<usize>() > FRAME_BYTES {
        return Ok(false);
    }
    let stored: Vec<_> = sample.iter().map(|value| transform::apply(spelled, value)).collect();
    let compressed = |part: &[std::borrow::Cow<'_, [u8]>]| {
        let mut out = Writer::default();
        blob::encode(&part.concat(), level, &mut out)?;
        Ok::<_, Error>(out.bytes.len())
    };
    let first = &stored[..stored.len().min(PAGE_ROWS)];
    let first_bytes: usize = first.iter().map(|value| value.len()).sum();
    let is_noise = compressed(first)? > first_bytes;
    if is_noise || level < THOROUGH {
        return Ok(is_noise);
    }
    let pages = stored.chunks(PAGE_ROWS).map(compressed).sum::<Result<usize>>()?;
    let whole = compressed(&stored)?;
    Ok(pages <= whole + whole / SMALL_FRAMES_SHARE)
}

/// Appends the head of values without nulls and gives their frames, a page each.
pub(crate) fn encode_pages(values: &[&[u8]], is_text: bool, level: i32, out: &mut Writer) -> Result<Vec<PackedFrame>> {
    let spelled = if is_text { transform::choose(values) } else { crate::constants::transform::NONE };
    encode_frames(values, None, spelled, level, PAGE_ROWS, out)
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

    /// The smallest dictionary, and its encoding.
    fn encode(self, spelled: u8, level: i32) -> Result<(u8, Vec<u8>)> {
        let mut by_value: Vec<u32> = (0..self.values.len() as u32).collect();
        by_value.sort_unstable_by_key(|&at| self.values[at as usize]);
        let mut rank = vec![0_i64; by_value.len()];
        by_value.iter().enumerate().for_each(|(place, &at)| rank[at as usize] = place as i64);
        let sorted_values: Vec<&[u8]> = by_value.iter().map(|&at| self.values[at as usize]).collect();
        let sorted_codes: Vec<i64> = self.codes.iter().map(|&code| rank[code as usize]).collect();
        let sorted = encode_dictionary(&sorted_values, &sorted_codes, spelled, level)?;
        let mut smallest = (encoding::DICTIONARY, sorted);
        if level >= THOROUGH {
            let front = encode_front_dictionary(&sorted_values, &sorted_codes, spelled, level)?;
            if front.len() < smallest.1.len() {
                smallest = (encoding::FRONT_DICTIONARY, front);
            }
        }
        if self.values.len() > SORTED_VALUES {
            let appeared = encode_dictionary(&self.values, &self.codes, spelled, level)?;
            if appeared.len() < smallest.1.len() {
                smallest = (encoding::DICTIONARY, appeared);
            }
        }
        Ok(smallest)
    }
}

fn encode_dictionary(values: &[&[u8]], codes: &[i64], spelled: u8, level: i32) -> Result<Vec<u8>> {
    let mut out = Writer::default();
    let stored: Vec<_> = values.iter().map(|value| transform::apply(spelled, value)).collect();
    out.u8(spelled);
    out.length(values.len());
    integers::encode(&stored.iter().map(|value| value.len() as i64).collect::<Vec<_>>(), &mut out);
    blob::encode(&stored.concat(), level, &mut out)?;
    integers::encode_at(codes, level, &mut out)?;
    Ok(out.bytes)
}

fn encode_front_dictionary(values: &[&[u8]], codes: &[i64], spelled: u8, level: i32) -> Result<Vec<u8>> {
    let mut out = Writer::default();
    let (mut shared, mut rest, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let mut before: Vec<u8> = Vec::new();
    for value in values {
        let stored = transform::apply(spelled, value);
        let same = before.iter().zip(stored.iter()).take_while(|(a, b)| a == b).count();
        shared.push(same as i64);
        rest.push((stored.len() - same) as i64);
        bytes.extend_from_slice(&stored[same..]);
        before = stored.into_owned();
    }
    out.u8(spelled);
    out.length(values.len());
    integers::encode_at(&shared, level, &mut out)?;
    integers::encode_at(&rest, level, &mut out)?;
    blob::encode(&bytes, level, &mut out)?;
    integers::encode_at(codes, level, &mut out)?;
    Ok(out.bytes)
}

fn encode_frames(
    values: &[&[u8]],
    valid: Option<&BooleanBuffer>,
    spelled: u8,
    level: i32,
    rows_max: usize,
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
        if frame_rows == rows_max || bytes.len() >= FRAME_BYTES || row + 1 == rows {
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
pub(crate) fn decode_constant(reader: &mut Reader<'_>, content: Content, count: usize) -> Result<Views> {
    let value = blob::decode(reader)?;
    let mut views = Views::new(content, 1);
    let length = value.len();
    views.append(value, std::iter::once(Ok(length)), None)?;
    views.replicate(std::iter::repeat_n(0, count))?;
    Ok(views)
}

/// Reads a dictionary, front-coded or not, and the wanted codes.
pub(crate) fn decode_dictionary(
    reader: &mut Reader<'_>,
    content: Content,
    is_front: bool,
    rows: usize,
    wanted: &Wanted,
) -> Result<Views> {
    let mut views = decode_dictionary_values(reader, content, is_front)?;
    let codes = integers::decode(reader, rows, wanted)?;
    views.replicate(codes.into_iter().map(|code| usize::try_from(code).unwrap_or(usize::MAX)))?;
    Ok(views)
}

/// Reads the values of a dictionary, which its codes follow.
pub(crate) fn decode_dictionary_values(reader: &mut Reader<'_>, content: Content, is_front: bool) -> Result<Views> {
    let spelled = reader.u8()?;
    let count = reader.length(DICTIONARY_VALUES_MAX)?;
    let shared = if is_front { Some(integers::decode(reader, count, &Wanted::All)?) } else { None };
    let mut lengths = integers::decode(reader, count, &Wanted::All)?;
    let mut stored = blob::decode(reader)?;
    if let Some(shared) = shared {
        stored = undo_front(&shared, &mut lengths, &stored)?;
    }
    let mut views = Views::new(content, count);
    append(&mut views, spelled, stored, &lengths, None)?;
    Ok(views)
}

/// The bytes of values that share their beginnings; turns the lengths of what follows these into whole lengths.
fn undo_front(shared: &[i64], lengths: &mut [i64], bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stored: Vec<u8> = Vec::with_capacity(bytes.len());
    let (mut at, mut before) = (0_usize, 0..0_usize);
    for (&shared, length) in shared.iter().zip(lengths) {
        let rest = usize::try_from(*length).ok().and_then(|length| bytes.get(at..)?.get(..length));
        let rest = rest.ok_or_else(|| corrupt("front-coded values pass their bytes"))?;
        let same = usize::try_from(shared).ok().filter(|&same| same <= before.len());
        let same = before.start..before.start + same.ok_or_else(|| corrupt("a value shares more than there is"))?;
        let start = stored.len();
        if start + same.len() + rest.len() > FRAME_BYTES_MAX {
            return Err(corrupt("a front-coded dictionary is too large"));
        }
        stored.extend_from_within(same);
        stored.extend_from_slice(rest);
        before = start..stored.len();
        *length = before.len() as i64;
        at += rest.len();
    }
    if at == bytes.len() { Ok(stored) } else { Err(corrupt("front-coded values do not cover their bytes")) }
}

/// A frame at hand: how many values it holds, and its bytes unless no row of it is wanted.
pub(crate) type FrameBytes<'a> = (usize, Option<&'a [u8]>);

/// Every value of the frames that are there: their lengths are needed.
fn within_frames(frames: &[FrameBytes<'_>], wanted: &Wanted) -> Wanted {
    if matches!(wanted, Wanted::All) && frames.iter().all(|(_, bytes)| bytes.is_some()) {
        return Wanted::All;
    }
    let (mut rows, mut start) = (Vec::new(), 0_u32);
    for &(count, bytes) in frames {
        let end = start + count as u32;
        rows.extend(bytes.iter().flat_map(|_| start..end));
        start = end;
    }
    Wanted::Rows(rows)
}

/// Reads the wanted values of frames.
pub(crate) fn decode_frames(
    reader: &mut Reader<'_>,
    content: Content,
    frames: &[FrameBytes<'_>],
    rows: usize,
    wanted: &Wanted,
) -> Result<Views> {
    let spelled = reader.u8()?;
    if frames.iter().map(|(count, _)| count).sum::<usize>() != rows {
        return Err(corrupt("frames do not hold the rows"));
    }
    let lengths = integers::decode(reader, rows, &within_frames(frames, wanted))?;
    let mut lengths = lengths.as_slice();
    let mut views = Views::new(content, wanted.count(rows));
    let mut start = 0;
    for &(count, bytes) in frames {
        let end = start + count;
        if let Some(bytes) = bytes {
            let (frame_lengths, rest) = lengths.split_at_checked(count).ok_or_else(|| corrupt("lengths end early"))?;
            lengths = rest;
            let stored = blob::decode(&mut Reader::new(bytes))?;
            append(&mut views, spelled, stored, frame_lengths, wanted.within(start, end).as_deref())?;
        }
        start = end;
    }
    if views.len() != wanted.count(rows) {
        return Err(corrupt("frames do not hold the wanted rows"));
    }
    Ok(views)
}

/// Places, ascending, of the values in frames that are equal to one of `needles`; of frames that are not there, none.
pub(crate) fn find_in_frames(
    reader: &mut Reader<'_>,
    frames: &[FrameBytes<'_>],
    rows: usize,
    needles: &[&[u8]],
) -> Result<Vec<usize>> {
    let spelled = reader.u8()?;
    transform::text_bytes(spelled, 0)?;
    if frames.iter().map(|(count, _)| count).sum::<usize>() != rows {
        return Err(corrupt("frames do not hold the rows"));
    }
    let needles: Vec<_> = needles.iter().filter(|needle| transform::fits(spelled, needle)).collect();
    let needles: Vec<_> = needles.into_iter().map(|needle| transform::apply(spelled, needle)).collect();
    let lengths = integers::decode(reader, rows, &within_frames(frames, &Wanted::Rows(Vec::new())))?;
    let mut lengths = lengths.as_slice();
    let (mut found, mut start) = (Vec::new(), 0);
    for &(count, bytes) in frames {
        if let Some(bytes) = bytes {
            let (frame_lengths, rest) = lengths.split_at_checked(count).ok_or_else(|| corrupt("lengths end early"))?;
            lengths = rest;
            let stored = blob::Packed::read(&mut Reader::new(bytes))?.bytes()?;
            let mut at = 0_usize;
            for (place, &length) in frame_lengths.iter().enumerate() {
                let end = usize::try_from(length).ok().and_then(|length| at.checked_add(length));
                let value = end.and_then(|end| stored.get(at..end)).ok_or_else(|| corrupt("lengths pass the bytes"))?;
                if needles.iter().any(|needle| needle.as_ref() == value) {
                    found.push(start + place);
                }
                at += value.len();
            }
        }
        start += count;
    }
    Ok(found)
}

/// Appends the values that `stored` bytes spell, `lengths` of them to each.
fn append(views: &mut Views, spelled: u8, stored: Vec<u8>, lengths: &[i64], wanted: Option<&[u32]>) -> Result<()> {
    let stored_bytes = stored.len();
    let lengths = lengths.iter().map(|&length| {
        let length = usize::try_from(length).ok().filter(|&length| length <= stored_bytes);
        transform::text_bytes(spelled, length.ok_or_else(|| corrupt("lengths pass the bytes"))?)
    });
    views.append(transform::undo(spelled, stored), lengths, wanted)
}
