//! Points on a sphere, and geohashes (Niemeyer 2008). Coordinates are longitude first; invalid ones give null.

use arrow::array::ArrayRef;
use kyma_core::Result;
use serde_json::json;

use super::{Kernel, kernel};
use crate::{Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("geo_distance_2points", geo_distance_2points),
    kernel("geo_point_to_geohash", geo_point_to_geohash),
    kernel("geo_geohash_to_central_point", |call| {
        cells(
            call,
            |(west, east), (south, north)| json!({"type": "Point", "coordinates": [f64::midpoint(west, east), f64::midpoint(south, north)]}),
        )
    }),
    kernel("geo_geohash_to_polygon", |call| {
        cells(call, |(west, east), (south, north)| {
            let ring = [[west, south], [east, south], [east, north], [west, north], [west, south]];
            json!({"type": "Polygon", "coordinates": [ring]})
        })
    }),
];

/// Mean radius of the Earth, in metres.
const EARTH_METRES: f64 = 6_371_010.0;
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
const GEOHASH_CHARS_MAX: usize = 18;

fn valid(longitude: f64, latitude: f64) -> bool {
    (-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude)
}

/// The haversine of two points.
fn geo_distance_2points(call: &Call<'_>) -> Result<ArrayRef> {
    let views: Vec<_> = (0..4).map(|index| call.reals(index)).collect::<Result<_>>()?;
    Ok(build::reals(call.rows, |row| {
        let get = |index: usize| views[index].get(row);
        let (x1, y1, x2, y2) = (get(0)?, get(1)?, get(2)?, get(3)?);
        if !valid(x1, y1) || !valid(x2, y2) {
            return None;
        }
        let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
        let a = half(y1, y2) + y1.to_radians().cos() * y2.to_radians().cos() * half(x1, x2);
        Some(2.0 * EARTH_METRES * a.sqrt().min(1.0).asin())
    }))
}

/// Halves longitude and latitude in turn, five bits to a character.
fn geo_point_to_geohash(call: &Call<'_>) -> Result<ArrayRef> {
    let (longitudes, latitudes) = (call.reals(0)?, call.reals(1)?);
    let accuracies = call.longs_or(2, Some(5))?;
    Ok(build::texts(call.rows, |row| {
        let hash = || {
            let (x, y) = (longitudes.get(row)?, latitudes.get(row)?);
            let chars = usize::try_from(accuracies.get(row)?).ok()?;
            (valid(x, y) && (1..=GEOHASH_CHARS_MAX).contains(&chars)).then(|| geohash(x, y, chars))
        };
        hash().unwrap_or_default()
    }))
}

fn geohash(x: f64, y: f64, chars: usize) -> String {
    let (mut across, mut up) = ((-180.0, 180.0), (-90.0, 90.0));
    let mut bit = |at: usize| {
        let (range, value) = if at.is_multiple_of(2) { (&mut across, x) } else { (&mut up, y) };
        let middle = f64::midpoint(range.0, range.1);
        let high = value >= middle;
        *range = if high { (middle, range.1) } else { (range.0, middle) };
        usize::from(high)
    };
    let mut code = |char_at: usize| (0..5).fold(0, |code, at| code << 1 | bit(char_at * 5 + at));
    (0..chars).map(|at| char::from(ALPHABET[code(at)])).collect()
}

/// The cell of a geohash: west to east, south to north.
fn cell(text: &str) -> Option<((f64, f64), (f64, f64))> {
    if text.is_empty() || text.len() > GEOHASH_CHARS_MAX {
        return None;
    }
    let (mut across, mut up) = ((-180.0, 180.0), (-90.0, 90.0));
    for (place, byte) in text.bytes().enumerate() {
        let code = ALPHABET.iter().position(|&letter| letter == byte.to_ascii_lowercase())?;
        for at in 0..5 {
            let range = if (place * 5 + at).is_multiple_of(2) { &mut across } else { &mut up };
            let middle = f64::midpoint(range.0, range.1);
            *range = if code >> (4 - at) & 1 == 1 { (middle, range.1) } else { (range.0, middle) };
        }
    }
    Some((across, up))
}

fn cells(call: &Call<'_>, shape: impl Fn((f64, f64), (f64, f64)) -> serde_json::Value) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    Ok(build::jsons(call.rows, |row| {
        let (across, up) = cell(texts.get(row))?;
        Some(shape(across, up).to_string())
    }))
}
