//! Separated values: rows end at newlines outside quotes.

use std::sync::Arc;

use bytes::Bytes;
use kyma_core::{Error, Result};

use super::{Chunk, Rows, Split};
use crate::decode::csv::Dialect;
use crate::decode::{Rejected, csv};
use crate::settings::{CHUNK_BYTES, LINE_BYTES_MAX, RAW_BYTES_MAX};

/// Where the scanner stands, as RFC 4180 has it: a quote opens only at the start of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    QuoteInQuoted,
}

/// Cuts at record ends.
#[derive(Debug)]
pub(crate) struct CsvSplit {
    header: Option<Arc<csv::Header>>,
    dialect: Dialect,
    /// The first record, which is still to come, is no row.
    skip_first: bool,
    buffer: Vec<u8>,
    scanned: usize,
    state: State,
    /// One past the last record end in the buffer.
    record_end: usize,
    skipped: Option<(Vec<u8>, u64)>,
    rejected: Vec<Rejected>,
    raw_bytes: u64,
}

impl CsvSplit {
    /// The first record names the columns unless they are given.
    pub(crate) fn new(header: Option<csv::Header>, skip_first: bool) -> Self {
        let dialect = header.as_ref().map(|header| header.dialect).unwrap_or_default();
        CsvSplit {
            header: header.map(Arc::new),
            dialect,
            skip_first,
            buffer: Vec::new(),
            scanned: 0,
            state: State::FieldStart,
            record_end: 0,
            skipped: None,
            rejected: Vec::new(),
            raw_bytes: 0,
        }
    }

    fn scan(&mut self) -> Result<()> {
        while self.scanned < self.buffer.len() {
            let byte = self.buffer[self.scanned];
            self.scanned += 1;
            self.state = match (self.state, byte) {
                (State::FieldStart, b'"') if !self.dialect.escapes => State::Quoted,
                (State::Quoted, b'"') => State::QuoteInQuoted,
                (State::Quoted, _) => State::Quoted,
                (State::QuoteInQuoted, b'"') => State::Quoted,
                (_, byte) if byte == self.dialect.separator => State::FieldStart,
                (_, b'\n') => {
                    self.record_end = self.scanned;
                    State::FieldStart
                }
                _ => State::Plain,
            };
            if self.record_end > 0 && self.header.is_none() {
                self.read_header()?;
            } else if self.record_end > 0 && self.skip_first {
                self.drop_first();
            }
        }
        Ok(())
    }

    /// Leaves out the buffer's first record.
    fn drop_first(&mut self) {
        self.buffer.drain(..self.record_end);
        (self.scanned, self.record_end) = (0, 0);
        self.skip_first = false;
    }

    /// Reads the header off the buffer's first record; blank lines before it do not count.
    fn read_header(&mut self) -> Result<()> {
        let rest = self.buffer.split_off(self.record_end);
        let record = std::mem::replace(&mut self.buffer, rest);
        (self.scanned, self.record_end) = (0, 0);
        if record.trim_ascii().is_empty() {
            return Ok(());
        }
        let names = csv::header(&record).map_err(broken_header)?;
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(broken_header(format!("the csv header names a column twice: column={:?}", twice[0])));
        }
        self.header = Some(Arc::new(csv::Header { names, ..csv::Header::default() }));
        Ok(())
    }

    /// Throws away the rest of a record that is too long, up to the next newline; gives what follows it.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((_, skipped)) = &mut self.skipped else { return bytes };
        let end = memchr::memchr(b'\n', bytes);
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
        if let Some((head, bytes)) = self.skipped.take() {
            let reason = format!("row is longer than {LINE_BYTES_MAX} bytes");
            self.rejected.push(Rejected::new(reason, &head, bytes));
            self.state = State::FieldStart;
        }
    }

    fn cut(&mut self, end: usize) -> Chunk {
        let rest = self.buffer.split_off(end);
        let whole = std::mem::replace(&mut self.buffer, rest);
        self.scanned -= end;
        self.record_end = 0;
        Chunk {
            bytes: Bytes::from(whole),
            rows: Rows::Records(self.header.clone().unwrap_or_default()),
            rejected: std::mem::take(&mut self.rejected),
            raw_bytes: std::mem::take(&mut self.raw_bytes),
        }
    }
}

fn broken_header(why: String) -> Error {
    Error::invalid("ingest.header_invalid", why).hint("the first csv record must name the columns, each once")
}

impl Split for CsvSplit {
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Chunk>> {
        self.raw_bytes += bytes.len() as u64;
        let bytes = self.skip(bytes);
        self.buffer.extend_from_slice(bytes);
        self.scan()?;
        let chunk = (self.record_end >= CHUNK_BYTES).then(|| self.cut(self.record_end));
        let open = self.buffer.len() - self.record_end;
        if open > LINE_BYTES_MAX {
            if self.header.is_none() {
                return Err(broken_header(format!("the csv header is longer than {LINE_BYTES_MAX} bytes")));
            }
            let whole = self.cut(self.record_end);
            let bytes = self.buffer.len() as u64;
            self.buffer.truncate(RAW_BYTES_MAX);
            self.skipped = Some((std::mem::take(&mut self.buffer), bytes));
            self.scanned = 0;
            return Ok(Some(chunk.unwrap_or(whole)));
        }
        Ok(chunk)
    }

    fn finish(&mut self) -> Result<Option<Chunk>> {
        self.end_skip();
        if self.header.is_none() && !self.buffer.is_empty() {
            // A header without a newline and without rows.
            self.record_end = self.buffer.len();
            self.read_header()?;
        }
        if self.skip_first && !self.buffer.is_empty() {
            self.record_end = self.buffer.len();
            self.drop_first();
        }
        if self.state == State::Quoted {
            let open = self.buffer.split_off(self.record_end);
            self.rejected.push(Rejected::new("broken csv: a quote is not closed", &open, open.len() as u64));
            self.scanned = self.buffer.len();
        }
        let nothing = self.buffer.is_empty() && self.rejected.is_empty();
        Ok((!nothing).then(|| self.cut(self.buffer.len())))
    }
}
