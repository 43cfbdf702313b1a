//! Reads one block: the columns of its conditions for the rows that may match, then the other columns of the rows that passed.
//!
//! 1. Rows that an index excludes were left out when the extent was pruned.
//! 2. Conditions whose columns are small are tested on these rows at the same time; the others one after the other, the small
//!    columns first, each on the rows that are left.
//! 3. For each, the format is asked first which rows may meet it and which certainly do: only the rest is read and tested,
//!    strings as codes of a dictionary where one text decides.
//! 4. The other columns are read for the rows that passed all.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions, UInt64Array,
    new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter;
use kyma_core::format::{Narrowed, ReadColumn};
use kyma_core::predicate::Predicate;
use kyma_core::{Error, Kind, Result};

use crate::scan::columns::{batch_of, decoded};
use crate::scan::footers::Opened;
use crate::scan::{Budget, Condition, RowPlace, ScanSpec};

/// Conditions whose columns take at most so many bytes of a block are tested at the same time.
const CHEAP_BYTES: u64 = 64 * 1024;
/// How much larger than its stored bytes a block's columns are taken to be in memory, before they are known.
const EXPANSION: u64 = 4;

/// One block to read.
pub struct BlockRead {
    /// The scan.
    pub spec: Arc<ScanSpec>,
    /// The extent.
    pub opened: Opened,
    /// Its place in the list of the scan.
    pub extent: usize,
    /// Which block.
    pub block: u32,
    /// The rows that may match, when an index says.
    pub candidates: Option<BooleanBuffer>,
    /// Memory.
    pub budget: Arc<dyn Budget>,
}

/// The columns that conditions were tested on, each with the rows it has; all when `None`.
type Tested = HashMap<usize, (Option<BooleanBuffer>, ArrayRef)>;

impl BlockRead {
    /// The rows that match; `None` when none does.
    pub async fn run(self) -> Result<Option<RecordBatch>> {
        let guess = self.bytes().saturating_mul(EXPANSION) as usize;
        self.budget.take(guess)?;
        let mut rows = self.rows().await;
        if rows.as_ref().is_err_and(|error| error.kind() == Kind::Corrupt) {
            // A bit may have flipped on the way here, and be kept: the store is asked once more.
            self.opened.source.distrust();
            rows = self.rows().await;
        }
        self.budget.give(guess);
        rows
    }

    /// Compressed bytes that it may fetch.
    pub fn bytes(&self) -> u64 {
        self.opened.reader.read_bytes(self.block, &self.spec.columns_of(&self.spec.touched()))
    }

    async fn rows(&self) -> Result<Option<RecordBatch>> {
        let rows = self.opened.reader.block_rows().get(self.block as usize).map_or(0, |rows| *rows as usize);
        let mut looked_at = if self.spec.conditions.is_empty() { rows } else { 0 };
        let mut tested = Tested::new();
        let mut left = self.candidates.clone().filter(|rows| rows.count_set_bits() < rows.len());
        for conditions in self.stages() {
            if left.as_ref().is_some_and(|rows| rows.count_set_bits() == 0) {
                break;
            }
            let tests = conditions.into_iter().map(|condition| self.test(rows, left.clone(), condition));
            for found in futures::future::try_join_all(tests).await? {
                looked_at = looked_at.max(found.looked_at);
                left = Some(left.map_or_else(|| found.passed.clone(), |left| &left & &found.passed));
                tested.extend(found.arrays);
            }
        }
        let matched = left.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
        self.count(looked_at, matched);
        if matched == 0 && !self.spec.conditions.is_empty() {
            return Ok(None);
        }
        let mut columns = self.output(rows, left.as_ref(), &tested).await?;
        if !self.spec.deferred.is_empty() {
            columns.push(self.places(rows, left.as_ref()));
        }
        self.assemble(columns, matched).map(Some)
    }

    /// The conditions in the order of their tests: those whose columns take few bytes of the block at the same time, then
    /// each of the others, from small to large.
    fn stages(&self) -> Vec<Vec<&Condition>> {
        let bytes = |condition: &&Condition| {
            self.opened.reader.read_bytes(self.block, &self.spec.columns_of(condition.filter.columns()))
        };
        let mut costs: Vec<(u64, &Condition)> = self.spec.conditions.iter().map(|one| (bytes(&one), one)).collect();
        costs.sort_by_key(|(bytes, _)| *bytes);
        let dear = costs.split_off(costs.partition_point(|(bytes, _)| *bytes <= CHEAP_BYTES));
        let cheap = costs.into_iter().map(|(_, condition)| condition).collect();
        std::iter::once(cheap).chain(dear.into_iter().map(|(_, condition)| vec![condition])).collect()
    }

    /// Tests the rows that are left: what the format is sure of is not looked at.
    async fn test(&self, rows: usize, left: Option<BooleanBuffer>, condition: &Condition) -> Result<Test> {
        let Narrowed { rows: may, sure } = match self.narrow(&condition.predicate, left.as_ref()).await? {
            Some(narrowed) => narrowed,
            None => {
                let (arrays, passed, looked_at) = self.evaluate(rows, left.as_ref(), condition).await?;
                let arrays = condition.filter.columns().iter().copied().zip(arrays);
                let arrays = arrays.map(|(place, array)| (place, (left.clone(), array))).collect();
                return Ok(Test { passed, arrays, looked_at });
            }
        };
        let sure = if condition.is_exact { sure } else { BooleanBuffer::new_unset(rows) };
        let unsure = &may & &!&sure;
        if unsure.count_set_bits() == 0 {
            return Ok(Test { passed: sure, arrays: Tested::new(), looked_at: 0 });
        }
        let (arrays, passed, looked_at) = self.evaluate(rows, Some(&unsure), condition).await?;
        // What was read serves as output where it holds every row that may pass.
        let is_all = sure.count_set_bits() == 0;
        let arrays = condition.filter.columns().iter().copied().zip(arrays).filter(|_| is_all);
        let arrays = arrays.map(|(place, array)| (place, (Some(unsure.clone()), array))).collect();
        Ok(Test { passed: &sure | &passed, arrays, looked_at })
    }

    /// Reads a condition's columns for the rows of `selection`: the columns, the rows of the block that pass, and how many
    /// were looked at.
    async fn evaluate(
        &self,
        rows: usize,
        selection: Option<&BooleanBuffer>,
        condition: &Condition,
    ) -> Result<(Vec<ArrayRef>, BooleanBuffer, usize)> {
        let looked_at = selection.map_or(rows, BooleanBuffer::count_set_bits);
        let filter = &condition.filter;
        let arrays = self.read(filter.columns(), selection, filter.takes_codes()).await?;
        let passed = filter.evaluate(&batch_of(arrays.clone(), looked_at)?)?;
        let passed = match selection {
            Some(selection) => passed_among(selection, &passed),
            None => passed,
        };
        Ok((arrays, passed, looked_at))
    }

    /// What the format knows of the rows that are left; `None` when nothing.
    async fn narrow(&self, predicate: &Predicate, left: Option<&BooleanBuffer>) -> Result<Option<Narrowed>> {
        if !self.spec.scope.shared.settings.prune {
            return Ok(None);
        }
        let blocks = [self.block];
        let request = self.spec.query.prune_request(predicate, &blocks);
        let (reader, source) = (&self.opened.reader, &*self.opened.source);
        reader.narrow(source, self.block, &request, left).await
    }

    /// The columns that come out, of the rows that are left.
    async fn output(&self, rows: usize, left: Option<&BooleanBuffer>, tested: &Tested) -> Result<Vec<ArrayRef>> {
        let left = left.filter(|left| left.count_set_bits() < rows);
        let is_deferred = |at: usize| self.spec.deferred.contains(&at);
        let matched = left.map_or(rows, BooleanBuffer::count_set_bits);
        let now = self.spec.output.iter().enumerate().filter(|(at, _)| !is_deferred(*at)).map(|(_, place)| *place);
        let rest: Vec<usize> = now.filter(|place| !tested.contains_key(place)).collect();
        let rest_arrays = self.read(&rest, left, self.spec.coded).await?;
        let column = |(at, place): (usize, &usize)| -> Result<ArrayRef> {
            if is_deferred(at) {
                return Ok(new_null_array(self.spec.schema.field(at).data_type(), matched));
            }
            if let Some((had, array)) = tested.get(place) {
                let kept = passed_of(array, had.as_ref(), left)?;
                let fill = self.spec.query.null_strings_are_empty;
                return Ok(if self.spec.coded { kept } else { decoded(&kept, fill)? });
            }
            let at = rest.iter().position(|rest| rest == place);
            at.map(|at| Arc::clone(&rest_arrays[at])).ok_or_else(|| Error::internal("a scanned column was not read"))
        };
        self.spec.output.iter().enumerate().map(column).collect()
    }

    /// Where the rows that are left are.
    fn places(&self, rows: usize, left: Option<&BooleanBuffer>) -> ArrayRef {
        let place = |row: usize| RowPlace { extent: self.extent, block: self.block, row: row as u32 }.packed();
        match left {
            Some(left) => Arc::new(left.set_indices().map(place).collect::<UInt64Array>()),
            None => Arc::new((0..rows).map(place).collect::<UInt64Array>()),
        }
    }

    fn count(&self, scanned: usize, matched: usize) {
        self.spec.scope.note(|profile| {
            profile.rows_scanned += scanned as u64;
            profile.rows_matched += matched as u64;
        });
    }

    /// Reads the columns at `places`; with `coded`, texts as codes where they are stored so.
    async fn read(&self, places: &[usize], selection: Option<&BooleanBuffer>, coded: bool) -> Result<Vec<ArrayRef>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = self.spec.columns_of(places);
        self.opened.read(self.block, &wanted, selection, coded, self.spec.query.null_strings_are_empty).await
    }

    fn assemble(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        if self.spec.coded {
            return Ok(batch_of(columns, rows)?);
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
        let tested = self.conditions.iter().flat_map(|condition| condition.filter.columns());
        let mut places: Vec<usize> = tested.chain(&self.output).copied().collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// What a condition said of a block.
struct Test {
    /// The rows that meet it, of those that were left.
    passed: BooleanBuffer,
    /// The columns that it read for all of these.
    arrays: Tested,
    looked_at: usize,
}

/// The values of the rows `left`, of an array that has those of the rows `had`; texts without the bytes of the others, which
/// few rows would keep in memory.
fn passed_of(array: &ArrayRef, had: Option<&BooleanBuffer>, left: Option<&BooleanBuffer>) -> Result<ArrayRef> {
    let Some(left) = left.filter(|left| left.count_set_bits() < array.len()) else { return Ok(Arc::clone(array)) };
    let mask: BooleanBuffer = match had {
        None => left.clone(),
        Some(had) => had.set_indices().map(|row| left.value(row)).collect(),
    };
    let kept = filter(array, &BooleanArray::new(mask, None))?;
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
