//! Unions and intersections, by S2's boolean operations on closed sets: a border belongs to its polygon, an end to its
//! line, so that shapes that only touch have what they touch in as their intersection.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use arrow::array::ArrayRef;
use kyma_core::Result;
use s2rst::s2::boolean_operation::{OpType, Options, PolygonModel, PolylineModel, S2BooleanOperation};
use s2rst::s2::builder::closed_set_normalizer::{self, normalize_closed_set};
use s2rst::s2::builder::graph::{DuplicateEdges, Graph, GraphOptions};
use s2rst::s2::builder::layer::Layer;
use s2rst::s2::builder::point_vector_layer::S2PointVectorLayer;
use s2rst::s2::builder::polygon_layer::S2PolygonLayer;
use s2rst::s2::builder::polyline_vector_layer::{self, S2PolylineVectorLayer};
use s2rst::s2::builder::{S2Builder, S2Error};
use s2rst::s2::polyline::Polyline;
use s2rst::s2::shape_index::ShapeIndex;
use s2rst::s2::{Point, Polygon};

use super::cache::Shapes;
use super::geojson::Geometry;
use super::sphere::{guarded, lines, lines_of, polygons, polygons_of, positions, rings};
use crate::{Call, build, json};

/// A shape as one side of an operation.
pub(super) trait Operand: Sized {
    /// The shape of a GeoJSON text.
    fn parse(text: &str) -> Option<Self>;
    /// Its edges, as the operations read them.
    fn index(&self) -> ShapeIndex;
}

/// A line or multiline.
pub(super) struct Lines(Vec<Polyline>);

/// A polygon or multipolygon.
pub(super) struct Area(Polygon);

impl Operand for Lines {
    fn parse(text: &str) -> Option<Self> {
        lines(text).map(Lines)
    }

    fn index(&self) -> ShapeIndex {
        let mut index = ShapeIndex::new();
        for line in &self.0 {
            index.add(Box::new(line.clone()));
        }
        index
    }
}

impl Operand for Area {
    /// Overlapping polygons are one area: an index wants interiors that do not overlap.
    fn parse(text: &str) -> Option<Self> {
        merged_polygons(polygons(text)?).map(Area)
    }

    fn index(&self) -> ShapeIndex {
        let mut index = ShapeIndex::new();
        index.add(Box::new(self.0.clone()));
        index
    }
}

/// What two shapes have in common.
pub(super) fn intersections<A: Operand, B: Operand>(call: &Call<'_>) -> Result<ArrayRef> {
    let (first, second) = (call.jsons(0)?, call.jsons(1)?);
    let (mut shapes_a, mut shapes_b) = (Shapes::new(A::parse), Shapes::new(B::parse));
    Ok(build::jsons(call.rows, |row| {
        let (a, b) = (shapes_a.get(first.get(row)?)?, shapes_b.get(second.get(row)?)?);
        guarded(|| intersection(a.index(), b.index())).map(|common| common.to_json())
    }))
}

/// Whether two shapes have anything in common.
pub(super) fn intersect<A: Operand, B: Operand>(call: &Call<'_>) -> Result<ArrayRef> {
    let (first, second) = (call.jsons(0)?, call.jsons(1)?);
    let (mut shapes_a, mut shapes_b) = (Shapes::new(A::parse), Shapes::new(B::parse));
    Ok(build::bools(call.rows, |row| {
        let (a, b) = (shapes_a.get(first.get(row)?)?, shapes_b.get(second.get(row)?)?);
        guarded(|| Some(S2BooleanOperation::intersects(&mut a.index(), &mut b.index(), closed())))
    }))
}

fn closed() -> Options {
    Options { polygon_model: PolygonModel::Closed, polyline_model: PolylineModel::Closed, ..Options::default() }
}

/// What two shapes share: points, lines and polygons, in this order. Nothing is an empty collection.
fn intersection(mut a: ShapeIndex, mut b: ShapeIndex) -> Option<Geometry> {
    let kept = Kept::default();
    let layers = normalize_closed_set(kept.layers(), closed_set_normalizer::Options::default());
    S2BooleanOperation::multi(OpType::Intersection, layers, closed()).build(&mut a, &mut b).ok()?;
    let common = kept.0.take();
    let parts = [
        Geometry::of_points(positions(&common.points)),
        Geometry::of_lines(common.lines.iter().map(|line| positions(line.vertices_vec())).collect()),
        Geometry::of_polygons(common.polygon.iter().flat_map(rings).collect()),
    ];
    let mut parts: Vec<Geometry> = parts.into_iter().flatten().collect();
    if parts.len() == 1 { parts.pop() } else { Some(Geometry::Collection(parts)) }
}

pub(super) fn union_lines(call: &Call<'_>) -> Result<ArrayRef> {
    unions(call, |geometries| {
        let lines: Vec<Vec<Polyline>> = geometries.into_iter().map(lines_of).collect::<Option<_>>()?;
        let merged = merged_lines(&lines.concat())?;
        Geometry::of_lines(merged.iter().map(|line| positions(line.vertices_vec())).collect())
    })
}

pub(super) fn union_polygons(call: &Call<'_>) -> Result<ArrayRef> {
    unions(call, |geometries| {
        let polygons: Vec<Vec<Polygon>> = geometries.into_iter().map(polygons_of).collect::<Option<_>>()?;
        Geometry::of_polygons(rings(&merged_polygons(polygons.concat())?))
    })
}

fn unions(call: &Call<'_>, union: impl Fn(Vec<Geometry>) -> Option<Geometry>) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    Ok(build::jsons(call.rows, |row| {
        let geometries = geometries(jsons.get(row)?)?;
        guarded(|| union(geometries)).map(|merged| merged.to_json())
    }))
}

/// The geometries of an array, all of them or none.
pub(super) fn geometries(text: &str) -> Option<Vec<Geometry>> {
    json::array(text)?.iter().map(Geometry::of).collect()
}

/// The edges of all lines, each once, joined to lines as long as they go on in one way only.
pub(super) fn merged_lines(lines: &[Polyline]) -> Option<Vec<Polyline>> {
    let options = polyline_vector_layer::Options { duplicate_edges: DuplicateEdges::Merge, ..Default::default() };
    guarded(|| {
        let kept = Kept::default();
        let mut builder = S2Builder::new(Default::default());
        builder.start_layer(kept.layer(Box::new(S2PolylineVectorLayer::with_options(options))));
        lines.iter().for_each(|line| builder.add_polyline(line));
        builder.build().ok()?;
        Some(kept.0.take().lines)
    })
}

/// The area of all polygons together.
pub(super) fn merged_polygons(polygons: Vec<Polygon>) -> Option<Polygon> {
    guarded(|| Some(Polygon::union_all(polygons)))
}

/// The output of layers that other code owns and drops.
#[derive(Debug, Default, Clone)]
pub(super) struct Kept(pub(super) Rc<RefCell<Output>>);

#[derive(Debug, Default)]
pub(super) struct Output {
    points: Vec<Point>,
    pub(super) lines: Vec<Polyline>,
    pub(super) polygon: Option<Polygon>,
}

impl Kept {
    /// Layers for points, lines and polygons.
    fn layers(&self) -> Vec<Box<dyn Layer>> {
        let lines = polyline_vector_layer::Options { duplicate_edges: DuplicateEdges::Merge, ..Default::default() };
        vec![
            self.layer(Box::new(S2PointVectorLayer::new())),
            self.layer(Box::new(S2PolylineVectorLayer::with_options(lines))),
            self.layer(Box::new(S2PolygonLayer::new())),
        ]
    }

    /// A layer whose output is kept here.
    pub(super) fn layer(&self, layer: Box<dyn Outputs>) -> Box<dyn Layer> {
        Box::new(KeptLayer { layer, kept: self.clone() })
    }
}

#[derive(Debug)]
struct KeptLayer {
    layer: Box<dyn Outputs>,
    kept: Kept,
}

impl Layer for KeptLayer {
    fn graph_options(&self) -> GraphOptions {
        self.layer.graph_options()
    }

    fn build(&mut self, graph: &Graph, error: &mut S2Error) {
        self.layer.build(graph, error);
        self.layer.put(&mut self.kept.0.borrow_mut());
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// A layer that can be asked for what it built.
pub(super) trait Outputs: Layer {
    /// Moves what was built to `output`.
    fn put(&mut self, output: &mut Output);
}

impl Outputs for S2PointVectorLayer {
    fn put(&mut self, output: &mut Output) {
        output.points.extend(self.take_output().unwrap_or_default());
    }
}

impl Outputs for S2PolylineVectorLayer {
    fn put(&mut self, output: &mut Output) {
        output.lines.extend(self.take_output().unwrap_or_default());
    }
}

impl Outputs for S2PolygonLayer {
    fn put(&mut self, output: &mut Output) {
        output.polygon = self.take_output().filter(|polygon| !polygon.is_empty_polygon());
    }
}
