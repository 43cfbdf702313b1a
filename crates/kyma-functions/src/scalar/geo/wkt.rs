//! Well-known text (OGC 06-103r4, chapter 7) to GeoJSON.

use arrow::array::ArrayRef;
use kyma_core::Result;

use super::geojson::{Geometry, Position};
use crate::limits::GEO_VERTICES_MAX;
use crate::{Call, build};

/// Collections in collections.
const DEPTH_MAX: usize = 16;

pub(super) fn from_wkt(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    Ok(build::jsons(call.rows, |row| Some(parse(texts.get(row))?.to_json())))
}

fn parse(text: &str) -> Option<Geometry> {
    let mut reader = Reader { rest: text, positions: 0 };
    let geometry = reader.geometry(0)?;
    reader.space();
    reader.rest.is_empty().then_some(geometry)
}

struct Reader<'a> {
    rest: &'a str,
    positions: usize,
}

impl<'a> Reader<'a> {
    fn geometry(&mut self, depth: usize) -> Option<Geometry> {
        if depth > DEPTH_MAX {
            return None;
        }
        Some(match self.word().to_ascii_uppercase().as_str() {
            "POINT" => Geometry::Point(self.bracketed(Reader::position)?),
            "LINESTRING" => Geometry::LineString(self.positions()?),
            "POLYGON" => Geometry::Polygon(self.list(Reader::positions)?),
            "MULTIPOINT" => Geometry::MultiPoint(self.list(Reader::maybe_bracketed_position)?),
            "MULTILINESTRING" => Geometry::MultiLineString(self.list(Reader::positions)?),
            "MULTIPOLYGON" => Geometry::MultiPolygon(self.list(|reader| reader.list(Reader::positions))?),
            "GEOMETRYCOLLECTION" => Geometry::Collection(self.list(|reader| reader.geometry(depth + 1))?),
            _ => return None,
        })
    }

    fn positions(&mut self) -> Option<Vec<Position>> {
        self.list(Reader::position)
    }

    /// Longitude and latitude; a height and a measure may follow and are dropped.
    fn position(&mut self) -> Option<Position> {
        self.positions += 1;
        if self.positions > GEO_VERTICES_MAX {
            return None;
        }
        let position = [self.number()?, self.number()?];
        for _ in 0..2 {
            self.number();
        }
        Some(position)
    }

    fn maybe_bracketed_position(&mut self) -> Option<Position> {
        self.space();
        if self.rest.starts_with('(') { self.bracketed(Reader::position) } else { self.position() }
    }

    fn bracketed<T>(&mut self, item: impl Fn(&mut Reader<'a>) -> Option<T>) -> Option<T> {
        self.expect('(')?;
        let value = item(self)?;
        self.expect(')')?;
        Some(value)
    }

    fn list<T>(&mut self, item: impl Fn(&mut Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
        self.bracketed(|reader| {
            let mut items = vec![item(reader)?];
            while reader.expect(',').is_some() {
                items.push(item(reader)?);
            }
            Some(items)
        })
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn expect(&mut self, wanted: char) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    fn taken(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        self.space();
        let end = self.rest.find(|letter| !wanted(letter)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn word(&mut self) -> &'a str {
        self.taken(|letter| letter.is_ascii_alphabetic())
    }

    fn number(&mut self) -> Option<f64> {
        let text = self.taken(|letter| letter.is_ascii_digit() || matches!(letter, '+' | '-' | '.' | 'e' | 'E'));
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }
}
