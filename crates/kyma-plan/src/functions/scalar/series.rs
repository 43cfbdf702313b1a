//! Series: arrays of numbers.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{ScalarFunction, row};

/// Series: arrays of numbers.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "series_fill_const",
        &[],
        &[ToDynamic, Any],
        (2, 3),
        Is(Type::Dynamic),
        FirstArgument,
        "Missing values replaced by a constant.",
    )
    .own_nulls()
    .example("print series_fill_const(dynamic([1, null, 3]), 0)"),
    row(
        "series_fill_forward",
        &[],
        &[ToDynamic, Any],
        (1, 2),
        Is(Type::Dynamic),
        FirstArgument,
        "Missing values replaced by the last one before.",
    )
    .own_nulls()
    .example("print series_fill_forward(dynamic([1, null, 3]))"),
    row(
        "series_fill_backward",
        &[],
        &[ToDynamic, Any],
        (1, 2),
        Is(Type::Dynamic),
        FirstArgument,
        "Missing values replaced by the next one after.",
    )
    .own_nulls()
    .example("print series_fill_backward(dynamic([null, 2, 3]))"),
    row(
        "series_fill_linear",
        &[],
        &[ToDynamic, Any],
        (1, 4),
        Is(Type::Dynamic),
        FirstArgument,
        "Missing values interpolated.",
    )
    .own_nulls()
    .example("print series_fill_linear(dynamic([1, null, 3]))"),
    row("series_add", &[], &[ToDynamic], (2, 2), Is(Type::Dynamic), Numbered, "Element-wise sum.")
        .example("print series_add(dynamic([1, 2]), dynamic([3, 4]))"),
    row("series_subtract", &[], &[ToDynamic], (2, 2), Is(Type::Dynamic), Numbered, "Element-wise difference.")
        .example("print series_subtract(dynamic([3, 4]), dynamic([1, 2]))"),
    row("series_multiply", &[], &[ToDynamic], (2, 2), Is(Type::Dynamic), Numbered, "Element-wise product.")
        .example("print series_multiply(dynamic([1, 2]), 3)"),
    row("series_divide", &[], &[ToDynamic], (2, 2), Is(Type::Dynamic), Numbered, "Element-wise quotient.")
        .example("print series_divide(dynamic([1, 2]), dynamic([4, 2]))"),
    row("series_pow", &[], &[ToDynamic], (2, 2), Is(Type::Dynamic), Numbered, "Element-wise power.")
        .example("print series_pow(dynamic([1, 2, 3]), 2)"),
    row("series_equals", &[], &[ToDynamic], (2, 2), Is(Type::Dynamic), Numbered, "Element-wise `==`.")
        .example("print series_equals(dynamic([1, 2]), dynamic([1, 3]))"),
    row("series_not_equals", &[], &[ToDynamic], (2, 2), Is(Type::Dynamic), Numbered, "Element-wise `!=`.")
        .example("print series_not_equals(dynamic([1, 2]), dynamic([1, 3]))"),
    row("series_less", &[], &[ToDynamic], (2, 2), Is(Type::Dynamic), Numbered, "Element-wise `<`.")
        .example("print series_less(dynamic([1, 2]), dynamic([2, 2]))"),
    row("series_less_equals", &[], &[ToDynamic], (2, 2), Is(Type::Dynamic), Numbered, "Element-wise `<=`.")
        .example("print series_less_equals(dynamic([1, 3]), dynamic([2, 2]))"),
    row("series_greater", &[], &[ToDynamic], (2, 2), Is(Type::Dynamic), Numbered, "Element-wise `>`.")
        .example("print series_greater(dynamic([1, 3]), dynamic([2, 2]))"),
    row("series_greater_equals", &[], &[ToDynamic], (2, 2), Is(Type::Dynamic), Numbered, "Element-wise `>=`.")
        .example("print series_greater_equals(dynamic([1, 2]), dynamic([2, 2]))"),
    row("series_abs", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise magnitude.")
        .example("print series_abs(dynamic([-1, 2]))"),
    row("series_acos", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise arc cosine.")
        .example("print series_acos(dynamic([-1, 0, 1]))"),
    row("series_asin", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise arc sine.")
        .example("print series_asin(dynamic([-1, 0, 1]))"),
    row("series_atan", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise arc tangent.")
        .example("print series_atan(dynamic([-1, 0, 1]))"),
    row("series_ceiling", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise rounding up.")
        .example("print series_ceiling(dynamic([-1.5, 1.5]))"),
    row("series_cos", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise cosine.")
        .example("print series_cos(dynamic([0, 1]))"),
    row("series_exp", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise exponential.")
        .example("print series_exp(dynamic([0, 1]))"),
    row("series_floor", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise rounding down.")
        .example("print series_floor(dynamic([-1.5, 1.5]))"),
    row("series_log", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise natural logarithm.")
        .example("print series_log(dynamic([1, 10]))"),
    row("series_sign", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise sign.")
        .example("print series_sign(dynamic([-6, 0, 8]))"),
    row("series_sin", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise sine.")
        .example("print series_sin(dynamic([0, 1]))"),
    row("series_tan", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "Element-wise tangent.")
        .example("print series_tan(dynamic([0, 1]))"),
    row("series_sum", &[], &[ToDynamic], (1, 1), Is(Type::Real), Numbered, "The sum of the elements.")
        .example("print series_sum(dynamic([1, 2, 3]))"),
    row("series_product", &[], &[ToDynamic], (1, 1), Is(Type::Real), Numbered, "The product of the elements.")
        .example("print series_product(dynamic([1, 2, 3]))"),
    row("series_magnitude", &[], &[ToDynamic], (1, 1), Is(Type::Real), Numbered, "The Euclidean norm.")
        .example("print series_magnitude(dynamic([3, 4]))"),
    row(
        "series_dot_product",
        &[],
        &[ToDynamic],
        (2, 2),
        Is(Type::Real),
        Numbered,
        "The sum of the element-wise products.",
    )
    .example("print series_dot_product(dynamic([1, 2]), dynamic([3, 4]))"),
    row(
        "series_cosine_similarity",
        &[],
        &[ToDynamic, ToDynamic, Real],
        (2, 4),
        Is(Type::Real),
        Numbered,
        "The cosine of the angle between the series.",
    )
    .example("print series_cosine_similarity(dynamic([1, 0]), dynamic([1, 1]))"),
    row(
        "series_pearson_correlation",
        &[],
        &[ToDynamic],
        (2, 2),
        Is(Type::Real),
        Numbered,
        "Pearson's correlation coefficient.",
    )
    .example("print series_pearson_correlation(dynamic([1, 2, 3]), dynamic([2, 4, 7]))"),
];
