//! An open extent.
//!
//! A read of one block goes: plan every column (the pages that hold selected rows, and their dictionary) → fetch once →
//! check and decode each column. A path of a dynamic column is taken from the decoded values.
//!
//! When few rows are selected the decoder skips the others; otherwise it decodes whole pages and the rows are filtered out.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Field, Schema as ArrowSchema};
use async_trait::async_trait;
use bytes::Bytes;
use kyma_core::dynamic;
use kyma_core::error::{Error, Kind, Result};
use kyma_core::extent::ColumnBounds;
use kyma_core::format::{
    Identity, OpenOptions, PruneRequest, Pruned, RangeReader, ReadColumn, SegmentReader, prune_by_stats,
};
use kyma_core::predicate::ColumnRef;
use kyma_core::prune::Reason;
use kyma_core::schema::Schema;
use kyma_core::sketch::Sketch;
use kyma_core::stats::{ColumnStats, can_promote};
use kyma_core::types::Type;
use parquet::bloom_filter::Sbbf;

use crate::fetch::{Fetched, Piece, ranges};
use crate::footer::{Chunk, Footer, Page};
use crate::writer::time_range;
use crate::{bloom, decode, describe, paths};

/// One run of selected rows in this many decoded rows is few: skipping costs about as much as decoding so many.
const ROWS_PER_RUN: usize = 64;

/// An open Parquet extent.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) footer: Footer,
    pub(crate) length: u64,
    pub(crate) footer_length: u32,
    /// Of the footer's bytes, those of its filters.
    filters: Fetched,
    columns: Vec<ColumnStats>,
    memory_bytes: usize,
}

/// Reads and checks the footer.
pub(crate) async fn open(source: &dyn RangeReader, options: &OpenOptions) -> Result<Reader> {
    let (start, bytes) = options.read_footer(source).await?;
    let corrupt = |error| options.corrupt("section=footer").because(error);
    let footer = Footer::read(&bytes, start).map_err(corrupt)?;
    Ok(Reader::new(footer, options, start, &bytes))
}

impl Reader {
    fn new(footer: Footer, options: &OpenOptions, start: u64, bytes: &Bytes) -> Self {
        let chunks = footer.groups.iter().flat_map(|group| &group.chunks);
        let inside = chunks.filter_map(|chunk| chunk.filter.as_ref()).filter(|filter| filter.start >= start);
        let end = inside.map(|filter| filter.end).max().unwrap_or(start);
        // A copy, so that the rest of the footer's bytes can go.
        let filters = Bytes::copy_from_slice(bytes.get(..(end - start) as usize).unwrap_or_default());
        let columns: Vec<_> = (0..footer.identity.columns.len()).map(|at| footer.statistics.of_column(at)).collect();
        Reader {
            memory_bytes: footer.memory_bytes() + filters.len() + columns.len() * (size_of::<ColumnStats>() + 64),
            filters: Fetched::at_hand(start, filters),
            length: options.length,
            footer_length: options.footer_length,
            columns,
            footer,
        }
    }

    fn block_size(&self, block: u32) -> Result<usize> {
        let blocks = self.footer.block_rows.len();
        let rows = self.footer.block_rows.get(block as usize).map(|rows| *rows as usize);
        rows.ok_or_else(|| {
            let detail = format!("block={block}, blocks={blocks}");
            Error::invalid("format.no_such_block", format!("the extent has no such block: {detail}"))
        })
    }

    fn rows_of(&self, block: Option<u32>) -> u64 {
        match block {
            Some(block) => self.footer.block_rows.get(block as usize).copied().map_or(0, u64::from),
            None => self.footer.identity.rows,
        }
    }

    /// How a column is answered; `None` for one that reads null.
    fn plan(&self, block: u32, column: &ReadColumn, selection: Option<&BooleanBuffer>) -> Result<Option<Plan<'_>>> {
        let rows = self.block_size(block)?;
        let columns = &self.footer.identity.columns;
        let Some(leaf) = columns.index_of(&column.source.column) else { return Ok(None) };
        let ty = columns.columns()[leaf].ty;
        let is_readable = match column.source.path.is_empty() {
            true => can_promote(ty, column.ty),
            false => ty == Type::Dynamic && self.may_occur(&column.source),
        };
        let found = self.footer.group_of(block).filter(|_| is_readable);
        let Some((group, start, chunk)) =
            found.and_then(|(at, group, start)| Some((at, start, group.chunks.get(leaf)?)))
        else {
            return Ok(None);
        };
        let pages = wanted_pages(chunk, start..start + rows, selection);
        let ranges = joined(pages.iter().map(|page| overlap(page, &(start..start + rows))));
        Ok(Some(Plan { group, leaf, ty, start, dictionary: chunk.dictionary.as_ref(), pages, ranges }))
    }

    fn may_occur(&self, path: &ColumnRef) -> bool {
        let listed = self.footer.statistics.paths.as_deref();
        listed.is_none_or(|listed| paths::may_occur(listed, &path.to_string()))
    }

    fn decode(
        &self,
        fetched: &Arc<Fetched>,
        plan: &Plan<'_>,
        selection: Option<&BooleanBuffer>,
        column: &ReadColumn,
    ) -> Result<ArrayRef> {
        if let Some(piece) = plan.dictionary {
            decode::check_dictionary(&fetched.checked(piece)?, piece)?;
        }
        for page in &plan.pages {
            decode::check_page(&fetched.checked(&page.piece)?, &page.piece, page.rows)?;
        }
        let place = (plan.group, plan.leaf);
        let read = |ranges: &[Range<usize>]| decode::column(&self.footer, fetched, place, ranges, plan.ty);
        let array = match selection {
            None => read(&plan.ranges)?,
            Some(bits) => match plan.few_runs(bits) {
                Some(runs) => read(&runs)?,
                None => keep(&read(&plan.ranges)?, bits, plan)?,
            },
        };
        convert(array, plan.ty, column)
    }
}

/// How one column of a read is answered.
#[derive(Debug)]
struct Plan<'a> {
    group: usize,
    leaf: usize,
    ty: Type,
    /// The block's first row in the row group.
    start: usize,
    dictionary: Option<&'a Piece>,
    /// The pages that hold selected rows.
    pages: Vec<&'a Page>,
    /// The block's rows in these pages, as rows of the row group.
    ranges: Vec<Range<usize>>,
}

impl Plan<'_> {
    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.dictionary.into_iter().chain(self.pages.iter().map(|page| &page.piece))
    }

    /// The selected rows as runs in the row group, when skipping between them pays.
    fn few_runs(&self, selection: &BooleanBuffer) -> Option<Vec<Range<usize>>> {
        let rows: usize = self.ranges.iter().map(|range| range.end - range.start).sum();
        let most = rows / ROWS_PER_RUN;
        let runs = selection.set_slices().take(most + 1).map(|(from, to)| self.start + from..self.start + to);
        let runs: Vec<_> = runs.collect();
        (runs.len() <= most).then_some(runs)
    }
}

fn overlap(page: &Page, rows: &Range<usize>) -> Range<usize> {
    page.first_row.max(rows.start)..(page.first_row + page.rows).min(rows.end)
}

/// The pages of `chunk` that hold rows of the block at `rows`, or selected ones of them.
fn wanted_pages<'a>(chunk: &'a Chunk, rows: Range<usize>, selection: Option<&BooleanBuffer>) -> Vec<&'a Page> {
    let first = chunk.pages.partition_point(|page| page.first_row + page.rows <= rows.start);
    let pages = chunk.pages.iter().skip(first).take_while(|page| page.first_row < rows.end);
    let is_wanted = |page: &&Page| {
        let overlap = overlap(page, &rows);
        selection.is_none_or(|bits| bits.slice(overlap.start - rows.start, overlap.len()).count_set_bits() > 0)
    };
    pages.filter(is_wanted).collect()
}

fn joined(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

/// The selected rows of what `plan.ranges` gave.
fn keep(array: &ArrayRef, selection: &BooleanBuffer, plan: &Plan<'_>) -> Result<ArrayRef> {
    let mut mask = BooleanBufferBuilder::new(array.len());
    for range in &plan.ranges {
        mask.append_buffer(&selection.slice(range.start - plan.start, range.len()));
    }
    Ok(arrow::compute::filter(array, &BooleanArray::new(mask.finish(), None))?)
}

/// A stored column as the type, or the path of it, that is read.
fn convert(array: ArrayRef, from: Type, column: &ReadColumn) -> Result<ArrayRef> {
    if !column.source.path.is_empty() {
        let path = &column.source.path;
        let texts = array.as_string_view();
        let member = |row: usize| if texts.is_valid(row) { dynamic::get(texts.value(row), path) } else { None };
        return Ok(dynamic::to_array((0..texts.len()).map(member), column.ty));
    }
    match from == column.ty {
        true => Ok(array),
        false => Ok(arrow::compute::cast(&array, &column.ty.arrow())?),
    }
}

/// Names the section of an error about stored bytes.
fn named(error: Error, section: impl FnOnce() -> String) -> Error {
    match error.kind() {
        Kind::Corrupt => Error::corrupt(format!("extent data is corrupt: section={}", section())).because(error),
        _ => error,
    }
}

#[async_trait]
impl SegmentReader for Reader {
    fn schema(&self) -> &Schema {
        &self.footer.identity.columns
    }

    fn rows(&self) -> u64 {
        self.footer.identity.rows
    }

    fn block_rows(&self) -> &[u32] {
        &self.footer.block_rows
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    fn stats(&self, block: Option<u32>, column: &ColumnRef) -> Option<(Type, ColumnStats)> {
        let absent = |ty: Type| Some((ty, ColumnStats::all_null(self.rows_of(block))));
        let Some(at) = self.schema().index_of(&column.column) else {
            return absent(if column.path.is_empty() { Type::String } else { Type::Dynamic });
        };
        let ty = self.schema().columns().get(at)?.ty;
        if !column.path.is_empty() {
            let is_possible = ty == Type::Dynamic && self.may_occur(column);
            return if is_possible { None } else { absent(Type::Dynamic) };
        }
        let stats = match block {
            None => self.columns.get(at)?,
            Some(block) => self.footer.statistics.blocks.get(block as usize)?.get(at)?,
        };
        Some((ty, stats.clone()))
    }

    async fn sketch(&self, _source: &dyn RangeReader, column: &ColumnRef) -> Result<Option<Sketch>> {
        let at = self.schema().index_of(&column.column).filter(|_| column.path.is_empty());
        let stored = at.and_then(|at| self.footer.statistics.sketches.get(at)?.as_ref());
        Ok(stored.map(|stored| stored.0.clone()))
    }

    async fn prune(&self, source: &dyn RangeReader, request: &PruneRequest<'_>) -> Result<Pruned> {
        let mut pruned = prune_by_stats(self, request);
        let columns = bloom::columns(request, self.schema());
        if columns.is_empty() || pruned.blocks.is_empty() {
            return Ok(pruned);
        }
        let filters = self.filters(source, &pruned.blocks, &columns).await?;
        let can_match = |group: usize| {
            let filter = |column: usize| filters.get(&(group, column));
            bloom::can_match(request.predicate, request, self.schema(), &filter)
        };
        let groups = (0..self.footer.groups.len()).map(can_match).collect::<Vec<_>>();
        let is_left = |block: &u32| {
            let group = self.footer.group_of(*block).map(|(group, ..)| group);
            group.and_then(|group| groups.get(group)).copied().unwrap_or(true)
        };
        let before = pruned.blocks.len();
        pruned.blocks.retain(is_left);
        let fallen = (before - pruned.blocks.len()) as u64;
        if fallen > 0 {
            *pruned.reasons.entry(Reason::Filter).or_default() += fallen;
        }
        Ok(pruned)
    }

    async fn read(
        &self,
        source: &dyn RangeReader,
        block: u32,
        columns: &[ReadColumn],
        selection: Option<&BooleanBuffer>,
    ) -> Result<RecordBatch> {
        let rows = self.block_size(block)?;
        if let Some(bits) = selection.filter(|bits| bits.len() != rows) {
            let detail = format!("bits={}, rows={rows}", bits.len());
            return Err(Error::invalid("format.selection", format!("a selection has the wrong length: {detail}")));
        }
        let wanted = selection.map_or(rows, BooleanBuffer::count_set_bits);
        let selection = selection.filter(|_| wanted < rows);
        let mut plans = Vec::with_capacity(columns.len());
        for column in columns {
            plans.push(if wanted == 0 { None } else { self.plan(block, column, selection)? });
        }
        let pieces = plans.iter().flatten().flat_map(Plan::pieces);
        let fetched = Arc::new(Fetched::read(source, ranges(pieces)).await?);
        let mut arrays = Vec::with_capacity(columns.len());
        for (plan, column) in plans.iter().zip(columns) {
            let section = || format!("data, block={block}, column={}", column.source.column);
            arrays.push(match plan {
                None => new_null_array(&column.ty.arrow(), wanted),
                Some(plan) => self.decode(&fetched, plan, selection, column).map_err(|error| named(error, section))?,
            });
        }
        let fields = columns.iter().enumerate().map(|(at, column)| column.ty.field(format!("c{at}")));
        let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<Field>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(wanted));
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }

    fn read_bytes(&self, block: u32, columns: &[ReadColumn]) -> u64 {
        let plans: Vec<_> = columns.iter().filter_map(|column| self.plan(block, column, None).ok().flatten()).collect();
        ranges(plans.iter().flat_map(Plan::pieces)).iter().map(|range| range.end - range.start).sum()
    }

    fn identity(&self) -> Option<Identity> {
        let stored = self.footer.identity.clone();
        let columns = stored.columns.columns().iter().zip(&self.columns);
        let occurring = columns.filter(|(_, stats)| stats.nulls < stats.rows);
        let columns = occurring
            .map(|(column, stats)| (column.name.clone(), ColumnBounds { ty: column.ty, stats: stats.clone() }))
            .collect();
        Some(Identity {
            extent: stored.extent,
            database: stored.database,
            database_name: stored.database_name,
            table: stored.table,
            table_name: stored.table_name,
            sorted_by: stored.sorted_by,
            level: stored.level,
            rows: stored.rows,
            blocks: self.footer.block_rows.len() as u32,
            raw_bytes: stored.raw_bytes,
            time: time_range(&columns, &stored.time_column),
            time_column: stored.time_column,
            columns,
            paths: self.footer.statistics.paths.clone(),
            replaces: stored.replaces,
            writes: stored.writes.iter().map(uuid::Uuid::as_u128).collect(),
            checksum: stored.checksum,
        })
    }

    fn describe(&self) -> serde_json::Value {
        describe::describe(self)
    }
}

impl Reader {
    /// The filters of `columns` for the row groups of `blocks`: those of the footer, and others that take less to read than
    /// the pages they may save.
    async fn filters(
        &self,
        source: &dyn RangeReader,
        blocks: &[u32],
        columns: &[usize],
    ) -> Result<BTreeMap<(usize, usize), Sbbf>> {
        let mut wanted: BTreeMap<(usize, usize), (&Piece, u64)> = BTreeMap::new();
        for &block in blocks {
            let Some((at, group, _)) = self.footer.group_of(block) else { continue };
            for &column in columns {
                let Some(filter) = group.chunks.get(column).and_then(|chunk| chunk.filter.as_ref()) else { continue };
                wanted.entry((at, column)).or_insert((filter, 0)).1 += self.column_bytes(block, column);
            }
        }
        let is_at_hand = |filter: &Piece| self.filters.slice(&(filter.start..filter.end)).is_some();
        wanted.retain(|_, (filter, saved)| is_at_hand(filter) || filter.bytes() < *saved);
        let missing = wanted.values().map(|(filter, _)| *filter).filter(|filter| !is_at_hand(filter));
        let fetched = Fetched::read(source, ranges(missing)).await?;
        let mut filters = BTreeMap::new();
        for ((group, column), (piece, _)) in wanted {
            let from = if is_at_hand(piece) { &self.filters } else { &fetched };
            let filter = read_filter(from, piece)
                .map_err(|error| named(error, || format!("filter, row group={group}, column={column}")))?;
            filters.insert((group, column), filter);
        }
        Ok(filters)
    }

    fn column_bytes(&self, block: u32, column: usize) -> u64 {
        match self.schema().columns().get(column) {
            Some(column) => self.read_bytes(block, &[ReadColumn::column(&column.name, column.ty)]),
            None => 0,
        }
    }
}

fn read_filter(fetched: &Fetched, piece: &Piece) -> Result<Sbbf> {
    let bytes = fetched.checked(piece)?;
    let filter = decode::guarded(|| Sbbf::from_bytes(&bytes))?;
    if filter.num_blocks() > 0 { Ok(filter) } else { Err(Error::corrupt("it is empty")) }
}

#[cfg(test)]
mod tests;
