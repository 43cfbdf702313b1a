//! Measures of lines.

use arrow::array::ArrayRef;
use geographiclib_rs::{DirectGeodesic, Geodesic, InverseGeodesic};
use kyma_core::Result;
use s2rst::r3::Vector;
use s2rst::s2::Point;
use s2rst::s2::polyline::Polyline;

use super::cache::Shapes;
use super::geojson::{Geometry, Position};
use super::point::{between, spheroidal};
use super::sphere::{lines, metres, point, position, positions};
use super::{Positions, measure, overlay, reshape};
use crate::{Call, build};

/// Lines as one set of edges: where several lines share an edge it counts once.
fn merged(text: &str) -> Option<Vec<Polyline>> {
    let lines = lines(text)?;
    if lines.len() == 1 { Some(lines) } else { overlay::merged_lines(&lines) }
}

/// A line alone.
fn single(text: &str) -> Option<Polyline> {
    let mut lines = lines(text)?;
    if lines.len() == 1 { lines.pop() } else { None }
}

pub(super) fn length(call: &Call<'_>) -> Result<ArrayRef> {
    measure(call, merged, |lines, _| Some(lines.iter().map(|line| metres(line.length())).sum()))
}

pub(super) fn centroid(call: &Call<'_>) -> Result<ArrayRef> {
    reshape(call, merged, |lines, _| {
        let sum = lines.iter().fold(Vector::new(0.0, 0.0, 0.0), |sum, line| sum + line.centroid().0);
        direction(sum).map(|point| Geometry::Point(position(point)))
    })
}

/// The point of the sphere in a direction, if it is one.
pub(super) fn direction(vector: Vector) -> Option<Point> {
    (vector.norm2() > 0.0).then(|| Point(vector).normalize())
}

pub(super) fn interpolate_point(call: &Call<'_>) -> Result<ArrayRef> {
    let fractions = call.reals(1)?;
    reshape(call, single, |line, row| {
        let fraction = fractions.get(row).filter(|fraction| (0.0..=1.0).contains(fraction))?;
        Some(Geometry::Point(position(line.interpolate(fraction).0)))
    })
}

pub(super) fn locate_point(call: &Call<'_>) -> Result<ArrayRef> {
    let points = Positions::of(call, 1)?;
    let on_spheroid = call.bools_or(3, false)?;
    measure(call, single, |line, row| {
        let at = points.get(row)?;
        if on_spheroid.get(row)? {
            return Some(located_on_spheroid(&positions(line.vertices_vec()), at));
        }
        let (nearest, next) = line.project(point(at));
        Some(line.uninterpolate(nearest, next))
    })
}

/// The part of the line before the point of it that is nearest to `at`, on the spheroid. Along an edge the distance to
/// a point near it has one minimum, found by golden sections.
fn located_on_spheroid(line: &[Position], at: Position) -> f64 {
    let spheroid = Geodesic::wgs84();
    let (mut before, mut nearest, mut nearest_before) = (0.0, f64::INFINITY, 0.0);
    for edge in line.windows(2) {
        let [from, to] = [edge[0], edge[1]];
        let (length, azimuth, _, _): (f64, f64, f64, f64) = spheroid.inverse(from[1], from[0], to[1], to[0]);
        let distance_from = |along: f64| {
            let (latitude, longitude): (f64, f64) = spheroid.direct(from[1], from[0], azimuth, along);
            spheroidal(&spheroid, [longitude, latitude], at)
        };
        let along = minimum(0.0, length, distance_from);
        for along in [0.0, along, length] {
            let distance = distance_from(along);
            if distance < nearest {
                (nearest, nearest_before) = (distance, before + along);
            }
        }
        before += length;
    }
    if before > 0.0 { (nearest_before / before).min(1.0) } else { 0.0 }
}

/// Where `value` is least between `low` and `high`.
fn minimum(mut low: f64, mut high: f64, value: impl Fn(f64) -> f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    const STEPS: usize = 64;
    for _ in 0..STEPS {
        let (left, right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
        if value(left) < value(right) { high = right } else { low = left }
    }
    f64::midpoint(low, high)
}

pub(super) fn distance(call: &Call<'_>) -> Result<ArrayRef> {
    let (points, jsons) = (Positions::of(call, 0)?, call.jsons(2)?);
    let mut shapes = Shapes::new(lines);
    Ok(build::reals(call.rows, |row| {
        let at = point(points.get(row)?);
        let lines = shapes.get(jsons.get(row)?)?;
        nearest_point(&lines, at).map(|nearest| between(at, nearest))
    }))
}

pub(super) fn closest_point(call: &Call<'_>) -> Result<ArrayRef> {
    let (points, jsons) = (Positions::of(call, 0)?, call.jsons(2)?);
    let mut shapes = Shapes::new(lines);
    Ok(build::jsons(call.rows, |row| {
        let at = point(points.get(row)?);
        let lines = shapes.get(jsons.get(row)?)?;
        nearest_point(&lines, at).map(|nearest| Geometry::Point(position(nearest)).to_json())
    }))
}

fn nearest_point(lines: &[Polyline], at: Point) -> Option<Point> {
    let nearest = lines.iter().map(|line| line.project(at).0);
    nearest.min_by(|a, b| at.distance(*a).radians().total_cmp(&at.distance(*b).radians()))
}
