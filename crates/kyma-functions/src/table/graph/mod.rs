//! `make-graph` and the operators after it.
//!
//! 1. [`elements`] gives every node a number and every edge the numbers of its ends, and finds who is near whom.
//! 2. [`change`] adds properties and drops elements.
//! 3. [`search`] finds the matches of a pattern, [`shortest`] the shortest paths; both hold matches as numbers
//!    ([`matches`]), and [`values`] makes columns of them.

mod change;
mod elements;
mod matches;
mod plan;
mod search;
mod shortest;
mod values;

#[cfg(test)]
mod tests;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use kyma_core::{Error, Result, Type};
use kyma_plan::graph::{GraphOutput, GraphQuery};

use self::elements::Elements;
use super::function::TableCall;
use crate::{Arg, Call, scalar};

/// Makes a graph of the inputs, and answers a question to it.
pub(super) fn graph(query: &GraphQuery, call: &TableCall<'_>) -> Result<RecordBatch> {
    let mut elements = Elements::make(&query.graph, call)?;
    for step in &query.graph.steps {
        elements = change::change(elements, step, call)?;
    }
    let (columns, rows) = match &query.output {
        GraphOutput::Match(wanted) => search::search(wanted, &elements, call)?,
        GraphOutput::Nodes { hashed } => {
            let mut columns = Vec::new();
            if *hashed {
                columns.push(hashes(&elements, elements.ids(), call)?);
            }
            columns.extend(elements.properties().iter().cloned());
            (columns, elements.nodes())
        }
        GraphOutput::Edges { source_hashed, target_hashed } => {
            let mut columns = Vec::new();
            for (wanted, ends) in [(source_hashed, &elements.sources), (target_hashed, &elements.targets)] {
                if *wanted {
                    let ids = take(elements.ids(), &UInt32Array::from(ends.clone()), None)?;
                    columns.push(hashes(&elements, &ids, call)?);
                }
            }
            columns.extend(elements.edge_columns.iter().cloned());
            (columns, elements.edges())
        }
    };
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(call.out.arrow(), columns, &options)?)
}

/// The hashes of ids, as `hash()` gives them.
fn hashes(elements: &Elements, ids: &ArrayRef, call: &TableCall<'_>) -> Result<ArrayRef> {
    let kernel = scalar("hash").ok_or_else(|| Error::internal("hash() has no kernel"))?;
    let args = [Arg::Array(ArrayRef::clone(ids))];
    kernel.eval(&Call {
        args: &args,
        types: &[elements.id_type],
        out: Type::Long,
        rows: ids.len(),
        context: call.context,
    })
}
