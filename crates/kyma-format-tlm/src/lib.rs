//! TLM, the telemetry format: kyma's own way to lay out an extent.
//!
//! Owns the bytes of an extent; knows nothing of catalogs, stores or queries. Start at [`Tlm`], then `writer` and
//! `reader`; `encoding` holds the codecs of single columns, `dynamic` takes JSON columns apart, `index` finds the
//! pages that may hold a term, `footer` is the directory.
//!
//! # Layout
//!
//! ```text
//! extent  = data, indexes, footer
//! data    = block*, dictionary*                block = piece of each column, in schema order
//! piece   = head, frame*      of a dynamic column: the pieces of its sub-columns, then of its residue (`dynamic`)
//! indexes = filters and dictionaries of terms (`index`), bitmaps of paths (`dynamic::presence`), sketches of columns
//!           (`sketches`); footer sections say where they are, and how many rows have which value (`tallies`)
//! footer  = body, tail        see `footer`; its last 8 bytes are the magic
//! ```
//!
//! Integers are little-endian; `varint` is LEB128, `zigzag` folds the sign into the lowest bit. The `encoding` modules
//! document each piece. A block has exactly the rows that were asked for (65,536 by default), the last one fewer; a page is
//! 1,024 values, a frame at most 8,192 rows. Columns of one block with equal bytes share one piece;
//! a column of integers may be stored as its differences to an earlier column of the block (the footer says to which).
//!
//! Every head and frame has a CRC-32C in the footer, and the footer one in its tail: all bytes are covered, and are
//! checked before they are decoded. Every length is compared with a limit (`limits`) before memory is taken.
//!
//! The footer names the extent, its database and table, schema, sort key, statistics, paths and provenance: enough to
//! rebuild the catalog's row.
//!
//! # Promises to old files
//!
//! `constants` never change. A new kind of section or encoding raises the minor version, or the major one where
//! an old reader could not skip it. Extents written by every version stay in `tests/fixtures`.

mod constants;
mod describe;
mod dynamic;
mod encoding;
mod fetch;
mod footer;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod index;
mod limits;
mod narrow;
mod provenance;
mod reader;
mod shared;
mod sketches;
mod stats;
mod tallies;
#[cfg(test)]
mod testing;
mod wire;
mod writer;

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use kyma_core::error::Result;
use kyma_core::format::{EncodeOptions, Encoded, OpenOptions, RangeReader, SegmentFormat, SegmentReader};

/// The telemetry format.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tlm;

#[async_trait]
impl SegmentFormat for Tlm {
    fn name(&self) -> &'static str {
        "tlm"
    }

    fn encode(&self, rows: &[RecordBatch], options: &EncodeOptions) -> Result<Encoded> {
        writer::encode(rows, options)
    }

    async fn find_footer(&self, source: &dyn RangeReader, length: u64) -> Result<Option<u32>> {
        let Some(start) = length.checked_sub(constants::TAIL_BYTES as u64) else { return Ok(None) };
        let tail = source.read(std::slice::from_ref(&(start..length))).await?;
        Ok(tail.first().and_then(|tail| footer::length(tail)).filter(|footer| u64::from(*footer) <= length))
    }

    async fn open(&self, source: Arc<dyn RangeReader>, options: &OpenOptions) -> Result<Arc<dyn SegmentReader>> {
        Ok(Arc::new(reader::open(source.as_ref(), options).await?))
    }
}
