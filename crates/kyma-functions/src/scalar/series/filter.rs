//! Linear filters over a series: `series_fir` and `series_iir`.

use arrow::array::ArrayRef;
use kyma_core::{Error, Result};

use super::super::{Kernel, kernel};
use super::{json_reals, whole_series};
use crate::limits::SERIES_COEFFICIENTS_MAX;
use crate::{Call, build};

pub(in crate::scalar) static KERNELS: &[Kernel] = &[kernel("series_fir", fir), kernel("series_iir", iir)];

/// `series_fir(series, filter [, normalize [, center]])`: the filter is divided by its sum unless it has a negative
/// coefficient. To normalise one that has is null.
fn fir(call: &Call<'_>) -> Result<ArrayRef> {
    let (series, filters) = (call.jsons(0)?, call.jsons(1)?);
    let normalize = call.has(2).then(|| call.bools(2)).transpose()?;
    let centre = call.bools_or(3, false)?;
    build::try_jsons(call.rows, |row| {
        let filter = filters.get(row).and_then(whole_series);
        let (Some(values), Some(mut filter)) = (series.get(row).and_then(whole_series), filter) else {
            return Ok(None);
        };
        check_length(&filter)?;
        let is_signed = filter.iter().any(|coefficient| *coefficient < 0.0);
        let normalized = normalize.as_ref().map_or(Some(!is_signed), |normalize| normalize.get(row));
        let (Some(normalized), Some(is_centred)) = (normalized, centre.get(row)) else { return Ok(None) };
        if normalized {
            let sum: f64 = filter.iter().sum();
            if is_signed || sum == 0.0 {
                return Ok(None);
            }
            filter.iter_mut().for_each(|coefficient| *coefficient /= sum);
        }
        let ahead = if is_centred { filter.len() / 2 } else { 0 };
        let at = |place: usize| -> f64 {
            let inputs = filter
                .iter()
                .enumerate()
                .filter_map(|(back, coefficient)| Some(coefficient * values.get((place + ahead).checked_sub(back)?)?));
            inputs.sum()
        };
        Ok(Some(json_reals((0..values.len()).map(at)).to_string()))
    })
}

fn check_length(coefficients: &[f64]) -> Result<()> {
    if coefficients.len() <= SERIES_COEFFICIENTS_MAX {
        return Ok(());
    }
    let message = format!("a filter is too long: coefficients={}, limit={SERIES_COEFFICIENTS_MAX}", coefficients.len());
    Err(Error::exhausted("function.filter_too_long", message))
}

/// `series_iir(series, numerators, denominators)`: outputs feed back. A first denominator of 0 is null.
fn iir(call: &Call<'_>) -> Result<ArrayRef> {
    let (series, numerators, denominators) = (call.jsons(0)?, call.jsons(1)?, call.jsons(2)?);
    build::try_jsons(call.rows, |row| {
        let values = series.get(row).and_then(whole_series);
        let (b, a) = (numerators.get(row).and_then(whole_series), denominators.get(row).and_then(whole_series));
        let (Some(values), Some(b), Some(a)) = (values, b, a) else { return Ok(None) };
        check_length(&b)?;
        check_length(&a)?;
        let Some((first, feedback)) = a.split_first().filter(|(first, _)| **first != 0.0) else { return Ok(None) };
        let mut out: Vec<f64> = Vec::with_capacity(values.len());
        for place in 0..values.len() {
            let forward = b.iter().enumerate().filter_map(|(back, b)| Some(b * values.get(place.checked_sub(back)?)?));
            let back =
                feedback.iter().enumerate().filter_map(|(back, a)| Some(a * out.get(place.checked_sub(back + 1)?)?));
            out.push((forward.sum::<f64>() - back.sum::<f64>()) / first);
        }
        Ok(Some(json_reals(out).to_string()))
    })
}
