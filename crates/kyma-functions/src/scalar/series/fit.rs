//! Lines and polynomials through a series, by least squares.

use arrow::array::ArrayRef;
use kyma_core::{Error, Result};
use serde_json::{Value as Json, json};

use super::super::{Kernel, kernel};
use super::{json_reals, whole_series};
use crate::limits::SERIES_POLY_DEGREE_MAX;
use crate::{Call, build, json as helpers};

pub(in crate::scalar) static KERNELS: &[Kernel] = &[
    kernel("series_fit_line_dynamic", |call| each(call, fit_line)),
    kernel("series_fit_2lines_dynamic", |call| each(call, fit_2lines)),
    kernel("series_fit_poly", fit_poly),
];

fn each(call: &Call<'_>, fit: fn(&[f64]) -> Option<Json>) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    Ok(build::jsons(call.rows, |row| Some(fit(&whole_series(jsons.get(row)?)?)?.to_string())))
}

/// A line over the places `0..n`, with the sums of squares around the mean and around the line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) slope: f64,
    pub(super) interception: f64,
    total: f64,
    residual: f64,
}

impl Line {
    /// The least-squares line; `None` through fewer than two points.
    pub(super) fn through(values: &[f64]) -> Option<Line> {
        if values.len() < 2 {
            return None;
        }
        let n = values.len() as f64;
        let mean_x = (n - 1.0) / 2.0;
        let mean_y = values.iter().sum::<f64>() / n;
        let xx: f64 = (0..values.len()).map(|x| (x as f64 - mean_x).powi(2)).sum();
        let xy: f64 = values.iter().enumerate().map(|(x, y)| (x as f64 - mean_x) * (y - mean_y)).sum();
        let slope = xy / xx;
        let interception = mean_y - slope * mean_x;
        let total = values.iter().map(|y| (y - mean_y).powi(2)).sum();
        let residual = values.iter().enumerate().map(|(x, y)| (y - interception - slope * x as f64).powi(2)).sum();
        Some(Line { slope, interception, total, residual })
    }

    /// The value at a place.
    pub(super) fn at(&self, x: usize) -> f64 {
        self.interception + self.slope * x as f64
    }

    /// Its parameters as a bag.
    fn bag(&self, count: usize) -> serde_json::Map<String, Json> {
        let freedom = count as f64 - 1.0;
        let mut bag = serde_json::Map::new();
        let mut put = |key: &str, value: f64| _ = bag.insert(key.to_owned(), helpers::from_real(value));
        put("rsquare", r_square(self.residual, self.total));
        put("slope", self.slope);
        put("variance", self.total / freedom);
        put("rvariance", self.residual / freedom);
        put("interception", self.interception);
        bag
    }
}

/// The share of the variance that a fit explains; what does not vary is explained.
fn r_square(residual: f64, total: f64) -> f64 {
    if total == 0.0 { 1.0 } else { 1.0 - residual / total }
}

fn fit_line(values: &[f64]) -> Option<Json> {
    let line = Line::through(values)?;
    let mut bag = line.bag(values.len());
    bag.insert("line_fit".to_owned(), json_reals((0..values.len()).map(|x| line.at(x))));
    Some(Json::Object(bag))
}

/// The two lines, one after the other, that together leave the least: every place but the ends is tried as the first one of
/// the right line. Places of each line are counted from its own start.
fn fit_2lines(values: &[f64]) -> Option<Json> {
    let sums = Sums::of(values);
    let splits = 2..=values.len().checked_sub(2)?;
    let cost = |split: usize| sums.residual(0, split) + sums.residual(split, values.len());
    let split = splits.min_by(|a, b| cost(*a).total_cmp(&cost(*b)))?;
    let (left, right) = (Line::through(&values[..split])?, Line::through(&values[split..])?);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let total: f64 = values.iter().map(|y| (y - mean).powi(2)).sum();
    let residual = left.residual + right.residual;
    let freedom = values.len() as f64 - 1.0;
    let fitted = (0..split).map(|x| left.at(x)).chain((0..values.len() - split).map(|x| right.at(x)));
    Some(json!({
        "rsquare": helpers::from_real(r_square(residual, total)),
        "split_idx": split,
        "variance": helpers::from_real(total / freedom),
        "rvariance": helpers::from_real(residual / freedom),
        "line_fit": json_reals(fitted),
        "right": right.bag(values.len() - split),
        "left": left.bag(split),
    }))
}

/// Prefix sums of a series around its mean, so that the residual of a line through any part costs the same.
struct Sums {
    /// Of `y`, `x y` and `y y`, before each place.
    before: Vec<[f64; 3]>,
}

impl Sums {
    fn of(values: &[f64]) -> Sums {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let mut before = vec![[0.0; 3]];
        let mut sum = [0.0; 3];
        for (x, y) in values.iter().enumerate() {
            let y = y - mean;
            sum = [sum[0] + y, sum[1] + x as f64 * y, sum[2] + y * y];
            before.push(sum);
        }
        Sums { before }
    }

    /// The sum of squares that the line through `from..to` leaves.
    fn residual(&self, from: usize, to: usize) -> f64 {
        let part = |at: usize| self.before[to][at] - self.before[from][at];
        let n = (to - from) as f64;
        let mean_x = (from + to - 1) as f64 / 2.0;
        let xx = n * (n * n - 1.0) / 12.0;
        let (y, xy, yy) = (part(0), part(1), part(2));
        let xy = xy - mean_x * y;
        yy - y * y / n - xy * xy / xx
    }
}

/// `series_fit_poly(y [, x], [degree])`: without `x` the places from 1.
fn fit_poly(call: &Call<'_>) -> Result<ArrayRef> {
    let views: Vec<_> = (0..call.args.len()).map(|index| call.jsons(index)).collect::<Result<_>>()?;
    build::try_jsons(call.rows, |row| {
        let Some(y) = views.first().and_then(|y| y.get(row)).and_then(whole_series) else { return Ok(None) };
        let mut x: Vec<f64> = (1..=y.len()).map(|place| place as f64).collect();
        let mut degree = 1;
        for view in views.iter().skip(1) {
            match view.get(row).and_then(helpers::parse) {
                Some(Json::Array(places)) => match places.iter().map(place_of).collect::<Option<Vec<f64>>>() {
                    Some(places) if places.len() == y.len() => x = places,
                    _ => return Ok(None),
                },
                Some(Json::Number(number)) => degree = degree_of(&number)?,
                _ => return Ok(None),
            }
        }
        Ok(polynomial(&x, &y, degree).map(|fit| fit.to_string()))
    })
}

/// A number, or a datetime in ticks.
fn place_of(item: &Json) -> Option<f64> {
    match item {
        Json::String(text) => kyma_core::time::parse_datetime(text).map(|nanos| nanos as f64 / 100.0),
        other => helpers::real(other),
    }
}

fn degree_of(number: &serde_json::Number) -> Result<usize> {
    let degree = number.as_f64().filter(|degree| degree.fract() == 0.0 && *degree >= 1.0).map(|degree| degree as usize);
    degree.filter(|degree| *degree <= SERIES_POLY_DEGREE_MAX).ok_or_else(|| {
        let message = format!("a polynomial of this degree cannot be fitted: degree={number}");
        Error::invalid("function.argument", message).hint(format!("use 1 to {SERIES_POLY_DEGREE_MAX}"))
    })
}

/// Least squares by an orthogonal basis (Gram and Schmidt, twice) of the powers of `x`, which are centred and scaled first.
fn polynomial(x: &[f64], y: &[f64], degree: usize) -> Option<Json> {
    if y.len() <= degree {
        return None;
    }
    let n = y.len() as f64;
    let centre = x.iter().sum::<f64>() / n;
    let scale = x.iter().map(|x| (x - centre).abs()).fold(0.0, f64::max);
    if scale == 0.0 {
        return None;
    }
    let t: Vec<f64> = x.iter().map(|x| (x - centre) / scale).collect();
    let scaled = orthogonal_fit(&t, y, degree)?;
    let fitted: Vec<f64> = t.iter().map(|t| horner(&scaled, *t)).collect();
    let mean = y.iter().sum::<f64>() / n;
    let total: f64 = y.iter().map(|y| (y - mean).powi(2)).sum();
    let residual: f64 = y.iter().zip(&fitted).map(|(y, fit)| (y - fit).powi(2)).sum();
    let coefficients = unscaled(&scaled, centre, scale);
    Some(json!({
        "rsquare": helpers::from_real(r_square(residual, total)),
        "coefficients": json_reals(coefficients.into_iter().rev()),
        "variance": helpers::from_real(total / (n - 1.0)),
        "rvariance": helpers::from_real(residual / (n - 1.0)),
        "poly_fit": json_reals(fitted),
    }))
}

/// Coefficients of the powers of `t` from 0 on; `None` when there are too few distinct places.
fn orthogonal_fit(t: &[f64], y: &[f64], degree: usize) -> Option<Vec<f64>> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    // Each basis vector, with its coefficients over the powers of `t`.
    let mut basis: Vec<(Vec<f64>, Vec<f64>)> = Vec::with_capacity(degree + 1);
    let mut fitted = vec![0.0; degree + 1];
    for power in 0..=degree {
        let mut vector: Vec<f64> = t.iter().map(|t| t.powi(power as i32)).collect();
        let mut over = vec![0.0; degree + 1];
        over[power] = 1.0;
        let before = dot(&vector, &vector).sqrt();
        for _ in 0..2 {
            for (other, other_over) in &basis {
                let along = dot(&vector, other);
                vector.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
                over.iter_mut().zip(other_over).for_each(|(value, other)| *value -= along * other);
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        if norm <= before * 1e-13 {
            return None;
        }
        vector.iter_mut().chain(over.iter_mut()).for_each(|value| *value /= norm);
        let along = dot(&vector, y);
        fitted.iter_mut().zip(&over).for_each(|(sum, over)| *sum += along * over);
        basis.push((vector, over));
    }
    Some(fitted)
}

fn horner(coefficients: &[f64], t: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * t + coefficient)
}

/// The coefficients over `x` of a polynomial over `(x - centre) / scale`.
fn unscaled(coefficients: &[f64], centre: f64, scale: f64) -> Vec<f64> {
    let mut out = vec![0.0; coefficients.len()];
    for coefficient in coefficients.iter().rev() {
        // out = out * (x - centre) / scale + coefficient
        let mut next = vec![0.0; out.len()];
        for (power, value) in out.iter().enumerate() {
            next[power] -= value * centre / scale;
            if power + 1 < next.len() {
                next[power + 1] += value / scale;
            }
        }
        next[0] += coefficient;
        out = next;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_parabola_is_found_again() {
        let x: Vec<f64> = (0..20).map(|x| f64::from(x) * 0.5 + 100.0).collect();
        let y: Vec<f64> = x.iter().map(|x| 2.0 * x * x - 3.0 * x + 5.0).collect();
        let fit = polynomial(&x, &y, 2).unwrap();
        let coefficients: Vec<f64> = fit["coefficients"].as_array().unwrap().iter().filter_map(Json::as_f64).collect();
        for (found, wanted) in coefficients.iter().zip([2.0, -3.0, 5.0]) {
            assert!((found - wanted).abs() < 1e-6, "{coefficients:?}");
        }
        assert_eq!(polynomial(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0], 1), None);
    }

    #[test]
    fn two_lines_break_where_the_series_does() {
        let fit = fit_2lines(&[1.0, 2.0, 3.0, 10.0, 8.0, 6.0]).unwrap();
        assert_eq!(fit["split_idx"], 3);
        assert_eq!(fit["left"]["slope"], 1.0);
        assert_eq!(fit["right"]["slope"], -2.0);
        assert_eq!(fit_2lines(&[1.0, 2.0, 3.0]), None);
    }

    proptest! {
        #[test]
        fn residuals_from_sums_are_those_of_the_line(values in prop::collection::vec(-1e3..1e3_f64, 2..40)) {
            let line = Line::through(&values).unwrap();
            let found = Sums::of(&values).residual(0, values.len());
            prop_assert!((found - line.residual).abs() <= 1e-6 * (1.0 + line.total), "{found} {}", line.residual);
        }
    }
}
