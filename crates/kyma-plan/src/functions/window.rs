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
    row("prev", &[], &[Any, Long, Any], (1, 3), Arg(0), Numbered, "The value some rows before (1), or a default."),
    row("next", &[], &[Any, Long, Any], (1, 3), Arg(0), Numbered, "The value some rows after (1), or a default."),
    row(
        "row_number",
        &[],
        &[Long, Bool],
        (0, 2),
        Is(Type::Long),
        Numbered,
        "Counts rows from a start (1), again where the flag is true.",
    ),
    row(
        "row_cumsum",
        &[],
        &[Summable, Bool],
        (1, 2),
        Rule(promoted),
        Numbered,
        "The running sum, again where the flag is true.",
    ),
    row(
        "row_rank_dense",
        &["row_rank"],
        &[Any, Bool],
        (1, 2),
        Is(Type::Long),
        Numbered,
        "Counts changes of the value, again where the flag is true.",
    ),
    row(
        "row_rank_min",
        &[],
        &[Any, Bool],
        (1, 2),
        Is(Type::Long),
        Numbered,
        "Row number of the first of equal values, again where the flag is true.",
    ),
    row(
        "row_window_session",
        &[],
        &[Datetime, Timespan, Timespan, Bool],
        (3, 4),
        Is(Type::Datetime),
        Numbered,
        "The start of the session, limited in length and in the gap to the row before.",
    ),
];
