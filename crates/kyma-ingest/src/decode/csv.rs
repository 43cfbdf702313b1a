//! Separated values to cells: RFC 4180 quoting, a separator, any line ends. An empty field is null.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use csv::{ByteRecord, ReaderBuilder};

use super::Rejected;
use super::cells::{Cells, Place, Shape};
use super::mapped::{self, Fields};
use crate::answer::BodyFormat;
use crate::settings::LINE_BYTES_MAX;

/// How fields are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) separator: u8,
    /// Quotes mean nothing, and a backslash escapes a tab, a line end or itself.
    pub(crate) escapes: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect { separator: b',', escapes: false }
    }
}

impl Dialect {
    pub(crate) fn of(format: BodyFormat) -> Self {
        let quoted = |separator| Dialect { separator, escapes: false };
        match format {
            BodyFormat::TsvPositional => quoted(b'\t'),
            BodyFormat::TsvEscapedPositional => Dialect { separator: b'\t', escapes: true },
            BodyFormat::PsvPositional => quoted(b'|'),
            BodyFormat::ScsvPositional => quoted(b';'),
            BodyFormat::SohsvPositional => quoted(1),
            _ => Dialect::default(),
        }
    }
}

/// What the fields of a record are called.
#[derive(Debug, Clone, Default)]
pub(crate) struct Header {
    pub(crate) names: Vec<String>,
    /// The names are a table's columns, not the body's own: a record may be short, and what it lacks is null.
    pub(crate) is_given: bool,
    /// Which field becomes which column, instead of the names.
    pub(crate) fields: Option<Fields>,
    pub(crate) dialect: Dialect,
}

impl Header {
    fn takes(&self, fields: usize) -> bool {
        self.fields.is_some() || fields == self.names.len() || (self.is_given && fields < self.names.len())
    }
}

/// The fields of the first record of `text`.
pub(crate) fn header(text: &[u8]) -> Result<Vec<String>, String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut record = ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(true) => {
            let name = |field: &[u8]| String::from_utf8(field.to_vec()).map(|name| name.trim().to_owned());
            record.iter().map(name).collect::<Result<_, _>>().map_err(|_| "the csv header is not utf-8".to_owned())
        }
        Ok(false) => Ok(Vec::new()),
        Err(error) => Err(format!("the csv header cannot be read: {error}")),
    }
}

/// Decodes whole records.
pub(crate) fn decode(text: &Bytes, header: &Header) -> Cells {
    let mut cells = Cells::new(Bytes::new());
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(header.dialect.separator)
        .quoting(!header.dialect.escapes)
        .from_reader(&text[..]);
    let mut record = ByteRecord::new();
    loop {
        let start = reader.position().byte() as usize;
        match reader.read_byte_record(&mut record) {
            Ok(false) => return cells,
            Ok(true) => {
                let end = reader.position().byte() as usize;
                let raw = text.get(start..end).unwrap_or_default();
                decode_record(&mut cells, header, &record, raw);
            }
            Err(error) => {
                let raw = text.get(start..).unwrap_or_default();
                cells.rejected.push(Rejected::new(format!("broken csv: {error}"), raw, raw.len() as u64));
                return cells;
            }
        }
    }
}

fn decode_record(cells: &mut Cells, header: &Header, record: &ByteRecord, raw: &[u8]) {
    let reason = if raw.len() > LINE_BYTES_MAX {
        Some(format!("row is longer than {LINE_BYTES_MAX} bytes"))
    } else if !header.takes(record.len()) {
        let names = if header.is_given { "table" } else { "header" };
        Some(format!("record has {} fields, the {names} has {}", record.len(), header.names.len()))
    } else if record.iter().any(|field| std::str::from_utf8(field).is_err()) {
        Some("not utf-8".to_owned())
    } else {
        None
    };
    if let Some(reason) = reason {
        let raw = raw.trim_ascii();
        cells.rejected.push(Rejected::new(reason, raw, raw.len() as u64));
        return;
    }
    cells.begin();
    let text = |field| {
        let field = std::str::from_utf8(field).unwrap_or_default();
        if header.dialect.escapes { unescape(field) } else { Cow::Borrowed(field) }
    };
    match &header.fields {
        Some(fields) => mapped::add_record(cells, fields, |place| record.get(place).map(text)),
        None => {
            for (position, (name, field)) in header.names.iter().zip(record).enumerate() {
                let field = text(field);
                if !field.is_empty() {
                    cells.add(position, name, Shape::Field, Place::Copy(&field));
                }
            }
        }
    }
    cells.keep();
}

/// Decodes lines that are the one field of a record each; blank ones do not count.
pub(crate) fn decode_lines(text: &Bytes, lines: &[Range<usize>], header: &Header) -> Cells {
    let mut cells = Cells::new(Bytes::new());
    for line in lines {
        let line = text.get(line.clone()).unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match std::str::from_utf8(line) {
            Ok("") => {}
            Ok(line) => decode_line(&mut cells, header, line),
            Err(_) => cells.rejected.push(Rejected::new("not utf-8", line, line.len() as u64)),
        }
    }
    cells
}

fn decode_line(cells: &mut Cells, header: &Header, line: &str) {
    cells.begin();
    match (&header.fields, header.names.first()) {
        (Some(fields), _) => {
            mapped::add_record(cells, fields, |place| (place == 0).then_some(Cow::Borrowed(line)));
        }
        (None, Some(name)) => cells.add(0, name, Shape::Field, Place::Copy(line)),
        (None, None) => {}
    }
    cells.keep();
}

/// A field without its backslashes.
fn unescape(field: &str) -> Cow<'_, str> {
    if !field.contains('\\') {
        return Cow::Borrowed(field);
    }
    let mut out = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    Cow::Owned(out)
}
