//! Reals and decimals, by way of integers where that loses nothing.
//!
//! ```text
//! DECIMAL_REAL    power u8, exceptions varint, positions integers, (bits u64)*, integers
//! PLANES_REAL     blob: the lowest byte of every value, then the next, ... then the highest
//! SCALED_DECIMAL  power u8, integers
//! WIDE_DECIMAL    blob: 16 bytes each
//! ```
//!
//! A real is stored as `round(value * 10^power)` only when dividing gives back the very bits (so never -0.0 or NaN);
//! others are exceptions, and with too many of them the column keeps its bytes.

use kyma_core::error::Result;

use super::wanted::Wanted;
use super::{blob, integers};
use crate::constants::{PAGE_ROWS, encoding};
use crate::wire::{Reader, Writer, corrupt};

/// Largest power of ten that a double holds exactly enough to divide by.
const POWER_MAX: u8 = 15;
/// Values looked at to choose the power.
const SAMPLE: usize = 256;
/// Largest power of ten taken out of a decimal.
const DECIMAL_POWER_MAX: u8 = kyma_core::types::DECIMAL_SCALE as u8;

fn scaled(value: f64, power: u8) -> Option<i64> {
    let scale = 10_f64.powi(i32::from(power));
    let rounded = (value * scale).round();
    let fits = rounded.abs() < 9_007_199_254_740_992.0;
    (fits && (rounded as i64 as f64 / scale).to_bits() == value.to_bits()).then_some(rounded as i64)
}

/// Appends reals to `out`; gives the encoding.
pub(crate) fn encode_reals(values: &[f64], level: i32, out: &mut Writer) -> Result<u8> {
    if let Some(head) = encode_decimal_reals(values, level)? {
        out.raw(&head);
        return Ok(encoding::DECIMAL_REAL);
    }
    let mut planes = vec![0_u8; values.len() * 8];
    for (at, value) in values.iter().enumerate() {
        for (plane, byte) in value.to_le_bytes().into_iter().enumerate() {
            planes[plane * values.len() + at] = byte;
        }
    }
    blob::encode(&planes, level, out)?;
    Ok(encoding::PLANES_REAL)
}

fn encode_decimal_reals(values: &[f64], level: i32) -> Result<Option<Vec<u8>>> {
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
pub(crate) fn decode_decimal_reals(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<f64>> {
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
pub(crate) fn decode_planes(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<f64>> {
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

/// Appends decimals to `out`; gives the encoding.
pub(crate) fn encode_decimals(values: &[i128], level: i32, out: &mut Writer) -> Result<u8> {
    let mut power = DECIMAL_POWER_MAX;
    for value in values {
        while power > 0 && value % 10_i128.pow(u32::from(power)) != 0 {
            power -= 1;
        }
    }
    let scale = 10_i128.pow(u32::from(power));
    let whole: Option<Vec<i64>> = values.iter().map(|value| i64::try_from(value / scale).ok()).collect();
    if let Some(whole) = whole {
        out.u8(power);
        integers::encode_at(&whole, level, out)?;
        return Ok(encoding::SCALED_DECIMAL);
    }
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    blob::encode(&bytes, level, out)?;
    Ok(encoding::WIDE_DECIMAL)
}

/// Reads the wanted decimals of a `SCALED_DECIMAL` column.
pub(crate) fn decode_scaled_decimals(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<i128>> {
    let power = reader.u8()?;
    if power > DECIMAL_POWER_MAX {
        return Err(corrupt("a power of ten is too large"));
    }
    let scale = 10_i128.pow(u32::from(power));
    Ok(integers::decode(reader, rows, wanted)?.into_iter().map(|whole| i128::from(whole) * scale).collect())
}

/// Reads the wanted decimals of a `WIDE_DECIMAL` column.
pub(crate) fn decode_wide_decimals(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<i128>> {
    let bytes = blob::decode(reader)?;
    let values: Vec<i128> = bytes.as_chunks::<16>().0.iter().map(|bytes| i128::from_le_bytes(*bytes)).collect();
    if values.len() != rows {
        return Err(corrupt("decimals have the wrong length"));
    }
    match wanted {
        Wanted::All => Ok(values),
        Wanted::Rows(list) => {
            let picked: Option<Vec<i128>> = list.iter().map(|&row| values.get(row as usize).copied()).collect();
            picked.ok_or_else(|| corrupt("a wanted row lies past the block"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[f64]) -> u8 {
        let mut out = Writer::default();
        let encoding = encode_reals(values, 3, &mut out).unwrap();
        let some: Vec<u32> = (0..values.len() as u32).filter(|row| row % 3 == 1).collect();
        for wanted in [Wanted::All, Wanted::Rows(some)] {
            let reader = &mut Reader::new(&out.bytes);
            let back = match encoding {
                encoding::DECIMAL_REAL => decode_decimal_reals(reader, values.len(), &wanted),
                _ => decode_planes(reader, values.len(), &wanted),
            };
            let expected: Vec<u64> = match &wanted {
                Wanted::All => values.iter().map(|value| value.to_bits()).collect(),
                Wanted::Rows(list) => list.iter().map(|&row| values[row as usize].to_bits()).collect(),
            };
            assert_eq!(back.unwrap().iter().map(|value| value.to_bits()).collect::<Vec<_>>(), expected);
        }
        encoding
    }

    #[test]
    fn prices_become_integers_and_noise_does_not() {
        let mut prices: Vec<f64> = (0..2_000).map(|at| f64::from(at) / 100.0).collect();
        assert_eq!(check(&prices), encoding::DECIMAL_REAL);
        prices[77] = f64::NAN;
        prices[78] = -0.0;
        assert_eq!(check(&prices), encoding::DECIMAL_REAL);
        assert_eq!(check(&(1..500).map(|at| f64::from(at).sqrt()).collect::<Vec<_>>()), encoding::PLANES_REAL);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_reals(bits in proptest::collection::vec(any::<u64>(), 1..300)) {
            check(&bits.into_iter().map(f64::from_bits).collect::<Vec<_>>());
        }

        #[test]
        fn any_decimals(values in proptest::collection::vec(prop_oneof![any::<i128>(), (-9_i128..9).prop_map(|v| v * 1_000_000_000_000_000_000)], 1..100)) {
            let mut out = Writer::default();
            let encoding = encode_decimals(&values, 3, &mut out).unwrap();
            let reader = &mut Reader::new(&out.bytes);
            let back = match encoding {
                encoding::SCALED_DECIMAL => decode_scaled_decimals(reader, values.len(), &Wanted::All),
                _ => decode_wide_decimals(reader, values.len(), &Wanted::All),
            };
            prop_assert_eq!(back.unwrap(), values);
        }
    }
}
