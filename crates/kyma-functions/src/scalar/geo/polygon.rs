//! Measures of polygons.

use arrow::array::ArrayRef;
use kyma_core::Result;
use s2rst::s2::{Loop, Point, Polygon, Region};

use super::cache::Shapes;
use super::geojson::Geometry;
use super::point::between;
use super::sphere::{EARTH_METRES, point, polygons, position};
use super::{Positions, line, measure, overlay, reshape};
use crate::{Call, build};

/// Polygons as one area.
fn merged(text: &str) -> Option<Polygon> {
    overlay::merged_polygons(polygons(text)?)
}

pub(super) fn area(call: &Call<'_>) -> Result<ArrayRef> {
    measure(call, merged, |polygon, _| Some(polygon.area() * EARTH_METRES * EARTH_METRES))
}

pub(super) fn perimeter(call: &Call<'_>) -> Result<ArrayRef> {
    measure(call, merged, |polygon, _| Some(polygon.loops().iter().map(border).sum()))
}

fn border(ring: &Loop) -> f64 {
    let count = ring.num_vertices();
    (0..count).map(|at| between(ring.vertex(at), ring.vertex((at + 1) % count))).sum()
}

pub(super) fn centroid(call: &Call<'_>) -> Result<ArrayRef> {
    reshape(call, merged, |polygon, _| {
        line::direction(polygon.centroid().0).map(|point| Geometry::Point(position(point)))
    })
}

/// Points on a border are in exactly one of the polygons that meet there.
pub(super) fn contains_point(call: &Call<'_>) -> Result<ArrayRef> {
    let (points, jsons) = (Positions::of(call, 0)?, call.jsons(2)?);
    let mut shapes = Shapes::new(polygons);
    Ok(build::bools(call.rows, |row| {
        let at = point(points.get(row)?);
        let polygons = shapes.get(jsons.get(row)?)?;
        Some(polygons.iter().any(|polygon| polygon.contains_point(&at)))
    }))
}

pub(super) fn distance(call: &Call<'_>) -> Result<ArrayRef> {
    let (points, jsons) = (Positions::of(call, 0)?, call.jsons(2)?);
    let mut shapes = Shapes::new(polygons);
    Ok(build::reals(call.rows, |row| {
        let at = point(points.get(row)?);
        let polygons = shapes.get(jsons.get(row)?)?;
        nearest_point(&polygons, at).map(|nearest| between(at, nearest))
    }))
}

pub(super) fn closest_point(call: &Call<'_>) -> Result<ArrayRef> {
    let (points, jsons) = (Positions::of(call, 0)?, call.jsons(2)?);
    let mut shapes = Shapes::new(polygons);
    Ok(build::jsons(call.rows, |row| {
        let at = point(points.get(row)?);
        let polygons = shapes.get(jsons.get(row)?)?;
        nearest_point(&polygons, at).map(|nearest| Geometry::Point(position(nearest)).to_json())
    }))
}

/// The point itself where it is inside.
fn nearest_point(polygons: &[Polygon], at: Point) -> Option<Point> {
    let nearest = polygons.iter().map(|polygon| polygon.project_point(at));
    nearest.min_by(|a, b| at.distance(*a).radians().total_cmp(&at.distance(*b).radians()))
}
