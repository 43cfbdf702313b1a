//! `scan`: steps over ordered rows, with the meaning that `kyma_plan::table::Scan` states.
//!
//! 1. Conditions and assignments are compiled once ([`lean`]): whatever speaks of the row at hand alone becomes a column,
//!    computed for all rows at once; what speaks of a step's state stays a small tree.
//! 2. Rows of each stream are taken in order ([`machine`]). A state is row numbers and declared values, never copied rows,
//!    and moving it to the next step moves a pointer.
//! 3. Matches are gathered as row numbers, from which the output's columns are taken at the end.

mod lean;
mod machine;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::rc::Rc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::row::{RowConverter, SortField};
use kyma_core::{Error, Result, Value};
use kyma_plan::table::{Scan, StepOutput};
use std::sync::Arc;

use super::function::TableCall;
use crate::limits::SCAN_ROWS_MAX;
use crate::value::values_to_array;
use lean::{Compiler, Lean};
use machine::Machine;

/// A step, compiled.
struct Step {
    output: StepOutput,
    condition: Lean,
    assignments: Vec<(usize, Lean)>,
}

/// A row that matched, as it comes out.
#[derive(Clone)]
struct Match {
    row: u32,
    declared: Rc<[Value]>,
    sequence: i64,
}

/// Runs a scan over the whole input.
pub(super) fn scan(scan: &Scan, call: &TableCall<'_>) -> Result<RecordBatch> {
    let input = call.input(0)?;
    let schema = call.schemas.first().ok_or_else(|| Error::internal("a scan without an input"))?;
    let mut compiler = Compiler::new(input, schema, &scan.declared, call.context);
    let steps = scan
        .steps
        .iter()
        .map(|step| {
            let assignments = step.assignments.iter().map(|(at, expr)| Ok((*at, compiler.compile(expr)?)));
            let assignments = assignments.collect::<Result<Vec<_>>>()?;
            Ok(Step { output: step.output, condition: compiler.compile(&step.condition)?, assignments })
        })
        .collect::<Result<Vec<Step>>>()?;
    let columns = compiler.finish();
    let mut machine = Machine::new(&steps, &columns, call.context);
    for rows in streams(scan, input)? {
        machine.stream(&rows)?;
    }
    gather(scan, call, input, &machine.matches)
}

/// The rows of each stream in order, streams in the order in which they begin.
fn streams(scan: &Scan, input: &RecordBatch) -> Result<Vec<Vec<u32>>> {
    let rows = u32::try_from(input.num_rows()).ok().filter(|rows| *rows as usize <= SCAN_ROWS_MAX);
    let Some(rows) = rows else {
        let text = format!("scan has more rows than the limit: rows={}, limit={SCAN_ROWS_MAX}", input.num_rows());
        return Err(Error::exhausted("query.scan_rows", text).hint("filter before scan"));
    };
    if scan.partition.is_empty() {
        return Ok(vec![(0..rows).collect()]);
    }
    let lacks = || Error::internal("a scan is partitioned by a column that is not there");
    let keys = scan.partition.iter().map(|at| input.columns().get(*at).map(Arc::clone).ok_or_else(lacks));
    let keys = keys.collect::<Result<Vec<ArrayRef>>>()?;
    let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
    let encoded = RowConverter::new(fields)?.convert_columns(&keys)?;
    let mut places = HashMap::new();
    let mut streams: Vec<Vec<u32>> = Vec::new();
    for (key, row) in encoded.iter().zip(0..rows) {
        let place = *places.entry(key).or_insert(streams.len());
        match streams.get_mut(place) {
            Some(stream) => stream.push(row),
            None => streams.push(vec![row]),
        }
    }
    Ok(streams)
}

/// The output's columns: the input's, the declared ones, the number of the sequence.
fn gather(scan: &Scan, call: &TableCall<'_>, input: &RecordBatch, matches: &[Match]) -> Result<RecordBatch> {
    let rows = UInt32Array::from_iter_values(matches.iter().map(|found| found.row));
    let taken = input.columns().iter().map(|column| Ok(take(column, &rows, None)?));
    let mut columns = taken.collect::<Result<Vec<ArrayRef>>>()?;
    for (at, declared) in scan.declared.iter().enumerate() {
        let value = |found: &Match| found.declared.get(at).cloned().unwrap_or(Value::Null(declared.column.ty));
        let values: Vec<Value> = matches.iter().map(value).collect();
        columns.push(values_to_array(&values, declared.column.ty)?);
    }
    if scan.match_id {
        columns.push(Arc::new(Int64Array::from_iter_values(matches.iter().map(|found| found.sequence))));
    }
    call.batch(columns)
}
