//! `mv-expand`: a row per element.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use kyma_core::{Result, Type};
use kyma_plan::node::MvExpandColumn;

use crate::df_adapter::operators::Operator;

/// The operator.
#[derive(Debug)]
pub(crate) struct MvExpand {
    /// Types of the input's columns.
    pub(crate) types: Vec<Type>,
    /// What is expanded.
    pub(crate) columns: Vec<MvExpandColumn>,
    /// Whether positions come out last.
    pub(crate) item_index: bool,
    /// How bags expand.
    pub(crate) bags_as_arrays: bool,
    /// Rows per input row.
    pub(crate) row_limit: Option<u64>,
    /// What comes out.
    pub(crate) schema: SchemaRef,
}

impl MvExpand {
    /// The rows, and for each its input row.
    pub(crate) fn expand(&self, batch: &RecordBatch) -> Result<(RecordBatch, Vec<u32>)> {
        let (batch, sources) = kyma_functions::table::mv_expand(
            batch,
            &self.types,
            &self.columns,
            self.item_index,
            self.bags_as_arrays,
            self.row_limit,
        )?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let named = RecordBatch::try_new_with_options(self.schema.clone(), batch.columns().to_vec(), &options)?;
        Ok((named, sources))
    }
}

impl Operator for MvExpand {
    fn name(&self) -> &'static str {
        "mv-expand"
    }

    fn whole(&self) -> bool {
        false
    }

    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        Ok(self.expand(&batch)?.0)
    }
}
