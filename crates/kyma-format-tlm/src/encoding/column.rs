//! The dispatch: an Arrow array to head and frames, and back.
//!
//! 1. Nulls are taken out into a validity prefix of the head; the values that remain are stored without gaps.
//! 2. The type decides which module encodes them.
//! 3. Reading goes backwards: wanted rows become places among the values, those are decoded, and nulls are put back.
//!
//! `head = validity u8 [, blob bitmap], values`. The values of `DIFFERENCE` are `integers` to be added, modulo 2^64, to
//! those of an earlier column of the block; neither column has nulls, and the earlier one is not a `DIFFERENCE` itself.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, DurationNanosecondArray, Float64Array, Int32Array,
    Int64Array, TimestampNanosecondArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    Decimal128Type, DurationNanosecondType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType,
};
use kyma_core::error::{Error, Result};
use kyma_core::types::{DECIMAL_PRECISION, DECIMAL_SCALE, Type};

use super::filler::Filler;
use super::text::FrameBytes;
use super::views::{Content, Views};
use super::wanted::Wanted;
use super::{blob, integers, numbers, template, text};
use crate::constants::{encoding, validity};
use crate::wire::{Reader, Writer, corrupt};

/// Rows looked at before differences to another column are tried.
const DIFFERENCE_SAMPLE: usize = 64;

/// What a footer says of a piece takes about this many bytes.
const PIECE_BYTES: usize = 14;

/// A column of a block as bytes.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// One of [`crate::constants::encoding`].
    pub(crate) encoding: u8,
    /// What every read needs.
    pub(crate) head: Vec<u8>,
    /// Rows and bytes of what only a read of these rows needs.
    pub(crate) frames: Vec<PackedFrame>,
}

impl Packed {
    /// Bytes of head and frames, and about what the footer says of them.
    pub(crate) fn bytes(&self) -> usize {
        let frames = self.frames.iter().map(|frame| PIECE_BYTES / 2 + frame.bytes.len());
        PIECE_BYTES + self.head.len() + frames.sum::<usize>()
    }
}

/// A part of a column, cut by rows.
#[derive(Debug)]
pub(crate) struct PackedFrame {
    pub(crate) rows: u32,
    pub(crate) bytes: Vec<u8>,
}

/// A column of a block as it came from the store; a frame is absent when none of its rows are wanted.
#[derive(Debug)]
pub(crate) struct Fetched<'a> {
    pub(crate) encoding: u8,
    pub(crate) head: &'a [u8],
    pub(crate) frames: Vec<(u32, Option<&'a [u8]>)>,
    /// Of differences: encoding and head of the column that they are differences to.
    pub(crate) base: Option<(u8, &'a [u8])>,
    /// Of templates: what else their lines are made of.
    pub(crate) lines: Option<&'a template::Context<'a>>,
}

/// The name of an encoding, for people.
pub(crate) fn name(encoding: u8) -> &'static str {
    match encoding {
        encoding::NULL => "null",
        encoding::INTEGERS => "integers",
        encoding::DECIMAL_REAL => "decimal-real",
        encoding::PLANES_REAL => "planes-real",
        encoding::SCALED_DECIMAL => "scaled-decimal",
        encoding::WIDE_DECIMAL => "wide-decimal",
        encoding::CONSTANT_TEXT => "constant-text",
        encoding::DICTIONARY => "dictionary",
        encoding::FRAMES => "frames",
        encoding::DIFFERENCE => "difference",
        encoding::TEMPLATE => "template",
        encoding::RESIDUE => "residue",
        _ => "unknown",
    }
}

/// Encodes `array`, which has the Arrow type of `ty`.
pub(crate) fn encode(ty: Type, array: &dyn Array, level: i32) -> Result<Packed> {
    if array.null_count() == array.len() {
        return Ok(Packed::default());
    }
    let (mut out, places, valid) = start(array, level)?;
    let (encoding, frames) = encode_values(ty, array, &places, valid.as_ref(), level, &mut out)?;
    Ok(Packed { encoding, head: out.bytes, frames })
}

/// A head that says which rows are null, the places of the others, and the bits of both where some row is null.
pub(crate) fn start(array: &dyn Array, level: i32) -> Result<(Writer, Vec<usize>, Option<BooleanBuffer>)> {
    let valid = array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| nulls.inner().clone());
    let mut out = Writer::default();
    let places = match &valid {
        None => {
            out.u8(validity::ALL);
            (0..array.len()).collect()
        }
        Some(bits) => {
            out.u8(validity::BITMAP);
            blob::encode(bitmap_bytes(bits).as_slice(), level, &mut out)?;
            bits.set_indices().collect()
        }
    };
    Ok((out, places, valid))
}

/// The bits from the first byte on, zero after the last: slices of one array give the same bytes.
fn bitmap_bytes(bits: &BooleanBuffer) -> Buffer {
    BooleanBuffer::collect_bool(bits.len(), |row| bits.value(row)).into_inner()
}

fn encode_values(
    ty: Type,
    array: &dyn Array,
    places: &[usize],
    valid: Option<&BooleanBuffer>,
    level: i32,
    out: &mut Writer,
) -> Result<(u8, Vec<PackedFrame>)> {
    let encoding = match ty {
        Type::Bool | Type::Int | Type::Long | Type::Datetime | Type::Timespan => {
            integers::encode(&integers_of(ty, array, places), out);
            encoding::INTEGERS
        }
        Type::Real => {
            let reals = array.as_primitive::<Float64Type>().values();
            numbers::encode_reals(&places.iter().map(|&at| reals[at]).collect::<Vec<_>>(), level, out)?
        }
        Type::Decimal => {
            let decimals = array.as_primitive::<Decimal128Type>().values();
            numbers::encode_decimals(&places.iter().map(|&at| decimals[at]).collect::<Vec<_>>(), level, out)?
        }
        Type::Guid => {
            let guids = array.as_fixed_size_binary();
            let values: Vec<&[u8]> = places.iter().map(|&at| guids.value(at)).collect();
            return text::encode_bytes(&values, valid, level, out);
        }
        Type::String | Type::Dynamic => {
            let strings = array.as_string_view();
            let values: Vec<&[u8]> = places.iter().map(|&at| strings.value(at).as_bytes()).collect();
            return text::encode(&values, valid, level, out);
        }
    };
    Ok((encoding, Vec::new()))
}

fn integers_of(ty: Type, array: &dyn Array, places: &[usize]) -> Vec<i64> {
    let pick = |values: &[i64]| places.iter().map(|&at| values[at]).collect();
    match ty {
        Type::Bool => places.iter().map(|&at| i64::from(array.as_boolean().value(at))).collect(),
        Type::Int => {
            let values = array.as_primitive::<Int32Type>().values();
            places.iter().map(|&at| i64::from(values[at])).collect()
        }
        Type::Datetime => pick(array.as_primitive::<TimestampNanosecondType>().values()),
        Type::Timespan => pick(array.as_primitive::<DurationNanosecondType>().values()),
        _ => pick(array.as_primitive::<Int64Type>().values()),
    }
}

/// The values of a 64-bit integer column without nulls: what differences are made of.
pub(crate) fn wide_integers(ty: Type, array: &dyn Array) -> Option<ScalarBuffer<i64>> {
    if array.null_count() > 0 || array.is_empty() {
        return None;
    }
    match ty {
        Type::Long => Some(array.as_primitive::<Int64Type>().values().clone()),
        Type::Datetime => Some(array.as_primitive::<TimestampNanosecondType>().values().clone()),
        Type::Timespan => Some(array.as_primitive::<DurationNanosecondType>().values().clone()),
        _ => None,
    }
}

/// Encodes `values` as differences to `base`; `None` when a sample says that these are many.
pub(crate) fn encode_difference(values: &[i64], base: &[i64]) -> Option<Packed> {
    let difference = |at: usize| values[at].wrapping_sub(base[at]);
    let step = values.len().div_ceil(DIFFERENCE_SAMPLE).max(1);
    let sample: HashSet<i64> = (0..values.len()).step_by(step).map(difference).collect();
    if sample.len() > DIFFERENCE_SAMPLE / 4 {
        return None;
    }
    let mut out = Writer::default();
    out.u8(validity::ALL);
    integers::encode(&(0..values.len()).map(difference).collect::<Vec<_>>(), &mut out);
    Some(Packed { encoding: encoding::DIFFERENCE, head: out.bytes, frames: Vec::new() })
}

/// Decodes a column of `rows` rows stored as `from`, read as `to` (the same, or one it promotes to); all rows, or those
/// that `selection` has set.
pub(crate) fn decode(
    fetched: &Fetched<'_>,
    rows: usize,
    from: Type,
    to: Type,
    selection: Option<&BooleanBuffer>,
) -> Result<ArrayRef> {
    let selection = selection.filter(|bits| bits.count_set_bits() < rows);
    let wanted_rows = selection.map_or(rows, BooleanBuffer::count_set_bits);
    if fetched.encoding == encoding::NULL || !kyma_core::stats::can_promote(from, to) {
        return Ok(new_null_array(&to.arrow(), wanted_rows));
    }
    let mut reader = Reader::new(fetched.head);
    let valid = decode_validity(&mut reader, rows)?;
    let values = valid.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
    let (wanted, nulls) = places(valid.as_ref(), selection);
    let filler = Filler { nulls, wanted_rows };
    let column = Column { fetched, reader, rows, values, wanted, valid };
    column.decode(from, to, filler)
}

fn decode_validity(reader: &mut Reader<'_>, rows: usize) -> Result<Option<BooleanBuffer>> {
    match reader.u8()? {
        validity::ALL => Ok(None),
        validity::BITMAP => {
            let bytes = blob::decode(reader)?;
            if bytes.len() < rows.div_ceil(8) {
                return Err(corrupt("a validity bitmap is too short"));
            }
            Ok(Some(BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows)))
        }
        _ => Err(corrupt("unknown kind of validity")),
    }
}

/// Which stored values the selected rows have, and the nulls of the output.
fn places(valid: Option<&BooleanBuffer>, selection: Option<&BooleanBuffer>) -> (Wanted, Option<NullBuffer>) {
    match (valid, selection) {
        (None, None) => (Wanted::All, None),
        (Some(valid), None) => (Wanted::All, Some(NullBuffer::new(valid.clone()))),
        (None, Some(selection)) => (Wanted::Rows(selection.set_indices().map(|row| row as u32).collect()), None),
        (Some(valid), Some(selection)) => {
            let (mut list, mut bits) = (Vec::new(), Vec::new());
            let mut before = 0_u32;
            for row in 0..valid.len() {
                let is_valid = valid.value(row);
                if selection.value(row) {
                    bits.push(is_valid);
                    if is_valid {
                        list.push(before);
                    }
                }
                before += u32::from(is_valid);
            }
            (Wanted::Rows(list), Some(NullBuffer::from(bits)))
        }
    }
}

struct Column<'a, 'b> {
    fetched: &'b Fetched<'a>,
    reader: Reader<'a>,
    rows: usize,
    values: usize,
    wanted: Wanted,
    valid: Option<BooleanBuffer>,
}

impl Column<'_, '_> {
    fn decode(mut self, from: Type, to: Type, filler: Filler) -> Result<ArrayRef> {
        match from {
            Type::Bool | Type::Int | Type::Long | Type::Datetime | Type::Timespan => {
                self.expect(&[encoding::INTEGERS, encoding::DIFFERENCE])?;
                let mut integers = integers::decode(&mut self.reader, self.values, &self.wanted)?;
                if self.fetched.encoding == encoding::DIFFERENCE {
                    self.add_base(&mut integers)?;
                }
                let integers = filler.fill(integers)?;
                integer_array(to, integers, filler.nulls)
            }
            Type::Real => {
                self.expect(&[encoding::DECIMAL_REAL, encoding::PLANES_REAL])?;
                let reals = match self.fetched.encoding {
                    encoding::DECIMAL_REAL => {
                        numbers::decode_decimal_reals(&mut self.reader, self.values, &self.wanted)?
                    }
                    _ => numbers::decode_planes(&mut self.reader, self.values, &self.wanted)?,
                };
                let reals = filler.fill(reals)?;
                Ok(Arc::new(Float64Array::new(reals.into(), filler.nulls)))
            }
            Type::Decimal => {
                self.expect(&[encoding::SCALED_DECIMAL, encoding::WIDE_DECIMAL])?;
                let decimals = match self.fetched.encoding {
                    encoding::SCALED_DECIMAL => {
                        numbers::decode_scaled_decimals(&mut self.reader, self.values, &self.wanted)?
                    }
                    _ => numbers::decode_wide_decimals(&mut self.reader, self.values, &self.wanted)?,
                };
                let decimals = Decimal128Array::new(filler.fill(decimals)?.into(), filler.nulls);
                let decimals = decimals.with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE);
                Ok(Arc::new(decimals.map_err(|error| corrupt("decimals have the wrong scale").because(error))?))
            }
            Type::Guid => self.views(Content::Bytes)?.into_guids(filler),
            Type::String if self.fetched.encoding == encoding::TEMPLATE => self.lines(&filler)?.into_strings(filler),
            Type::String | Type::Dynamic => self.views(Content::Text)?.into_strings(filler),
        }
    }

    /// Turns differences into values. Neither column has nulls, so that one's rows are the other's.
    fn add_base(&self, differences: &mut [i64]) -> Result<()> {
        let (base_encoding, head) = self.fetched.base.ok_or_else(|| corrupt("differences without a base"))?;
        let mut reader = Reader::new(head);
        let has_nulls = self.valid.is_some() || reader.u8()? != validity::ALL;
        if base_encoding != encoding::INTEGERS || has_nulls {
            return Err(corrupt("a base does not fit its differences"));
        }
        let base = integers::decode(&mut reader, self.rows, &self.wanted)?;
        for (difference, base) in differences.iter_mut().zip(base) {
            *difference = difference.wrapping_add(base);
        }
        Ok(())
    }

    fn expect(&self, encodings: &[u8]) -> Result<()> {
        let fits = encodings.contains(&self.fetched.encoding);
        if fits { Ok(()) } else { Err(corrupt("the encoding does not fit the type")) }
    }

    fn views(&mut self, content: Content) -> Result<Views> {
        match self.fetched.encoding {
            encoding::CONSTANT_TEXT => text::decode_constant(&mut self.reader, content, self.wanted.count(self.values)),
            encoding::DICTIONARY => text::decode_dictionary(&mut self.reader, content, self.values, &self.wanted),
            encoding::FRAMES => {
                let frames = self.frames_by_value()?;
                let mut reader = self.reader;
                text::decode_frames(&mut reader, content, &frames, self.values, &self.wanted)
            }
            _ => Err(corrupt("the encoding does not fit the type")),
        }
    }

    /// Lines of templates.
    fn lines(&mut self, filler: &Filler) -> Result<Views> {
        let context = self.fetched.lines.ok_or_else(|| corrupt("lines without their templates"))?;
        let frames = self.frames_by_value()?;
        let valid_rows: Option<Vec<usize>> = filler.nulls.as_ref().map(|nulls| nulls.inner().set_indices().collect());
        let row_of = |nth: usize| match &valid_rows {
            None => nth,
            Some(rows) => rows.get(nth).copied().unwrap_or(usize::MAX),
        };
        let mut reader = self.reader;
        template::decode(&mut reader, &frames, self.values, &self.wanted, row_of, context)
    }

    /// Frames know rows; values are counted by validity.
    fn frames_by_value(&self) -> Result<Vec<FrameBytes<'_>>> {
        let mut start = 0_usize;
        let mut frames = Vec::with_capacity(self.fetched.frames.len());
        for &(rows, bytes) in &self.fetched.frames {
            let rows = rows as usize;
            if rows > self.rows - start {
                return Err(corrupt("frames hold more rows than the block"));
            }
            let values = match &self.valid {
                None => rows,
                Some(valid) => valid.slice(start, rows).count_set_bits(),
            };
            frames.push((values, bytes));
            start += rows;
        }
        Ok(frames)
    }
}

/// Per row of a column of lines: the code of its template; `None` where the row is null.
pub(crate) fn template_codes(fetched: &Fetched<'_>, rows: usize) -> Result<Vec<Option<u32>>> {
    let mut reader = Reader::new(fetched.head);
    let valid = decode_validity(&mut reader, rows)?;
    let values = valid.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
    let mut codes = template::decode_codes(&mut reader, values)?.into_iter();
    let is_valid = |row: usize| valid.as_ref().is_none_or(|valid| valid.value(row));
    Ok((0..rows).map(|row| if is_valid(row) { codes.next() } else { None }).collect())
}

fn integer_array(to: Type, values: Vec<i64>, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    Ok(match to {
        Type::Bool => Arc::new(BooleanArray::new(values.iter().map(|&value| value != 0).collect(), nulls)),
        Type::Int => Arc::new(Int32Array::new(values.iter().map(|&value| value as i32).collect(), nulls)),
        Type::Long => Arc::new(Int64Array::new(values.into(), nulls)),
        Type::Datetime => Arc::new(TimestampNanosecondArray::new(values.into(), nulls)),
        Type::Timespan => Arc::new(DurationNanosecondArray::new(values.into(), nulls)),
        Type::Real => Arc::new(Float64Array::new(values.iter().map(|&value| value as f64).collect(), nulls)),
        _ => return Err(Error::internal("integers do not promote to this type")),
    })
}

#[cfg(test)]
mod tests;
