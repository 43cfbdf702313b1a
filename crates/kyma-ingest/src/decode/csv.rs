//! CSV records to cells: RFC 4180 quoting, commas, any line ends. An empty field is null.

use bytes::Bytes;
use csv::{ByteRecord, ReaderBuilder};

use super::Rejected;
use super::cells::{Cells, Place, Shape};
use crate::settings::LINE_BYTES_MAX;

/// What the fields of a record are called.
#[derive(Debug, Clone, Default)]
pub(crate) struct Header {
    pub(crate) names: Vec<String>,
    /// The names are a table's columns, not the body's own: a record may be short, and what it lacks is null.
    pub(crate) is_given: bool,
}

impl Header {
    fn takes(&self, fields: usize) -> bool {
        fields == self.names.len() || (self.is_given && fields < self.names.len())
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
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&text[..]);
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
    for (position, (name, field)) in header.names.iter().zip(record).enumerate() {
        let field = std::str::from_utf8(field).unwrap_or_default();
        if !field.is_empty() {
            cells.add(position, name, Shape::Field, Place::Copy(field));
        }
    }
    cells.keep();
}
