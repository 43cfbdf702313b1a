//! `sequence_detect`: rows that meet given conditions one after the other, within bounds of time.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DurationNanosecondArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{sort_to_indices, take};
use arrow::row::{RowConverter, SortField};
use kyma_core::{Error, Result, Type, Value};

use super::PluginCall;
use crate::view::Longs;
use crate::{Arg, build};

/// The input's columns: time, the conditions of the steps, dimensions. Constants: most time between steps, most time of a sequence,
/// how many steps there are. A row that begins a sequence is the first that meets the first condition after the last sequence ended.
pub(super) fn sequence_detect(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let number = |at: usize| match call.value(at)? {
        Value::Long(value) | Value::Timespan(value) => Ok(*value),
        Value::Int(value) => Ok(i64::from(*value)),
        _ => Err(Error::invalid("query.plugin_argument", "sequence_detect() needs spans of time")),
    };
    let (between, whole, steps) = (number(0)?, number(1)?, usize::try_from(number(2)?).unwrap_or_default());
    let input = call.table.input(0)?;
    let (conditions, dimensions) = match input.columns().get(1..) {
        Some(rest) if rest.len() >= steps => rest.split_at(steps),
        _ => return Err(Error::internal("sequence_detect() lacks its columns")),
    };
    let holds = conditions.iter().map(|flags| flags.as_boolean_opt().ok_or_else(|| Error::internal("no condition")));
    let holds = holds.collect::<Result<Vec<_>>>()?;
    let time = Arg::Array(Arc::clone(input.column(0)));
    let times = Longs::of(&time)?;
    let order = sort_to_indices(input.column(0), None, None)?;
    let mut order: Vec<usize> = order.values().iter().map(|row| *row as usize).collect();
    let groups = match dimensions.is_empty() {
        true => None,
        false => {
            let fields = dimensions.iter().map(|column| SortField::new(column.data_type().clone())).collect();
            Some(RowConverter::new(fields)?.convert_columns(dimensions)?)
        }
    };
    if let Some(groups) = &groups {
        order.sort_by_key(|row| groups.row(*row));
    }
    let mut found: Vec<Vec<usize>> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut last: Option<usize> = None;
    for row in order {
        let Some(at) = times.get(row) else { continue };
        let is_other = |last: usize| groups.as_ref().is_some_and(|groups| groups.row(last) != groups.row(row));
        if last.is_some_and(is_other) {
            open.clear();
        }
        last = Some(row);
        let span = |from: &usize| at.saturating_sub(times.get(*from).unwrap_or(at));
        if open.last().is_some_and(|step| span(step) > between) || open.first().is_some_and(|step| span(step) > whole) {
            open.clear();
        }
        let meets = |step: usize| holds.get(step).is_some_and(|flags| flags.is_valid(row) && flags.value(row));
        if meets(open.len()) {
            open.push(row);
        } else if meets(0) && open.len() == 1 {
            // A later beginning leaves more time for the rest.
            open[0] = row;
        }
        if open.len() == steps && steps > 0 {
            found.push(std::mem::take(&mut open));
        }
    }
    rows(call, &found, steps, dimensions, &times)
}

fn rows(
    call: &PluginCall<'_>,
    found: &[Vec<usize>],
    steps: usize,
    dimensions: &[ArrayRef],
    times: &Longs<'_>,
) -> Result<RecordBatch> {
    let schema = call.table.schemas.first();
    let ty = schema.and_then(|schema| schema.columns().first()).map_or(Type::Datetime, |column| column.ty);
    let first = UInt32Array::from_iter_values(found.iter().map(|rows| rows.first().map_or(0, |row| *row as u32)));
    let mut columns =
        dimensions.iter().map(|column| take(column, &first, None)).collect::<std::result::Result<Vec<_>, _>>()?;
    for step in 0..steps {
        columns.push(build::longs(ty, found.len(), |at| times.get(found[at][step]))?);
    }
    let span = |rows: &Vec<usize>| {
        let ends = rows.first().zip(rows.last());
        ends.and_then(|(from, to)| Some(times.get(*to)? - times.get(*from)?)).unwrap_or_default()
    };
    let spans = found.iter().map(span);
    columns.push(match ty {
        Type::Datetime => Arc::new(DurationNanosecondArray::from_iter_values(spans)),
        _ => Arc::new(Int64Array::from_iter_values(spans)),
    });
    call.table.batch(columns)
}
