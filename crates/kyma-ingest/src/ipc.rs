//! Record batches as Arrow IPC streams, one batch each.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use kyma_core::{Error, Result};

/// Writes one batch.
pub(crate) fn encode(batch: &RecordBatch) -> Result<Bytes> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    Ok(Bytes::from(writer.into_inner()?))
}

/// Reads the batches of a stream. The bytes are checked, not trusted.
pub(crate) fn decode(bytes: Bytes) -> Result<Vec<RecordBatch>> {
    let invalid = |error: arrow::error::ArrowError| {
        Error::invalid("ingest.append_invalid", "rows of an append call cannot be read").because(error)
    };
    let mut buffer = Buffer::from(bytes);
    let mut decoder = StreamDecoder::new();
    let mut batches = Vec::new();
    while !buffer.is_empty() {
        batches.extend(decoder.decode(&mut buffer).map_err(invalid)?);
    }
    decoder.finish().map_err(invalid)?;
    Ok(batches)
}
