//! The discrete Fourier transform of a series of any length.
//!
//! 1. A length that is a power of two is transformed by halves (Cooley and Tukey 1965).
//! 2. Any other is a convolution with a chirp (Bluestein 1970), which is done over the next power of two.

use std::f64::consts::PI;

use arrow::array::ArrayRef;
use kyma_core::Result;
use serde_json::json;

use super::super::{Kernel, kernel};
use super::{json_reals, whole_series};
use crate::{Call, build};

pub(in crate::scalar) static KERNELS: &[Kernel] =
    &[kernel("series_fft", |call| transform(call, false)), kernel("series_ifft", |call| transform(call, true))];

/// A complex number: real and imaginary part.
pub(super) type Complex = (f64, f64);

fn times(a: Complex, b: Complex) -> Complex {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

/// `e` to the power of `i angle`.
fn unit(angle: f64) -> Complex {
    (angle.cos(), angle.sin())
}

/// `series_fft(real [, imaginary])`: a bag of both parts of the result.
fn transform(call: &Call<'_>, inverse: bool) -> Result<ArrayRef> {
    let real = call.jsons(0)?;
    let imaginary = call.has(1).then(|| call.jsons(1)).transpose()?;
    Ok(build::jsons(call.rows, |row| {
        let real = whole_series(real.get(row)?)?;
        let imaginary = match &imaginary {
            Some(imaginary) => whole_series(imaginary.get(row)?)?,
            None => vec![0.0; real.len()],
        };
        if imaginary.len() != real.len() {
            return None;
        }
        let values = fourier(real.into_iter().zip(imaginary).collect(), inverse);
        let parts = json!({
            "real": json_reals(values.iter().map(|value| value.0)),
            "imag": json_reals(values.iter().map(|value| value.1)),
        });
        Some(parts.to_string())
    }))
}

/// The transform; the inverse one is divided by the length.
pub(super) fn fourier(values: Vec<Complex>, inverse: bool) -> Vec<Complex> {
    let n = values.len();
    if n == 0 {
        return values;
    }
    let sign = if inverse { 1.0 } else { -1.0 };
    let mut result = if n.is_power_of_two() { by_halves(values, sign) } else { by_chirp(&values, sign) };
    if inverse {
        result.iter_mut().for_each(|value| *value = (value.0 / n as f64, value.1 / n as f64));
    }
    result
}

/// Over a power of two: values in the order of their reversed bits, then butterflies of growing size.
fn by_halves(mut values: Vec<Complex>, sign: f64) -> Vec<Complex> {
    let n = values.len();
    let bits = n.trailing_zeros();
    for at in 0..n {
        let reversed = if bits == 0 { 0 } else { at.reverse_bits() >> (usize::BITS - bits) };
        if at < reversed {
            values.swap(at, reversed);
        }
    }
    let mut half = 1;
    while half < n {
        let turns: Vec<Complex> = (0..half).map(|at| unit(sign * PI * at as f64 / half as f64)).collect();
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for ((low, high), turn) in low.iter_mut().zip(high).zip(&turns) {
                let (a, b) = (*low, times(*high, *turn));
                *low = (a.0 + b.0, a.1 + b.1);
                *high = (a.0 - b.0, a.1 - b.1);
            }
        }
        half *= 2;
    }
    values
}

fn by_chirp(values: &[Complex], sign: f64) -> Vec<Complex> {
    let n = values.len();
    let wide = (2 * n - 1).next_power_of_two();
    // The square is taken modulo `2 n`, so that the angle stays small.
    let chirp: Vec<Complex> =
        (0..n).map(|at| unit(sign * PI * ((at as u128 * at as u128) % (2 * n as u128)) as f64 / n as f64)).collect();
    let mut a = vec![(0.0, 0.0); wide];
    let mut b = vec![(0.0, 0.0); wide];
    for at in 0..n {
        a[at] = times(values[at], chirp[at]);
        let back = (chirp[at].0, -chirp[at].1);
        b[at] = back;
        b[(wide - at) % wide] = back;
    }
    let (a, b) = (by_halves(a, -1.0), by_halves(b, -1.0));
    let product: Vec<Complex> = a.into_iter().zip(b).map(|(a, b)| times(a, b)).collect();
    let convolved = by_halves(product, 1.0);
    let scale = wide as f64;
    (0..n).map(|at| times((convolved[at].0 / scale, convolved[at].1 / scale), chirp[at])).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By its definition.
    fn slowly(values: &[Complex], sign: f64) -> Vec<Complex> {
        let n = values.len() as f64;
        let term = |k: usize, at: usize| times(values[at], unit(sign * 2.0 * PI * (k * at) as f64 / n));
        let sum = |k: usize| {
            (0..values.len()).map(|at| term(k, at)).fold((0.0, 0.0), |sum, term| (sum.0 + term.0, sum.1 + term.1))
        };
        (0..values.len()).map(sum).collect()
    }

    fn near(a: &[Complex], b: &[Complex]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a.0 - b.0).abs() < 1e-6 && (a.1 - b.1).abs() < 1e-6)
    }

    proptest! {
        #[test]
        fn fast_is_as_defined(values in prop::collection::vec((-100.0..100.0_f64, -100.0..100.0_f64), 0..40)) {
            let found = fourier(values.clone(), false);
            prop_assert!(near(&found, &slowly(&values, -1.0)), "{found:?}");
            prop_assert!(near(&fourier(found, true), &values));
        }
    }
}
