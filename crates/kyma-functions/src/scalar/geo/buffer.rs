//! Everything within a radius.

use arrow::array::ArrayRef;
use kyma_core::Result;
use s2rst::s2::Polygon;
use s2rst::s2::buffer_operation::{BufferOptions, MIN_ERROR_FRACTION, S2BufferOperation, buffer_point, buffer_polygon};
use s2rst::s2::builder::polygon_layer::S2PolygonLayer;
use s2rst::s2::polyline::Polyline;

use super::geojson::Geometry;
use super::overlay::{Kept, merged_polygons};
use super::sphere::{angle, guarded, lines, point as point_at, polygons, rings};
use super::{Metres, Positions, reshape};
use crate::limits::GEO_BUFFER_VERTICES_MAX;
use crate::{Call, build};

/// Deviation from the radius unless asked otherwise, in metres.
const TOLERANCE_METRES: f64 = 10.0;
/// Most of the radius that the border may deviate.
const ERROR_FRACTION_MAX: f64 = 0.999;

/// Whether the border may be computed: in the worst case every vertex is a turn with an arc around it.
fn is_bounded(vertices: usize, options: &BufferOptions) -> bool {
    vertices as f64 * options.circle_segments() <= GEO_BUFFER_VERTICES_MAX as f64
}

pub(super) fn point(call: &Call<'_>) -> Result<ArrayRef> {
    let points = Positions::of(call, 0)?;
    let (radii, tolerances) = (Metres::of(call, 2, f64::NAN)?, Metres::of(call, 3, TOLERANCE_METRES)?);
    Ok(build::jsons(call.rows, |row| {
        let at = point_at(points.get(row)?);
        let options = options(radii.get(row)?, tolerances.get(row)?)?;
        let disc = guarded(|| Some(buffer_point(at, options)))?;
        Some(Geometry::of_polygons(rings(&disc))?.to_json())
    }))
}

pub(super) fn line(call: &Call<'_>) -> Result<ArrayRef> {
    let (radii, tolerances) = (Metres::of(call, 1, f64::NAN)?, Metres::of(call, 2, TOLERANCE_METRES)?);
    reshape(call, lines, |lines, row| {
        let options = options(radii.get(row)?, tolerances.get(row)?)?;
        let vertices = lines.iter().map(Polyline::num_vertices).sum();
        let buffer = is_bounded(vertices, &options).then(|| guarded(|| buffer_lines(lines, options)))??;
        Geometry::of_polygons(rings(&buffer))
    })
}

pub(super) fn polygon(call: &Call<'_>) -> Result<ArrayRef> {
    let (radii, tolerances) = (Metres::of(call, 1, f64::NAN)?, Metres::of(call, 2, TOLERANCE_METRES)?);
    reshape(call, polygons, |polygons, row| {
        let buffer = buffered(polygons, radii.get(row)?, tolerances.get(row)?)?;
        Geometry::of_polygons(rings(&buffer))
    })
}

/// The area of polygons and what is around them.
pub(super) fn buffered(polygons: &[Polygon], radius: f64, tolerance: f64) -> Option<Polygon> {
    let options = options(radius, tolerance)?;
    let area = merged_polygons(polygons.to_vec())?;
    is_bounded(area.num_vertices(), &options).then(|| guarded(|| Some(buffer_polygon(&area, options))))?
}

/// [`TOLERANCE_METRES`] for those who have none to ask for.
pub(super) fn buffered_by(polygons: &[Polygon], radius: f64) -> Option<Polygon> {
    buffered(polygons, radius, TOLERANCE_METRES)
}

fn buffer_lines(lines: &[Polyline], options: BufferOptions) -> Option<Polygon> {
    let kept = Kept::default();
    let mut operation = S2BufferOperation::new(kept.layer(Box::new(S2PolygonLayer::new())), options);
    lines.iter().for_each(|line| operation.add_polyline(line.vertices_vec()));
    operation.build().ok()?;
    kept.0.take().polygon
}

fn options(radius: f64, tolerance: f64) -> Option<BufferOptions> {
    let fraction = tolerance / radius;
    if radius <= 0.0 || fraction.is_nan() || fraction < MIN_ERROR_FRACTION {
        return None;
    }
    let mut options = BufferOptions::new(angle(radius));
    options.set_error_fraction(fraction.min(ERROR_FRACTION_MAX));
    Some(options)
}
