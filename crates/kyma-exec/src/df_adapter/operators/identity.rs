//! Changes nothing: keeps the order of its input through operators above that would otherwise be free to ignore it.

use arrow::array::RecordBatch;
use kyma_core::Result;

use crate::df_adapter::operators::Operator;

/// The operator.
#[derive(Debug)]
pub(crate) struct Identity;

impl Operator for Identity {
    fn name(&self) -> &'static str {
        "in order"
    }

    fn whole(&self) -> bool {
        false
    }

    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        Ok(batch)
    }
}
