//! Choice, null tests and the environment.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::interleave;
use kyma_core::{Error, Result, Type};

use super::{Kernel, impure, kernel};
use crate::convert::AnyText;
use crate::view::{Bools, Jsons, Longs, Reals, Texts};
use crate::{Arg, Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("not", |call| {
        let flags = call.bools(0)?;
        Ok(build::bools(call.rows, |row| flags.get(row).map(|flag| !flag)))
    }),
    kernel("iff", iff),
    kernel("case", case),
    kernel("coalesce", coalesce),
    kernel("max_of", |call| extreme_of(call, Ordering::Greater)),
    kernel("min_of", |call| extreme_of(call, Ordering::Less)),
    kernel("isnull", |call| {
        let nulls = Nulls::of(call)?;
        Ok(build::flags(call.rows, |row| nulls.is_null(row)))
    }),
    kernel("isnotnull", |call| {
        let nulls = Nulls::of(call)?;
        Ok(build::flags(call.rows, |row| !nulls.is_null(row)))
    }),
    kernel("isempty", |call| {
        let nulls = Nulls::of(call)?;
        Ok(build::flags(call.rows, |row| nulls.is_empty(row)))
    }),
    kernel("isnotempty", |call| {
        let nulls = Nulls::of(call)?;
        Ok(build::flags(call.rows, |row| !nulls.is_empty(row)))
    }),
    // Over a table these become columns of its scan.
    kernel("ingestion_time", |call| Ok(new_null_array(&call.out.arrow(), call.rows))),
    kernel("extent_id", |call| build::guids(call.rows, |_| Some(0))),
    kernel("extent_row", |call| Ok(new_null_array(&call.out.arrow(), call.rows))),
    kernel("extent_tags", |call| Ok(new_null_array(&call.out.arrow(), call.rows))),
    impure("assert", assert),
    kernel("gettype", gettype),
    kernel("estimate_data_size", estimate_data_size),
];

/// Which values are null, and which are empty.
enum Nulls<'a> {
    Text(Texts<'a>),
    Json(Jsons<'a>),
    Other(&'a Arg),
}

impl<'a> Nulls<'a> {
    fn of(call: &Call<'a>) -> Result<Nulls<'a>> {
        Ok(match call.ty(0) {
            Type::String => Nulls::Text(call.texts(0)?),
            Type::Dynamic => Nulls::Json(call.jsons(0)?),
            _ => Nulls::Other(call.arg(0)?),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Nulls::Text(_) => false,
            Nulls::Json(jsons) => jsons.get(row).is_none(),
            Nulls::Other(Arg::Scalar(value)) => value.is_null(),
            Nulls::Other(Arg::Array(array)) => array.is_null(row),
        }
    }

    fn is_empty(&self, row: usize) -> bool {
        match self {
            Nulls::Text(texts) => texts.get(row).is_empty(),
            Nulls::Json(jsons) => jsons.get(row).is_none_or(|json| json == "\"\""),
            Nulls::Other(_) => self.is_null(row),
        }
    }
}

/// Takes row by row from one of the arguments: scalars have one value, arrays one per row.
fn pick(call: &Call<'_>, mut choose: impl FnMut(usize) -> Option<usize>) -> Result<ArrayRef> {
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(call.args.len() + 1);
    for (arg, ty) in call.args.iter().zip(call.types) {
        let usable = *ty == call.out;
        arrays.push(match arg {
            Arg::Array(array) if usable => array.clone(),
            Arg::Scalar(value) if usable => crate::value_to_array(value, 1),
            Arg::Scalar(value) if value.is_null() => crate::value_to_array(&kyma_core::Value::Null(call.out), 1),
            _ => arrow::array::new_null_array(&call.out.arrow(), 1),
        });
    }
    let null = arrays.len();
    arrays.push(crate::value_to_array(&kyma_core::Value::Null(call.out), 1));
    let indices: Vec<(usize, usize)> = (0..call.rows)
        .map(|row| match choose(row) {
            Some(arg) if matches!(call.args[arg], Arg::Array(_)) => (arg, row),
            Some(arg) => (arg, 0),
            None => (null, 0),
        })
        .collect();
    let references: Vec<&dyn Array> = arrays.iter().map(|array| array.as_ref()).collect();
    Ok(interleave(&references, &indices)?)
}

fn iff(call: &Call<'_>) -> Result<ArrayRef> {
    let conditions = call.bools(0)?;
    pick(call, |row| Some(if conditions.get(row) == Some(true) { 1 } else { 2 }))
}

fn case(call: &Call<'_>) -> Result<ArrayRef> {
    let last = call.args.len() - 1;
    let pairs = last / 2;
    let conditions: Vec<Bools<'_>> = (0..pairs).map(|pair| call.bools(pair * 2)).collect::<Result<_>>()?;
    pick(call, |row| {
        let first = conditions.iter().position(|condition| condition.get(row) == Some(true));
        Some(first.map_or(last, |pair| pair * 2 + 1))
    })
}

fn coalesce(call: &Call<'_>) -> Result<ArrayRef> {
    let views: Vec<Nulls<'_>> = (0..call.args.len())
        .map(|index| Nulls::of(&Call { args: &call.args[index..], types: &call.types[index..], ..*call }))
        .collect::<Result<_>>()?;
    let last = views.len() - 1;
    let absent = |view: &Nulls<'_>, row| match view {
        Nulls::Text(_) => view.is_empty(row),
        _ => view.is_null(row),
    };
    pick(call, |row| Some(views.iter().position(|view| !absent(view, row)).unwrap_or(last)))
}

fn extreme_of(call: &Call<'_>, wanted: Ordering) -> Result<ArrayRef> {
    let mut best: Vec<Option<usize>> = vec![None; call.rows];
    for (index, arg) in call.args.iter().enumerate() {
        let against = |order: &dyn Fn(usize, usize) -> Option<Ordering>,
                       null: &dyn Fn(usize) -> bool,
                       best: &mut Vec<Option<usize>>| {
            for (row, best) in best.iter_mut().enumerate().filter(|(row, _)| !null(*row)) {
                let better = best.is_none_or(|other| order(row, other) == Some(wanted));
                if better {
                    *best = Some(index);
                }
            }
        };
        match call.out {
            Type::Real | Type::Decimal => {
                let all: Vec<Reals<'_>> = call.args.iter().map(Reals::of).collect::<Result<_>>()?;
                let order = |row: usize, other: usize| all[index].get(row)?.partial_cmp(&all[other].get(row)?);
                against(&order, &|row| all[index].get(row).is_none(), &mut best);
            }
            Type::Int | Type::Long | Type::Datetime | Type::Timespan => {
                let all: Vec<Longs<'_>> = call.args.iter().map(Longs::of).collect::<Result<_>>()?;
                let order = |row: usize, other: usize| Some(all[index].get(row)?.cmp(&all[other].get(row)?));
                against(&order, &|row| all[index].get(row).is_none(), &mut best);
            }
            Type::String | Type::Guid | Type::Bool => {
                let ty = call.out;
                let all: Vec<AnyText<'_>> = call.args.iter().map(|arg| AnyText::of(arg, ty)).collect::<Result<_>>()?;
                let order = |row: usize, other: usize| Some(all[index].get(row).cmp(&all[other].get(row)));
                let types = [ty];
                let nulls = Nulls::of(&Call { args: std::slice::from_ref(arg), types: &types, ..*call })?;
                against(&order, &|row| nulls.is_null(row), &mut best);
            }
            Type::Dynamic => {
                return Err(Error::invalid("function.argument", "dynamic values have no order: convert them first"));
            }
        }
    }
    pick(call, |row| best[row])
}

fn assert(call: &Call<'_>) -> Result<ArrayRef> {
    let (conditions, messages) = (call.bools(0)?, call.texts(1)?);
    for row in 0..call.rows {
        if conditions.get(row) != Some(true) {
            return Err(Error::invalid("query.assertion", format!("assertion failed: {}", messages.get(row))));
        }
    }
    Ok(build::flags(call.rows, |_| true))
}

fn gettype(call: &Call<'_>) -> Result<ArrayRef> {
    match call.ty(0) {
        Type::Dynamic => {
            let jsons = call.jsons(0)?;
            Ok(build::texts(call.rows, |row| jsons.get(row).map_or("null", kyma_core::dynamic::kind)))
        }
        ty => Ok(build::texts(call.rows, |_| ty.name())),
    }
}

fn estimate_data_size(call: &Call<'_>) -> Result<ArrayRef> {
    let mut sizes = vec![0_i64; call.rows];
    for (arg, ty) in call.args.iter().zip(call.types) {
        let fixed = match ty {
            Type::Bool => 1,
            Type::Int => 4,
            Type::Long | Type::Real | Type::Datetime | Type::Timespan => 8,
            Type::Decimal | Type::Guid => 16,
            Type::String | Type::Dynamic => 0,
        };
        let texts = (fixed == 0).then(|| Texts::of(arg)).transpose()?;
        for (row, size) in sizes.iter_mut().enumerate() {
            *size += texts.as_ref().map_or(fixed, |texts| texts.get(row).len() as i64);
        }
    }
    build::longs(Type::Long, call.rows, |row| Some(sizes[row]))
}
