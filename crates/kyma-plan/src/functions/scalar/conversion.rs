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
    )
    .example("print tostring(123)"),
    row("tolong", &["toint64"], &[Any], (1, 1), Is(Type::Long), FirstArgument, "The value as a 64-bit integer.")
        .example(r#"print tolong("123")"#),
    row("toint", &["toint32"], &[Any], (1, 1), Is(Type::Int), FirstArgument, "The value as a 32-bit integer.")
        .example(r#"print toint("123")"#),
    row("toreal", &["todouble"], &[Any], (1, 1), Is(Type::Real), FirstArgument, "The value as a float.")
        .example(r#"print toreal("1.5")"#),
    row("todecimal", &[], &[Any], (1, 1), Is(Type::Decimal), FirstArgument, "The value as a decimal.")
        .example(r#"print todecimal("123.45678")"#),
    row("tobool", &["toboolean"], &[Any], (1, 1), Is(Type::Bool), FirstArgument, "The value as a truth value.")
        .example(r#"print tobool("true")"#),
    row("todatetime", &[], &[Any], (1, 1), Is(Type::Datetime), FirstArgument, "The value as a datetime.")
        .example(r#"print todatetime("2015-12-31 23:59:59.9")"#),
    row("totimespan", &["totime"], &[Any], (1, 1), Is(Type::Timespan), FirstArgument, "The value as a timespan.")
        .example(r#"print totimespan("0.00:01:00")"#),
    row("toguid", &[], &[Any], (1, 1), Is(Type::Guid), FirstArgument, "The value as a guid.")
        .example(r#"print toguid("70fc66f7-8279-44fc-9092-d364d70fce44")"#),
    row(
        "parse_json",
        &["todynamic", "toobject", "parsejson"],
        &[Any],
        (1, 1),
        Is(Type::Dynamic),
        FirstArgument,
        "The JSON value that the text spells; other text stays a string.",
    )
    .example(r#"print parse_json('{"a": 1, "b": [2, 3]}').b[0]"#),
    row(
        "dynamic_to_json",
        &[],
        &[ToDynamic],
        (1, 1),
        Is(Type::String),
        Numbered,
        "The JSON text of a value, keys sorted.",
    )
    .example(r#"print dynamic_to_json(dynamic({"b": 1, "a": 2}))"#),
    row(
        "tohex",
        &[],
        &[Integral, Long],
        (1, 2),
        Is(Type::String),
        FirstArgument,
        "Hexadecimal digits, left-padded with zeros to a length.",
    )
    .example("print tohex(256), tohex(256, 8)"),
    row(
        "make_string",
        &["unicode_codepoints_to_string"],
        &[Any],
        (1, 64),
        Is(Type::String),
        Numbered,
        "The string of the code points, given as numbers or arrays.",
    )
    .example("print make_string(75, 117, 115, 116, 111)"),
    row(
        "to_utf8",
        &["unicode_codepoints_from_string"],
        &[Text],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The code points of the text.",
    )
    .example(r#"print to_utf8("Kusto")"#),
];
