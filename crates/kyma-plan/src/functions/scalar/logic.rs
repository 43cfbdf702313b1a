//! Choice, null tests and the environment.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{MANY, ScalarFunction, row};

/// Choice, null tests and the environment.
pub(super) static TABLE: &[ScalarFunction] = &[
    row("not", &[], &[Bool], (1, 1), Is(Type::Bool), Numbered, "The opposite; null stays null.")
        .example("print not(1 == 2)"),
    row(
        "iff",
        &["iif"],
        &[Bool, Any],
        (3, 3),
        CommonValueFrom(1),
        Numbered,
        "The second argument where the first is true, else the third.",
    )
    .own_nulls()
    .example(r#"print iff(2 > 1, "yes", "no")"#),
    row(
        "case",
        &[],
        &[Any],
        (3, usize::MAX),
        CommonOfCase,
        Numbered,
        "The value after the first true predicate, else the last argument.",
    )
    .own_nulls()
    .example(r#"print case(3 > 5, "large", 3 > 2, "medium", "small")"#),
    row(
        "coalesce",
        &[],
        &[Any],
        (1, MANY),
        CommonValueFrom(0),
        Numbered,
        "The first argument that is not null (for strings: not empty).",
    )
    .own_nulls()
    .example(r#"print coalesce(tolong("no number"), tolong("42"), 33)"#),
    row("max_of", &[], &[Any], (1, MANY), CommonValueFrom(0), Numbered, "The largest argument; nulls are ignored.")
        .own_nulls()
        .example("print max_of(10, 1, -3, 17)"),
    row("min_of", &[], &[Any], (1, MANY), CommonValueFrom(0), Numbered, "The smallest argument; nulls are ignored.")
        .own_nulls()
        .example("print min_of(10, 1, -3, 17)"),
    row("isnull", &[], &[Any], (1, 1), Is(Type::Bool), Numbered, "Whether the value is null; never for strings.")
        .own_nulls()
        .example(r#"print isnull(tolong("no number"))"#),
    row("isnotnull", &["notnull"], &[Any], (1, 1), Is(Type::Bool), Numbered, "Whether the value is not null.")
        .own_nulls()
        .example(r#"print isnotnull(tolong("42"))"#),
    row("isempty", &[], &[Any], (1, 1), Is(Type::Bool), Numbered, "Whether the value is an empty string or null.")
        .own_nulls()
        .example(r#"print isempty("")"#),
    row(
        "isnotempty",
        &["notempty"],
        &[Any],
        (1, 1),
        Is(Type::Bool),
        Numbered,
        "Whether the value is neither an empty string nor null.",
    )
    .own_nulls()
    .example(r#"print isnotempty("text")"#),
    row(
        "assert",
        &[],
        &[Bool, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Fails the query with the message unless the condition holds.",
    )
    .own_nulls()
    .example(r#"print assert(1 < 2, "never said")"#),
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
        "extent_row",
        &[],
        &[Any],
        (0, 0),
        Is(Type::Long),
        Numbered,
        "The place of the row in its extent, from 0; null where rows come from no table.",
    )
    .own_nulls()
    .example("print isnull(extent_row())"),
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
    )
    .own_nulls()
    .example("print gettype(dynamic([1, 2]))"),
    row(
        "estimate_data_size",
        &[],
        &[Any],
        (1, MANY),
        Is(Type::Long),
        Numbered,
        "About how many bytes the values take.",
    )
    .own_nulls()
    .example(r#"print estimate_data_size("text", 42)"#),
];
