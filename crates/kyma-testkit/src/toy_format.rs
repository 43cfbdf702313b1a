//! A toy segment format: one Arrow IPC stream per block, and a JSON footer.
//!
//! Small enough to check by eye, yet it keeps every promise of [`SegmentFormat`]: it proves that a format is
//! a plug, and is the yardstick that others are compared with. It reads a whole block for any column.
//!
//! ```text
//! extent = IPC stream*, footer        footer = JSON, tail
//! tail = crc32 of the JSON and the footer's length, 8 hex digits each, "toy!"
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, StringViewArray, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Field, Float64Type, Int32Type, Int64Type, Schema as ArrowSchema, TimestampNanosecondType};
use arrow::ipc::{reader::StreamReader, writer::StreamWriter};
use async_trait::async_trait;
use bytes::Bytes;
use kyma_core::dynamic;
use kyma_core::error::{Error, Result};
use kyma_core::extent::ColumnBounds;
use kyma_core::format::{
    DataChecksum, EncodeOptions, Encoded, Identity, OpenOptions, PruneRequest, Pruned, RangeReader, ReadColumn,
    SegmentFormat, SegmentReader, prune_by_stats,
};
use kyma_core::ids::{DatabaseId, ExtentId, TableId};
use kyma_core::predicate::ColumnRef;
use kyma_core::schema::Schema;
use kyma_core::stats::{ColumnStats, can_promote, lower_bound, upper_bound};
use kyma_core::time::TimeRange;
use kyma_core::types::Type;
use kyma_core::value::Value;
use serde::{Deserialize, Serialize};

const MARK: &str = "toy!";
const TAIL_BYTES: usize = 8 + 8 + MARK.len();

/// The end of a footer.
fn tail(json: &[u8]) -> String {
    format!("{:08x}{:08x}{MARK}", crc32(json), json.len() + TAIL_BYTES)
}

/// The toy format.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToyFormat;

#[derive(Debug, Serialize, Deserialize)]
struct Footer {
    schema: Schema,
    blocks: Vec<Block>,
    owner: Owner,
    checksum: DataChecksum,
}

/// The options as they were given.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    extent: ExtentId,
    database: DatabaseId,
    database_name: String,
    table: TableId,
    table_name: String,
    time_column: String,
    sorted_by: Vec<String>,
    level: u8,
    raw_bytes: u64,
    replaces: Vec<ExtentId>,
    /// As UUIDs: JSON's numbers are shorter.
    writes: Vec<uuid::Uuid>,
}

impl Owner {
    fn new(options: &EncodeOptions) -> Self {
        let options = options.clone();
        Owner {
            extent: options.extent,
            database: options.database,
            database_name: options.database_name,
            table: options.table,
            table_name: options.table_name,
            time_column: options.time_column,
            sorted_by: options.sorted_by,
            level: options.level,
            raw_bytes: options.raw_bytes,
            replaces: options.replaces,
            writes: options.writes.into_iter().map(uuid::Uuid::from_u128).collect(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Block {
    rows: u32,
    offset: u64,
    length: u64,
    crc: u32,
    stats: Vec<ColumnStats>,
}

#[async_trait]
impl SegmentFormat for ToyFormat {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn encode(&self, rows: &[RecordBatch], options: &EncodeOptions) -> Result<Encoded> {
        options.check_lists()?;
        let rows: Vec<RecordBatch> = rows.iter().map(normalised).collect::<Result<_>>()?;
        let (mut bytes, mut blocks) = (Vec::new(), Vec::new());
        let mut schema = Schema::default();
        if let Some(first) = rows.first() {
            schema = Schema::of_arrow(&first.schema());
            let all = arrow::compute::concat_batches(&first.schema(), &rows)?;
            for start in (0..all.num_rows()).step_by(options.block_rows.max(1)) {
                let block = compact(&all.slice(start, options.block_rows.min(all.num_rows() - start)))?;
                let offset = bytes.len() as u64;
                let mut writer = StreamWriter::try_new(&mut bytes, &block.schema())?;
                writer.write(&block)?;
                writer.finish()?;
                drop(writer);
                let stats = schema.columns().iter().zip(block.columns());
                blocks.push(Block {
                    rows: block.num_rows() as u32,
                    offset,
                    length: bytes.len() as u64 - offset,
                    crc: crc32(&bytes[offset as usize..]),
                    stats: stats.map(|(column, array)| stats_of(column.ty, array)).collect(),
                });
            }
        }
        let crc32c = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes) as u32;
        let checksum = DataChecksum { bytes: bytes.len() as u64, crc32c };
        let footer = Footer { schema, blocks, owner: Owner::new(options), checksum };
        let json = serde_json::to_vec(&footer).map_err(|error| Error::internal("footer").because(error))?;
        bytes.extend_from_slice(&json);
        bytes.extend_from_slice(tail(&json).as_bytes());
        let columns = columns(&footer);
        Ok(Encoded {
            footer_length: (json.len() + TAIL_BYTES) as u32,
            rows: footer.blocks.iter().map(|block| u64::from(block.rows)).sum(),
            blocks: footer.blocks.len() as u32,
            time: time_range(&columns, &options.time_column),
            columns,
            paths: None,
            bytes: Bytes::from(bytes),
        })
    }

    async fn find_footer(&self, source: &dyn RangeReader, length: u64) -> Result<Option<u32>> {
        let Some(start) = length.checked_sub(TAIL_BYTES as u64) else { return Ok(None) };
        let end = source.read(std::slice::from_ref(&(start..length))).await?.remove(0);
        let digits = std::str::from_utf8(&end).ok().and_then(|end| end.strip_suffix(MARK)?.get(8..));
        let footer = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        Ok(footer.filter(|footer| u64::from(*footer) <= length))
    }

    async fn open(&self, source: Arc<dyn RangeReader>, options: &OpenOptions) -> Result<Arc<dyn SegmentReader>> {
        let corrupt = |why: &str| Error::corrupt(format!("extent data is corrupt: section=footer: {why}"));
        let start = options.length.checked_sub(u64::from(options.footer_length)).ok_or_else(|| corrupt("too short"))?;
        let bytes = match &options.footer {
            Some(bytes) => bytes.clone(),
            None => {
                let range = start..options.length;
                source.read(std::slice::from_ref(&range)).await?.remove(0)
            }
        };
        let at = bytes.len().checked_sub(TAIL_BYTES).ok_or_else(|| corrupt("too short"))?;
        let (json, end) = bytes.split_at(at);
        if tail(json).as_bytes() != end {
            return Err(corrupt("checksum"));
        }
        let footer: Footer = serde_json::from_slice(json).map_err(|error| corrupt("json").because(error))?;
        let block_rows = footer.blocks.iter().map(|block| block.rows).collect();
        Ok(Arc::new(Reader { footer, block_rows, memory_bytes: bytes.len() * 4 }))
    }
}

#[derive(Debug)]
struct Reader {
    footer: Footer,
    block_rows: Vec<u32>,
    memory_bytes: usize,
}

#[async_trait]
impl SegmentReader for Reader {
    fn schema(&self) -> &Schema {
        &self.footer.schema
    }

    fn rows(&self) -> u64 {
        self.block_rows.iter().copied().map(u64::from).sum()
    }

    fn block_rows(&self) -> &[u32] {
        &self.block_rows
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    fn stats(&self, block: Option<u32>, column: &ColumnRef) -> Option<(Type, ColumnStats)> {
        let rows = block.map_or(self.rows(), |block| u64::from(self.block_rows[block as usize]));
        let Some(at) = self.footer.schema.index_of(&column.column) else {
            return Some((Type::String, ColumnStats::all_null(rows)));
        };
        if !column.path.is_empty() {
            return None;
        }
        let stats = match block {
            Some(block) => self.footer.blocks.get(block as usize)?.stats[at].clone(),
            None => merged(&self.footer, at),
        };
        Some((self.footer.schema.columns()[at].ty, stats))
    }

    async fn prune(&self, _source: &dyn RangeReader, request: &PruneRequest<'_>) -> Result<Pruned> {
        Ok(prune_by_stats(self, request))
    }

    async fn read(
        &self,
        source: &dyn RangeReader,
        block: u32,
        columns: &[ReadColumn],
        selection: Option<&BooleanBuffer>,
    ) -> Result<RecordBatch> {
        let stored = self.footer.blocks.get(block as usize);
        let stored = stored.ok_or_else(|| Error::invalid("format.no_such_block", "no such block"))?;
        let mut rows = self.load(source, block, stored).await?;
        if let Some(bits) = selection {
            rows = arrow::compute::filter_record_batch(&rows, &BooleanArray::new(bits.clone(), None))?;
        }
        let arrays = columns.iter().map(|column| self.column(&rows, column)).collect::<Result<Vec<_>>>()?;
        let fields: Vec<Field> =
            columns.iter().enumerate().map(|(at, column)| column.ty.field(format!("c{at}"))).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &options)?)
    }

    fn read_bytes(&self, block: u32, _columns: &[ReadColumn]) -> u64 {
        self.footer.blocks.get(block as usize).map_or(0, |block| block.length)
    }

    fn identity(&self) -> Option<Identity> {
        let owner = &self.footer.owner;
        let columns = columns(&self.footer);
        Some(Identity {
            extent: owner.extent,
            database: owner.database,
            database_name: owner.database_name.clone(),
            table: owner.table,
            table_name: owner.table_name.clone(),
            time_column: owner.time_column.clone(),
            sorted_by: owner.sorted_by.clone(),
            level: owner.level,
            rows: self.rows(),
            blocks: self.block_rows.len() as u32,
            raw_bytes: Some(owner.raw_bytes),
            time: time_range(&columns, &owner.time_column),
            columns,
            paths: None,
            replaces: owner.replaces.clone(),
            writes: owner.writes.iter().map(uuid::Uuid::as_u128).collect(),
            checksum: Some(self.footer.checksum),
        })
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::json!({ "format": "toy", "rows": self.rows(), "blocks": self.block_rows })
    }
}

impl Reader {
    async fn load(&self, source: &dyn RangeReader, number: u32, block: &Block) -> Result<RecordBatch> {
        let corrupt = || Error::corrupt(format!("extent data is corrupt: section=data, block={number}"));
        let range = block.offset..block.offset + block.length;
        let bytes = source.read(std::slice::from_ref(&range)).await?.remove(0);
        if crc32(&bytes) != block.crc {
            return Err(corrupt());
        }
        let mut batches = StreamReader::try_new(bytes.as_ref(), None).map_err(|error| corrupt().because(error))?;
        let batch = batches.next().ok_or_else(corrupt)?.map_err(|error| corrupt().because(error))?;
        if batch.num_rows() == block.rows as usize { Ok(batch) } else { Err(corrupt()) }
    }

    fn column(&self, rows: &RecordBatch, wanted: &ReadColumn) -> Result<ArrayRef> {
        let nothing = || new_null_array(&wanted.ty.arrow(), rows.num_rows());
        let Some(at) = self.footer.schema.index_of(&wanted.source.column) else { return Ok(nothing()) };
        let (ty, array) = (self.footer.schema.columns()[at].ty, rows.column(at));
        let path = &wanted.source.path;
        if path.is_empty() {
            let is_readable = can_promote(ty, wanted.ty);
            return if is_readable { Ok(arrow::compute::cast(array, &wanted.ty.arrow())?) } else { Ok(nothing()) };
        }
        if ty != Type::Dynamic {
            return Ok(nothing());
        }
        let values = array.as_string_view().iter().map(|json| dynamic::get(json?, path));
        Ok(convert(values, wanted.ty, rows.num_rows()))
    }
}

/// The members of a path read as `ty`, by the conversions of [`kyma_core::dynamic`].
pub fn convert<'a>(values: impl Iterator<Item = Option<std::borrow::Cow<'a, str>>>, ty: Type, rows: usize) -> ArrayRef {
    use arrow::array::{Float64Array, Int32Array, Int64Array, TimestampNanosecondArray};
    match ty {
        Type::Dynamic => Arc::new(values.collect::<StringViewArray>()),
        Type::String => Arc::new(
            values.map(|json| json.map(|json| dynamic::to_text(&json).into_owned())).collect::<StringViewArray>(),
        ),
        Type::Long => Arc::new(values.map(|json| dynamic::to_long(&json?)).collect::<Int64Array>()),
        Type::Int => {
            let int = |json: &str| dynamic::to_long(json).and_then(|long| i32::try_from(long).ok());
            Arc::new(values.map(|json| int(&json?)).collect::<Int32Array>())
        }
        Type::Real => Arc::new(values.map(|json| dynamic::to_real(&json?)).collect::<Float64Array>()),
        Type::Bool => Arc::new(values.map(|json| dynamic::to_bool(&json?)).collect::<BooleanArray>()),
        Type::Datetime => {
            Arc::new(values.map(|json| dynamic::to_datetime(&json?)).collect::<TimestampNanosecondArray>())
        }
        _ => new_null_array(&ty.arrow(), rows),
    }
}

/// Strings in their one Arrow type, fields tagged.
fn normalised(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = Schema::of_arrow(&batch.schema());
    let mut arrays = Vec::with_capacity(schema.len());
    for (column, array) in schema.columns().iter().zip(batch.columns()) {
        let is_text = array.data_type().is_string() && column.ty.arrow().is_string();
        if !is_text && *array.data_type() != column.ty.arrow() {
            let detail = format!("column={}, type={}", column.name, array.data_type());
            return Err(Error::invalid("format.column_type", format!("a column cannot be stored: {detail}")));
        }
        arrays.push(arrow::compute::cast(array, &column.ty.arrow())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.arrow(), arrays, &options)?)
}

/// The same rows without bytes of other rows: views keep whole buffers.
fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let arrays = batch.columns().iter().map(|array| match array.as_string_view_opt() {
        Some(texts) => Arc::new(texts.gc()) as ArrayRef,
        None => array.clone(),
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), arrays.collect(), &options)?)
}

fn merged(footer: &Footer, at: usize) -> ColumnStats {
    let mut parts = footer.blocks.iter().map(|block| &block.stats[at]);
    let first = parts.next().cloned().unwrap_or_else(|| ColumnStats::all_null(0));
    parts.fold(first, |merged, part| merged.merge(part))
}

fn columns(footer: &Footer) -> BTreeMap<String, ColumnBounds> {
    let all = footer
        .schema
        .columns()
        .iter()
        .enumerate()
        .map(|(at, column)| (column.name.clone(), ColumnBounds { ty: column.ty, stats: merged(footer, at) }));
    all.filter(|(_, bounds)| bounds.stats.nulls < bounds.stats.rows).collect()
}

fn time_range(columns: &BTreeMap<String, ColumnBounds>, name: &str) -> TimeRange {
    match columns.get(name).map(|bounds| (&bounds.stats.min, &bounds.stats.max, bounds.stats.nulls)) {
        Some((Some(Value::Datetime(min)), Some(Value::Datetime(max)), 0)) => TimeRange::new(*min, *max),
        _ => TimeRange::ALL,
    }
}

/// Bounds of the types that are simple to compare; others have none.
fn stats_of(ty: Type, array: &ArrayRef) -> ColumnStats {
    let (rows, nulls) = (array.len() as u64, array.null_count() as u64);
    let mut stats = ColumnStats { nulls, distinct: None, ..ColumnStats::all_null(rows) };
    stats.distinct = (nulls == rows).then_some(0);
    let set = |stats: &mut ColumnStats, bounds: Option<(Value, Value)>| {
        if let Some((min, max)) = bounds {
            (stats.min, stats.max) = (Some(min), Some(max));
        }
    };
    match ty {
        Type::Int => set(&mut stats, bounds(array.as_primitive::<Int32Type>().iter(), Value::Int)),
        Type::Long => set(&mut stats, bounds(array.as_primitive::<Int64Type>().iter(), Value::Long)),
        Type::Datetime => {
            set(&mut stats, bounds(array.as_primitive::<TimestampNanosecondType>().iter(), Value::Datetime));
        }
        Type::Real => {
            let reals: Vec<f64> = array.as_primitive::<Float64Type>().iter().flatten().collect();
            if !reals.iter().any(|real| real.is_nan()) {
                let min = reals.iter().copied().min_by(f64::total_cmp).map(Value::Real);
                let max = reals.iter().copied().max_by(f64::total_cmp).map(Value::Real);
                set(&mut stats, min.zip(max));
            }
        }
        Type::String => {
            let texts = array.as_string_view();
            if let (Some(min), Some(max)) = (texts.iter().flatten().min(), texts.iter().flatten().max()) {
                let (low, low_exact) = lower_bound(min);
                let high = upper_bound(max);
                stats.exact = low_exact && high.as_ref().is_some_and(|(_, exact)| *exact);
                stats.min = Some(Value::String(low));
                stats.max = high.map(|(high, _)| Value::String(high));
            }
        }
        // A JSON null is stored as a value and read as a null.
        Type::Dynamic if array.as_string_view().iter().flatten().any(|json| json == "null") => {
            return ColumnStats::unknown(rows);
        }
        _ => {}
    }
    stats
}

fn bounds<T: Ord + Copy>(values: impl Iterator<Item = Option<T>>, wrap: fn(T) -> Value) -> Option<(Value, Value)> {
    let values: Vec<T> = values.flatten().collect();
    Some((wrap(*values.iter().min()?), wrap(*values.iter().max()?)))
}

/// CRC-32 (IEEE) of each byte.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// CRC-32 (IEEE), byte by byte.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc = (crc >> 8) ^ CRC_TABLE[((crc ^ u32::from(byte)) & 255) as usize];
    }
    !crc
}
