//! Cuts a stream of bytes into chunks of whole rows, without holding more than a chunk and a row.

mod csv;
mod json;
mod lines;
mod text;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kyma_core::Result;

use super::mapped::Fields;
use super::{Rejected, csv as records};
use crate::answer::BodyFormat;

pub(crate) use self::csv::CsvSplit;
pub(crate) use self::json::JsonSplit;
pub(crate) use self::lines::LineSplit;
pub(crate) use self::text::{RawSplit, TextSplit};

/// How the rows of a chunk lie in its bytes.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// One per line.
    Lines,
    /// At these places.
    At(Vec<Range<usize>>),
    /// Records under these names.
    Records(Arc<records::Header>),
    /// Lines, each the one field of a record.
    Fields(Arc<records::Header>),
    /// All of it is the one field of one record.
    Whole(Arc<records::Header>),
}

/// Whole rows.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    pub(crate) rows: Rows,
    /// Rows that were refused while they passed.
    pub(crate) rejected: Vec<Rejected>,
    /// Bytes of the body that this chunk stands for.
    pub(crate) raw_bytes: u64,
}

/// Cuts one format.
pub(crate) trait Split: Send {
    /// Takes bytes; gives a chunk when there is enough for one.
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Chunk>>;

    /// What is left at the end of the body.
    fn finish(&mut self) -> Result<Option<Chunk>>;
}

/// How the fields of a body without names become columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// The table's columns in order.
    pub(crate) columns: Vec<String>,
    /// Or a mapping's choice.
    pub(crate) fields: Option<Fields>,
    /// The first record is no row.
    pub(crate) skip_first: bool,
}

/// The splitter of a format.
pub(crate) fn splitter(format: BodyFormat, layout: Layout) -> Box<dyn Split> {
    let Layout { columns: names, fields, skip_first } = layout;
    let header = records::Header { names, is_given: true, fields, dialect: records::Dialect::of(format) };
    match format {
        BodyFormat::NdJson => Box::new(LineSplit::default()),
        BodyFormat::Json => Box::new(JsonSplit::default()),
        BodyFormat::Csv => Box::new(CsvSplit::new(None, false)),
        BodyFormat::TextLines => Box::new(TextSplit::new(header, skip_first)),
        BodyFormat::Raw => Box::new(RawSplit::new(header)),
        _ => Box::new(CsvSplit::new(Some(header), skip_first)),
    }
}
