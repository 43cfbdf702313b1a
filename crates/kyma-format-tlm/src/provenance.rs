//! Where an extent's rows came from, and a checksum of all of its data.
//!
//! ```text
//! PROVENANCE = input bytes varint, data bytes varint, crc32c u32,
//!              replaced extents varint, extent [16]*, writes varint, hash u128*
//! ```
//!
//! Version 1.1 and older have no such section.

use kyma_core::error::Result;
use kyma_core::format::{DataChecksum, EncodeOptions};
use kyma_core::ids::ExtentId;
use kyma_core::limits::{EXTENT_REPLACES_MAX, EXTENT_WRITES_MAX};

use crate::wire::{Reader, Writer, corrupt};

/// What `identity` says beside whose rows these are, with the checksum of the data.
pub(crate) fn write_section(identity: &EncodeOptions, checksum: DataChecksum) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint(identity.raw_bytes);
    out.varint(checksum.bytes);
    out.u32(checksum.crc32c);
    out.length(identity.replaces.len());
    identity.replaces.iter().for_each(|extent| out.raw(extent.0.as_bytes()));
    out.length(identity.writes.len());
    identity.writes.iter().for_each(|hash| out.raw(&hash.to_le_bytes()));
    out.bytes
}

/// Reads what [`write_section`] wrote into `identity`.
pub(crate) fn read_section(
    mut reader: Reader<'_>,
    identity: &mut EncodeOptions,
    data_bytes: u64,
) -> Result<DataChecksum> {
    identity.raw_bytes = reader.varint()?;
    let checksum = DataChecksum { bytes: reader.varint()?, crc32c: reader.u32()? };
    if checksum.bytes > data_bytes {
        return Err(corrupt("a checksum covers more than the data"));
    }
    for _ in 0..reader.length(EXTENT_REPLACES_MAX)? {
        let extent = reader.raw(16)?.try_into().map_err(|_| corrupt("an id is too short"))?;
        identity.replaces.push(ExtentId(uuid::Uuid::from_bytes(extent)));
    }
    for _ in 0..reader.length(EXTENT_WRITES_MAX)? {
        identity.writes.push(reader.u128()?);
    }
    Ok(checksum)
}
