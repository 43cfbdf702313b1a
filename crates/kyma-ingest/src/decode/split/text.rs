//! Text without structure: a line, or the whole body, is the one field of a record.

use std::sync::Arc;

use bytes::Bytes;
use kyma_core::Result;
use memchr::memchr;

use super::{Chunk, LineSplit, Rows, Split};
use crate::decode::{Rejected, csv};
use crate::settings::{LINE_BYTES_MAX, RAW_BYTES_MAX};

/// Cuts at newlines.
#[derive(Debug)]
pub(crate) struct TextSplit {
    lines: LineSplit,
    header: Arc<csv::Header>,
    skip_first: bool,
}

impl TextSplit {
    pub(crate) fn new(header: csv::Header, skip_first: bool) -> Self {
        TextSplit { lines: LineSplit::default(), header: Arc::new(header), skip_first }
    }

    fn labelled(&mut self, chunk: Chunk) -> Chunk {
        let mut bytes = chunk.bytes;
        if std::mem::take(&mut self.skip_first) {
            let first = memchr(b'\n', &bytes).map_or(bytes.len(), |end| end + 1);
            bytes = bytes.slice(first..);
        }
        Chunk { bytes, rows: Rows::Fields(Arc::clone(&self.header)), ..chunk }
    }
}

impl Split for TextSplit {
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Chunk>> {
        let chunk = self.lines.push(bytes)?;
        Ok(chunk.map(|chunk| self.labelled(chunk)))
    }

    fn finish(&mut self) -> Result<Option<Chunk>> {
        let chunk = self.lines.finish()?;
        Ok(chunk.map(|chunk| self.labelled(chunk)))
    }
}

/// Cuts nothing.
#[derive(Debug)]
pub(crate) struct RawSplit {
    header: Arc<csv::Header>,
    buffer: Vec<u8>,
    raw_bytes: u64,
}

impl RawSplit {
    pub(crate) fn new(header: csv::Header) -> Self {
        RawSplit { header: Arc::new(header), buffer: Vec::new(), raw_bytes: 0 }
    }
}

impl Split for RawSplit {
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Chunk>> {
        self.raw_bytes += bytes.len() as u64;
        // One byte more than is allowed tells that it is too long.
        let room = (LINE_BYTES_MAX + 1).saturating_sub(self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(None)
    }

    fn finish(&mut self) -> Result<Option<Chunk>> {
        let mut bytes = std::mem::take(&mut self.buffer);
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut rejected = Vec::new();
        if bytes.len() > LINE_BYTES_MAX {
            bytes.truncate(RAW_BYTES_MAX);
            rejected.push(Rejected::new(format!("row is longer than {LINE_BYTES_MAX} bytes"), &bytes, self.raw_bytes));
            bytes.clear();
        }
        let rows = Rows::Whole(Arc::clone(&self.header));
        Ok(Some(Chunk { bytes: Bytes::from(bytes), rows, rejected, raw_bytes: self.raw_bytes }))
    }
}
