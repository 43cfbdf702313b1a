//! Functions that planning resolves, so that no kernel computes them: they name tables or columns, read settings, give
//! several columns, or become operators that pruning understands.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::ScalarFunction;
use super::scalar::row;

/// Every function that planning resolves.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "around",
        &[],
        &[Summable, Summable, Summable],
        (3, 3),
        Is(Type::Bool),
        Numbered,
        "Whether the value is at most the third argument away from the second.",
    )
    .example("print around(5, 4, 1.5)"),
    row(
        "bin_auto",
        &[],
        &[Summable],
        (1, 1),
        Arg(0),
        FirstArgument,
        "Rounds down to a bin whose size the option `query_bin_auto_size` gives, and its start `query_bin_auto_at`.",
    )
    .example("set query_bin_auto_size = 1h; print bin_auto(datetime(2024-01-01 10:11))"),
    row(
        "column_ifexists",
        &["columnifexists"],
        &[String, Any],
        (1, 2),
        Arg(1),
        FirstArgument,
        "The column of that name if there is one, else the default.",
    )
    .own_nulls()
    .example(r#"print a = 1 | project column_ifexists("b", 0)"#),
    row("iscolumnexists", &[], &[String], (1, 1), Is(Type::Bool), Numbered, "Whether there is a column of that name.")
        .example(r#"print a = 1 | project iscolumnexists("a")"#),
    row("column_names_of", &[], &[Any], (1, 1), Is(Type::Dynamic), Numbered, "The names of a table's columns.")
        .example("let T = datatable(a: long, b: string)[]; print column_names_of(T)"),
    row("current_database", &[], &[], (0, 0), Is(Type::String), Numbered, "The database that the query is about.")
        .example("print current_database()"),
    row("materialize", &[], &[Any], (1, 1), Arg(0), Numbered, "The table, computed once for all its uses.")
        .example("let T = materialize(range x from 1 to 3 step 1); T | union T"),
    row("toscalar", &[], &[Any], (1, 1), Arg(0), Numbered, "The first value of a table, or the value itself.")
        .own_nulls()
        .example("print toscalar(range x from 1 to 3 step 1 | summarize max(x))"),
    row(
        "series_stats",
        &[],
        &[ToDynamic, Bool],
        (1, 2),
        Is(Type::Dynamic),
        Numbered,
        "Minimum, maximum, mean, deviation and variance of a series, as columns.",
    )
    .example("print x = dynamic([23, 46, 23, 87, 4, 8, 3]) | project series_stats(x)"),
    row(
        "series_fit_line",
        &[],
        &[ToDynamic],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The least-squares line of a series, as columns.",
    )
    .example("print y = dynamic([2, 5, 6, 8, 11]) | extend (rsquare, slope) = series_fit_line(y)"),
    row(
        "series_fit_2lines",
        &[],
        &[ToDynamic],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The two lines that fit a series best, as columns.",
    )
    .example("print y = dynamic([1, 2, 3, 10, 8, 6]) | extend (rsquare, split) = series_fit_2lines(y)"),
];
