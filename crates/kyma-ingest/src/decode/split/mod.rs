//! Cuts a stream of bytes into chunks of whole rows, without holding more than a chunk and a row.

mod csv;
mod json;
mod lines;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kyma_core::Result;

use super::Rejected;
use crate::answer::BodyFormat;

pub(crate) use self::csv::CsvSplit;
pub(crate) use self::json::JsonSplit;
pub(crate) use self::lines::LineSplit;

/// How the rows of a chunk lie in its bytes.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// One per line.
    Lines,
    /// At these places.
    At(Vec<Range<usize>>),
    /// CSV records under these names.
    Records(Arc<super::csv::Header>),
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

/// The splitter of a format; `columns` are the names of a CSV without header.
pub(crate) fn splitter(format: BodyFormat, columns: Option<Vec<String>>) -> Box<dyn Split> {
    match format {
        BodyFormat::NdJson => Box::new(LineSplit::default()),
        BodyFormat::Json => Box::new(JsonSplit::default()),
        BodyFormat::Csv | BodyFormat::CsvPositional => Box::new(CsvSplit::new(columns)),
    }
}
