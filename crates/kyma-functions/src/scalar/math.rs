//! Numbers, bins and bits.

use arrow::array::ArrayRef;
use kyma_core::{Result, Type};

use super::{Kernel, impure, kernel};
use crate::view::{DECIMAL_ONE, Decimals};
use crate::{Arg, Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("abs", abs),
    kernel("bin", bin),
    kernel("bin_at", bin_at),
    kernel("ceiling", |call| whole(call, f64::ceil, |value| -(-value).div_euclid(DECIMAL_ONE) * DECIMAL_ONE)),
    kernel("round", round),
    kernel("sign", sign),
    kernel("sqrt", |call| partial(call, |x| (x >= 0.0).then(|| x.sqrt()))),
    kernel("pow", |call| real2(call, f64::powf)),
    kernel("exp", |call| real(call, f64::exp)),
    kernel("exp2", |call| real(call, f64::exp2)),
    kernel("exp10", |call| real(call, |x| 10_f64.powf(x))),
    kernel("log", |call| partial(call, |x| (x > 0.0).then(|| x.ln()))),
    kernel("log2", |call| partial(call, |x| (x > 0.0).then(|| x.log2()))),
    kernel("log10", |call| partial(call, |x| (x > 0.0).then(|| x.log10()))),
    kernel("sin", |call| real(call, f64::sin)),
    kernel("cos", |call| real(call, f64::cos)),
    kernel("tan", |call| real(call, f64::tan)),
    kernel("cot", |call| real(call, |x| 1.0 / x.tan())),
    kernel("asin", |call| partial(call, |x| (-1.0..=1.0).contains(&x).then(|| x.asin()))),
    kernel("acos", |call| partial(call, |x| (-1.0..=1.0).contains(&x).then(|| x.acos()))),
    kernel("atan", |call| real(call, f64::atan)),
    kernel("atan2", |call| real2(call, f64::atan2)),
    kernel("degrees", |call| real(call, |x| 180.0 / std::f64::consts::PI * x)),
    kernel("radians", |call| real(call, |x| std::f64::consts::PI / 180.0 * x)),
    kernel("pi", |call| Ok(build::reals(call.rows, |_| Some(std::f64::consts::PI)))),
    impure("rand", rand),
    kernel("isnan", |call| flag(call, f64::is_nan)),
    kernel("isinf", |call| flag(call, f64::is_infinite)),
    kernel("isfinite", |call| flag(call, f64::is_finite)),
    kernel("binary_and", |call| bits(call, |a, b| a & b)),
    kernel("binary_or", |call| bits(call, |a, b| a | b)),
    kernel("binary_xor", |call| bits(call, |a, b| a ^ b)),
    kernel("binary_shift_left", |call| bits(call, |a, b| a.wrapping_shl(b.rem_euclid(64) as u32))),
    kernel("binary_shift_right", |call| bits(call, |a, b| a.wrapping_shr(b.rem_euclid(64) as u32))),
    kernel("binary_not", |call| {
        let values = call.longs(0)?;
        build::longs(Type::Long, call.rows, |row| values.get(row).map(|value| !value))
    }),
    kernel("bitset_count_ones", |call| {
        let values = call.longs(0)?;
        build::longs(Type::Long, call.rows, |row| values.get(row).map(|value| i64::from(value.count_ones())))
    }),
];

fn real(call: &Call<'_>, function: impl Fn(f64) -> f64) -> Result<ArrayRef> {
    partial(call, |x| Some(function(x)))
}

/// A function that is null where it is not defined.
pub(super) fn partial(call: &Call<'_>, function: impl Fn(f64) -> Option<f64>) -> Result<ArrayRef> {
    let values = call.reals(0)?;
    Ok(build::reals(call.rows, |row| function(values.get(row)?)))
}

/// Of null it is 0, as in Kusto.
fn sign(call: &Call<'_>) -> Result<ArrayRef> {
    let values = call.reals(0)?;
    Ok(build::reals(call.rows, |row| {
        let value = values.get(row).unwrap_or(0.0);
        Some(if value == 0.0 { 0.0 } else { value.signum() })
    }))
}

fn real2(call: &Call<'_>, function: impl Fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let (a, b) = (call.reals(0)?, call.reals(1)?);
    Ok(build::reals(call.rows, |row| Some(function(a.get(row)?, b.get(row)?))))
}

fn flag(call: &Call<'_>, function: impl Fn(f64) -> bool) -> Result<ArrayRef> {
    let values = call.reals(0)?;
    Ok(build::bools(call.rows, |row| values.get(row).map(&function)))
}

fn bits(call: &Call<'_>, function: impl Fn(i64, i64) -> i64) -> Result<ArrayRef> {
    let (a, b) = (call.longs(0)?, call.longs(1)?);
    build::longs(Type::Long, call.rows, |row| Some(function(a.get(row)?, b.get(row)?)))
}

fn abs(call: &Call<'_>) -> Result<ArrayRef> {
    match call.out {
        Type::Real => real(call, f64::abs),
        Type::Decimal => {
            let values = Decimals::of(call.arg(0)?)?;
            build::decimals(call.rows, |row| values.get(row).map(i128::abs))
        }
        out => {
            let values = call.longs(0)?;
            build::longs(out, call.rows, |row| values.get(row).map(i64::wrapping_abs))
        }
    }
}

/// Rounds to whole numbers, in the type of the result.
fn whole(call: &Call<'_>, float: fn(f64) -> f64, decimal: fn(i128) -> i128) -> Result<ArrayRef> {
    match call.out {
        Type::Decimal => {
            let values = Decimals::of(call.arg(0)?)?;
            build::decimals(call.rows, |row| values.get(row).map(decimal))
        }
        Type::Real => real(call, float),
        out => {
            let values = call.longs(0)?;
            build::longs(out, call.rows, |row| values.get(row))
        }
    }
}

/// Half away from zero, to digits after the point.
fn round(call: &Call<'_>) -> Result<ArrayRef> {
    let digits = call.longs_or(1, Some(0))?;
    if call.out == Type::Decimal {
        let values = Decimals::of(call.arg(0)?)?;
        return build::decimals(call.rows, |row| {
            let digits = digits.get(row)?.clamp(-18, 18);
            let unit = 10_i128.pow((18 - digits) as u32);
            let value = values.get(row)?;
            Some((value + value.signum() * unit / 2) / unit * unit)
        });
    }
    let values = call.reals(0)?;
    Ok(build::reals(call.rows, |row| {
        let (value, digits) = (values.get(row)?, digits.get(row)?.clamp(-300, 300) as i32);
        Some(round_to(value, digits))
    }))
}

pub(crate) fn round_to(value: f64, digits: i32) -> f64 {
    if digits < 0 {
        let unit = 10_f64.powi(-digits);
        return (value / unit).round() * unit;
    }
    let scale = 10_f64.powi(digits);
    let scaled = value * scale;
    if scaled.abs() >= 9e15 || !scaled.is_finite() { value } else { scaled.round() / scale }
}

fn bin(call: &Call<'_>) -> Result<ArrayRef> {
    match call.out {
        Type::Real => {
            let values = call.reals(0)?;
            let sizes = call.has(1).then(|| call.reals(1)).transpose()?;
            Ok(build::reals(call.rows, |row| {
                let size = sizes.as_ref().map_or(Some(1.0), |sizes| sizes.get(row))?;
                Some((values.get(row)? / size).floor() * size)
            }))
        }
        Type::Decimal => {
            let values = Arg::Array(crate::convert(call.arg(0)?, call.ty(0), Type::Decimal, call.rows)?);
            let values = Decimals::of(&values)?;
            let sizes =
                call.has(1).then(|| crate::convert(call.arg(1)?, call.ty(1), Type::Decimal, call.rows)).transpose()?;
            let sizes = sizes.map(Arg::Array);
            let sizes = sizes.as_ref().map(Decimals::of).transpose()?;
            build::decimals(call.rows, |row| {
                let size = sizes.as_ref().map_or(Some(DECIMAL_ONE), |sizes| sizes.get(row))?;
                let value = values.get(row)?;
                (size != 0).then(|| floored(value, size))
            })
        }
        out => {
            let default = if matches!(out, Type::Datetime | Type::Timespan) { kyma_core::time::DAY } else { 1 };
            let values = call.longs(0)?;
            let sizes = Sizes::of(call, 1, default)?;
            build::longs(out, call.rows, |row| {
                let (value, size) = (values.get(row)?, sizes.get(row)?);
                let floor = || floored(i128::from(value), i128::from(size));
                (size != 0).then(|| floor().clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
            })
        }
    }
}

/// The largest multiple of `size` at most `value` (at least, where `size` is negative: the quotient is rounded down).
fn floored(value: i128, size: i128) -> i128 {
    let away = value % size;
    value - if away != 0 && (away < 0) != (size < 0) { away + size } else { away }
}

/// Bin sizes over integers and times: a number beside a time counts in ticks.
struct Sizes {
    arg: Arg,
}

impl Sizes {
    fn of(call: &Call<'_>, index: usize, default: i64) -> Result<Sizes> {
        if !call.has(index) {
            return Ok(Sizes { arg: Arg::Scalar(kyma_core::Value::Long(default)) });
        }
        let arg = call.arg(index)?;
        let over_time = matches!(call.out, Type::Datetime | Type::Timespan);
        Ok(match call.ty(index) {
            Type::Int | Type::Long | Type::Real if over_time => {
                let rows = if matches!(arg, Arg::Scalar(_)) { 1 } else { call.rows };
                let spans = crate::convert(arg, call.ty(index), Type::Timespan, rows)?;
                let constant = matches!(arg, Arg::Scalar(_));
                let arg = if constant {
                    Arg::Scalar(crate::array_value(spans.as_ref(), 0, Type::Timespan))
                } else {
                    Arg::Array(spans)
                };
                Sizes { arg }
            }
            _ => Sizes { arg: arg.clone() },
        })
    }

    fn get(&self, row: usize) -> Option<i64> {
        crate::view::Longs::of(&self.arg).ok()?.get(row)
    }
}

fn bin_at(call: &Call<'_>) -> Result<ArrayRef> {
    match call.out {
        Type::Real | Type::Decimal => {
            let (values, sizes, fixed) = (call.reals(0)?, call.reals(1)?, call.reals(2)?);
            let binned = |row: usize| {
                let (value, size, fixed) = (values.get(row)?, sizes.get(row)?, fixed.get(row)?);
                (size > 0.0).then(|| ((value - fixed) / size).floor() * size + fixed)
            };
            match call.out {
                Type::Real => Ok(build::reals(call.rows, binned)),
                _ => build::decimals(call.rows, |row| binned(row).and_then(crate::view::real_to_decimal)),
            }
        }
        out => {
            let (values, fixed, sizes) = (call.longs(0)?, call.longs(2)?, Sizes::of(call, 1, 1)?);
            build::longs(out, call.rows, |row| {
                let (value, size, fixed) = (values.get(row)?, sizes.get(row)?, fixed.get(row)?);
                let away = (i128::from(value) - i128::from(fixed)).div_euclid(i128::from(size.max(1)));
                (size > 0).then(|| i64::try_from(i128::from(fixed) + away * i128::from(size)).ok()).flatten()
            })
        }
    }
}

/// Random numbers from random identifiers, so that no generator needs a place to live.
fn rand(call: &Call<'_>) -> Result<ArrayRef> {
    let bounds = call.longs_or(0, None)?;
    Ok(build::reals(call.rows, |row| {
        let bits = uuid::Uuid::new_v4().as_u128();
        let fraction = ((bits & ((1 << 48) - 1)) << 5 | (bits >> 112) & 31) as f64 / (1_u64 << 53) as f64;
        Some(match bounds.get(row) {
            Some(bound) if bound > 1 => (fraction * bound as f64).floor(),
            _ => fraction,
        })
    }))
}
