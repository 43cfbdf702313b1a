//! Reading and merging the sketches that the aggregates `hll` and `tdigest` give. What is no such sketch gives null.

use arrow::array::ArrayRef;
use kyma_core::{Result, Type, Value};
use serde_json::Value as Json;

use super::{Kernel, kernel};
use crate::aggregate::digest::{Digest, Sketch};
use crate::value::to_json;
use crate::view::Jsons;
use crate::{Arg, Call, array_value, build, json as helpers};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("dcount_hll", |call| {
        let jsons = call.jsons(0)?;
        build::longs(Type::Long, call.rows, |row| Some(Sketch::of(jsons.get(row)?)?.count()))
    }),
    kernel("hll_merge", |call| merged(call, Sketch::of, Sketch::merge, |sketch| sketch.json())),
    kernel("merge_tdigest", |call| merged(call, Digest::of, Digest::merge, |mut digest| digest.json())),
    kernel("percentile_tdigest", percentile_tdigest),
    kernel("percentiles_array_tdigest", percentiles_array_tdigest),
    kernel("rank_tdigest", |call| rank(call, |at, _| at as f64)),
    kernel("percentrank_tdigest", |call| rank(call, |at, all| at as f64 * 100.0 / all as f64)),
];

/// All sketches of a row in one; nulls are skipped, sketches that do not fit together give null.
fn merged<S>(
    call: &Call<'_>,
    read: fn(&str) -> Option<S>,
    merge: impl Fn(&mut S, S) -> Option<usize>,
    write: impl Fn(S) -> Option<String>,
) -> Result<ArrayRef> {
    let views: Vec<Jsons<'_>> = (0..call.args.len()).map(|index| call.jsons(index)).collect::<Result<_>>()?;
    Ok(build::jsons(call.rows, |row| {
        let mut sketches = views.iter().filter_map(|view| view.get(row)).map(read);
        let mut all = sketches.next()??;
        for sketch in sketches {
            merge(&mut all, sketch?)?;
        }
        write(all)
    }))
}

fn percentile_tdigest(call: &Call<'_>) -> Result<ArrayRef> {
    let (digests, percents) = (call.jsons(0)?, call.reals(1)?);
    Ok(build::jsons(call.rows, |row| Some(to_json(&Digest::of(digests.get(row)?)?.value_at(percents.get(row)?)))))
}

/// Percentages one by one, or in an array.
fn percentiles_array_tdigest(call: &Call<'_>) -> Result<ArrayRef> {
    let views: Vec<Jsons<'_>> = (0..call.args.len()).map(|index| call.jsons(index)).collect::<Result<_>>()?;
    Ok(build::jsons(call.rows, |row| {
        let mut digest = Digest::of(views.first()?.get(row)?)?;
        let mut found = Vec::new();
        for view in views.iter().skip(1) {
            let percents = match helpers::parse(view.get(row)?)? {
                Json::Array(percents) => percents,
                one => vec![one],
            };
            for percent in &percents {
                found.push(to_json(&digest.value_at(helpers::real(percent)?)));
            }
        }
        Some(format!("[{}]", found.join(",")))
    }))
}

/// Of a value among those of a digest, which it is converted to the type of.
fn rank(call: &Call<'_>, result: impl Fn(u64, u64) -> f64) -> Result<ArrayRef> {
    let digests = call.jsons(0)?;
    let single = matches!(call.arg(1)?, Arg::Scalar(_));
    let values = call.arg(1)?.to_array(if single { 1 } else { call.rows });
    Ok(build::reals(call.rows, |row| {
        let mut digest = Digest::of(digests.get(row)?)?;
        let value: Value = array_value(values.as_ref(), if single { 0 } else { row }, call.ty(1));
        let value = crate::convert::convert_value(&value, digest.ty).ok()?;
        let (at, all) = digest.rank(&value)?;
        Some(result(at, all))
    }))
}
