//! Lines and polygons on the Earth, as GeoJSON.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{ScalarFunction, row};

/// A query over a line and a polygon.
macro_rules! on_shapes {
    ($query:literal) => {
        concat!(
            r#"let line = dynamic({"type":"LineString","coordinates":[[0,0],[0,1]]}); "#,
            r#"let polygon = dynamic({"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}); "#,
            $query
        )
    };
}

/// Lines and polygons on the Earth, as GeoJSON.
pub(super) static TABLE: &[ScalarFunction] = &[
    row("geo_line_length", &[], &[Dynamic], (1, 1), Is(Type::Real), Numbered, "The length of lines in metres.")
        .example(on_shapes!("print geo_line_length(line)")),
    row("geo_line_centroid", &[], &[Dynamic], (1, 1), Is(Type::Dynamic), Numbered, "The point in the middle of lines.")
        .example(on_shapes!("print geo_line_centroid(line)")),
    row(
        "geo_line_interpolate_point",
        &[],
        &[Dynamic, Real],
        (2, 2),
        Is(Type::Dynamic),
        Numbered,
        "The point at a fraction of a line.",
    )
    .example(on_shapes!("print geo_line_interpolate_point(line, 0.25)")),
    row(
        "geo_line_locate_point",
        &[],
        &[Dynamic, Real, Real, Bool],
        (3, 4),
        Is(Type::Real),
        Numbered,
        "The fraction of a line where it is nearest to a point, on the sphere or the WGS84 spheroid.",
    )
    .example(on_shapes!("print geo_line_locate_point(line, 0.1, 0.4)")),
    row(
        "geo_line_buffer",
        &[],
        &[Dynamic, Real, Real],
        (2, 3),
        Is(Type::Dynamic),
        Numbered,
        "The polygon around lines, given a radius and a tolerance in metres.",
    )
    .example(on_shapes!("print geo_line_buffer(line, 5000)")),
    row(
        "geo_line_densify",
        &[],
        &[Dynamic, Real, Bool],
        (1, 3),
        Is(Type::Dynamic),
        Numbered,
        "Straight lines on the map as geodesics: tolerance in metres, whether the antimeridian is no cut.",
    )
    .example(on_shapes!("print geo_line_densify(line)")),
    row(
        "geo_line_simplify",
        &[],
        &[Dynamic, Real],
        (1, 2),
        Is(Type::Dynamic),
        Numbered,
        "Lines with fewer points, given a tolerance in metres.",
    )
    .example(on_shapes!("print geo_line_simplify(line, 100)")),
    row(
        "geo_line_to_s2cells",
        &[],
        &[Dynamic, Long, Real],
        (1, 3),
        Is(Type::Dynamic),
        Numbered,
        "The S2 cells that lines meet or come near: level, radius in metres.",
    )
    .example(on_shapes!("print geo_line_to_s2cells(line, 8)")),
    row(
        "geo_distance_point_to_line",
        &[],
        &[Real, Real, Dynamic],
        (3, 3),
        Is(Type::Real),
        Numbered,
        "The distance of a point to the nearest of lines in metres.",
    )
    .example(on_shapes!("print geo_distance_point_to_line(1, 1, line)")),
    row(
        "geo_closest_point_on_line",
        &[],
        &[Real, Real, Dynamic],
        (3, 3),
        Is(Type::Dynamic),
        Numbered,
        "The point of lines that is nearest to a point.",
    )
    .example(on_shapes!("print geo_closest_point_on_line(1, 1, line)")),
    row(
        "geo_polygon_area",
        &[],
        &[Dynamic],
        (1, 1),
        Is(Type::Real),
        Numbered,
        "The area of polygons in square metres.",
    )
    .example(on_shapes!("print geo_polygon_area(polygon)")),
    row(
        "geo_polygon_perimeter",
        &[],
        &[Dynamic],
        (1, 1),
        Is(Type::Real),
        Numbered,
        "The length of the borders of polygons in metres.",
    )
    .example(on_shapes!("print geo_polygon_perimeter(polygon)")),
    row(
        "geo_polygon_centroid",
        &[],
        &[Dynamic],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The point in the middle of polygons.",
    )
    .example(on_shapes!("print geo_polygon_centroid(polygon)")),
    row(
        "geo_polygon_buffer",
        &[],
        &[Dynamic, Real, Real],
        (2, 3),
        Is(Type::Dynamic),
        Numbered,
        "Polygons and what is around them, given a radius and a tolerance in metres.",
    )
    .example(on_shapes!("print geo_polygon_buffer(polygon, 5000)")),
    row(
        "geo_polygon_densify",
        &[],
        &[Dynamic, Real, Bool],
        (1, 3),
        Is(Type::Dynamic),
        Numbered,
        "Straight edges on the map as geodesics: tolerance in metres, whether the antimeridian is no cut.",
    )
    .example(on_shapes!("print geo_polygon_densify(polygon)")),
    row(
        "geo_polygon_simplify",
        &[],
        &[Dynamic, Real],
        (1, 2),
        Is(Type::Dynamic),
        Numbered,
        "Polygons with fewer points, given a tolerance in metres.",
    )
    .example(on_shapes!("print geo_polygon_simplify(polygon, 100)")),
    row(
        "geo_polygon_to_s2cells",
        &[],
        &[Dynamic, Long, Real],
        (1, 3),
        Is(Type::Dynamic),
        Numbered,
        "The S2 cells that polygons meet or come near: level, radius in metres.",
    )
    .example(on_shapes!("print geo_polygon_to_s2cells(polygon, 7)")),
    row(
        "geo_polygon_to_h3cells",
        &[],
        &[Dynamic, Long, Real],
        (1, 3),
        Is(Type::Dynamic),
        Numbered,
        "The H3 cells with their centre in polygons or near: resolution, radius in metres.",
    )
    .example(on_shapes!("print geo_polygon_to_h3cells(polygon, 4)")),
    row(
        "geo_point_in_polygon",
        &[],
        &[Real, Real, Dynamic],
        (3, 3),
        Is(Type::Bool),
        Numbered,
        "Whether a point is in polygons.",
    )
    .example(on_shapes!("print geo_point_in_polygon(0.5, 0.2, polygon)")),
    row(
        "geo_distance_point_to_polygon",
        &[],
        &[Real, Real, Dynamic],
        (3, 3),
        Is(Type::Real),
        Numbered,
        "The distance of a point to the nearest of polygons in metres; 0 inside.",
    )
    .example(on_shapes!("print geo_distance_point_to_polygon(2, 2, polygon)")),
    row(
        "geo_closest_point_on_polygon",
        &[],
        &[Real, Real, Dynamic],
        (3, 3),
        Is(Type::Dynamic),
        Numbered,
        "The point of polygons that is nearest to a point.",
    )
    .example(on_shapes!("print geo_closest_point_on_polygon(2, 2, polygon)")),
    row(
        "geo_simplify_polygons_array",
        &[],
        &[Dynamic, Real],
        (1, 2),
        Is(Type::Dynamic),
        Numbered,
        "Polygons with fewer points, given a tolerance in metres; shared borders stay shared.",
    )
    .example(on_shapes!("print geo_simplify_polygons_array(pack_array(polygon), 100)")),
    row("geo_union_lines_array", &[], &[Dynamic], (1, 1), Is(Type::Dynamic), Numbered, "The lines of an array as one.")
        .example(on_shapes!("print geo_union_lines_array(pack_array(line, line))")),
    row(
        "geo_union_polygons_array",
        &[],
        &[Dynamic],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The polygons of an array as one.",
    )
    .example(on_shapes!("print geo_union_polygons_array(pack_array(polygon, polygon))")),
    row("geo_intersection_2lines", &[], &[Dynamic], (2, 2), Is(Type::Dynamic), Numbered, "What lines have in common.")
        .example(on_shapes!("print geo_intersection_2lines(line, line)")),
    row(
        "geo_intersection_2polygons",
        &[],
        &[Dynamic],
        (2, 2),
        Is(Type::Dynamic),
        Numbered,
        "What polygons have in common.",
    )
    .example(on_shapes!("print geo_intersection_2polygons(polygon, polygon)")),
    row(
        "geo_intersection_line_with_polygon",
        &[],
        &[Dynamic],
        (2, 2),
        Is(Type::Dynamic),
        Numbered,
        "What lines have in common with polygons.",
    )
    .example(on_shapes!("print geo_intersection_line_with_polygon(line, polygon)")),
    row(
        "geo_intersects_2lines",
        &[],
        &[Dynamic],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether lines have a point in common.",
    )
    .example(on_shapes!("print geo_intersects_2lines(line, line)")),
    row(
        "geo_intersects_2polygons",
        &[],
        &[Dynamic],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether polygons have a point in common.",
    )
    .example(on_shapes!("print geo_intersects_2polygons(polygon, polygon)")),
    row(
        "geo_intersects_line_with_polygon",
        &[],
        &[Dynamic],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether lines have a point in common with polygons.",
    )
    .example(on_shapes!("print geo_intersects_line_with_polygon(line, polygon)")),
];
