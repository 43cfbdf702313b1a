//! Geohashes (Niemeyer 2008).

use arrow::array::ArrayRef;
use kyma_core::Result;

use super::geojson::{Geometry, Position};
use super::{Positions, order};
use crate::scalar::text::quoted;
use crate::{Call, build};

const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
const GEOHASH_CHARS_MAX: usize = 18;

/// Halves longitude and latitude in turn, five bits to a character.
pub(super) fn of_point(call: &Call<'_>) -> Result<ArrayRef> {
    let points = Positions::of(call, 0)?;
    let accuracies = call.longs_or(2, Some(5))?;
    Ok(build::texts(call.rows, |row| {
        let hash = || {
            let position = points.get(row)?;
            let chars = usize::try_from(accuracies.get(row)?).ok()?;
            (1..=GEOHASH_CHARS_MAX).contains(&chars).then(|| geohash(position, chars))
        };
        hash().unwrap_or_default()
    }))
}

pub(super) fn to_central_point(call: &Call<'_>) -> Result<ArrayRef> {
    cells(call, |cell| Geometry::Point(cell.middle()))
}

pub(super) fn to_polygon(call: &Call<'_>) -> Result<ArrayRef> {
    cells(call, |cell| Geometry::Polygon(vec![cell.border()]))
}

fn cells(call: &Call<'_>, shape: impl Fn(Cell) -> Geometry) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    Ok(build::jsons(call.rows, |row| cell(texts.get(row)).map(|cell| shape(cell).to_json())))
}

/// The cells around, at most eight: none lies beyond a pole.
pub(super) fn neighbors(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    Ok(build::jsons(call.rows, |row| {
        let text = texts.get(row);
        let around = cell(text)?.around().into_iter().map(|at| geohash(at, text.len())).collect();
        Some(quoted(order::as_listed(around).iter().map(String::as_str)))
    }))
}

/// A part of the map.
struct Cell {
    west_east: (f64, f64),
    south_north: (f64, f64),
}

impl Cell {
    fn middle(&self) -> Position {
        let ((west, east), (south, north)) = (self.west_east, self.south_north);
        [f64::midpoint(west, east), f64::midpoint(south, north)]
    }

    fn border(&self) -> Vec<Position> {
        let ((west, east), (south, north)) = (self.west_east, self.south_north);
        vec![[west, south], [east, south], [east, north], [west, north], [west, south]]
    }

    /// The middles of the cells around, row by row from the north west.
    fn around(&self) -> Vec<Position> {
        let [x, y] = self.middle();
        let width = self.west_east.1 - self.west_east.0;
        let height = self.south_north.1 - self.south_north.0;
        let steps = [1.0, 0.0, -1.0].into_iter().flat_map(|up| [-1.0, 0.0, 1.0].map(|right| (right, up)));
        let places = steps.filter(|step| *step != (0.0, 0.0)).map(|(right, up)| {
            let across = x + right * width;
            [across - 360.0 * (across / 360.0).round(), y + up * height]
        });
        places.filter(|[_, latitude]| latitude.abs() < 90.0).collect()
    }
}

fn geohash([x, y]: Position, chars: usize) -> String {
    let (mut across, mut up) = ((-180.0, 180.0), (-90.0, 90.0));
    let mut bit = |at: usize| {
        let (range, value) = if at.is_multiple_of(2) { (&mut across, x) } else { (&mut up, y) };
        let middle = f64::midpoint(range.0, range.1);
        let high = value >= middle;
        *range = if high { (middle, range.1) } else { (range.0, middle) };
        usize::from(high)
    };
    let mut code = |char_at: usize| (0..5).fold(0, |code, at| code << 1 | bit(char_at * 5 + at));
    (0..chars).map(|at| char::from(ALPHABET[code(at)])).collect()
}

/// The cell of a geohash.
fn cell(text: &str) -> Option<Cell> {
    if text.is_empty() || text.len() > GEOHASH_CHARS_MAX {
        return None;
    }
    let (mut across, mut up) = ((-180.0, 180.0), (-90.0, 90.0));
    for (place, byte) in text.bytes().enumerate() {
        let code = ALPHABET.iter().position(|&letter| letter == byte.to_ascii_lowercase())?;
        for at in 0..5 {
            let range = if (place * 5 + at).is_multiple_of(2) { &mut across } else { &mut up };
            let middle = f64::midpoint(range.0, range.1);
            *range = if code >> (4 - at) & 1 == 1 { (middle, range.1) } else { (range.0, middle) };
        }
    }
    Some(Cell { west_east: across, south_north: up })
}
