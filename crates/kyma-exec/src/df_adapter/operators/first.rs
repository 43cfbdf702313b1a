//! Drops rows whose key an earlier row had: the left side of Kusto's default join.

use std::collections::HashSet;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::row::{RowConverter, SortField};
use kyma_core::Result;

use crate::df_adapter::operators::Operator;

/// The operator.
#[derive(Debug)]
pub(crate) struct FirstOfKey {
    /// How many leading columns come out; the rest is the key.
    pub(crate) width: usize,
}

impl Operator for FirstOfKey {
    fn name(&self) -> &'static str {
        "first of each key"
    }

    fn whole(&self) -> bool {
        true
    }

    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let keys = &batch.columns()[self.width..];
        let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
        let rows = RowConverter::new(fields)?.convert_columns(keys)?;
        let mut seen = HashSet::with_capacity(rows.num_rows());
        let first: BooleanArray = rows.iter().map(|row| Some(seen.insert(row))).collect();
        let kept = filter_record_batch(&batch, &first)?;
        Ok(kept.project(&(0..self.width).collect::<Vec<_>>())?)
    }
}
