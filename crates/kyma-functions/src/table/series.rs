//! `make-series`: per group one array per aggregate over all bins of the axis.
//!
//! 1. [`series_bins`] gives each row its bin (aligned to `from`, else to multiples of the step) and drops rows outside.
//! 2. The caller aggregates by keys and bin: one row per combination that occurs.
//! 3. [`make_series`] lays the results out over all bins and fills the rest with the defaults.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::BooleanBuffer;
use kyma_core::{Error, Result, Type, Value};

use super::groups::{Groups, groups};
use crate::limits::{SERIES_BINS_MAX, SERIES_ELEMENTS_MAX};
use crate::value::{json_at, to_json};
use crate::view::{Longs, Reals};
use crate::{Arg, build};

/// An aggregate's results by (keys, bin).
#[derive(Debug, Clone)]
pub struct SeriesValue {
    /// One value per input row.
    pub array: ArrayRef,
    /// Its type.
    pub ty: Type,
    /// The value of bins without rows.
    pub default: Value,
}

/// The rows that [`make_series`] gives.
#[derive(Debug, Clone)]
pub struct Series {
    /// For each output row an input row that has its keys.
    pub sources: Vec<u32>,
    /// A dynamic array per aggregate.
    pub values: Vec<ArrayRef>,
    /// The dynamic array of bins.
    pub axis: ArrayRef,
}

/// A number or a time as one kind of number: floats only where a float takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Whole(i64),
    Real(f64),
}

fn step_of(value: &Value) -> Result<Step> {
    match value {
        Value::Int(value) => Ok(Step::Whole(i64::from(*value))),
        Value::Long(value) | Value::Datetime(value) | Value::Timespan(value) => Ok(Step::Whole(*value)),
        Value::Real(value) => Ok(Step::Real(*value)),
        other => {
            Err(Error::invalid("query.make_series", format!("the axis cannot be of this type: type={}", other.ty())))
        }
    }
}

fn whole(value: &Value) -> Result<i64> {
    match step_of(value)? {
        Step::Whole(whole) => Ok(whole),
        Step::Real(real) => Ok(real as i64),
    }
}

fn real(value: &Value) -> Result<f64> {
    match step_of(value)? {
        Step::Whole(whole) => Ok(whole as f64),
        Step::Real(real) => Ok(real),
    }
}

fn is_real(ty: Type, step: &Value) -> bool {
    ty == Type::Real || step.ty() == Type::Real
}

fn positive(step: &Value) -> Result<()> {
    if real(step)? > 0.0 {
        Ok(())
    } else {
        Err(Error::invalid("query.make_series", "the step must be larger than zero"))
    }
}

/// The bin of each row, in the axis' type, and which rows lie in `from <= axis < to`.
pub fn series_bins(
    axis: &Arg,
    ty: Type,
    from: Option<&Value>,
    to: Option<&Value>,
    step: &Value,
    rows: usize,
) -> Result<(ArrayRef, BooleanBuffer)> {
    positive(step)?;
    if is_real(ty, step) {
        let axis = Reals::of(axis)?;
        let (start, end, step) = (from.map(real).transpose()?, to.map(real).transpose()?, real(step)?);
        let inside = |x: f64| start.is_none_or(|start| x >= start) && end.is_none_or(|end| x < end);
        let base = start.unwrap_or(0.0);
        let bins = build::reals(rows, |row| axis.get(row).map(|x| ((x - base) / step).floor() * step + base));
        return Ok((bins, BooleanBuffer::collect_bool(rows, |row| axis.get(row).is_some_and(inside))));
    }
    let axis = Longs::of(axis)?;
    let (start, end, step) = (from.map(whole).transpose()?, to.map(whole).transpose()?, whole(step)?);
    let inside = |x: i64| start.is_none_or(|start| x >= start) && end.is_none_or(|end| x < end);
    let base = i128::from(start.unwrap_or(0));
    let bin = |x: i64| {
        let step = i128::from(step);
        i64::try_from((i128::from(x) - base).div_euclid(step) * step + base).ok()
    };
    let bins = build::longs(ty, rows, |row| axis.get(row).and_then(bin))?;
    Ok((bins, BooleanBuffer::collect_bool(rows, |row| axis.get(row).is_some_and(inside))))
}

/// Every bin of the axis, as values.
fn all_bins(bins: &ArrayRef, ty: Type, from: Option<&Value>, to: Option<&Value>, step: &Value) -> Result<Vec<Value>> {
    let arg = Arg::Array(bins.clone());
    let too_many = || {
        Error::exhausted("query.series_too_long", format!("a series would have too many bins: limit={SERIES_BINS_MAX}"))
            .hint("use a larger step or a shorter range")
    };
    if is_real(ty, step) {
        let view = Reals::of(&arg)?;
        let seen = || (0..bins.len()).filter_map(|row| view.get(row));
        let first = from.map(real).transpose()?.or_else(|| seen().reduce(f64::min));
        let last = seen().reduce(f64::max);
        let (Some(first), step) = (first, real(step)?) else { return Ok(Vec::new()) };
        let count = match to.map(real).transpose()? {
            Some(end) => ((end - first) / step - 1e-9).ceil(),
            None => last.map_or(0.0, |last| ((last - first) / step + 0.5).floor() + 1.0),
        };
        if count > SERIES_BINS_MAX as f64 {
            return Err(too_many());
        }
        return Ok((0..count.max(0.0) as usize).map(|at| Value::Real(first + step * at as f64)).collect());
    }
    let view = Longs::of(&arg)?;
    let seen = || (0..bins.len()).filter_map(|row| view.get(row));
    let (Some(first), step) = (from.map(whole).transpose()?.or_else(|| seen().min()), i128::from(whole(step)?)) else {
        return Ok(Vec::new());
    };
    let first = i128::from(first);
    let count = match to.map(whole).transpose()? {
        Some(end) => (i128::from(end) - first + step - 1).div_euclid(step),
        None => seen().max().map_or(0, |last| (i128::from(last) - first).div_euclid(step) + 1),
    };
    if count > SERIES_BINS_MAX as i128 {
        return Err(too_many());
    }
    let value = |at: i128| {
        let nanos = i64::try_from(first + step * at).unwrap_or(i64::MAX);
        match ty {
            Type::Datetime => Value::Datetime(nanos),
            Type::Timespan => Value::Timespan(nanos),
            _ => Value::Long(nanos),
        }
    };
    Ok((0..count.max(0)).map(value).collect())
}

/// Lays out aggregated rows: `bins` is the bin of each, of type `ty` and as [`series_bins`] gives it.
///
/// Without rows there are no series.
pub fn make_series(
    keys: &[ArrayRef],
    bins: &ArrayRef,
    ty: Type,
    values: &[SeriesValue],
    from: Option<&Value>,
    to: Option<&Value>,
    step: &Value,
) -> Result<Series> {
    positive(step)?;
    let axis = all_bins(bins, ty, from, to, step)?;
    let Groups { of: groups, first: sources } = groups(keys, bins.len())?;
    let elements = axis.len().saturating_mul(sources.len());
    if elements > SERIES_ELEMENTS_MAX {
        let text = format!("the series would have too many elements: elements={elements}, limit={SERIES_ELEMENTS_MAX}");
        return Err(Error::exhausted("query.series_too_large", text).hint("use a larger step, or fewer groups"));
    }
    let arg = Arg::Array(bins.clone());
    let mut cells: Vec<Cell> = Vec::with_capacity(groups.len());
    for (row, &group) in groups.iter().enumerate() {
        if let Some(place) = place_of(&arg, row, &axis, step)? {
            cells.push(Cell { group: group as usize, place, row });
        }
    }
    cells.sort_unstable_by_key(|cell| (cell.group, cell.place));
    let axis_text = format!("[{}]", axis.iter().map(to_json).collect::<Vec<_>>().join(","));
    Ok(Series {
        values: values.iter().map(|value| lay_out(value, &cells, axis.len(), sources.len())).collect(),
        axis: build::jsons(sources.len(), |_| Some(axis_text.as_str())),
        sources,
    })
}

/// An aggregated row: its series, and its place there.
struct Cell {
    group: usize,
    place: usize,
    row: usize,
}

/// An array per group: the values of `cells`, which are in order, and the default elsewhere.
fn lay_out(value: &SeriesValue, cells: &[Cell], bins: usize, groups: usize) -> ArrayRef {
    let default = to_json(&value.default);
    let mut cells = cells.iter().peekable();
    let mut text = String::new();
    build::jsons(groups, |group| {
        text.clear();
        for place in 0..bins {
            text.push(if place == 0 { '[' } else { ',' });
            match cells.next_if(|cell| (cell.group, cell.place) == (group, place)) {
                Some(cell) => text.push_str(&json_at(value.array.as_ref(), cell.row, value.ty)),
                None => text.push_str(&default),
            }
        }
        if bins == 0 {
            text.push('[');
        }
        text.push(']');
        Some(text.clone())
    })
}

/// The place of a row's bin on the axis.
fn place_of(bins: &Arg, row: usize, axis: &[Value], step: &Value) -> Result<Option<usize>> {
    let place = match axis.first() {
        None => return Ok(None),
        Some(Value::Real(first)) => {
            let bin = Reals::of(bins)?.get(row);
            bin.map(|bin| ((bin - first) / real(step).unwrap_or(1.0)).round() as i64)
        }
        Some(first) => {
            let (first, step) = (i128::from(whole(first)?), i128::from(whole(step)?));
            let bin = Longs::of(bins)?.get(row);
            bin.and_then(|bin| i64::try_from((i128::from(bin) - first).div_euclid(step)).ok())
        }
    };
    Ok(place.and_then(|place| usize::try_from(place).ok()).filter(|place| *place < axis.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn no_rows_no_series() {
        let none: ArrayRef = Arc::new(arrow::array::Int64Array::from(Vec::<i64>::new()));
        let (from, to, step) = (Value::Long(0), Value::Long(8), Value::Long(2));
        let series = make_series(&[], &none, Type::Long, &[], Some(&from), Some(&to), &step).unwrap();
        assert!(series.sources.is_empty());
    }

    #[test]
    fn fills_empty_bins() {
        let axis = Arg::Array(Arc::new(arrow::array::Int64Array::from(vec![1, 5, 9])));
        let (from, to, step) = (Value::Long(0), Value::Long(8), Value::Long(2));
        let (bins, inside) = series_bins(&axis, Type::Long, Some(&from), Some(&to), &step, 3).unwrap();
        assert_eq!(inside.iter().collect::<Vec<_>>(), [true, true, false]);
        let counts = SeriesValue {
            array: Arc::new(arrow::array::Int64Array::from(vec![7, 8])),
            ty: Type::Long,
            default: Value::Long(0),
        };
        let series = make_series(&[], &bins.slice(0, 2), Type::Long, &[counts], Some(&from), Some(&to), &step).unwrap();
        assert_eq!(json_at(series.values[0].as_ref(), 0, Type::Dynamic), "[7,0,8,0]");
        assert_eq!(json_at(series.axis.as_ref(), 0, Type::Dynamic), "[0,2,4,6]");
    }
}
