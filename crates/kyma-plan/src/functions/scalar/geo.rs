//! Points on the Earth and the cells they are in; longitude comes first.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{ScalarFunction, row};

/// Points on the Earth and the cells they are in; longitude comes first.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "geo_distance_2points",
        &[],
        &[Real, Real, Real, Real, Bool],
        (4, 5),
        Is(Type::Real),
        Numbered,
        "The distance of two points in metres, on the sphere or the WGS84 spheroid.",
    )
    .example("print geo_distance_2points(-122.4, 47.6, -118.3, 34.0)"),
    row(
        "geo_azimuth",
        &[],
        &[Real],
        (4, 4),
        Is(Type::Real),
        Numbered,
        "The direction from the first point to the second, in radians clockwise from north.",
    )
    .example("print degrees(geo_azimuth(5, 10, 10, -40))"),
    row(
        "geo_angle",
        &[],
        &[Real],
        (6, 6),
        Is(Type::Real),
        Numbered,
        "The angle at the second of three points, in radians clockwise from the first to the third.",
    )
    .example("print degrees(geo_angle(0, 10, 0, 5, 3, -10))"),
    row(
        "geo_point_in_circle",
        &[],
        &[Real],
        (5, 5),
        Is(Type::Bool),
        Numbered,
        "Whether a point is within a distance of another, in metres.",
    )
    .example("print geo_point_in_circle(0, 0, 0, 1, 120000)"),
    row(
        "geo_point_buffer",
        &[],
        &[Real],
        (3, 4),
        Is(Type::Dynamic),
        Numbered,
        "The polygon around a point, given a radius and a tolerance in metres.",
    )
    .example("print geo_point_buffer(-115.2, 36.1, 20000)"),
    row(
        "geo_point_to_geohash",
        &[],
        &[Real, Real, Long],
        (2, 3),
        Is(Type::String),
        Numbered,
        "The geohash of a point.",
    )
    .example("print geo_point_to_geohash(-80.2, 25.8, 8)"),
    row(
        "geo_geohash_to_central_point",
        &[],
        &[Text],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The middle of a geohash cell.",
    )
    .example("print geo_geohash_to_central_point('sunny')"),
    row("geo_geohash_to_polygon", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The border of a geohash cell.")
        .example("print geo_geohash_to_polygon('dr5ru')"),
    row("geo_geohash_neighbors", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The geohash cells around one.")
        .example("print geo_geohash_neighbors('sunny')"),
    row(
        "geo_point_to_s2cell",
        &[],
        &[Real, Real, Long],
        (2, 3),
        Is(Type::String),
        Numbered,
        "The token of the S2 cell of a point, of level 11 unless given.",
    )
    .example("print geo_point_to_s2cell(-80.2, 25.8, 8)"),
    row("geo_s2cell_to_central_point", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The middle of an S2 cell.")
        .example("print geo_s2cell_to_central_point('1234567')"),
    row("geo_s2cell_to_polygon", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The border of an S2 cell.")
        .example("print geo_s2cell_to_polygon('89c259')"),
    row("geo_s2cell_neighbors", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The S2 cells around one.")
        .example("print geo_s2cell_neighbors('89c259')"),
    row(
        "geo_point_to_h3cell",
        &[],
        &[Real, Real, Long],
        (2, 3),
        Is(Type::String),
        Numbered,
        "The token of the H3 cell of a point, of resolution 6 unless given.",
    )
    .example("print geo_point_to_h3cell(-74.0, 40.7, 6)"),
    row("geo_h3cell_to_central_point", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The middle of an H3 cell.")
        .example("print geo_h3cell_to_central_point('862a1072fffffff')"),
    row("geo_h3cell_to_polygon", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The border of an H3 cell.")
        .example("print geo_h3cell_to_polygon('862a1072fffffff')"),
    row("geo_h3cell_level", &[], &[Text], (1, 1), Is(Type::Int), Numbered, "The resolution of an H3 cell.")
        .example("print geo_h3cell_level('862a1072fffffff')"),
    row(
        "geo_h3cell_parent",
        &[],
        &[Text, Long],
        (1, 2),
        Is(Type::String),
        Numbered,
        "The H3 cell around one, one resolution coarser unless given.",
    )
    .example("print geo_h3cell_parent('862a1072fffffff')"),
    row(
        "geo_h3cell_children",
        &[],
        &[Text, Long],
        (1, 2),
        Is(Type::Dynamic),
        Numbered,
        "The H3 cells within one, one resolution finer unless given, at most five.",
    )
    .example("print geo_h3cell_children('862a1072fffffff')"),
    row("geo_h3cell_neighbors", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The H3 cells around one.")
        .example("print geo_h3cell_neighbors('862a1072fffffff')"),
    row(
        "geo_h3cell_rings",
        &[],
        &[Text, Long],
        (2, 2),
        Is(Type::Dynamic),
        Numbered,
        "An H3 cell, the ring of cells around it, the ring around those, up to a distance.",
    )
    .example("print geo_h3cell_rings('861f8894fffffff', 2)"),
    row(
        "geo_from_wkt",
        &[],
        &[Text],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The GeoJSON geometry of a well-known text.",
    )
    .example("print geo_from_wkt('LINESTRING (1 2, 3 4)')"),
    row(
        "geo_info_from_ip_address",
        &[],
        &[Text],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "Where an address is. kyma has no database of places: null for every address.",
    )
    .example("print isnull(geo_info_from_ip_address('20.53.203.50'))"),
];
