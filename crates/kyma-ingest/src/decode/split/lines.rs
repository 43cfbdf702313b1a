//! NDJSON: rows end at newlines.

use bytes::Bytes;
use kyma_core::Result;
use memchr::{memchr, memrchr};

use super::{Chunk, Rows, Split};
use crate::decode::Rejected;
use crate::settings::{CHUNK_BYTES, LINE_BYTES_MAX, RAW_BYTES_MAX};

/// Cuts at newlines.
#[derive(Debug, Default)]
pub(crate) struct LineSplit {
    buffer: Vec<u8>,
    /// No newline before this place of the buffer's last, open line.
    searched: usize,
    /// Length so far of a line that is being thrown away; its first bytes are `skipped_head`.
    skipped: Option<u64>,
    skipped_head: Vec<u8>,
    rejected: Vec<Rejected>,
    raw_bytes: u64,
}

impl LineSplit {
    /// Throws away the rest of a line that is too long; gives what follows it.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(skipped) = &mut self.skipped else { return bytes };
        let end = memchr(b'\n', bytes);
        *skipped += end.unwrap_or(bytes.len()) as u64;
        match end {
            None => &[],
            Some(end) => {
                self.end_skip();
                &bytes[end + 1..]
            }
        }
    }

    fn end_skip(&mut self) {
        if let Some(skipped) = self.skipped.take() {
            let reason = format!("row is longer than {LINE_BYTES_MAX} bytes");
            self.rejected.push(Rejected::new(reason, &self.skipped_head, skipped));
            self.skipped_head = Vec::new();
        }
    }

    /// Cuts the buffer after its last newline, if it has one.
    fn cut(&mut self) -> Option<Chunk> {
        let Some(last) = memrchr(b'\n', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            return None;
        };
        let rest = self.buffer.split_off(self.searched + last + 1);
        let whole = std::mem::replace(&mut self.buffer, rest);
        self.searched = self.buffer.len();
        Some(self.chunk(whole))
    }

    fn chunk(&mut self, bytes: Vec<u8>) -> Chunk {
        Chunk {
            bytes: Bytes::from(bytes),
            rows: Rows::Lines,
            rejected: std::mem::take(&mut self.rejected),
            raw_bytes: std::mem::take(&mut self.raw_bytes),
        }
    }
}

impl Split for LineSplit {
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Chunk>> {
        self.raw_bytes += bytes.len() as u64;
        let bytes = self.skip(bytes);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < CHUNK_BYTES {
            return Ok(None);
        }
        let chunk = self.cut();
        if chunk.is_none() && self.buffer.len() > LINE_BYTES_MAX {
            self.skipped = Some(self.buffer.len() as u64);
            self.buffer.truncate(RAW_BYTES_MAX);
            self.skipped_head = std::mem::take(&mut self.buffer);
            self.searched = 0;
        }
        Ok(chunk)
    }

    fn finish(&mut self) -> Result<Option<Chunk>> {
        self.end_skip();
        let rest = std::mem::take(&mut self.buffer);
        Ok((!rest.is_empty() || !self.rejected.is_empty()).then(|| self.chunk(rest)))
    }
}
