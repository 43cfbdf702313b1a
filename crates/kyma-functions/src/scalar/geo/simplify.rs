//! Shapes with fewer vertices: those closer than a tolerance to others are snapped to them, and chains of edges that
//! are straight within it become one edge (S2's builder). Parts that are smaller than the tolerance vanish.

use arrow::array::ArrayRef;
use kyma_core::Result;
use s2rst::s2::Polygon;
use s2rst::s2::builder::graph::DuplicateEdges;
use s2rst::s2::builder::polygon_layer::S2PolygonLayer;
use s2rst::s2::builder::polyline_vector_layer::{self, S2PolylineVectorLayer};
use s2rst::s2::builder::snap::{IdentitySnapFunction, MAX_SNAP_RADIUS};
use s2rst::s2::builder::{Options, S2Builder};
use s2rst::s2::polyline::Polyline;

use super::geojson::{Geometry, Rings};
use super::overlay::{self, Kept, merged_polygons};
use super::sphere::{self, angle, guarded, lines, polygons_of, positions, rings};
use super::{Metres, reshape};
use crate::{Call, build};

/// The tolerance unless asked otherwise, in metres.
const TOLERANCE_METRES: f64 = 10.0;

pub(super) fn line(call: &Call<'_>) -> Result<ArrayRef> {
    let tolerances = Metres::of(call, 1, TOLERANCE_METRES)?;
    reshape(call, lines, |lines, row| {
        let simple = simple_lines(lines, options(tolerances.get(row)?)?)?;
        Geometry::of_lines(simple.iter().map(|line| positions(line.vertices_vec())).collect())
    })
}

pub(super) fn polygon(call: &Call<'_>) -> Result<ArrayRef> {
    let tolerances = Metres::of(call, 1, TOLERANCE_METRES)?;
    reshape(call, sphere::polygons, |polygons, row| {
        let options = options(tolerances.get(row)?)?;
        let area = merged_polygons(polygons.clone())?;
        Geometry::of_polygons(simple_polygons(&[area], options)?)
    })
}

/// Borders that polygons share stay shared: all are simplified together.
pub(super) fn polygons(call: &Call<'_>) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    let tolerances = Metres::of(call, 1, TOLERANCE_METRES)?;
    Ok(build::jsons(call.rows, |row| {
        let options = options(tolerances.get(row)?)?;
        let geometries = overlay::geometries(jsons.get(row)?)?;
        let polygons: Vec<Vec<Polygon>> = geometries.into_iter().map(polygons_of).collect::<Option<_>>()?;
        Some(Geometry::of_polygons(simple_polygons(&polygons.concat(), options)?)?.to_json())
    }))
}

fn options(tolerance: f64) -> Option<Options> {
    let radius = angle(tolerance);
    if radius.radians() < 0.0 || radius > MAX_SNAP_RADIUS {
        return None;
    }
    Some(Options { simplify_edge_chains: true, ..Options::new(Box::new(IdentitySnapFunction::new(radius))) })
}

fn simple_lines(lines: &[Polyline], options: Options) -> Option<Vec<Polyline>> {
    let merge = polyline_vector_layer::Options { duplicate_edges: DuplicateEdges::Merge, ..Default::default() };
    guarded(|| {
        let kept = Kept::default();
        let mut builder = S2Builder::new(options);
        builder.start_layer(kept.layer(Box::new(S2PolylineVectorLayer::with_options(merge))));
        lines.iter().for_each(|line| builder.add_polyline(line));
        builder.build().ok()?;
        let lines = kept.0.take().lines;
        // A line shorter than the tolerance is a point after snapping, which is no line.
        Some(lines.into_iter().filter(|line| line.length().radians() > 0.0).collect())
    })
}

/// One layer for each polygon, so that each comes out by itself.
fn simple_polygons(polygons: &[Polygon], options: Options) -> Option<Vec<Rings>> {
    guarded(|| {
        let mut builder = S2Builder::new(options);
        let mut outputs: Vec<Kept> = Vec::new();
        for polygon in polygons {
            let kept = Kept::default();
            builder.start_layer(kept.layer(Box::new(S2PolygonLayer::new())));
            builder.add_polygon(polygon);
            outputs.push(kept);
        }
        builder.build().ok()?;
        Some(outputs.iter().filter_map(|kept| kept.0.take().polygon).flat_map(|polygon| rings(&polygon)).collect())
    })
}
