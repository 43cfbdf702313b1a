//! Small numbers by row: which template, which spelling. Packed bits, or zstd over bytes where lines come in patterns.
//!
//! ```text
//! codes = width u8 (0, 1 or 2): 0 integers; else blob of `width` little-endian bytes per code
//! ```

use kyma_core::error::Result;

use crate::encoding::wanted::Wanted;
use crate::encoding::{blob, integers};
use crate::wire::{Reader, Writer, corrupt};

/// Appends `codes`, whichever way is shortest.
pub(crate) fn encode(codes: &[u32], level: i32, out: &mut Writer) -> Result<()> {
    let widest = codes.iter().copied().max().unwrap_or_default();
    let mut packed = Writer::default();
    packed.u8(0);
    integers::encode(&codes.iter().map(|&code| i64::from(code)).collect::<Vec<_>>(), &mut packed);
    if widest <= u32::from(u16::MAX) && packed.bytes.len() > 32 {
        let width = if widest <= u32::from(u8::MAX) { 1 } else { 2 };
        let bytes: Vec<u8> = codes.iter().flat_map(|code| code.to_le_bytes().into_iter().take(width)).collect();
        let mut compressed = Writer::default();
        compressed.u8(width as u8);
        blob::encode(&bytes, level, &mut compressed)?;
        if compressed.bytes.len() < packed.bytes.len() {
            packed = compressed;
        }
    }
    out.raw(&packed.bytes);
    Ok(())
}

/// Reads the `count` codes that [`encode`] wrote.
pub(crate) fn decode(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u32>> {
    match reader.u8()? {
        0 => {
            let values = integers::decode(reader, count, &Wanted::All)?;
            // One look at all of them, so that the copy has no branch.
            if values.iter().fold(0, |all, value| all | value) >> u32::BITS != 0 {
                return Err(corrupt("a code is out of range"));
            }
            Ok(values.into_iter().map(|value| value as u32).collect())
        }
        width @ 1..=2 => {
            let bytes = blob::decode(reader)?;
            let width = usize::from(width);
            if bytes.len() != count * width {
                return Err(corrupt("codes have the wrong length"));
            }
            let code = |bytes: &[u8]| bytes.iter().rev().fold(0, |code, &byte| code << 8 | u32::from(byte));
            Ok(bytes.chunks_exact(width).map(code).collect())
        }
        _ => Err(corrupt("unknown kind of codes")),
    }
}
