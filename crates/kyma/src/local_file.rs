//! Files as parts of about 8 MiB: cut between rows, decompressed first unless small.
//!
//! 1. The first bytes say whether a file is gzip or zstd. A small compressed file is sent as it is.
//! 2. Its name, else its first character, says whether it is NDJSON, a JSON array or CSV.
//! 3. NDJSON is cut at line ends, CSV at record ends (a quoted field may hold newlines), with the header before
//!    every part. A JSON array is sent whole.
//!
//! Each part's key is the load's name, the file's place in the command line and the part's number: the same load cuts the
//! same parts.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use bytes::Bytes;

use crate::cli::InputFormat;
use crate::client::upload::Part;

/// Bytes of rows in one request, about.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Largest row, and largest JSON array: what a node takes in one request unless it is configured otherwise.
const ROW_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Largest compressed file that is sent as it is: what it becomes should fit one request.
const AS_IS_BYTES_MAX: u64 = 1024 * 1024;
/// Largest zstd window, as a power of two: what `zstd --long=31` makes.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

/// A file to load.
#[derive(Debug, Clone)]
pub(crate) struct Input<'a> {
    pub(crate) path: &'a Path,
    pub(crate) format: Option<InputFormat>,
    /// What its parts' keys start with.
    pub(crate) key: String,
}

/// Takes parts one after the other; `false` ends the reading.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Part) -> bool;

impl Input<'_> {
    /// Reads the file to its end, blocking. Progress is the file's own bytes.
    pub(crate) fn read(&self, sink: Sink<'_>) -> anyhow::Result<()> {
        let consumed = Arc::new(AtomicU64::new(0));
        let is_stdin = self.path == Path::new("-");
        let (source, length): (Box<dyn Read + Send>, Option<u64>) = if is_stdin {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(self.path).with_context(|| format!("cannot open {}", self.path.display()))?;
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                bail!("{} is a folder: name its files", self.path.display());
            }
            let length = metadata.is_file().then_some(metadata.len());
            (Box::new(file), length)
        };
        let counted = Counted { source, consumed: consumed.clone() };
        let mut raw = BufReader::with_capacity(256 * 1024, counted);
        let compression = Compression::of(raw.fill_buf()?);
        let as_is = compression != Compression::None && length.is_some_and(|length| length <= AS_IS_BYTES_MAX);
        let read = if as_is {
            self.send_as_is(raw, compression, sink)
        } else {
            self.send_parts(raw, compression, &consumed, sink)
        };
        read.with_context(|| format!("cannot read {}", self.path.display()))
    }

    fn send_as_is(&self, mut raw: impl BufRead, compression: Compression, sink: Sink<'_>) -> anyhow::Result<()> {
        let mut body = Vec::new();
        raw.read_to_end(&mut body)?;
        let format = self.format_of(BufReader::new(compression.decoder(&body[..])?).fill_buf()?);
        let progress = body.len() as u64;
        let part = Part {
            body: Bytes::from(body),
            format: name(format),
            encoding: compression.name(),
            key: format!("{}-0", self.key),
            progress,
        };
        sink(part);
        Ok(())
    }

    fn send_parts(
        &self,
        raw: impl BufRead + Send + 'static,
        compression: Compression,
        consumed: &AtomicU64,
        sink: Sink<'_>,
    ) -> anyhow::Result<()> {
        let mut plain = BufReader::with_capacity(256 * 1024, compression.decoder(raw)?);
        let format = self.format_of(plain.fill_buf()?);
        let mut cutter = Cutter::new(format);
        let mut reported = 0;
        for nth in 0_u64.. {
            let Some(body) = cutter.next(&mut plain)? else { break };
            let now = consumed.load(Ordering::Relaxed);
            let progress = now - std::mem::replace(&mut reported, now);
            let part =
                Part { body, format: name(format), encoding: None, key: format!("{}-{nth}", self.key), progress };
            if !sink(part) {
                break;
            }
        }
        Ok(())
    }

    /// What was asked for; else by the name without its compression; else by the first character.
    fn format_of(&self, head: &[u8]) -> InputFormat {
        if let Some(format) = self.format {
            return format;
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let name = [".gz", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        if name.ends_with(".csv") {
            return InputFormat::Csv;
        }
        let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'[') { InputFormat::Json } else { InputFormat::Ndjson }
    }
}

fn name(format: InputFormat) -> &'static str {
    match format {
        InputFormat::Ndjson => "ndjson",
        InputFormat::Json => "json",
        InputFormat::Csv => "csv",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
        }
    }

    fn decoder<'a>(self, raw: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Compression::None => Box::new(raw),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}

/// Counts the bytes that are read from a file.
struct Counted<R> {
    source: R,
    consumed: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.consumed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Cuts plain bytes into parts that end where a row ends.
struct Cutter {
    format: InputFormat,
    /// The header of CSV, once it is known.
    header: Option<Vec<u8>>,
    /// Bytes after the last part: the start of the next one.
    carry: Vec<u8>,
}

impl Cutter {
    fn new(format: InputFormat) -> Self {
        Cutter { format, header: None, carry: Vec::new() }
    }

    /// The next part; `None` at the end.
    fn next(&mut self, source: &mut impl Read) -> anyhow::Result<Option<Bytes>> {
        let mut body = std::mem::take(&mut self.carry);
        let mut target = PART_BYTES;
        loop {
            let wanted = target.saturating_sub(body.len()) as u64;
            let read = source.by_ref().take(wanted).read_to_end(&mut body)?;
            let ended = (read as u64) < wanted;
            if ended {
                return Ok(if body.is_empty() { None } else { Some(self.part(body)) });
            }
            if let Some(end) = self.last_row_end(&body) {
                self.carry = body.split_off(end);
                return Ok(Some(self.part(body)));
            }
            if body.len() >= ROW_BYTES_MAX {
                bail!("a row or JSON array is larger than one request may be: bytes_max={ROW_BYTES_MAX}");
            }
            target = (target * 2).min(ROW_BYTES_MAX);
        }
    }

    /// One past the end of the last whole row of `body`.
    fn last_row_end(&self, body: &[u8]) -> Option<usize> {
        match self.format {
            InputFormat::Json => None,
            InputFormat::Ndjson => body.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1),
            // Parts start at a record, so quotes are balanced there.
            InputFormat::Csv => record_ends(body).last(),
        }
    }

    fn part(&mut self, body: Vec<u8>) -> Bytes {
        if self.format != InputFormat::Csv {
            return Bytes::from(body);
        }
        match &self.header {
            Some(header) => Bytes::from([&header[..], &body[..]].concat()),
            None => {
                let end = record_ends(&body).next().unwrap_or(body.len());
                self.header = Some(body[..end].to_vec());
                Bytes::from(body)
            }
        }
    }
}

/// One past each newline that is outside quotes.
fn record_ends(body: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut quoted = false;
    body.iter().enumerate().filter_map(move |(at, byte)| {
        quoted ^= *byte == b'"';
        (*byte == b'\n' && !quoted).then_some(at + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(format: InputFormat, text: &str) -> Vec<Bytes> {
        let mut cutter = Cutter::new(format);
        let mut source = text.as_bytes();
        std::iter::from_fn(|| cutter.next(&mut source).unwrap()).collect()
    }

    #[test]
    fn ndjson_is_cut_at_line_ends() {
        let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1_000));
        let text = line.repeat(20_000);
        let cut = parts(InputFormat::Ndjson, &text);
        assert_eq!(cut.len(), 3);
        assert!(cut.iter().all(|part| part.ends_with(b"\n") && part.starts_with(b"{")));
        assert_eq!(cut.concat(), text.as_bytes());
    }

    #[test]
    fn csv_keeps_its_header_and_its_quoted_newlines() {
        let record = format!("1,\"two\nlines {}\"\n", "y".repeat(1_000));
        let text = format!("a,b\n{}", record.repeat(10_000));
        let cut = parts(InputFormat::Csv, &text);
        assert_eq!(cut.len(), 2);
        assert!(cut.iter().all(|part| part.starts_with(b"a,b\n1,\"two\n") && part.ends_with(b"\"\n")));
    }

    #[test]
    fn a_last_line_without_an_end_counts() {
        assert_eq!(parts(InputFormat::Ndjson, "{}\n{}"), ["{}\n{}"]);
        assert!(parts(InputFormat::Ndjson, "").is_empty());
    }
}
