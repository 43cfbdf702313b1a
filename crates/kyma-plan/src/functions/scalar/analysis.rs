//! Analysis of series: fits, filters, periods, components, outliers.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{MANY, ScalarFunction, row};

/// Analysis of series: fits, filters, periods, components, outliers.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "series_stats_dynamic",
        &[],
        &[ToDynamic, Bool],
        (1, 2),
        Is(Type::Dynamic),
        Numbered,
        "Minimum, maximum, mean, deviation and variance of a series.",
    ).example("print series_stats_dynamic(dynamic([23, 46, 23, 87, 4, 8, 3]))"),
    row(
        "series_fit_line_dynamic",
        &[],
        &[ToDynamic],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The least-squares line of a series.",
    ).example("print series_fit_line_dynamic(dynamic([2, 5, 6, 8, 11])).slope"),
    row("series_fit_2lines_dynamic", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "The two lines, one after the other, that fit a series best.").example("print series_fit_2lines_dynamic(dynamic([1, 2, 3, 10, 8, 6])).split_idx"),
    row("series_fit_poly", &[], &[ToDynamic], (1, 3), Is(Type::Dynamic), Numbered, "The least-squares polynomial of a degree (1), over places that may be given.").example("print y = dynamic([1, 4, 9, 16, 25]) | extend (rsquare, coefficients) = series_fit_poly(y, 2)"),
    row("series_fft", &[], &[ToDynamic], (1, 2), Is(Type::Dynamic), Numbered, "The discrete Fourier transform of a real or complex series.").example("print y = dynamic([1, 0, -1, 0]) | extend (re, im) = series_fft(y)"),
    row("series_ifft", &[], &[ToDynamic], (1, 2), Is(Type::Dynamic), Numbered, "The series whose Fourier transform is given.").example("print re = dynamic([0, 2, 0, 2]), im = dynamic([0, 0, 0, 0]) | extend (y, zero) = series_ifft(re, im)"),
    row("series_fir", &[], &[ToDynamic, ToDynamic, Bool, Bool], (2, 4), Is(Type::Dynamic), FirstArgument, "A weighted sum of each value and those before, normalised and centred on demand.").example("print series_fir(dynamic([0, 0, 3, 0, 0]), dynamic([1, 1, 1]), true, true)"),
    row("series_iir", &[], &[ToDynamic], (3, 3), Is(Type::Dynamic), FirstArgument, "A filter that feeds its outputs back, by numerators and denominators.").example("print series_iir(dynamic([1, 2, 3]), dynamic([1]), dynamic([1, -1]))"),
    row("series_outliers", &[], &[ToDynamic, Text, Real, Real, Real, Long], (1, 6), Is(Type::Dynamic), FirstArgument, "How far each value lies outside of the normal ones; beyond 1.5 it is an outlier.").example("print series_outliers(dynamic([30, 28, 5, 27, 31, 38, 29, 80, 25, 37, 30]))"),
    row("series_periods_detect", &[], &[ToDynamic, Real, Real, Long], (4, 4), Is(Type::Dynamic), Numbered, "The best periods between two bounds, with scores.").example("print y = dynamic([1, 2, 3, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1, 2, 3, 4, 3, 2]) | project series_periods_detect(y, 2.0, 8.0, 1)"),
    row("series_periods_validate", &[], &[ToDynamic], (2, MANY), Is(Type::Dynamic), Numbered, "The scores of given periods; 0 where the series has none such.").example("print y = dynamic([1, 2, 3, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1, 2, 3, 4, 3, 2]) | project series_periods_validate(y, 6.0, 7.0)"),
    row("series_seasonal", &[], &[ToDynamic, Long, Long], (1, 3), Is(Type::Dynamic), Numbered, "What repeats in a series, by a period that is given or found.").example("print series_seasonal(dynamic([1, 5, 2, 8, 1, 6, 2, 8, 1, 5, 2, 9]), 4)"),
    row("series_decompose", &[], &[ToDynamic, Long, Text, Long, Real], (1, 5), Is(Type::Dynamic), Numbered, "A series as season, trend and rest.").example("print y = dynamic([1, 5, 2, 8, 1, 6, 2, 8, 1, 5, 2, 9]) | extend (baseline, seasonal, trend, residual) = series_decompose(y, 4)"),
    row("series_decompose_anomalies", &[], &[ToDynamic, Real, Long, Text, Long, Text, Real], (1, 7), Is(Type::Dynamic), Numbered, "The values of a series that season and trend do not explain.").example("print y = dynamic([1, 5, 2, 8, 1, 50, 2, 8, 1, 5, 2, 9]) | extend (flag, score, baseline) = series_decompose_anomalies(y, 1.5, 4)"),
    row("series_decompose_forecast", &[], &[ToDynamic, Long, Long, Text, Real], (2, 5), Is(Type::Dynamic), Numbered, "A series continued by season and trend over its last points.").example(r#"print y = dynamic([1, 2, 3, 4, 5, 0, 0]) | extend forecast = series_decompose_forecast(y, 2, 0, "linefit")"#),
];
