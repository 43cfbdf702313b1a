//! Bits and units.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{ScalarFunction, row};

/// Bits and units.
pub(super) static TABLE: &[ScalarFunction] = &[
    row("binary_and", &[], &[Long, Long], (2, 2), Is(Type::Long), FirstArgument, "Bits that both have.")
        .example("print binary_and(6, 3)"),
    row("binary_or", &[], &[Long, Long], (2, 2), Is(Type::Long), FirstArgument, "Bits that either has.")
        .example("print binary_or(6, 3)"),
    row("binary_xor", &[], &[Long, Long], (2, 2), Is(Type::Long), FirstArgument, "Bits that one has.")
        .example("print binary_xor(6, 3)"),
    row("binary_not", &[], &[Long], (1, 1), Is(Type::Long), FirstArgument, "Bits inverted.")
        .example("print binary_not(100)"),
    row(
        "binary_shift_left",
        &[],
        &[Long, Long],
        (2, 2),
        Is(Type::Long),
        FirstArgument,
        "Bits shifted left (count modulo 64).",
    )
    .example("print binary_shift_left(1, 2)"),
    row(
        "binary_shift_right",
        &[],
        &[Long, Long],
        (2, 2),
        Is(Type::Long),
        FirstArgument,
        "Bits shifted right (count modulo 64).",
    )
    .example("print binary_shift_right(4, 2)"),
    row("bitset_count_ones", &[], &[Long], (1, 1), Is(Type::Long), FirstArgument, "The number of set bits.")
        .example("print bitset_count_ones(42)"),
    row("convert_angle", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "An angle in another unit.")
        .example(r#"print convert_angle(1.2, "Degree", "Arcminute")"#),
    row("convert_energy", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "An energy in another unit.")
        .example(r#"print convert_energy(1.2, "Joule", "BritishThermalUnit")"#),
    row("convert_force", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "A force in another unit.")
        .example(r#"print convert_force(1.2, "Newton", "Decanewton")"#),
    row("convert_length", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "A length in another unit.")
        .example(r#"print convert_length(1.2, "Meter", "Foot")"#),
    row("convert_mass", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "A mass in another unit.")
        .example(r#"print convert_mass(1.2, "Kilogram", "Pound")"#),
    row("convert_speed", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "A speed in another unit.")
        .example(r#"print convert_speed(1.2, "MeterPerSecond", "CentimeterPerHour")"#),
    row(
        "convert_temperature",
        &[],
        &[Real, Text, Text],
        (3, 3),
        Is(Type::Real),
        Numbered,
        "A temperature in another unit.",
    )
    .example(r#"print convert_temperature(1.2, "Kelvin", "DegreeCelsius")"#),
    row("convert_volume", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "A volume in another unit.")
        .example(r#"print convert_volume(1.2, "CubicMeter", "AcreFoot")"#),
];
