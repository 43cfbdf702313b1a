//! Incremental gzip and zstd with bounded outputs.

use std::io::Write;

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use kyma_core::{Error, Result};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

/// Compressed bytes given to gzip at a time: they become at most about a thousand times as many.
const GZIP_STEP_BYTES: usize = 4 * 1024;
/// Output of one zstd step.
const ZSTD_OUTPUT_BYTES: usize = 256 * 1024;
/// Largest zstd window, as a power of two: what a decoder may be made to allocate.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// A decompressor with its unread input.
pub(super) struct Inflate {
    codec: Codec,
    input: Bytes,
}

enum Codec {
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd { decoder: Box<ZstdDecoder<'static>>, in_frame: bool },
}

impl Inflate {
    pub(super) fn plain() -> Self {
        Inflate { codec: Codec::Plain, input: Bytes::new() }
    }

    /// The decompressor for a body that starts with `head`.
    pub(super) fn of_magic(head: &[u8]) -> Result<Self> {
        let codec = match head {
            [0x1f, 0x8b, ..] => Codec::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let mut decoder = ZstdDecoder::new().map_err(broken)?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(broken)?;
                Codec::Zstd { decoder: Box::new(decoder), in_frame: true }
            }
            _ => Codec::Plain,
        };
        Ok(Inflate { codec, input: Bytes::new() })
    }

    /// Takes a piece; the piece before must have been used up.
    pub(super) fn input(&mut self, piece: Bytes) {
        debug_assert!(self.input.is_empty());
        self.input = piece;
    }

    /// The next output, or `None` when more input is needed.
    pub(super) fn output(&mut self) -> Result<Option<Bytes>> {
        while !self.input.is_empty() {
            let output = match &mut self.codec {
                Codec::Plain => std::mem::take(&mut self.input),
                Codec::Gzip(decoder) => gunzip(decoder, &mut self.input)?,
                Codec::Zstd { decoder, in_frame } => unzstd(decoder, in_frame, &mut self.input)?,
            };
            if !output.is_empty() {
                return Ok(Some(output));
            }
        }
        match &mut self.codec {
            Codec::Zstd { decoder, in_frame: true } => drain_zstd(decoder),
            _ => Ok(None),
        }
    }

    /// Checks that the input ended where it may. Everything was taken out before.
    pub(super) fn finish(&mut self) -> Result<()> {
        match &mut self.codec {
            Codec::Plain | Codec::Zstd { in_frame: false, .. } => Ok(()),
            Codec::Zstd { in_frame: true, .. } => Err(broken("the zstd frame ends early")),
            Codec::Gzip(decoder) => decoder.try_finish().map_err(broken),
        }
    }
}

fn gunzip(decoder: &mut MultiGzDecoder<Vec<u8>>, input: &mut Bytes) -> Result<Bytes> {
    let step = input.split_to(input.len().min(GZIP_STEP_BYTES));
    decoder.write_all(&step).map_err(broken)?;
    // Without the flush the last output would stay inside the decoder.
    decoder.flush().map_err(broken)?;
    Ok(Bytes::from(std::mem::take(decoder.get_mut())))
}

fn unzstd(decoder: &mut ZstdDecoder<'_>, in_frame: &mut bool, input: &mut Bytes) -> Result<Bytes> {
    let mut output = vec![0; ZSTD_OUTPUT_BYTES];
    let (read, written) = {
        let mut from = InBuffer::around(input);
        let mut to = OutBuffer::around(&mut output[..]);
        *in_frame = decoder.run(&mut from, &mut to).map_err(broken)? > 0;
        (from.pos(), to.pos())
    };
    input.advance(read);
    output.truncate(written);
    Ok(Bytes::from(output))
}

/// What zstd still holds after its input is used up.
fn drain_zstd(decoder: &mut ZstdDecoder<'_>) -> Result<Option<Bytes>> {
    let mut output = vec![0; ZSTD_OUTPUT_BYTES];
    let written = {
        let mut to = OutBuffer::around(&mut output[..]);
        decoder.run(&mut InBuffer::around(&[]), &mut to).map_err(broken)?;
        to.pos()
    };
    output.truncate(written);
    Ok((written > 0).then(|| Bytes::from(output)))
}

fn broken(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::invalid("ingest.body_broken", "body cannot be decompressed")
        .hint("the body is damaged or was cut off; nothing of it was stored")
        .because(source)
}
