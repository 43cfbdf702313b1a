//! 64-bit integers: every type that is one inside, dictionary codes, and lengths.
//!
//! ```text
//! integers = tag u8
//!   CONSTANT  value zigzag-varint
//!   RUNS      runs varint, values integers, lengths integers
//!   PAGES     base u64, unit varint, page*            (a value is base + unit * offset, modulo 2^64)
//!   PLANES    base u64, unit varint, chunk*           (likewise)
//! page = kind u8, width u8, exceptions u16, low varint, [first varint: DELTA, RISE], packed,
//!        (position u16)*, (offset varint)*
//! chunk = kind u8, bytes u8, [first varint: DELTA, RISE], blob per byte: the lowest of every number, then the next, ...
//! ```
//!
//! 1. The unit is the greatest common divisor of all differences to the smallest value: milliseconds kept as
//!    nanoseconds cost what milliseconds cost.
//! 2. Each page of 1,024 offsets is laid out against its minimum, or as differences to the value before, whichever is
//!    smaller. Differences are zigzag, or plain in a page that never falls.
//! 3. Few large offsets do not widen the page: they are listed as exceptions and overwrite what was unpacked.
//! 4. A thorough writer tries chunks of 8,192 offsets whose bytes are compressed apart: skewed codes take their entropy
//!    instead of their width. They are kept where packed pages take a tenth more, since they are slower to read.

use kyma_core::error::Result;

use super::bitpack::{pack, packed_bytes, unpack};
use super::wanted::Wanted;
use super::{THOROUGH, blob};
use crate::constants::{PAGE_ROWS, integers as tag};
use crate::wire::{Reader, Writer, corrupt, unzigzag, zigzag};

/// Runs must be at least this long on average before they are tried.
const RUN_ROWS_MIN: usize = 4;

/// Values of a chunk of planes.
const CHUNK_ROWS: usize = 8 * PAGE_ROWS;
/// Both layouts of a chunk are tried when neither's entropy is this many times the other's.
const CLOSE: f64 = 1.3;
/// Bits per byte from which on a plane is noise, which is not compressed.
const NOISE_BITS: f64 = 7.9;
/// Fewer values are not worth planes.
const PLANES_ROWS_MIN: usize = 256;

/// Appends `values` to `out`: the smallest layout when the zstd `level` is thorough, else the quick ones.
pub(crate) fn encode_at(values: &[i64], level: i32, out: &mut Writer) -> Result<()> {
    let start = out.bytes.len();
    encode(values, out);
    let packed_bytes = out.bytes.len() - start;
    if level < THOROUGH || values.len() < PLANES_ROWS_MIN || packed_bytes * 16 < values.len() {
        return Ok(());
    }
    let planes = encode_planes(values, level)?;
    if planes.len() + planes.len() / 10 < packed_bytes {
        out.bytes.truncate(start);
        out.raw(&planes);
    }
    Ok(())
}

/// Appends `values` to `out` without compression.
pub(crate) fn encode(values: &[i64], out: &mut Writer) {
    let first = values.first().copied().unwrap_or_default();
    let changes = values.windows(2).filter(|pair| pair[0] != pair[1]).count();
    if changes == 0 {
        out.u8(tag::CONSTANT);
        out.varint(zigzag(first));
        return;
    }
    let pages = encode_pages(values);
    if (changes + 1) * RUN_ROWS_MIN <= values.len() {
        let runs = encode_runs(values);
        if runs.len() < pages.len() {
            return out.raw(&runs);
        }
    }
    out.raw(&pages);
}

fn encode_runs(values: &[i64]) -> Vec<u8> {
    let (mut heads, mut lengths) = (Vec::new(), Vec::new());
    for run in values.chunk_by(|a, b| a == b) {
        heads.push(run[0]);
        lengths.push(run.len() as i64);
    }
    let mut out = Writer::default();
    out.u8(tag::RUNS);
    out.length(heads.len());
    out.raw(&encode_plain(&heads));
    out.raw(&encode_plain(&lengths));
    out.bytes
}

/// Constant or pages, never runs: the inside of runs, so that nesting stops.
fn encode_plain(values: &[i64]) -> Vec<u8> {
    if values.iter().any(|&value| value != values[0]) {
        return encode_pages(values);
    }
    let mut out = Writer::default();
    out.u8(tag::CONSTANT);
    out.varint(zigzag(values.first().copied().unwrap_or_default()));
    out.bytes
}

/// The smallest value, and the greatest common divisor of all differences to it.
fn base_and_unit(values: &[i64]) -> (i64, u64) {
    let base = values.iter().copied().min().unwrap_or_default();
    let unit = values.iter().fold(0_u64, |unit, value| divisor(unit, value.wrapping_sub(base) as u64)).max(1);
    (base, unit)
}

/// Chunks of offsets or of differences, whichever is smaller.
fn encode_planes(values: &[i64], level: i32) -> Result<Vec<u8>> {
    let (base, unit) = base_and_unit(values);
    let mut out = Writer::default();
    out.u8(tag::PLANES);
    out.u64(base as u64);
    out.varint(unit);
    for chunk in values.chunks(CHUNK_ROWS) {
        let offsets: Vec<u64> = chunk.iter().map(|value| value.wrapping_sub(base) as u64 / unit).collect();
        let differences = offsets.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
        let (kind, differences): (u8, Vec<u64>) = match offsets.is_sorted() {
            true => (tag::PAGE_RISE, differences.collect()),
            false => (tag::PAGE_DELTA, differences.map(|difference| zigzag(difference as i64)).collect()),
        };
        let first = offsets.first().copied();
        let (plain, delta) = (planes_of(&offsets), planes_of(&differences));
        let (plain_bits, delta_bits) = (entropy_bits(&plain), entropy_bits(&delta));
        // Entropy does not see repetition: what is close is compressed both ways.
        let plain = if plain_bits <= delta_bits * CLOSE {
            Some(encode_chunk(tag::PAGE_FRAME, &plain, None, level)?)
        } else {
            None
        };
        let delta =
            if delta_bits <= plain_bits * CLOSE { Some(encode_chunk(kind, &delta, first, level)?) } else { None };
        let smallest = [plain, delta].into_iter().flatten().min_by_key(Vec::len);
        out.raw(&smallest.unwrap_or_default());
    }
    Ok(out.bytes)
}

/// The bytes that the largest of `numbers` needs, each place of all numbers together, the lowest first.
fn planes_of(numbers: &[u64]) -> Vec<Vec<u8>> {
    let widest = numbers.iter().fold(0, |all, number| all | number);
    let bytes = (64 - widest.leading_zeros() as usize).div_ceil(8);
    (0..bytes).map(|place| numbers.iter().map(|number| (number >> (8 * place)) as u8).collect()).collect()
}

fn entropy_bits(planes: &[Vec<u8>]) -> f64 {
    planes.iter().map(|plane| plane_bits(plane)).sum()
}

/// Bits of a plane if every byte took its entropy.
fn plane_bits(plane: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    plane.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let total = plane.len() as f64;
    counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) * (total / f64::from(count)).log2()).sum()
}

fn encode_chunk(kind: u8, planes: &[Vec<u8>], first: Option<u64>, level: i32) -> Result<Vec<u8>> {
    let mut out = Writer::default();
    out.u8(kind);
    out.u8(planes.len() as u8);
    if let Some(first) = first {
        out.varint(first);
    }
    for plane in planes {
        match plane_bits(plane) > plane.len() as f64 * NOISE_BITS {
            true => blob::encode_raw(plane, &mut out),
            false => blob::encode(plane, level, &mut out)?,
        }
    }
    Ok(out.bytes)
}

fn encode_pages(values: &[i64]) -> Vec<u8> {
    let (base, unit) = base_and_unit(values);
    let mut out = Writer::default();
    out.u8(tag::PAGES);
    out.u64(base as u64);
    out.varint(unit);
    for page in values.chunks(PAGE_ROWS) {
        let offsets: Vec<u64> = page.iter().map(|value| value.wrapping_sub(base) as u64 / unit).collect();
        let frame = encode_page(tag::PAGE_FRAME, &offsets, None);
        let differences = offsets.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
        let delta = if offsets.is_sorted() {
            encode_page(tag::PAGE_RISE, &differences.collect::<Vec<_>>(), offsets.first().copied())
        } else {
            let deltas: Vec<u64> = differences.map(|difference| zigzag(difference as i64)).collect();
            encode_page(tag::PAGE_DELTA, &deltas, offsets.first().copied())
        };
        out.raw(if delta.len() < frame.len() { &delta } else { &frame });
    }
    out.bytes
}

fn divisor(mut a: u64, mut b: u64) -> u64 {
    if a == 1 {
        return 1;
    }
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn encode_page(kind: u8, offsets: &[u64], first: Option<u64>) -> Vec<u8> {
    let low = offsets.iter().copied().min().unwrap_or_default();
    let above: Vec<u64> = offsets.iter().map(|offset| offset - low).collect();
    let width = best_width(&above);
    let mask = if width == 64 { u64::MAX } else { (1_u64 << width) - 1 };
    let exceptions: Vec<usize> = (0..above.len()).filter(|&at| above[at] > mask).collect();
    let packed: Vec<u64> = above.iter().map(|value| value & mask).collect();
    let mut out = Writer::default();
    out.u8(kind);
    out.u8(width);
    out.u16(exceptions.len() as u16);
    out.varint(low);
    if let Some(first) = first {
        out.varint(first);
    }
    pack(&packed, width, &mut out.bytes);
    exceptions.iter().for_each(|&at| out.u16(at as u16));
    exceptions.iter().for_each(|&at| out.varint(above[at]));
    out.bytes
}

/// The width with the smallest page, an exception costing its position and its whole value.
fn best_width(values: &[u64]) -> u8 {
    let mut by_bits = [0_usize; 65];
    for value in values {
        by_bits[64 - value.leading_zeros() as usize] += 1;
    }
    let widest = by_bits.iter().rposition(|&count| count > 0).unwrap_or_default();
    let (mut best, mut best_bytes) = (widest, packed_bytes(values.len(), widest as u8));
    let mut exception_bytes = 0;
    for width in (0..widest).rev() {
        exception_bytes += by_bits[width + 1] * (2 + (width + 1).div_ceil(7));
        let bytes = packed_bytes(values.len(), width as u8) + exception_bytes;
        if bytes < best_bytes {
            (best, best_bytes) = (width, bytes);
        }
    }
    best as u8
}

/// Reads the wanted ones of `rows` integers.
pub(crate) fn decode(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<i64>> {
    match reader.u8()? {
        tag::CONSTANT => {
            let value = unzigzag(reader.varint()?);
            Ok(vec![value; wanted.count(rows)])
        }
        tag::RUNS => decode_runs(reader, rows, wanted),
        tag::PAGES => decode_pages(reader, rows, wanted),
        tag::PLANES => decode_planes(reader, rows, wanted),
        _ => Err(corrupt("unknown integer layout")),
    }
}

fn decode_planes(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<i64>> {
    let base = reader.u64()?;
    let unit = reader.varint()?;
    let value = |offset: u64| base.wrapping_add(offset.wrapping_mul(unit)) as i64;
    let mut out = Vec::with_capacity(wanted.count(rows));
    for start in (0..rows).step_by(CHUNK_ROWS) {
        let count = (rows - start).min(CHUNK_ROWS);
        match wanted.within(start, start + count) {
            None => out.extend(decode_chunk(reader, count)?.into_iter().map(value)),
            Some(list) if list.is_empty() => skip_chunk(reader)?,
            Some(list) => {
                let chunk = decode_chunk(reader, count)?;
                let picked = list.iter().filter_map(|&row| chunk.get(row as usize));
                out.extend(picked.map(|&offset| value(offset)));
            }
        }
    }
    Ok(out)
}

/// Kind, bytes and first offset of a chunk.
fn chunk_head(reader: &mut Reader<'_>) -> Result<(u8, usize, Option<u64>)> {
    let kind = reader.u8()?;
    let bytes = usize::from(reader.u8()?);
    if bytes > size_of::<u64>() {
        return Err(corrupt("a chunk's head is out of bounds"));
    }
    match kind {
        tag::PAGE_FRAME => Ok((kind, bytes, None)),
        tag::PAGE_DELTA | tag::PAGE_RISE => Ok((kind, bytes, Some(reader.varint()?))),
        _ => Err(corrupt("unknown kind of chunk")),
    }
}

fn skip_chunk(reader: &mut Reader<'_>) -> Result<()> {
    let (_, bytes, _) = chunk_head(reader)?;
    (0..bytes).try_for_each(|_| blob::skip(reader))
}

/// The offsets of a chunk.
fn decode_chunk(reader: &mut Reader<'_>, rows: usize) -> Result<Vec<u64>> {
    let (kind, bytes, first) = chunk_head(reader)?;
    let count = if first.is_some() { rows - 1 } else { rows };
    let mut numbers = vec![0_u64; rows];
    for place in 0..bytes {
        let plane = blob::decode(reader)?;
        if plane.len() != count {
            return Err(corrupt("a plane of integers has the wrong length"));
        }
        for (number, byte) in numbers.iter_mut().zip(plane) {
            *number |= u64::from(byte) << (8 * place);
        }
    }
    match first {
        None => {}
        Some(first) if kind == tag::PAGE_RISE => add_up(&mut numbers, first, |above| above),
        Some(first) => add_up(&mut numbers, first, |above| unzigzag(above) as u64),
    }
    Ok(numbers)
}

fn decode_plain(reader: &mut Reader<'_>, rows: usize) -> Result<Vec<i64>> {
    match reader.u8()? {
        tag::CONSTANT => Ok(vec![unzigzag(reader.varint()?); rows]),
        tag::PAGES => decode_pages(reader, rows, &Wanted::All),
        _ => Err(corrupt("unknown integer layout inside runs")),
    }
}

fn decode_runs(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<i64>> {
    let runs = reader.length(rows)?;
    let heads = decode_plain(reader, runs)?;
    let lengths = decode_plain(reader, runs)?;
    let mut ends = Vec::with_capacity(runs);
    let mut end = 0_usize;
    for length in lengths {
        let length = usize::try_from(length).ok().filter(|&length| length <= rows - end);
        end += length.ok_or_else(|| corrupt("runs pass the rows"))?;
        ends.push(end);
    }
    if end != rows {
        return Err(corrupt("runs do not cover the rows"));
    }
    let mut out = Vec::with_capacity(wanted.count(rows));
    match wanted {
        Wanted::All => {
            for (head, end) in heads.iter().zip(ends) {
                out.resize(end, *head);
            }
        }
        Wanted::Rows(list) => {
            let mut run = 0;
            for &row in list {
                while ends.get(run).is_some_and(|&end| end <= row as usize) {
                    run += 1;
                }
                out.push(*heads.get(run).ok_or_else(|| corrupt("a row lies past the runs"))?);
            }
        }
    }
    Ok(out)
}

fn decode_pages(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<i64>> {
    let base = reader.u64()?;
    let unit = reader.varint()?;
    let mut out = Vec::with_capacity(wanted.count(rows));
    let mut page = [0_u64; PAGE_ROWS];
    let mut list = match wanted {
        Wanted::All => [].as_slice(),
        Wanted::Rows(list) => list.as_slice(),
    };
    for start in (0..rows).step_by(PAGE_ROWS) {
        let count = (rows - start).min(PAGE_ROWS);
        let in_page = list.partition_point(|&row| (row as usize) < start + count);
        let is_wanted = matches!(wanted, Wanted::All) || in_page > 0;
        decode_page(reader, count, is_wanted.then_some(&mut page))?;
        let value = |offset: u64| base.wrapping_add(offset.wrapping_mul(unit)) as i64;
        match wanted {
            Wanted::All => out.extend(page[..count].iter().map(|&offset| value(offset))),
            Wanted::Rows(_) => out.extend(list[..in_page].iter().map(|&row| value(page[row as usize - start]))),
        }
        list = &list[in_page..];
    }
    Ok(out)
}

/// Decodes one page, or skips it.
fn decode_page(reader: &mut Reader<'_>, rows: usize, into: Option<&mut [u64; PAGE_ROWS]>) -> Result<()> {
    let kind = reader.u8()?;
    let width = reader.u8()?;
    let exceptions = usize::from(reader.u16()?);
    let low = reader.varint()?;
    let first = match kind {
        tag::PAGE_FRAME => None,
        tag::PAGE_DELTA | tag::PAGE_RISE => Some(reader.varint()?),
        _ => return Err(corrupt("unknown kind of page")),
    };
    let count = if first.is_some() { rows - 1 } else { rows };
    if width > 64 || exceptions > count {
        return Err(corrupt("a page's head is out of bounds"));
    }
    let packed = reader.raw(packed_bytes(count, width))?;
    let mut positions = Reader::new(reader.raw(2 * exceptions)?);
    let Some(page) = into else {
        for _ in 0..exceptions {
            reader.varint()?;
        }
        return Ok(());
    };
    unpack(packed, width, count, page)?;
    for _ in 0..exceptions {
        let at = usize::from(positions.u16()?);
        let slot = page[..count].get_mut(at).ok_or_else(|| corrupt("an exception lies past the page"))?;
        *slot = reader.varint()?;
    }
    match first {
        None => page[..count].iter_mut().for_each(|offset| *offset = offset.wrapping_add(low)),
        Some(first) if kind == tag::PAGE_RISE => add_up(&mut page[..rows], first, |above| above.wrapping_add(low)),
        Some(first) => add_up(&mut page[..rows], first, |above| unzigzag(above.wrapping_add(low)) as u64),
    }
    Ok(())
}

/// Turns `rows - 1` stored differences into `rows` offsets.
fn add_up(page: &mut [u64], first: u64, difference: impl Fn(u64) -> u64) {
    let mut at = first;
    for slot in page.iter_mut() {
        let stored = std::mem::replace(slot, at);
        at = at.wrapping_add(difference(stored));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[i64]) {
        let (mut quick, mut thorough) = (Writer::default(), Writer::default());
        encode(values, &mut quick);
        encode_at(values, THOROUGH, &mut thorough).unwrap();
        let planes = Writer { bytes: encode_planes(values, THOROUGH).unwrap() };
        [quick, thorough, planes].iter().for_each(|out| check_bytes(values, out));
    }

    fn check_bytes(values: &[i64], out: &Writer) {
        let mut reader = Reader::new(&out.bytes);
        assert_eq!(decode(&mut reader, values.len(), &Wanted::All).unwrap(), values);
        assert_eq!(reader.remaining(), 0);
        let some: Vec<u32> = (0..values.len() as u32).filter(|row| row % 3 == 1).collect();
        let expected: Vec<i64> = some.iter().map(|&row| values[row as usize]).collect();
        assert_eq!(decode(&mut Reader::new(&out.bytes), values.len(), &Wanted::Rows(some)).unwrap(), expected);
    }

    #[test]
    fn shapes() {
        check(&[]);
        check(&[7]);
        check(&[i64::MIN, i64::MAX, 0, -1, 1]);
        check(&vec![5; 3_000]);
        check(&(0..5_000).map(|at| at / 700).collect::<Vec<_>>());
        check(&(0..5_000).map(|at| 1_661_145_496_154_000_000 + at * 1_000_000).collect::<Vec<_>>());
        check(&(0..5_000).map(|at| at * at * at % 1_000 + 2_000 * at).collect::<Vec<_>>());
        check(&[i64::MIN, -1, i64::MAX]);
        check(&(0..5_000).map(|at| if at % 900 == 0 { i64::MAX } else { at % 7 }).collect::<Vec<_>>());
    }

    #[test]
    fn skewed_codes_take_their_entropy() {
        let codes: Vec<i64> = (0..20_000).map(|at: i64| if at * at % 13 == 3 { at % 200 } else { at % 2 }).collect();
        let (mut quick, mut thorough) = (Writer::default(), Writer::default());
        encode(&codes, &mut quick);
        encode_at(&codes, THOROUGH, &mut thorough).unwrap();
        assert!(thorough.bytes.len() * 2 < quick.bytes.len());
        check(&codes);
    }

    proptest! {
        #![proptest_config(crate::testing::cases(64))]
        #[test]
        fn any_integers(values in proptest::collection::vec(prop_oneof![any::<i64>(), -9_i64..9], 0..1_500)) {
            check(&values);
        }
    }
}
