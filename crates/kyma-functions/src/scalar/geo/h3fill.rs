//! The cells of H3 whose centres lie in a polygon whose edges are straight on the map.
//!
//! As H3's library does it, whose answer is a hash table, so that the order depends on each step:
//! 1. The table's size is estimated: the area of the polygon's bounding box in the smallest cells of the resolution, at
//!    least the number of vertices, and 12 more.
//! 2. Points along all edges give the first cells to search around.
//! 3. Of each cell searched and its neighbours, those not in the table whose centre is inside go to their place in it
//!    (index modulo size, or the next free one), and are searched in the next round; until a round finds none.

use arrow::array::ArrayRef;
use h3o::{CellIndex, LatLng, Resolution};
use kyma_core::Result;

use super::cache::Shapes;
use super::geojson::{Geometry, Position, Rings};
use super::h3::{RESOLUTION, resolution};
use super::sphere::{polygons, polygons_of, rings};
use super::{Metres, buffer, order};
use crate::limits::GEO_H3_CELLS_MAX;
use crate::scalar::text::quoted;
use crate::{Call, build};

pub(super) fn polygon_to_cells(call: &Call<'_>) -> Result<ArrayRef> {
    let (jsons, resolutions) = (call.jsons(0)?, call.longs_or(1, Some(RESOLUTION))?);
    let radii = Metres::of(call, 2, 0.0)?;
    let mut shapes = Shapes::new(valid_rings);
    Ok(build::jsons(call.rows, |row| {
        let text = jsons.get(row)?;
        let shape = shapes.get(text)?;
        let resolution = resolution(resolutions.get(row)?)?;
        let radius = radii.get(row).filter(|radius| *radius >= 0.0)?;
        let cells = if radius > 0.0 {
            fill_all(&rings(&buffer::buffered_by(&polygons(text)?, radius)?), resolution)?
        } else {
            fill_all(&shape, resolution)?
        };
        let tokens = order::as_listed(cells.iter().map(CellIndex::to_string).collect());
        Some(quoted(tokens.iter().map(String::as_str)))
    }))
}

/// The rings as given, of polygons that are valid.
fn valid_rings(text: &str) -> Option<Vec<Rings>> {
    let geometry = Geometry::parse(text)?;
    polygons_of(geometry.clone())?;
    geometry.into_polygons()
}

fn fill_all(polygons: &[Rings], resolution: Resolution) -> Option<Vec<CellIndex>> {
    let mut cells = Vec::new();
    for rings in polygons {
        cells.extend(Area::of(rings)?.fill(resolution)?);
        if cells.len() > GEO_H3_CELLS_MAX {
            return None;
        }
    }
    Some(cells)
}

/// Kilometres of the Earth's radius in H3's estimates.
const EARTH_KM: f64 = 6_371.007_180_918_475;

/// A polygon on the map: latitude and longitude in radians, rings open.
struct Area {
    rings: Vec<Vec<(f64, f64)>>,
    /// Whether it lies across the antimeridian; western longitudes then count on from there.
    crosses: bool,
    south_north: (f64, f64),
    west_east: (f64, f64),
}

impl Area {
    fn of(rings: &Rings) -> Option<Area> {
        let crosses = rings.iter().any(|ring| ring.windows(2).any(|edge| (edge[0][0] - edge[1][0]).abs() > 180.0));
        let open = |ring: &Vec<Position>| -> Option<Vec<(f64, f64)>> {
            let (_, open) = ring.split_last()?;
            Some(open.iter().map(|[x, y]| (y.to_radians(), x.to_radians())).collect())
        };
        let rings: Vec<Vec<(f64, f64)>> = rings.iter().map(open).collect::<Option<_>>()?;
        let area = Area { rings, crosses, south_north: (0.0, 0.0), west_east: (0.0, 0.0) };
        let shell = area.rings.first()?;
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
        };
        let south_north = range(&mut shell.iter().map(|point| point.0));
        let west_east = range(&mut shell.iter().map(|point| area.across(point.1)));
        Some(Area { south_north, west_east, ..area })
    }

    fn across(&self, longitude: f64) -> f64 {
        if self.crosses && longitude < 0.0 { longitude + std::f64::consts::TAU } else { longitude }
    }

    fn fill(&self, resolution: Resolution) -> Option<Vec<CellIndex>> {
        let radius_km = smallest_radius_km(resolution)?;
        let vertices = self.rings.iter().map(Vec::len).sum();
        let size = self.cells_estimated(radius_km)?.max(vertices) + 12;
        let mut search = self.traced(resolution, radius_km, size)?;
        let mut table = Table::of(size);
        let (mut found, mut cells) = (Vec::new(), 0);
        while !search.is_empty() {
            for cell in search.drain(..) {
                for near in cell.grid_disk::<Vec<CellIndex>>(1) {
                    if !table.contains(near) && self.contains(LatLng::from(near)) {
                        table.insert(near)?;
                        found.push(near);
                        cells += 1;
                    }
                }
            }
            if cells > GEO_H3_CELLS_MAX {
                return None;
            }
            std::mem::swap(&mut search, &mut found);
        }
        Some(table.into_cells())
    }

    /// Cells along the borders.
    fn traced(&self, resolution: Resolution, radius_km: f64, size: usize) -> Option<Vec<CellIndex>> {
        let mut seen = Table::of(size);
        let mut cells = Vec::new();
        for ring in &self.rings {
            for (index, &(y1, x1)) in ring.iter().enumerate() {
                let &(y2, x2) = ring.get((index + 1) % ring.len())?;
                let (x1, x2) = (self.across(x1), self.across(x2));
                let steps = (great_circle_km((y1, x1), (y2, x2)) / (2.0 * radius_km)).ceil().max(1.0);
                if steps > (8 * GEO_H3_CELLS_MAX) as f64 {
                    return None;
                }
                for step in 0..steps as usize {
                    let (back, on) = (steps - step as f64, step as f64);
                    let (y, x) = ((y1 * back + y2 * on) / steps, (x1 * back + x2 * on) / steps);
                    let cell = LatLng::from_radians(y, x).ok()?.to_cell(resolution);
                    if !seen.contains(cell) {
                        // A trace longer than the table cannot be of an area that fits in it.
                        seen.insert(cell)?;
                        cells.push(cell);
                    }
                }
            }
        }
        Some(cells)
    }

    /// Cells in the bounding box at most; none if there are by far too many.
    fn cells_estimated(&self, radius_km: f64) -> Option<usize> {
        let cell_km2 = 0.8 * (2.598_076_211_35 * radius_km * radius_km);
        let (south, north) = self.south_north;
        let (west, east) = self.west_east;
        let diagonal = great_circle_km((north, east), (south, west));
        let (width, height) = (east - west, north - south);
        if width <= 0.0 || height <= 0.0 {
            return None;
        }
        let ratio = width.max(height) / width.min(height);
        let cells = (diagonal * diagonal / ratio.min(3.0) / cell_km2).ceil().max(1.0);
        (cells <= (64 * GEO_H3_CELLS_MAX) as f64).then_some(cells as usize)
    }

    fn contains(&self, point: LatLng) -> bool {
        let (y, x) = (point.lat_radians(), self.across(point.lng_radians()));
        let inside = |ring: &Vec<(f64, f64)>| self.ring_contains(ring, y, x);
        match self.rings.split_first() {
            Some((shell, holes)) => inside(shell) && !holes.iter().any(inside),
            None => false,
        }
    }

    /// By the edges that a ray to the east crosses. A point on the latitude of a vertex counts as just north of it, one
    /// on an edge as just west.
    fn ring_contains(&self, ring: &[(f64, f64)], mut y: f64, mut x: f64) -> bool {
        let mut inside = false;
        for (index, &start) in ring.iter().enumerate() {
            let Some(&end) = ring.get((index + 1) % ring.len()) else { continue };
            let (low, high) = if start.0 > end.0 { (end, start) } else { (start, end) };
            if y == low.0 || y == high.0 {
                y += f64::EPSILON;
            }
            if y < low.0 || y > high.0 {
                continue;
            }
            let (low_x, high_x) = (self.across(low.1), self.across(high.1));
            if low_x == x || high_x == x {
                x -= f64::EPSILON;
            }
            let edge_x = low_x + (high_x - low_x) * ((y - low.0) / (high.0 - low.0));
            if edge_x == x {
                x -= f64::EPSILON;
            }
            if edge_x > x {
                inside = !inside;
            }
        }
        inside
    }
}

/// From the centre to a vertex of the first pentagon, where cells are smallest.
fn smallest_radius_km(resolution: Resolution) -> Option<f64> {
    let pentagon = resolution.pentagons().next()?;
    let (center, boundary) = (LatLng::from(pentagon), pentagon.boundary());
    let vertex = boundary.iter().next()?;
    let radians = |at: &LatLng| (at.lat_radians(), at.lng_radians());
    Some(great_circle_km(radians(&center), radians(vertex)))
}

fn great_circle_km((y1, x1): (f64, f64), (y2, x2): (f64, f64)) -> f64 {
    let (up, across) = (((y2 - y1) * 0.5).sin(), ((x2 - x1) * 0.5).sin());
    let a = up * up + across * across * y1.cos() * y2.cos();
    2.0 * EARTH_KM * a.sqrt().atan2((1.0 - a).sqrt())
}

/// Open addressing with linear probing.
struct Table(Vec<Option<CellIndex>>);

impl Table {
    fn of(size: usize) -> Table {
        Table(vec![None; size])
    }

    /// Where the cell is or would go; none in a full table.
    fn place(&self, cell: CellIndex) -> Option<usize> {
        let size = self.0.len();
        let first = (u64::from(cell) % size as u64) as usize;
        let places = (first..size).chain(0..first);
        places.into_iter().find(|place| self.0[*place].is_none_or(|other| other == cell))
    }

    fn contains(&self, cell: CellIndex) -> bool {
        self.place(cell).is_some_and(|place| self.0[place].is_some())
    }

    fn insert(&mut self, cell: CellIndex) -> Option<()> {
        let place = self.place(cell)?;
        self.0[place] = Some(cell);
        Some(())
    }

    fn into_cells(self) -> Vec<CellIndex> {
        self.0.into_iter().flatten().collect()
    }
}
