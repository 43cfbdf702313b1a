//! One binary-fuse filter as bytes: built by `xorf`, probed where it lies.
//!
//! ```text
//! filter = seed u64, log2 of the segment length u8, segments u32, fingerprints
//! fingerprints = (segments + 2) << log2, each `width` bits, least significant first; then 4 zero bytes
//! ```
//!
//! A fingerprint is the low `width` bits of what `xorf::BinaryFuse16` computes. Its equation is an exclusive-or, bit by bit, and
//! so holds of any bits of it: one construction serves every width from 1 to 16.
//!
//! Source: Graf and Lemire, Binary Fuse Filters, 2022; `xorf` 0.13.

use kyma_core::error::Result;
use xorf::BinaryFuse16;

use crate::wire::{Reader, Writer, corrupt};

/// Zero bytes after the fingerprints, so that every read of 4 bytes stays inside.
const PADDING: usize = 4;
/// A longer segment is never built.
const SEGMENT_BITS_MAX: u8 = 18;

/// Appends the filter of `keys`, which are distinct; false when none can be built.
pub(crate) fn write(keys: &[u64], width: u8, out: &mut Writer) -> bool {
    let Ok(filter) = BinaryFuse16::try_from(keys) else { return false };
    let descriptor = &filter.descriptor;
    out.u64(descriptor.seed);
    out.u8(descriptor.segment_length.trailing_zeros() as u8);
    out.u32(descriptor.segment_count_length / descriptor.segment_length);
    let (mut bits, mut count) = (0_u32, 0);
    for &fingerprint in &filter.fingerprints {
        bits |= (u32::from(fingerprint) & mask(width)) << count;
        count += u32::from(width);
        while count >= 8 {
            out.u8(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        out.u8(bits as u8);
    }
    out.raw(&[0; PADDING]);
    true
}

fn mask(width: u8) -> u32 {
    (1 << width) - 1
}

/// A filter that lies in `bytes`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fuse<'a> {
    seed: u64,
    segment_bits: u8,
    /// Where the first of a key's three places may lie: below this.
    starts: u64,
    width: u8,
    fingerprints: &'a [u8],
}

impl<'a> Fuse<'a> {
    /// Checks that every place a key can have lies inside `bytes`.
    pub(crate) fn read(bytes: &'a [u8], width: u8) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let seed = reader.u64()?;
        let segment_bits = reader.u8()?;
        let segments = u64::from(reader.u32()?);
        if segment_bits > SEGMENT_BITS_MAX || !(1..=16).contains(&width) || segments == 0 {
            return Err(corrupt("a filter's shape is not possible"));
        }
        let places = (segments + 2) << segment_bits;
        let needed = (places * u64::from(width)).div_ceil(8) + PADDING as u64;
        let fingerprints = reader.raw(reader.remaining())?;
        if fingerprints.len() as u64 != needed {
            return Err(corrupt("a filter has the wrong length"));
        }
        Ok(Fuse { seed, segment_bits, starts: segments << segment_bits, width, fingerprints })
    }

    /// Whether `key` may be in the set; certainly not when false.
    pub(crate) fn contains(&self, key: u64) -> bool {
        let hash = mix(key.wrapping_add(self.seed));
        let segment = 1_u64 << self.segment_bits;
        let first = ((u128::from(hash) * u128::from(self.starts)) >> 64) as u64;
        let second = (first + segment) ^ ((hash >> 18) & (segment - 1));
        let third = (first + 2 * segment) ^ (hash & (segment - 1));
        let found = self.at(first) ^ self.at(second) ^ self.at(third);
        (found ^ (hash ^ (hash >> 32)) as u32) & mask(self.width) == 0
    }

    fn at(&self, place: u64) -> u32 {
        let bit = place * u64::from(self.width);
        let start = (bit / 8) as usize;
        let bytes = self.fingerprints.get(start..start + PADDING).and_then(|bytes| bytes.try_into().ok());
        u32::from_le_bytes(bytes.unwrap_or_default()) >> (bit % 8)
    }
}

/// The finaliser of MurmurHash3, as `xorf` uses it.
pub(crate) fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use xorf::Filter;

    #[test]
    fn agrees_with_xorf_and_errs_as_rarely() {
        for (size, width) in [(1, 8), (2, 9), (7, 16), (1_000, 8), (30_000, 11)] {
            let keys: Vec<u64> = (0..size).map(mix).collect();
            let whole = BinaryFuse16::try_from(&keys).unwrap();
            let mut out = Writer::default();
            assert!(write(&keys, width, &mut out));
            let fuse = Fuse::read(&out.bytes, width).unwrap();
            assert!(keys.iter().all(|&key| fuse.contains(key)));
            let others = (0..100_000_u64).map(|key| mix(key + (1 << 40)));
            let mut false_ones = 0;
            for key in others {
                assert!(fuse.contains(key) || !whole.contains(&key));
                false_ones += u32::from(fuse.contains(key));
            }
            let expected = 100_000.0 / f64::from(1_u32 << width);
            assert!(f64::from(false_ones) < 2.0 * expected + 10.0, "{size} {width} {false_ones}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200), width in 0_u8..20, key: u64) {
            if let Ok(fuse) = Fuse::read(&bytes, width) {
                fuse.contains(key);
            }
        }

        #[test]
        fn hostile_shapes_are_refused_or_answer(bits in 0_u8..4, segments in 0_u32..6, rest in 0_usize..80, key: u64) {
            let mut out = Writer::default();
            out.u64(7);
            out.u8(bits);
            out.u32(segments);
            out.raw(&vec![0xa5; rest]);
            if let Ok(fuse) = Fuse::read(&out.bytes, 9) {
                fuse.contains(key);
            }
        }
    }
}
