//! Packs up to 1,024 integers into `width` bits each.
//!
//! A full page uses the FastLanes order, which vectorises; a shorter one is packed one after the other. The packed
//! words are stored little-endian, so `packed_bytes` bytes follow whatever the machine.
//!
//! The only unsafe code of the crate: FastLanes picks its kernel by a width known at run time, and checks slice lengths
//! only in debug builds. Both callers build the slices with the asserted lengths right here.
#![allow(unsafe_code, reason = "FastLanes' run-time width dispatch is an unsafe fn; lengths are fixed here")]

use fastlanes::BitPacking;

use crate::constants::PAGE_ROWS;
use crate::wire::corrupt;
use kyma_core::error::Result;

/// Bytes that `rows` integers of `width` bits take.
pub(crate) fn packed_bytes(rows: usize, width: u8) -> usize {
    (rows * usize::from(width)).div_ceil(8)
}

/// Appends `values`, each below `2^width`, to `out`. At most a page of them.
pub(crate) fn pack(values: &[u64], width: u8, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    if values.len() < PAGE_ROWS {
        return pack_short(values, width, out);
    }
    if width <= 32 {
        let input: [u32; PAGE_ROWS] = std::array::from_fn(|at| values[at] as u32);
        let mut packed = [0_u32; PAGE_ROWS];
        let words = &mut packed[..PAGE_ROWS * usize::from(width) / 32];
        // SAFETY: `input` has 1,024 values and `words` has exactly 1024 * width / 32 words; width <= 32.
        unsafe { BitPacking::unchecked_pack(usize::from(width), &input, words) };
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    } else {
        let mut packed = [0_u64; PAGE_ROWS];
        let words = &mut packed[..PAGE_ROWS * usize::from(width) / 64];
        // SAFETY: `values` has 1,024 values and `words` has exactly 1024 * width / 64 words; width <= 64.
        unsafe { BitPacking::unchecked_pack(usize::from(width), &values[..PAGE_ROWS], words) };
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
}

/// Unpacks `rows` integers of `width` bits into the front of `out`.
pub(crate) fn unpack(packed: &[u8], width: u8, rows: usize, out: &mut [u64; PAGE_ROWS]) -> Result<()> {
    if width > 64 || rows > PAGE_ROWS || packed.len() != packed_bytes(rows, width) {
        return Err(corrupt("a packed page has the wrong size"));
    }
    if width == 0 {
        out[..rows].fill(0);
        return Ok(());
    }
    if rows < PAGE_ROWS {
        unpack_short(packed, width, &mut out[..rows]);
        return Ok(());
    }
    if width <= 32 {
        let mut words = [0_u32; PAGE_ROWS];
        let count = PAGE_ROWS * usize::from(width) / 32;
        for (word, bytes) in words.iter_mut().zip(packed.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let mut values = [0_u32; PAGE_ROWS];
        // SAFETY: the input has exactly 1024 * width / 32 words, the output 1,024; width <= 32.
        unsafe { BitPacking::unchecked_unpack(usize::from(width), &words[..count], &mut values) };
        for (out, value) in out.iter_mut().zip(values) {
            *out = u64::from(value);
        }
    } else {
        let mut words = [0_u64; PAGE_ROWS];
        let count = PAGE_ROWS * usize::from(width) / 64;
        for (word, bytes) in words.iter_mut().zip(packed.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        // SAFETY: the input has exactly 1024 * width / 64 words, the output 1,024; width <= 64.
        unsafe { BitPacking::unchecked_unpack(usize::from(width), &words[..count], out) };
    }
    Ok(())
}

fn pack_short(values: &[u64], width: u8, out: &mut Vec<u8>) {
    let (mut pending, mut bits) = (0_u128, 0_u32);
    for &value in values {
        pending |= u128::from(value) << bits;
        bits += u32::from(width);
        while bits >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(pending as u8);
    }
}

fn unpack_short(packed: &[u8], width: u8, out: &mut [u64]) {
    let (mut pending, mut bits) = (0_u128, 0_u32);
    let mut bytes = packed.iter();
    let mask = if width == 64 { u64::MAX } else { (1_u64 << width) - 1 };
    for value in out {
        while bits < u32::from(width) {
            pending |= u128::from(bytes.next().copied().unwrap_or_default()) << bits;
            bits += 8;
        }
        *value = pending as u64 & mask;
        pending >>= width;
        bits -= u32::from(width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_and_length_comes_back() {
        for width in 0..=64_u8 {
            for rows in [0, 1, 7, 1_023, 1_024] {
                let mask = if width == 64 { u64::MAX } else { (1_u64 << width) - 1 };
                let values: Vec<u64> =
                    (0..rows as u64).map(|at| at.wrapping_mul(0x9E37_79B9_7F4A_7C15) & mask).collect();
                let mut packed = Vec::new();
                pack(&values, width, &mut packed);
                assert_eq!(packed.len(), packed_bytes(rows, width));
                let mut back = [0; PAGE_ROWS];
                unpack(&packed, width, rows, &mut back).unwrap();
                assert_eq!(back[..rows], values, "width {width}, rows {rows}");
            }
        }
    }
}
