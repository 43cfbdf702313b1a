//! Geometries as GeoJSON (RFC 7946).

use serde_json::Value as Json;

use crate::json;
use crate::limits::GEO_VERTICES_MAX;

/// Longitude and latitude in degrees.
pub(super) type Position = [f64; 2];
/// A shell and its holes, each closed: the last position is the first again.
pub(super) type Rings = Vec<Vec<Position>>;

/// A geometry. What it must look like is checked by who reads it; its numbers are finite.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Geometry {
    Point(Position),
    MultiPoint(Vec<Position>),
    LineString(Vec<Position>),
    MultiLineString(Vec<Vec<Position>>),
    Polygon(Rings),
    MultiPolygon(Vec<Rings>),
    Collection(Vec<Geometry>),
}

impl Geometry {
    /// The geometry of a JSON text; `None` for anything else, also for one with too many positions.
    pub(super) fn parse(text: &str) -> Option<Geometry> {
        Geometry::of(&json::parse(text)?)
    }

    /// The geometry of a JSON value.
    pub(super) fn of(value: &Json) -> Option<Geometry> {
        let coordinates = value.get("coordinates");
        let geometry = match value.get("type")?.as_str()? {
            "Point" => Geometry::Point(position(coordinates?)?),
            "MultiPoint" => Geometry::MultiPoint(list(coordinates?, position)?),
            "LineString" => Geometry::LineString(list(coordinates?, position)?),
            "MultiLineString" => Geometry::MultiLineString(list(coordinates?, positions)?),
            "Polygon" => Geometry::Polygon(list(coordinates?, positions)?),
            "MultiPolygon" => Geometry::MultiPolygon(list(coordinates?, rings)?),
            "GeometryCollection" => Geometry::Collection(list(value.get("geometries")?, Geometry::of)?),
            _ => return None,
        };
        (geometry.vertices() <= GEO_VERTICES_MAX).then_some(geometry)
    }

    /// The lines of a line or multiline.
    pub(super) fn into_lines(self) -> Option<Vec<Vec<Position>>> {
        match self {
            Geometry::LineString(line) => Some(vec![line]),
            Geometry::MultiLineString(lines) => Some(lines),
            _ => None,
        }
    }

    /// The polygons of a polygon or multipolygon.
    pub(super) fn into_polygons(self) -> Option<Vec<Rings>> {
        match self {
            Geometry::Polygon(rings) => Some(vec![rings]),
            Geometry::MultiPolygon(polygons) => Some(polygons),
            _ => None,
        }
    }

    /// One point, or several together; `None` for none.
    pub(super) fn of_points(points: Vec<Position>) -> Option<Geometry> {
        gathered(points, Geometry::Point, Geometry::MultiPoint)
    }

    /// One line, or several together; `None` for none.
    pub(super) fn of_lines(lines: Vec<Vec<Position>>) -> Option<Geometry> {
        gathered(lines, Geometry::LineString, Geometry::MultiLineString)
    }

    /// One polygon, or several together; `None` for none.
    pub(super) fn of_polygons(polygons: Vec<Rings>) -> Option<Geometry> {
        gathered(polygons, Geometry::Polygon, Geometry::MultiPolygon)
    }

    fn vertices(&self) -> usize {
        let of_lines = |lines: &[Vec<Position>]| lines.iter().map(Vec::len).sum::<usize>();
        match self {
            Geometry::Point(_) => 1,
            Geometry::MultiPoint(points) | Geometry::LineString(points) => points.len(),
            Geometry::MultiLineString(lines) | Geometry::Polygon(lines) => of_lines(lines),
            Geometry::MultiPolygon(polygons) => polygons.iter().map(|rings| of_lines(rings)).sum(),
            Geometry::Collection(parts) => parts.iter().map(Geometry::vertices).sum(),
        }
    }

    /// The text of the geometry, numbers as Kusto writes them: always with a fraction.
    pub(super) fn to_json(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        let name = match self {
            Geometry::Point(_) => "Point",
            Geometry::MultiPoint(_) => "MultiPoint",
            Geometry::LineString(_) => "LineString",
            Geometry::MultiLineString(_) => "MultiLineString",
            Geometry::Polygon(_) => "Polygon",
            Geometry::MultiPolygon(_) => "MultiPolygon",
            Geometry::Collection(_) => "GeometryCollection",
        };
        let member = if matches!(self, Geometry::Collection(_)) { "geometries" } else { "coordinates" };
        text.push_str(r#"{"type":""#);
        text.push_str(name);
        text.push_str(r#"",""#);
        text.push_str(member);
        text.push_str(r#"":"#);
        match self {
            Geometry::Point(point) => write_position(text, point),
            Geometry::MultiPoint(points) | Geometry::LineString(points) => write_list(text, points, write_position),
            Geometry::MultiLineString(lines) | Geometry::Polygon(lines) => write_list(text, lines, write_positions),
            Geometry::MultiPolygon(polygons) => {
                write_list(text, polygons, |text, rings| write_list(text, rings, write_positions));
            }
            Geometry::Collection(parts) => write_list(text, parts, |text, part| part.write(text)),
        }
        text.push('}');
    }
}

fn gathered<T>(
    mut parts: Vec<T>,
    one: impl FnOnce(T) -> Geometry,
    several: impl FnOnce(Vec<T>) -> Geometry,
) -> Option<Geometry> {
    match parts.len() {
        0 => None,
        1 => parts.pop().map(one),
        _ => Some(several(parts)),
    }
}

fn list<T>(value: &Json, item: impl Fn(&Json) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(item).collect()
}

/// The first two numbers; a height, which may follow, does not matter on a sphere.
fn position(value: &Json) -> Option<Position> {
    let numbers = value.as_array()?;
    if numbers.len() > 3 {
        return None;
    }
    let number = |index: usize| numbers.get(index)?.as_f64().filter(|number| number.is_finite());
    Some([number(0)?, number(1)?])
}

fn positions(value: &Json) -> Option<Vec<Position>> {
    list(value, position)
}

fn rings(value: &Json) -> Option<Rings> {
    list(value, positions)
}

fn write_list<T>(text: &mut String, items: &[T], write: impl Fn(&mut String, &T)) {
    text.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(text, item);
    }
    text.push(']');
}

/// By Grisu2 (Loitsch 2010), not by the shortest digits: the two differ in one number of some thousand, and
/// Kusto's text is the former's.
fn write_position(text: &mut String, position: &Position) {
    write_list(text, position, |text, number| text.push_str(dtoa::Buffer::new().format(*number)));
}

#[allow(clippy::ptr_arg)] // The shape that `write_list` hands on.
fn write_positions(text: &mut String, positions: &Vec<Position>) {
    write_list(text, positions, write_position);
}
