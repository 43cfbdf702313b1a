//! Which units (pages or blocks) a term occurs in.
//!
//! ```text
//! postings = 0                                      every unit
//!          | 1, bitmap [units / 8, rounded up]      one bit per unit, least significant first
//!          | count + 2 varint, first varint, (gap - 1 varint)*     ascending
//! ```
//!
//! Whatever of list and bitmap is shorter. An extent of a million rows has a thousand pages: a bitmap takes 122 bytes, less than
//! a roaring bitmap's header and container.

use kyma_core::error::Result;

use super::units::Units;
use crate::wire::{Reader, Writer, corrupt};

const ALL: u64 = 0;
const BITMAP: u64 = 1;
const LIST: u64 = 2;

/// Appends ascending `units`, of `count`.
pub(crate) fn write(units: &[u32], count: u32, out: &mut Writer) {
    if units.len() == count as usize {
        return out.varint(ALL);
    }
    let mut list = Writer::default();
    let mut next = 0;
    for &unit in units {
        list.varint(u64::from(unit - next));
        next = unit + 1;
    }
    let bitmap_bytes = count.div_ceil(8) as usize;
    if list.bytes.len() <= bitmap_bytes {
        out.length(units.len() + LIST as usize);
        return out.raw(&list.bytes);
    }
    out.varint(BITMAP);
    let mut bitmap = vec![0_u8; bitmap_bytes];
    units.iter().for_each(|&unit| bitmap[unit as usize / 8] |= 1 << (unit % 8));
    out.raw(&bitmap);
}

/// Passes over postings.
pub(crate) fn skip(reader: &mut Reader<'_>, count: u32) -> Result<()> {
    match reader.varint()? {
        ALL => Ok(()),
        BITMAP => reader.raw(count.div_ceil(8) as usize).map(|_| ()),
        head => list(reader, head - LIST, count, |_| {}),
    }
}

/// Sets the units of postings in `found`.
pub(crate) fn read(reader: &mut Reader<'_>, count: u32, found: &mut Units) -> Result<()> {
    match reader.varint()? {
        ALL => found.fill(),
        BITMAP => {
            let bytes = reader.raw(count.div_ceil(8) as usize)?;
            let is_set = |unit: &u32| bytes[*unit as usize / 8] & (1 << (unit % 8)) != 0;
            (0..count).filter(is_set).for_each(|unit| found.set(unit));
        }
        head => list(reader, head - LIST, count, |unit| found.set(unit))?,
    }
    Ok(())
}

fn list(reader: &mut Reader<'_>, length: u64, count: u32, mut visit: impl FnMut(u32)) -> Result<()> {
    if length > u64::from(count) {
        return Err(corrupt("postings hold more units than there are"));
    }
    let mut next = 0;
    for _ in 0..length {
        let unit = reader.varint()?.checked_add(next).filter(|&unit| unit < u64::from(count));
        let unit = unit.ok_or_else(|| corrupt("postings name a unit that is not there"))?;
        visit(unit as u32);
        next = unit + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn are_read_back(set in proptest::collection::btree_set(0_u32..300, 0..300), more in 0_u32..40) {
            let units: Vec<u32> = set.into_iter().collect();
            let count = units.last().map_or(1, |last| last + 1) + more;
            let mut out = Writer::default();
            write(&units, count, &mut out);
            let mut reader = Reader::new(&out.bytes);
            let mut found = Units::none(count);
            read(&mut reader, count, &mut found).unwrap();
            prop_assert_eq!(reader.remaining(), 0);
            prop_assert_eq!((0..count).filter(|&unit| found.has(unit)).collect::<Vec<_>>(), units);
        }

        #[test]
        fn hostile_bytes_are_refused_or_answer(bytes in proptest::collection::vec(any::<u8>(), 0..60), count in 1_u32..200) {
            let _ = read(&mut Reader::new(&bytes), count, &mut Units::none(count));
        }
    }
}
