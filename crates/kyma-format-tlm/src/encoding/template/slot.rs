//! The values of one variable of one template in one frame.
//!
//! ```text
//! slot = kind u8, payload
//!   CONSTANT    text
//!   INTEGER     integers                                       canonical digits
//!   PADDED      width varint, integers                         digits of one width
//!   DECIMAL     scale varint, integers                         one number of digits after the dot
//!   IPV4        integers
//!   TIME        shape u8, digits u8, integers
//!   TIME_NEAR   base varint, shape u8, digits u8, integers     distance to the row's time in that base column
//!   EPOCH_NEAR  base varint, power u8, integers                number of 10^power ns, as distance to the row's time
//!   ID          spelling u8, integers                          places in the frame's ids
//!   DICTIONARY  first varint, values varint, lengths integers, codes    values in the frame's heap, sorted
//!   TEXT        first varint, lengths integers                 values in the frame's heap
//!   SAME        base varint                                    what the base column of the row says
//!   MIXED       base varint, tags codes, rest slot             tag 1: as SAME; tag 0: the next value of the rest
//!   AFFIXED     prefix text, suffix text, rest slot            around every value of the rest
//! ```
//!
//! The heap is one run of bytes per frame, compressed once; slots say where their part begins. Ids are the bytes that
//! hexadecimal digits or UUIDs spell, listed once per frame in order of first use: an id that an earlier line named costs
//! its place.

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::TimestampNanosecondType;
use kyma_core::error::Result;
use std::cell::OnceCell;
use std::collections::HashMap;
use xxhash_rust::xxh3::Xxh3Builder;

use super::codes;
use crate::constants::{slot as kind, transform as spelled};
use crate::encoding::spelling::{self, POWERS, TimeFormat, TimeShape};
use crate::encoding::wanted::Wanted;
use crate::encoding::{blob, integers, transform};
use crate::limits::{DICTIONARY_VALUES_MAX, SLOT_DEPTH_MAX};
use crate::wire::{Reader, Writer, corrupt};

/// A heap byte is about this much of a stored one.
const HEAP_SHARE: f64 = 0.4;
/// Values looked at before a base column is compared in full.
const SAME_SAMPLE: usize = 8;
/// Longest distance to the row's time that is worth trying, in days.
const NEAR_DAYS: i64 = 2;

/// A column of the block that values may repeat.
#[derive(Debug, Clone)]
pub(crate) enum Base {
    /// Texts, row by row.
    Text(StringViewArray),
    /// Times in nanoseconds, row by row, without nulls.
    Time(Vec<i64>),
}

impl Base {
    /// What a decoded column is as a base.
    pub(crate) fn of(array: &ArrayRef) -> Result<Base> {
        if let Some(texts) = array.as_string_view_opt() {
            return Ok(Base::Text(texts.clone()));
        }
        let times = array.as_primitive_opt::<TimestampNanosecondType>().filter(|times| times.null_count() == 0);
        times.map(|times| Base::Time(times.values().to_vec())).ok_or_else(|| corrupt("a column cannot be repeated"))
    }

    fn text(&self, row: usize) -> Option<&[u8]> {
        match self {
            Base::Text(texts) if row < texts.len() && texts.is_valid(row) => Some(texts.value(row).as_bytes()),
            _ => None,
        }
    }

    fn time(&self, row: usize) -> Option<i64> {
        match self {
            Base::Time(times) => times.get(row).copied(),
            Base::Text(_) => None,
        }
    }
}

/// The base columns at hand, and which were used so far, in order of first use.
#[derive(Debug)]
pub(crate) struct Bases<'a> {
    all: &'a [Base],
    pub(crate) used: Vec<usize>,
}

impl<'a> Bases<'a> {
    pub(crate) fn new(all: &'a [Base]) -> Self {
        Bases { all, used: Vec::new() }
    }

    /// The number that slots give the base at `place`.
    fn number(&mut self, place: usize) -> u64 {
        let known = self.used.iter().position(|&used| used == place);
        known.unwrap_or_else(|| {
            self.used.push(place);
            self.used.len() - 1
        }) as u64
    }
}

/// What the slots of one frame share while it is written.
#[derive(Debug)]
pub(crate) struct Shared<'b, 'a> {
    pub(crate) heap: Vec<u8>,
    ids: HashMap<Vec<u8>, u32, Xxh3Builder>,
    id_lengths: Vec<i64>,
    id_bytes: Vec<u8>,
    pub(crate) bases: &'b mut Bases<'a>,
    level: i32,
}

impl<'b, 'a> Shared<'b, 'a> {
    pub(crate) fn new(bases: &'b mut Bases<'a>, level: i32) -> Self {
        Shared { heap: Vec::new(), ids: HashMap::default(), id_lengths: Vec::new(), id_bytes: Vec::new(), bases, level }
    }

    /// The base column that says the same as `text` in `row`.
    pub(crate) fn same(&mut self, text: &[u8], row: usize) -> Option<u64> {
        let place = self.bases.all.iter().position(|base| base.text(row) == Some(text))?;
        Some(self.bases.number(place))
    }

    /// Appends the ids: count, lengths, bytes.
    pub(crate) fn write_ids(&self, out: &mut Writer) -> Result<()> {
        out.length(self.id_lengths.len());
        integers::encode(&self.id_lengths, out);
        blob::encode(&self.id_bytes, self.level, out)
    }

    /// Encodes `values`, which stand in `rows` of the block.
    pub(crate) fn encode(&mut self, values: &[&[u8]], rows: &[u32]) -> Result<Vec<u8>> {
        let first = values.first().copied().unwrap_or_default();
        let mut out = Writer::default();
        if values.iter().all(|value| *value == first) {
            out.u8(kind::CONSTANT);
            out.length(first.len());
            out.raw(first);
            return Ok(out.bytes);
        }
        if let Some(same) = self.encode_same(values, rows)? {
            return Ok(same);
        }
        let mut typed = self.encode_typed(values, rows)?;
        // Ids are listed by now, and few bytes are not worth a second look.
        if let Some(typed) = typed.take_if(|typed| typed[0] == kind::ID || typed.len() * 2 <= values.len()) {
            return Ok(typed);
        }
        if let Some(dictionary) = self.encode_dictionary(values, typed.as_ref().map(Vec::len))? {
            return Ok(dictionary);
        }
        match typed {
            Some(typed) => Ok(typed),
            None => self.encode_text(values),
        }
    }

    /// A base column that says the same in most rows.
    fn encode_same(&mut self, values: &[&[u8]], rows: &[u32]) -> Result<Option<Vec<u8>>> {
        let step = values.len().div_ceil(SAME_SAMPLE).max(1);
        let agree = |base: &Base, at: usize| base.text(rows[at] as usize) == Some(values[at]);
        let sampled = (0..values.len()).step_by(step);
        let wanted = sampled.clone().count().div_ceil(2);
        let place = (0..self.bases.all.len())
            .find(|&place| sampled.clone().filter(|&at| agree(&self.bases.all[place], at)).count() >= wanted);
        let Some(place) = place else { return Ok(None) };
        let tags: Vec<u32> = (0..values.len()).map(|at| u32::from(agree(&self.bases.all[place], at))).collect();
        let rest: Vec<usize> = (0..values.len()).filter(|&at| tags[at] == 0).collect();
        let mut out = Writer::default();
        if rest.is_empty() {
            out.u8(kind::SAME);
            out.varint(self.bases.number(place));
            return Ok(Some(out.bytes));
        }
        if rest.len() * 2 > values.len() {
            return Ok(None);
        }
        out.u8(kind::MIXED);
        out.varint(self.bases.number(place));
        codes::encode(&tags, self.level, &mut out)?;
        let (others, other_rows): (Vec<&[u8]>, Vec<u32>) = rest.iter().map(|&at| (values[at], rows[at])).unzip();
        let mut inner = self.encode_typed(&others, &other_rows)?;
        if inner.is_none() {
            inner = self.encode_dictionary(&others, None)?;
        }
        match inner {
            Some(inner) => out.raw(&inner),
            None => out.raw(&self.encode_text(&others)?),
        }
        Ok(Some(out.bytes))
    }

    fn encode_typed(&mut self, values: &[&[u8]], rows: &[u32]) -> Result<Option<Vec<u8>>> {
        if let Some(ids) = self.encode_ids(values) {
            return Ok(Some(ids));
        }
        if let Some(times) = self.encode_times(values, rows) {
            return Ok(Some(times));
        }
        if let Some(numbers) = self.encode_numbers(values, rows) {
            return Ok(Some(numbers));
        }
        let (prefix, suffix) = affixes(values);
        if prefix + suffix == 0 {
            return Ok(None);
        }
        let first = values.first().copied().unwrap_or_default();
        let middles: Vec<&[u8]> = values.iter().map(|value| &value[prefix..value.len() - suffix]).collect();
        let inner = match self.encode_numbers(&middles, rows) {
            Some(inner) => inner,
            None => return Ok(None),
        };
        let mut out = Writer::default();
        out.u8(kind::AFFIXED);
        out.length(prefix);
        out.raw(&first[..prefix]);
        out.length(suffix);
        out.raw(&first[first.len() - suffix..]);
        out.raw(&inner);
        Ok(Some(out.bytes))
    }

    fn encode_numbers(&mut self, values: &[&[u8]], rows: &[u32]) -> Option<Vec<u8>> {
        let first = values.first()?;
        let mut out = Writer::default();
        let all = |parse: &dyn Fn(&[u8]) -> Option<i64>| {
            values.iter().map(|value| parse(value)).collect::<Option<Vec<i64>>>()
        };
        if let Some(numbers) = all(&spelling::integer) {
            out.u8(kind::INTEGER);
            integers::encode(&numbers, &mut out);
            return self.encode_epoch(&numbers, rows, out.bytes.len()).or(Some(out.bytes));
        }
        let width = first.len();
        if let Some(numbers) = all(&|text| spelling::padded(text).filter(|_| text.len() == width)) {
            out.u8(kind::PADDED);
            out.length(width);
            integers::encode(&numbers, &mut out);
            return Some(out.bytes);
        }
        let scale = first.iter().rev().position(|&byte| byte == b'.')?;
        if let Some(numbers) = all(&|text| spelling::decimal(text, scale)) {
            out.u8(kind::DECIMAL);
            out.length(scale);
            integers::encode(&numbers, &mut out);
            return Some(out.bytes);
        }
        let addresses = all(&spelling::ipv4)?;
        out.u8(kind::IPV4);
        integers::encode(&addresses, &mut out);
        Some(out.bytes)
    }

    /// Numbers that count nanoseconds, micro-, milliseconds or seconds since 1970 near the row's time.
    fn encode_epoch(&mut self, numbers: &[i64], rows: &[u32], other_bytes: usize) -> Option<Vec<u8>> {
        let (&number, &row) = (numbers.first()?, rows.first()?);
        let place = self.bases.all.iter().position(|base| base.time(row as usize).is_some())?;
        let base = self.bases.all.get(place)?;
        let time = base.time(row as usize)?;
        let is_near = |power: &u8| {
            let unit = POWERS[usize::from(*power)];
            number.abs_diff(time.div_euclid(unit)) <= (NEAR_DAYS * 86_400_000_000_000 / unit).unsigned_abs()
        };
        let power = [0_u8, 3, 6, 9].into_iter().find(is_near)?;
        let unit = POWERS[usize::from(power)];
        let distance =
            |(&number, &row): (&i64, &u32)| Some(number.wrapping_sub(base.time(row as usize)?.div_euclid(unit)));
        let distances = numbers.iter().zip(rows).map(distance).collect::<Option<Vec<i64>>>()?;
        let mut packed = Writer::default();
        integers::encode(&distances, &mut packed);
        if packed.bytes.len() >= other_bytes {
            return None;
        }
        let mut out = Writer::default();
        out.u8(kind::EPOCH_NEAR);
        out.varint(self.bases.number(place));
        out.u8(power);
        out.raw(&packed.bytes);
        Some(out.bytes)
    }

    fn encode_times(&mut self, values: &[&[u8]], rows: &[u32]) -> Option<Vec<u8>> {
        let format = TimeFormat::of(values.first()?)?;
        let times = values.iter().map(|value| format.parse(value)).collect::<Option<Vec<i64>>>()?;
        let mut out = Writer::default();
        out.u8(kind::TIME);
        out.u8(format.shape as u8);
        out.u8(format.digits);
        integers::encode(&times, &mut out);
        let place =
            self.bases.all.iter().position(|base| base.time(rows.first().map_or(0, |&row| row as usize)).is_some());
        let near = place.and_then(|place| {
            let base = &self.bases.all[place];
            let distance =
                |(&time, &row): (&i64, &u32)| Some(format.difference(time, format.units_of(base.time(row as usize)?)));
            let distances = times.iter().zip(rows).map(distance).collect::<Option<Vec<i64>>>()?;
            let mut packed = Writer::default();
            integers::encode(&distances, &mut packed);
            (packed.bytes.len() < out.bytes.len()).then_some((place, packed.bytes))
        });
        let Some((place, distances)) = near else { return Some(out.bytes) };
        let mut out = Writer::default();
        out.u8(kind::TIME_NEAR);
        out.varint(self.bases.number(place));
        out.u8(format.shape as u8);
        out.u8(format.digits);
        out.raw(&distances);
        Some(out.bytes)
    }

    /// Hexadecimal digits and UUIDs, as places in the frame's ids.
    fn encode_ids(&mut self, values: &[&[u8]]) -> Option<Vec<u8>> {
        let first = values.first()?;
        if first.len() < 8 || values.iter().any(|value| value.len() != first.len()) {
            return None;
        }
        let spelling = transform::choose(values);
        let is_number = || values.iter().all(|value| value.iter().all(u8::is_ascii_digit));
        if spelling == spelled::NONE || (spelling == spelled::HEX && is_number()) {
            return None;
        }
        let mut places = Vec::with_capacity(values.len());
        for value in values {
            let id = transform::apply(spelling, value).into_owned();
            let next = self.id_lengths.len() as u32;
            let place = match self.ids.get(&id) {
                Some(&place) => place,
                None => {
                    self.id_lengths.push(id.len() as i64);
                    self.id_bytes.extend_from_slice(&id);
                    self.ids.insert(id, next);
                    next
                }
            };
            places.push(i64::from(place));
        }
        let mut out = Writer::default();
        out.u8(kind::ID);
        out.u8(spelling);
        integers::encode(&places, &mut out);
        Some(out.bytes)
    }

    /// Values that repeat; `None` when another encoding of `other_bytes` is smaller, or they repeat too little.
    fn encode_dictionary(&mut self, values: &[&[u8]], other_bytes: Option<usize>) -> Result<Option<Vec<u8>>> {
        let share = if other_bytes.is_some() { 4 } else { 2 };
        let distinct_max = (values.len() / share).min(DICTIONARY_VALUES_MAX);
        let mut places: HashMap<&[u8], u32, Xxh3Builder> = HashMap::default();
        let mut appeared = Vec::with_capacity(values.len());
        for value in values {
            let next = places.len() as u32;
            appeared.push(*places.entry(value).or_insert(next));
            if places.len() > distinct_max {
                return Ok(None);
            }
        }
        let mut sorted: Vec<(&[u8], u32)> = places.into_iter().collect();
        sorted.sort_unstable();
        let mut rank = vec![0; sorted.len()];
        sorted.iter().enumerate().for_each(|(at, &(_, place))| rank[place as usize] = at as u32);
        let mut out = Writer::default();
        out.u8(kind::DICTIONARY);
        out.length(self.heap.len());
        out.length(sorted.len());
        integers::encode(&sorted.iter().map(|(value, _)| value.len() as i64).collect::<Vec<_>>(), &mut out);
        codes::encode(&appeared.iter().map(|&place| rank[place as usize]).collect::<Vec<_>>(), self.level, &mut out)?;
        let heap_bytes: usize = sorted.iter().map(|(value, _)| value.len()).sum();
        if other_bytes.is_some_and(|other| other as f64 <= out.bytes.len() as f64 + heap_bytes as f64 * HEAP_SHARE) {
            return Ok(None);
        }
        sorted.iter().for_each(|(value, _)| self.heap.extend_from_slice(value));
        Ok(Some(out.bytes))
    }

    /// Any values.
    fn encode_text(&mut self, values: &[&[u8]]) -> Result<Vec<u8>> {
        let mut out = Writer::default();
        out.u8(kind::TEXT);
        out.length(self.heap.len());
        integers::encode(&values.iter().map(|value| value.len() as i64).collect::<Vec<_>>(), &mut out);
        values.iter().for_each(|value| self.heap.extend_from_slice(value));
        Ok(out.bytes)
    }
}

/// Bytes without digits that all values begin and end with.
fn affixes(values: &[&[u8]]) -> (usize, usize) {
    let first = values.first().copied().unwrap_or_default();
    let fits = |byte: &u8| !byte.is_ascii_digit() && *byte != b'.' && byte.is_ascii();
    let mut prefix = first.iter().take_while(|byte| fits(byte)).count();
    let mut suffix = first.iter().rev().take_while(|byte| fits(byte)).count();
    if prefix == first.len() {
        return (0, 0);
    }
    for value in values {
        prefix = prefix.min(value.iter().zip(first).take_while(|(a, b)| a == b).count());
        suffix = suffix.min(value.iter().rev().zip(first.iter().rev()).take_while(|(a, b)| a == b).count());
    }
    let is_long = values.iter().all(|value| value.len() > prefix + suffix);
    if is_long { (prefix, suffix) } else { (0, 0) }
}

/// What the slots of one frame share while it is read.
#[derive(Debug)]
pub(crate) struct FrameParts<'a> {
    heap: blob::Packed<'a>,
    heap_bytes: OnceCell<Vec<u8>>,
    /// End of each id in `id_bytes`.
    id_ends: Vec<usize>,
    id_bytes: Vec<u8>,
    pub(crate) bases: &'a [Base],
}

impl<'a> FrameParts<'a> {
    /// Reads heap and ids.
    pub(crate) fn read(reader: &mut Reader<'a>, lines: usize, bases: &'a [Base]) -> Result<Self> {
        let heap = blob::Packed::read(reader)?;
        let count = reader.length(lines.saturating_mul(crate::limits::TEMPLATE_HOLES_MAX))?;
        let lengths = integers::decode(reader, count, &Wanted::All)?;
        let id_bytes = blob::decode(reader)?;
        let id_ends = ends(lengths.into_iter(), 0, id_bytes.len())?;
        Ok(FrameParts { heap, heap_bytes: OnceCell::new(), id_ends, id_bytes, bases })
    }

    /// Bytes of the heap.
    pub(crate) fn heap_length(&self) -> usize {
        self.heap.length
    }

    /// The heap, decompressed when it is first looked into: many slots need none of it.
    pub(crate) fn heap(&self) -> Result<&[u8]> {
        if self.heap_bytes.get().is_none() {
            let bytes = self.heap.decode()?;
            return Ok(self.heap_bytes.get_or_init(|| bytes));
        }
        Ok(self.heap_bytes.get().map(Vec::as_slice).unwrap_or_default())
    }

    fn id(&self, place: i64) -> Result<&[u8]> {
        let id = usize::try_from(place).ok().and_then(|place| heap_value(&self.id_bytes, 0, &self.id_ends, place));
        id.ok_or_else(|| corrupt("an id is out of range"))
    }
}

/// Where each value ends that starts at `first`, within `bytes`.
pub(crate) fn ends(lengths: impl Iterator<Item = i64>, first: usize, bytes: usize) -> Result<Vec<usize>> {
    let mut end = first;
    let mut ends = Vec::with_capacity(lengths.size_hint().0);
    for length in lengths {
        let length = usize::try_from(length).ok().filter(|&length| length <= bytes);
        end = length
            .and_then(|length| end.checked_add(length))
            .filter(|&end| end <= bytes)
            .ok_or_else(|| corrupt("values pass the heap"))?;
        ends.push(end);
    }
    Ok(ends)
}

/// A slot as it is read: gives the text of any occurrence.
#[derive(Debug)]
pub(crate) enum Slot<'a> {
    Constant(&'a [u8]),
    Integer(Vec<i64>),
    Padded(usize, Vec<i64>),
    Decimal(usize, Vec<i64>),
    Ipv4(Vec<i64>),
    Time(TimeFormat, Vec<i64>),
    TimeNear(usize, TimeFormat, Vec<i64>),
    EpochNear(usize, i64, Vec<i64>),
    Id(u8, Vec<i64>),
    Dictionary {
        first: usize,
        ends: Vec<usize>,
        codes: Vec<u32>,
    },
    Text {
        first: usize,
        ends: Vec<usize>,
    },
    Same(usize),
    /// Place among the rest, of rows that do not repeat the base.
    Mixed(usize, Vec<Option<u32>>, Box<Slot<'a>>),
    Affixed(&'a [u8], &'a [u8], Box<Slot<'a>>),
}

impl<'a> Slot<'a> {
    /// Reads a slot of `count` values.
    pub(crate) fn read(reader: &mut Reader<'a>, count: usize, parts: &FrameParts<'_>) -> Result<Slot<'a>> {
        Slot::read_within(reader, count, parts, 0)
    }

    fn read_within(reader: &mut Reader<'a>, count: usize, parts: &FrameParts<'_>, depth: usize) -> Result<Slot<'a>> {
        if depth > SLOT_DEPTH_MAX {
            return Err(corrupt("slots are nested too deeply"));
        }
        let all = |reader: &mut Reader<'a>| integers::decode(reader, count, &Wanted::All);
        let base = |reader: &mut Reader<'a>| match reader.length(parts.bases.len()) {
            Ok(base) if base < parts.bases.len() => Ok(base),
            _ => Err(corrupt("a base column is out of range")),
        };
        Ok(match reader.u8()? {
            kind::CONSTANT => {
                let length = reader.length(reader.remaining())?;
                Slot::Constant(reader.raw(length)?)
            }
            kind::INTEGER => Slot::Integer(all(reader)?),
            kind::PADDED => Slot::Padded(reader.length(POWERS.len())?, all(reader)?),
            kind::DECIMAL => Slot::Decimal(reader.length(POWERS.len() - 1)?, all(reader)?),
            kind::IPV4 => Slot::Ipv4(all(reader)?),
            kind::TIME => Slot::Time(time_format(reader)?, all(reader)?),
            kind::TIME_NEAR => Slot::TimeNear(base(reader)?, time_format(reader)?, all(reader)?),
            kind::EPOCH_NEAR => {
                let base = base(reader)?;
                let power = usize::from(reader.u8()?);
                let unit = POWERS.get(power).copied().ok_or_else(|| corrupt("a unit of time is out of range"))?;
                Slot::EpochNear(base, unit, all(reader)?)
            }
            kind::ID => Slot::Id(reader.u8()?, all(reader)?),
            kind::DICTIONARY => {
                let first = reader.length(parts.heap_length())?;
                let values = reader.length(DICTIONARY_VALUES_MAX.min(count))?;
                let lengths = integers::decode(reader, values, &Wanted::All)?;
                let ends = ends(lengths.into_iter(), first, parts.heap_length())?;
                Slot::Dictionary { first, ends, codes: codes::decode(reader, count)? }
            }
            kind::TEXT => {
                let first = reader.length(parts.heap_length())?;
                Slot::Text { first, ends: ends(all(reader)?.into_iter(), first, parts.heap_length())? }
            }
            kind::SAME => Slot::Same(base(reader)?),
            kind::MIXED => {
                let base = base(reader)?;
                let tags = codes::decode(reader, count)?;
                let mut others = 0;
                let mut place = |tag: u32| {
                    (tag == 0).then(|| {
                        others += 1;
                        others - 1
                    })
                };
                let places: Vec<Option<u32>> = tags.into_iter().map(&mut place).collect();
                let rest = Slot::read_within(reader, others as usize, parts, depth + 1)?;
                Slot::Mixed(base, places, Box::new(rest))
            }
            kind::AFFIXED => {
                let length = reader.length(reader.remaining())?;
                let prefix = reader.raw(length)?;
                let length = reader.length(reader.remaining())?;
                let suffix = reader.raw(length)?;
                Slot::Affixed(prefix, suffix, Box::new(Slot::read_within(reader, count, parts, depth + 1)?))
            }
            _ => return Err(corrupt("unknown kind of slot")),
        })
    }

    /// Appends the text of the occurrence numbered `nth`, which stands in `row` of the bases.
    pub(crate) fn write(&self, nth: usize, row: usize, parts: &FrameParts<'_>, out: &mut Vec<u8>) -> Result<()> {
        let missing = || corrupt("a slot has too few values");
        let number = |numbers: &[i64]| numbers.get(nth).copied().ok_or_else(missing);
        let time = |base: usize| parts.bases.get(base).and_then(|base| base.time(row)).ok_or_else(missing);
        match self {
            Slot::Constant(text) => out.extend_from_slice(text),
            Slot::Integer(numbers) => spelling::write_padded(number(numbers)?, 1, out),
            Slot::Padded(width, numbers) => spelling::write_padded(number(numbers)?, *width, out),
            Slot::Decimal(scale, numbers) => spelling::write_decimal(number(numbers)?, *scale, out),
            Slot::Ipv4(numbers) => spelling::write_ipv4(number(numbers)?, out),
            Slot::Time(format, numbers) => format.write(number(numbers)?, out),
            Slot::TimeNear(base, format, numbers) => {
                let near = format.units_of(time(*base)?);
                format.write(format.sum(number(numbers)?, near), out);
            }
            Slot::EpochNear(base, unit, numbers) => {
                let near = time(*base)?.div_euclid(*unit);
                spelling::write_padded(number(numbers)?.wrapping_add(near), 1, out);
            }
            Slot::Id(spelling, numbers) => transform::write(*spelling, parts.id(number(numbers)?)?, out),
            Slot::Dictionary { first, ends, codes } => {
                let code = *codes.get(nth).ok_or_else(missing)? as usize;
                out.extend_from_slice(heap_value(parts.heap()?, *first, ends, code).ok_or_else(missing)?);
            }
            Slot::Text { first, ends } => {
                out.extend_from_slice(heap_value(parts.heap()?, *first, ends, nth).ok_or_else(missing)?);
            }
            Slot::Same(base) => {
                out.extend_from_slice(parts.bases.get(*base).and_then(|base| base.text(row)).ok_or_else(missing)?);
            }
            Slot::Mixed(base, places, rest) => match places.get(nth).ok_or_else(missing)? {
                Some(place) => rest.write(*place as usize, row, parts, out)?,
                None => Slot::Same(*base).write(nth, row, parts, out)?,
            },
            Slot::Affixed(prefix, suffix, rest) => {
                out.extend_from_slice(prefix);
                rest.write(nth, row, parts, out)?;
                out.extend_from_slice(suffix);
            }
        }
        Ok(())
    }
}

pub(crate) fn heap_value<'h>(heap: &'h [u8], first: usize, ends: &[usize], at: usize) -> Option<&'h [u8]> {
    let start = at.checked_sub(1).map_or(Some(first), |before| ends.get(before).copied())?;
    heap.get(start..*ends.get(at)?)
}

fn time_format(reader: &mut Reader<'_>) -> Result<TimeFormat> {
    let shape = match reader.u8()? {
        0 => TimeShape::Instant,
        1 => TimeShape::OfDay,
        2 => TimeShape::Local,
        _ => return Err(corrupt("unknown shape of time")),
    };
    let digits = reader.u8()?;
    if digits <= 9 { Ok(TimeFormat { shape, digits }) } else { Err(corrupt("a time has too many digits")) }
}
