//! Points on the Earth; longitude comes first.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{ScalarFunction, row};

/// Points on the Earth; longitude comes first.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "geo_distance_2points",
        &[],
        &[Real],
        (4, 4),
        Is(Type::Real),
        Numbered,
        "The distance of two points in metres.",
    ),
    row(
        "geo_point_to_geohash",
        &[],
        &[Real, Real, Long],
        (2, 3),
        Is(Type::String),
        Numbered,
        "The geohash of a point.",
    ),
    row(
        "geo_geohash_to_central_point",
        &[],
        &[Text],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The middle of a geohash cell.",
    ),
    row("geo_geohash_to_polygon", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The border of a geohash cell."),
];
