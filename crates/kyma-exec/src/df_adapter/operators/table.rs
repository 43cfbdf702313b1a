//! Table functions: whole inputs in, one table out, by a kernel of `kyma_functions::table`.

use arrow::array::RecordBatch;
use kyma_core::{Result, Schema};
use kyma_functions::EvalContext;
use kyma_functions::table::{TableCall, table};
use kyma_plan::table::TableFunction;

use crate::df_adapter::body::typed;
use crate::df_adapter::operators::Operator;

/// The operator.
#[derive(Debug)]
pub(crate) struct Table {
    /// What is computed.
    pub(crate) function: TableFunction,
    /// The columns of the inputs.
    pub(crate) inputs: Vec<Schema>,
    /// The columns of the result.
    pub(crate) out: Schema,
    /// The query around.
    pub(crate) context: EvalContext,
}

impl Operator for Table {
    fn name(&self) -> &'static str {
        self.function.name()
    }

    fn whole(&self) -> bool {
        true
    }

    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        self.apply_all(vec![batch])
    }

    fn apply_all(&self, batches: Vec<RecordBatch>) -> Result<RecordBatch> {
        let inputs = batches.iter().zip(&self.inputs).map(|(batch, schema)| typed(batch, schema));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        drop(batches);
        table(
            &self.function,
            &TableCall { inputs: &inputs, schemas: &self.inputs, out: &self.out, context: &self.context },
        )
    }
}
