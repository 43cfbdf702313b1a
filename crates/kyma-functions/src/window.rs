//! Functions over the whole ordered input, taken as one sequence.

use arrow::array::ArrayRef;
use arrow::compute::interleave;
use kyma_core::{Error, Result, Type, Value};

use crate::view::{Bools, Decimals, Longs, Reals};
use crate::{Arg, array_value, build, value_to_array};

/// Canonical names, as in `kyma_plan::functions::windows`.
pub const NAMES: [&str; 7] =
    ["prev", "next", "row_number", "row_cumsum", "row_rank_dense", "row_rank_min", "row_window_session"];

/// Computes a window function: one value of type `out` per row.
pub fn window(function: &str, args: &[Arg], types: &[Type], out: Type, rows: usize) -> Result<ArrayRef> {
    match function {
        "prev" => neighbour(args, out, rows, -1),
        "next" => neighbour(args, out, rows, 1),
        "row_number" => row_number(args, rows),
        "row_cumsum" => row_cumsum(args, out, rows),
        "row_rank_dense" => rank(args, types, rows, true),
        "row_rank_min" => rank(args, types, rows, false),
        "row_window_session" => row_window_session(args, rows),
        other => Err(Error::internal(format!("a window function has no kernel: function={other}"))),
    }
}

fn arg(args: &[Arg], index: usize) -> Result<&Arg> {
    args.get(index).ok_or_else(|| Error::internal("a window function lacks an argument"))
}

/// The flag that starts the computation again.
fn restarts(args: &[Arg], index: usize) -> Result<Bools<'_>> {
    args.get(index).map_or(Ok(Bools::One(Some(false))), Bools::of)
}

/// The value `offset` rows away, else a default.
fn neighbour(args: &[Arg], out: Type, rows: usize, direction: i64) -> Result<ArrayRef> {
    let offsets = args.get(1).map_or(Ok(Longs::One(Some(1))), Longs::of)?;
    let default = match args.get(2) {
        None => value_to_array(&Value::Null(out), 1),
        Some(Arg::Scalar(value)) if value.ty() == out => value_to_array(value, 1),
        Some(Arg::Scalar(value)) => value_to_array(&crate::convert::convert_value(value, out)?, 1),
        Some(Arg::Array(_)) => return Err(Error::invalid("function.argument", "the default must be a constant")),
    };
    let values = arg(args, 0)?.to_array(rows);
    let place = |row: usize| {
        let at = (row as i64).checked_add(direction.checked_mul(offsets.get(row)?)?)?;
        usize::try_from(at).ok().filter(|at| *at < rows)
    };
    let indices: Vec<(usize, usize)> = (0..rows).map(|row| place(row).map_or((1, 0), |at| (0, at))).collect();
    Ok(interleave(&[values.as_ref(), default.as_ref()], &indices)?)
}

fn row_number(args: &[Arg], rows: usize) -> Result<ArrayRef> {
    let starts = args.first().map_or(Ok(Longs::One(Some(1))), Longs::of)?;
    let restarts = restarts(args, 1)?;
    let mut next = 0_i64;
    build::longs(Type::Long, rows, |row| {
        let restart = row == 0 || restarts.get(row) == Some(true);
        next = if restart { starts.get(row).unwrap_or(1) } else { next.wrapping_add(1) };
        Some(next)
    })
}

fn row_cumsum(args: &[Arg], out: Type, rows: usize) -> Result<ArrayRef> {
    let (values, restarts) = (arg(args, 0)?, restarts(args, 1)?);
    let restart = |row: usize| restarts.get(row) == Some(true);
    match out {
        Type::Real => {
            let (values, mut sum) = (Reals::of(values)?, 0.0);
            Ok(build::reals(rows, |row| {
                sum = if restart(row) { 0.0 } else { sum } + values.get(row).unwrap_or(0.0);
                Some(sum)
            }))
        }
        Type::Decimal => {
            let (values, mut sum) = (Decimals::of(values)?, 0_i128);
            build::decimals(rows, |row| {
                sum = if restart(row) { 0 } else { sum }.wrapping_add(values.get(row).unwrap_or(0));
                Some(sum)
            })
        }
        out => {
            let (values, mut sum) = (Longs::of(values)?, 0_i64);
            build::longs(out, rows, |row| {
                sum = if restart(row) { 0 } else { sum }.wrapping_add(values.get(row).unwrap_or(0));
                Some(sum)
            })
        }
    }
}

/// Dense: one more at each change. Minimal: the row's number at each change.
fn rank(args: &[Arg], types: &[Type], rows: usize, dense: bool) -> Result<ArrayRef> {
    let (values, restarts) = (arg(args, 0)?.to_array(rows), restarts(args, 1)?);
    let ty = types.first().copied().unwrap_or(Type::Dynamic);
    let (mut rank, mut number, mut last) = (0_i64, 0_i64, None);
    build::longs(Type::Long, rows, |row| {
        let value = array_value(values.as_ref(), row, ty);
        let restart = restarts.get(row) == Some(true);
        (rank, number) = if restart { (0, 1) } else { (rank, number + 1) };
        if restart || last.as_ref() != Some(&value) {
            rank = if dense { rank + 1 } else { number };
        }
        last = Some(value);
        Some(rank)
    })
}

/// A new session starts at a restart, or when the row is farther than the limits from the session's start or the row before.
fn row_window_session(args: &[Arg], rows: usize) -> Result<ArrayRef> {
    let (times, from_first, between) =
        (Longs::of(arg(args, 0)?)?, Longs::of(arg(args, 1)?)?, Longs::of(arg(args, 2)?)?);
    let restarts = restarts(args, 3)?;
    let (mut start, mut before): (Option<i64>, Option<i64>) = (None, None);
    build::longs(Type::Datetime, rows, |row| {
        let time = times.get(row)?;
        let within = |since: Option<i64>, limit: Option<i64>| {
            since.zip(limit).is_some_and(|(since, limit)| time.saturating_sub(since) <= limit)
        };
        let continues = within(start, from_first.get(row)) && within(before, between.get(row));
        if !continues || restarts.get(row) == Some(true) {
            start = Some(time);
        }
        before = Some(time);
        start
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longs(values: &[i64]) -> Arg {
        Arg::Array(std::sync::Arc::new(arrow::array::Int64Array::from(values.to_vec())))
    }

    fn flags(values: &[bool]) -> Arg {
        Arg::Array(std::sync::Arc::new(arrow::array::BooleanArray::from(values.to_vec())))
    }

    #[track_caller]
    fn check(function: &str, args: &[Arg], types: &[Type], expected: &[Option<i64>]) {
        let found = window(function, args, types, Type::Long, expected.len()).unwrap();
        let found: Vec<Option<i64>> = (0..expected.len())
            .map(|row| match array_value(found.as_ref(), row, Type::Long) {
                Value::Long(value) => Some(value),
                _ => None,
            })
            .collect();
        assert_eq!(found, expected, "{function}");
    }

    #[test]
    fn windows() {
        let values = longs(&[1, 2, 3]);
        check("prev", std::slice::from_ref(&values), &[Type::Long], &[None, Some(1), Some(2)]);
        let args = [values.clone(), Arg::Scalar(Value::Long(2)), Arg::Scalar(Value::Long(-1))];
        check("next", &args, &[Type::Long; 3], &[Some(3), Some(-1), Some(-1)]);
        check("row_number", &[], &[], &[Some(1), Some(2), Some(3)]);
        let restart = [Arg::Scalar(Value::Long(7)), flags(&[false, false, true])];
        check("row_number", &restart, &[Type::Long, Type::Bool], &[Some(7), Some(8), Some(7)]);
        check("row_cumsum", &[values], &[Type::Long], &[Some(1), Some(3), Some(6)]);
        check("row_rank_dense", &[longs(&[5, 5, 9])], &[Type::Long], &[Some(1), Some(1), Some(2)]);
        check("row_rank_min", &[longs(&[5, 5, 9])], &[Type::Long], &[Some(1), Some(1), Some(3)]);
    }
}
