//! The groups of one partition: their keys, and the state of every aggregate.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use super::codes::{Codes, Rows};
use super::known::{Knowledge, KnownState};
use super::{Aggregate, Grouping};

/// Groups up to which states are kept; beyond, they leave early.
const GROUPS_MAX: usize = 65_536;
/// Combinations of codes that are looked up in a table.
const TABLE_MAX: usize = 1 << 16;

/// Groups of rows, and their states.
pub(super) struct Groups {
    grouping: Arc<Grouping>,
    /// None where everything is one group.
    keys: Option<Box<dyn GroupValues>>,
    states: Vec<Box<dyn GroupsAccumulator>>,
    memory: MemoryReservation,
    has_rows: bool,
}

/// Which group each row of a batch belongs to.
struct Grouped {
    /// By row: a place in `groups`.
    local: Vec<u32>,
    /// The groups of the batch.
    groups: Vec<usize>,
}

impl Groups {
    pub(super) fn new(grouping: Arc<Grouping>, memory: MemoryReservation) -> Result<Self> {
        let mut groups = Groups { grouping, keys: None, states: Vec::new(), memory, has_rows: false };
        groups.restart()?;
        Ok(groups)
    }

    fn restart(&mut self) -> Result<()> {
        let aggregates = self.grouping.aggregates.iter();
        self.states = aggregates.map(|aggregate| aggregate.call.create_groups_accumulator()).collect::<Result<_>>()?;
        self.keys = match self.grouping.keys.is_empty() {
            true => None,
            false => Some(new_group_values(Arc::clone(&self.grouping.key_schema), &GroupOrdering::None)?),
        };
        self.has_rows = false;
        Ok(())
    }

    fn count(&self) -> usize {
        self.keys.as_ref().map_or(1, |keys| keys.len())
    }

    /// Adds the rows of a batch of the scan.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let grouping = Arc::clone(&self.grouping);
        let mut rows = Rows::new(batch, grouping.null_strings_are_empty);
        let grouped = self.group(&mut rows)?;
        self.has_rows = true;
        let total = self.count();
        let (mut by_row, mut counts) = (None, None);
        for (aggregate, state) in grouping.aggregates.iter().zip(&mut self.states) {
            if aggregate.counts_rows() {
                let counts: &ArrayRef = counts.get_or_insert_with(|| grouped.counts());
                state.merge_batch(std::slice::from_ref(counts), &grouped.groups, total)?;
                continue;
            }
            let groups: &Vec<usize> = by_row.get_or_insert_with(|| grouped.by_row());
            let args = aggregate.args.iter().map(|arg| rows.evaluate(arg)).collect::<Result<Vec<_>>>()?;
            let filter = aggregate.filter.as_ref().map(|filter| rows.evaluate(filter)).transpose()?;
            let filter: Option<&BooleanArray> = filter.as_ref().map(|filter| filter.as_boolean());
            state.update_batch(&args, groups, filter, total)?;
        }
        Ok(())
    }

    fn group(&mut self, rows: &mut Rows<'_>) -> Result<Grouped> {
        let Some(values) = &mut self.keys else {
            return Ok(Grouped { local: vec![0; rows.len()], groups: vec![0] });
        };
        let keys = self.grouping.keys.iter().map(|key| rows.key(key)).collect::<Result<Vec<_>>>()?;
        let mut groups = Vec::new();
        match keys.iter().map(|key| key.as_ref().ok()).collect::<Option<Vec<&Codes>>>() {
            Some(codes) => {
                let (local, firsts) = combine(&codes, rows.len());
                let first = |key: &&Codes| {
                    let places: UInt32Array = firsts.iter().map(|&row| key.codes[row as usize]).collect();
                    take(&key.values, &places, None)
                };
                let distinct = codes.iter().map(first).collect::<std::result::Result<Vec<_>, _>>()?;
                values.intern(&distinct, &mut groups)?;
                Ok(Grouped { local, groups })
            }
            None => {
                let plain = keys.into_iter().map(|key| match key {
                    Ok(codes) => take(&codes.values, &UInt32Array::from(codes.codes), None),
                    Err(array) => Ok(array),
                });
                values.intern(&plain.collect::<std::result::Result<Vec<_>, _>>()?, &mut groups)?;
                Ok(Grouped { local: (0..rows.len() as u32).collect(), groups })
            }
        }
    }

    /// Adds states that metadata knew.
    pub(super) fn merge(&mut self, known: &KnownState) -> Result<()> {
        let groups = match &mut self.keys {
            None => vec![0; known.rows],
            Some(values) => {
                let mut groups = Vec::new();
                values.intern(&known.keys, &mut groups)?;
                groups
            }
        };
        self.has_rows |= known.rows > 0;
        let total = self.count();
        for (state, known) in self.states.iter_mut().zip(&known.states) {
            match known {
                Knowledge::State(arrays) => state.merge_batch(arrays, &groups, total)?,
                Knowledge::Values(arrays) => state.update_batch(arrays, &groups, None, total)?,
            }
        }
        self.memory.try_resize(self.bytes())
    }

    /// Lets the states leave when there are too many, or no memory for them.
    pub(super) fn leave_if_many(&mut self) -> Result<Option<RecordBatch>> {
        let fits = self.memory.try_resize(self.bytes()).is_ok();
        if fits && self.count() <= GROUPS_MAX {
            return Ok(None);
        }
        self.leave()
    }

    fn bytes(&self) -> usize {
        let keys = self.keys.as_ref().map_or(0, |keys| keys.size());
        keys + self.states.iter().map(|state| state.size()).sum::<usize>()
    }

    /// Lets all states leave.
    pub(super) fn leave(&mut self) -> Result<Option<RecordBatch>> {
        if !self.has_rows {
            return Ok(None);
        }
        let rows = self.count();
        let mut columns = match &mut self.keys {
            Some(keys) => keys.emit(EmitTo::All)?,
            None => Vec::new(),
        };
        for state in &mut self.states {
            columns.extend(state.state(EmitTo::All)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.grouping.schema), columns, &options)?;
        self.restart()?;
        // They leave at once: to refuse them would only keep them longer.
        self.memory.resize(crate::size::batch_bytes(&batch));
        Ok(Some(batch))
    }
}

impl Aggregate {
    /// Whether it counts rows, whatever these hold.
    pub(super) fn counts_rows(&self) -> bool {
        let is_constant = |arg: &Arc<dyn datafusion::physical_expr::PhysicalExpr>| {
            arg.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null())
        };
        self.call.fun().name() == "count" && self.filter.is_none() && self.args.iter().all(is_constant)
    }
}

impl Grouped {
    /// Rows of each of the batch's groups.
    fn counts(&self) -> ArrayRef {
        let mut counts = vec![0_i64; self.groups.len()];
        self.local.iter().for_each(|&local| counts[local as usize] += 1);
        Arc::new(Int64Array::from(counts))
    }

    /// The group of each row.
    fn by_row(&self) -> Vec<usize> {
        self.local.iter().map(|&local| self.groups[local as usize]).collect()
    }
}

/// The distinct combinations of codes: which one each row has, and the first row of each.
fn combine(keys: &[&Codes], rows: usize) -> (Vec<u32>, Vec<u32>) {
    let size = keys.iter().try_fold(1_usize, |size, key| size.checked_mul(key.values.len().max(1)));
    let mut firsts = Vec::new();
    let mut local = Vec::with_capacity(rows);
    match size.filter(|size| *size <= TABLE_MAX) {
        Some(size) => {
            let mut table = vec![u32::MAX; size];
            let mut combined: Vec<u32> = keys.first().map_or_else(|| vec![0; rows], |key| key.codes.clone());
            for key in keys.iter().skip(1) {
                let width = key.values.len().max(1) as u32;
                combined.iter_mut().zip(&key.codes).for_each(|(all, code)| *all = *all * width + code);
            }
            for (row, code) in combined.into_iter().enumerate() {
                let slot = &mut table[code as usize];
                if *slot == u32::MAX {
                    *slot = firsts.len() as u32;
                    firsts.push(row as u32);
                }
                local.push(*slot);
            }
        }
        None => {
            let mut places: std::collections::HashMap<Vec<u32>, u32> = Default::default();
            let mut codes = vec![0; keys.len()];
            for row in 0..rows {
                codes.iter_mut().zip(keys).for_each(|(code, key)| *code = key.codes[row]);
                let place = match places.get(&codes) {
                    Some(place) => *place,
                    None => {
                        places.insert(codes.clone(), firsts.len() as u32);
                        firsts.push(row as u32);
                        firsts.len() as u32 - 1
                    }
                };
                local.push(place);
            }
        }
    }
    (local, firsts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_together_exactly_when_all_their_codes_are(
            rows in prop::collection::vec((0..5_u32, 0..7_u32), 1..100),
            wide in prop::sample::select(vec![7_usize, 100_000]),
        ) {
            let key = |codes: Vec<u32>, values: usize| Codes {
                values: Arc::new(Int64Array::from(vec![0; values])),
                codes,
            };
            let a = key(rows.iter().map(|row| row.0).collect(), 5);
            let b = key(rows.iter().map(|row| row.1).collect(), wide);
            let (local, firsts) = combine(&[&a, &b], rows.len());
            for (x, left) in rows.iter().enumerate() {
                prop_assert_eq!(rows[firsts[local[x] as usize] as usize], *left);
                for (y, right) in rows.iter().enumerate() {
                    prop_assert_eq!(local[x] == local[y], left == right);
                }
            }
        }
    }
}
