//! Geometry on the Earth, as Kusto has it: a sphere whose edges are geodesics, cells of S2 and H3, geohashes.
//!
//! Positions are longitude first, in degrees (GeoJSON's order, RFC 7946); lengths are metres, areas square metres.
//! A coordinate out of range, a malformed or invalid geometry (an open ring, edges that cross, ...) or an option out of
//! range gives null, never an error.
//!
//! The way of a value: `geojson` reads and writes the text, `sphere` turns positions into points of the unit sphere and
//! checks what S2 demands of a shape, and one file per subject computes. `cache` keeps what was parsed for the length
//! of a call, since a column of shapes joined with points repeats each shape many times.

mod buffer;
mod cache;
mod covering;
mod densify;
mod geohash;
mod geojson;
mod h3;
mod h3fill;
mod line;
mod order;
mod overlay;
mod point;
mod polygon;
mod simplify;
mod sphere;
mod wkt;

#[cfg(test)]
mod tests;

use arrow::array::ArrayRef;
use kyma_core::Result;

use self::cache::Shapes;
use self::geojson::{Geometry, Position};
use self::overlay::{Area, Lines};
use super::{Kernel, kernel};
use crate::view::Reals;
use crate::{Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("geo_angle", point::angle),
    kernel("geo_azimuth", point::azimuth),
    kernel("geo_closest_point_on_line", line::closest_point),
    kernel("geo_closest_point_on_polygon", polygon::closest_point),
    kernel("geo_distance_2points", point::distance),
    kernel("geo_distance_point_to_line", line::distance),
    kernel("geo_distance_point_to_polygon", polygon::distance),
    kernel("geo_from_wkt", wkt::from_wkt),
    kernel("geo_geohash_neighbors", geohash::neighbors),
    kernel("geo_geohash_to_central_point", geohash::to_central_point),
    kernel("geo_geohash_to_polygon", geohash::to_polygon),
    kernel("geo_h3cell_children", h3::children),
    kernel("geo_h3cell_level", h3::level),
    kernel("geo_h3cell_neighbors", h3::neighbors),
    kernel("geo_h3cell_parent", h3::parent),
    kernel("geo_h3cell_rings", h3::rings),
    kernel("geo_h3cell_to_central_point", h3::to_central_point),
    kernel("geo_h3cell_to_polygon", h3::to_polygon),
    kernel("geo_info_from_ip_address", info_from_ip_address),
    kernel("geo_intersection_2lines", overlay::intersections::<Lines, Lines>),
    kernel("geo_intersection_2polygons", overlay::intersections::<Area, Area>),
    kernel("geo_intersection_line_with_polygon", overlay::intersections::<Lines, Area>),
    kernel("geo_intersects_2lines", overlay::intersect::<Lines, Lines>),
    kernel("geo_intersects_2polygons", overlay::intersect::<Area, Area>),
    kernel("geo_intersects_line_with_polygon", overlay::intersect::<Lines, Area>),
    kernel("geo_line_buffer", buffer::line),
    kernel("geo_line_centroid", line::centroid),
    kernel("geo_line_densify", densify::line),
    kernel("geo_line_interpolate_point", line::interpolate_point),
    kernel("geo_line_length", line::length),
    kernel("geo_line_locate_point", line::locate_point),
    kernel("geo_line_simplify", simplify::line),
    kernel("geo_line_to_s2cells", covering::line),
    kernel("geo_point_buffer", buffer::point),
    kernel("geo_point_in_circle", point::in_circle),
    kernel("geo_point_in_polygon", polygon::contains_point),
    kernel("geo_point_to_geohash", geohash::of_point),
    kernel("geo_point_to_h3cell", h3::of_point),
    kernel("geo_point_to_s2cell", covering::cell_of_point),
    kernel("geo_polygon_area", polygon::area),
    kernel("geo_polygon_buffer", buffer::polygon),
    kernel("geo_polygon_centroid", polygon::centroid),
    kernel("geo_polygon_densify", densify::polygon),
    kernel("geo_polygon_perimeter", polygon::perimeter),
    kernel("geo_polygon_simplify", simplify::polygon),
    kernel("geo_polygon_to_h3cells", h3fill::polygon_to_cells),
    kernel("geo_polygon_to_s2cells", covering::polygon),
    kernel("geo_s2cell_neighbors", covering::neighbors),
    kernel("geo_s2cell_to_central_point", covering::to_central_point),
    kernel("geo_s2cell_to_polygon", covering::to_polygon),
    kernel("geo_simplify_polygons_array", simplify::polygons),
    kernel("geo_union_lines_array", overlay::union_lines),
    kernel("geo_union_polygons_array", overlay::union_polygons),
];

/// A measure of the geometry in the first argument.
fn measure<T>(
    call: &Call<'_>,
    parse: fn(&str) -> Option<T>,
    value: impl Fn(&T, usize) -> Option<f64>,
) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    let mut shapes = Shapes::new(parse);
    Ok(build::reals(call.rows, |row| value(&*shapes.get(jsons.get(row)?)?, row)))
}

/// A geometry made of the one in the first argument.
fn reshape<T>(
    call: &Call<'_>,
    parse: fn(&str) -> Option<T>,
    value: impl Fn(&T, usize) -> Option<Geometry>,
) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    let mut shapes = Shapes::new(parse);
    Ok(build::jsons(call.rows, |row| Some(value(&*shapes.get(jsons.get(row)?)?, row)?.to_json())))
}

/// Two arguments read as the longitude and latitude of a position.
struct Positions<'a> {
    longitudes: Reals<'a>,
    latitudes: Reals<'a>,
}

impl<'a> Positions<'a> {
    /// The arguments `index` and the one after it.
    fn of(call: &Call<'a>, index: usize) -> Result<Positions<'a>> {
        Ok(Positions { longitudes: call.reals(index)?, latitudes: call.reals(index + 1)? })
    }

    /// A position on the Earth, or none.
    fn get(&self, row: usize) -> Option<Position> {
        let position = [self.longitudes.get(row)?, self.latitudes.get(row)?];
        sphere::on_earth(position).then_some(position)
    }
}

/// An optional length in metres: `default` where it is not given, none where it is null or no number.
struct Metres<'a>(Option<Reals<'a>>, f64);

impl<'a> Metres<'a> {
    fn of(call: &Call<'a>, index: usize, default: f64) -> Result<Metres<'a>> {
        let given = call.has(index).then(|| call.reals(index)).transpose()?;
        Ok(Metres(given, default))
    }

    fn get(&self, row: usize) -> Option<f64> {
        let value = self.0.as_ref().map_or(Some(self.1), |reals| reals.get(row))?;
        value.is_finite().then_some(value)
    }
}

/// What is known of an address: nothing. Kusto looks it up in a licensed database that kyma does not have, and gives
/// null where that knows no place; so does kyma, for every address.
fn info_from_ip_address(call: &Call<'_>) -> Result<ArrayRef> {
    Ok(build::jsons(call.rows, |_| None::<&str>))
}
