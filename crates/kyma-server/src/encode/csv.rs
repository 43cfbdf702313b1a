//! RFC 4180: a header line, then a line per row. A null is an empty field, a dynamic is its JSON.

use ::arrow::array::RecordBatch;
use bytes::Bytes;
use kyma_core::{Error, Result, Schema};

use super::body::cells_of;

/// The header line.
pub(crate) fn header(schema: &Schema) -> Result<Bytes> {
    lines(std::iter::once(schema.columns().iter().map(|column| column.name.clone()).collect()))
}

/// The lines of a batch.
pub(crate) fn encode(schema: &Schema, batch: &RecordBatch) -> Result<Bytes> {
    let cells = cells_of(schema, batch)?;
    lines((0..batch.num_rows()).map(|row| cells.iter().map(|cell| cell.text(row)).collect()))
}

fn lines(records: impl Iterator<Item = Vec<String>>) -> Result<Bytes> {
    let failed = |error: csv::Error| Error::internal("a CSV line could not be written").because(error);
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for record in records {
        writer.write_record(&record).map_err(failed)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| Error::internal("a CSV body could not be ended").because(error.into_error()))?;
    Ok(Bytes::from(bytes))
}
