//! Special functions: gamma (Lanczos 1964, g = 7, n = 9), error function (by series and continued fraction), and the
//! regularised incomplete beta function (Lentz's continued fraction, Numerical Recipes §6.4).

use arrow::array::ArrayRef;
use kyma_core::Result;

use super::math::partial;
use super::{Kernel, kernel};
use crate::{Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("gamma", |call| partial(call, |x| Some(gamma(x)))),
    kernel("loggamma", |call| partial(call, |x| (x > 0.0).then(|| ln_gamma(x)))),
    kernel("erf", |call| partial(call, |x| Some(erf(x)))),
    kernel("erfc", |call| partial(call, |x| Some(erfc(x)))),
    kernel("beta_cdf", beta_cdf),
    kernel("beta_inv", beta_inv),
    kernel("beta_pdf", beta_pdf),
    kernel("welch_test", welch_test),
];

const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

fn gamma(x: f64) -> f64 {
    if x.fract() == 0.0 && (1.0..=171.0).contains(&x) {
        return (1..x as u64).fold(1.0, |product, factor| product * factor as f64);
    }
    if x < 0.5 {
        return std::f64::consts::PI / ((std::f64::consts::PI * x).sin() * gamma(1.0 - x));
    }
    let x = x - 1.0;
    let t = x + 7.5;
    (2.0 * std::f64::consts::PI).sqrt() * t.powf(x + 0.5) * (-t).exp() * lanczos(x)
}

fn lanczos(x: f64) -> f64 {
    LANCZOS.iter().enumerate().skip(1).fold(LANCZOS[0], |sum, (at, term)| sum + term / (x + at as f64))
}

/// The logarithm of the gamma function of a positive number.
pub(super) fn ln_gamma(x: f64) -> f64 {
    if x < 0.5 {
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + lanczos(x).ln()
}

fn erf(x: f64) -> f64 {
    if x.abs() > 2.5 {
        return 1.0_f64.copysign(x) - erfc(x.abs()).copysign(x);
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > sum.abs() * 1e-17 && n < 200.0 {
        n += 1.0;
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    2.0 / std::f64::consts::PI.sqrt() * sum
}

pub(super) fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x <= 2.5 {
        return 1.0 - erf(x);
    }
    let fraction = (1..=120).rev().fold(0.0, |below, n| f64::from(n) / 2.0 / (x + below));
    (-x * x).exp() / std::f64::consts::PI.sqrt() / (x + fraction)
}

/// The regularised incomplete beta function.
fn beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        result *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        let step = d * c;
        result *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    result
}

fn beta_cdf(call: &Call<'_>) -> Result<ArrayRef> {
    let (x, a, b) = (call.reals(0)?, call.reals(1)?, call.reals(2)?);
    Ok(build::reals(call.rows, |row| {
        let (x, a, b) = (x.get(row)?, a.get(row)?, b.get(row)?);
        // What lies outside of the domain is as Kusto's engine gives it.
        Some(match (0.0..=1.0).contains(&x) {
            false => f64::NAN,
            true if a <= 0.0 || b <= 0.0 => 1.0,
            true => beta(x, a, b),
        })
    }))
}

/// The `x` at which the cumulative distribution has a probability, by bisection: every step halves the interval. What is no
/// probability gives null, what is no distribution NaN.
fn beta_inv(call: &Call<'_>) -> Result<ArrayRef> {
    let (probability, a, b) = (call.reals(0)?, call.reals(1)?, call.reals(2)?);
    Ok(build::reals(call.rows, |row| {
        let (probability, a, b) = (probability.get(row)?, a.get(row)?, b.get(row)?);
        if a <= 0.0 || b <= 0.0 {
            return Some(f64::NAN);
        }
        if probability <= 0.0 || probability > 1.0 {
            return None;
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..120 {
            let middle = (low + high) / 2.0;
            if beta(middle, a, b) < probability { low = middle } else { high = middle }
        }
        Some((low + high) / 2.0)
    }))
}

/// What lies outside of the domain is NaN.
fn beta_pdf(call: &Call<'_>) -> Result<ArrayRef> {
    let (x, a, b) = (call.reals(0)?, call.reals(1)?, call.reals(2)?);
    Ok(build::reals(call.rows, |row| {
        let (x, a, b) = (x.get(row)?, a.get(row)?, b.get(row)?);
        if x <= 0.0 || x >= 1.0 || a <= 0.0 || b <= 0.0 {
            return Some(f64::NAN);
        }
        let log = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + (a - 1.0) * x.ln() + (b - 1.0) * (1.0 - x).ln();
        Some(log.exp())
    }))
}

/// `(mean, variance, count)` of two samples.
fn welch_test(call: &Call<'_>) -> Result<ArrayRef> {
    let views: Vec<_> = (0..6).map(|index| call.reals(index)).collect::<Result<_>>()?;
    Ok(build::reals(call.rows, |row| {
        let get = |index: usize| views[index].get(row);
        let (a, b) = (get(1)? / get(2)?, get(4)? / get(5)?);
        let t = (get(0)? - get(3)?) / (a + b).sqrt();
        let freedom = (a + b).powi(2) / (a * a / (get(2)? - 1.0) + b * b / (get(5)? - 1.0));
        Some(beta(freedom / (freedom + t * t), freedom / 2.0, 0.5))
    }))
}
