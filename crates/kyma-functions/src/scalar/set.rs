//! Arrays as sets: elements in order of first appearance, numbers equal by value.

use std::collections::HashSet;

use arrow::array::ArrayRef;
use kyma_core::Result;
use serde_json::Value as Json;

use super::{Kernel, kernel};
use crate::view::Jsons;
use crate::{Arg, Call, build, json};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("set_union", |call| {
        combine(call, |sets| {
            let mut seen = HashSet::new();
            sets.into_iter().flatten().filter(|item| seen.insert(json::identity(item))).collect()
        })
    }),
    kernel("set_intersect", |call| {
        combine(call, |sets| {
            let others: Vec<HashSet<String>> = sets[1..].iter().map(|items| identities(items)).collect();
            let mut seen = HashSet::new();
            let common = |item: &Json| {
                let identity = json::identity(item);
                others.iter().all(|other| other.contains(&identity)) && seen.insert(identity)
            };
            sets.into_iter().next().unwrap_or_default().into_iter().filter(common).collect()
        })
    }),
    kernel("set_difference", |call| {
        combine(call, |sets| {
            let mut seen: HashSet<String> = sets[1..].iter().flat_map(|items| identities(items)).collect();
            let first = sets.into_iter().next().unwrap_or_default();
            first.into_iter().filter(|item| seen.insert(json::identity(item))).collect()
        })
    }),
    kernel("set_equals", |call| {
        let (a, b) = (call.jsons(0)?, call.jsons(1)?);
        Ok(build::bools(call.rows, |row| {
            Some(identities(&json::array(a.get(row)?)?) == identities(&json::array(b.get(row)?)?))
        }))
    }),
    kernel("set_has_element", set_has_element),
    kernel("jaccard_index", |call| {
        let (a, b) = (call.jsons(0)?, call.jsons(1)?);
        Ok(build::reals(call.rows, |row| {
            let (a, b) = (identities(&json::array(a.get(row)?)?), identities(&json::array(b.get(row)?)?));
            Some(a.intersection(&b).count() as f64 / a.union(&b).count() as f64)
        }))
    }),
];

fn identities(items: &[Json]) -> HashSet<String> {
    items.iter().map(json::identity).collect()
}

fn combine(call: &Call<'_>, function: impl Fn(Vec<Vec<Json>>) -> Vec<Json>) -> Result<ArrayRef> {
    let parts: Vec<Jsons<'_>> = (0..call.args.len()).map(|index| call.jsons(index)).collect::<Result<_>>()?;
    Ok(build::jsons(call.rows, |row| {
        let sets: Option<Vec<Vec<Json>>> = parts.iter().map(|part| part.get(row).and_then(json::array)).collect();
        Some(Json::Array(function(sets?)).to_string())
    }))
}

fn set_has_element(call: &Call<'_>) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    let single = matches!(call.arg(1)?, Arg::Scalar(_));
    let wanted = call.arg(1)?.to_array(if single { 1 } else { call.rows });
    Ok(build::bools(call.rows, |row| {
        let text = crate::value::json_at(wanted.as_ref(), if single { 0 } else { row }, call.ty(1));
        let wanted = json::parse(&text).unwrap_or(Json::Null);
        Some(json::array(jsons.get(row)?)?.iter().any(|item| json::same(item, &wanted)))
    }))
}
