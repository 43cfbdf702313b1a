//! From pieces of a body to plain bytes, bounded.
//!
//! 1. The first bytes say whether the body is gzip or zstd, whatever its header says.
//! 2. Each piece is decompressed into outputs of bounded size, so that a bomb is noticed after at most a few MiB.
//! 3. The sum of the outputs is bounded (`ingest.body_too_large`); nothing of such a body is stored.
//! 4. A body that stops coming, breaks off or is no valid gzip or zstd fails as a whole (`ingest.body_broken`).

mod inflate;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use kyma_core::{Error, Result};
use tokio::time::timeout;

use inflate::Inflate;

/// Bytes that tell gzip and zstd from plain text.
const MAGIC_BYTES: usize = 4;

/// A body being read.
pub(crate) struct Body<'a> {
    input: BoxStream<'a, Result<Bytes>>,
    head: Option<BytesMut>,
    inflate: Inflate,
    produced: u64,
    bytes_max: u64,
    idle_timeout: Duration,
    ended: bool,
}

impl<'a> Body<'a> {
    pub(crate) fn new(input: BoxStream<'a, Result<Bytes>>, bytes_max: u64, idle_timeout: Duration) -> Self {
        Body {
            input,
            head: Some(BytesMut::new()),
            inflate: Inflate::plain(),
            produced: 0,
            bytes_max,
            idle_timeout,
            ended: false,
        }
    }

    /// The next plain bytes; `None` at the end of a whole body.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(output) = self.inflate.output()? {
                self.produced += output.len() as u64;
                if self.produced > self.bytes_max {
                    return Err(too_large(self.bytes_max));
                }
                // Decompression of a large piece must not hold up the other tasks of this thread.
                tokio::task::consume_budget().await;
                return Ok(Some(output));
            }
            if self.ended {
                self.inflate.finish()?;
                return Ok(None);
            }
            self.receive().await?;
        }
    }

    /// Takes one piece of input, or notes the end.
    async fn receive(&mut self) -> Result<()> {
        let piece = match timeout(self.idle_timeout, self.input.next()).await {
            Ok(Some(piece)) => Some(piece?),
            Ok(None) => None,
            Err(_elapsed) => {
                return Err(Error::new(kyma_core::Kind::Cancelled, "ingest.body_broken", "the body stopped coming")
                    .hint(format!("send at least one byte every {} s", self.idle_timeout.as_secs())));
            }
        };
        self.ended = piece.is_none();
        let Some(head) = &mut self.head else {
            if let Some(piece) = piece {
                self.inflate.input(piece);
            }
            return Ok(());
        };
        if let Some(piece) = piece {
            head.extend_from_slice(&piece);
        }
        if head.len() >= MAGIC_BYTES || self.ended {
            let head = self.head.take().unwrap_or_default().freeze();
            self.inflate = Inflate::of_magic(&head)?;
            self.inflate.input(head);
        }
        Ok(())
    }
}

fn too_large(bytes_max: u64) -> Error {
    Error::invalid("ingest.body_too_large", format!("body is too large after decompression: bytes_max={bytes_max}"))
        .hint("send it in several requests, or raise body_bytes_max; nothing of this body was stored")
}

#[cfg(test)]
mod tests;
