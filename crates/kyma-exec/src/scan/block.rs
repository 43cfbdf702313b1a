//! Reads one block: filter columns of the rows that may match, then the other columns of the rows that passed.
//!
//! 1. Rows that an index excludes were left out when the extent was pruned; the format narrows the rest down. Rows of which
//!    it is sure pass without being looked at, where the predicate says all that the filter does.
//! 2. The filter's columns are read for what is left, and the filter decides.
//! 3. The other columns are read for the rows that passed.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions, StringViewBuilder,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter;
use kyma_core::format::ReadColumn;
use kyma_core::{Error, Result, Type};

use crate::scan::footers::Opened;
use crate::scan::{Budget, RowFilter, ScanSpec};

/// How much larger than its stored bytes a block's columns are taken to be in memory, before they are known.
const EXPANSION: u64 = 4;

/// One block to read.
pub struct BlockRead {
    /// The scan.
    pub spec: Arc<ScanSpec>,
    /// The extent.
    pub opened: Opened,
    /// Which block.
    pub block: u32,
    /// The rows that may match, when an index says.
    pub candidates: Option<BooleanBuffer>,
    /// Memory.
    pub budget: Arc<dyn Budget>,
}

/// What is known of a block's rows before their values are read.
#[derive(Debug, Default)]
struct Candidates {
    /// Rows that may match; all when `None`.
    candidates: Option<BooleanBuffer>,
    /// Rows that do, some at least.
    sure: Option<BooleanBuffer>,
}

impl BlockRead {
    /// The rows that match; `None` when none does.
    pub async fn run(self) -> Result<Option<RecordBatch>> {
        let guess = self.bytes().saturating_mul(EXPANSION) as usize;
        self.budget.take(guess)?;
        let rows = self.rows().await;
        self.budget.give(guess);
        rows
    }

    /// Compressed bytes that it may fetch.
    pub fn bytes(&self) -> u64 {
        self.opened.reader.read_bytes(self.block, &self.spec.columns_of(&self.spec.touched()))
    }

    async fn rows(&self) -> Result<Option<RecordBatch>> {
        let rows = self.opened.reader.block_rows().get(self.block as usize).map_or(0, |rows| *rows as usize);
        let Some(row_filter) = &self.spec.filter else {
            self.count(rows, rows);
            let columns = self.read_out(&self.spec.output, None).await?;
            return self.assemble(columns, rows).map(Some);
        };
        let Some(narrowed) = self.narrow(rows).await? else {
            self.count(0, 0);
            return Ok(None);
        };
        match narrowed.sure.filter(|_| self.spec.predicate_is_filter && row_filter.live().is_none()) {
            Some(sure) => self.sure_rows(rows, narrowed.candidates, &sure, row_filter.as_ref()).await,
            None => self.tested_rows(rows, narrowed.candidates, row_filter.as_ref()).await,
        }
    }

    /// The rows that pass the filter, of those that may.
    async fn tested_rows(
        &self,
        rows: usize,
        candidates: Option<BooleanBuffer>,
        row_filter: &dyn RowFilter,
    ) -> Result<Option<RecordBatch>> {
        let looked_at = candidates.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
        let tested = row_filter.columns();
        let (tested_arrays, passed) = self.test(looked_at, candidates.as_ref(), row_filter).await?;
        let matched = passed.count_set_bits();
        self.count(looked_at, matched);
        if matched == 0 {
            return Ok(None);
        }
        let rest: Vec<usize> = self.spec.output.iter().copied().filter(|place| !tested.contains(place)).collect();
        let selection = match &candidates {
            Some(candidates) => Some(passed_among(candidates, &passed)),
            None => (matched < rows).then(|| passed.clone()),
        };
        let rest_arrays = self.read_out(&rest, selection.as_ref()).await?;
        let all = matched == looked_at;
        let mask = BooleanArray::new(passed, None);
        let column = |place: &usize| -> Result<ArrayRef> {
            if let Some(at) = tested.iter().position(|tested| tested == place) {
                return if all { Ok(Arc::clone(&tested_arrays[at])) } else { passed_of(&tested_arrays[at], &mask) };
            }
            let at = rest.iter().position(|rest| rest == place);
            at.map(|at| Arc::clone(&rest_arrays[at])).ok_or_else(|| Error::internal("a scanned column was not read"))
        };
        let columns = self.spec.output.iter().map(column).collect::<Result<Vec<_>>>()?;
        self.assemble(columns, matched).map(Some)
    }

    /// The rows that pass when the format is `sure` of some: these are not looked at by the filter, whose columns are
    /// read for the others.
    async fn sure_rows(
        &self,
        rows: usize,
        candidates: Option<BooleanBuffer>,
        sure: &BooleanBuffer,
        row_filter: &dyn RowFilter,
    ) -> Result<Option<RecordBatch>> {
        let candidates = candidates.unwrap_or_else(|| BooleanBuffer::new_set(rows));
        let unsure = &candidates & &!sure;
        let looked_at = unsure.count_set_bits();
        let passed = match looked_at {
            0 => sure.clone(),
            _ => sure | &passed_among(&unsure, &self.test(looked_at, Some(&unsure), row_filter).await?.1),
        };
        let matched = passed.count_set_bits();
        self.count(looked_at, matched);
        if matched == 0 {
            return Ok(None);
        }
        let columns = self.read_out(&self.spec.output, (matched < rows).then_some(&passed)).await?;
        self.assemble(columns, matched).map(Some)
    }

    /// Reads the filter's columns for `looked_at` rows: their arrays, and which of these rows pass.
    async fn test(
        &self,
        looked_at: usize,
        selection: Option<&BooleanBuffer>,
        row_filter: &dyn RowFilter,
    ) -> Result<(Vec<ArrayRef>, BooleanBuffer)> {
        let arrays = self.read(row_filter.columns(), selection).await?;
        let passed = row_filter.evaluate(&batch_of(&arrays, looked_at)?)?;
        Ok((arrays, passed))
    }

    /// The rows that may match; `None` when there are none.
    async fn narrow(&self, rows: usize) -> Result<Option<Candidates>> {
        let is_none = |bits: &BooleanBuffer| bits.count_set_bits() == 0;
        if self.candidates.as_ref().is_some_and(is_none) {
            return Ok(None);
        }
        if !self.spec.scope.shared.settings.prune {
            return Ok(Some(Candidates::default()));
        }
        let blocks = [self.block];
        let request = self.spec.query.prune_request(&self.spec.query.predicate, &blocks);
        let (reader, source) = (&self.opened.reader, &*self.opened.source);
        let narrowed = reader.narrow(source, self.block, &request, self.candidates.as_ref()).await?;
        let (found, sure) = match narrowed {
            Some(narrowed) => (Some(narrowed.rows), Some(narrowed.sure)),
            None => (self.candidates.clone(), None),
        };
        if found.as_ref().is_some_and(is_none) {
            return Ok(None);
        }
        let candidates = found.filter(|bits| bits.count_set_bits() < rows);
        Ok(Some(Candidates { candidates, sure: sure.filter(|bits| !is_none(bits)) }))
    }

    fn count(&self, scanned: usize, matched: usize) {
        self.spec.scope.note(|profile| {
            profile.rows_scanned += scanned as u64;
            profile.rows_matched += matched as u64;
        });
    }

    /// Reads columns that only come out: as codes, where the scan takes these.
    async fn read_out(&self, places: &[usize], selection: Option<&BooleanBuffer>) -> Result<Vec<ArrayRef>> {
        if !self.spec.coded || places.is_empty() {
            return self.read(places, selection).await;
        }
        let wanted = self.spec.columns_of(places);
        let (reader, source) = (&self.opened.reader, &*self.opened.source);
        Ok(self.with_filled(reader.read_coded(source, self.block, &wanted, selection).await?, &wanted))
    }

    /// Reads the columns at `places`.
    async fn read(&self, places: &[usize], selection: Option<&BooleanBuffer>) -> Result<Vec<ArrayRef>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = self.spec.columns_of(places);
        let (reader, source) = (&self.opened.reader, &*self.opened.source);
        Ok(self.with_filled(reader.read(source, self.block, &wanted, selection).await?, &wanted))
    }

    /// The columns of a batch, with null strings filled where they read as `""`; codes keep their nulls.
    fn with_filled(&self, batch: RecordBatch, wanted: &[ReadColumn]) -> Vec<ArrayRef> {
        let fill = self.spec.query.null_strings_are_empty;
        let columns =
            batch.columns().iter().zip(wanted).map(|(array, column)| match fill && column.ty == Type::String {
                true => filled(array),
                false => Arc::clone(array),
            });
        columns.collect()
    }

    fn assemble(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        if self.spec.coded {
            return batch_of(&columns, rows);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.spec.schema), columns, &options)?)
    }
}

impl ScanSpec {
    /// The columns at `places`.
    pub fn columns_of(&self, places: &[usize]) -> Vec<ReadColumn> {
        places.iter().filter_map(|place| self.columns.get(*place).cloned()).collect()
    }

    /// Places of every column that is read.
    pub fn touched(&self) -> Vec<usize> {
        let tested = self.filter.as_ref().map_or(&[][..], |filter| filter.columns());
        let mut places: Vec<usize> = tested.iter().chain(&self.output).copied().collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// The values that passed; texts without the bytes of the others, which few rows would keep in memory.
fn passed_of(array: &ArrayRef, mask: &BooleanArray) -> Result<ArrayRef> {
    let kept = filter(array, mask)?;
    let few = kept.len() < array.len() / 2;
    Ok(match kept.as_string_view_opt() {
        Some(texts) if few => Arc::new(texts.gc()),
        _ => kept,
    })
}

/// The rows of a block that passed: `passed` has one bit for each of `candidates`.
fn passed_among(candidates: &BooleanBuffer, passed: &BooleanBuffer) -> BooleanBuffer {
    let mut rows = BooleanBufferBuilder::new(candidates.len());
    rows.append_n(candidates.len(), false);
    for (at, row) in candidates.set_indices().enumerate() {
        rows.set_bit(row, passed.value(at));
    }
    rows.finish()
}

/// A batch of columns named by place.
fn batch_of(columns: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
    use arrow::datatypes::{Field, Schema};
    let field = |(at, array): (usize, &ArrayRef)| Field::new(format!("c{at}"), array.data_type().clone(), true);
    let schema = Arc::new(Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns.to_vec(), &options)?)
}

/// The texts with `""` for null.
pub fn filled(array: &ArrayRef) -> ArrayRef {
    let (true, Some(texts)) = (array.null_count() > 0, array.as_string_view_opt()) else { return Arc::clone(array) };
    let mut builder = StringViewBuilder::with_capacity(texts.len());
    texts.iter().for_each(|text| builder.append_value(text.unwrap_or("")));
    Arc::new(builder.finish())
}
