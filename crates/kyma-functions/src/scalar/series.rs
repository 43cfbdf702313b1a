//! Series: arrays of numbers, null where a value is missing.

pub(super) mod decompose;
pub(super) mod filter;
pub(super) mod fit;
pub(super) mod fourier;
pub(super) mod outliers;
pub(super) mod periods;

use arrow::array::ArrayRef;
use kyma_core::{Result, Type};
use serde_json::{Value as Json, json};

use super::{Kernel, kernel};
use crate::view::Jsons;
use crate::{Call, build, json as helpers};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("series_stats_dynamic", series_stats),
    kernel("series_fill_const", |call| {
        fill(call, 2, |items, missing, argument| {
            let constant = argument(1);
            items.iter().map(|item| if missing(item) { constant.clone() } else { item.clone() }).collect()
        })
    }),
    kernel("series_fill_forward", |call| fill(call, 1, |items, missing, _| forward(items.iter(), missing))),
    kernel("series_fill_backward", |call| {
        fill(call, 1, |items, missing, _| {
            let mut filled = forward(items.iter().rev(), missing);
            filled.reverse();
            filled
        })
    }),
    kernel("series_fill_linear", |call| fill(call, 1, linear)),
    kernel("series_add", |call| pairs(call, |a, b| number(a + b))),
    kernel("series_subtract", |call| pairs(call, |a, b| number(a - b))),
    kernel("series_multiply", |call| pairs(call, |a, b| number(a * b))),
    kernel("series_divide", |call| pairs(call, |a, b| helpers::from_real(a / b))),
    kernel("series_pow", |call| pairs(call, |a, b| helpers::from_real(a.powf(b)))),
    kernel("series_equals", |call| pairs(call, |a, b| Json::Bool(a == b))),
    kernel("series_not_equals", |call| pairs(call, |a, b| Json::Bool(a != b))),
    kernel("series_less", |call| pairs(call, |a, b| Json::Bool(a < b))),
    kernel("series_less_equals", |call| pairs(call, |a, b| Json::Bool(a <= b))),
    kernel("series_greater", |call| pairs(call, |a, b| Json::Bool(a > b))),
    kernel("series_greater_equals", |call| pairs(call, |a, b| Json::Bool(a >= b))),
    kernel("series_abs", |call| each_number(call, |x| number(x.abs()))),
    kernel("series_acos", |call| each_real(call, f64::acos)),
    kernel("series_asin", |call| each_real(call, f64::asin)),
    kernel("series_atan", |call| each_real(call, f64::atan)),
    kernel("series_ceiling", |call| each_number(call, |x| number(x.ceil()))),
    kernel("series_cos", |call| each_real(call, f64::cos)),
    kernel("series_exp", |call| each_real(call, f64::exp)),
    kernel("series_floor", |call| each_number(call, |x| number(x.floor()))),
    kernel("series_log", |call| each_real(call, f64::ln)),
    kernel("series_sign", |call| each_number(call, |x| number(if x == 0.0 { 0.0 } else { x.signum() }))),
    kernel("series_sin", |call| each_real(call, f64::sin)),
    kernel("series_tan", |call| each_real(call, f64::tan)),
    kernel("series_sum", |call| fold(call, |values| values.iter().sum())),
    kernel("series_product", |call| fold(call, |values| values.iter().product())),
    kernel("series_magnitude", |call| fold(call, |values| values.iter().map(|x| x * x).sum::<f64>().sqrt())),
    kernel("series_dot_product", |call| fold2(call, dot)),
    kernel("series_cosine_similarity", |call| fold2(call, |a, b| dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt()))),
    kernel("series_pearson_correlation", |call| fold2(call, pearson)),
];

/// A number as a JSON integer where it is whole (element-wise functions of integers stay integers).
fn number(value: f64) -> Json {
    if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { helpers::from_real(value) }
}

/// The elements with nulls where they are no numbers.
fn reals(items: &[Json]) -> Vec<Option<f64>> {
    items.iter().map(helpers::real).collect()
}

/// The numbers of a JSON array of nothing else.
fn whole_series(json: &str) -> Option<Vec<f64>> {
    reals(&helpers::array(json)?).into_iter().collect()
}

/// A JSON array of floats.
fn json_reals(values: impl IntoIterator<Item = f64>) -> Json {
    values.into_iter().map(helpers::from_real).collect()
}

/// The value below which a share of the normal distribution lies, by bisection: exact to the last few bits.
fn normal_quantile(share: f64) -> f64 {
    let below = |x: f64| super::special::erfc(-x / std::f64::consts::SQRT_2) / 2.0;
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if below(middle) < share { low = middle } else { high = middle }
    }
    low
}

/// Whether any element is written as a float.
fn is_real(items: &[Json]) -> bool {
    items.iter().any(|item| item.is_f64())
}

/// A result in the kind of its inputs: floats stay floats.
fn in_kind(value: Json, real: bool) -> Json {
    match (real, value.as_i64()) {
        (true, Some(whole)) => helpers::from_real(whole as f64),
        _ => value,
    }
}

fn each(call: &Call<'_>, function: impl Fn(f64) -> Json, keep_kind: bool) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    Ok(build::jsons(call.rows, |row| {
        let items = helpers::array(jsons.get(row)?)?;
        let real = keep_kind && is_real(&items);
        let results = reals(&items).into_iter().map(|x| x.map_or(Json::Null, |x| in_kind(function(x), real)));
        Some(results.collect::<Json>().to_string())
    }))
}

fn each_number(call: &Call<'_>, function: impl Fn(f64) -> Json) -> Result<ArrayRef> {
    each(call, function, true)
}

fn each_real(call: &Call<'_>, function: impl Fn(f64) -> f64) -> Result<ArrayRef> {
    each(call, |x| helpers::from_real(function(x)), false)
}

/// A series, or one number that stands for a series of any length.
fn operand(jsons: &Jsons<'_>, row: usize) -> Option<Json> {
    jsons.get(row).and_then(helpers::parse).filter(|value| value.is_array() || value.is_number())
}

fn pairs(call: &Call<'_>, function: impl Fn(f64, f64) -> Json) -> Result<ArrayRef> {
    let (a, b) = (call.jsons(0)?, call.jsons(1)?);
    Ok(build::jsons(call.rows, |row| {
        let (a, b) = (operand(&a, row)?, operand(&b, row)?);
        let length = |value: &Json| value.as_array().map_or(0, Vec::len);
        let at = |value: &Json, at: usize| match value {
            Json::Array(items) => items.get(at).and_then(helpers::real),
            scalar => helpers::real(scalar),
        };
        let float = |value: &Json| value.is_f64() || value.as_array().is_some_and(|items| is_real(items));
        let real = float(&a) || float(&b);
        let result = |place: usize| match (at(&a, place), at(&b, place)) {
            (Some(a), Some(b)) => in_kind(function(a, b), real),
            _ => Json::Null,
        };
        Some((0..length(&a).max(length(&b))).map(result).collect::<Json>().to_string())
    }))
}

fn fold(call: &Call<'_>, function: impl Fn(&[f64]) -> f64) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    Ok(build::reals(call.rows, |row| {
        let values: Option<Vec<f64>> = reals(&helpers::array(jsons.get(row)?)?).into_iter().collect();
        values.map(|values| function(&values))
    }))
}

fn fold2(call: &Call<'_>, function: impl Fn(&[f64], &[f64]) -> f64) -> Result<ArrayRef> {
    let (a, b) = (call.jsons(0)?, call.jsons(1)?);
    Ok(build::reals(call.rows, |row| {
        let series = |value: &Json, length: usize| match value {
            Json::Array(items) => reals(items).into_iter().collect::<Option<Vec<f64>>>(),
            scalar => helpers::real(scalar).map(|value| vec![value; length]),
        };
        let (a, b) = (operand(&a, row)?, operand(&b, row)?);
        let length = a.as_array().or(b.as_array()).map_or(1, Vec::len);
        let (a, b) = (series(&a, length)?, series(&b, length)?);
        (a.len() == b.len()).then(|| function(&a, &b))
    }))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let centred = |values: &[f64], mean: f64| values.iter().map(|x| x - mean).collect::<Vec<f64>>();
    let (a, b) = (centred(a, mean_a), centred(b, mean_b));
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

/// Missing is null, or what equals the argument at `placeholder`; the function gets at its arguments by their places.
fn fill(
    call: &Call<'_>,
    placeholder: usize,
    function: impl Fn(&[Json], &dyn Fn(&Json) -> bool, &dyn Fn(usize) -> Json) -> Vec<Json>,
) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    let argument = |index: usize, row: usize| -> Json {
        let Some(arg) = call.args.get(index) else { return Json::Null };
        let constant = arg.as_scalar().is_some();
        let array = arg.to_array(if constant { 1 } else { call.rows });
        let text = crate::value::json_at(array.as_ref(), if constant { 0 } else { row }, call.ty(index));
        helpers::parse(&text).unwrap_or(Json::Null)
    };
    Ok(build::jsons(call.rows, |row| {
        let items = helpers::array(jsons.get(row)?)?;
        let placeholder = argument(placeholder, row);
        let missing = |item: &Json| item.is_null() || (!placeholder.is_null() && helpers::same(item, &placeholder));
        Some(Json::Array(function(&items, &missing, &|index| argument(index, row))).to_string())
    }))
}

fn forward<'j>(items: impl Iterator<Item = &'j Json>, missing: &dyn Fn(&Json) -> bool) -> Vec<Json> {
    let mut last = Json::Null;
    items
        .map(|item| {
            if !missing(item) {
                last = item.clone();
            } else if last.is_null() {
                return item.clone();
            }
            last.clone()
        })
        .collect()
}

/// Between two values by a straight line; at the edges the nearest value, unless the third argument says no. Integers stay
/// integers. A series without values is filled with the fourth argument.
fn linear(items: &[Json], missing: &dyn Fn(&Json) -> bool, argument: &dyn Fn(usize) -> Json) -> Vec<Json> {
    let edges = argument(2) != Json::Bool(false);
    let whole = !items.iter().any(|item| item.is_f64() && !missing(item));
    let number = |value: f64| if whole { number(value.trunc()) } else { helpers::from_real(value) };
    let known: Vec<(usize, f64)> = items
        .iter()
        .enumerate()
        .filter(|(_, item)| !missing(item))
        .filter_map(|(at, item)| helpers::real(item).map(|value| (at, value)))
        .collect();
    items
        .iter()
        .enumerate()
        .map(|(at, item)| {
            if !missing(item) {
                return item.clone();
            }
            let after = known.partition_point(|(place, _)| *place < at);
            match (after.checked_sub(1).map(|before| known[before]), known.get(after)) {
                (Some((x0, y0)), Some((x1, y1))) => number(y0 + (y1 - y0) * (at - x0) as f64 / (x1 - x0) as f64),
                (Some((_, value)), None) | (None, Some(&(_, value))) if edges => number(value),
                (None, None) => match argument(3) {
                    Json::Null => json!(0.0),
                    constant => constant,
                },
                _ => item.clone(),
            }
        })
        .collect()
}

fn series_stats(call: &Call<'_>) -> Result<ArrayRef> {
    debug_assert_eq!(call.out, Type::Dynamic);
    let jsons = call.jsons(0)?;
    Ok(build::jsons(call.rows, |row| {
        let values: Vec<Option<f64>> = reals(&helpers::array(jsons.get(row)?)?);
        let known: Vec<(usize, f64)> = values.iter().enumerate().filter_map(|(at, x)| x.map(|x| (at, x))).collect();
        let (mut low, mut high) = (*known.first()?, *known.first()?);
        for &(at, x) in &known {
            if x < low.1 {
                low = (at, x);
            }
            if x > high.1 {
                high = (at, x);
            }
        }
        let count = known.len() as f64;
        let mean = known.iter().map(|(_, x)| x).sum::<f64>() / count;
        let squares: f64 = known.iter().map(|(_, x)| (x - mean).powi(2)).sum();
        let variance = if count > 1.0 { squares / (count - 1.0) } else { 0.0 };
        let stats = json!({
            "min": low.1, "min_idx": low.0, "max": high.1, "max_idx": high.0,
            "avg": mean, "stdev": variance.sqrt(), "variance": variance,
            "sum": mean * count, "len": values.len(),
        });
        Some(stats.to_string())
    }))
}
