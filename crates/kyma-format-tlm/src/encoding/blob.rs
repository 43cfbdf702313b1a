//! Bytes, compressed where that pays: `tag u8, bytes varint, [compressed bytes varint], bytes`.

use std::borrow::Cow;
use std::cell::RefCell;

use kyma_core::error::{Error, Result};

use crate::constants::blob as tag;
use crate::limits::FRAME_BYTES_MAX;
use crate::wire::{Reader, Writer, corrupt};

/// Shorter bytes are not worth a zstd frame.
const COMPRESSED_BYTES_MIN: usize = 48;

/// One zstd frame of `bytes`.
pub(crate) fn compress(bytes: &[u8], level: i32) -> Result<Vec<u8>> {
    zstd::bulk::compress(bytes, level).map_err(|error| Error::internal("zstd cannot compress").because(error))
}

thread_local! {
    /// One decompressor per thread: making one costs more than a small frame.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The `length` bytes inside one zstd frame. `length` has been checked against a limit.
pub(crate) fn decompress(frame: &[u8], length: usize) -> Result<Vec<u8>> {
    let bytes = DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress(frame, length)
    });
    let bytes = bytes.map_err(|error: std::io::Error| corrupt("a zstd frame is broken").because(error))?;
    if bytes.len() == length { Ok(bytes) } else { Err(corrupt("a zstd frame has the wrong length")) }
}

/// Appends `bytes` to `out`.
pub(crate) fn encode(bytes: &[u8], level: i32, out: &mut Writer) -> Result<()> {
    if bytes.len() >= COMPRESSED_BYTES_MIN {
        let frame = compress(bytes, level)?;
        if frame.len() + frame.len() / 32 < bytes.len() {
            out.u8(tag::ZSTD);
            out.length(bytes.len());
            out.length(frame.len());
            out.raw(&frame);
            return Ok(());
        }
    }
    encode_raw(bytes, out);
    Ok(())
}

/// Appends `bytes` to `out` as they are.
pub(crate) fn encode_raw(bytes: &[u8], out: &mut Writer) {
    out.u8(tag::RAW);
    out.length(bytes.len());
    out.raw(bytes);
}

/// Steps over what [`encode`] wrote.
pub(crate) fn skip(reader: &mut Reader<'_>) -> Result<()> {
    Packed::read(reader).map(|_| ())
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Vec<u8>> {
    Packed::read(reader)?.decode()
}

/// Bytes that are decompressed when somebody wants them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed<'a> {
    is_frame: bool,
    /// How many bytes there are.
    pub(crate) length: usize,
    stored: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Finds the bytes that [`encode`] wrote.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self> {
        let tag = reader.u8()?;
        let length = reader.length(FRAME_BYTES_MAX)?;
        let stored = match tag {
            tag::RAW => length,
            tag::ZSTD => reader.length(reader.remaining())?,
            _ => return Err(corrupt("unknown kind of blob")),
        };
        Ok(Packed { is_frame: tag == tag::ZSTD, length, stored: reader.raw(stored)? })
    }

    /// The bytes, without a copy where they are stored as they are.
    pub(crate) fn bytes(&self) -> Result<Cow<'a, [u8]>> {
        Ok(if self.is_frame { Cow::Owned(self.decode()?) } else { Cow::Borrowed(self.stored) })
    }

    pub(crate) fn decode(&self) -> Result<Vec<u8>> {
        if self.is_frame { decompress(self.stored, self.length) } else { Ok(self.stored.to_vec()) }
    }
}
