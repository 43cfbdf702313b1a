//! Cells of H3.

use arrow::array::ArrayRef;
use h3o::{CellIndex, LatLng, Resolution};
use kyma_core::{Result, Type};

use super::geojson::{Geometry, Position};
use super::{Positions, order};
use crate::limits::{GEO_H3_CHILD_LEVELS_MAX, GEO_H3_RINGS_MAX};
use crate::scalar::text::quoted;
use crate::{Call, build};

/// The resolution unless asked otherwise.
pub(super) const RESOLUTION: i64 = 6;

pub(super) fn of_point(call: &Call<'_>) -> Result<ArrayRef> {
    let (points, resolutions) = (Positions::of(call, 0)?, call.longs_or(2, Some(RESOLUTION))?);
    Ok(build::texts(call.rows, |row| {
        let token = || {
            let [longitude, latitude] = points.get(row)?;
            let at = LatLng::new(latitude, longitude).ok()?;
            Some(at.to_cell(resolution(resolutions.get(row)?)?).to_string())
        };
        token().unwrap_or_default()
    }))
}

pub(super) fn resolution(resolution: i64) -> Option<Resolution> {
    Resolution::try_from(u8::try_from(resolution).ok()?).ok()
}

fn cell(token: &str) -> Option<CellIndex> {
    // A sign would be taken for part of the number.
    let hex = token.bytes().all(|byte| byte.is_ascii_hexdigit());
    CellIndex::try_from(u64::from_str_radix(token, 16).ok().filter(|_| hex)?).ok()
}

fn tokens(cells: impl IntoIterator<Item = CellIndex>) -> Vec<String> {
    cells.into_iter().map(|cell| cell.to_string()).collect()
}

fn tokens_json(tokens: &[String]) -> String {
    quoted(tokens.iter().map(String::as_str))
}

pub(super) fn level(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    build::longs(Type::Int, call.rows, |row| Some(i64::from(u8::from(cell(texts.get(row))?.resolution()))))
}

/// The resolution asked for, or `steps` finer than the cell's.
fn resolution_of(call: &Call<'_>, steps: i64) -> Result<impl Fn(usize, CellIndex) -> Option<Resolution>> {
    let given = call.has(1).then(|| call.longs(1)).transpose()?;
    Ok(move |row, cell: CellIndex| match &given {
        Some(given) => resolution(given.get(row)?),
        None => resolution(i64::from(u8::from(cell.resolution())) + steps),
    })
}

pub(super) fn children(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    let resolution = resolution_of(call, 1)?;
    Ok(build::jsons(call.rows, |row| {
        let cell = cell(texts.get(row))?;
        let resolution = resolution(row, cell)?;
        let levels = u8::from(resolution).checked_sub(u8::from(cell.resolution()))?;
        if levels == 0 || levels > GEO_H3_CHILD_LEVELS_MAX {
            return None;
        }
        Some(tokens_json(&tokens(cell.children(resolution))))
    }))
}

pub(super) fn parent(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    let resolution = resolution_of(call, -1)?;
    Ok(build::texts(call.rows, |row| {
        let parent = || {
            let cell = cell(texts.get(row))?;
            let resolution = resolution(row, cell).filter(|resolution| *resolution < cell.resolution())?;
            Some(cell.parent(resolution)?.to_string())
        };
        parent().unwrap_or_default()
    }))
}

pub(super) fn neighbors(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    Ok(build::jsons(call.rows, |row| {
        let cell = cell(texts.get(row))?;
        let around: Vec<CellIndex> = cell.grid_disk(1);
        Some(tokens_json(&order::as_listed(tokens(around.into_iter().filter(|other| *other != cell)))))
    }))
}

/// The cell, the cells around it, those around them, ...
pub(super) fn rings(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, distances) = (call.texts(0)?, call.longs(1)?);
    Ok(build::jsons(call.rows, |row| {
        let cell = cell(texts.get(row))?;
        let distance = distances.get(row).filter(|distance| (0..=GEO_H3_RINGS_MAX).contains(distance))?;
        let distance = u32::try_from(distance).ok()?;
        let disk: Vec<(CellIndex, u32)> = cell.grid_disk_distances(distance);
        let mut rings = vec![Vec::new(); distance as usize + 1];
        for (cell, ring) in disk {
            rings.get_mut(ring as usize)?.push(cell);
        }
        let rings: Vec<String> = rings.into_iter().map(|ring| tokens_json(&tokens(ring))).collect();
        Some(format!("[{}]", rings.join(",")))
    }))
}

pub(super) fn to_central_point(call: &Call<'_>) -> Result<ArrayRef> {
    shapes(call, |cell| Geometry::Point(position(LatLng::from(cell))))
}

pub(super) fn to_polygon(call: &Call<'_>) -> Result<ArrayRef> {
    shapes(call, |cell| {
        let mut border: Vec<Position> = cell.boundary().iter().copied().map(position).collect();
        border.extend(border.first().copied());
        Geometry::Polygon(vec![border])
    })
}

fn position(at: LatLng) -> Position {
    [at.lng(), at.lat()]
}

fn shapes(call: &Call<'_>, shape: impl Fn(CellIndex) -> Geometry) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    Ok(build::jsons(call.rows, |row| cell(texts.get(row)).map(|cell| shape(cell).to_json())))
}
