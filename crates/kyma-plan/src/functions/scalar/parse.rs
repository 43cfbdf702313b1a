//! Texts taken apart into a dynamic.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{ScalarFunction, row};

/// Texts taken apart into a dynamic.
pub(super) static TABLE: &[ScalarFunction] = &[
    row("parse_url", &["parseurl"], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The parts of a URL."),
    row(
        "parse_urlquery",
        &["parseurlquery"],
        &[Text],
        (1, 1),
        Is(Type::Dynamic),
        Numbered,
        "The parameters of a query string.",
    ),
    row("parse_path", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The parts of a file path."),
    row(
        "parse_version",
        &[],
        &[Text],
        (1, 1),
        Is(Type::Decimal),
        Numbered,
        "A version as a number that orders like it.",
    ),
    row("parse_csv", &[], &[Text], (1, 1), Is(Type::Dynamic), FirstArgument, "The fields of one CSV record."),
    row("parse_xml", &[], &[Text], (1, 1), Is(Type::Dynamic), FirstArgument, "An XML document as bags."),
    row(
        "parse_command_line",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Dynamic),
        Numbered,
        "The arguments of a Windows command line.",
    ),
    row(
        "extract_json",
        &["extractjson"],
        &[Text, Text],
        (2, 2),
        Is(Type::String),
        Numbered,
        "The text of the value at a JSON path (first) in a JSON text.",
    ),
];
