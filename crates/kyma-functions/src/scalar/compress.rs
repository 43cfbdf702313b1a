//! gzip and zlib texts in base64; what does not decompress to UTF-8 within the limit gives the empty string.

use std::borrow::Cow;
use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};

use super::text::map;
use super::{Kernel, kernel};
use crate::limits::DECOMPRESSED_BYTES_MAX;

pub(super) static KERNELS: &[Kernel] = &[
    kernel("gzip_compress_to_base64_string", |call| {
        map(call, |text| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let written = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
            Cow::Owned(written.map(|bytes| STANDARD.encode(bytes)).unwrap_or_default())
        })
    }),
    kernel("gzip_decompress_from_base64_string", |call| {
        map(call, |text| Cow::Owned(decompress(text, |bytes| Box::new(GzDecoder::new(bytes)))))
    }),
    kernel("zlib_compress_to_base64_string", |call| {
        map(call, |text| {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            let written = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
            Cow::Owned(written.map(|bytes| STANDARD.encode(bytes)).unwrap_or_default())
        })
    }),
    kernel("zlib_decompress_from_base64_string", |call| {
        map(call, |text| Cow::Owned(decompress(text, |bytes| Box::new(ZlibDecoder::new(bytes)))))
    }),
];

fn decompress(text: &str, reader: impl for<'b> Fn(&'b [u8]) -> Box<dyn Read + 'b>) -> String {
    let Ok(bytes) = STANDARD.decode(text.trim()) else { return String::new() };
    let mut out = String::new();
    let read = reader(&bytes).take(DECOMPRESSED_BYTES_MAX as u64 + 1).read_to_string(&mut out);
    if read.is_ok() && out.len() <= DECOMPRESSED_BYTES_MAX { out } else { String::new() }
}
