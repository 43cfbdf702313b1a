//! Stored functions: what they see, how they are called, and how errors in them are told.

use std::collections::BTreeMap;

use kyma_plan::{PlanContext, QueryFrontend, SchemaSource, StoredFunction, TableSchema};

use super::{NOW, Tables};
use crate::Kql;

/// The tables of the other tests in `db` and in `other`, and functions.
struct Stored(Vec<(&'static str, StoredFunction)>);

impl SchemaSource for Stored {
    fn table(&self, database: &str, name: &str) -> Option<TableSchema> {
        match (database, name) {
            ("other", "Far") => Tables.table("db", "Logs").map(|table| TableSchema {
                database: "other".to_owned(),
                name: "Far".to_owned(),
                ..table
            }),
            _ => Tables.table(database, name),
        }
    }

    fn tables(&self, database: &str) -> Vec<String> {
        Tables.tables(database)
    }

    fn databases(&self) -> Vec<String> {
        vec!["db".to_owned(), "other".to_owned()]
    }

    fn function(&self, database: &str, name: &str) -> Option<StoredFunction> {
        let found = self.0.iter().find(|(of, function)| *of == database && function.name == name);
        found.map(|(_, function)| function.clone())
    }

    fn functions(&self, database: &str) -> Vec<String> {
        self.0.iter().filter(|(of, _)| *of == database).map(|(_, function)| function.name.clone()).collect()
    }
}

fn function(name: &str, parameters: &str, body: &str) -> StoredFunction {
    let (folder, docstring) = (String::new(), String::new());
    StoredFunction {
        name: name.to_owned(),
        parameters: parameters.to_owned(),
        body: body.to_owned(),
        folder,
        docstring,
    }
}

fn stored() -> Stored {
    Stored(vec![
        ("db", function("twice", "(a:long)", "{ a * 2 }")),
        ("db", function("errors", "()", "{ Logs | where Level == 'error' }")),
        ("db", function("of_level", "(T:(Level:string), level:string='error')", "{ T | where Level == level }")),
        ("db", function("four_times", "(a:long)", "{ twice(twice(a)) }")),
        ("db", function("round_and_round", "()", "{ roundabout() }")),
        ("db", function("roundabout", "()", "{ round_and_round() }")),
        ("db", function("broken", "()", "{ Logs | where Leve == 'x' }")),
        ("db", function("unread", "()", "{ Logs | wher true }")),
        ("db", function("of_broken", "()", "{ broken() | take 1 }")),
        ("db", function("sees_let", "()", "{ outside }")),
        ("other", function("far", "()", "{ Far | extend d = current_database() | take near() }")),
        ("other", function("near", "()", "{ 7 }")),
        ("db", function("strlen", "(s:string)", "{ -1 }")),
    ])
}

/// The plan, or codes, messages and places of what is wrong.
fn plan(text: &str) -> String {
    let (stored, parameters) = (stored(), BTreeMap::new());
    let context = PlanContext { schemas: &stored, database: "db", now: NOW, parameters: &parameters, answers: &[] };
    match Kql.plan(text, &context).map(|planned| planned.query().expect("a query that asks nothing")) {
        Ok(query) => query.statements.iter().map(|statement| statement.plan.to_string()).collect(),
        Err(errors) => {
            let line = |error: &kyma_plan::Diagnostic| {
                format!("{} at {}: {}", error.code, &text[error.span.start..error.span.end], error.message)
            };
            errors.0.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    }
}

#[test]
fn a_call_is_the_body_with_its_arguments() {
    for (call, written) in [
        ("print twice(21)", "print print_0 = 21 * 2"),
        ("print x = four_times(1)", "print x = 1 * 2 * 2"),
        ("errors", "Logs | where Level == 'error'"),
        ("errors() | count", "Logs | where Level == 'error' | count"),
        ("of_level(Logs)", "Logs | where Level == 'error'"),
        ("Logs | invoke of_level('info')", "Logs | where Level == 'info'"),
        ("let errors = Logs | take 1; errors", "Logs | take 1"),
        ("print strlen('abc')", "print print_0 = strlen('abc')"),
        ("database('db').errors()", "Logs | where Level == 'error'"),
        ("cluster('x').database('other').far()", "database('other').Far | extend d = 'other' | take 7"),
        ("let outside = 5; print twice(outside)", "print 5 * 2"),
    ] {
        assert_eq!(plan(call), plan(written), "{call}");
    }
}

#[test]
fn an_error_inside_says_where_and_points_at_the_call() {
    for (text, wanted) in [
        (
            "errors | union broken()",
            "kql.unknown_column at broken(): in the stored function 'broken': unknown column 'Leve'",
        ),
        (
            "of_broken",
            "kql.unknown_column at of_broken: in the stored function 'of_broken': in the stored function 'broken': unknown \
             column 'Leve'",
        ),
        ("unread()", "kql.unknown_operator at unread(): in the stored function 'unread': unknown operator 'wher'"),
        (
            "let outside = 1; print sees_let()",
            "kql.unknown_table at sees_let(): in the stored function 'sees_let': unknown table or name 'outside'",
        ),
        (
            "roundabout",
            "kql.recursive_function at roundabout: in the stored function 'roundabout': in the stored function 'round_and_round': 'roundabout' calls itself",
        ),
        ("print twise(1)", "kql.unknown_function at twise: unknown function 'twise'"),
        ("print twice()", "kql.arguments at twice(): twice() needs the argument 'a'"),
        ("database('other').errors()", "kql.unknown_function at errors: unknown function 'errors'"),
    ] {
        assert_eq!(plan(text), wanted, "{text}");
    }
}

#[test]
fn what_is_stored_is_checked_as_far_as_arguments_do_not_matter() {
    let (stored, parameters) = (stored(), BTreeMap::new());
    let context = PlanContext { schemas: &stored, database: "db", now: NOW, parameters: &parameters, answers: &[] };
    let check = |parameters: &str, body: &str| {
        let checked = Kql.check_function(&function("f", parameters, body), &context);
        checked.err().map_or_else(String::new, |errors| errors.0[0].code.clone())
    };
    for (parameters, body, wanted) in [
        ("()", "{ Logs | take 1 }", ""),
        ("(n:long, since:timespan=1h)", "{ Logs | where Timestamp > ago(since) | take n }", ""),
        ("(name:string)", "{ table(name) | count }", ""),
        ("(T:(*), c:string)", "{ T | where Level == c }", ""),
        ("(T:(Level:string))", "{ T | where Level has 'x' }", ""),
        ("(T:(Level:string))", "{ T | where Lvl has 'x' }", "kql.unknown_column"),
        ("()", "{ Nowhere }", "kql.unknown_table"),
        ("()", "{ Logs | take", "kql.syntax"),
        ("(a)", "{ a }", "kql.syntax"),
        ("()", "{ }", "kql.syntax"),
        ("()", "{ f() }", "kql.unknown_function"),
        ("()", "{ let a = 1; a } extra", "kql.syntax"),
    ] {
        assert_eq!(check(parameters, body), wanted, "{parameters} {body}");
    }
}
