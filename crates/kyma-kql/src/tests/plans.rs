//! Plans of small queries, and what errors look like.

use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::{plan, plan_with};

/// The plan of the first result, as a tree.
fn shown(text: &str) -> String {
    match plan(text) {
        Ok(query) => query.statements[0].plan.to_string(),
        Err(errors) => errors.0.iter().map(|error| error.render(text)).collect::<Vec<_>>().join("\n\n"),
    }
}

#[test]
fn time_is_a_constant_for_pruning() {
    assert_snapshot!(shown("Logs | where Timestamp > ago(1h) and Level has 'err' | take 5 | project Message"), @"");
}

#[test]
fn aggregates_and_what_stands_around_them() {
    assert_snapshot!(shown("Logs | summarize n = count(), round(avg(Duration), 2) by bin(Timestamp, 1m), Level"), @"");
    assert_snapshot!(shown("Logs | project Timestamp, Level | summarize arg_max(Timestamp, *) by Level"), @"");
}

#[test]
fn dynamics_take_the_type_of_the_other_side() {
    assert_snapshot!(shown("Logs | where Properties.a.b == 'x' and Properties['c'] > 5 | count"), @"");
    assert_snapshot!(shown("Logs | project x = Properties.list[0].name"), @"");
}

#[test]
fn joins_rename_the_right_side() {
    assert_snapshot!(
        shown("Logs | project Level, Status | join kind=leftouter (Logs | project Level, Message) on Level"),
        @""
    );
    assert_snapshot!(shown("print a=1 | lookup (print b=1, c=2) on $left.a == $right.b"), @"");
}

#[test]
fn lists() {
    assert_snapshot!(shown("let codes = dynamic([500, 503]); Logs | where Status in (codes) | count"), @"");
    assert_snapshot!(shown("Logs | where Level !in~ ((Logs | distinct Level)) | count"), @"");
}

#[test]
fn functions_of_the_query() {
    assert_snapshot!(
        shown("let slow = (T:(Duration:real), limit:real=1.5) { T | where Duration > limit }; slow(Logs) | count"),
        @""
    );
    assert_snapshot!(shown("let twice = (x:long) { let y = x * 2; y }; Logs | project twice(Status)"), @"");
}

#[test]
fn functions_over_the_order() {
    assert_snapshot!(shown("range x from 1 to 3 step 1 | extend d = x - prev(x), n = row_number()"), @"");
}

#[test]
fn expanding() {
    assert_snapshot!(shown("print id=1, a=dynamic([1,2]) | mv-expand a to typeof(long)"), @"");
    assert_snapshot!(shown("print id=1, a=dynamic([1,2]) | mv-apply e=a to typeof(long) on (summarize s=sum(e))"), @"");
}

#[test]
fn unions_split_columns_by_type() {
    assert_snapshot!(shown("union withsource=src (print a=1, b='x'), (print a='y')"), @"");
}

#[test]
fn parameters_are_literals_of_their_type() {
    let text = "declare query_parameters(level:string, since:datetime = datetime(2024-01-01)); \
                Logs | where Level == level and Timestamp > since | count";
    let given = BTreeMap::from([("level".to_owned(), serde_json::Value::from("it's"))]);
    assert_snapshot!(plan_with(text, &given).unwrap().statements[0].plan.to_string(), @"");
    assert_eq!(plan(text).unwrap_err().0[0].code, "kql.missing_parameter");
}

#[test]
fn rendering_is_passed_on() {
    let query = plan("Logs | count | render timechart with (title='x', ycolumns=a,b)").unwrap();
    assert_snapshot!(format!("{:?}", query.statements[0].visualization), @"");
}

#[test]
fn several_results() {
    assert_eq!(plan("Logs | count; Logs | take 1").unwrap().statements.len(), 2);
    let forked = plan("Logs | fork a=(count) (take 1)").unwrap();
    assert_eq!(forked.statements.iter().map(|s| s.name.clone()).collect::<Vec<_>>(), [Some("a".to_owned()), None]);
}

#[test]
fn errors_point_and_hint() {
    assert_snapshot!(shown("Logs\n| where Levl == 'x'"), @"");
    assert_snapshot!(shown("Logs | wher Level == 'x' | project tolwer(Level) | take"), @"");
    assert_snapshot!(shown("Log | count"), @"");
    assert_snapshot!(shown("Logs | where Status == 'many'"), @"");
    assert_snapshot!(shown("Logs | where Level = 'x'"), @"");
    assert_snapshot!(shown("Logs | summarize count() by Level | where Message has 'x'"), @"");
    assert_snapshot!(shown("Logs | project count()"), @"");
    assert_snapshot!(shown("let a = Missing; let b = a; b | count"), @"");
}

#[test]
fn commands() {
    use kyma_plan::{Command, QueryFrontend};
    let read = |text: &str| crate::Kql.command(text).map(|command| command.map_err(|errors| errors.to_string()));
    assert_eq!(read("Logs | count"), None);
    assert_eq!(read("// hi\n.show tables"), Some(Ok(Command::ShowTables)));
    assert_eq!(read(".show table Logs schema as json"), Some(Ok(Command::ShowTableSchemaJson { table: "Logs".to_owned() })));
    assert_eq!(
        read(".ingest inline into table Logs <|\n1,'a|b'\n"),
        Some(Ok(Command::IngestInline { table: "Logs".to_owned(), data: "1,'a|b'\n".to_owned() }))
    );
    assert!(matches!(
        read(".create-merge table ['a b'] (x: long, ['y']: dynamic) with (folder='z')"),
        Some(Ok(Command::CreateTable { merge: true, .. }))
    ));
    assert!(matches!(read(".delete everything"), Some(Err(_))));
}
