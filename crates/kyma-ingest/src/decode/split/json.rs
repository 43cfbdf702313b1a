//! JSON arrays and values one after another: rows end where their brackets close.
//!
//! Only brackets, strings and commas are looked at; whether an element is sound JSON is decided when it is decoded. An
//! element that never closes swallows the rest of the body and is one rejected row.

use std::ops::Range;

use bytes::Bytes;
use kyma_core::Result;
use memchr::memchr2;

use super::{Chunk, Rows, Split};
use crate::decode::Rejected;
use crate::settings::{CHUNK_BYTES, LINE_BYTES_MAX, RAW_BYTES_MAX};

/// Where the scanner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between elements.
    Between,
    /// Inside a number, `true` or the like.
    Word,
    /// Inside brackets.
    Nested,
    /// Inside a string; `true` after a backslash.
    InString(bool),
}

/// Cuts at element ends.
#[derive(Debug)]
pub(crate) struct JsonSplit {
    buffer: Vec<u8>,
    scanned: usize,
    state: State,
    depth: usize,
    in_array: bool,
    /// Where the open element starts in the buffer.
    start: usize,
    /// Bytes of the open element that were thrown away.
    dropped: u64,
    rows: Vec<Range<usize>>,
    rejected: Vec<Rejected>,
    raw_bytes: u64,
}

impl Default for JsonSplit {
    fn default() -> Self {
        JsonSplit {
            buffer: Vec::new(),
            scanned: 0,
            state: State::Between,
            depth: 0,
            in_array: false,
            start: 0,
            dropped: 0,
            rows: Vec::new(),
            rejected: Vec::new(),
            raw_bytes: 0,
        }
    }
}

impl JsonSplit {
    fn scan(&mut self) {
        while self.scanned < self.buffer.len() {
            let byte = self.buffer[self.scanned];
            match self.state {
                State::Between => self.between(byte),
                State::Word => {
                    if byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}' | b'{' | b'[') {
                        self.end_element(self.scanned);
                        continue;
                    }
                }
                State::Nested => self.nested(byte),
                State::InString(true) => self.state = State::InString(false),
                State::InString(false) => {
                    let Some(next) = memchr2(b'"', b'\\', &self.buffer[self.scanned..]) else {
                        self.scanned = self.buffer.len();
                        return;
                    };
                    self.scanned += next;
                    let escape = self.buffer[self.scanned] == b'\\';
                    self.state = if escape { State::InString(true) } else { State::Nested };
                    if !escape && self.depth == 0 {
                        self.end_element(self.scanned + 1);
                    }
                }
            }
            self.scanned += 1;
        }
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'[' if !self.in_array => self.in_array = true,
            b']' if self.in_array => self.in_array = false,
            b',' | 0xef | 0xbb | 0xbf => {}
            byte if byte.is_ascii_whitespace() => {}
            byte => {
                self.start = self.scanned;
                match byte {
                    b'{' | b'[' => {
                        self.depth = 1;
                        self.state = State::Nested;
                    }
                    b'"' => self.state = State::InString(false),
                    _ => self.state = State::Word,
                }
            }
        }
    }

    fn nested(&mut self, byte: u8) {
        match byte {
            b'"' => self.state = State::InString(false),
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.end_element(self.scanned + 1);
                }
            }
            _ => {}
        }
    }

    /// Ends the open element before the place `end`.
    fn end_element(&mut self, end: usize) {
        self.state = State::Between;
        if self.dropped == 0 {
            self.rows.push(self.start..end);
            return;
        }
        let bytes = self.dropped + (end - self.start) as u64;
        let head = &self.buffer[self.start..end.min(self.start + RAW_BYTES_MAX)];
        let reason = format!("row is longer than {LINE_BYTES_MAX} bytes");
        self.rejected.push(Rejected::new(reason, head, bytes));
        self.dropped = 0;
    }

    /// Where the open element starts; the buffer's end when none is open.
    fn open_start(&self) -> usize {
        if self.state == State::Between { self.scanned } else { self.start }
    }

    /// Throws away the middle of an open element that is too long, keeping its head.
    fn shed(&mut self) {
        let open = self.open_start();
        if self.state != State::Between && self.buffer.len() - open > LINE_BYTES_MAX {
            let kept = open + RAW_BYTES_MAX;
            self.dropped += (self.buffer.len() - kept) as u64;
            self.buffer.truncate(kept);
            self.scanned = kept;
        }
    }

    fn cut(&mut self) -> Chunk {
        let open = self.open_start();
        let rest = self.buffer.split_off(open);
        let whole = std::mem::replace(&mut self.buffer, rest);
        self.scanned -= open;
        self.start = 0;
        Chunk {
            bytes: Bytes::from(whole),
            rows: Rows::At(std::mem::take(&mut self.rows)),
            rejected: std::mem::take(&mut self.rejected),
            raw_bytes: std::mem::take(&mut self.raw_bytes),
        }
    }
}

impl Split for JsonSplit {
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Chunk>> {
        self.raw_bytes += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        self.scan();
        self.shed();
        let enough = self.open_start() >= CHUNK_BYTES;
        Ok(enough.then(|| self.cut()))
    }

    fn finish(&mut self) -> Result<Option<Chunk>> {
        if self.state == State::Word {
            self.end_element(self.buffer.len());
        } else if self.state != State::Between {
            let open = &self.buffer[self.start..];
            let bytes = self.dropped + open.len() as u64;
            self.rejected.push(Rejected::new("broken json: the body ends inside a value", open, bytes));
            self.state = State::Between;
        } else if self.in_array {
            self.rejected.push(Rejected::new("broken json: the array is not closed", b"", 0));
        }
        self.scanned = self.buffer.len();
        let nothing = self.rows.is_empty() && self.rejected.is_empty();
        Ok((!nothing).then(|| self.cut()))
    }
}
