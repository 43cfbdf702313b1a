//! Reads one block: filter columns of the rows that may match, then the other columns of the rows that passed.
//!
//! 1. Rows that an index excludes were left out when the extent was pruned; the format narrows the rest down.
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
use crate::scan::{Budget, ScanSpec};

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
            let columns = self.read(&self.spec.output, None).await?;
            return self.assemble(columns, rows).map(Some);
        };
        let Some(candidates) = self.narrow(rows).await? else {
            self.count(0, 0);
            return Ok(None);
        };
        let looked_at = candidates.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
        let tested = row_filter.columns();
        let tested_arrays = self.read(tested, candidates.as_ref()).await?;
        let batch = batch_of(&tested_arrays, looked_at)?;
        let passed = row_filter.evaluate(&batch)?;
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
        let rest_arrays = self.read(&rest, selection.as_ref()).await?;
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

    /// The rows that may match: `None` when there are none, `Some(None)` when every row may.
    async fn narrow(&self, rows: usize) -> Result<Option<Option<BooleanBuffer>>> {
        let is_none = |bits: &BooleanBuffer| bits.count_set_bits() == 0;
        if self.candidates.as_ref().is_some_and(is_none) {
            return Ok(None);
        }
        if !self.spec.scope.shared.settings.prune {
            return Ok(Some(None));
        }
        let blocks = [self.block];
        let request = self.spec.query.prune_request(&self.spec.query.predicate, &blocks);
        let (reader, source) = (&self.opened.reader, &*self.opened.source);
        let narrowed = reader.narrow(source, self.block, &request, self.candidates.as_ref()).await?;
        let found = narrowed.or_else(|| self.candidates.clone());
        if found.as_ref().is_some_and(is_none) {
            return Ok(None);
        }
        Ok(Some(found.filter(|bits| bits.count_set_bits() < rows)))
    }

    fn count(&self, scanned: usize, matched: usize) {
        self.spec.scope.note(|profile| {
            profile.rows_scanned += scanned as u64;
            profile.rows_matched += matched as u64;
        });
    }

    /// Reads the columns at `places`, with null strings filled where they read as `""`.
    async fn read(&self, places: &[usize], selection: Option<&BooleanBuffer>) -> Result<Vec<ArrayRef>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = self.spec.columns_of(places);
        let batch = self.opened.reader.read(&*self.opened.source, self.block, &wanted, selection).await?;
        let fill = self.spec.query.null_strings_are_empty;
        let columns =
            batch.columns().iter().zip(&wanted).map(|(array, column)| match fill && column.ty == Type::String {
                true => filled(array),
                false => Arc::clone(array),
            });
        Ok(columns.collect())
    }

    fn assemble(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
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
