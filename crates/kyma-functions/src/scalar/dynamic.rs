//! Arrays and bags.

use arrow::array::ArrayRef;
use kyma_core::dynamic::quote;
use kyma_core::{Error, Result, Type, time};
use serde_json::{Map, Value as Json};

use super::{Kernel, kernel};
use crate::limits::ARRAY_ELEMENTS_MAX;
use crate::value::{json_at, real_to_json};
use crate::view::{Jsons, Reals};
use crate::{Arg, Call, build, json};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("array_length", |call| {
        let jsons = call.jsons(0)?;
        build::longs(Type::Long, call.rows, |row| {
            kyma_core::dynamic::array_length(jsons.get(row)?).map(|length| length as i64)
        })
    }),
    kernel("array_concat", array_concat),
    kernel("array_iff", array_iff),
    kernel("array_index_of", array_index_of),
    kernel("array_reverse", |call| {
        arrays(call, |mut items, _| {
            items.reverse();
            Some(items)
        })
    }),
    kernel("array_rotate_left", |call| rotate(call, 1)),
    kernel("array_rotate_right", |call| rotate(call, -1)),
    kernel("array_shift_left", |call| shift(call, 1)),
    kernel("array_shift_right", |call| shift(call, -1)),
    kernel("array_slice", array_slice),
    kernel("array_split", array_split),
    kernel("array_sort_asc", |call| array_sort(call, false)),
    kernel("array_sort_desc", |call| array_sort(call, true)),
    kernel("array_sum", |call| {
        let jsons = call.jsons(0)?;
        Ok(build::reals(call.rows, |row| {
            json::array(jsons.get(row)?)?.iter().filter(|item| !item.is_null()).map(json::real).sum()
        }))
    }),
    kernel("bag_has_key", bag_has_key),
    kernel("bag_keys", |call| {
        let jsons = call.jsons(0)?;
        Ok(build::jsons(call.rows, |row| {
            let members = json::bag(jsons.get(row)?)?;
            Some(super::text::quoted(members.keys().map(String::as_str)))
        }))
    }),
    kernel("bag_merge", bag_merge),
    kernel("bag_pack", |call| pack(call, false)),
    kernel("pack_all", pack_all),
    kernel("bag_remove_keys", bag_remove_keys),
    kernel("bag_set_key", bag_set_key),
    kernel("bag_zip", bag_zip),
    kernel("pack_array", pack_array),
    kernel("repeat", repeat),
    kernel("range", range),
    kernel("treepath", treepath),
    kernel("zip", zip),
];

/// A function of one array (and of the row's number, to read further arguments).
fn arrays(call: &Call<'_>, function: impl Fn(Vec<Json>, usize) -> Option<Vec<Json>>) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    Ok(build::jsons(call.rows, |row| {
        let items = json::array(jsons.get(row)?)?;
        function(items, row).map(|items| Json::Array(items).to_string())
    }))
}

fn array_concat(call: &Call<'_>) -> Result<ArrayRef> {
    let parts: Vec<Jsons<'_>> = (0..call.args.len()).map(|index| call.jsons(index)).collect::<Result<_>>()?;
    Ok(build::jsons(call.rows, |row| {
        let mut all = Vec::new();
        let mut some = false;
        for part in &parts {
            if let Some(items) = part.get(row).and_then(json::array) {
                some = true;
                all.extend(items);
            }
        }
        (some && all.len() <= ARRAY_ELEMENTS_MAX).then(|| Json::Array(all).to_string())
    }))
}

/// Any argument as JSON per row.
struct Elements {
    array: ArrayRef,
    ty: Type,
    single: bool,
}

impl Elements {
    fn of(call: &Call<'_>, index: usize) -> Result<Elements> {
        let arg = call.arg(index)?;
        let single = matches!(arg, Arg::Scalar(_));
        Ok(Elements { array: arg.to_array(if single { 1 } else { call.rows }), ty: call.ty(index), single })
    }

    fn text(&self, row: usize) -> String {
        json_at(self.array.as_ref(), if self.single { 0 } else { row }, self.ty)
    }

    fn get(&self, row: usize) -> Json {
        json::parse(&self.text(row)).unwrap_or(Json::Null)
    }
}

fn array_iff(call: &Call<'_>) -> Result<ArrayRef> {
    let (conditions, yes, no) = (call.jsons(0)?, Elements::of(call, 1)?, Elements::of(call, 2)?);
    let item = |from: &Json, at: usize| match from {
        Json::Array(items) => items.get(at).cloned().unwrap_or(Json::Null),
        scalar => scalar.clone(),
    };
    Ok(build::jsons(call.rows, |row| {
        let (yes, no) = (yes.get(row), no.get(row));
        let conditions = json::array(conditions.get(row)?)?;
        let chosen = conditions.iter().enumerate().map(|(at, condition)| match condition {
            Json::Bool(flag) => item(if *flag { &yes } else { &no }, at),
            Json::Number(number) => item(if number.as_f64() != Some(0.0) { &yes } else { &no }, at),
            _ => Json::Null,
        });
        Some(Json::Array(chosen.collect()).to_string())
    }))
}

fn array_index_of(call: &Call<'_>) -> Result<ArrayRef> {
    let (jsons, wanted) = (call.jsons(0)?, Elements::of(call, 1)?);
    let (starts, lengths, nths) = (call.longs_or(2, Some(0))?, call.longs_or(3, Some(-1))?, call.longs_or(4, Some(1))?);
    build::longs(Type::Long, call.rows, |row| {
        let items = json::array(jsons.get(row)?)?;
        let (start, length, nth) = (starts.get(row)?, lengths.get(row)?, nths.get(row)?);
        if nth < 1 || length < -1 {
            return None;
        }
        let start = if start < 0 { items.len().saturating_sub(start.unsigned_abs() as usize) } else { start as usize };
        let length = if length < 0 { usize::MAX } else { length as usize };
        let wanted = wanted.get(row);
        let places = items.iter().enumerate().skip(start).take(length);
        let found = places.filter(|(_, item)| json::same(item, &wanted)).nth(nth as usize - 1);
        Some(found.map_or(-1, |(at, _)| at as i64))
    })
}

fn rotate(call: &Call<'_>, sign: i64) -> Result<ArrayRef> {
    let counts = call.longs(1)?;
    arrays(call, |mut items, row| {
        if !items.is_empty() {
            let by = (sign * counts.get(row)? % items.len() as i64).rem_euclid(items.len() as i64);
            items.rotate_left(by as usize);
        }
        Some(items)
    })
}

fn shift(call: &Call<'_>, sign: i64) -> Result<ArrayRef> {
    let counts = call.longs(1)?;
    let fill = call.has(2).then(|| Elements::of(call, 2)).transpose()?;
    arrays(call, |items, row| {
        let by = sign.checked_mul(counts.get(row)?)?;
        let fill = fill.as_ref().map_or(Json::Null, |fill| fill.get(row));
        let at = |place: i64| usize::try_from(place.checked_add(by)?).ok();
        let shifted = (0..items.len() as i64)
            .map(|place| at(place).and_then(|at| items.get(at)).cloned().unwrap_or(fill.clone()));
        Some(shifted.collect())
    })
}

/// A position from the start, or from the end when negative, held inside `0..=length`.
fn position(at: i64, length: usize) -> usize {
    if at < 0 { length.saturating_sub(at.unsigned_abs() as usize) } else { length.min(at as usize) }
}

fn array_slice(call: &Call<'_>) -> Result<ArrayRef> {
    let (starts, ends) = (call.longs(1)?, call.longs(2)?);
    arrays(call, |items, row| {
        let (start, end) = (starts.get(row)?, ends.get(row)?);
        let last = if end < 0 { items.len() as i64 + end } else { end };
        let start = position(start, items.len());
        let stop = usize::try_from(last.saturating_add(1)).unwrap_or(0).min(items.len());
        Some(items.get(start..stop.max(start)).unwrap_or_default().to_vec())
    })
}

fn array_split(call: &Call<'_>) -> Result<ArrayRef> {
    let borders = Elements::of(call, 1)?;
    arrays(call, |items, row| {
        let places: Vec<i64> = match borders.get(row) {
            Json::Array(places) => places.iter().filter_map(Json::as_i64).collect(),
            Json::Number(place) => place.as_i64().into_iter().collect(),
            _ => return None,
        };
        let (mut pieces, mut from) = (Vec::new(), 0);
        for place in places {
            let to = position(place, items.len()).max(from);
            pieces.push(Json::Array(items[from..to].to_vec()));
            from = to;
        }
        pieces.push(Json::Array(items[from..].to_vec()));
        Some(pieces)
    })
}

/// Sorts an array; with several arrays the others are put in the same order, and all of them are the result.
///
/// A truth value at the end says whether nulls come last.
fn sort_together(call: &Call<'_>, count: usize, descending: bool) -> Result<ArrayRef> {
    let nulls_last = call.bools_or(count, true)?;
    let jsons = (0..count).map(|index| call.jsons(index)).collect::<Result<Vec<_>>>()?;
    Ok(build::jsons(call.rows, |row| {
        let arrays: Vec<Vec<Json>> =
            jsons.iter().map(|jsons| jsons.get(row).and_then(json::array).unwrap_or_default()).collect();
        let keys = &arrays[0];
        let last = nulls_last.get(row) != Some(false);
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by(|&a, &b| match (keys[a].is_null(), keys[b].is_null()) {
            (false, false) if descending => json::compare(&keys[b], &keys[a]),
            (false, false) => json::compare(&keys[a], &keys[b]),
            (a, b) if last => a.cmp(&b),
            (a, b) => b.cmp(&a),
        });
        // Arrays of another length cannot take the order over.
        let sorted = arrays.iter().map(|array| match array.len() == order.len() {
            true => order.iter().map(|&at| array[at].clone()).collect::<Json>(),
            false => Json::Null,
        });
        Some(sorted.collect::<Json>().to_string())
    }))
}

fn array_sort(call: &Call<'_>, descending: bool) -> Result<ArrayRef> {
    let count = call.types.iter().filter(|ty| **ty != Type::Bool).count();
    let nulls_last = call.bools_or(count, true)?;
    if count > 1 {
        return sort_together(call, count, descending);
    }
    arrays(call, |items, row| {
        let (nulls, mut sorted): (Vec<Json>, Vec<Json>) = items.into_iter().partition(Json::is_null);
        sorted.sort_by(json::compare);
        if descending {
            sorted.reverse();
        }
        let last = nulls_last.get(row) != Some(false);
        Some(if last { sorted.into_iter().chain(nulls).collect() } else { nulls.into_iter().chain(sorted).collect() })
    })
}

/// The keys of a path: `$.a.b` or one plain key.
pub(super) fn key_path(text: &str) -> Vec<String> {
    let Some(rest) = text.strip_prefix("$") else { return vec![text.to_owned()] };
    let mut keys = Vec::new();
    let mut rest = rest;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['").or_else(|| rest.strip_prefix("[\"")) {
            let end = quoted.find(['\'', '"']).unwrap_or(quoted.len());
            keys.push(quoted[..end].to_owned());
            rest = quoted.get(end + 2..).unwrap_or("");
        } else if let Some(index) = rest.strip_prefix('[') {
            let end = index.find(']').unwrap_or(index.len());
            keys.push(index[..end].to_owned());
            rest = index.get(end + 1..).unwrap_or("");
        } else {
            let plain = rest.trim_start_matches('.');
            let end = plain.find(['.', '[']).unwrap_or(plain.len());
            if end > 0 {
                keys.push(plain[..end].to_owned());
            }
            rest = if end == 0 && plain.len() == rest.len() { "" } else { &plain[end..] };
        }
    }
    keys
}

fn bag_has_key(call: &Call<'_>) -> Result<ArrayRef> {
    let (jsons, keys) = (call.jsons(0)?, call.texts(1)?);
    Ok(build::bools(call.rows, |row| {
        let members = json::bag(jsons.get(row)?)?;
        let mut at = &Json::Object(members);
        for key in key_path(keys.get(row)) {
            match at.get(&key) {
                Some(member) => at = member,
                None => return Some(false),
            }
        }
        Some(true)
    }))
}

fn bag_merge(call: &Call<'_>) -> Result<ArrayRef> {
    let bags: Vec<Jsons<'_>> = (0..call.args.len()).map(|index| call.jsons(index)).collect::<Result<_>>()?;
    Ok(build::jsons(call.rows, |row| {
        let mut merged: Option<Map<String, Json>> = None;
        for members in bags.iter().filter_map(|bag| bag.get(row).and_then(json::bag)) {
            let merged = merged.get_or_insert_default();
            members.into_iter().for_each(|(key, value)| _ = merged.entry(key).or_insert(value));
        }
        merged.map(|members| Json::Object(members).to_string())
    }))
}

/// As `bag_pack`; a truth value after all pairs says whether nulls and empty strings are left out.
fn pack_all(call: &Call<'_>) -> Result<ArrayRef> {
    let pairs = call.args.len() & !1;
    let leaves_out = call.has(pairs) && call.bools(pairs)?.get(0) == Some(true);
    pack(&Call { args: &call.args[..pairs], types: &call.types[..pairs], ..*call }, leaves_out)
}

/// Alternating keys and values; the first of equal keys counts.
fn pack(call: &Call<'_>, leaves_out_empty: bool) -> Result<ArrayRef> {
    if !call.args.len().is_multiple_of(2) {
        return Err(Error::invalid("function.argument", "a bag needs as many values as keys"));
    }
    let pairs: Vec<(crate::convert::AnyText<'_>, Elements)> = (0..call.args.len())
        .step_by(2)
        .map(|at| Ok((crate::convert::AnyText::of(call.arg(at)?, call.ty(at))?, Elements::of(call, at + 1)?)))
        .collect::<Result<_>>()?;
    Ok(build::jsons(call.rows, |row| {
        let mut out = String::from("{");
        let mut seen: Vec<String> = Vec::with_capacity(pairs.len());
        for (keys, values) in &pairs {
            let key = keys.get(row);
            let value = values.text(row);
            if leaves_out_empty && matches!(value.as_str(), "null" | "\"\"") {
                continue;
            }
            if seen.iter().any(|before| *before == key) {
                continue;
            }
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&quote(&key));
            out.push(':');
            out.push_str(&value);
            seen.push(key.into_owned());
        }
        out.push('}');
        Some(out)
    }))
}

fn bag_remove_keys(call: &Call<'_>) -> Result<ArrayRef> {
    let (jsons, keys) = (call.jsons(0)?, call.jsons(1)?);
    Ok(build::jsons(call.rows, |row| {
        let mut bag = Json::Object(json::bag(jsons.get(row)?)?);
        for key in keys.get(row).and_then(json::array).unwrap_or_default() {
            remove(&mut bag, &key_path(&json::plain(&key)));
        }
        Some(bag.to_string())
    }))
}

fn remove(value: &mut Json, path: &[String]) {
    match (value, path) {
        (Json::Object(members), [key]) => _ = members.shift_remove(key),
        (Json::Object(members), [key, rest @ ..]) => {
            if let Some(member) = members.get_mut(key) {
                remove(member, rest);
            }
        }
        _ => {}
    }
}

/// A key that is set again moves to the end, as in Kusto.
fn bag_set_key(call: &Call<'_>) -> Result<ArrayRef> {
    let (jsons, keys, values) = (call.jsons(0)?, call.texts(1)?, Elements::of(call, 2)?);
    Ok(build::jsons(call.rows, |row| {
        let mut bag = json::bag(jsons.get(row)?)?;
        set(&mut bag, &key_path(keys.get(row)), values.get(row));
        Some(Json::Object(bag).to_string())
    }))
}

fn set(bag: &mut Map<String, Json>, path: &[String], value: Json) {
    match path {
        [] => {}
        [key] => {
            bag.shift_remove(key);
            bag.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            if let Json::Object(inner) = bag.entry(key.clone()).or_insert_with(|| Json::Object(Map::new())) {
                set(inner, rest, value);
            }
        }
    }
}

fn bag_zip(call: &Call<'_>) -> Result<ArrayRef> {
    let (keys, values) = (call.jsons(0)?, call.jsons(1)?);
    Ok(build::jsons(call.rows, |row| {
        let (keys, values) = (json::array(keys.get(row)?)?, json::array(values.get(row)?)?);
        let mut bag = Map::new();
        for (at, key) in keys.iter().enumerate() {
            if let Json::String(key) = key {
                bag.insert(key.clone(), values.get(at).cloned().unwrap_or(Json::Null));
            }
        }
        Some(Json::Object(bag).to_string())
    }))
}

fn pack_array(call: &Call<'_>) -> Result<ArrayRef> {
    let items: Vec<Elements> = (0..call.args.len()).map(|index| Elements::of(call, index)).collect::<Result<_>>()?;
    Ok(build::jsons(call.rows, |row| {
        let texts: Vec<String> = items.iter().map(|item| item.text(row)).collect();
        Some(format!("[{}]", texts.join(",")))
    }))
}

fn repeat(call: &Call<'_>) -> Result<ArrayRef> {
    let (values, counts) = (Elements::of(call, 0)?, call.longs(1)?);
    Ok(build::jsons(call.rows, |row| {
        let count = usize::try_from(counts.get(row)?).ok()?.min(ARRAY_ELEMENTS_MAX);
        Some(format!("[{}]", vec![values.text(row); count].join(",")))
    }))
}

/// `range(start, stop, step)` of numbers, datetimes or timespans. Without a step: 1, or an hour for times.
fn range(call: &Call<'_>) -> Result<ArrayRef> {
    let times = matches!(call.ty(0), Type::Datetime | Type::Timespan);
    let real = call.types.iter().any(|ty| matches!(ty, Type::Real | Type::Decimal | Type::Dynamic));
    if real && !times {
        return range_of_reals(call);
    }
    let default = if times { time::HOUR } else { 1 };
    let (starts, stops, steps) = (call.longs(0)?, call.longs(1)?, call.longs_or(2, Some(default))?);
    Ok(build::jsons(call.rows, |row| {
        let (mut at, stop, step) = (starts.get(row)?, stops.get(row)?, steps.get(row)?);
        let mut items = Vec::new();
        while step != 0 && items.len() < ARRAY_ELEMENTS_MAX && (step > 0 && at <= stop || step < 0 && at >= stop) {
            items.push(match call.ty(0) {
                Type::Datetime => quote(&time::format_datetime(at)),
                Type::Timespan => quote(&time::format_timespan(at)),
                _ => at.to_string(),
            });
            match at.checked_add(step) {
                Some(next) => at = next,
                None => break,
            }
        }
        Some(format!("[{}]", items.join(",")))
    }))
}

fn range_of_reals(call: &Call<'_>) -> Result<ArrayRef> {
    let converted: Vec<Arg> = call
        .args
        .iter()
        .zip(call.types)
        .map(|(arg, ty)| crate::convert(arg, *ty, Type::Real, call.rows).map(Arg::Array))
        .collect::<Result<_>>()?;
    let views: Vec<Reals<'_>> = converted.iter().map(Reals::of).collect::<Result<_>>()?;
    let whole = call.types.iter().all(|ty| *ty != Type::Real && *ty != Type::Decimal);
    Ok(build::jsons(call.rows, |row| {
        let (start, stop) = (views[0].get(row)?, views[1].get(row)?);
        let step = views.get(2).map_or(Some(1.0), |steps| steps.get(row))?;
        let count = ((stop - start) / step + 1e-9).floor();
        if !count.is_finite() || count < 0.0 {
            return Some(String::from("[]"));
        }
        let count = (count as usize + 1).min(ARRAY_ELEMENTS_MAX);
        let value = |at: usize| start + step * at as f64;
        let text = |at: usize| if whole { (value(at) as i64).to_string() } else { real_to_json(value(at)) };
        Some(format!("[{}]", (0..count).map(text).collect::<Vec<_>>().join(",")))
    }))
}

fn treepath(call: &Call<'_>) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    Ok(build::jsons(call.rows, |row| {
        let mut paths = Vec::new();
        walk(&json::parse(jsons.get(row)?)?, "", &mut paths);
        Some(super::text::quoted(paths.iter().map(String::as_str)))
    }))
}

fn walk(value: &Json, at: &str, paths: &mut Vec<String>) {
    let mut visit = |path: String, value: &Json| {
        if !paths.contains(&path) {
            paths.push(path.clone());
        }
        walk(value, &path, paths);
    };
    match value {
        Json::Object(members) => members.iter().for_each(|(key, value)| visit(format!("{at}['{key}']"), value)),
        Json::Array(items) => items.iter().for_each(|value| visit(format!("{at}[0]"), value)),
        _ => {}
    }
}

fn zip(call: &Call<'_>) -> Result<ArrayRef> {
    let parts: Vec<Jsons<'_>> = (0..call.args.len()).map(|index| call.jsons(index)).collect::<Result<_>>()?;
    Ok(build::jsons(call.rows, |row| {
        let columns: Vec<Vec<Json>> =
            parts.iter().map(|part| part.get(row).and_then(json::array)).collect::<Option<_>>()?;
        let length = columns.iter().map(Vec::len).max().unwrap_or(0);
        let tuple =
            |at: usize| columns.iter().map(|column| column.get(at).cloned().unwrap_or(Json::Null)).collect::<Json>();
        Some((0..length).map(tuple).collect::<Json>().to_string())
    }))
}
