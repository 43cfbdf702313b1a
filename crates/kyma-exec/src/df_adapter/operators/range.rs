//! `range`: the values from one to another.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use kyma_core::{Error, Result, Type, Value};

use crate::settings::{BATCH_ROWS, RANGE_ROWS_MAX};

/// The batches of a range of type `ty`; none when the step leads nowhere.
pub(crate) fn range(from: &Value, to: &Value, step: &Value, ty: Type, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let count = count(from, to, step)?;
    if count > RANGE_ROWS_MAX as u128 {
        return Err(Error::exhausted("query.range_too_long", format!("range gives too many rows: rows={count}"))
            .hint("use a larger step"));
    }
    let count = count as usize;
    let batch = |start: usize| -> Result<RecordBatch> {
        let places = start..count.min(start + BATCH_ROWS);
        let array: ArrayRef = match (real(from), real(step), ty) {
            (Some(from), Some(step), Type::Real) => {
                Arc::new(Float64Array::from_iter_values(places.map(|at| from + step * at as f64)))
            }
            _ => {
                let (from, step) = (whole(from).unwrap_or(0), whole(step).unwrap_or(0));
                let at = |at: usize| from.wrapping_add(step.wrapping_mul(at as i64));
                Arc::new(Int64Array::from_iter_values(places.map(at)))
            }
        };
        let array = arrow::compute::cast(&array, &ty.arrow())?;
        Ok(RecordBatch::try_new(Arc::clone(schema), vec![array])?)
    };
    (0..count).step_by(BATCH_ROWS).map(batch).collect()
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
