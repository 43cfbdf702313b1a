//! Rows of stored extents into new ones: what compaction and deletes do to data.
//!
//! 1. The bytes of every source are fetched whole, past the cache: each is read once, and never again.
//! 2. The sources' key columns say in which order their rows go: the table's sort key, then event time, then the order of
//!    their commits, then their place in the extent.
//! 3. Column by column, the rows that are kept are read from all sources and put into that order, so that what is in memory
//!    is the sources as they are stored, the result, and one column more.
//! 4. Each row keeps which commit it came with and when it was ingested, in two hidden columns: a cursor gives a row once,
//!    however often it is compacted.
//! 5. The rows are encoded as one extent at the level asked for, and committed as `commit` says: object, then one
//!    transaction that adds it and removes the sources, if all of them are still visible. A crash before that leaves an
//!    object that is garbage.
//!
//! What a job may hold is up to who plans it: see [`Rewrite::sources`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, TimestampNanosecondArray, UInt32Array, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::Schema as ArrowSchema;
use bytes::Bytes;
use futures::executor::block_on;
use futures::stream::{self, StreamExt, TryStreamExt};
use kyma_core::catalog::{Committed, Receipt, Table};
use kyma_core::extent::Extent;
use kyma_core::failpoint::{self, Point};
use kyma_core::format::{OpenOptions, ReadColumn, SegmentFormat, SegmentReader};
use kyma_core::planted::{self, Bug};
use kyma_core::profile::IoCounters;
use kyma_core::schema::{HIDDEN_MARK, INGESTED_COLUMN, SEQUENCE_COLUMN};
use kyma_core::{Error, ExtentId, Result, Type};

use crate::commit::{Committer, Removal};
use crate::cpu::Cpu;
use crate::seal::{Provenance, Sealed, encode, order, order_columns, widest};

/// Sources that are fetched at a time.
const FETCHES_IN_FLIGHT: usize = 4;

/// Rows of a source that stay: for each of its blocks all of them (`None`), or those whose bit is set.
pub type Kept = Vec<Option<BooleanBuffer>>;

/// One extent to be made of others.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// The table of all of them, as it is now.
    pub table: Arc<Table>,
    /// Visible extents that the new one takes the place of; all have the same tags. Their decoded rows must fit in memory.
    pub sources: Vec<Arc<Extent>>,
    /// Per source, the rows that stay; all rows of all sources when empty.
    pub kept: Vec<Kept>,
    /// The level of the new extent.
    pub level: u8,
    /// Name of its format; the table's when `None`.
    pub format: Option<String>,
}

/// What a rewrite did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The new extent; `None` when no row was left.
    pub extent: Option<ExtentId>,
    /// What the commit took.
    pub committed: Committed,
    /// Rows of the sources.
    pub rows_read: u64,
    /// Rows of the new extent.
    pub rows: u64,
    /// Stored bytes of the sources.
    pub bytes_read: u64,
    /// Stored bytes of the new extent.
    pub bytes: u64,
    /// Input bytes that the sources' rows came from.
    pub raw_bytes: u64,
}

/// Rewrites extents on this node.
#[derive(Debug, Clone)]
pub struct Rewriter {
    committer: Arc<Committer>,
    cpu: Cpu,
}

impl Rewriter {
    /// Rewrites `at_once` extents at a time at most: computing threads that writes do not wait for.
    pub(crate) fn new(committer: Arc<Committer>, at_once: usize) -> Self {
        let cpu = Cpu::new(at_once.max(1), committer.settings.cpu_inline);
        Rewriter { committer, cpu }
    }

    /// Makes one extent of others, and swaps it for them.
    ///
    /// # Errors
    /// `Conflict` with code `catalog.sources_changed` when a source is not visible any more: nothing is changed then.
    pub async fn rewrite(&self, rewrite: Rewrite) -> Result<Rewritten> {
        self.rewrite_with(rewrite, |_done| Ok(Vec::new())).await
    }

    /// Rewrites like [`Rewriter::rewrite`]; the same transaction keeps receipts of what was done, whose `committed` is still
    /// empty. `Conflict` with code `catalog.receipt_exists` when one of them is there already.
    pub async fn rewrite_with(
        &self,
        mut rewrite: Rewrite,
        receipts: impl FnOnce(&Rewritten) -> Result<Vec<Receipt>>,
    ) -> Result<Rewritten> {
        rewrite.sources.sort_by_key(|source| (source.added, source.id));
        check(&rewrite)?;
        let format = self.committer.formats.get(rewrite.format.as_ref().unwrap_or(&rewrite.table.format))?;
        let sources = self.fetch(&rewrite).await?;
        failpoint::reach(Point::CompactAfterRead)?;
        let mut done = Rewritten {
            rows_read: rewrite.sources.iter().map(|source| source.rows).sum(),
            bytes_read: rewrite.sources.iter().map(|source| source.location.length).sum(),
            raw_bytes: rewrite.sources.iter().map(|source| source.raw_bytes).sum(),
            ..Rewritten::default()
        };
        let removal =
            Removal { table: rewrite.table.id, sources: rewrite.sources.iter().map(|source| source.id).collect() };
        let id = ExtentId(self.committer.clock.new_id());
        let sealed = self.cpu.run(move || block_on(seal(id, &rewrite, sources, format.as_ref()))).await??;
        if let Some(sealed) = &sealed {
            done.extent = Some(sealed.extent.id);
            (done.rows, done.bytes) = (sealed.extent.rows, sealed.extent.location.length);
        }
        let receipts = receipts(&done)?;
        failpoint::reach(Point::CompactAfterSeal)?;
        done.committed = self.committer.swap(sealed.into_iter().collect(), receipts, &removal).await?;
        failpoint::reach(Point::CompactAfterSwap)?;
        Ok(done)
    }

    /// Step 1.
    async fn fetch(&self, rewrite: &Rewrite) -> Result<Vec<Source>> {
        let counters = Arc::new(IoCounters::default());
        let kept = (0..rewrite.sources.len()).map(|at| rewrite.kept.get(at).cloned());
        let opening = rewrite.sources.iter().cloned().zip(kept).map(|(extent, kept)| {
            let counters = Arc::clone(&counters);
            async move { self.open(extent, kept, counters).await }
        });
        stream::iter(opening).buffered(FETCHES_IN_FLIGHT).try_collect().await
    }

    async fn open(&self, extent: Arc<Extent>, kept: Option<Kept>, counters: Arc<IoCounters>) -> Result<Source> {
        let bytes = self.committer.store.read_whole(&extent.location, counters).await?;
        let format = self.committer.formats.get(&extent.format)?;
        let options = OpenOptions::of(&extent);
        let reader = format.open(Arc::new(bytes.clone()), &options).await?;
        if kept.as_ref().is_some_and(|kept| kept.len() != reader.block_rows().len()) {
            return Err(Error::internal("rows to keep were given for other blocks than the extent has"));
        }
        Ok(Source { extent, bytes, reader, kept })
    }
}

/// What the code below relies on.
fn check(rewrite: &Rewrite) -> Result<()> {
    let Some(first) = rewrite.sources.first() else {
        return Err(Error::internal("nothing is to be rewritten"));
    };
    let is_foreign = |source: &&Arc<Extent>| source.table != rewrite.table.id || source.tags != first.tags;
    match rewrite.sources.iter().find(is_foreign) {
        Some(foreign) => Err(Error::internal(format!("extents that do not go together: extent={}", foreign.id))),
        None => Ok(()),
    }
}

/// An extent that is rewritten.
struct Source {
    extent: Arc<Extent>,
    bytes: Bytes,
    reader: Arc<dyn SegmentReader>,
    kept: Option<Kept>,
}

impl Source {
    /// The kept rows of a column, block by block; nulls when it is not stored.
    async fn read(&self, name: &str, ty: Type) -> Result<Vec<ArrayRef>> {
        if self.reader.schema().column(name).is_none() {
            return Ok(vec![new_null_array(&ty.arrow(), self.rows())]);
        }
        let column = [ReadColumn::column(name, ty)];
        let mut arrays = Vec::new();
        for block in 0..self.reader.block_rows().len() {
            let kept = self.kept.as_ref().and_then(|kept| kept[block].as_ref());
            if kept.is_some_and(|kept| kept.count_set_bits() == 0) {
                continue;
            }
            let batch = self.reader.read(&self.bytes, block as u32, &column, kept).await?;
            arrays.push(Arc::clone(batch.column(0)));
        }
        Ok(arrays)
    }

    /// How many rows are kept.
    fn rows(&self) -> usize {
        let all = self.reader.block_rows().iter().map(|rows| *rows as usize);
        match &self.kept {
            None => all.sum(),
            Some(kept) => {
                all.zip(kept).map(|(all, kept)| kept.as_ref().map_or(all, |kept| kept.count_set_bits())).sum()
            }
        }
    }

    /// The commits of its kept rows.
    async fn sequences(&self) -> Result<Vec<ArrayRef>> {
        if self.reader.schema().column(SEQUENCE_COLUMN).is_some() {
            return self.read(SEQUENCE_COLUMN, Type::Long).await;
        }
        Ok(vec![Arc::new(Int64Array::from_value(self.extent.added.0, self.rows()))])
    }

    /// When its kept rows were ingested.
    async fn ingested(&self) -> Result<Vec<ArrayRef>> {
        if self.reader.schema().column(INGESTED_COLUMN).is_some() {
            return self.read(INGESTED_COLUMN, Type::Datetime).await;
        }
        let made = self.extent.id.made_at();
        Ok(vec![Arc::new(TimestampNanosecondArray::from_iter(std::iter::repeat_n(made, self.rows())))])
    }
}

/// Steps 2 to 4, and the encoding; `None` when no row is left. Never waits: all bytes are at hand.
async fn seal(
    id: ExtentId,
    rewrite: &Rewrite,
    mut sources: Vec<Source>,
    format: &dyn SegmentFormat,
) -> Result<Option<Sealed>> {
    if planted::is(Bug::CompactionDropsSource) && sources.len() > 1 {
        sources.pop();
    }
    let rows: usize = sources.iter().map(Source::rows).sum();
    if rows == 0 {
        return Ok(None);
    }
    if u32::try_from(rows).is_err() {
        return Err(Error::exhausted("ingest.too_many_rows", format!("too many rows for one extent: rows={rows}")));
    }
    let stored = sources.iter().flat_map(|source| source.reader.schema().columns());
    let stored = stored.filter(|column| !column.name.starts_with(HIDDEN_MARK));
    let columns = widest(stored.map(|column| (column.name.as_str(), column.ty)))?;
    let order = order_of(&rewrite.table, &sources, &columns).await?;

    let mut fields = Vec::with_capacity(columns.len() + 2);
    let mut arrays = Vec::with_capacity(columns.len() + 2);
    for (name, ty) in &columns {
        let mut parts = Vec::new();
        for source in &sources {
            parts.extend(source.read(name, *ty).await?);
        }
        fields.push(ty.field(*name));
        arrays.push(ordered(parts, order.as_ref())?);
    }
    let (mut sequences, mut ingested) = (Vec::new(), Vec::new());
    for source in &sources {
        sequences.extend(source.sequences().await?);
        ingested.extend(source.ingested().await?);
    }
    for (name, ty, parts) in [(SEQUENCE_COLUMN, Type::Long, sequences), (INGESTED_COLUMN, Type::Datetime, ingested)] {
        fields.push(ty.field(name));
        arrays.push(ordered(parts, order.as_ref())?);
    }
    let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays)?;
    let provenance = provenance(rewrite, rows);
    drop(sources);
    encode(id, &batch, &rewrite.table, &provenance, format).map(Some)
}

/// The order of the kept rows of all sources, read from their key columns alone; `None` when they are in it.
async fn order_of(table: &Table, sources: &[Source], columns: &[(&str, Type)]) -> Result<Option<UInt32Array>> {
    let keys = order_columns(table);
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (name, ty) in columns.iter().filter(|(name, _)| keys.contains(name)) {
        let mut parts = Vec::new();
        for source in sources {
            parts.extend(source.read(name, *ty).await?);
        }
        fields.push(ty.field(*name));
        arrays.push(ordered(parts, None)?);
    }
    if fields.is_empty() {
        return Ok(None);
    }
    let keys = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays)?;
    Ok(order(&keys, table))
}

/// One array of all parts, in this order.
fn ordered(parts: Vec<ArrayRef>, order: Option<&UInt32Array>) -> Result<ArrayRef> {
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    let joined = concat(&parts)?;
    Ok(match order {
        Some(order) => take(&joined, order, None)?,
        None => joined,
    })
}

/// Deleted rows take their part of the input bytes with them.
fn provenance(rewrite: &Rewrite, rows: usize) -> Provenance {
    let raw_bytes: u64 = rewrite.sources.iter().map(|source| source.raw_bytes).sum();
    let before: u64 = rewrite.sources.iter().map(|source| source.rows).sum();
    let part = u128::from(raw_bytes) * rows as u128 / u128::from(before.max(1));
    Provenance {
        raw_bytes: u64::try_from(part).unwrap_or(raw_bytes),
        level: rewrite.level,
        tags: rewrite.sources.first().map(|source| source.tags.clone()).unwrap_or_default(),
        replaces: rewrite.sources.iter().map(|source| source.id).collect(),
        writes: Vec::new(),
    }
}
