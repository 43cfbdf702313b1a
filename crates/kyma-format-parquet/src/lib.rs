//! Parquet as a segment format: an extent is one plain Parquet file, which other tools open as it lies.
//!
//! Owns the mapping of an extent to Parquet and is the only user of the `parquet` crate; knows nothing of catalogs, stores
//! or queries. Start at [`Parquet`], then `writer` and `reader`; `footer` is what opening gives. There are no codecs of
//! our own here, no templates, no shredding and no row index: TLM is for that. This is for tables that other tools read.
//!
//! # Layout
//!
//! ```text
//! extent  = "PAR1", row group*, filter*, column index*, offset index*, metadata, u32 metadata length, "PAR1"
//! row group = column chunk of each column, in schema order
//! chunk   = [dictionary page], data page*
//! footer  = [filter*], column index*, offset index*, metadata, length, "PAR1"
//! ```
//!
//! A row group has 1,048,576 rows, rounded down to whole blocks, so that a block lies in one row group. A data page ends after
//! 8,192 rows or about 1 MiB, whichever comes first; by rows alone pages and blocks are aligned. A block is read by the
//! ranges of those pages that hold its rows, and the dictionary page of its chunk.
//!
//! Bloom filters belong to the footer when they are small together; otherwise each is read when a predicate asks. See
//! `writer` for the columns that have one.
//!
//! # Types
//!
//! | kyma | Parquet |
//! |---|---|
//! | bool, int, long, real | `BOOLEAN`, `INT32`, `INT64`, `DOUBLE` |
//! | decimal | `FIXED_LEN_BYTE_ARRAY(16)`, `DECIMAL(38, 18)` |
//! | datetime | `INT64`, `TIMESTAMP(NANOS, UTC)` |
//! | timespan | `INT64`, nanoseconds; only the metadata below says that it is a timespan |
//! | guid | `FIXED_LEN_BYTE_ARRAY(16)`, `UUID` |
//! | string | `BYTE_ARRAY`, `STRING` |
//! | dynamic | `BYTE_ARRAY`, `JSON` |
//!
//! Every column is optional and flat.
//!
//! # Key-value metadata
//!
//! What Parquet has no place for (see `directory`): `kyma.identity`, `kyma.statistics`, `kyma.checksums` and, last,
//! `kyma.footer_checksum`. Every page and filter has a CRC-32C, compared before anything decodes it, and the footer has
//! one too: all bytes are covered, the leading magic with the first page. A file without these keys is not an extent.

mod bloom;
mod constants;
mod decode;
mod describe;
mod directory;
mod fetch;
mod footer;
mod limits;
mod paths;
mod reader;
mod schema;
mod thrift;
mod writer;

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use kyma_core::error::Result;
use kyma_core::format::{EncodeOptions, Encoded, OpenOptions, RangeReader, SegmentFormat, SegmentReader};

/// The Parquet format.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parquet;

#[async_trait]
impl SegmentFormat for Parquet {
    fn name(&self) -> &'static str {
        "parquet"
    }

    fn encode(&self, rows: &[RecordBatch], options: &EncodeOptions) -> Result<Encoded> {
        writer::encode(rows, options)
    }

    async fn find_footer(&self, source: &dyn RangeReader, length: u64) -> Result<Option<u32>> {
        footer::find(source, length).await
    }

    async fn open(&self, source: Arc<dyn RangeReader>, options: &OpenOptions) -> Result<Arc<dyn SegmentReader>> {
        Ok(Arc::new(reader::open(source.as_ref(), options).await?))
    }
}
