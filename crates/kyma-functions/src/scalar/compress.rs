//! gzip and zlib texts in base64; what does not decompress to UTF-8 within the limit gives the empty string.

use std::borrow::Cow;
use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use super::text::map;
use super::{Kernel, kernel};
use crate::limits::DECOMPRESSED_BYTES_MAX;

pub(super) static KERNELS: &[Kernel] = &[
    kernel("gzip_compress_to_base64_string", |call| {
        map(call, |text| {
            let mut bytes = GZIP_HEADER.to_vec();
            bytes.extend(deflated(text));
            let mut checksum = Crc::new();
            checksum.update(text.as_bytes());
            bytes.extend(checksum.sum().to_le_bytes());
            bytes.extend(checksum.amount().to_le_bytes());
            Cow::Owned(STANDARD.encode(bytes))
        })
    }),
    kernel("gzip_decompress_from_base64_string", |call| {
        map(call, |text| Cow::Owned(decompress(text, |bytes| Box::new(GzDecoder::new(bytes)))))
    }),
    kernel("zlib_compress_to_base64_string", |call| {
        map(call, |text| {
            let mut bytes = ZLIB_HEADER.to_vec();
            bytes.extend(deflated(text));
            bytes.extend(adler32(text.as_bytes()).to_be_bytes());
            Cow::Owned(STANDARD.encode(bytes))
        })
    }),
    kernel("zlib_decompress_from_base64_string", |call| {
        map(call, |text| Cow::Owned(decompress(text, |bytes| Box::new(ZlibDecoder::new(bytes)))))
    }),
];

/// Deflate, no name, no time, no system (RFC 1952).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Deflate with a window of 32 KiB, the fastest way (RFC 1950).
const ZLIB_HEADER: [u8; 2] = [0x78, 0x01];

/// The text deflated (RFC 1951); stored as it is where that would not make it shorter.
fn deflated(text: &str) -> Vec<u8> {
    let at = |level| {
        let mut encoder = DeflateEncoder::new(Vec::new(), level);
        encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default()
    };
    let bytes = at(Compression::fast());
    if bytes.len() < text.len() || text.is_empty() { bytes } else { at(Compression::none()) }
}

/// The checksum of zlib.
fn adler32(bytes: &[u8]) -> u32 {
    const BASE: u32 = 65_521;
    let (mut a, mut b) = (1_u32, 0_u32);
    // So many bytes do not overflow the sums.
    for chunk in bytes.chunks(5_552) {
        for byte in chunk {
            a += u32::from(*byte);
            b += a;
        }
        (a, b) = (a % BASE, b % BASE);
    }
    b << 16 | a
}

fn decompress(text: &str, reader: impl for<'b> Fn(&'b [u8]) -> Box<dyn Read + 'b>) -> String {
    let Ok(bytes) = STANDARD.decode(text.trim()) else { return String::new() };
    let mut out = String::new();
    let read = reader(&bytes).take(DECOMPRESSED_BYTES_MAX as u64 + 1).read_to_string(&mut out);
    if read.is_ok() && out.len() <= DECOMPRESSED_BYTES_MAX { out } else { String::new() }
}
