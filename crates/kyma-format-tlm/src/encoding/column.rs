//! The dispatch: an Arrow array to head and frames, and back.
//!
//! 1. Nulls are taken out into a validity prefix of the head; the values that remain are stored without gaps.
//! 2. The type decides which module encodes them.
//! 3. Reading goes backwards: wanted rows become places among the values, those are decoded, and nulls are put back.
//!
//! `head = validity u8 [, blob bitmap], values`. The values of `DIFFERENCE` are `integers` to be added, modulo 2^64, to
//! those of an earlier column of the block; neither column has nulls, and the earlier one is not a `DIFFERENCE` itself.
//! The values of `QUOTIENT` are `unit varint, integers` to be added to what an earlier `DIFFERENCE` of the block holds, divided
//! by the unit and rounded down: a duration in microseconds beside start and end in nanoseconds takes nothing.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, Decimal128Array, DictionaryArray,
    DurationNanosecondArray, Float64Array, Int32Array, Int64Array, TimestampNanosecondArray, new_null_array,
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
use super::{blob, integers, numbers, reals, spelled, template, text};
use crate::constants::{encoding, validity};
use crate::wire::{Reader, Writer, corrupt};

/// Rows looked at before differences to another column are tried.
const DIFFERENCE_SAMPLE: usize = 64;
/// Nanoseconds of the units that durations are kept in.
const QUOTIENT_UNITS: [i64; 4] = [1, 1_000, 1_000_000, 1_000_000_000];

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
        encoding::SHARED => "shared-dictionary",
        encoding::QUOTIENT => "quotient",
        encoding::SPELLED => "spelled",
        encoding::DICTIONARY_REAL => "dictionary-real",
        encoding::ORDERED_REAL => "ordered-real",
        encoding::XOR_REAL => "xor-real",
        encoding::FRONT_DICTIONARY => "front-dictionary",
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
    let mut out = Writer::default();
    let valid = encode_validity(array, level, &mut out)?;
    let places = match &valid {
        None => (0..array.len()).collect(),
        Some(bits) => bits.set_indices().collect(),
    };
    Ok((out, places, valid))
}

/// Appends which rows of `array` are valid; gives the bits unless all are.
fn encode_validity(array: &dyn Array, level: i32, out: &mut Writer) -> Result<Option<BooleanBuffer>> {
    let valid = array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| nulls.inner().clone());
    match &valid {
        None => out.u8(validity::ALL),
        Some(bits) => {
            out.u8(validity::BITMAP);
            blob::encode(bitmap_bytes(bits).as_slice(), level, out)?;
        }
    }
    Ok(valid)
}

/// Encodes the `codes` that the valid rows of `array` have in a shared dictionary.
pub(crate) fn encode_codes(array: &dyn Array, codes: &[i64], level: i32) -> Result<Packed> {
    if array.null_count() == array.len() {
        return Ok(Packed::default());
    }
    let mut out = Writer::default();
    encode_validity(array, level, &mut out)?;
    integers::encode_at(codes, level, &mut out)?;
    Ok(Packed { encoding: encoding::SHARED, head: out.bytes, frames: Vec::new() })
}

/// Encodes the values of a shared dictionary, a page to a frame.
pub(crate) fn encode_pages(ty: Type, values: &[&[u8]], level: i32) -> Result<Packed> {
    let mut out = Writer::default();
    out.u8(validity::ALL);
    let frames = text::encode_pages(values, ty == Type::String, level, &mut out)?;
    Ok(Packed { encoding: encoding::FRAMES, head: out.bytes, frames })
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
            integers::encode_at(&integers_of(ty, array, places), level, out)?;
            encoding::INTEGERS
        }
        Type::Real => {
            let reals = array.as_primitive::<Float64Type>().values();
            reals::encode(&places.iter().map(|&at| reals[at]).collect::<Vec<_>>(), level, out)?
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

/// Encodes `values` as differences to `base`, and gives these too; `None` when a sample says that they are many and only
/// few are asked for.
pub(crate) fn encode_difference(
    values: &[i64],
    base: &[i64],
    only_few: bool,
    level: i32,
) -> Result<Option<(Packed, Vec<i64>)>> {
    let difference = |at: usize| values[at].wrapping_sub(base[at]);
    if only_few && !are_few(values.len(), difference) {
        return Ok(None);
    }
    let differences: Vec<i64> = (0..values.len()).map(difference).collect();
    let mut out = Writer::default();
    out.u8(validity::ALL);
    integers::encode_at(&differences, level, &mut out)?;
    Ok(Some((Packed { encoding: encoding::DIFFERENCE, head: out.bytes, frames: Vec::new() }, differences)))
}

/// Encodes `values` as what remains of them beside the quotients of `differences`; `None` when a sample says that what
/// remains is many numbers for every unit.
pub(crate) fn encode_quotient(values: &[i64], differences: &[i64], level: i32) -> Result<Option<Packed>> {
    for unit in QUOTIENT_UNITS {
        let remaining = |at: usize| values[at].wrapping_sub(differences[at].div_euclid(unit));
        if !are_few(values.len(), remaining) {
            continue;
        }
        let mut out = Writer::default();
        out.u8(validity::ALL);
        out.varint(unit as u64);
        integers::encode_at(&(0..values.len()).map(remaining).collect::<Vec<_>>(), level, &mut out)?;
        return Ok(Some(Packed { encoding: encoding::QUOTIENT, head: out.bytes, frames: Vec::new() }));
    }
    Ok(None)
}

/// Whether `durations` are the differences of `ends` and `starts` in some unit, by a sample. Equal columns are none.
pub(crate) fn is_span(starts: &[i64], ends: &[i64], durations: &[i64]) -> bool {
    let difference = |at: usize| ends[at].wrapping_sub(starts[at]);
    if are_few(starts.len(), difference) || are_few(durations.len(), |at| durations[at]) {
        return false;
    }
    QUOTIENT_UNITS
        .iter()
        .any(|&unit| are_few(durations.len(), |at| durations[at].wrapping_sub(difference(at).div_euclid(unit))))
}

/// Whether a sample of `count` numbers holds few different ones.
fn are_few(count: usize, number: impl Fn(usize) -> i64) -> bool {
    let step = count.div_ceil(DIFFERENCE_SAMPLE).max(1);
    let sample: HashSet<i64> = (0..count).step_by(step).map(number).collect();
    sample.len() <= DIFFERENCE_SAMPLE / 4
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

/// Decodes a column of strings that is stored as a dictionary into one of Arrow's; `None` when it is stored otherwise.
pub(crate) fn decode_coded(
    fetched: &Fetched<'_>,
    rows: usize,
    selection: Option<&BooleanBuffer>,
) -> Result<Option<ArrayRef>> {
    if !matches!(fetched.encoding, encoding::CONSTANT_TEXT | encoding::DICTIONARY | encoding::FRONT_DICTIONARY) {
        return Ok(None);
    }
    let selection = selection.filter(|bits| bits.count_set_bits() < rows);
    let mut reader = Reader::new(fetched.head);
    let valid = decode_validity(&mut reader, rows)?;
    let values = valid.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
    let (wanted, nulls) = places(valid.as_ref(), selection);
    let (views, codes) = match fetched.encoding {
        encoding::CONSTANT_TEXT => {
            (text::decode_constant(&mut reader, Content::Text, 1)?, vec![0; wanted.count(values)])
        }
        found => {
            let is_front = found == encoding::FRONT_DICTIONARY;
            let views = text::decode_dictionary_values(&mut reader, Content::Text, is_front)?;
            let codes = integers::decode(&mut reader, values, &wanted)?;
            let known = views.len() as i64;
            if codes.iter().any(|code| !(0..known).contains(code)) {
                return Err(corrupt("a dictionary code is out of range"));
            }
            (views, codes.into_iter().map(|code| code as i32).collect())
        }
    };
    let distinct = views.len();
    let values = views.into_strings(Filler { nulls: None, wanted_rows: distinct })?;
    let filler = Filler { nulls, wanted_rows: selection.map_or(rows, BooleanBuffer::count_set_bits) };
    let keys = Int32Array::try_new(filler.fill(codes)?.into(), filler.nulls);
    let keys = keys.map_err(|error| corrupt("a column has the wrong number of values").because(error))?;
    let coded = DictionaryArray::try_new(keys, values).map_err(|error| corrupt("codes are broken").because(error))?;
    Ok(Some(Arc::new(coded)))
}

/// The rows of a column of strings in frames that are equal to one of `needles`, among the rows whose frames are there.
pub(crate) fn find_equal(fetched: &Fetched<'_>, rows: usize, needles: &[&[u8]]) -> Result<BooleanBuffer> {
    let mut reader = Reader::new(fetched.head);
    let valid = decode_validity(&mut reader, rows)?;
    let values = valid.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
    let column = Column { fetched, reader, rows, values, wanted: Wanted::All, valid };
    column.expect(&[encoding::FRAMES])?;
    let frames = column.frames_by_value()?;
    let mut reader = column.reader;
    let found = text::find_in_frames(&mut reader, &frames, values, needles)?;
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, false);
    match &column.valid {
        None => found.into_iter().for_each(|row| bits.set_bit(row, true)),
        Some(valid) if !found.is_empty() => {
            let mut found = found.into_iter().peekable();
            for (place, row) in valid.set_indices().enumerate() {
                if found.next_if_eq(&place).is_some() {
                    bits.set_bit(row, true);
                }
            }
        }
        Some(_) => {}
    }
    Ok(bits.finish())
}

/// Decodes the codes that the wanted rows have in a shared dictionary, 0 where they are null.
pub(crate) fn decode_codes(
    fetched: &Fetched<'_>,
    rows: usize,
    selection: Option<&BooleanBuffer>,
) -> Result<(Vec<i64>, Option<NullBuffer>)> {
    if fetched.encoding != encoding::SHARED {
        return Err(corrupt("the encoding has no codes"));
    }
    let mut reader = Reader::new(fetched.head);
    let valid = decode_validity(&mut reader, rows)?;
    let values = valid.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
    let (wanted, nulls) = places(valid.as_ref(), selection);
    let codes = integers::decode(&mut reader, values, &wanted)?;
    let filler = Filler { nulls, wanted_rows: selection.map_or(rows, BooleanBuffer::count_set_bits) };
    Ok((filler.fill(codes)?, filler.nulls))
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
                self.expect(&[encoding::INTEGERS, encoding::DIFFERENCE, encoding::QUOTIENT])?;
                let unit = match self.fetched.encoding {
                    encoding::QUOTIENT => self.reader.varint()?,
                    _ => 1,
                };
                let mut integers = integers::decode(&mut self.reader, self.values, &self.wanted)?;
                match self.fetched.encoding {
                    encoding::DIFFERENCE => self.add_base(&mut integers, encoding::INTEGERS, |base| base)?,
                    encoding::QUOTIENT => {
                        let unit = i64::try_from(unit).ok().filter(|&unit| unit > 0);
                        let unit = unit.ok_or_else(|| corrupt("a unit is out of bounds"))?;
                        self.add_base(&mut integers, encoding::DIFFERENCE, |base| base.div_euclid(unit))?;
                    }
                    _ => {}
                }
                let integers = filler.fill(integers)?;
                integer_array(to, integers, filler.nulls)
            }
            Type::Real => {
                let reals = reals::decode(&mut self.reader, self.fetched.encoding, self.values, &self.wanted)?;
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

    /// Adds what the base column, encoded as `expected`, contributes. Neither column has nulls, so that one's rows are the
    /// other's.
    fn add_base(&self, integers: &mut [i64], expected: u8, share: impl Fn(i64) -> i64) -> Result<()> {
        let (base_encoding, head) = self.fetched.base.ok_or_else(|| corrupt("differences without a base"))?;
        let mut reader = Reader::new(head);
        let has_nulls = self.valid.is_some() || reader.u8()? != validity::ALL;
        if base_encoding != expected || has_nulls {
            return Err(corrupt("a base does not fit its differences"));
        }
        let base = integers::decode(&mut reader, self.rows, &self.wanted)?;
        for (integer, base) in integers.iter_mut().zip(base) {
            *integer = integer.wrapping_add(share(base));
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
            encoding::DICTIONARY | encoding::FRONT_DICTIONARY => {
                let is_front = self.fetched.encoding == encoding::FRONT_DICTIONARY;
                text::decode_dictionary(&mut self.reader, content, is_front, self.values, &self.wanted)
            }
            encoding::SPELLED => spelled::decode(&mut self.reader, content, self.values, &self.wanted),
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

/// Per row of a column of lines: the code of its template; [`NO_TEMPLATE`] where the row is null.
pub(crate) fn template_codes(fetched: &Fetched<'_>, rows: usize) -> Result<Vec<u32>> {
    let mut reader = Reader::new(fetched.head);
    let valid = decode_validity(&mut reader, rows)?;
    let values = valid.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
    let codes = template::decode_codes(&mut reader, values)?;
    let Some(valid) = valid else { return Ok(codes) };
    let mut by_row = vec![NO_TEMPLATE; rows];
    valid.set_indices().zip(codes).for_each(|(row, code)| by_row[row] = code);
    Ok(by_row)
}

/// The code of a row without a line.
pub(crate) const NO_TEMPLATE: u32 = u32::MAX;

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
