//! Linear filters over a series: `series_fir` and `series_iir`.

use arrow::array::ArrayRef;
use kyma_core::Result;

use super::super::{Kernel, kernel};
use super::{json_reals, whole_series};
use crate::{Call, build};

pub(in crate::scalar) static KERNELS: &[Kernel] = &[kernel("series_fir", fir), kernel("series_iir", iir)];

/// `series_fir(series, filter [, normalize [, center]])`: the filter is divided by its sum unless it has a negative
/// coefficient. To normalise one that has is null.
fn fir(call: &Call<'_>) -> Result<ArrayRef> {
    let (series, filters) = (call.jsons(0)?, call.jsons(1)?);
    let normalize = call.has(2).then(|| call.bools(2)).transpose()?;
    let centre = call.bools_or(3, false)?;
    Ok(build::jsons(call.rows, |row| {
        let (values, mut filter) = (whole_series(series.get(row)?)?, whole_series(filters.get(row)?)?);
        let is_signed = filter.iter().any(|coefficient| *coefficient < 0.0);
        let normalized = normalize.as_ref().map_or(Some(!is_signed), |normalize| normalize.get(row))?;
        if normalized {
            let sum: f64 = filter.iter().sum();
            if is_signed || sum == 0.0 {
                return None;
            }
            filter.iter_mut().for_each(|coefficient| *coefficient /= sum);
        }
        let ahead = if centre.get(row)? { filter.len() / 2 } else { 0 };
        let at = |place: usize| -> f64 {
            let inputs = filter
                .iter()
                .enumerate()
                .filter_map(|(back, coefficient)| Some(coefficient * values.get((place + ahead).checked_sub(back)?)?));
            inputs.sum()
        };
        Some(json_reals((0..values.len()).map(at)).to_string())
    }))
}

/// `series_iir(series, numerators, denominators)`: outputs feed back. A first denominator of 0 is null.
fn iir(call: &Call<'_>) -> Result<ArrayRef> {
    let (series, numerators, denominators) = (call.jsons(0)?, call.jsons(1)?, call.jsons(2)?);
    Ok(build::jsons(call.rows, |row| {
        let values = whole_series(series.get(row)?)?;
        let (b, a) = (whole_series(numerators.get(row)?)?, whole_series(denominators.get(row)?)?);
        let (first, feedback) = a.split_first().filter(|(first, _)| **first != 0.0)?;
        let mut out: Vec<f64> = Vec::with_capacity(values.len());
        for place in 0..values.len() {
            let forward: f64 =
                b.iter().enumerate().filter_map(|(back, b)| Some(b * values.get(place.checked_sub(back)?)?)).sum();
            let back: f64 = feedback
                .iter()
                .enumerate()
                .filter_map(|(back, a)| Some(a * out.get(place.checked_sub(back + 1)?)?))
                .sum();
            out.push((forward - back) / first);
        }
        Some(json_reals(out).to_string())
    }))
}
