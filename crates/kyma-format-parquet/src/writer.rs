//! Rows to a Parquet file.
//!
//! 1. Check the schema; cut the rows into blocks of exactly `block_rows`, whatever the batches were.
//! 2. Per block: statistics and paths, and which columns deserve a Bloom filter.
//! 3. Per row group and column: encode its blocks; append the chunk; take the checksum of each page.
//! 4. Append the entries of `directory`; close the file: filters, page indexes, metadata; seal the footer.
//!
//! zstd is at level 3 at ingest and 9 when compacted. Columns that repeat themselves have a dictionary. Times, and integers
//! without one, are delta-packed; texts without one keep lengths and bytes apart. On real logs a column of span ids is 15 %
//! smaller without a dictionary than with one that grew too large, and a read of one page need not fetch it.
//!
//! A string or guid column has a Bloom filter (1 % false) when it has at least 16 distinct values, and texts of at most 64 bytes
//! on average: ids and names that are looked for whole.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema as ArrowSchema};
use bytes::Bytes;
use kyma_core::accumulate;
use kyma_core::error::{Error, Result};
use kyma_core::extent::ColumnBounds;
use kyma_core::format::{DataChecksum, EncodeOptions, Encoded, stored_schema};
use kyma_core::schema::{Column, Schema};
use kyma_core::sketch::Sketch;
use kyma_core::stats::ColumnStats;
use kyma_core::time::TimeRange;
use kyma_core::types::Type;
use kyma_core::value::Value;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::properties::{BloomFilterPosition, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::directory::{self, Identity, Statistics, StoredSketch, checksum};
use crate::limits::{
    BLOCK_ROWS_MAX, COLUMNS_MAX, DICTIONARY_BYTES, FILTER_BYTES_MAX, FILTER_DISTINCT_MIN, FILTER_VALUE_BYTES_MAX,
    FOOTER_FILTER_BYTES_MAX, GROUP_ROWS_MAX, GROUPS_MAX, PAGE_BYTES, PAGE_ROWS, PAGE_STEP_ROWS, VALUE_BYTES_MAX,
};
use crate::paths::Paths;
use crate::schema;

/// zstd level by extent level: quick at ingest, thorough when compacted.
const ZSTD_LEVELS: [i32; 2] = [3, 9];
/// How often a value must occur on average before a dictionary pays: span ids, at two to three, are smaller without.
const DICTIONARY_USES_MIN: u64 = 4;
/// A sketch of at most this many bytes is always kept.
const SKETCH_SMALL_BYTES: usize = 128;
/// A larger one takes at most this part of its column's bytes.
const SKETCH_SHARE: usize = 32;
/// Share of false answers of a Bloom filter.
const FILTER_FALSE_SHARE: f64 = 0.01;

/// Encodes `batches` into one extent.
pub(crate) fn encode(batches: &[RecordBatch], options: &EncodeOptions) -> Result<Encoded> {
    let arrow_schema = batches.first().map(RecordBatch::schema);
    let schema = arrow_schema.as_deref().map_or(Ok(Schema::default()), |schema| stored_schema(schema, COLUMNS_MAX))?;
    if options.block_rows == 0 || options.block_rows > BLOCK_ROWS_MAX {
        let detail = format!("rows={}", options.block_rows);
        return Err(Error::invalid("format.block_rows", format!("block rows are out of bounds: {detail}")));
    }
    options.check_lists()?;
    let rows = Rows::new(batches, &schema)?;
    let blocks = rows.blocks(options.block_rows);
    let mut gathered = Gathered {
        paths: Paths::new(),
        blocks: Vec::new(),
        text_bytes: vec![0; schema.len()],
        sketches: vec![Sketch::default(); schema.len()],
    };
    for block in &blocks {
        gathered.add(&rows, block)?;
    }
    let Gathered { paths, blocks: stats, text_bytes, sketches } = gathered;
    let distinct = schema.columns().iter().zip(&sketches);
    let distinct = distinct.map(|(column, sketch)| (column.ty != Type::Dynamic).then(|| sketch.estimate())).collect();
    let sketches = sketches.into_iter().map(|sketch| Some(StoredSketch(sketch))).collect();
    let mut statistics = Statistics { blocks: stats, paths: paths.list(), distinct, sketches };
    let columns: Vec<ColumnStats> = (0..schema.len()).map(|at| statistics.of_column(at)).collect();
    let properties = properties(options, &schema, &statistics, &columns, &text_bytes)?;
    let mut identity = Identity::new(options, &schema, rows.count as u64);
    let (bytes, footer_length) = write_file(&rows, &blocks, &mut identity, &mut statistics, properties)?;
    let occurring = schema.columns().iter().zip(columns).filter(|(_, stats)| stats.nulls < stats.rows);
    let columns =
        occurring.map(|(column, stats)| (column.name.clone(), ColumnBounds { ty: column.ty, stats })).collect();
    Ok(Encoded {
        bytes: Bytes::from(bytes),
        footer_length,
        rows: rows.count as u64,
        blocks: blocks.len() as u32,
        time: time_range(&columns, &options.time_column),
        columns,
        paths: statistics.paths,
    })
}

fn failed(error: ParquetError) -> Error {
    Error::internal("Parquet's encoder failed").because(error)
}

/// The columns of all batches, each in its one Arrow type.
struct Rows<'a> {
    schema: &'a Schema,
    batches: Vec<Vec<ArrayRef>>,
    starts: Vec<usize>,
    count: usize,
}

impl<'a> Rows<'a> {
    fn new(batches: &[RecordBatch], schema: &'a Schema) -> Result<Self> {
        let mut rows = Rows { schema, batches: Vec::with_capacity(batches.len()), starts: Vec::new(), count: 0 };
        for batch in batches {
            let mut arrays = Vec::with_capacity(schema.len());
            for (at, column) in schema.columns().iter().enumerate() {
                let array = batch.columns().get(at);
                let array = array.ok_or_else(|| Error::invalid("format.schema", "batches differ in their columns"))?;
                arrays.push(in_type(array, column)?);
            }
            rows.batches.push(arrays);
            rows.starts.push(rows.count);
            rows.count += batch.num_rows();
        }
        Ok(rows)
    }

    fn blocks(&self, block_rows: usize) -> Vec<Range<usize>> {
        (0..self.count).step_by(block_rows).map(|start| start..(start + block_rows).min(self.count)).collect()
    }

    /// The column at `at` of `range`, as one array.
    fn column(&self, at: usize, range: &Range<usize>) -> Result<ArrayRef> {
        let first = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        let mut parts: Vec<ArrayRef> = Vec::new();
        for (arrays, &start) in self.batches.iter().zip(&self.starts).skip(first) {
            if start >= range.end {
                break;
            }
            let array = &arrays[at];
            let from = range.start.saturating_sub(start).min(array.len());
            let to = (range.end - start).min(array.len());
            if from < to {
                parts.push(array.slice(from, to - from));
            }
        }
        match parts.as_slice() {
            [part] => Ok(part.clone()),
            parts => Ok(arrow::compute::concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
        }
    }
}

fn in_type(array: &ArrayRef, column: &Column) -> Result<ArrayRef> {
    let wanted = column.ty.arrow();
    match array.data_type() {
        ty if *ty == wanted => Ok(array.clone()),
        DataType::Utf8 | DataType::LargeUtf8 if wanted == DataType::Utf8View => {
            Ok(arrow::compute::cast(array, &wanted)?)
        }
        _ => Err(Error::invalid("format.schema", format!("batches differ in type: column={}", column.name))),
    }
}

/// What is learnt of the rows before they are written.
struct Gathered {
    paths: Paths,
    blocks: Vec<Vec<ColumnStats>>,
    text_bytes: Vec<u64>,
    sketches: Vec<Sketch>,
}

impl Gathered {
    fn add(&mut self, rows: &Rows<'_>, block: &Range<usize>) -> Result<()> {
        let mut stats = Vec::with_capacity(rows.schema.len());
        for (at, column) in rows.schema.columns().iter().enumerate() {
            let array = rows.column(at, block)?;
            stats.push(accumulate::of(column.ty, &array));
            self.sketches[at].add(column.ty, &array);
            if let Some(texts) = array.as_string_view_opt() {
                let lengths = || texts.iter().flatten().map(str::len);
                self.text_bytes[at] += lengths().sum::<usize>() as u64;
                if let Some(bytes) = lengths().max().filter(|bytes| *bytes > VALUE_BYTES_MAX) {
                    let detail = format!("column={}, bytes={bytes}", column.name);
                    return Err(Error::exhausted("format.value_too_long", format!("a value is too long: {detail}")));
                }
            }
            if column.ty == Type::Dynamic {
                self.paths.add(&column.name, &array);
            }
        }
        self.blocks.push(stats);
        Ok(())
    }
}

fn properties(
    options: &EncodeOptions,
    schema: &Schema,
    statistics: &Statistics,
    columns: &[ColumnStats],
    text_bytes: &[u64],
) -> Result<WriterProperties> {
    let level = ZSTD_LEVELS[usize::from(options.level).min(ZSTD_LEVELS.len() - 1)];
    let level = ZstdLevel::try_new(level).map_err(failed)?;
    let page_rows = options.block_rows.min(PAGE_ROWS);
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(group_rows(options.block_rows)))
        .set_data_page_row_count_limit(page_rows)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_write_batch_size(page_rows.min(PAGE_STEP_ROWS))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_truncate_length(Some(kyma_core::stats::STRING_BOUND_BYTES_MAX))
        .set_column_index_truncate_length(Some(kyma_core::stats::STRING_BOUND_BYTES_MAX))
        .set_bloom_filter_position(BloomFilterPosition::End);
    for (at, (column, stats)) in schema.columns().iter().zip(columns).enumerate() {
        let path = ColumnPath::new(vec![column.name.clone()]);
        let has_dictionary = column.ty != Type::Datetime && repeats(statistics, at);
        builder = builder.set_column_dictionary_enabled(path.clone(), has_dictionary);
        builder = match column.ty {
            Type::Int | Type::Long | Type::Datetime | Type::Timespan => {
                builder.set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
            }
            Type::String | Type::Dynamic => {
                builder.set_column_encoding(path.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
            }
            _ => builder,
        };
        let text_bytes = text_bytes.get(at).copied().unwrap_or_default();
        if has_filter(column.ty, stats, text_bytes) {
            // The most a row group can hold: a filter is made for so many, then folded to what it needs.
            let distinct_max = (stats.rows - stats.nulls).min(group_rows(options.block_rows) as u64);
            builder = builder
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_max_ndv(path.clone(), distinct_max)
                .set_column_bloom_filter_fpp(path, FILTER_FALSE_SHARE);
        }
    }
    Ok(builder.build())
}

/// Whether the values of a column's blocks occur often enough for a dictionary; without an estimate, the dictionary's limit decides.
fn repeats(statistics: &Statistics, at: usize) -> bool {
    let blocks = statistics.blocks.iter().filter_map(|block| block.get(at));
    let counts = blocks.map(|stats| Some((stats.distinct?, stats.rows - stats.nulls)));
    let sums = counts.reduce(|sums, counts| Some((sums?.0 + counts?.0, sums?.1 + counts?.1))).flatten();
    sums.is_none_or(|(distinct, values)| distinct * DICTIONARY_USES_MIN <= values)
}

fn has_filter(ty: Type, stats: &ColumnStats, text_bytes: u64) -> bool {
    let values = stats.rows - stats.nulls;
    let is_short = ty == Type::Guid || text_bytes <= values * FILTER_VALUE_BYTES_MAX as u64;
    matches!(ty, Type::String | Type::Guid) && is_short && stats.distinct.is_some_and(|n| n >= FILTER_DISTINCT_MIN)
}

/// Rows of a row group: whole blocks.
fn group_rows(block_rows: usize) -> usize {
    (GROUP_ROWS_MAX / block_rows).max(1) * block_rows
}

/// Writes the file; gives it and the length of its footer.
fn write_file(
    rows: &Rows<'_>,
    blocks: &[Range<usize>],
    identity: &mut Identity,
    statistics: &mut Statistics,
    properties: WriterProperties,
) -> Result<(Vec<u8>, u32)> {
    let root = schema::parquet(rows.schema).map_err(failed)?;
    let mut file = SerializedFileWriter::new(Vec::new(), root, Arc::new(properties)).map_err(failed)?;
    let arrow_schema = rows.schema.arrow();
    let factory = ArrowRowGroupWriterFactory::new(&file, arrow_schema.clone());
    let group_blocks = group_rows(identity.block_rows) / identity.block_rows;
    let (mut checksums, mut filters) = (Vec::new(), Vec::new());
    // Parquet cannot say how many rows a file without columns has.
    let groups = if rows.schema.is_empty() { &[] } else { blocks };
    for (at, group) in groups.chunks(group_blocks).enumerate() {
        if at == GROUPS_MAX {
            return Err(Error::exhausted("format.too_many_blocks", "an extent has too many row groups"));
        }
        let chunks = encode_group(rows, group, at, &factory, &arrow_schema)?;
        append_group(&mut file, chunks, &mut checksums, &mut filters)?;
    }
    let data_end = file.bytes_written();
    // A file without rows is all footer, its first magic too.
    let pages = if groups.is_empty() { &[] } else { file.inner().get(..data_end).unwrap_or_default() };
    identity.checksum = Some(DataChecksum { bytes: pages.len() as u64, crc32c: checksum(pages) });
    let filter_bytes: usize = filters.iter().map(|filter: &Checksummed| filter.bytes).sum();
    drop_dear_sketches(statistics, rows.schema, file.flushed_row_groups());
    let is_inside = filter_bytes <= FOOTER_FILTER_BYTES_MAX;
    let start = match groups.is_empty() {
        true => 0,
        false if is_inside => data_end,
        false => data_end + filter_bytes,
    };
    identity.footer_start = Some(start as u64);
    checksums.extend(filters.iter().map(|filter| filter.crc));
    for entry in directory::write(identity, statistics, &checksums)? {
        file.append_key_value_metadata(entry);
    }
    let mut bytes = file.into_inner().map_err(failed)?;
    if !directory::seal(&mut bytes[start..]) {
        return Err(Error::internal("the footer has no place for its checksum"));
    }
    let footer_length = u32::try_from(bytes.len() - start)
        .map_err(|_| Error::exhausted("format.footer_too_large", "the footer of an extent is too large"))?;
    Ok((bytes, footer_length))
}

/// Keeps the sketches that take at most a small part of their column's bytes, and none of dynamics.
fn drop_dear_sketches(statistics: &mut Statistics, schema: &Schema, groups: &[RowGroupMetaData]) {
    for (at, (sketch, column)) in statistics.sketches.iter_mut().zip(schema.columns()).enumerate() {
        let stored =
            groups.iter().filter_map(|group| group.columns().get(at)).map(ColumnChunkMetaData::compressed_size);
        let most = SKETCH_SMALL_BYTES.max(stored.sum::<i64>() as usize / SKETCH_SHARE);
        let is_cheap = |sketch: &StoredSketch| sketch.0.to_bytes().len() <= most;
        *sketch = sketch.take().filter(|sketch| column.ty != Type::Dynamic && is_cheap(sketch));
    }
}

fn encode_group(
    rows: &Rows<'_>,
    blocks: &[Range<usize>],
    at: usize,
    factory: &ArrowRowGroupWriterFactory,
    arrow_schema: &ArrowSchema,
) -> Result<Vec<ArrowColumnChunk>> {
    let writers = factory.create_column_writers(at).map_err(failed)?;
    let mut chunks = Vec::with_capacity(writers.len());
    for ((column, mut writer), field) in writers.into_iter().enumerate().zip(arrow_schema.fields()) {
        for block in blocks {
            let array = rows.column(column, block)?;
            for leaf in compute_leaves(field, &array).map_err(failed)? {
                writer.write(&leaf).map_err(failed)?;
            }
        }
        chunks.push(writer.close().map_err(failed)?);
    }
    Ok(chunks)
}

/// A filter that will be written at the end of the file.
struct Checksummed {
    bytes: usize,
    crc: u32,
}

/// Appends a row group; notes the checksums of its pages, and of the filters to come.
fn append_group(
    file: &mut SerializedFileWriter<Vec<u8>>,
    chunks: Vec<ArrowColumnChunk>,
    checksums: &mut Vec<u32>,
    filters: &mut Vec<Checksummed>,
) -> Result<()> {
    let mut page_lengths = Vec::with_capacity(chunks.len());
    let mut start = if checksums.is_empty() { 0 } else { file.bytes_written() };
    let mut group = file.next_row_group().map_err(failed)?;
    for mut chunk in chunks {
        let closed = chunk.close_mut();
        if let Some(filter) = closed.bloom_filter.take() {
            let mut bytes = Vec::new();
            filter.write(&mut bytes).map_err(failed)?;
            if bytes.len() <= FILTER_BYTES_MAX {
                filters.push(Checksummed { bytes: bytes.len(), crc: checksum(&bytes) });
                closed.bloom_filter = Some(filter);
            }
        }
        let index = closed.offset_index.as_ref();
        let index = index.ok_or_else(|| Error::internal("Parquet's encoder gave no offset index"))?;
        page_lengths
            .push(index.page_locations().iter().map(|page| page.compressed_page_size as usize).collect::<Vec<_>>());
        chunk.append_to_row_group(&mut group).map_err(failed)?;
    }
    let written = group.close().map_err(failed)?;
    file.flush().map_err(|error| Error::internal("Parquet's encoder failed").because(error))?;
    for (chunk, lengths) in written.columns().iter().zip(page_lengths) {
        let mut take = |end: usize| {
            checksums.push(checksum(&file.inner()[start..end]));
            start = end;
        };
        let mut end = chunk.data_page_offset() as usize;
        if chunk.dictionary_page_offset().is_some() {
            take(end);
        }
        for length in lengths {
            end += length;
            take(end);
        }
    }
    Ok(())
}

pub(crate) fn time_range(columns: &std::collections::BTreeMap<String, ColumnBounds>, name: &str) -> TimeRange {
    match columns.get(name).map(|bounds| (&bounds.stats.min, &bounds.stats.max, bounds.stats.nulls)) {
        Some((Some(Value::Datetime(min)), Some(Value::Datetime(max)), 0)) => TimeRange::new(*min, *max),
        _ => TimeRange::ALL,
    }
}
