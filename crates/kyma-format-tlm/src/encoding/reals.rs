//! Reals, by way of integers where that loses nothing.
//!
//! ```text
//! DECIMAL_REAL     power u8, exceptions varint, positions integers, (bits u64)*, integers
//! DICTIONARY_REAL  values varint, values integers (ordered), codes integers
//! ORDERED_REAL     integers
//! XOR_REAL         integers
//! PLANES_REAL      blob: the lowest byte of every value, then the next, ... then the highest
//! ```
//!
//! 1. A decimal real is stored as `round(value * 10^power)` only when dividing gives back the very bits (so never -0.0 or
//!    NaN); others are exceptions, and with too many of them another layout is taken. Whole numbers are those of power 0.
//! 2. A dictionary holds the different values, where few are.
//! 3. Ordered integers have the order of the reals: a negative real's bits are inverted but for the sign. Differences of
//!    neighbours are small where the reals' are, and the unit of integers takes out the zeros that single precision leaves.
//! 4. Exclusive or with the value before, from zero again at every page, keeps what bits neighbours share (Gorilla).
//! 5. Planes compress bytes apart. One row costs the whole column, so they must be a twentieth smaller than all others.

use std::collections::HashMap;

use kyma_core::error::Result;
use xxhash_rust::xxh3::Xxh3Builder;

use super::wanted::Wanted;
use super::{THOROUGH, blob, integers};
use crate::constants::{PAGE_ROWS, encoding};
use crate::limits::DICTIONARY_VALUES_MAX;
use crate::wire::{Reader, Writer, corrupt};

/// Largest power of ten that a double holds exactly enough to divide by.
const POWER_MAX: u8 = 15;
/// Values looked at to choose the power.
const SAMPLE: usize = 256;

/// Values looked at to choose between layouts of neighbours.
const SAMPLED_ROWS: usize = 4 * PAGE_ROWS;
/// Planes must be smaller than another layout by one byte in this many.
const PLANES_SHARE: usize = 20;
/// After this many values a column that hardly repeats is no longer tried as a dictionary.
const TRIED_VALUES: usize = 4_096;

fn scaled(value: f64, power: u8) -> Option<i64> {
    let scale = 10_f64.powi(i32::from(power));
    let rounded = (value * scale).round();
    let fits = rounded.abs() < 9_007_199_254_740_992.0;
    (fits && (rounded as i64 as f64 / scale).to_bits() == value.to_bits()).then_some(rounded as i64)
}

/// Appends reals to `out`; gives the encoding.
pub(crate) fn encode(values: &[f64], level: i32, out: &mut Writer) -> Result<u8> {
    let mut smallest = encode_decimal(values, level)?.map(|head| (encoding::DECIMAL_REAL, head));
    if smallest.is_none() || level >= THOROUGH {
        let ordered: Vec<i64> = values.iter().map(|value| order(value.to_bits())).collect();
        let mut candidates = Vec::new();
        candidates.extend(encode_dictionary(&ordered, level)?.map(|head| (encoding::DICTIONARY_REAL, head)));
        candidates.push(encode_neighbours(&ordered, &exclusive_or(values), level)?);
        smallest = smallest.into_iter().chain(candidates).min_by_key(|(_, head)| head.len());
        if smallest.as_ref().is_none_or(|(encoding, _)| *encoding != encoding::DECIMAL_REAL) {
            let planes = encode_planes(values, level)?;
            smallest = smallest.filter(|(_, head)| head.len() < planes.len() + planes.len() / PLANES_SHARE);
            smallest = smallest.or(Some((encoding::PLANES_REAL, planes)));
        }
    }
    let (encoding, head) = smallest.unwrap_or_default();
    out.raw(&head);
    Ok(encoding)
}

/// Reads the wanted ones of `rows` reals.
pub(crate) fn decode(reader: &mut Reader<'_>, encoding: u8, rows: usize, wanted: &Wanted) -> Result<Vec<f64>> {
    let real = |ordered: i64| f64::from_bits(order(ordered as u64) as u64);
    match encoding {
        encoding::DECIMAL_REAL => decode_decimal(reader, rows, wanted),
        encoding::DICTIONARY_REAL => {
            let count = reader.length(DICTIONARY_VALUES_MAX)?;
            let values = integers::decode(reader, count, &Wanted::All)?;
            let codes = integers::decode(reader, rows, wanted)?;
            let value = |code: i64| usize::try_from(code).ok().and_then(|code| values.get(code)).copied();
            let reals: Option<Vec<f64>> = codes.into_iter().map(|code| value(code).map(real)).collect();
            reals.ok_or_else(|| corrupt("a dictionary code is out of range"))
        }
        encoding::ORDERED_REAL => Ok(integers::decode(reader, rows, wanted)?.into_iter().map(real).collect()),
        encoding::XOR_REAL => decode_exclusive_or(reader, rows, wanted),
        encoding::PLANES_REAL => decode_planes(reader, rows, wanted),
        _ => Err(corrupt("the encoding does not fit the type")),
    }
}

/// Ordered integers or exclusive ors, whichever are smaller in a sample.
fn encode_neighbours(ordered: &[i64], exclusive: &[i64], level: i32) -> Result<(u8, Vec<u8>)> {
    let sample = |numbers: &[i64]| {
        let mut out = Writer::default();
        let middle = numbers.len() / 2 / PAGE_ROWS * PAGE_ROWS;
        integers::encode_at(&numbers[middle..numbers.len().min(middle + SAMPLED_ROWS)], level, &mut out)?;
        Ok::<_, kyma_core::error::Error>(out.bytes.len())
    };
    let is_ordered = sample(ordered)? <= sample(exclusive)?;
    let (encoding, numbers) =
        if is_ordered { (encoding::ORDERED_REAL, ordered) } else { (encoding::XOR_REAL, exclusive) };
    let mut head = Writer::default();
    integers::encode_at(numbers, level, &mut head)?;
    Ok((encoding, head.bytes))
}

/// Bits of a real to an integer of the same order, and back.
fn order(bits: u64) -> i64 {
    let bits = bits as i64;
    bits ^ ((bits >> 63) & i64::MAX)
}

fn encode_dictionary(ordered: &[i64], level: i32) -> Result<Option<Vec<u8>>> {
    let mut codes_by_value: HashMap<i64, i64, Xxh3Builder> = HashMap::with_hasher(Xxh3Builder::new());
    for (at, &value) in ordered.iter().enumerate() {
        codes_by_value.insert(value, 0);
        let hardly_repeats = at == TRIED_VALUES && codes_by_value.len() * 4 > at * 3;
        if hardly_repeats || codes_by_value.len() > DICTIONARY_VALUES_MAX {
            return Ok(None);
        }
    }
    if codes_by_value.len() * 4 > ordered.len() * 3 {
        return Ok(None);
    }
    let mut values: Vec<i64> = codes_by_value.keys().copied().collect();
    values.sort_unstable();
    for (code, value) in values.iter().enumerate() {
        codes_by_value.insert(*value, code as i64);
    }
    let codes: Vec<i64> = ordered.iter().map(|value| codes_by_value[value]).collect();
    let mut out = Writer::default();
    out.length(values.len());
    integers::encode_at(&values, level, &mut out)?;
    integers::encode_at(&codes, level, &mut out)?;
    Ok(Some(out.bytes))
}

/// Every value's bits, but for the first of a page exclusive or those of the value before.
fn exclusive_or(values: &[f64]) -> Vec<i64> {
    let mut out = Vec::with_capacity(values.len());
    for page in values.chunks(PAGE_ROWS) {
        let mut before = 0;
        out.extend(page.iter().map(|value| (std::mem::replace(&mut before, value.to_bits()) ^ value.to_bits()) as i64));
    }
    out
}

fn decode_exclusive_or(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<f64>> {
    let mut out = Vec::with_capacity(wanted.count(rows));
    let restore = |page: &[i64], out: &mut Vec<f64>| {
        let mut bits = 0;
        out.extend(page.iter().map(|&number| {
            bits ^= number as u64;
            f64::from_bits(bits)
        }));
    };
    let Wanted::Rows(list) = wanted else {
        integers::decode(reader, rows, wanted)?.chunks(PAGE_ROWS).for_each(|page| restore(page, &mut out));
        return Ok(out);
    };
    let mut pages: Vec<usize> = list.iter().map(|&row| row as usize / PAGE_ROWS).collect();
    pages.dedup();
    let bounds = |page: usize| page * PAGE_ROWS..((page + 1) * PAGE_ROWS).min(rows);
    let whole = pages.iter().flat_map(|&page| bounds(page)).map(|row| row as u32).collect();
    let numbers = integers::decode(reader, rows, &Wanted::Rows(whole))?;
    let mut numbers = numbers.as_slice();
    let mut restored = Vec::with_capacity(PAGE_ROWS);
    for page in pages {
        let bounds = bounds(page);
        let (here, rest) = numbers.split_at_checked(bounds.len()).ok_or_else(|| corrupt("a page ends early"))?;
        numbers = rest;
        restored.clear();
        restore(here, &mut restored);
        let within = wanted.within(bounds.start, bounds.end).unwrap_or_default();
        out.extend(within.iter().filter_map(|&row| restored.get(row as usize)));
    }
    Ok(out)
}

fn encode_planes(values: &[f64], level: i32) -> Result<Vec<u8>> {
    let mut planes = vec![0_u8; values.len() * 8];
    for (at, value) in values.iter().enumerate() {
        for (plane, byte) in value.to_le_bytes().into_iter().enumerate() {
            planes[plane * values.len() + at] = byte;
        }
    }
    let mut out = Writer::default();
    blob::encode(&planes, level, &mut out)?;
    Ok(out.bytes)
}

fn encode_decimal(values: &[f64], level: i32) -> Result<Option<Vec<u8>>> {
    let step = values.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<f64> = values.iter().step_by(step).copied().collect();
    let hits = |power: u8| sample.iter().filter(|&&value| scaled(value, power).is_some()).count();
    let power = (0..=POWER_MAX).find(|&power| hits(power) * 20 >= sample.len() * 19);
    let Some(power) = power else { return Ok(None) };
    let (mut whole, mut positions, mut bits) = (Vec::with_capacity(values.len()), Vec::new(), Vec::new());
    let mut last = 0;
    for (at, &value) in values.iter().enumerate() {
        match scaled(value, power) {
            Some(integer) => last = integer,
            None => {
                positions.push(at as i64);
                bits.push(value.to_bits());
            }
        }
        whole.push(last);
    }
    if positions.len() * 16 > values.len() {
        return Ok(None);
    }
    let mut out = Writer::default();
    out.u8(power);
    out.length(positions.len());
    integers::encode(&positions, &mut out);
    bits.into_iter().for_each(|bits| out.u64(bits));
    integers::encode_at(&whole, level, &mut out)?;
    Ok(Some(out.bytes))
}

/// Reads the wanted reals of a `DECIMAL_REAL` column.
fn decode_decimal(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<f64>> {
    let power = reader.u8()?;
    let exceptions = reader.length(rows)?;
    let positions = integers::decode(reader, exceptions, &Wanted::All)?;
    let mut bits = Reader::new(reader.raw(exceptions * 8)?);
    let whole = integers::decode(reader, rows, wanted)?;
    if power > POWER_MAX {
        return Err(corrupt("a power of ten is too large"));
    }
    let scale = 10_f64.powi(i32::from(power));
    let mut values: Vec<f64> = whole.into_iter().map(|integer| integer as f64 / scale).collect();
    for position in positions {
        let value = f64::from_bits(bits.u64()?);
        let place = match wanted {
            Wanted::All => usize::try_from(position).ok(),
            Wanted::Rows(list) => list.binary_search_by_key(&position, |&row| i64::from(row)).ok(),
        };
        if let Some(slot) = place.and_then(|place| values.get_mut(place)) {
            *slot = value;
        }
    }
    Ok(values)
}

/// Reads the wanted reals of a `PLANES_REAL` column.
fn decode_planes(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<f64>> {
    let planes = blob::decode(reader)?;
    if planes.len() != rows * 8 {
        return Err(corrupt("planes of reals have the wrong length"));
    }
    let value = |row: usize| f64::from_le_bytes(std::array::from_fn(|plane| planes[plane * rows + row]));
    match wanted {
        Wanted::All => Ok(all_planes(&planes, rows)),
        Wanted::Rows(list) if list.last().is_none_or(|&row| (row as usize) < rows) => {
            Ok(list.iter().map(|&row| value(row as usize)).collect())
        }
        Wanted::Rows(_) => Err(corrupt("a wanted row lies past the block")),
    }
}

/// Every value of eight planes of `rows` bytes, a page at a time.
fn all_planes(planes: &[u8], rows: usize) -> Vec<f64> {
    let mut values = Vec::with_capacity(rows);
    for start in (0..rows).step_by(PAGE_ROWS) {
        let count = (rows - start).min(PAGE_ROWS);
        let pages: [&[u8]; 8] = std::array::from_fn(|plane| &planes[plane * rows + start..][..count]);
        values.extend((0..count).map(|row| f64::from_le_bytes(pages.map(|page| page[row]))));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_back(values: &[f64], encoding: u8, bytes: &[u8]) {
        let some: Vec<u32> = (0..values.len() as u32).filter(|row| row % 1_300 == 1).collect();
        for wanted in [Wanted::All, Wanted::Rows(some)] {
            let back = decode(&mut Reader::new(bytes), encoding, values.len(), &wanted);
            let expected: Vec<u64> = match &wanted {
                Wanted::All => values.iter().map(|value| value.to_bits()).collect(),
                Wanted::Rows(list) => list.iter().map(|&row| values[row as usize].to_bits()).collect(),
            };
            assert_eq!(back.unwrap().iter().map(|value| value.to_bits()).collect::<Vec<_>>(), expected);
        }
    }

    /// The encoding at a quick level, after every layout came back.
    fn check(values: &[f64]) -> u8 {
        let mut chosen = Vec::new();
        for level in [THOROUGH, 5] {
            let mut out = Writer::default();
            chosen.push(encode(values, level, &mut out).unwrap());
            read_back(values, chosen[chosen.len() - 1], &out.bytes);
        }
        let ordered: Vec<i64> = values.iter().map(|value| order(value.to_bits())).collect();
        if let Some(dictionary) = encode_dictionary(&ordered, 5).unwrap() {
            read_back(values, encoding::DICTIONARY_REAL, &dictionary);
        }
        for (encoding, numbers) in [(encoding::ORDERED_REAL, ordered), (encoding::XOR_REAL, exclusive_or(values))] {
            let mut out = Writer::default();
            integers::encode(&numbers, &mut out);
            read_back(values, encoding, &out.bytes);
        }
        read_back(values, encoding::PLANES_REAL, &encode_planes(values, 5).unwrap());
        chosen[1]
    }

    #[test]
    fn layouts_fit_their_values() {
        let mut prices: Vec<f64> = (0..2_000).map(|at| f64::from(at) / 100.0).collect();
        assert_eq!(check(&prices), encoding::DECIMAL_REAL);
        prices[77] = f64::NAN;
        prices[78] = -0.0;
        assert_eq!(check(&prices), encoding::DECIMAL_REAL);
        let few: Vec<f64> = (0..3_000_u32).map(|at| f64::from(at.wrapping_mul(2_654_435_769) >> 23).sqrt()).collect();
        assert_eq!(check(&few), encoding::DICTIONARY_REAL);
        let noise = |at: u32| f64::from(at.wrapping_mul(2_654_435_769) >> 8).sqrt();
        let single: Vec<f64> = (0..3_000_u16).map(|at| f64::from(f32::from(at).sqrt())).collect();
        assert!(matches!(check(&single), encoding::ORDERED_REAL | encoding::XOR_REAL));
        let scales = [1e-200, -1.0, 1e200];
        let spread: Vec<f64> = (0..3_000).map(|at| noise(at) * scales[at as usize % 3]).collect();
        assert_eq!(check(&spread), encoding::PLANES_REAL);
    }

    proptest! {
        #![proptest_config(crate::testing::cases(64))]
        #[test]
        fn any_reals(bits in proptest::collection::vec(any::<u64>(), 1..300), times in 1_usize..9) {
            check(&bits.into_iter().map(f64::from_bits).cycle().take(times * 300).collect::<Vec<_>>());
        }

        #[test]
        fn order_is_kept(a in any::<f64>(), b in any::<f64>()) {
            prop_assert_eq!(order(order(a.to_bits()) as u64) as u64, a.to_bits());
            prop_assert_eq!(order(a.to_bits()).cmp(&order(b.to_bits())), a.total_cmp(&b));
        }

        #[test]
        fn hostile_bytes_are_errors_or_reals(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), head in any::<u8>(), rows in 1_usize..3_000,
        ) {
            for encoding in [2, 3, 14, 15, 16] {
                let bytes: Vec<u8> = std::iter::once(head % 4).chain(bytes.iter().copied()).collect();
                for wanted in [Wanted::All, Wanted::Rows(vec![0, rows as u32 - 1])] {
                    match decode(&mut Reader::new(&bytes), encoding, rows, &wanted) {
                        Ok(reals) => prop_assert!(reals.len() <= wanted.count(rows).max(2)),
                        Err(error) => prop_assert_eq!(error.kind(), kyma_core::error::Kind::Corrupt),
                    }
                }
            }
        }
    }
}
