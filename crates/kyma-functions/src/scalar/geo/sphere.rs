//! Positions as points of the unit sphere, shapes as S2 has them, and back.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use s2rst::s1::Angle;
use s2rst::s2::polyline::Polyline;
use s2rst::s2::{LatLng, Loop, Point, Polygon};

use super::geojson::{Geometry, Position, Rings};

/// Radius of the Earth as a sphere, in metres.
pub(super) const EARTH_METRES: f64 = 6_371_010.0;

pub(super) fn on_earth([longitude, latitude]: Position) -> bool {
    (-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude)
}

/// The angle at the Earth's centre over so many metres on its surface.
pub(super) fn angle(metres: f64) -> Angle {
    Angle::from_radians(metres / EARTH_METRES)
}

/// The metres on the surface over an angle.
pub(super) fn metres(angle: Angle) -> f64 {
    angle.radians() * EARTH_METRES
}

/// The point at a position, wherever it is.
pub(super) fn point([longitude, latitude]: Position) -> Point {
    LatLng::from_degrees(latitude, longitude).to_point()
}

pub(super) fn position(point: Point) -> Position {
    let at = LatLng::from_point(point);
    [at.lng.degrees(), at.lat.degrees()]
}

pub(super) fn positions(points: &[Point]) -> Vec<Position> {
    points.iter().map(|point| position(*point)).collect()
}

/// The valid lines of a GeoJSON line or multiline.
pub(super) fn lines(text: &str) -> Option<Vec<Polyline>> {
    lines_of(Geometry::parse(text)?)
}

/// The valid polygons of a GeoJSON polygon or multipolygon.
pub(super) fn polygons(text: &str) -> Option<Vec<Polygon>> {
    polygons_of(Geometry::parse(text)?)
}

pub(super) fn lines_of(geometry: Geometry) -> Option<Vec<Polyline>> {
    let lines: Vec<Polyline> = geometry.into_lines()?.iter().map(|line| polyline(line)).collect::<Option<_>>()?;
    (!lines.is_empty()).then_some(lines)
}

pub(super) fn polygons_of(geometry: Geometry) -> Option<Vec<Polygon>> {
    let polygons: Vec<Polygon> = geometry.into_polygons()?.iter().map(polygon).collect::<Option<_>>()?;
    (!polygons.is_empty()).then_some(polygons)
}

/// At least two positions, neighbours neither the same nor opposite.
fn polyline(line: &[Position]) -> Option<Polyline> {
    if line.len() < 2 || !line.iter().copied().all(on_earth) {
        return None;
    }
    let polyline = Polyline::new(line.iter().copied().map(point).collect());
    polyline.validate().is_ok().then_some(polyline)
}

/// Closed rings that do not cross and share no edge. Each is taken for the smaller part of the sphere on either side of
/// it, whichever way it turns.
fn polygon(rings: &Rings) -> Option<Polygon> {
    let loops: Vec<Loop> = rings.iter().map(|ring| closed_loop(ring)).collect::<Option<_>>()?;
    if loops.is_empty() {
        return None;
    }
    guarded(|| {
        let polygon = Polygon::from_loops(loops);
        polygon.find_validation_error().is_none().then_some(polygon)
    })
}

fn closed_loop(ring: &[Position]) -> Option<Loop> {
    let (last, rest) = ring.split_last()?;
    if rest.len() < 3 || rest.first() != Some(last) || !ring.iter().copied().all(on_earth) {
        return None;
    }
    let mut points = Loop::new(rest.iter().copied().map(point).collect());
    points.validate().ok()?;
    points.normalize();
    Some(points)
}

/// The GeoJSON polygons of an S2 polygon: each shell, counter-clockwise, with the holes in it, clockwise.
pub(super) fn rings(polygon: &Polygon) -> Vec<Rings> {
    let mut polygons: Vec<Rings> = Vec::new();
    let mut place_of_shell: HashMap<usize, usize> = HashMap::new();
    for (index, ring) in polygon.loops().iter().enumerate() {
        let shell = polygon.parent(index).filter(|_| ring.is_hole());
        match shell.and_then(|shell| place_of_shell.get(&shell)).and_then(|place| polygons.get_mut(*place)) {
            Some(polygon) => polygon.push(closed_ring(ring)),
            None => {
                place_of_shell.insert(index, polygons.len());
                polygons.push(vec![closed_ring(ring)]);
            }
        }
    }
    polygons
}

fn closed_ring(ring: &Loop) -> Vec<Position> {
    let mut positions: Vec<Position> = (0..ring.num_vertices()).map(|at| position(ring.oriented_vertex(at))).collect();
    positions.extend(positions.first().copied());
    positions
}

/// What `compute` gives; nothing if it panics.
///
/// The library keeps the reference implementation's assertions about its own state. Shapes are validated before they
/// come here, but "no input panics" is a promise of this crate, not of the library.
pub(super) fn guarded<T>(compute: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(compute)).unwrap_or_default()
}
