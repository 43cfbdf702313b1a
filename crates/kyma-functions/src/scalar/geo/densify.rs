//! Straight lines on the map as chains of geodesics: between the ends of each edge points of the map's line are added
//! until the chain is nowhere farther from it than a tolerance (S2's tessellator).

use arrow::array::ArrayRef;
use kyma_core::Result;
use s2rst::r2;
use s2rst::s1::Angle;
use s2rst::s2::edge_tessellator::EdgeTessellator;
use s2rst::s2::projections::Projection;
use s2rst::s2::{LatLng, Loop, Point, Polygon};

use super::geojson::{Geometry, Position, Rings};
use super::sphere::{angle, guarded, point, position, positions, rings};
use super::{Metres, reshape};
use crate::Call;
use crate::limits::GEO_VERTICES_MAX;

/// The tolerance unless asked otherwise, in metres.
const TOLERANCE_METRES: f64 = 10.0;
/// The longitude just before the antimeridian where what crosses it is cut.
const CUT_LONGITUDE: f64 = 179.999_999_999_999;

pub(super) fn line(call: &Call<'_>) -> Result<ArrayRef> {
    let tolerances = Metres::of(call, 1, TOLERANCE_METRES)?;
    let crossings = call.bools_or(2, false)?;
    reshape(call, lines_on_map, |lines, row| {
        let tolerance = tolerance(tolerances.get(row)?)?;
        let keeps_crossing = crossings.get(row)?;
        let mut dense = Vec::new();
        for line in lines {
            let points = dense_points(line, tolerance)?;
            if keeps_crossing { dense.push(positions(&points)) } else { dense.extend(cut_line(&points)) }
        }
        Geometry::of_lines(dense)
    })
}

pub(super) fn polygon(call: &Call<'_>) -> Result<ArrayRef> {
    let tolerances = Metres::of(call, 1, TOLERANCE_METRES)?;
    let crossings = call.bools_or(2, false)?;
    reshape(call, polygons_on_map, |polygons, row| {
        let tolerance = tolerance(tolerances.get(row)?)?;
        let keeps_crossing = crossings.get(row)?;
        let mut dense = Vec::new();
        for polygon in polygons {
            let rings = dense_rings(polygon, tolerance)?;
            if keeps_crossing || !rings.iter().any(|ring| crosses(ring)) {
                dense.push(rings.iter().map(|ring| positions(ring)).collect());
            } else {
                dense.extend(cut_polygon(&rings)?);
            }
        }
        Geometry::of_polygons(dense)
    })
}

fn tolerance(metres: f64) -> Option<Angle> {
    (0.1..=10_000.0).contains(&metres).then(|| angle(metres))
}

/// On the map a line may go on beyond 180 degrees, but not beyond a pole.
fn on_map([longitude, latitude]: &Position) -> bool {
    longitude.abs() <= 360.0 && latitude.abs() <= 90.0
}

fn lines_on_map(text: &str) -> Option<Vec<Vec<Position>>> {
    let lines = Geometry::parse(text)?.into_lines()?;
    let valid = |line: &Vec<Position>| line.len() >= 2 && line.iter().all(on_map);
    (!lines.is_empty() && lines.iter().all(valid)).then_some(lines)
}

fn polygons_on_map(text: &str) -> Option<Vec<Rings>> {
    let polygons = Geometry::parse(text)?.into_polygons()?;
    let closed = |ring: &Vec<Position>| ring.len() >= 4 && ring.first() == ring.last() && ring.iter().all(on_map);
    let valid = |rings: &Rings| !rings.is_empty() && rings.iter().all(closed);
    (!polygons.is_empty() && polygons.iter().all(valid)).then_some(polygons)
}

fn dense_rings(rings: &Rings, tolerance: Angle) -> Option<Vec<Vec<Point>>> {
    rings.iter().map(|ring| dense_points(ring, tolerance)).collect()
}

/// The line's points and those between; none if there are too many.
fn dense_points(line: &[Position], tolerance: Angle) -> Option<Vec<Point>> {
    let tessellator = EdgeTessellator::new(Map, tolerance);
    let mut points = Vec::new();
    for edge in line.windows(2) {
        let [from, to] = [edge[0], edge[1]];
        tessellator.append_unprojected(r2::Point::new(from[0], from[1]), r2::Point::new(to[0], to[1]), &mut points);
        if points.len() > GEO_VERTICES_MAX {
            return None;
        }
    }
    Some(points)
}

/// Longitude across, latitude up, in degrees. An edge goes the way its longitudes say, also where the way around the
/// other side of the Earth is shorter.
#[derive(Debug, Clone, Copy)]
struct Map;

impl Projection for Map {
    fn project(&self, p: Point) -> r2::Point {
        self.from_lat_lng(LatLng::from_point(p))
    }

    fn unproject(&self, p: r2::Point) -> Point {
        self.to_lat_lng(p).to_point()
    }

    fn from_lat_lng(&self, ll: LatLng) -> r2::Point {
        r2::Point::new(ll.lng.degrees(), ll.lat.degrees())
    }

    fn to_lat_lng(&self, p: r2::Point) -> LatLng {
        LatLng::from_degrees(p.y, p.x - 360.0 * (p.x / 360.0).round())
    }

    fn interpolate(&self, f: f64, a: r2::Point, b: r2::Point) -> r2::Point {
        a * (1.0 - f) + b * f
    }

    fn wrap_distance(&self) -> r2::Point {
        r2::Point::new(0.0, 0.0)
    }
}

fn crosses(ring: &[Point]) -> bool {
    ring.windows(2).any(|edge| edge_crosses(position(edge[0]), position(edge[1])))
}

fn edge_crosses(from: Position, to: Position) -> bool {
    (from[0] - to[0]).abs() > 180.0
}

/// The line in pieces on either side of the antimeridian.
fn cut_line(points: &[Point]) -> Vec<Vec<Position>> {
    let mut pieces: Vec<Vec<Position>> = vec![Vec::new()];
    for at in positions(points) {
        let last = pieces.last().and_then(|piece| piece.last()).copied();
        if let Some(from) = last.filter(|from| edge_crosses(*from, at)) {
            let latitude = latitude_at_antimeridian(from, at);
            push(&mut pieces, [CUT_LONGITUDE.copysign(from[0]), latitude]);
            pieces.push(vec![[CUT_LONGITUDE.copysign(at[0]), latitude]]);
        }
        push(&mut pieces, at);
    }
    pieces.retain(|piece| piece.len() >= 2);
    pieces
}

fn push(pieces: &mut [Vec<Position>], at: Position) {
    if let Some(piece) = pieces.last_mut() {
        piece.push(at);
    }
}

/// Where the geodesic between two points meets the antimeridian.
fn latitude_at_antimeridian(from: Position, to: Position) -> f64 {
    let normal = point(from).0.cross(point(to).0);
    // The points of the half circle are (-cos latitude, 0, sin latitude).
    let latitude = normal.x.atan2(normal.z).to_degrees();
    if latitude.abs() <= 90.0 { latitude } else { latitude - 180.0_f64.copysign(latitude) }
}

/// The polygon without a sliver along the antimeridian.
fn cut_polygon(dense: &[Vec<Point>]) -> Option<Vec<Rings>> {
    let closed_loop = |ring: &Vec<Point>| {
        let mut ring = Loop::new(ring.iter().skip(1).copied().collect());
        ring.validate().ok()?;
        ring.normalize();
        Some(ring)
    };
    let loops: Vec<Loop> = dense.iter().map(closed_loop).collect::<Option<_>>()?;
    let corners = [[CUT_LONGITUDE, 0.0], [0.0, 90.0], [-CUT_LONGITUDE, 0.0], [0.0, -90.0]];
    let mut sliver = Loop::new(corners.map(point).to_vec());
    guarded(|| {
        sliver.normalize();
        let mut polygon = Polygon::from_loops(loops);
        if polygon.find_validation_error().is_some() {
            return None;
        }
        Some(rings(&Polygon::difference(&mut polygon, &mut Polygon::from_loops(vec![sliver]))))
    })
}
