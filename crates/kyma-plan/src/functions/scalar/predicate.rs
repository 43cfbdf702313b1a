//! Text operators. A negated operator is `not` of these; a string is never null, so neither is the answer.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{MANY, ScalarFunction, row};

/// Text operators. A negated operator is `not` of these; a string is never null, so neither is the answer.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "has",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the text contains the term, without case.",
    )
    .own_nulls()
    .example(r#"print "North America" has "america""#),
    row("has_cs", &[], &[Text, Text], (2, 2), Is(Type::Bool), Numbered, "Whether the text contains the term.")
        .own_nulls()
        .example(r#"print "North America" has_cs "America""#),
    row(
        "hasprefix",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether a term of the text starts so, without case.",
    )
    .own_nulls()
    .example(r#"print "North America" hasprefix "ame""#),
    row("hasprefix_cs", &[], &[Text, Text], (2, 2), Is(Type::Bool), Numbered, "Whether a term of the text starts so.")
        .own_nulls()
        .example(r#"print "North America" hasprefix_cs "Ame""#),
    row(
        "hassuffix",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether a term of the text ends so, without case.",
    )
    .own_nulls()
    .example(r#"print "North America" hassuffix "ica""#),
    row("hassuffix_cs", &[], &[Text, Text], (2, 2), Is(Type::Bool), Numbered, "Whether a term of the text ends so.")
        .own_nulls()
        .example(r#"print "North America" hassuffix_cs "ica""#),
    row(
        "contains",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the text contains the substring, without case.",
    )
    .own_nulls()
    .example(r#"print "FabriKam" contains "BRik""#),
    row(
        "contains_cs",
        &["containscs"],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the text contains the substring.",
    )
    .own_nulls()
    .example(r#"print "FabriKam" contains_cs "Kam""#),
    row(
        "startswith",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the text starts so, without case.",
    )
    .own_nulls()
    .example(r#"print "FabriKam" startswith "fab""#),
    row("startswith_cs", &[], &[Text, Text], (2, 2), Is(Type::Bool), Numbered, "Whether the text starts so.")
        .own_nulls()
        .example(r#"print "FabriKam" startswith_cs "Fab""#),
    row("endswith", &[], &[Text, Text], (2, 2), Is(Type::Bool), Numbered, "Whether the text ends so, without case.")
        .own_nulls()
        .example(r#"print "FabriKam" endswith "kam""#),
    row("endswith_cs", &[], &[Text, Text], (2, 2), Is(Type::Bool), Numbered, "Whether the text ends so.")
        .own_nulls()
        .example(r#"print "FabriKam" endswith_cs "Kam""#),
    row(
        "equal_ci",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the texts are equal without case: `=~`.",
    )
    .own_nulls()
    .example(r#"print "FabriKam" =~ "fabrikam""#),
    row(
        "matches_regex",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the expression occurs in the text: `matches regex`.",
    )
    .own_nulls()
    .example(r#"print "error 42" matches regex @"error \d+""#),
    row(
        "has_any",
        &[],
        &[Text, Any],
        (2, MANY * 1024),
        Is(Type::Bool),
        Numbered,
        "Whether the text has any of the terms; an array gives its elements.",
    )
    .own_nulls()
    .example(r#"print "disk is full" has_any ("full", "empty")"#),
    row(
        "has_all",
        &[],
        &[Text, Any],
        (2, MANY * 1024),
        Is(Type::Bool),
        Numbered,
        "Whether the text has all of the terms; an array gives its elements.",
    )
    .own_nulls()
    .example(r#"print "disk is full" has_all ("disk", "full")"#),
    row(
        "like",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the whole text fits the pattern of `*` wildcards, without case.",
    )
    .own_nulls()
    .example(r#"print like("error 42: disk", "error*disk")"#),
    row(
        "like_cs",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the whole text fits the pattern of `*` wildcards.",
    )
    .own_nulls()
    .example(r#"print like_cs("Error 42", "Error*")"#),
];
