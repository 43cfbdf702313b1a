//! Numbers, bins and bits.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{ScalarFunction, row};

/// The type of `bin`: the first argument's, widened by a number.
fn binned(args: &[Type]) -> Type {
    match (args.first(), args.get(1)) {
        (Some(Type::Int), Some(Type::Int)) => Type::Int,
        (Some(Type::Int | Type::Long), Some(Type::Int | Type::Long)) => Type::Long,
        (Some(Type::Int | Type::Long), Some(Type::Real)) => Type::Real,
        (Some(Type::Int | Type::Long | Type::Real), Some(Type::Decimal)) => Type::Decimal,
        (Some(&first), _) => first,
        (None, _) => Type::Dynamic,
    }
}

/// `int` counts as `long`.
fn promoted(args: &[Type]) -> Type {
    match args.first() {
        Some(Type::Int) | None => Type::Long,
        Some(&ty) => ty,
    }
}

/// Whole numbers become `real`.
fn rounded(args: &[Type]) -> Type {
    match args.first() {
        Some(Type::Decimal) => Type::Decimal,
        _ => Type::Real,
    }
}

/// Numbers, bins and bits.
pub(super) static TABLE: &[ScalarFunction] = &[
    row("abs", &[], &[Summable], (1, 1), Rule(promoted), FirstArgument, "The magnitude."),
    row(
        "bin",
        &["floor"],
        &[Summable, Summable],
        (1, 2),
        Rule(binned),
        FirstArgument,
        "Rounds down to a multiple of the second argument (1 if absent).",
    ),
    row(
        "bin_at",
        &[],
        &[Summable, Summable, Summable],
        (3, 3),
        Rule(binned),
        FirstArgument,
        "Rounds down to a bin of a size, where one bin starts at the third argument.",
    ),
    row(
        "ceiling",
        &[],
        &[Number],
        (1, 1),
        Rule(rounded),
        FirstArgument,
        "The smallest whole number that is not smaller.",
    ),
    row(
        "round",
        &[],
        &[Number, Long],
        (1, 2),
        Rule(rounded),
        FirstArgument,
        "Rounds half away from zero to digits after the point.",
    ),
    row("sign", &[], &[Real], (1, 1), Is(Type::Real), Numbered, "-1, 0 or 1."),
    row("sqrt", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The square root; null of a negative number."),
    row("pow", &[], &[Real, Real], (2, 2), Is(Type::Real), Numbered, "The first to the power of the second."),
    row("exp", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "e to the power."),
    row("exp2", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "2 to the power."),
    row("exp10", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "10 to the power."),
    row(
        "log",
        &[],
        &[Real],
        (1, 1),
        Is(Type::Real),
        FirstArgument,
        "The natural logarithm; null of what is not positive.",
    ),
    row("log2", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The logarithm to base 2."),
    row("log10", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The logarithm to base 10."),
    row("sin", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The sine."),
    row("cos", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The cosine."),
    row("tan", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The tangent."),
    row("cot", &[], &[Real], (1, 1), Is(Type::Real), Numbered, "The cotangent."),
    row("asin", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The arc sine."),
    row("acos", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The arc cosine."),
    row("atan", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The arc tangent."),
    row("atan2", &[], &[Real, Real], (2, 2), Is(Type::Real), FirstArgument, "The angle of the point (second, first)."),
    row("degrees", &[], &[Real], (1, 1), Is(Type::Real), Numbered, "Radians in degrees."),
    row("radians", &[], &[Real], (1, 1), Is(Type::Real), Numbered, "Degrees in radians."),
    row("pi", &[], &[], (0, 0), Is(Type::Real), Numbered, "The constant."),
    row(
        "rand",
        &[],
        &[Long],
        (0, 1),
        Is(Type::Real),
        Numbered,
        "A random number in [0, 1), or a whole one below a bound.",
    ),
    row("isnan", &[], &[Real], (1, 1), Is(Type::Bool), Numbered, "Whether the value is not a number."),
    row("isinf", &[], &[Real], (1, 1), Is(Type::Bool), Numbered, "Whether the value is infinite."),
    row("isfinite", &[], &[Real], (1, 1), Is(Type::Bool), Numbered, "Whether the value is neither infinite nor NaN."),
    row("gamma", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The gamma function."),
    row("loggamma", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The logarithm of the gamma function."),
    row("erf", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The error function."),
    row("erfc", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "One less the error function."),
    row("beta_cdf", &[], &[Real], (3, 3), Is(Type::Real), Numbered, "The cumulative beta distribution."),
    row("binary_and", &[], &[Long, Long], (2, 2), Is(Type::Long), FirstArgument, "Bits that both have."),
    row("binary_or", &[], &[Long, Long], (2, 2), Is(Type::Long), FirstArgument, "Bits that either has."),
    row("binary_xor", &[], &[Long, Long], (2, 2), Is(Type::Long), FirstArgument, "Bits that one has."),
    row("binary_not", &[], &[Long], (1, 1), Is(Type::Long), FirstArgument, "Bits inverted."),
    row(
        "binary_shift_left",
        &[],
        &[Long, Long],
        (2, 2),
        Is(Type::Long),
        FirstArgument,
        "Bits shifted left (count modulo 64).",
    ),
    row(
        "binary_shift_right",
        &[],
        &[Long, Long],
        (2, 2),
        Is(Type::Long),
        FirstArgument,
        "Bits shifted right (count modulo 64).",
    ),
    row("bitset_count_ones", &[], &[Long], (1, 1), Is(Type::Long), FirstArgument, "The number of set bits."),
    row("convert_angle", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "An angle in another unit."),
    row("convert_energy", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "An energy in another unit."),
    row("convert_force", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "A force in another unit."),
    row("convert_length", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "A length in another unit."),
    row("convert_mass", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "A mass in another unit."),
    row("convert_speed", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "A speed in another unit."),
    row(
        "convert_temperature",
        &[],
        &[Real, Text, Text],
        (3, 3),
        Is(Type::Real),
        Numbered,
        "A temperature in another unit.",
    ),
    row("convert_volume", &[], &[Real, Text, Text], (3, 3), Is(Type::Real), Numbered, "A volume in another unit."),
    row("welch_test", &[], &[Real], (6, 6), Is(Type::Real), Numbered, "The p-value of Welch's t-test."),
];
