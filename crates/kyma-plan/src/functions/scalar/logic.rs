//! Choice, null tests and the environment.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{MANY, ScalarFunction, row};

/// Choice, null tests and the environment.
pub(super) static TABLE: &[ScalarFunction] = &[
    row("not", &[], &[Bool], (1, 1), Is(Type::Bool), Numbered, "The opposite; null stays null."),
    row(
        "iff",
        &["iif"],
        &[Bool, Any],
        (3, 3),
        CommonValueFrom(1),
        Numbered,
        "The second argument where the first is true, else the third.",
    ),
    row(
        "case",
        &[],
        &[Any],
        (3, usize::MAX),
        CommonOfCase,
        Numbered,
        "The value after the first true predicate, else the last argument.",
    ),
    row(
        "coalesce",
        &[],
        &[Any],
        (1, MANY),
        CommonValueFrom(0),
        Numbered,
        "The first argument that is not null (for strings: not empty).",
    ),
    row("max_of", &[], &[Any], (1, MANY), CommonValueFrom(0), Numbered, "The largest argument; nulls are ignored."),
    row("min_of", &[], &[Any], (1, MANY), CommonValueFrom(0), Numbered, "The smallest argument; nulls are ignored."),
    row("isnull", &[], &[Any], (1, 1), Is(Type::Bool), Numbered, "Whether the value is null; never for strings."),
    row("isnotnull", &["notnull"], &[Any], (1, 1), Is(Type::Bool), Numbered, "Whether the value is not null."),
    row("isempty", &[], &[Any], (1, 1), Is(Type::Bool), Numbered, "Whether the value is an empty string or null."),
    row(
        "isnotempty",
        &["notempty"],
        &[Any],
        (1, 1),
        Is(Type::Bool),
        Numbered,
        "Whether the value is neither an empty string nor null.",
    ),
    row(
        "assert",
        &[],
        &[Bool, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Fails the query with the message unless the condition holds.",
    ),
    row(
        "ingestion_time",
        &[],
        &[Any],
        (0, 0),
        Is(Type::Datetime),
        Numbered,
        "When the row's extent was made; null where rows come from no table.",
    )
    .own_nulls()
    .example("print isnull(ingestion_time())"),
    row(
        "extent_id",
        &["extentid"],
        &[Any],
        (0, 0),
        Is(Type::Guid),
        Numbered,
        "The id of the row's extent; zero where rows come from no table.",
    )
    .own_nulls()
    .example("print extent_id()"),
    row(
        "extent_tags",
        &[],
        &[Any],
        (0, 0),
        Is(Type::Dynamic),
        Numbered,
        "The tags of the row's extent; null where rows come from no table.",
    )
    .own_nulls()
    .example("print extent_tags()"),
    row(
        "gettype",
        &[],
        &[Any],
        (1, 1),
        Is(Type::String),
        Prefixed("type"),
        "The name of the value's type, of a dynamic its content's.",
    ),
    row(
        "estimate_data_size",
        &[],
        &[Any],
        (1, MANY),
        Is(Type::Long),
        Numbered,
        "About how many bytes the values take.",
    ),
];
