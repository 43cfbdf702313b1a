//! Units of measurement. Each is its size in one unit of its kind; unknown units give null.

use arrow::array::ArrayRef;
use kyma_core::Result;

use super::{Kernel, kernel};
use crate::{Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("convert_angle", |call| unit(call, ANGLE)),
    kernel("convert_energy", |call| unit(call, ENERGY)),
    kernel("convert_force", |call| unit(call, FORCE)),
    kernel("convert_length", |call| unit(call, LENGTH)),
    kernel("convert_mass", |call| unit(call, MASS)),
    kernel("convert_speed", |call| unit(call, SPEED)),
    kernel("convert_volume", |call| unit(call, VOLUME)),
    kernel("convert_temperature", temperature),
];

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
