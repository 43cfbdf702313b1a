//! Looks over thrift's compact encoding before anything trusts it.
//!
//! A decoder that takes memory for as many elements as a list claims can be made to take all there is. This walk takes none: it
//! passes over one structure, checks that each string and list fits into what is left, and reports integers by their place.
//!
//! ```text
//! struct = field*, 0        field = (delta << 4 | type) u8, [zigzag-varint id when delta is 0], value
//! list   = (count << 4 | type) u8, [varint count when it is 15], value*
//! ```
//! Source: the Apache Thrift compact protocol.

use kyma_core::error::{Error, Result};

use crate::limits::THRIFT_DEPTH_MAX;

/// Ids of the fields that lead to an integer, outermost first.
pub(crate) type Place<'a> = &'a [i64];

/// What the header of a page says, as far as memory depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PageHeader {
    /// Bytes of the header itself.
    pub(crate) length: usize,
    /// Bytes of the page after it.
    pub(crate) compressed: i64,
    /// Bytes of the page when decompressed.
    pub(crate) uncompressed: i64,
    /// Values of a data page, nulls included.
    pub(crate) values: Option<i64>,
    /// Values of a dictionary page.
    pub(crate) dictionary_values: Option<i64>,
}

/// Reads the header that a page begins with.
pub(crate) fn page_header(bytes: &[u8]) -> Result<PageHeader> {
    let mut header = PageHeader::default();
    header.length = walk(bytes, &mut |place, value| match place {
        [2] => header.uncompressed = value,
        [3] => header.compressed = value,
        [5 | 8, 1] => header.values = Some(value),
        [7, 1] => header.dictionary_values = Some(value),
        _ => {}
    })?;
    Ok(header)
}

/// Passes over the structure at the start of `bytes`; gives its length.
pub(crate) fn walk(bytes: &[u8], visit: &mut impl FnMut(Place<'_>, i64)) -> Result<usize> {
    let mut walker = Walker { rest: bytes, place: Vec::new() };
    walker.structure(visit)?;
    Ok(bytes.len() - walker.rest.len())
}

struct Walker<'a> {
    rest: &'a [u8],
    place: Vec<i64>,
}

fn corrupt(why: &str) -> Error {
    Error::corrupt(format!("thrift structure is corrupt: {why}"))
}

impl Walker<'_> {
    fn u8(&mut self) -> Result<u8> {
        let (&first, rest) = self.rest.split_first().ok_or_else(|| corrupt("it ends early"))?;
        self.rest = rest;
        Ok(first)
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        let rest = usize::try_from(bytes).ok().and_then(|bytes| self.rest.get(bytes..));
        self.rest = rest.ok_or_else(|| corrupt("a value is longer than the structure"))?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(corrupt("an integer is too long"))
    }

    fn zigzag(&mut self) -> Result<i64> {
        let folded = self.varint()?;
        Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }

    fn structure(&mut self, visit: &mut impl FnMut(Place<'_>, i64)) -> Result<()> {
        if self.place.len() == THRIFT_DEPTH_MAX {
            return Err(corrupt("it nests too deep"));
        }
        let mut id = 0_i64;
        loop {
            let head = self.u8()?;
            if head == 0 {
                return Ok(());
            }
            id = match head >> 4 {
                0 => self.zigzag()?,
                delta => id.wrapping_add(i64::from(delta)),
            };
            self.place.push(id);
            match head & 15 {
                // A truth value of a field is in its type.
                1 | 2 => {}
                ty => self.value(ty, visit)?,
            }
            self.place.pop();
        }
    }

    fn value(&mut self, ty: u8, visit: &mut impl FnMut(Place<'_>, i64)) -> Result<()> {
        match ty {
            1..=3 => self.skip(1),
            4..=6 => {
                let value = self.zigzag()?;
                visit(&self.place, value);
                Ok(())
            }
            7 => self.skip(8),
            8 => {
                let bytes = self.varint()?;
                self.skip(bytes)
            }
            9 | 10 => self.list(visit),
            12 => self.structure(visit),
            _ => Err(corrupt("it has a type that Parquet does not use")),
        }
    }

    fn list(&mut self, visit: &mut impl FnMut(Place<'_>, i64)) -> Result<()> {
        let head = self.u8()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        // An element takes at least one byte.
        if count > self.rest.len() as u64 {
            return Err(corrupt("a list is longer than the structure"));
        }
        self.place.push(0);
        if self.place.len() > THRIFT_DEPTH_MAX {
            return Err(corrupt("it nests too deep"));
        }
        for _ in 0..count {
            self.value(head & 15, visit)?;
        }
        self.place.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_header_is_read() {
        // type 0, uncompressed 10, compressed 8, data page header { values 3, encoding 0, ... }
        let bytes = [0x15, 0, 0x15, 20, 0x15, 16, 0x2C, 0x15, 6, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0, 99];
        let header = page_header(&bytes).unwrap();
        assert_eq!((header.length, header.uncompressed, header.compressed, header.values), (17, 10, 8, Some(3)));
    }

    #[test]
    fn a_list_cannot_claim_more_than_there_is() {
        assert!(walk(&[0x19, 0xF5, 0xFF, 0xFF, 0x03, 0], &mut |_, _| {}).is_err());
        assert!(walk(&[0x1C; 100], &mut |_, _| {}).is_err(), "too deep");
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = walk(&bytes, &mut |_, _| {});
        }
    }
}
