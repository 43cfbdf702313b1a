//! Cells of S2: of a point, around a cell, and those that a shape meets.

use arrow::array::ArrayRef;
use kyma_core::Result;
use s2rst::s2::polyline::Polyline;
use s2rst::s2::shape::Shape;
use s2rst::s2::shape_index::ShapeIndex;
use s2rst::s2::shape_index_buffered_region::ShapeIndexBufferedRegion;
use s2rst::s2::shape_index_region::ShapeIndexRegion;
use s2rst::s2::{Cell, CellId, CellVertex, Face, Level, Polygon, Region};

use super::cache::Shapes;
use super::geojson::{Geometry, Position};
use super::sphere::{angle, guarded, lines, point, polygons, position};
use super::{Metres, Positions, order};
use crate::limits::GEO_S2_CELLS_MAX;
use crate::scalar::text::quoted;
use crate::{Call, build};

/// The level unless asked otherwise.
const LEVEL: i64 = 11;

pub(super) fn cell_of_point(call: &Call<'_>) -> Result<ArrayRef> {
    let (points, levels) = (Positions::of(call, 0)?, call.longs_or(2, Some(LEVEL))?);
    Ok(build::texts(call.rows, |row| {
        let token = || {
            let at = point(points.get(row)?);
            Some(CellId::from_point(&at).parent_at_level(level(levels.get(row)?)?).to_token())
        };
        token().unwrap_or_default()
    }))
}

fn level(level: i64) -> Option<Level> {
    Level::try_new(u8::try_from(level).ok()?)
}

fn cell(token: &str) -> Option<CellId> {
    let cell = CellId::from_token(token);
    cell.is_valid().then_some(cell)
}

pub(super) fn neighbors(call: &Call<'_>) -> Result<ArrayRef> {
    let tokens = call.texts(0)?;
    Ok(build::jsons(call.rows, |row| {
        let cell = cell(tokens.get(row))?;
        let around = cell.all_neighbors(cell.level())?;
        Some(tokens_json(&order::as_listed(around.into_iter().map(CellId::to_token).collect())))
    }))
}

pub(super) fn to_central_point(call: &Call<'_>) -> Result<ArrayRef> {
    shapes(call, |cell| Geometry::Point(position(cell.to_point())))
}

pub(super) fn to_polygon(call: &Call<'_>) -> Result<ArrayRef> {
    shapes(call, |id| {
        let cell = Cell::from(id);
        let mut border: Vec<Position> = CellVertex::ALL.iter().map(|corner| position(cell.vertex(*corner))).collect();
        border.extend(border.first().copied());
        Geometry::Polygon(vec![border])
    })
}

fn shapes(call: &Call<'_>, shape: impl Fn(CellId) -> Geometry) -> Result<ArrayRef> {
    let tokens = call.texts(0)?;
    Ok(build::jsons(call.rows, |row| cell(tokens.get(row)).map(|cell| shape(cell).to_json())))
}

fn tokens_json(tokens: &[String]) -> String {
    quoted(tokens.iter().map(String::as_str))
}

pub(super) fn line(call: &Call<'_>) -> Result<ArrayRef> {
    coverings::<Polyline>(call, lines)
}

pub(super) fn polygon(call: &Call<'_>) -> Result<ArrayRef> {
    coverings::<Polygon>(call, polygons)
}

fn coverings<S: Shape + Clone + 'static>(call: &Call<'_>, parse: fn(&str) -> Option<Vec<S>>) -> Result<ArrayRef> {
    let (jsons, levels) = (call.jsons(0)?, call.longs_or(1, Some(LEVEL))?);
    let radii = Metres::of(call, 2, 0.0)?;
    let mut shapes = Shapes::new(parse);
    Ok(build::jsons(call.rows, |row| {
        let shapes = shapes.get(jsons.get(row)?)?;
        let level = level(levels.get(row)?)?;
        let radius = radii.get(row).filter(|radius| *radius >= 0.0)?;
        let cells = guarded(|| covering(&shapes, level, radius))?;
        Some(tokens_json(&cells.into_iter().map(CellId::to_token).collect::<Vec<_>>()))
    }))
}

/// The cells of a level that meet or touch any of the shapes or their surroundings, in the order of the curve.
fn covering<S: Shape + Clone + 'static>(shapes: &[S], level: Level, radius: f64) -> Option<Vec<CellId>> {
    let mut index = ShapeIndex::new();
    for shape in shapes {
        index.add(Box::new(shape.clone()));
    }
    index.build();
    let mut cells = Vec::new();
    let (near, within) = (ShapeIndexBufferedRegion::from_angle(&index, angle(radius)), ShapeIndexRegion::new(&index));
    let region: &dyn Region = if radius > 0.0 { &near } else { &within };
    for face in Face::ALL {
        descend(region, CellId::from_face(face), level, &mut cells)?;
    }
    Some(cells)
}

/// Adds the cells of `level` within `id` that meet the region; none as soon as they are too many.
fn descend(region: &dyn Region, id: CellId, level: Level, cells: &mut Vec<CellId>) -> Option<()> {
    let cell = Cell::from(id);
    if !region.intersects_cell(&cell) {
        return Some(());
    }
    if id.level() == level {
        cells.push(id);
        return (cells.len() <= GEO_S2_CELLS_MAX).then_some(());
    }
    if region.contains_cell(&cell) {
        return all_within(id, level, cells);
    }
    id.children().into_iter().try_for_each(|child| descend(region, child, level, cells))
}

fn all_within(id: CellId, level: Level, cells: &mut Vec<CellId>) -> Option<()> {
    let steps = u32::from(level.as_u8().saturating_sub(id.level().as_u8()));
    let count = 4_usize.checked_pow(steps).filter(|count| cells.len() + count <= GEO_S2_CELLS_MAX)?;
    let first = id.child_begin_at_level(level);
    cells.extend(std::iter::successors(Some(first), |cell| Some(cell.next())).take(count));
    Some(())
}
