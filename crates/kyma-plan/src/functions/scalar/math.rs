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
    row("abs", &[], &[Summable], (1, 1), Rule(promoted), FirstArgument, "The magnitude.").example("print abs(-5)"),
    row(
        "bin",
        &["floor"],
        &[Summable, Summable],
        (1, 2),
        Rule(binned),
        FirstArgument,
        "Rounds down to a multiple of the second argument (1 if absent).",
    )
    .example("print bin(4.5, 1), bin(datetime(2023-02-14 10:11), 1h)"),
    row(
        "bin_at",
        &[],
        &[Summable, Summable, Summable],
        (3, 3),
        Rule(binned),
        FirstArgument,
        "Rounds down to a bin of a size, where one bin starts at the third argument.",
    )
    .example("print bin_at(6.5, 2.5, 7)"),
    row(
        "ceiling",
        &[],
        &[Number],
        (1, 1),
        Rule(rounded),
        FirstArgument,
        "The smallest whole number that is not smaller.",
    )
    .example("print ceiling(-1.1), ceiling(0.9)"),
    row(
        "round",
        &[],
        &[Number, Long],
        (1, 2),
        Rule(rounded),
        FirstArgument,
        "Rounds half away from zero to digits after the point.",
    )
    .example("print round(2.98765, 3)"),
    row("sign", &[], &[Real], (1, 1), Is(Type::Real), Numbered, "-1, 0 or 1.").own_nulls().example("print sign(-42)"),
    row("sqrt", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The square root; null of a negative number.")
        .example("print sqrt(256)"),
    row("pow", &[], &[Real, Real], (2, 2), Is(Type::Real), Numbered, "The first to the power of the second.")
        .example("print pow(2, 3)"),
    row("exp", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "e to the power.").example("print exp(1)"),
    row("exp2", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "2 to the power.").example("print exp2(8)"),
    row("exp10", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "10 to the power.").example("print exp10(3)"),
    row(
        "log",
        &[],
        &[Real],
        (1, 1),
        Is(Type::Real),
        FirstArgument,
        "The natural logarithm; null of what is not positive.",
    )
    .example("print log(5)"),
    row("log2", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The logarithm to base 2.")
        .example("print log2(8)"),
    row("log10", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The logarithm to base 10.")
        .example("print log10(1000)"),
    row("sin", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The sine.").example("print sin(1)"),
    row("cos", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The cosine.").example("print cos(1)"),
    row("tan", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The tangent.").example("print tan(1)"),
    row("cot", &[], &[Real], (1, 1), Is(Type::Real), Numbered, "The cotangent.").example("print cot(1)"),
    row("asin", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The arc sine.").example("print asin(0.5)"),
    row("acos", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The arc cosine.").example("print acos(0.5)"),
    row("atan", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The arc tangent.").example("print atan(0.5)"),
    row("atan2", &[], &[Real, Real], (2, 2), Is(Type::Real), FirstArgument, "The angle of the point (second, first).")
        .example("print atan2(1, 1)"),
    row("degrees", &[], &[Real], (1, 1), Is(Type::Real), Numbered, "Radians in degrees.")
        .example("print degrees(pi() / 4)"),
    row("radians", &[], &[Real], (1, 1), Is(Type::Real), Numbered, "Degrees in radians.").example("print radians(90)"),
    row("pi", &[], &[], (0, 0), Is(Type::Real), Numbered, "The constant.").example("print pi()"),
    row(
        "rand",
        &[],
        &[Long],
        (0, 1),
        Is(Type::Real),
        Numbered,
        "A random number in [0, 1), or a whole one below a bound.",
    )
    .example("print rand() < 1, rand(10) < 10"),
    row("isnan", &[], &[Real], (1, 1), Is(Type::Bool), Numbered, "Whether the value is not a number.")
        .example("print isnan(0.0 / 0)"),
    row("isinf", &[], &[Real], (1, 1), Is(Type::Bool), Numbered, "Whether the value is infinite.")
        .example("print isinf(1.0 / 0)"),
    row("isfinite", &[], &[Real], (1, 1), Is(Type::Bool), Numbered, "Whether the value is neither infinite nor NaN.")
        .example("print isfinite(1.0)"),
    row("gamma", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The gamma function.").example("print gamma(4)"),
    row("loggamma", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The logarithm of the gamma function.")
        .example("print loggamma(5)"),
    row("erf", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "The error function.").example("print erf(0.5)"),
    row("erfc", &[], &[Real], (1, 1), Is(Type::Real), FirstArgument, "One less the error function.")
        .example("print erfc(0.5)"),
    row("beta_cdf", &[], &[Real], (3, 3), Is(Type::Real), Numbered, "The cumulative beta distribution.")
        .example("print beta_cdf(0.2, 10.0, 50.0)"),
    row(
        "beta_inv",
        &[],
        &[Real],
        (3, 3),
        Is(Type::Real),
        Numbered,
        "The value at which the cumulative beta distribution has a probability.",
    )
    .example("print beta_inv(0.1, 10.0, 20.0)"),
    row("beta_pdf", &[], &[Real], (3, 3), Is(Type::Real), Numbered, "The density of the beta distribution.")
        .example("print beta_pdf(0.5, 10.0, 20.0)"),
    row("welch_test", &[], &[Real], (6, 6), Is(Type::Real), Numbered, "The p-value of Welch's t-test.")
        .example("print welch_test(20.8, 7.9, 15, 23.0, 3.8, 15)"),
];
