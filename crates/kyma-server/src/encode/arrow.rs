//! The Arrow IPC stream: schema, batches, end.

use ::arrow::array::RecordBatch;
use ::arrow::datatypes::SchemaRef;
use ::arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use kyma_core::{Error, Result};

/// Writes a stream in parts that can be sent as they come.
pub(crate) struct Encoder {
    schema: SchemaRef,
    writer: StreamWriter<Vec<u8>>,
}

impl Encoder {
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self> {
        Ok(Encoder { schema: schema.clone(), writer: StreamWriter::try_new(Vec::new(), schema)? })
    }

    /// The bytes of a batch, with what was written before it.
    pub(crate) fn batch(&mut self, batch: &RecordBatch) -> Result<Bytes> {
        // Batches may differ from the announced schema in metadata and nullability only.
        let batch = RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())
            .map_err(|error| Error::internal("a batch does not have the answer's columns").because(error))?;
        self.writer.write(&batch)?;
        Ok(self.take())
    }

    /// The bytes that end the stream.
    pub(crate) fn finish(&mut self) -> Result<Bytes> {
        self.writer.finish()?;
        Ok(self.take())
    }

    fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(self.writer.get_mut()))
    }
}
