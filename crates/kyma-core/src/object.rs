//! The directory at the end of an object that holds several extents: where they are, for whoever has lost the catalog.
//!
//! ```text
//! object    = extent, extent*, directory        an object of one extent has no directory: it is that extent's file
//! directory = body, tail
//! body      = JSON: an array of entries
//! tail      = body bytes u32, xxh3-64 of the body u64, magic [8]        little-endian
//! ```
//!
//! The catalog does not count it to any extent. Written files carry these values: they never change.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::ids::ExtentId;

/// The object's last bytes when it has a directory.
const MAGIC: [u8; 8] = *b"kymaOBJ1";
/// Bytes of the tail.
pub const TAIL_BYTES: u64 = 20;
/// Bytes of a directory; an object that claims more has none.
pub const DIRECTORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One extent of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// The extent.
    pub extent: ExtentId,
    /// Name of its `SegmentFormat`.
    pub format: String,
    /// Its first byte in the object.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
    /// Bytes of its footer, its last ones.
    pub footer_length: u32,
}

/// The bytes of a directory.
///
/// # Errors
/// `Exhausted` when there are too many entries.
pub fn write(entries: &[DirectoryEntry]) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(entries)
        .map_err(|error| Error::internal("the directory of an object cannot be written").because(error))?;
    if bytes.len() as u64 + TAIL_BYTES > DIRECTORY_BYTES_MAX {
        return Err(Error::exhausted("object.too_many_extents", "an object holds too many extents"));
    }
    let (length, checksum) = (bytes.len() as u32, xxh3_64(&bytes));
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(&MAGIC);
    Ok(bytes)
}

/// Bytes of the directory, tail included, that an object with these last bytes has; `None` when it has none.
pub fn length(tail: &[u8]) -> Option<u64> {
    let (rest, magic) = tail.split_last_chunk::<8>()?;
    let (body, _) = rest.split_last_chunk::<8>()?;
    let (_, body) = body.split_last_chunk::<4>()?;
    let length = u64::from(u32::from_le_bytes(*body)) + TAIL_BYTES;
    (*magic == MAGIC && length <= DIRECTORY_BYTES_MAX).then_some(length)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// `Corrupt` when it is anything else, or names bytes that lie outside an object of `object_bytes`.
pub fn read(bytes: &[u8], object_bytes: u64) -> Result<Vec<DirectoryEntry>> {
    let corrupt = |why: &str| Error::corrupt(format!("the directory of an object is corrupt: {why}"));
    let (body, tail) =
        bytes.split_at_checked(bytes.len().saturating_sub(TAIL_BYTES as usize)).ok_or_else(|| corrupt("length"))?;
    let checksum = tail.get(4..12).and_then(|bytes| bytes.first_chunk::<8>()).map(|bytes| u64::from_le_bytes(*bytes));
    if length(bytes) != Some(bytes.len() as u64) || checksum != Some(xxh3_64(body)) {
        return Err(corrupt("the checksum does not match"));
    }
    let entries: Vec<DirectoryEntry> =
        serde_json::from_slice(body).map_err(|error| corrupt("it is not understood").because(error))?;
    let is_inside = |entry: &DirectoryEntry| {
        let end = entry.offset.checked_add(entry.length);
        end.is_some_and(|end| end <= object_bytes) && u64::from(entry.footer_length) <= entry.length
    };
    if entries.iter().all(is_inside) { Ok(entries) } else { Err(corrupt("an extent lies outside")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<DirectoryEntry> {
        let entry = |number: u128, offset: u64| DirectoryEntry {
            extent: ExtentId(uuid::Uuid::from_u128(number)),
            format: "tlm".to_owned(),
            offset,
            length: 50,
            footer_length: 20,
        };
        vec![entry(1, 0), entry(2, 50)]
    }

    #[test]
    fn what_is_written_is_read_back() {
        let directory = write(&entries()).unwrap();
        let object = [vec![7; 100], directory.clone()].concat();
        assert_eq!(length(&object), Some(directory.len() as u64));
        assert_eq!(read(&directory, 100).unwrap(), entries());
        assert!(read(&directory, 99).is_err(), "an extent ends after the object does");
        assert_eq!((length(b""), length(b"kymaOBJ"), length(&[0; 40])), (None, None, None));
    }

    #[test]
    fn any_changed_byte_is_found() {
        let directory = write(&entries()).unwrap();
        for at in 0..directory.len() {
            let mut changed = directory.clone();
            changed[at] ^= 4;
            assert!(read(&changed, 100).is_err(), "byte {at}");
        }
    }
}
