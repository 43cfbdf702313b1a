//! Texts taken apart into a dynamic.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{ScalarFunction, row};

/// Texts taken apart into a dynamic.
pub(super) static TABLE: &[ScalarFunction] = &[
    row("parse_url", &["parseurl"], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The parts of a URL.")
        .example(r#"print parse_url("https://user:pass@example.com:8080/this/path?k1=v1&k2=v2#fragment")"#),
    row(
        "parse_urlquery",
        &["parseurlquery"],
        &[Text],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The parameters of a query string.",
    )
    .example(r#"print parse_urlquery("k1=v1&k2=v2")"#),
    row("parse_path", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The parts of a file path.")
        .example(r#"print parse_path(@"C:\temp\file.txt")"#),
    row(
        "parse_version",
        &[],
        &[Text],
        (1, 1),
        Is(Type::Decimal),
        Numbered,
        "A version as a number that orders like it.",
    )
    .example(r#"print parse_version("1.2.3.40")"#),
    row("parse_csv", &[], &[Text], (1, 1), Is(Type::Dynamic), FirstArgument, "The fields of one CSV record.")
        .example(r#"print parse_csv('aa,"b,b",cc')"#),
    row("parse_xml", &[], &[Text], (1, 1), Is(Type::Dynamic), FirstArgument, "An XML document as bags.")
        .example(r#"print parse_xml("<root><a x='1'>text</a></root>").root.a"#),
    row(
        "parse_command_line",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Dynamic),
        Numbered,
        "The arguments of a Windows command line.",
    )
    .example(r#"print parse_command_line("echo \"hello world!\"", "windows")"#),
    row(
        "extract_json",
        &["extractjson"],
        &[Text, Text],
        (2, 2),
        Is(Type::String),
        Numbered,
        "The text of the value at a JSON path (first) in a JSON text.",
    )
    .example(r#"print extract_json("$.a[1].b", '{"a": [1, {"b": 2}]}')"#),
    row(
        "parse_user_agent",
        &[],
        &[Text, ToDynamic],
        (1, 2),
        Is(Type::Dynamic),
        Numbered,
        "Browser, system and device of a user agent, or those of them that are asked for.",
    )
    .example(r#"print parse_user_agent("curl/7.68.0", "browser")"#),
];
