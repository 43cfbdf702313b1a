//! Periods of a series (after Vlachos, Yu and Castelli, "On periodicity detection and structural periodic similarity", 2005).
//!
//! 1. Frequencies of the periodogram whose power stands out are candidates; their periods are known only to the width of
//!    their bin.
//! 2. Within that width the autocorrelation must have a hill: its top is the period, and the autocorrelation there its score.
//! 3. The score is the correlation of the series with itself a period later, discounted for what has no later value.
//!
//! Kusto does not publish its score: this one differs from it in the third digit.

use std::ops::RangeInclusive;

use arrow::array::ArrayRef;
use kyma_core::Result;
use serde_json::json;

use super::super::{Kernel, kernel};
use super::fourier::fourier;
use super::{json_reals, reals, whole_series};
use crate::limits::SERIES_PERIODS_MAX;
use crate::{Call, build, json as helpers};

pub(in crate::scalar) static KERNELS: &[Kernel] = &[
    kernel("series_periods_detect", detect),
    kernel("series_periods_validate", validate),
    kernel("series_seasonal", seasonal),
];

/// Shortest period.
const PERIOD_MIN: usize = 4;
/// A frequency is a candidate when its power is so many times the mean one.
const POWER_MIN: f64 = 3.0;
/// A periodic component is taken when its period scores so much.
pub(super) const SCORE_MIN: f64 = 0.6;

/// A period in bins, and how much of the series it explains, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Period {
    pub(super) length: usize,
    pub(super) score: f64,
}

/// The autocorrelation of a series, and the power of its frequencies.
struct Spectrum {
    /// By lag; 1 at 0.
    correlation: Vec<f64>,
    /// By frequency, from 0 to the half.
    power: Vec<f64>,
    n: usize,
}

impl Spectrum {
    /// `None` of a series that does not vary.
    fn of(values: &[f64]) -> Option<Spectrum> {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n.max(1) as f64;
        let centred: Vec<(f64, f64)> = values.iter().map(|value| (value - mean, 0.0)).collect();
        let power_of = |values: Vec<(f64, f64)>| {
            fourier(values, false).into_iter().map(|value| value.0 * value.0 + value.1 * value.1).collect::<Vec<f64>>()
        };
        let power: Vec<f64> = power_of(centred.clone()).into_iter().take(n / 2 + 1).collect();
        // Zeros after the series keep its end from meeting its start.
        let mut padded = centred;
        padded.resize((2 * n).next_power_of_two(), (0.0, 0.0));
        let squared: Vec<(f64, f64)> = power_of(padded).into_iter().map(|power| (power, 0.0)).collect();
        let products: Vec<f64> = fourier(squared, true).into_iter().take(n).map(|value| value.0).collect();
        let variance = products.first().copied().filter(|variance| *variance > f64::EPSILON * n as f64 * mean.abs())?;
        Some(Spectrum { correlation: products.into_iter().map(|product| product / variance).collect(), power, n })
    }

    /// The score of a lag, 0 to 1.
    fn score(&self, lag: usize) -> f64 {
        let overlap = (self.n - lag) as f64 / self.n as f64;
        (self.correlation.get(lag).copied().unwrap_or(0.0) / overlap.sqrt()).clamp(0.0, 1.0)
    }

    /// Whether the autocorrelation has a hill at the lag.
    fn is_hill(&self, lag: usize) -> bool {
        let at = |lag: usize| self.correlation.get(lag).copied().unwrap_or(f64::NEG_INFINITY);
        lag >= 1 && at(lag) > 0.0 && at(lag) >= at(lag - 1) && at(lag) >= at(lag + 1)
    }

    /// Lags within the width of each frequency that stands out.
    fn candidates(&self) -> impl Iterator<Item = RangeInclusive<usize>> + '_ {
        let mean_power = self.power.iter().skip(1).sum::<f64>() / self.power.len().saturating_sub(1).max(1) as f64;
        let stands_out = move |frequency: &usize| self.power[*frequency] >= POWER_MIN * mean_power;
        (1..self.power.len()).filter(stands_out).map(|frequency| {
            let shortest = self.n as f64 / (frequency + 1) as f64;
            let longest = self.n as f64 / (frequency as f64 - 1.0).max(0.5);
            (shortest.ceil() as usize).max(PERIOD_MIN)..=(longest.floor() as usize).min(self.n / 2)
        })
    }

    /// The periods between the bounds, the best first.
    fn periods(&self, min: f64, max: f64) -> Vec<Period> {
        let mut found: Vec<Period> = Vec::new();
        for lags in self.candidates() {
            let in_bounds = |lag: &usize| (min..=max).contains(&(*lag as f64)) && self.is_hill(*lag);
            let best = lags.filter(in_bounds).max_by(|a, b| self.score(*a).total_cmp(&self.score(*b)));
            if let Some(length) = best.filter(|length| found.iter().all(|period| period.length != *length)) {
                found.push(Period { length, score: self.score(length) });
            }
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.length.cmp(&b.length)));
        found
    }
}

/// The best period, if one scores enough.
pub(super) fn best_period(values: &[f64], score_min: f64) -> Option<usize> {
    let best = Spectrum::of(values)?.periods(0.0, f64::INFINITY).into_iter().next()?;
    (best.score >= score_min).then_some(best.length)
}

/// Periods and their scores as a bag of two arrays.
fn bag(periods: &[(f64, f64)]) -> String {
    let periods_and_scores = json!({
        "periods": json_reals(periods.iter().map(|period| period.0)),
        "scores": json_reals(periods.iter().map(|period| period.1)),
    });
    periods_and_scores.to_string()
}

/// `series_periods_detect(series, shortest, longest, count)`; what is not found is 0.
fn detect(call: &Call<'_>) -> Result<ArrayRef> {
    let (series, mins, maxs, counts) = (call.jsons(0)?, call.reals(1)?, call.reals(2)?, call.longs(3)?);
    Ok(build::jsons(call.rows, |row| {
        let values = whole_series(series.get(row)?)?;
        let (min, max) = (mins.get(row)?, maxs.get(row)?);
        let count = usize::try_from(counts.get(row)?).ok()?.min(SERIES_PERIODS_MAX);
        let found = Spectrum::of(&values).map(|spectrum| spectrum.periods(min, max)).unwrap_or_default();
        let mut periods: Vec<(f64, f64)> =
            found.iter().take(count).map(|period| (period.length as f64, period.score)).collect();
        periods.resize(count, (0.0, 0.0));
        Some(bag(&periods))
    }))
}

/// `series_periods_validate(series, period, ...)`: the score of each period, 0 where the series has none such.
fn validate(call: &Call<'_>) -> Result<ArrayRef> {
    let views: Vec<_> = (0..call.args.len()).map(|index| call.jsons(index)).collect::<Result<_>>()?;
    Ok(build::jsons(call.rows, |row| {
        let values = whole_series(views.first()?.get(row)?)?;
        let mut asked: Vec<f64> = Vec::new();
        for view in views.iter().skip(1) {
            match helpers::parse(view.get(row)?)? {
                serde_json::Value::Array(items) => asked.extend(reals(&items).into_iter().flatten()),
                one => asked.extend(helpers::real(&one)),
            }
        }
        asked.truncate(SERIES_PERIODS_MAX);
        let spectrum = Spectrum::of(&values);
        let score = |period: f64| {
            let lag = period.round().clamp(0.0, values.len() as f64) as usize;
            let is_period = |spectrum: &&Spectrum| {
                spectrum.is_hill(lag) && spectrum.candidates().any(|candidates| candidates.contains(&lag))
            };
            spectrum.as_ref().filter(is_period).map_or(0.0, |spectrum| spectrum.score(lag))
        };
        Some(bag(&asked.iter().map(|period| (*period, score(*period))).collect::<Vec<_>>()))
    }))
}

/// For every place of `values`, the median of the learned values at the same phase of the period.
pub(super) fn seasonal_component(learned: &[f64], period: usize, len: usize) -> Vec<f64> {
    let medians: Vec<f64> =
        (0..period).map(|phase| median(learned.iter().skip(phase).step_by(period).copied().collect())).collect();
    (0..len).map(|at| medians[at % period]).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.get(values.len().saturating_sub(1) / 2), values.get(values.len() / 2)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => 0.0,
    }
}

/// `series_seasonal(series [, period [, test points]])`: without a period (-1) the best one; zeros when there is none.
fn seasonal(call: &Call<'_>) -> Result<ArrayRef> {
    let (series, periods, test_points) = (call.jsons(0)?, call.longs_or(1, Some(-1))?, call.longs_or(2, Some(0))?);
    Ok(build::jsons(call.rows, |row| {
        let values = whole_series(series.get(row)?)?;
        let (period, test_points) = (periods.get(row)?, usize::try_from(test_points.get(row)?).unwrap_or(0));
        let learned = &values[..values.len().saturating_sub(test_points)];
        let seasonal = match season_of(learned, period, SCORE_MIN) {
            Some(period) => seasonal_component(learned, period, values.len()),
            None => vec![0.0; values.len()],
        };
        Some(json_reals(seasonal).to_string())
    }))
}

/// The period asked for (positive), the detected one (negative), or none (0).
pub(super) fn season_of(learned: &[f64], period: i64, score_min: f64) -> Option<usize> {
    match usize::try_from(period) {
        Ok(0) => None,
        Ok(period) => (period <= learned.len()).then_some(period),
        Err(_) => best_period(learned, score_min),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_day_and_a_week_are_found() {
        let hours = 24 * 7 * 6;
        let value = |hour: usize| {
            let day = (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
            let week = (hour as f64 / 168.0 * std::f64::consts::TAU).sin();
            10.0 + 3.0 * day + 2.0 * week
        };
        let values: Vec<f64> = (0..hours).map(value).collect();
        let spectrum = Spectrum::of(&values).unwrap();
        let daily: Vec<usize> = spectrum.periods(20.0, 30.0).iter().map(|period| period.length).collect();
        let weekly: Vec<usize> = spectrum.periods(150.0, 180.0).iter().map(|period| period.length).collect();
        assert_eq!((daily, weekly), (vec![24], vec![168]));
    }

    #[test]
    fn what_does_not_vary_has_no_period() {
        assert_eq!(best_period(&[0.1; 40], 0.0), None);
        assert_eq!(best_period(&[], 0.0), None);
    }

    proptest! {
        #[test]
        fn autocorrelation_is_as_defined(values in prop::collection::vec(-10.0..10.0_f64, 2..40)) {
            let Some(spectrum) = Spectrum::of(&values) else { return Ok(()) };
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let product = |lag: usize| {
                (0..values.len() - lag).map(|at| (values[at] - mean) * (values[at + lag] - mean)).sum::<f64>()
            };
            for lag in 0..values.len() {
                let wanted = product(lag) / product(0);
                prop_assert!((spectrum.correlation[lag] - wanted).abs() < 1e-6, "{lag}");
            }
        }
    }
}
