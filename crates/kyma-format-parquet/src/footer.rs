//! What opening gives: Parquet's metadata and our own, checked against each other.
//!
//! 1. Compare the footer with its checksum.
//! 2. Pass over its thrift structures: no list in them claims more than there is.
//! 3. Let Parquet decode them, and read the entries of `directory`.
//! 4. Lay out every page and filter by row group and column, with its checksum; refuse ranges that leave their place.

use std::sync::Arc;

use bytes::Bytes;
use kyma_core::error::{Error, Result};
use kyma_core::format::RangeReader;
use kyma_core::schema::Schema;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader,
};
use parquet::file::page_index::offset_index::OffsetIndexMetaData;

use crate::constants::MAGIC;
use crate::decode::guarded;
use crate::directory::{self, Identity, Statistics};
use crate::fetch::Piece;
use crate::limits::{BLOCK_ROWS_MAX, COLUMNS_MAX, FILTER_BYTES_MAX, FOOTER_BYTES_MAX, GROUPS_MAX};
use crate::{schema, thrift};

/// Bytes after the metadata: its length and the magic.
const TAIL_BYTES: usize = 8;

/// An extent's directory.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) identity: Identity,
    pub(crate) statistics: Statistics,
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) block_rows: Vec<u32>,
    pub(crate) groups: Vec<Group>,
}

/// A row group.
#[derive(Debug)]
pub(crate) struct Group {
    /// Its first block.
    pub(crate) first_block: usize,
    pub(crate) rows: usize,
    pub(crate) chunks: Vec<Chunk>,
}

/// A column of a row group.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) dictionary: Option<Piece>,
    pub(crate) pages: Vec<Page>,
    pub(crate) filter: Option<Piece>,
}

impl Chunk {
    /// Bytes of its pages.
    pub(crate) fn bytes(&self) -> u64 {
        self.dictionary.iter().chain(self.pages.iter().map(|page| &page.piece)).map(Piece::bytes).sum()
    }

    /// Bytes of its filter.
    pub(crate) fn filter_bytes(&self) -> u64 {
        self.filter.map_or(0, |filter| filter.bytes())
    }
}

/// A data page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) piece: Piece,
    /// Its first row, in the row group.
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
}

fn corrupt(why: &str) -> Error {
    Error::corrupt(why)
}

impl Footer {
    /// Reads the footer that begins at `start`.
    pub(crate) fn read(bytes: &Bytes, start: u64) -> Result<Self> {
        if bytes.len() > FOOTER_BYTES_MAX {
            return Err(corrupt("it is too large"));
        }
        directory::check_seal(bytes)?;
        let metadata = read_metadata(bytes, start)?;
        let entries = metadata.file_metadata().key_value_metadata().map(Vec::as_slice).unwrap_or_default();
        let (identity, statistics, checksums) = directory::read(entries)?;
        check_columns(&metadata, &identity.columns)?;
        let block_rows = block_rows(&identity, &statistics)?;
        let mut layout = Layout { checksums: checksums.iter(), position: 0, data_end: start };
        let mut groups = layout.groups(&metadata, &identity)?;
        layout.filters(&metadata, &mut groups, start + bytes.len() as u64)?;
        if layout.checksums.next().is_some() {
            return Err(corrupt("there are more checksums than pages"));
        }
        let columns = schema::carriers(&identity.columns);
        let options = ArrowReaderOptions::new().with_schema(columns);
        let metadata = Arc::new(without_entries(metadata));
        let metadata = guarded(|| ArrowReaderMetadata::try_new(metadata, options))?;
        Ok(Footer { identity, statistics, metadata, block_rows, groups })
    }

    /// The row group of `block`, its place, and the block's first row in it.
    pub(crate) fn group_of(&self, block: u32) -> Option<(usize, &Group, usize)> {
        let at = self.groups.partition_point(|group| group.first_block <= block as usize).checked_sub(1)?;
        let group = self.groups.get(at)?;
        Some((at, group, (block as usize - group.first_block) * self.identity.block_rows))
    }

    /// Roughly how much memory this takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let chunks = self.groups.iter().flat_map(|group| &group.chunks);
        let pages: usize = chunks.map(|chunk| size_of::<Chunk>() + chunk.pages.len() * size_of::<Page>()).sum();
        self.metadata.metadata().memory_size() + self.statistics.memory_bytes() + pages + self.block_rows.len() * 4
    }
}

/// Bytes of the footer of a file of `length` bytes that says where it begins.
pub(crate) async fn find(source: &dyn RangeReader, length: u64) -> Result<Option<u32>> {
    let Some(tail_start) = length.checked_sub(TAIL_BYTES as u64) else { return Ok(None) };
    let tail = source.read(std::slice::from_ref(&(tail_start..length))).await?;
    let Some((bytes, magic)) = tail.first().and_then(|tail| tail.split_first_chunk::<4>()) else { return Ok(None) };
    let metadata_bytes = u64::from(u32::from_le_bytes(*bytes));
    let metadata_start = tail_start.checked_sub(metadata_bytes).filter(|_| metadata_bytes <= FOOTER_BYTES_MAX as u64);
    let Some(metadata_start) = metadata_start.filter(|_| magic == MAGIC) else { return Ok(None) };
    let metadata = source.read(std::slice::from_ref(&(metadata_start..tail_start))).await?;
    let Some(metadata) = metadata.first() else { return Ok(None) };
    if thrift::walk(metadata, &mut |_, _| {}).is_err() {
        return Ok(None);
    }
    let Ok(metadata) = guarded(|| ParquetMetaDataReader::decode_metadata(metadata)) else { return Ok(None) };
    let entries = metadata.file_metadata().key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let start = directory::identity(entries).and_then(|identity| identity.footer_start);
    Ok(start.and_then(|start| length.checked_sub(start)).and_then(|length| u32::try_from(length).ok()))
}

fn read_metadata(bytes: &Bytes, start: u64) -> Result<ParquetMetaData> {
    let tail_start = bytes.len().checked_sub(TAIL_BYTES).ok_or_else(|| corrupt("it is too short"))?;
    let (length, magic) = bytes[tail_start..].split_at(4);
    let length = length.try_into().map(u32::from_le_bytes).map_err(|_| corrupt("it is too short"))?;
    if magic != MAGIC {
        return Err(corrupt("it does not end as a Parquet file does"));
    }
    let metadata_start = tail_start.checked_sub(length as usize).ok_or_else(|| corrupt("it is too short"))?;
    let metadata = &bytes[metadata_start..tail_start];
    thrift::walk(metadata, &mut |_, _| {})?;
    let metadata = guarded(|| ParquetMetaDataReader::decode_metadata(metadata))?;
    for chunk in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let (Some(offset), Some(length)) = (chunk.offset_index_offset(), chunk.offset_index_length()) else {
            return Err(corrupt("a column has no offset index"));
        };
        let from = u64::try_from(offset).ok().and_then(|offset| offset.checked_sub(start)).map(|from| from as usize);
        let range =
            from.zip(usize::try_from(length).ok()).and_then(|(from, length)| Some(from..from.checked_add(length)?));
        let index = range.and_then(|range| bytes.get(range)).ok_or_else(|| corrupt("an offset index lies outside"))?;
        thrift::walk(index, &mut |_, _| {})?;
    }
    guarded(|| {
        let reader = ParquetMetaDataReader::new_with_metadata(metadata)
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Optional);
        let mut reader = reader;
        reader.read_page_indexes_sized(bytes, start + bytes.len() as u64)?;
        reader.finish()
    })
}

fn check_columns(metadata: &ParquetMetaData, columns: &Schema) -> Result<()> {
    let leaves = metadata.file_metadata().schema_descr().columns();
    let is_same = leaves.len() == columns.len()
        && leaves.iter().zip(columns.columns()).all(|(leaf, column)| {
            let path = leaf.path().parts();
            path == std::slice::from_ref(&column.name) && leaf.max_rep_level() == 0 && leaf.max_def_level() <= 1
        });
    let is_whole = metadata.row_groups().iter().all(|group| group.num_columns() == columns.len());
    if is_same && is_whole && columns.len() <= COLUMNS_MAX { Ok(()) } else { Err(corrupt("the columns do not fit")) }
}

fn block_rows(identity: &Identity, statistics: &Statistics) -> Result<Vec<u32>> {
    let size = identity.block_rows;
    if size == 0 || size > BLOCK_ROWS_MAX {
        return Err(corrupt("the rows of a block are out of bounds"));
    }
    let blocks = statistics.blocks.len();
    let mut sizes = Vec::with_capacity(blocks);
    let mut rest = identity.rows;
    for block in &statistics.blocks {
        let rows = rest.min(size as u64);
        let fits = block.len() == identity.columns.len() && block.iter().all(|stats| stats.rows == rows);
        if rows == 0 || !fits {
            return Err(corrupt("the statistics do not fit the rows"));
        }
        rest -= rows;
        sizes.push(rows as u32);
    }
    if rest == 0 { Ok(sizes) } else { Err(corrupt("the statistics do not fit the rows")) }
}

/// Hands out checksums in file order.
struct Layout<'a> {
    checksums: std::slice::Iter<'a, u32>,
    position: u64,
    data_end: u64,
}

impl Layout<'_> {
    fn piece(&mut self, end: u64) -> Result<Piece> {
        let start = self.position;
        let crc = *self.checksums.next().ok_or_else(|| corrupt("there are fewer checksums than pages"))?;
        if start >= end || end > self.data_end {
            return Err(corrupt("a page lies outside of the data"));
        }
        self.position = end;
        Ok(Piece { start, end, crc })
    }

    fn groups(&mut self, metadata: &ParquetMetaData, identity: &Identity) -> Result<Vec<Group>> {
        let count = metadata.num_row_groups();
        let is_described = metadata.offset_index().is_some_and(|index| index.len() == count);
        if count > GROUPS_MAX || (count > 0 && !is_described) {
            return Err(corrupt("the row groups are out of bounds"));
        }
        let mut groups = Vec::with_capacity(count);
        let mut rows_before = 0_usize;
        for (at, group) in metadata.row_groups().iter().enumerate() {
            let rows = usize::try_from(group.num_rows()).map_err(|_| corrupt("a row group has a negative size"))?;
            if rows == 0 || !rows_before.is_multiple_of(identity.block_rows) {
                return Err(corrupt("a row group does not begin with a block"));
            }
            let indexes = metadata.offset_index().and_then(|index| index.get(at));
            let indexes = indexes.filter(|index| index.len() == group.num_columns());
            let indexes = indexes.ok_or_else(|| corrupt("a column has no offset index"))?;
            let mut chunks = Vec::with_capacity(group.num_columns());
            for (chunk, index) in group.columns().iter().zip(indexes) {
                chunks.push(self.chunk(chunk, index, rows)?);
            }
            groups.push(Group { first_block: rows_before / identity.block_rows, rows, chunks });
            rows_before = rows_before.checked_add(rows).ok_or_else(|| corrupt("there are too many rows"))?;
        }
        let is_complete = rows_before as u64 == identity.rows || identity.columns.is_empty();
        if is_complete { Ok(groups) } else { Err(corrupt("the row groups do not fit the rows")) }
    }

    /// Pages lie one after another, the dictionary first; the first page of the file takes the magic along.
    fn chunk(&mut self, chunk: &ColumnChunkMetaData, index: &OffsetIndexMetaData, rows: usize) -> Result<Chunk> {
        let locations = index.page_locations();
        let place = |offset: i64| u64::try_from(offset).map_err(|_| corrupt("a page has a negative place"));
        let is_begin = self.position == 0;
        let expected = if is_begin { MAGIC.len() as u64 } else { self.position };
        let first = locations.first().ok_or_else(|| corrupt("a column has no page"))?;
        let mut dictionary = None;
        if let Some(offset) = chunk.dictionary_page_offset() {
            if place(offset)? != expected {
                return Err(corrupt("a dictionary is not where it should be"));
            }
            dictionary = Some(self.piece(place(first.offset)?)?);
        } else if place(first.offset)? != expected {
            return Err(corrupt("a page is not where it should be"));
        }
        let mut pages: Vec<Page> = Vec::with_capacity(locations.len());
        for (at, location) in locations.iter().enumerate() {
            let start = place(location.offset)?;
            let end = start.checked_add(place(i64::from(location.compressed_page_size))?);
            let next = locations.get(at + 1).map_or(Ok(rows), |next| usize::try_from(next.first_row_index));
            let row = usize::try_from(location.first_row_index);
            let (Some(end), Ok(first_row), Ok(next)) = (end, row, next) else {
                return Err(corrupt("a page is out of bounds"));
            };
            let is_next = start == self.position || (start == MAGIC.len() as u64 && self.position == 0);
            let is_first = at > 0 || first_row == 0;
            if !is_next || !is_first || next <= first_row || next > rows {
                return Err(corrupt("the pages of a column do not follow each other"));
            }
            pages.push(Page { piece: self.piece(end)?, first_row, rows: next - first_row });
        }
        Ok(Chunk { dictionary, pages, filter: None })
    }

    fn filters(&mut self, metadata: &ParquetMetaData, groups: &mut [Group], length: u64) -> Result<()> {
        for (group, described) in groups.iter_mut().zip(metadata.row_groups()) {
            for (chunk, described) in group.chunks.iter_mut().zip(described.columns()) {
                let Some(offset) = described.bloom_filter_offset() else { continue };
                let bytes = described.bloom_filter_length().and_then(|bytes| u64::try_from(bytes).ok());
                let start = u64::try_from(offset).ok().filter(|start| *start >= self.position);
                let crc = self.checksums.next();
                let (Some(start), Some(bytes), Some(crc)) = (start, bytes, crc) else {
                    return Err(corrupt("a filter is out of bounds"));
                };
                let end = start.checked_add(bytes).filter(|end| *end <= length);
                let end = end.filter(|_| bytes <= FILTER_BYTES_MAX as u64);
                let end = end.ok_or_else(|| corrupt("a filter is out of bounds"))?;
                chunk.filter = Some(Piece { start, end, crc: *crc });
            }
        }
        Ok(())
    }
}

/// The same metadata without our entries, which are read.
fn without_entries(metadata: ParquetMetaData) -> ParquetMetaData {
    let file = metadata.file_metadata();
    let orders = file.column_orders().cloned();
    let file = FileMetaData::new(file.version(), file.num_rows(), None, None, file.schema_descr_ptr(), orders);
    let mut builder = metadata.into_builder();
    let (groups, index) = (builder.take_row_groups(), builder.take_offset_index());
    ParquetMetaDataBuilder::new(file).set_row_groups(groups).set_offset_index(index).build()
}
