//! Distances and directions between points.

use arrow::array::ArrayRef;
use geographiclib_rs::{Geodesic, InverseGeodesic};
use kyma_core::Result;

use super::Positions;
use super::geojson::Position;
use super::sphere::{EARTH_METRES, metres, point};
use crate::{Call, build};

const TURN: f64 = std::f64::consts::TAU;

/// On the sphere by the haversine, on the spheroid by Karney's solution of the inverse problem (2013).
pub(super) fn distance(call: &Call<'_>) -> Result<ArrayRef> {
    let (from, to) = (Positions::of(call, 0)?, Positions::of(call, 2)?);
    let on_spheroid = call.bools_or(4, false)?;
    let spheroid = Geodesic::wgs84();
    Ok(build::reals(call.rows, |row| {
        let (from, to) = (from.get(row)?, to.get(row)?);
        Some(if on_spheroid.get(row)? { spheroidal(&spheroid, from, to) } else { spherical(from, to) })
    }))
}

pub(super) fn spherical([x1, y1]: Position, [x2, y2]: Position) -> f64 {
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let a = half(y1, y2) + y1.to_radians().cos() * y2.to_radians().cos() * half(x1, x2);
    2.0 * EARTH_METRES * a.sqrt().min(1.0).asin()
}

pub(super) fn spheroidal(spheroid: &Geodesic, [x1, y1]: Position, [x2, y2]: Position) -> f64 {
    spheroid.inverse(y1, x1, y2, x2)
}

pub(super) fn azimuth(call: &Call<'_>) -> Result<ArrayRef> {
    let (from, to) = (Positions::of(call, 0)?, Positions::of(call, 2)?);
    Ok(build::reals(call.rows, |row| bearing(from.get(row)?, to.get(row)?)))
}

/// The angle at the second point from the way back to the first to the way on to the third, clockwise.
pub(super) fn angle(call: &Call<'_>) -> Result<ArrayRef> {
    let points = [Positions::of(call, 0)?, Positions::of(call, 2)?, Positions::of(call, 4)?];
    Ok(build::reals(call.rows, |row| {
        let (first, at, third) = (points[0].get(row)?, points[1].get(row)?, points[2].get(row)?);
        Some((bearing(at, third)? - bearing(at, first)?).rem_euclid(TURN))
    }))
}

/// The direction in which the shortest way starts, in radians clockwise from north; none between points that are the
/// same or opposite, where no way is the shortest.
fn bearing(from: Position, to: Position) -> Option<f64> {
    let (a, b) = (point(from), point(to));
    if a.approx_eq(b) || a.0.dot(b.0) < -1.0 + f64::EPSILON {
        return None;
    }
    let [y1, y2] = [from[1], to[1]].map(f64::to_radians);
    let across = (to[0] - from[0]).to_radians();
    let east = across.sin() * y2.cos();
    let north = y1.cos() * y2.sin() - y1.sin() * y2.cos() * across.cos();
    Some(east.atan2(north).rem_euclid(TURN))
}

pub(super) fn in_circle(call: &Call<'_>) -> Result<ArrayRef> {
    let (points, centers) = (Positions::of(call, 0)?, Positions::of(call, 2)?);
    let radii = call.reals(4)?;
    Ok(build::bools(call.rows, |row| {
        let (point, center, radius) = (points.get(row)?, centers.get(row)?, radii.get(row)?);
        (radius >= 0.0).then(|| spherical(point, center) <= radius)
    }))
}

/// The metres between two points of the sphere.
pub(super) fn between(a: s2rst::s2::Point, b: s2rst::s2::Point) -> f64 {
    metres(a.distance(b))
}
