//! A series taken apart: what repeats, what drifts, and the rest.
//!
//! 1. The seasonal component is the median of the values at the same phase of the period; 0 without one.
//! 2. The trend of what is left is its mean, or a line through it.
//! 3. Baseline is season plus trend; residual is the series less the baseline. Anomalies are outliers of the residual.
//!
//! Points at the end may be kept out of learning: they are what a forecast is for.

use arrow::array::ArrayRef;
use kyma_core::{Error, Result};
use serde_json::json;

use super::super::{Kernel, kernel};
use super::fit::Line;
use super::outliers::Fences;
use super::periods::{SCORE_MIN, season_of, seasonal_component};
use super::{json_reals, reals};
use crate::view::{Jsons, Longs, Reals, Texts};
use crate::{Call, build, json as helpers};

pub(in crate::scalar) static KERNELS: &[Kernel] = &[
    kernel("series_decompose", |call| {
        let settings = Settings::of(call, [Some(1), Some(2), Some(3), Some(4)])?;
        each(call, &settings, |parts, _| {
            Ok(json!({
                "baseline": json_reals(parts.baseline()), "seasonal": json_reals(parts.seasonal.iter().copied()),
                "trend": json_reals(parts.trend.iter().copied()), "residual": parts.residual().into_iter().map(|value| value.map_or(serde_json::Value::Null, helpers::from_real)).collect::<serde_json::Value>(),
            }))
        })
    }),
    kernel("series_decompose_forecast", |call| {
        let settings = Settings::of(call, [Some(2), Some(3), Some(1), Some(4)])?;
        each(call, &settings, |parts, _| {
            Ok(json!({
                "forecast": json_reals(parts.baseline()), "seasonal": json_reals(parts.seasonal.iter().copied()),
                "trend": json_reals(parts.trend.iter().copied()), "residual": parts.residual().into_iter().map(|value| value.map_or(serde_json::Value::Null, helpers::from_real)).collect::<serde_json::Value>(),
            }))
        })
    }),
    kernel("series_decompose_anomalies", |call| {
        let settings = Settings::of(call, [Some(2), Some(3), Some(4), Some(6)])?;
        let thresholds = reals_or(call, 1, 1.5)?;
        let methods = call.texts_or(5, "ctukey")?;
        each(call, &settings, |parts, row| {
            let residual = parts.residual();
            let scores = Fences::named(methods.get(row))?.scores(&residual, &residual[..parts.learned]);
            let threshold = thresholds.get(row).unwrap_or(1.5);
            let flag = |score: &f64| if score.abs() > threshold { score.signum() as i64 } else { 0 };
            Ok(json!({
                "ad_flag": scores.iter().map(flag).collect::<Vec<i64>>(),
                "ad_score": json_reals(scores.iter().copied()), "baseline": json_reals(parts.baseline()),
            }))
        })
    }),
];

/// The arguments that all three functions take, each at a place of its own.
struct Settings<'a> {
    series: Jsons<'a>,
    seasonality: Longs<'a>,
    trend: Texts<'a>,
    test_points: Longs<'a>,
    score_min: Reals<'a>,
}

impl<'a> Settings<'a> {
    /// From the places of seasonality, trend, test points and threshold of the score.
    fn of(call: &Call<'a>, [seasonality, trend, test_points, score_min]: [Option<usize>; 4]) -> Result<Settings<'a>> {
        let place = |place: Option<usize>| place.unwrap_or(usize::MAX);
        Ok(Settings {
            series: call.jsons(0)?,
            seasonality: call.longs_or(place(seasonality), Some(-1))?,
            trend: call.texts_or(place(trend), "avg")?,
            test_points: call.longs_or(place(test_points), Some(0))?,
            score_min: reals_or(call, place(score_min), SCORE_MIN)?,
        })
    }
}

fn reals_or<'a>(call: &Call<'a>, index: usize, default: f64) -> Result<Reals<'a>> {
    if call.has(index) { call.reals(index) } else { Ok(Reals::One(Some(default))) }
}

/// A series and its components.
struct Parts {
    values: Vec<Option<f64>>,
    seasonal: Vec<f64>,
    trend: Vec<f64>,
    /// So many values were learned from.
    learned: usize,
}

impl Parts {
    fn baseline(&self) -> impl Iterator<Item = f64> + '_ {
        self.seasonal.iter().zip(&self.trend).map(|(seasonal, trend)| seasonal + trend)
    }

    /// Null where the series is.
    fn residual(&self) -> Vec<Option<f64>> {
        self.values.iter().zip(self.baseline()).map(|(value, baseline)| value.map(|value| value - baseline)).collect()
    }
}

fn each(
    call: &Call<'_>,
    settings: &Settings<'_>,
    result: impl Fn(&Parts, usize) -> Result<serde_json::Value>,
) -> Result<ArrayRef> {
    build::try_jsons(call.rows, |row| {
        let Some(items) = settings.series.get(row).and_then(helpers::array) else { return Ok(None) };
        let Some(parts) = decompose(reals(&items), settings, row)? else { return Ok(None) };
        result(&parts, row).map(|bag| Some(bag.to_string()))
    })
}

fn decompose(values: Vec<Option<f64>>, settings: &Settings<'_>, row: usize) -> Result<Option<Parts>> {
    let Some(test_points) = settings.test_points.get(row) else { return Ok(None) };
    let test_points = usize::try_from(test_points).unwrap_or(0);
    let learned = values.len().saturating_sub(test_points);
    let Some(known) = filled(&values[..learned]) else { return Ok(None) };
    let (period, score_min) =
        (settings.seasonality.get(row).unwrap_or(-1), settings.score_min.get(row).unwrap_or(SCORE_MIN));
    let seasonal = match season_of(&known, period, score_min) {
        Some(period) => seasonal_component(&known, period, values.len()),
        None => vec![0.0; values.len()],
    };
    let rest: Vec<f64> = known.iter().zip(&seasonal).map(|(value, seasonal)| value - seasonal).collect();
    let trend = trend_of(&rest, settings.trend.get(row), values.len())?;
    Ok(Some(Parts { values, seasonal, trend, learned }))
}

/// Missing values as the one before; at the start as the first known one. `None` when there is none.
fn filled(values: &[Option<f64>]) -> Option<Vec<f64>> {
    let mut last = values.iter().flatten().copied().next()?;
    let mut fill = |value: &Option<f64>| {
        last = value.unwrap_or(last);
        last
    };
    Some(values.iter().map(&mut fill).collect())
}

fn trend_of(rest: &[f64], kind: &str, len: usize) -> Result<Vec<f64>> {
    let mean = rest.iter().sum::<f64>() / rest.len().max(1) as f64;
    match kind.to_ascii_lowercase().as_str() {
        "avg" => Ok(vec![mean; len]),
        "none" => Ok(vec![0.0; len]),
        "linefit" => {
            Ok(Line::through(rest).map_or_else(|| vec![mean; len], |line| (0..len).map(|at| line.at(at)).collect()))
        }
        _ => Err(Error::invalid("function.argument", format!("unknown kind of trend: kind={kind}"))
            .hint("use \"avg\", \"linefit\" or \"none\"")),
    }
}

#[cfg(test)]
mod tests {
    use kyma_core::{Type, Value};

    use super::*;
    use crate::Arg;

    /// Evaluates a function of this file over one row.
    fn call(name: &str, args: &[Value]) -> serde_json::Value {
        let types: Vec<Type> = args.iter().map(Value::ty).collect();
        let args: Vec<Arg> = args.iter().cloned().map(Arg::Scalar).collect();
        let context = crate::EvalContext { now: 0 };
        let call = Call { args: &args, types: &types, out: Type::Dynamic, rows: 1, context: &context };
        let found = crate::scalar(name).unwrap().eval(&call).unwrap();
        match crate::array_value(found.as_ref(), 0, Type::Dynamic) {
            Value::Dynamic(json) => serde_json::from_str(&json).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Three weeks of a pattern that climbs by one a week, with one outlier.
    fn series() -> String {
        let mut values: Vec<f64> = (0..28).map(|at| [1.0, 5.0, 2.0, 8.0, 3.0, 9.0, 4.0][at % 7]).collect();
        values[17] = 60.0;
        serde_json::to_string(&values).unwrap()
    }

    #[test]
    fn components_sum_to_the_series() {
        let parts =
            call("series_decompose", &[Value::Dynamic(series()), Value::Long(7), Value::String("linefit".into())]);
        let values: Vec<f64> = serde_json::from_str(&series()).unwrap();
        for (at, value) in values.iter().enumerate() {
            let of = |key: &str| parts[key][at].as_f64().unwrap();
            assert!((of("baseline") + of("residual") - value).abs() < 1e-9);
            assert!((of("seasonal") + of("trend") - of("baseline")).abs() < 1e-9);
        }
    }

    #[test]
    fn an_outlier_is_flagged() {
        let found = call("series_decompose_anomalies", &[Value::Dynamic(series()), Value::Real(1.5), Value::Long(7)]);
        let flags: Vec<i64> =
            found["ad_flag"].as_array().unwrap().iter().filter_map(serde_json::Value::as_i64).collect();
        assert_eq!(flags.iter().position(|flag| *flag == 1), Some(17));
        assert_eq!(flags.iter().filter(|flag| **flag != 0).count(), 1);
    }

    #[test]
    fn a_forecast_goes_on() {
        let values = "[1,2,3,4,5,6,7,8,null,null]";
        let args = [Value::Dynamic(values.into()), Value::Long(2), Value::Long(0), Value::String("linefit".into())];
        let found = call("series_decompose_forecast", &args);
        assert!((found["forecast"][9].as_f64().unwrap() - 10.0).abs() < 1e-9, "{found}");
    }
}
