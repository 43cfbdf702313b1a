//! Conversions; what does not convert is null.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{ScalarFunction, row};

/// Conversions; what does not convert is null.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "tostring",
        &[],
        &[Any],
        (1, 1),
        Is(Type::String),
        FirstArgument,
        "The value as text; null is the empty string.",
    ),
    row("tolong", &["toint64"], &[Any], (1, 1), Is(Type::Long), FirstArgument, "The value as a 64-bit integer."),
    row("toint", &["toint32"], &[Any], (1, 1), Is(Type::Int), FirstArgument, "The value as a 32-bit integer."),
    row("toreal", &["todouble"], &[Any], (1, 1), Is(Type::Real), FirstArgument, "The value as a float."),
    row("todecimal", &[], &[Any], (1, 1), Is(Type::Decimal), FirstArgument, "The value as a decimal."),
    row("tobool", &["toboolean"], &[Any], (1, 1), Is(Type::Bool), FirstArgument, "The value as a truth value."),
    row("todatetime", &[], &[Any], (1, 1), Is(Type::Datetime), FirstArgument, "The value as a datetime."),
    row("totimespan", &["totime"], &[Any], (1, 1), Is(Type::Timespan), FirstArgument, "The value as a timespan."),
    row("toguid", &[], &[Any], (1, 1), Is(Type::Guid), FirstArgument, "The value as a guid."),
    row(
        "parse_json",
        &["todynamic", "toobject", "parsejson"],
        &[Any],
        (1, 1),
        Is(Type::Dynamic),
        FirstArgument,
        "The JSON value that the text spells; other text stays a string.",
    ),
    row(
        "dynamic_to_json",
        &[],
        &[ToDynamic],
        (1, 1),
        Is(Type::String),
        Numbered,
        "The JSON text of a value, keys sorted.",
    ),
    row(
        "tohex",
        &[],
        &[Integral, Long],
        (1, 2),
        Is(Type::String),
        FirstArgument,
        "Hexadecimal digits, left-padded with zeros to a length.",
    ),
    row(
        "make_string",
        &["unicode_codepoints_to_string"],
        &[Any],
        (1, 64),
        Is(Type::String),
        Numbered,
        "The string of the code points, given as numbers or arrays.",
    ),
    row(
        "to_utf8",
        &["unicode_codepoints_from_string"],
        &[Text],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The code points of the text.",
    ),
];
