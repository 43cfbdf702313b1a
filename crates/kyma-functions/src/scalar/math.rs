//! Numbers, bins, bits and units.

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
    kernel("convert_angle", |call| unit(call, ANGLE)),
    kernel("convert_energy", |call| unit(call, ENERGY)),
    kernel("convert_force", |call| unit(call, FORCE)),
    kernel("convert_length", |call| unit(call, LENGTH)),
    kernel("convert_mass", |call| unit(call, MASS)),
    kernel("convert_speed", |call| unit(call, SPEED)),
    kernel("convert_volume", |call| unit(call, VOLUME)),
    kernel("convert_temperature", temperature),
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

type Units = &'static [(&'static str, f64)];

const ANGLE: Units = &[
    ("arcminute", std::f64::consts::PI / 10_800.0),
    ("arcsecond", std::f64::consts::PI / 648_000.0),
    ("centiradian", 0.01),
    ("deciradian", 0.1),
    ("degree", std::f64::consts::PI / 180.0),
    ("gradian", std::f64::consts::PI / 200.0),
    ("microdegree", std::f64::consts::PI / 180.0 * 1e-6),
    ("microradian", 1e-6),
    ("millidegree", std::f64::consts::PI / 180.0 * 1e-3),
    ("milliradian", 1e-3),
    ("nanodegree", std::f64::consts::PI / 180.0 * 1e-9),
    ("nanoradian", 1e-9),
    ("radian", 1.0),
    ("revolution", 2.0 * std::f64::consts::PI),
    ("tilt", std::f64::consts::PI / 2.0),
];
const ENERGY: Units = &[
    ("britishthermalunit", 1_055.055_852_62),
    ("calorie", 4.184),
    ("electronvolt", 1.602_176_565e-19),
    ("erg", 1e-7),
    ("gigajoule", 1e9),
    ("gigawatthour", 3.6e12),
    ("joule", 1.0),
    ("kilocalorie", 4_184.0),
    ("kilojoule", 1e3),
    ("kilowatthour", 3.6e6),
    ("megajoule", 1e6),
    ("megawatthour", 3.6e9),
    ("millijoule", 1e-3),
    ("terawatthour", 3.6e15),
    ("watthour", 3.6e3),
];
const FORCE: Units = &[
    ("dyn", 1e-5),
    ("decanewton", 10.0),
    ("kilogramforce", 9.806_65),
    ("kilonewton", 1e3),
    ("kilopond", 9.806_65),
    ("meganewton", 1e6),
    ("micronewton", 1e-6),
    ("millinewton", 1e-3),
    ("newton", 1.0),
    ("ounceforce", 0.278_013_850_953_781_2),
    ("poundforce", 4.448_221_615_260_5),
    ("poundal", 0.138_254_954_376),
    ("tonneforce", 9_806.65),
];
const LENGTH: Units = &[
    ("angstrom", 1e-10),
    ("centimeter", 1e-2),
    ("decimeter", 1e-1),
    ("fathom", 1.8288),
    ("foot", 0.3048),
    ("hectometer", 100.0),
    ("inch", 0.0254),
    ("kilometer", 1e3),
    ("lightyear", 9_460_730_472_580_800.0),
    ("meter", 1.0),
    ("micrometer", 1e-6),
    ("mil", 2.54e-5),
    ("mile", 1_609.344),
    ("millimeter", 1e-3),
    ("nanometer", 1e-9),
    ("nauticalmile", 1_852.0),
    ("parsec", 3.085_677_581_280_077e16),
    ("yard", 0.9144),
];
const MASS: Units = &[
    ("centigram", 1e-5),
    ("decagram", 1e-2),
    ("decigram", 1e-4),
    ("earthmass", 5.972_2e24),
    ("grain", 6.479_891e-5),
    ("gram", 1e-3),
    ("hectogram", 0.1),
    ("kilogram", 1.0),
    ("kilotonne", 1e6),
    ("longton", 1_016.046_908_8),
    ("megatonne", 1e9),
    ("microgram", 1e-9),
    ("milligram", 1e-6),
    ("nanogram", 1e-12),
    ("ounce", 0.028_349_523_125),
    ("pound", 0.453_592_37),
    ("shortton", 907.184_74),
    ("stone", 6.350_293_18),
    ("tonne", 1e3),
];
const SPEED: Units = &[
    ("centimeterperhour", 1e-2 / 3_600.0),
    ("centimeterperminute", 1e-2 / 60.0),
    ("centimeterpersecond", 1e-2),
    ("footperhour", 0.3048 / 3_600.0),
    ("inchperhour", 0.0254 / 3_600.0),
    ("inchperminute", 0.0254 / 60.0),
    ("kilometerperminute", 1e3 / 60.0),
    ("millimeterperhour", 1e-3 / 3_600.0),
    ("millimeterperminute", 1e-3 / 60.0),
    ("yardperhour", 0.9144 / 3_600.0),
    ("yardperminute", 0.9144 / 60.0),
    ("footperminute", 0.00508),
    ("footpersecond", 0.3048),
    ("inchpersecond", 0.0254),
    ("kilometerperhour", 1.0 / 3.6),
    ("kilometerpersecond", 1e3),
    ("knot", 0.514_444_444_444_444_5),
    ("mach", 340.29),
    ("meterperhour", 1.0 / 3_600.0),
    ("meterperminute", 1.0 / 60.0),
    ("meterpersecond", 1.0),
    ("mileperhour", 0.44704),
    ("millimeterpersecond", 1e-3),
    ("yardpersecond", 0.9144),
];
const VOLUME: Units = &[
    ("acrefoot", 1_233.481_837_547_52),
    ("centiliter", 1e-5),
    ("cubiccentimeter", 1e-6),
    ("cubicdecimeter", 1e-3),
    ("cubicfoot", 0.028_316_846_592),
    ("cubicinch", 1.638_706_4e-5),
    ("cubickilometer", 1e9),
    ("cubicmeter", 1.0),
    ("cubicmile", 4_168_181_825.440_579_6),
    ("cubicmillimeter", 1e-9),
    ("cubicyard", 0.764_554_857_984),
    ("deciliter", 1e-4),
    ("hectoliter", 0.1),
    ("imperialgallon", 0.004_546_09),
    ("liter", 1e-3),
    ("microliter", 1e-9),
    ("milliliter", 1e-6),
    ("oilbarrel", 0.158_987_294_928),
    ("usgallon", 0.003_785_411_784),
    ("usounce", 2.957_352_956_25e-5),
    ("uspint", 0.000_473_176_473),
    ("usquart", 0.000_946_352_946),
];

fn factor(units: Units, name: &str) -> Option<f64> {
    units.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(name)).map(|(_, factor)| *factor)
}

/// Unknown units give null.
fn unit(call: &Call<'_>, units: Units) -> Result<ArrayRef> {
    let (values, from, to) = (call.reals(0)?, call.texts(1)?, call.texts(2)?);
    Ok(build::reals(call.rows, |row| {
        Some(values.get(row)? * factor(units, from.get(row))? / factor(units, to.get(row))?)
    }))
}

/// Offset and scale to kelvin.
fn to_kelvin(name: &str) -> Option<(f64, f64)> {
    Some(match name.to_ascii_lowercase().as_str() {
        "kelvin" => (0.0, 1.0),
        "degreecelsius" => (273.15, 1.0),
        "degreefahrenheit" => (459.67 * 5.0 / 9.0, 5.0 / 9.0),
        "degreerankine" => (0.0, 5.0 / 9.0),
        "degreereaumur" => (273.15, 1.25),
        "degreeroemer" => (273.15 - 7.5 * 40.0 / 21.0, 40.0 / 21.0),
        "degreedelisle" => (373.15, -2.0 / 3.0),
        "degreenewton" => (273.15, 100.0 / 33.0),
        "millidegreecelsius" => (273.15, 1e-3),
        "solartemperature" => (0.0, 5_778.0),
        _ => return None,
    })
}

fn temperature(call: &Call<'_>) -> Result<ArrayRef> {
    let (values, from, to) = (call.reals(0)?, call.texts(1)?, call.texts(2)?);
    Ok(build::reals(call.rows, |row| {
        let ((offset, scale), (to_offset, to_scale)) = (to_kelvin(from.get(row))?, to_kelvin(to.get(row))?);
        Some((values.get(row)? * scale + offset - to_offset) / to_scale)
    }))
}
