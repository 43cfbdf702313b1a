//! `range`: the values from one to another, made while they are read.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::memory::{LazyBatchGenerator, LazyMemoryExec};
use kyma_core::{Error, Result, Type, Value};
use parking_lot::RwLock;

use crate::df_adapter::error::{from_df, to_df};
use crate::settings::{BATCH_ROWS, RANGE_ROWS_MAX};

/// The plan of a range of type `ty`; no rows when the step leads nowhere.
pub(crate) fn range(ends: [Value; 3], ty: Type, schema: &SchemaRef) -> Result<Arc<dyn ExecutionPlan>> {
    let [from, to, step] = ends;
    let count = count(&from, &to, &step)?;
    if count > RANGE_ROWS_MAX as u128 {
        return Err(Error::exhausted("query.range_too_long", format!("range gives too many rows: rows={count}"))
            .hint("use a larger step"));
    }
    let range = Range { from, step, ty, schema: Arc::clone(schema), count: count as usize, next: 0 };
    let exec = LazyMemoryExec::try_new(Arc::clone(schema), vec![Arc::new(RwLock::new(range))]);
    Ok(Arc::new(exec.map_err(from_df)?))
}

/// The values that are still to come.
#[derive(Debug, Clone)]
struct Range {
    from: Value,
    step: Value,
    ty: Type,
    schema: SchemaRef,
    count: usize,
    next: usize,
}

impl Range {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let places = self.next..self.count.min(self.next + BATCH_ROWS);
        self.next = places.end;
        if places.is_empty() {
            return Ok(None);
        }
        let array: ArrayRef = match (real(&self.from), real(&self.step), self.ty) {
            (Some(from), Some(step), Type::Real) => {
                Arc::new(Float64Array::from_iter_values(places.map(|at| from + step * at as f64)))
            }
            _ => {
                let (from, step) = (whole(&self.from).unwrap_or(0), whole(&self.step).unwrap_or(0));
                let at = |at: usize| from.wrapping_add(step.wrapping_mul(at as i64));
                Arc::new(Int64Array::from_iter_values(places.map(at)))
            }
        };
        let array = arrow::compute::cast(&array, &self.ty.arrow())?;
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), vec![array])?))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "range of {} rows", self.count)
    }
}

impl LazyBatchGenerator for Range {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn generate_next_batch(&mut self) -> datafusion::error::Result<Option<RecordBatch>> {
        self.batch().map_err(to_df)
    }

    fn reset_state(&self) -> Arc<RwLock<dyn LazyBatchGenerator>> {
        Arc::new(RwLock::new(Range { next: 0, ..self.clone() }))
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => Some(i64::from(*value)),
        Value::Long(value) | Value::Datetime(value) | Value::Timespan(value) => Some(*value),
        _ => None,
    }
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Real(value) => Some(*value),
        value => whole(value).map(|value| value as f64),
    }
}

fn count(from: &Value, to: &Value, step: &Value) -> Result<u128> {
    if [from, to, step].iter().any(|value| value.is_null()) {
        return Ok(0);
    }
    if let (Some(from), Some(to), Some(step)) = (whole(from), whole(to), whole(step)) {
        let (from, to, step) = (i128::from(from), i128::from(to), i128::from(step));
        let forward = (step > 0 && from <= to) || (step < 0 && from >= to);
        return Ok(if forward { ((to - from) / step + 1) as u128 } else { 0 });
    }
    match (real(from), real(to), real(step)) {
        (Some(from), Some(to), Some(step)) if step != 0.0 && (to - from) / step >= 0.0 => {
            Ok(((to - from) / step + 1e-9).floor() as u128 + 1)
        }
        (Some(_), Some(_), Some(_)) => Ok(0),
        _ => Err(Error::invalid("query.range", "range needs numbers, datetimes or timespans")),
    }
}
