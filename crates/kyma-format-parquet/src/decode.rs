//! Decodes the pages of one column.
//!
//! 1. Look at the header of each page: its sizes must be those of the piece and within the limits, its values as many as the
//!    offset index says.
//! 2. Hand the pages to Parquet's decoder with the rows wanted; it asks for exactly those pages by their place.
//! 3. A decoder that fails or panics, or gives other rows than were asked for, means corrupt bytes.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use bytes::Bytes;
use kyma_core::error::{Error, Result};
use kyma_core::types::Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection, RowSelectionPolicy};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::fetch::{Fetched, Piece};
use crate::footer::Footer;
use crate::limits::PAGE_BYTES_MAX;
use crate::{schema, thrift};

/// Runs Parquet's own code over stored bytes. Checksums have been compared before, so what fails here was written by something
/// else than our writer: an error, or a panic (some decoders index by what they read), is corrupt bytes.
pub(crate) fn guarded<T>(run: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Error::corrupt("Parquet's decoder failed").because(error)),
        Err(_) => Err(Error::corrupt("Parquet's decoder panicked")),
    }
}

/// Checks a data page of `rows` rows.
pub(crate) fn check_page(bytes: &Bytes, piece: &Piece, rows: usize) -> Result<()> {
    let header = page_header(bytes, piece)?;
    let is_right = header.values == Some(rows as i64) && header.dictionary_values.is_none();
    if is_right { Ok(()) } else { Err(Error::corrupt("a page does not hold the rows it should")) }
}

/// Checks a dictionary page. A value takes at least four bytes.
pub(crate) fn check_dictionary(bytes: &Bytes, piece: &Piece) -> Result<()> {
    let header = page_header(bytes, piece)?;
    let values = header.dictionary_values.filter(|values| (0..=header.uncompressed / 4).contains(values));
    if values.is_some() && header.values.is_none() { Ok(()) } else { Err(Error::corrupt("a dictionary is malformed")) }
}

fn page_header(bytes: &Bytes, piece: &Piece) -> Result<thrift::PageHeader> {
    let skipped = (piece.page().start - piece.start) as usize;
    let page = bytes.get(skipped..).unwrap_or_default();
    let header = thrift::page_header(page)?;
    let is_whole = i64::try_from(page.len() - header.length) == Ok(header.compressed);
    if is_whole && (0..=PAGE_BYTES_MAX as i64).contains(&header.uncompressed) {
        return Ok(header);
    }
    Err(Error::corrupt("the sizes of a page do not fit"))
}

/// The rows `ranges` (of row group `group`) of the column at `leaf`.
pub(crate) fn column(
    footer: &Footer,
    fetched: &Arc<Fetched>,
    (group, leaf): (usize, usize),
    ranges: &[Range<usize>],
    ty: Type,
) -> Result<ArrayRef> {
    let wanted: usize = ranges.iter().map(|range| range.end - range.start).sum();
    let total = footer.groups.get(group).map_or(0, |group| group.rows);
    let batches = guarded(|| {
        let source = Pages(fetched.clone());
        let metadata = footer.metadata.clone();
        let mask = ProjectionMask::leaves(metadata.parquet_schema(), [leaf]);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata)
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_row_selection(RowSelection::from_consecutive_ranges(ranges.iter().cloned(), total))
            .with_row_selection_policy(RowSelectionPolicy::Selectors)
            .with_batch_size(wanted)
            .build()?;
        reader.collect::<Result<Vec<_>, _>>().map_err(ParquetError::from)
    })?;
    let array = match batches.as_slice() {
        [batch] => batch.columns().first().cloned(),
        _ => None,
    };
    let array = array.filter(|array| array.len() == wanted && *array.data_type() == schema::carrier(ty));
    let array = array.ok_or_else(|| Error::corrupt("the pages hold other rows than they should"))?;
    Ok(schema::from_carrier(ty, array))
}

/// The fetched pages as a file with holes.
#[derive(Debug)]
struct Pages(Arc<Fetched>);

impl Length for Pages {
    fn len(&self) -> u64 {
        u64::MAX
    }
}

impl ChunkReader for Pages {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, _start: u64) -> parquet::errors::Result<Self::T> {
        Err(ParquetError::General("pages are read whole".to_owned()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let bytes = start.checked_add(length as u64).and_then(|end| self.0.slice(&(start..end)));
        bytes.ok_or_else(|| ParquetError::EOF(format!("a page was not read: offset={start}, bytes={length}")))
    }
}
