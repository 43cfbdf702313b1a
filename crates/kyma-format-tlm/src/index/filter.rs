//! A set of (term, unit) pairs as binary-fuse filters, cut into shards by the term.
//!
//! ```text
//! filter = shard*                      back to back; the directory has their lengths and checksums
//! shard  = nothing: no pair            | SHARD_OPEN u8: "maybe" to everything          | SHARD_FUSE u8, filter (see `fuse`)
//! term   = hash of the folded term, xxh3_64; unless the class is pooled, plus salt of the field
//! key    = term + (unit + 1) * GOLDEN
//! ```
//!
//! All units of a term are in one shard, so that a needle reads one small range, whatever the number of blocks. One filter per
//! shard instead of one per block wastes less: a small filter takes up to a quarter more bytes per key than a large one.
//!
//! The width of fingerprints follows the number of units: a needle is looked up in every unit, so that with `units = 2^n` and
//! `n + 6` bits one needle in 64 finds a unit that does not hold it. Where the budget is spent they are narrower, down to `n + 1` bits:
//! then two needles find about one such unit.

use kyma_core::error::Result;

use super::fuse::{self, Fuse, mix};
use super::units::Units;
use crate::constants::index::{SHARD_FUSE, SHARD_OPEN};
use crate::limits::{INDEX_PARTS_MAX, SHARD_BYTES};
use crate::wire::{Reader, Writer, checksum, corrupt};

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Narrowest and widest fingerprint.
const WIDTHS: (u8, u8) = (8, 16);
/// Bits beyond the number of units: at least, and when there is room.
const MARGINS: (u32, u32) = (1, 6);
/// Bits per key and bit of width, times 64: what filters of a shard's size take.
const PLACES_PER_KEY: usize = 77;

/// One part of the index in the extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) bytes: u32,
    pub(crate) crc: u32,
}

/// What the directory says of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Filter {
    pub(crate) offset: u64,
    pub(crate) width: u8,
    pub(crate) shards: Vec<Part>,
}

/// A term as filters know it.
pub(crate) fn salted(hash: u64, field: usize, is_pooled: bool) -> u64 {
    if is_pooled { hash } else { hash.wrapping_add(mix((field as u64 + 1).wrapping_mul(GOLDEN))) }
}

fn key(term: u64, unit: u32) -> u64 {
    term.wrapping_add((u64::from(unit) + 1).wrapping_mul(GOLDEN))
}

/// The shard of a term.
pub(crate) fn shard_of(term: u64, shards: usize) -> usize {
    ((u128::from(term) * shards as u128) >> 64) as usize
}

/// Bytes that a filter of `pairs` takes, about.
pub(crate) fn estimate(pairs: usize, width: u8) -> usize {
    pairs * usize::from(width) * PLACES_PER_KEY / 64 / 8
}

/// The width for pairs with `units` units, as far as `budget` bytes allow.
pub(crate) fn width(pairs: usize, units: u32, budget: usize) -> u8 {
    let with = |margin: u32| (units.max(1).ilog2() + margin).clamp(u32::from(WIDTHS.0), u32::from(WIDTHS.1)) as u8;
    let (least, wanted) = (with(MARGINS.0), with(MARGINS.1));
    (least..=wanted).rev().find(|&width| estimate(pairs, width) <= budget).unwrap_or(least)
}

/// Appends the filter of `pairs` to `data`.
pub(crate) fn write(mut pairs: Vec<(u64, u32)>, width: u8, data: &mut Vec<u8>) -> Filter {
    pairs.sort_unstable();
    pairs.dedup();
    let count = estimate(pairs.len(), width).div_ceil(SHARD_BYTES).clamp(1, INDEX_PARTS_MAX);
    let mut filter = Filter { offset: data.len() as u64, width, shards: Vec::with_capacity(count) };
    let mut rest = pairs.as_slice();
    let mut keys = Vec::new();
    for shard in 0..count {
        let end = rest.partition_point(|&(term, _)| shard_of(term, count) <= shard);
        let (here, after) = rest.split_at(end);
        rest = after;
        keys.clear();
        keys.extend(here.iter().map(|&(term, unit)| key(term, unit)));
        keys.sort_unstable();
        keys.dedup();
        let bytes = write_shard(&keys, width);
        filter.shards.push(Part { bytes: bytes.len() as u32, crc: checksum(&bytes) });
        data.extend_from_slice(&bytes);
    }
    filter
}

fn write_shard(keys: &[u64], width: u8) -> Vec<u8> {
    let mut out = Writer::default();
    if keys.is_empty() {
        return out.bytes;
    }
    out.u8(SHARD_FUSE);
    match fuse::write(keys, width, &mut out) {
        true => out.bytes,
        false => vec![SHARD_OPEN],
    }
}

/// A shard that has been read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shard<'a> {
    Empty,
    Open,
    Fuse(Fuse<'a>),
}

impl<'a> Shard<'a> {
    pub(crate) fn read(bytes: &'a [u8], width: u8) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Shard::Empty);
        }
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            SHARD_OPEN => Ok(Shard::Open),
            SHARD_FUSE => Ok(Shard::Fuse(Fuse::read(reader.raw(reader.remaining())?, width)?)),
            _ => Err(corrupt("unknown kind of filter")),
        }
    }

    /// Units of `among` that may have the term.
    pub(crate) fn units(&self, term: u64, among: &Units) -> Units {
        let mut found = Units::none(among.count());
        let may_have = |unit: u32| match self {
            Shard::Empty => false,
            Shard::Open => true,
            Shard::Fuse(fuse) => fuse.contains(key(term, unit)),
        };
        (0..among.count()).filter(|&unit| among.has(unit) && may_have(unit)).for_each(|unit| found.set(unit));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_pair_and_few_others() {
        let pairs: Vec<(u64, u32)> = (0..60_000_u64).map(|at| (mix(at / 3), (at * 7 % 250) as u32)).collect();
        let mut data = vec![1, 2, 3];
        let width = width(pairs.len(), 250, usize::MAX);
        assert_eq!(width, 13);
        let filter = write(pairs.clone(), width, &mut data);
        assert!(filter.shards.len() > 1);
        let (mut ends, mut end) = (Vec::new(), filter.offset as usize);
        for part in &filter.shards {
            assert!((part.bytes as usize) < SHARD_BYTES * 3 / 2);
            ends.push(end..end + part.bytes as usize);
            end += part.bytes as usize;
        }
        assert_eq!(end, data.len());
        let all = Units::all(250);
        let find = |term: u64| {
            let place = ends[shard_of(term, ends.len())].clone();
            Shard::read(&data[place], width).unwrap().units(term, &all)
        };
        assert!(pairs.iter().all(|&(term, unit)| find(term).has(unit)));
        let absent = (0..2_000_u64).filter(|&at| !find(mix(at + (1 << 50))).is_empty()).count();
        assert!(absent < 150, "{absent}");
    }
}
