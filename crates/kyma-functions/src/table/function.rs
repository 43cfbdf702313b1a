//! Table functions: whole tables in, one table out.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use kyma_core::{Error, Result, Schema};
use kyma_plan::table::TableFunction;

use super::{graph, plugin, reduce, scan};
use crate::EvalContext;

/// One call of a table function.
#[derive(Debug)]
pub struct TableCall<'a> {
    /// The inputs, one batch each, in the Arrow types of `schemas`.
    pub inputs: &'a [RecordBatch],
    /// Their columns.
    pub schemas: &'a [Schema],
    /// The columns of the result.
    pub out: &'a Schema,
    /// The query around.
    pub context: &'a EvalContext,
}

impl TableCall<'_> {
    /// The input at `index`.
    pub(crate) fn input(&self, index: usize) -> Result<&RecordBatch> {
        self.inputs.get(index).ok_or_else(|| Error::internal(format!("a table function lacks an input: index={index}")))
    }

    /// The result's columns as a batch.
    pub(crate) fn batch(&self, columns: Vec<arrow::array::ArrayRef>) -> Result<RecordBatch> {
        let schema: SchemaRef = self.out.arrow();
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}

/// Computes a table function.
pub fn table(function: &TableFunction, call: &TableCall<'_>) -> Result<RecordBatch> {
    match function {
        TableFunction::Plugin(plugin) => plugin::plugin(plugin, call),
        TableFunction::Graph(query) => graph::graph(query, call),
        TableFunction::Reduce(options) => reduce::reduce(options, call),
        TableFunction::Scan(steps) => scan::scan(steps, call),
    }
}
