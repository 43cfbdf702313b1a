//! Text functions. Positions and lengths are counted in characters.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{MANY, ScalarFunction, row};

/// Text functions. Positions and lengths are counted in characters.
pub(super) static TABLE: &[ScalarFunction] = &[
    row("strcat", &[], &[Text], (1, MANY), Is(Type::String), Numbered, "The texts one after the other.")
        .example(r#"print strcat("hello", " ", "world", 1)"#),
    row(
        "strcat_delim",
        &[],
        &[Text, Text],
        (2, MANY),
        Is(Type::String),
        Numbered,
        "The texts with a delimiter between.",
    )
    .example(r#"print strcat_delim("-", 1, "A", true)"#),
    row(
        "strcat_array",
        &["array_strcat"],
        &[ToDynamic, Text],
        (2, 2),
        Is(Type::String),
        Numbered,
        "The elements with a delimiter between.",
    )
    .example(r#"print strcat_array(dynamic([1, 2, 3]), "->")"#),
    row("strlen", &[], &[Text], (1, 1), Is(Type::Long), Prefixed("strlen"), "The number of characters.")
        .example(r#"print strlen("⒦⒰⒮⒯⒪")"#),
    row("string_size", &[], &[Text], (1, 1), Is(Type::Long), Prefixed("string_size"), "The number of UTF-8 bytes.")
        .example(r#"print string_size("⒦⒰⒮⒯⒪")"#),
    row(
        "substring",
        &[],
        &[Text, Long],
        (2, 3),
        Is(Type::String),
        Numbered,
        "Characters from a position (from the end when negative), up to a count.",
    )
    .example(r#"print substring("123456", 2, 2), substring("123456", -2)"#),
    row("tolower", &[], &[Text], (1, 1), Is(Type::String), Numbered, "The text in lower case.")
        .example(r#"print tolower("HELLO")"#),
    row("toupper", &[], &[Text], (1, 1), Is(Type::String), Numbered, "The text in upper case.")
        .example(r#"print toupper("hello")"#),
    row("reverse", &[], &[Text], (1, 1), Is(Type::String), Numbered, "The characters backwards.")
        .example(r#"print reverse("hello")"#),
    row(
        "split",
        &[],
        &[Text, Text, Long],
        (2, 3),
        Is(Type::Dynamic),
        FirstArgument,
        "The parts between delimiters; or an array of the one at a position.",
    )
    .example(r#"print split("a_b_c", "_"), split("a_b_c", "_", 1)"#),
    row(
        "trim",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::String),
        Numbered,
        "Removes what the expression (first) matches at both ends.",
    )
    .example(r#"print trim("--", "--https://example.com--")"#),
    row(
        "trim_start",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::String),
        Numbered,
        "Removes what the expression (first) matches at the start.",
    )
    .example(r#"print trim_start(@"[^\w]+", "-  Te st1// $")"#),
    row(
        "trim_end",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::String),
        Numbered,
        "Removes what the expression (first) matches at the end.",
    )
    .example(r#"print trim_end(@"[^\w]+", "-  Te st1// $")"#),
    row(
        "replace_string",
        &[],
        &[Text, Text, Text],
        (3, 3),
        Is(Type::String),
        Numbered,
        "Replaces every occurrence of a substring.",
    )
    .example(r#"print replace_string("A magic trick", "magic", "card")"#),
    row(
        "replace_regex",
        &[],
        &[Text, Text, Text],
        (3, 3),
        Is(Type::String),
        Numbered,
        "Replaces every match; `\\\\1` is the first group.",
    )
    .example(r#"print replace_regex("Number is 1", @"is (\d+)", @"was: \1")"#),
    row(
        "replace",
        &[],
        &[Text, Text, Text],
        (3, 3),
        Is(Type::String),
        Numbered,
        "As `replace_regex`, with the text last: expression, rewrite, text.",
    )
    .example(r#"print replace(@"is (\d+)", @"was: \1", "Number is 1")"#),
    row(
        "replace_strings",
        &[],
        &[Text, ToDynamic, ToDynamic],
        (3, 3),
        Is(Type::String),
        Numbered,
        "Replaces each lookup by the rewrite at its place.",
    )
    .own_nulls()
    .example(r#"print replace_strings("a cat, a dog", dynamic(["cat", "dog"]), dynamic(["fish", "bird"]))"#),
    row(
        "extract",
        &[],
        &[Text, Long, Text],
        (3, 3),
        Is(Type::String),
        Numbered,
        "A group of the first match, or the empty string.",
    )
    .example(r#"print extract(@"x=([0-9.]+)", 1, "hello x=45.6|wo")"#),
    row(
        "extract_all",
        &["extractall"],
        &[Text, Any, Text],
        (2, 3),
        Is(Type::Dynamic),
        Numbered,
        "The groups of every match.",
    )
    .example(r#"print extract_all(@"([0-9]+)([a-z])", "1a 22b 333c")"#),
    row(
        "indexof",
        &[],
        &[Text, Text, Long],
        (2, 5),
        Is(Type::Long),
        Numbered,
        "Position of the n-th occurrence from a start within a length; -1 if none.",
    )
    .example(r#"print indexof("abcdefg", "cde"), indexof("abcabc", "abc", 1)"#),
    row(
        "indexof_regex",
        &[],
        &[Text, Text, Long],
        (2, 5),
        Is(Type::Long),
        Numbered,
        "Position of the n-th match from a start within a length; -1 if none.",
    )
    .example(r#"print indexof_regex("abcabc", @"a.c", 1)"#),
    row(
        "countof",
        &[],
        &[Text, Text, Text],
        (2, 3),
        Is(Type::Long),
        Numbered,
        "How often a substring (overlapping), or with `regex` an expression, occurs.",
    )
    .example(r#"print countof("aaaa", "aa"), countof("abcabc", "a.c", "regex")"#),
    row(
        "has_any_index",
        &[],
        &[Text, ToDynamic],
        (2, 2),
        Is(Type::Long),
        Numbered,
        "Position of the first array element that the text has; -1 if none.",
    )
    .own_nulls()
    .example(r#"print has_any_index("this is an example", dynamic(["this", "example"]))"#),
    row("strcmp", &[], &[Text, Text], (2, 2), Is(Type::Long), Numbered, "-1, 0 or 1 by code points.")
        .example(r#"print strcmp("abc", "abd")"#),
    row(
        "strrep",
        &[],
        &[Text, Long, Text],
        (2, 3),
        Is(Type::String),
        Numbered,
        "The text repeated, with a delimiter between.",
    )
    .example(r#"print strrep("from now", 3, " ")"#),
    row(
        "translate",
        &[],
        &[Text, Text, Text],
        (3, 3),
        Is(Type::String),
        Numbered,
        "Replaces characters of the first list by those of the second, in the third.",
    )
    .example(r#"print translate("krasp", "otsku", "spark")"#),
    row("isascii", &[], &[Text], (1, 1), Is(Type::Bool), Numbered, "Whether every character is ASCII.")
        .example(r#"print isascii("abc")"#),
    row("isutf8", &[], &[Text], (1, 1), Is(Type::Bool), Numbered, "Whether the text is valid UTF-8.")
        .example(r#"print isutf8("abc")"#),
    row(
        "regex_quote",
        &[],
        &[Text],
        (1, 1),
        Is(Type::String),
        Numbered,
        "The text with what expressions interpret escaped.",
    )
    .example(r#"print regex_quote("(so$me.Te^xt)")"#),
];
