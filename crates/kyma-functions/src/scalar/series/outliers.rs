//! Outliers by Tukey's fences.
//!
//! 1. Values between two percentiles (linear between neighbours) score 0.
//! 2. A value outside scores its distance from the nearer percentile in units of the range between both, scaled so that 1.5
//!    means about the same whichever percentiles were taken.

use arrow::array::ArrayRef;
use kyma_core::{Error, Result};

use super::super::{Kernel, kernel};
use super::{json_reals, reals};
use crate::{Call, build, json as helpers};

pub(in crate::scalar) static KERNELS: &[Kernel] = &[kernel("series_outliers", series_outliers)];

/// Percentiles of the two kinds.
pub(super) const TUKEY: Fences = Fences { low: 25.0, high: 75.0 };
pub(super) const CUSTOM: Fences = Fences { low: 10.0, high: 90.0 };

/// The unit of [`CUSTOM`]'s scores, as a share of the range between its percentiles: measured on Microsoft's engine.
const CUSTOM_UNIT: f64 = 0.360_671_563_966_203;
/// The range between the percentiles is at least such a share of them.
const ROUNDING: f64 = 1e-10;
/// The third quartile of the normal distribution.
const NORMAL_QUARTILE: f64 = 0.674_489_750_196_081_7;

/// The percentiles between which values are normal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fences {
    low: f64,
    high: f64,
}

impl Fences {
    /// The fences of a kind by its name.
    pub(super) fn named(kind: &str) -> Result<Fences> {
        match kind.to_ascii_lowercase().as_str() {
            "tukey" => Ok(TUKEY),
            "ctukey" => Ok(CUSTOM),
            _ => Err(Error::invalid("function.argument", format!("unknown kind of outliers: kind={kind}"))
                .hint("use \"tukey\" or \"ctukey\"")),
        }
    }

    /// What scores 1, as a share of the range: such that, of normal values, 1.5 lies where it does for quartiles.
    fn unit(self) -> f64 {
        if self == CUSTOM {
            return CUSTOM_UNIT;
        }
        let half = (super::normal_quantile(self.high / 100.0) - super::normal_quantile(self.low / 100.0)) / 2.0;
        ((4.0 * NORMAL_QUARTILE - half) / (3.0 * half)).max(f64::MIN_POSITIVE)
    }

    /// The score of every value; the percentiles are those of `learned`.
    pub(super) fn scores(self, values: &[Option<f64>], learned: &[Option<f64>]) -> Vec<f64> {
        let mut known: Vec<f64> = learned.iter().flatten().copied().filter(|value| !value.is_nan()).collect();
        known.sort_by(f64::total_cmp);
        let (low, high) = (percentile(&known, self.low), percentile(&known, self.high));
        // What differs by rounding alone is no outlier.
        let noise = high.abs().max(low.abs()) * ROUNDING;
        let unit = ((high - low) * self.unit()).max(noise).max(f64::MIN_POSITIVE);
        let score = |value: f64| match value {
            value if value > high => (value - high) / unit,
            value if value < low => (value - low) / unit,
            _ => 0.0,
        };
        values.iter().map(|value| value.map_or(0.0, score)).collect()
    }
}

/// Linear between neighbours; NaN of nothing.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = percent / 100.0 * last as f64;
    let before = place.floor() as usize;
    let (a, b) = (sorted[before.min(last)], sorted[(before + 1).min(last)]);
    a + (b - a) * place.fract()
}

/// `series_outliers(series [, kind [, ignore [, low percentile [, high percentile [, test points]]]]])`.
fn series_outliers(call: &Call<'_>) -> Result<ArrayRef> {
    let (series, kinds) = (call.jsons(0)?, call.texts_or(1, "ctukey")?);
    let ignored = call.has(2).then(|| call.reals(2)).transpose()?;
    let low = call.has(3).then(|| call.reals(3)).transpose()?;
    let high = call.has(4).then(|| call.reals(4)).transpose()?;
    let test_points = call.longs_or(5, Some(0))?;
    build::try_jsons(call.rows, |row| {
        let mut fences = Fences::named(kinds.get(row))?;
        if fences != TUKEY {
            let percent = |view: &Option<crate::view::Reals<'_>>, default: f64| {
                view.as_ref().and_then(|view| view.get(row)).unwrap_or(default)
            };
            fences = Fences { low: percent(&low, CUSTOM.low), high: percent(&high, CUSTOM.high) };
            if !(2.0..=98.0).contains(&fences.low) || !(2.0..=98.0).contains(&fences.high) || fences.low >= fences.high
            {
                let message = format!("these percentiles are no fences: low={}, high={}", fences.low, fences.high);
                return Err(Error::invalid("function.argument", message).hint("use percentiles between 2 and 98"));
            }
        }
        let Some(items) = series.get(row).and_then(helpers::array) else { return Ok(None) };
        let ignored = ignored.as_ref().and_then(|ignored| ignored.get(row));
        let values: Vec<Option<f64>> =
            reals(&items).into_iter().map(|value| value.filter(|value| Some(*value) != ignored)).collect();
        let learned = values.len().saturating_sub(usize::try_from(test_points.get(row).unwrap_or(0)).unwrap_or(0));
        Ok(Some(json_reals(fences.scores(&values, &values[..learned])).to_string()))
    })
}
