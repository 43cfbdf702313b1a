//! How an extent's bytes are laid out: the seam behind which TLM, Parquet and test formats live.
//!
//! Promises of every [`SegmentFormat`], checked by the conformance suite in `kyma-testkit`:
//!
//! 1. What is encoded is read back: same rows, same order, same nulls, every type; a dynamic may have its
//!    key order and number spelling normalised, never its value.
//! 2. Opening takes one read of exactly the footer's bytes, and no read when the footer is handed in.
//! 3. Blocks hold [`crate::limits::BLOCK_ROWS`] rows (or the number asked for), the last one fewer, whatever the input batches were.
//! 4. Reading columns reads only their bytes, by ranges; reading a path of a dynamic column gives exactly
//!    [`crate::dynamic::get`] of the whole value.
//! 5. Statistics are sound: never a bound that a value refutes.
//! 6. `prune` and `narrow` never drop a row that matches, and so never a block that holds one.
//! 7. Any changed byte gives a `Corrupt` error that names the section, or a byte-equal answer; never a wrong
//!    answer, a panic or an allocation beyond the declared sizes.
//! 8. `read_coded` gives the values that `read` gives; `counts` are those of the rows.
//! 9. `identity` gives what [`Encoded`] and [`EncodeOptions`] said, bit for bit. `find_footer` finds the footer of an extent that
//!    is all of its object, or does not know; what is not of this format it does not take for its own.

mod identity;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Schema as ArrowSchema};
use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, Result};
use crate::extent::{ColumnBounds, NewExtent};
use crate::ids::{DatabaseId, ExtentId, TableId};
use crate::predicate::{ColumnRef, Predicate};
use crate::prune::Reason;
use crate::schema::{Column, Schema};
use crate::sketch::Sketch;
use crate::stats::ColumnStats;
use crate::time::TimeRange;
use crate::types::Type;
use crate::value::Value;

pub use identity::{DataChecksum, Identity, write_hash};

/// Reads byte ranges of one extent. Offsets count from the extent's first byte.
#[async_trait]
pub trait RangeReader: Send + Sync + fmt::Debug {
    /// Reads every range, in order; neighbouring ranges may be fetched together.
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>>;

    /// Says that what was read is not what was written: what is kept of it must not be read again.
    fn distrust(&self) {}
}

/// An extent whose bytes are all at hand.
#[async_trait]
impl RangeReader for Bytes {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let part = |range: &Range<u64>| {
            let is_within = range.start <= range.end && range.end <= self.len() as u64;
            let outside = || Error::corrupt(format!("a range lies outside its extent: range={range:?}"));
            is_within.then(|| self.slice(range.start as usize..range.end as usize)).ok_or_else(outside)
        };
        ranges.iter().map(part).collect()
    }
}

/// What goes into an extent beside its rows.
#[derive(Debug, Clone)]
pub struct EncodeOptions {
    /// The extent's identity, kept in the footer so that the catalog can be rebuilt.
    pub extent: ExtentId,
    /// Its database.
    pub database: DatabaseId,
    /// Its database's name.
    pub database_name: String,
    /// Its table.
    pub table: TableId,
    /// Its table's name.
    pub table_name: String,
    /// Name of the event-time column.
    pub time_column: String,
    /// Columns the rows are sorted by already.
    pub sorted_by: Vec<String>,
    /// 0 at ingest; higher levels may spend more time for fewer bytes.
    pub level: u8,
    /// Rows of a block.
    pub block_rows: usize,
    /// Bytes of the input that became these rows.
    pub raw_bytes: u64,
    /// Extents whose rows this one took over, all of them, in the commit that adds it: they are removed by the same one. At most
    /// [`crate::limits::EXTENT_REPLACES_MAX`]. With the catalog lost, an extent that another one replaces is not counted twice.
    pub replaces: Vec<ExtentId>,
    /// Hashes ([`write_hash`]) of the idempotency keys of the writes whose rows are here, when every one has a key and there are at
    /// most [`crate::limits::EXTENT_WRITES_MAX`]; otherwise empty: unknown. With the catalog lost, an object that was put and never
    /// committed is known by its writes being elsewhere.
    pub writes: Vec<u128>,
}

/// An encoded extent and what the catalog should know of it.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The extent's bytes.
    pub bytes: Bytes,
    /// Bytes of the footer at the end.
    pub footer_length: u32,
    /// Rows.
    pub rows: u64,
    /// Blocks.
    pub blocks: u32,
    /// Closed bounds of the event time; everything when some row has none.
    pub time: TimeRange,
    /// Per column that occurs (has a non-null value): type and statistics.
    pub columns: std::collections::BTreeMap<String, ColumnBounds>,
    /// Dynamic paths that occur, `column.key.key`; `None` when there are more than the format lists.
    pub paths: Option<Vec<String>>,
}

/// Where an extent's bytes are and how to open them.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The extent, for errors.
    pub extent: ExtentId,
    /// Bytes of the extent.
    pub length: u64,
    /// Bytes of its footer.
    pub footer_length: u32,
    /// The footer's bytes, when they are at hand.
    pub footer: Option<Bytes>,
}

impl OpenOptions {
    /// How to open an extent that the catalog knows, whose footer is still to be read.
    pub fn of(extent: &NewExtent) -> Self {
        let (length, footer_length) = (extent.location.length, extent.footer_length);
        OpenOptions { extent: extent.id, length, footer_length, footer: None }
    }

    /// The extent's footer: what is at hand, or else one read of exactly its bytes. Gives the offset it starts at too.
    ///
    /// # Errors
    /// `Corrupt` when there is no such footer.
    pub async fn read_footer(&self, source: &dyn RangeReader) -> Result<(u64, Bytes)> {
        let start = self.length.checked_sub(u64::from(self.footer_length));
        let start = start.ok_or_else(|| self.corrupt("the extent is shorter than its footer"))?;
        let bytes = match &self.footer {
            Some(bytes) => bytes.clone(),
            None => {
                let read = source.read(std::slice::from_ref(&(start..self.length))).await?;
                read.into_iter().next().ok_or_else(|| self.corrupt("the store gave nothing"))?
            }
        };
        if bytes.len() != self.footer_length as usize {
            return Err(self.corrupt("it has the wrong length"));
        }
        Ok((start, bytes))
    }

    /// Says what is wrong with the extent's footer.
    pub fn corrupt(&self, why: &str) -> Error {
        Error::corrupt(format!("extent footer is corrupt: extent={}: {why}", self.extent))
    }
}

/// The columns of batches to encode, at most `columns_max`. Text may come in any of Arrow's string types.
///
/// # Errors
/// `Invalid` for a type outside [`Type`]'s Arrow types or a name that occurs twice, `Exhausted` for too many columns.
pub fn stored_schema(schema: &ArrowSchema, columns_max: usize) -> Result<Schema> {
    let mut columns: Vec<Column> = Vec::with_capacity(schema.fields().len());
    let mut names = std::collections::HashSet::new();
    for field in schema.fields() {
        let ty = Type::of_field(field);
        let is_text = matches!(ty, Type::String | Type::Dynamic)
            && matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8);
        if !is_text && *field.data_type() != ty.arrow() {
            let detail = format!("column={}, type={}", field.name(), field.data_type());
            return Err(Error::invalid("format.column_type", format!("a column cannot be stored: {detail}")));
        }
        if !names.insert(field.name()) {
            let detail = format!("column={}", field.name());
            return Err(Error::invalid("format.column_twice", format!("a column occurs twice: {detail}")));
        }
        columns.push(Column::new(field.name(), ty));
    }
    if columns.len() > columns_max {
        return Err(Error::exhausted("format.too_many_columns", format!("too many columns: limit={columns_max}")));
    }
    Ok(Schema::new(columns))
}

/// Ranges in order, joined where they touch.
pub fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// One column of a read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReadColumn {
    /// The column, or a path inside a dynamic column.
    pub source: ColumnRef,
    /// The type to give. For a column: the type it has, or one it promotes to ([`crate::stats::can_promote`]); other
    /// stored types read null. For a path: the value converted by [`crate::dynamic`]; `Dynamic` gives its JSON text.
    pub ty: Type,
}

impl ReadColumn {
    /// The column `name` read as `ty`.
    pub fn column(name: impl Into<String>, ty: Type) -> Self {
        ReadColumn { source: ColumnRef::column(name), ty }
    }
}

/// The Arrow type of strings that [`SegmentReader::read_coded`] gives as codes of a dictionary.
pub fn coded_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(Type::String.arrow()))
}

/// What `prune` found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Blocks that may hold matching rows, ascending.
    pub blocks: Vec<u32>,
    /// Of those blocks where an index knows more: the rows that may match, one bit per row of the block. Other blocks
    /// may match in any row.
    pub rows: std::collections::BTreeMap<u32, BooleanBuffer>,
    /// How many blocks fell, by reason.
    pub reasons: std::collections::BTreeMap<Reason, u64>,
}

/// The shape of a line: its static text, with `<*>` where lines differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The shape.
    pub text: String,
    /// How many lines have it.
    pub rows: u64,
}

/// What `narrow` found; one bit per row of the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowed {
    /// Rows that may match; for others the predicate is not true.
    pub rows: BooleanBuffer,
    /// Rows for which the predicate is certainly true, all of them among `rows`.
    pub sure: BooleanBuffer,
}

/// One way to lay out an extent.
#[async_trait]
pub trait SegmentFormat: Send + Sync + fmt::Debug {
    /// The stable name that the catalog stores.
    fn name(&self) -> &'static str;

    /// Encodes rows that are in `options.sorted_by` order already; batches share one schema whose fields are tagged
    /// with their kyma type. Blocks do not depend on how the rows are cut into batches.
    ///
    /// # Errors
    /// `Invalid` for a column type outside [`Type`]'s Arrow types.
    fn encode(&self, rows: &[RecordBatch], options: &EncodeOptions) -> Result<Encoded>;

    /// Bytes of the footer of an extent that takes all `length` bytes of `source`, found by reading its end. `None` when this is
    /// no extent of the format, or when the format cannot tell. For whoever has lost the catalog, which knows.
    async fn find_footer(&self, _source: &dyn RangeReader, _length: u64) -> Result<Option<u32>> {
        Ok(None)
    }

    /// Opens an extent by its footer.
    ///
    /// # Errors
    /// `Corrupt` when the footer is not one of this format's; otherwise the reader's errors.
    async fn open(&self, source: Arc<dyn RangeReader>, options: &OpenOptions) -> Result<Arc<dyn SegmentReader>>;
}

/// An open extent. Cheap to keep: it holds the footer, not data.
#[async_trait]
pub trait SegmentReader: Send + Sync + fmt::Debug {
    /// The columns stored.
    fn schema(&self) -> &Schema;

    /// Rows of the extent.
    fn rows(&self) -> u64;

    /// Rows of each block.
    fn block_rows(&self) -> &[u32];

    /// Bytes of memory this reader holds.
    fn memory_bytes(&self) -> usize;

    /// Statistics of a column or path over one block, or over the extent; in the stored type, which comes with
    /// them. `None` when nothing is known. What certainly does not occur is all null.
    fn stats(&self, block: Option<u32>, column: &ColumnRef) -> Option<(Type, ColumnStats)>;

    /// What the extent knows of a column's distinct non-null values, in a form that merges with other extents'. `None`
    /// when it keeps nothing. May read from `source`.
    async fn sketch(&self, _source: &dyn RangeReader, _column: &ColumnRef) -> Result<Option<Sketch>> {
        Ok(None)
    }

    /// Blocks of `candidates` that may hold a row for which `predicate` is true. `schema` is the one the query reads
    /// with; `null_strings_are_empty` as in [`crate::prune::StatsSource`]. May read index sections from `source`.
    async fn prune(&self, source: &dyn RangeReader, request: &PruneRequest<'_>) -> Result<Pruned>;

    /// Rows of one block that may match and rows that do, among `rows` (all when `None`), found by looking at less than the
    /// columns' values: the templates of lines. `None` when that says nothing. Called after `prune`, before the block is read.
    async fn narrow(
        &self,
        _source: &dyn RangeReader,
        _block: u32,
        _request: &PruneRequest<'_>,
        _rows: Option<&BooleanBuffer>,
    ) -> Result<Option<Narrowed>> {
        Ok(None)
    }

    /// What the extent knows of the shapes of a column's lines without reading lines; empty when it keeps none.
    fn patterns(&self, _column: &str) -> Vec<Pattern> {
        Vec::new()
    }

    /// Reads columns of one block, all rows or those whose bit is set in `selection` (one bit per row of the
    /// block). The batch's columns are `columns` in order, fields named `c0`, `c1`, ... A column that is not stored
    /// reads null.
    async fn read(
        &self,
        source: &dyn RangeReader,
        block: u32,
        columns: &[ReadColumn],
        selection: Option<&BooleanBuffer>,
    ) -> Result<RecordBatch>;

    /// Reads like [`SegmentReader::read`], except that strings may come as they are stored: an array of [`coded_type`]
    /// where a column is kept as a dictionary. Its dictionary holds no null; its values need not be distinct.
    async fn read_coded(
        &self,
        source: &dyn RangeReader,
        block: u32,
        columns: &[ReadColumn],
        selection: Option<&BooleanBuffer>,
    ) -> Result<RecordBatch> {
        self.read(source, block, columns, selection).await
    }

    /// How many rows of the extent have each value of a column, null among them; with `bin`, each start of a bin of so many
    /// units that holds rows: nanoseconds since the epoch, rounded down to a multiple of it. Values are distinct, and their
    /// rows add up to the extent's. `None` when the extent keeps no such counts; nothing is read.
    fn counts(&self, _column: &ColumnRef, _bin: Option<i64>) -> Option<Vec<(Value, u64)>> {
        None
    }

    /// Compressed bytes that reading `columns` of `block` would fetch, for budgets and plans.
    fn read_bytes(&self, block: u32, columns: &[ReadColumn]) -> u64;

    /// What the footer says the extent is. `None` when the format keeps no such thing: then it is lost with the catalog.
    fn identity(&self) -> Option<Identity> {
        None
    }

    /// A description of the layout for `kyma inspect`: sections, columns, encodings, sizes.
    fn describe(&self) -> serde_json::Value;
}

/// What to prune by.
#[derive(Debug, Clone, Copy)]
pub struct PruneRequest<'a> {
    /// The condition.
    pub predicate: &'a Predicate,
    /// The schema the query reads with.
    pub schema: &'a Schema,
    /// Name of the event-time column.
    pub time_column: &'a str,
    /// Whether null strings read as `""`.
    pub null_strings_are_empty: bool,
    /// The blocks to look at, ascending.
    pub candidates: &'a [u32],
}

/// The block pruning that every format can share: statistics of each candidate block.
pub fn prune_by_stats(reader: &dyn SegmentReader, request: &PruneRequest<'_>) -> Pruned {
    let mut pruned = Pruned::default();
    for &block in request.candidates {
        let source = BlockStats { reader, block, request };
        let outcome = crate::prune::evaluate(request.predicate, &source);
        match outcome.is_none() {
            true => *pruned.reasons.entry(outcome.reason.unwrap_or(Reason::Bounds)).or_default() += 1,
            false => pruned.blocks.push(block),
        }
    }
    pruned
}

/// The statistics of one block, read with the query's schema.
#[derive(Debug)]
pub struct BlockStats<'a> {
    /// The open extent.
    pub reader: &'a dyn SegmentReader,
    /// The block.
    pub block: u32,
    /// The schema and the meaning of nulls.
    pub request: &'a PruneRequest<'a>,
}

impl crate::prune::StatsSource for BlockStats<'_> {
    fn stats(&self, column: &ColumnRef) -> Option<ColumnStats> {
        let (stored, stats) = self.reader.stats(Some(self.block), column)?;
        if !column.path.is_empty() {
            return Some(stats);
        }
        let read_as = self.request.schema.column(&column.column)?.ty;
        Some(stats.promoted(stored, read_as))
    }

    fn is_time(&self, column: &ColumnRef) -> bool {
        column.path.is_empty() && column.column == self.request.time_column
    }

    fn null_strings_are_empty(&self) -> bool {
        self.request.null_strings_are_empty
    }

    fn column_type(&self, column: &ColumnRef) -> Option<Type> {
        if column.path.is_empty() { self.request.schema.column(&column.column).map(|column| column.ty) } else { None }
    }
}

/// The formats that this process can read, by name.
#[derive(Debug, Clone, Default)]
pub struct Formats {
    by_name: std::collections::BTreeMap<&'static str, Arc<dyn SegmentFormat>>,
}

impl Formats {
    /// A registry of `formats`; the first of two with one name counts.
    pub fn new(formats: Vec<Arc<dyn SegmentFormat>>) -> Self {
        let mut by_name = std::collections::BTreeMap::new();
        for format in formats {
            by_name.entry(format.name()).or_insert(format);
        }
        Formats { by_name }
    }

    /// The format called `name`.
    ///
    /// # Errors
    /// `NotFound` with code `format.unknown`: the extent was written by a newer or differently built kyma.
    pub fn get(&self, name: &str) -> Result<Arc<dyn SegmentFormat>> {
        let known = || self.by_name.keys().copied().collect::<Vec<_>>().join(", ");
        self.by_name.get(name).cloned().ok_or_else(|| {
            Error::not_found("format.unknown", format!("segment format is not known here: format={name}"))
                .hint(format!("this process knows: {}", known()))
        })
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }
}
