//! What errors look like, and that a text reports all those that do not follow from another.

use insta::assert_snapshot;

use super::plan;

/// The errors of a text as a terminal shows them.
fn shown(text: &str) -> String {
    match plan(text) {
        Ok(query) => format!("no error:\n{}", query.statements[0].plan),
        Err(errors) => errors.0.iter().map(|error| error.render(text)).collect::<Vec<_>>().join("\n\n"),
    }
}

/// Each error of a text as its code and the text under its carets.
#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    let Err(errors) = plan(text) else { panic!("no error in {text}") };
    let found: Vec<(&str, &str)> =
        errors.0.iter().map(|error| (error.code.as_str(), &text[error.span.start..error.span.end])).collect();
    assert_eq!(found, expected, "{text}");
}

/// The hint of the first error of a text.
#[track_caller]
fn check_hint(text: &str, expected: &str) {
    let Err(errors) = plan(text) else { panic!("no error in {text}") };
    assert_eq!(errors.0[0].hint.as_deref().unwrap_or_default(), expected, "{text}");
}

#[test]
fn names_that_are_not_there() {
    assert_snapshot!(shown("Logs\n| where Levl == 'x'"), @r#"
    kql.unknown_column: unknown column 'Levl'
    2 | | where Levl == 'x'
                ^^^^
    hint: did you mean 'Level'?
    "#);
    assert_snapshot!(shown("Log | count"), @r#"
    kql.unknown_table: unknown table or name 'Log'
    1 | Log | count
        ^^^
    hint: did you mean 'Logs'?
    "#);
    assert_snapshot!(shown("database('dbb').Logs | count"), @r#"
    kql.unknown_database: unknown database 'dbb'
    1 | database('dbb').Logs | count
        ^^^^^^^^^^^^^^^^^^^^
    hint: did you mean 'db'?
    "#);
    check_hint("Logs | wher Level == 'x'", "did you mean 'where'?");
    check_hint("Logs | extend a = tolwer(Level)", "did you mean 'tolower'?");
    check_hint("Logs | summarize coun()", "did you mean 'count'?");
    check_hint("Logs | join kind=innr Logs on Level", "did you mean 'inner'?");
    check_hint("Logs | evaluate bag_unpak(Properties)", "did you mean 'bag_unpack'?");
    let refused = "ingest what it would fetch or compute as a table, and query that";
    check_hint("Logs | evaluate http_request('x')", refused);
    check_hint("let f = (limit:long=5) { Logs | take limit }; f(limt=3)", "did you mean 'limit'?");
    check_hint("let mine = (T:(*)) { T }; Logs | invoke mime()", "did you mean 'mine'?");
    check_hint("datatable(a:lng)[1]", "did you mean 'long'?");
}

#[test]
fn what_cannot_be_read() {
    assert_snapshot!(shown("Logs | where (Status > 1"), @r#"
    kql.syntax: expected ')', found the end of the text
    1 | Logs | where (Status > 1
                                ^
    "#);
    assert_snapshot!(shown("print x = \"abc"), @r#"
    kql.syntax: the string has no closing quote
    1 | print x = "abc
                  ^^^^
    "#);
    assert_snapshot!(shown("Logs | extend ['a b' = 1"), @r#"
    kql.syntax: expected ']', found '='
    1 | Logs | extend ['a b' = 1
                             ^
    "#);
    assert_snapshot!(shown("Logs | where Level = 'x'"), @r#"
    kql.syntax: expected a condition, found 'Level'
    1 | Logs | where Level = 'x'
                     ^^^^^
    hint: use '==' to compare
    "#);
    check("print datetime(2024-13-01)", &[("kql.bad_literal", "2024-13-01")]);
    check("datatable(a:long, b:string)[1, 'x', 2]", &[("kql.datatable", "datatable(a:long, b:string)[1, 'x', 2]")]);
}

#[test]
fn types_that_do_not_fit() {
    assert_snapshot!(shown("print x = 'a' + 1"), @r#"
    kql.type: '+' has no meaning between string and long
    1 | print x = 'a' + 1
                  ^^^^^^^
    hint: join texts with strcat(); convert numbers with tolong() or toreal()
    "#);
    assert_snapshot!(shown("Logs | where Level.name == 'x'"), @r#"
    kql.type: a string has no members
    1 | Logs | where Level.name == 'x'
                     ^^^^^
    hint: convert it with parse_json()
    "#);
    check("Logs | where Timestamp > 5 and Level > 3", &[("kql.type", "Timestamp > 5"), ("kql.type", "Level > 3")]);
    check("print y = strlen(), z = substring('a', 'b')", &[("kql.arguments", "strlen()"), ("kql.type", "'b'")]);
}

#[test]
fn comparisons_of_unlike_types_are_warnings() {
    let text = "Logs | where Status == 'many'";
    let warnings = plan(text).unwrap().warnings;
    assert_snapshot!(warnings[0].render(text), @r#"
    kql.compared_as_text: int is compared with string by their texts
    1 | Logs | where Status == 'many'
                     ^^^^^^^^^^^^^^^^
    hint: convert one side: tolong(), toreal(), tostring(), todatetime(), ...
    "#);
}

#[test]
fn aggregates_in_the_wrong_place() {
    assert_snapshot!(shown("Logs | project count()"), @r#"
    kql.aggregate: the aggregate count() cannot stand here
    1 | Logs | project count()
                       ^^^^^^^
    hint: aggregates stand in 'summarize'
    "#);
    check("Logs | summarize Level by Status", &[("kql.not_aggregated", "Level")]);
}

#[test]
fn every_broken_operator_is_reported() {
    assert_snapshot!(shown("Logs | wher Level == 'x' | project tolwer(Level) | take"), @r#"
    kql.unknown_operator: unknown operator 'wher'
    1 | Logs | wher Level == 'x' | project tolwer(Level) | take
               ^^^^
    hint: did you mean 'where'?

    kql.unknown_function: unknown function 'tolwer'
    1 | Logs | wher Level == 'x' | project tolwer(Level) | take
                                           ^^^^^^
    hint: did you mean 'tolower'?

    kql.syntax: expected an expression, found the end of the text
    1 | Logs | wher Level == 'x' | project tolwer(Level) | take
                                                               ^
    "#);
    check(
        "Logs | where Levl == 'x' and Mesage has 'y' | extend a = tolwer(Level) | order by Duratio | where Stats in (1)",
        &[
            ("kql.unknown_column", "Levl"),
            ("kql.unknown_column", "Mesage"),
            ("kql.unknown_function", "tolwer"),
            ("kql.unknown_column", "Duratio"),
            ("kql.unknown_column", "Stats"),
        ],
    );
    check(
        "Logs | join (Logs | where Levl == 'x' | project Level) on Stats | where nope == 1",
        &[("kql.unknown_column", "Levl"), ("kql.unknown_column", "Stats"), ("kql.unknown_column", "nope")],
    );
    check(
        "Logs | mv-apply e = Properties.x on (where f == 1 | summarize sm(e))",
        &[("kql.unknown_column", "f"), ("kql.unknown_function", "sm")],
    );
}

#[test]
fn every_broken_statement_is_reported() {
    check(
        "let a = Logz; let b = ; let c = Logs | sumarize count(); a | union b, c | where Levl == 1; Logs | where Levl == 2",
        &[
            ("kql.unknown_table", "Logz"),
            ("kql.syntax", ";"),
            ("kql.unknown_operator", "sumarize"),
            ("kql.unknown_column", "Levl"),
        ],
    );
    check(
        "declare query_parameters(a:long); Logs | where Status == a and Levl == 1",
        &[("kql.missing_parameter", "a"), ("kql.unknown_column", "Levl")],
    );
    check("let = 5; Logs | where Levl == 1", &[("kql.syntax", "="), ("kql.unknown_column", "Levl")]);
}

#[test]
fn errors_that_follow_are_not_reported() {
    // Columns of a table that is not there, of an operator that is none, of an item that is broken.
    check("Logz | where a == 1 | summarize sum(b) by c | extend d = c", &[("kql.unknown_table", "Logz")]);
    check("Logs | sumarize n = count() by Level | where n > 1", &[("kql.unknown_operator", "sumarize")]);
    check("Logs | extend a = nope(Level) | where a > 1 and a < ago(1h)", &[("kql.unknown_function", "nope")]);
    check("let a = Missing; let b = a; b | where c == 1", &[("kql.unknown_table", "Missing")]);
    check("Logs | join (Logz) on Level | project Level1", &[("kql.unknown_table", "Logz")]);
    check("print x = toscalar(Logz | summarize max(a)) + 1h | where x > 5", &[("kql.unknown_table", "Logz")]);
    // A column that is misspelt once may be right later.
    check("Logs | project Levl | where Level == 'x' and Levl == 'y'", &[("kql.unknown_column", "Levl")]);
    check("Logs | summarize count() by Levl | join Logs on Level", &[("kql.unknown_column", "Levl")]);
}

#[test]
fn what_is_only_tried_is_not_reported() {
    assert!(plan("union isfuzzy=true Logs, (Logz | where a == 1 | extend b = a)").is_ok());
    assert!(plan("let v = view () { print a = 1 }; search in (Logs, v) a == 1 and a > 0").is_ok());
    assert!(plan("union isfuzzy=true Logs, (_Im_Dns(starttime=ago(1h)) | where a == 1)").is_ok());
    check("union isfuzzy=true Logs, (Logs | where Levl == 1)", &[("kql.unknown_column", "Levl")]);
    check("union isfuzzy=true Logs, (Logs | where nope(Level))", &[("kql.unknown_function", "nope")]);
}

#[test]
fn access_is_restricted_to_what_is_listed() {
    check("restrict access to (L*); Other | count", &[("kql.restricted", "Other")]);
    assert!(plan("restrict access to (L*); Logs | count").is_ok());
    assert!(plan("alias database other = database('db'); database('other').Logs | count").is_ok());
}

#[test]
fn errors_beyond_the_limit_cost_nothing() {
    // More than a thousand columns, hundreds of unknown names: no name is looked for among all columns for each.
    let wide: String = (1..9).map(|at| format!("let t{at} = t{0} | join t{0} on Level; ", at - 1)).collect();
    let text = format!("let t0 = Logs; {wide} t8 {}", "| where Levl == 1 or Levle == 2 ".repeat(300));
    let errors = plan(&text).unwrap_err().0;
    assert_eq!(errors.len(), crate::limits::ERRORS_MAX, "{errors:?}");
}
