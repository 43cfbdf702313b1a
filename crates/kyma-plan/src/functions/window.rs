//! Functions over the whole ordered input.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::ScalarFunction;
use super::scalar::row;

/// `int` counts as `long`.
fn promoted(args: &[Type]) -> Type {
    match args.first() {
        Some(Type::Int) | None => Type::Long,
        Some(&ty) => ty,
    }
}

/// Every window function.
pub(super) static TABLE: &[ScalarFunction] = &[
    row("prev", &[], &[Any, Long, Any], (1, 3), Arg(0), Numbered, "The value some rows before (1), or a default.").own_nulls().example("range x from 1 to 3 step 1 | serialize before = prev(x)"),
    row("next", &[], &[Any, Long, Any], (1, 3), Arg(0), Numbered, "The value some rows after (1), or a default.").own_nulls().example("range x from 1 to 3 step 1 | serialize after = next(x, 1, 0)"),
    row(
        "row_number",
        &[],
        &[Long, Bool],
        (0, 2),
        Is(Type::Long),
        Numbered,
        "Counts rows from a start (1), again where the flag is true.",
    ).own_nulls().example("range x from 1 to 3 step 1 | serialize n = row_number()"),
    row(
        "row_cumsum",
        &[],
        &[Summable, Bool],
        (1, 2),
        Rule(promoted),
        Numbered,
        "The running sum, again where the flag is true.",
    ).own_nulls().example("range x from 1 to 3 step 1 | serialize total = row_cumsum(x)"),
    row(
        "row_rank_dense",
        &["row_rank"],
        &[Any, Bool],
        (1, 2),
        Is(Type::Long),
        Numbered,
        "Counts changes of the value, again where the flag is true.",
    ).own_nulls().example("print x = dynamic([1, 1, 2]) | mv-expand x to typeof(long) | serialize rank = row_rank_dense(x)"),
    row(
        "row_rank_min",
        &[],
        &[Any, Bool],
        (1, 2),
        Is(Type::Long),
        Numbered,
        "Row number of the first of equal values, again where the flag is true.",
    ).own_nulls().example("print x = dynamic([1, 1, 2]) | mv-expand x to typeof(long) | serialize rank = row_rank_min(x)"),
    row(
        "row_window_session",
        &[],
        &[Datetime, Timespan, Timespan, Bool],
        (3, 4),
        Is(Type::Datetime),
        Numbered,
        "The start of the session, limited in length and in the gap to the row before.",
    ).example("range t from datetime(2020-01-01) to datetime(2020-01-02) step 8h | serialize start = row_window_session(t, 1d, 1h)"),
];
