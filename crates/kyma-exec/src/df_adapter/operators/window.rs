//! `serialize` with functions over the whole ordered input.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use kyma_core::{Result, Type, Value};
use kyma_functions::Arg;

use crate::df_adapter::operators::Operator;

/// One call: its arguments are columns of the input, or constants.
#[derive(Debug)]
pub(crate) struct Call {
    /// Which function.
    pub(crate) function: &'static str,
    /// A column's place or a constant, and the type.
    pub(crate) args: Vec<(Result<usize, Value>, Type)>,
    /// The type of the result.
    pub(crate) ty: Type,
}

/// The operator.
#[derive(Debug)]
pub(crate) struct Window {
    /// How many leading columns pass.
    pub(crate) width: usize,
    /// The calls.
    pub(crate) calls: Vec<Call>,
    /// What comes out.
    pub(crate) schema: SchemaRef,
}

impl Operator for Window {
    fn name(&self) -> &'static str {
        "serialize"
    }

    fn whole(&self) -> bool {
        true
    }

    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut columns = batch.columns()[..self.width].to_vec();
        for call in &self.calls {
            let arg = |(arg, _): &(Result<usize, Value>, Type)| match arg {
                Ok(place) => Arg::Array(Arc::clone(batch.column(*place))),
                Err(value) => Arg::Scalar(value.clone()),
            };
            let args: Vec<Arg> = call.args.iter().map(arg).collect();
            let types: Vec<Type> = call.args.iter().map(|(_, ty)| *ty).collect();
            columns.push(kyma_functions::window(call.function, &args, &types, call.ty, rows)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
