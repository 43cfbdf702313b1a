//! Plans of small queries, and what errors look like.

use std::collections::BTreeMap;

use insta::assert_snapshot;

use kyma_core::Value;
use kyma_plan::{PlanContext, QueryFrontend};

use super::{plan, plan_with};
use crate::Kql;

/// The plan of the first result, as a tree.
fn shown(text: &str) -> String {
    match plan(text) {
        Ok(query) => query.statements[0].plan.to_string(),
        Err(errors) => errors.0.iter().map(|error| error.render(text)).collect::<Vec<_>>().join("\n\n"),
    }
}

#[test]
fn time_is_a_constant_for_pruning() {
    assert_snapshot!(shown("Logs | where Timestamp > ago(1h) and Level has 'err' | take 5 | project Message"), @r#"
    project #2 [Message:string]
      limit 5 [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
        filter ((#0 > datetime(2024-05-01T11:00:00.0000000Z)) and has(#1, "err")) [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
          scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
}

#[test]
fn aggregates_and_what_stands_around_them() {
    assert_snapshot!(shown("Logs | summarize n = count(), round(avg(Duration), 2) by bin(Timestamp, 1m), Level"), @r#"
    project #0, #1, #2, round(#3, 2) [Timestamp:datetime, Level:string, n:long, avg_Duration:real]
      aggregate by=bin(#0, time(00:01:00)), #1 count(), avg(#4) [Timestamp:datetime, Level:string, $aggregate0:long, $aggregate1:real]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
    assert_snapshot!(shown("Logs | project Timestamp, Level | summarize arg_max(Timestamp, *) by Level"), @r#"
    aggregate by=#1 arg_max(#0) [Level:string, Timestamp:datetime]
      project #0, #1 [Timestamp:datetime, Level:string]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
}

#[test]
fn dynamics_take_the_type_of_the_other_side() {
    assert_snapshot!(shown("Logs | where Properties.a.b == 'x' and Properties['c'] > 5 | count"), @r#"
    aggregate by= count() [Count:long]
      filter ((to_string(#5.a.b) == "x") and (to_real(#5.c) > 5.0)) [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
    assert_snapshot!(shown("Logs | project x = Properties.list[0].name"), @r#"
    project #5.list[0].name [x:dynamic]
      scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
}

#[test]
fn joins_rename_the_right_side() {
    assert_snapshot!(
        shown("Logs | project Level, Status | join kind=leftouter (Logs | project Level, Message) on Level"),
        @r#"
    join LeftOuter on #0=#0 [Level:string, Status:int, Level1:string, Message:string]
      project #1, #3 [Level:string, Status:int]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
      project #1, #2 [Level:string, Message:string]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#
    );
    assert_snapshot!(shown("print a=1 | lookup (print b=1, c=2) on $left.a == $right.b"), @r#"
    project #0, #2 [a:long, c:long]
      join LeftOuter on #0=#0 [a:long, b:long, c:long]
        project 1 [a:long]
          unit []
        project 1, 2 [b:long, c:long]
          unit []
    "#);
}

#[test]
fn lists() {
    assert_snapshot!(shown("let codes = dynamic([500, 503]); Logs | where Status in (codes) | count"), @r#"
    aggregate by= count() [Count:long]
      filter (#3 in (int(500), int(503))) [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
    assert_snapshot!(shown("Logs | where Level !in~ ((Logs | distinct Level)) | count"), @r#"
    aggregate by= count() [Count:long]
      filter not((#1 in (plan))) [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
}

#[test]
fn functions_of_the_query() {
    assert_snapshot!(
        shown("let slow = (T:(Duration:real), limit:real=1.5) { T | where Duration > limit }; slow(Logs) | count"),
        @r#"
    aggregate by= count() [Count:long]
      filter (#4 > 1.5) [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#
    );
    assert_snapshot!(shown("let twice = (x:long) { let y = x * 2; y }; Logs | project twice(Status)"), @r#"
    project (to_long(#3) * 2) [Column1:long]
      scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
}

#[test]
fn functions_over_the_order() {
    assert_snapshot!(shown("range x from 1 to 3 step 1 | extend d = x - prev(x), n = row_number()"), @r#"
    project #0, (#0 - #1), #2 [x:long, d:long, n:long]
      window row_number() [x:long, $window1:long, $window2:long]
        window prev(#0) [x:long, $window1:long]
          range 1 to 3 step 1 [x:long]
    "#);
}

#[test]
fn the_order_is_known_in_functions() {
    assert_snapshot!(shown("let step = (x:long) { x - prev(x) }; range x from 1 to 3 step 1 | extend d = step(x)"), @r#"
    project #0, (#0 - #1) [x:long, d:long]
      window prev(#0) [x:long, $window1:long]
        range 1 to 3 step 1 [x:long]
    "#);
}

#[test]
fn expanding() {
    assert_snapshot!(shown("print id=1, a=dynamic([1,2]) | mv-expand a to typeof(long)"), @r#"
    mv-expand #1:long [id:long, a:long]
      project 1, dynamic([1,2]) [id:long, a:dynamic]
        unit []
    "#);
    assert_snapshot!(shown("print id=1, a=dynamic([1,2]) | mv-apply e=a to typeof(long) on (summarize s=sum(e))"), @r#"
    mv-apply #2:long [id:long, a:dynamic, s:long]
      project #0, #1, #1 [id:long, a:dynamic, e:dynamic]
        project 1, dynamic([1,2]) [id:long, a:dynamic]
          unit []
      aggregate by= sum(#2) [s:long]
        input [id:long, a:dynamic, e:long]
    "#);
}

#[test]
fn unions_split_columns_by_type() {
    assert_snapshot!(shown("union withsource=src (print a=1, b='x'), (print a='y')"), @r#"
    union inputs=2 [src:string, a_long:long, a_string:string, b:string]
      project "union_arg0", #0, "", #1 [src:string, a_long:long, a_string:string, b:string]
        project 1, "x" [a:long, b:string]
          unit []
      project "union_arg1", long(null), #0, "" [src:string, a_long:long, a_string:string, b:string]
        project "y" [a:string]
          unit []
    "#);
}

#[test]
fn parameters_are_literals_of_their_type() {
    let text = "declare query_parameters(level:string, since:datetime = datetime(2024-01-01)); \
                Logs | where Level == level and Timestamp > since | count";
    let given = BTreeMap::from([("level".to_owned(), serde_json::Value::from("it's"))]);
    assert_snapshot!(plan_with(text, &given).unwrap().statements[0].plan.to_string(), @r#"
    aggregate by= count() [Count:long]
      filter ((#1 == "it's") and (#0 > datetime(2024-01-01T00:00:00.0000000Z))) [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
    assert_eq!(plan(text).unwrap_err().0[0].code, "kql.missing_parameter");
}

#[test]
fn rendering_is_passed_on() {
    let query = plan("Logs | count | render timechart with (title='x', ycolumns=a,b)").unwrap();
    assert_snapshot!(format!("{:?}", query.statements[0].visualization), @r#"Some(Visualization { kind: "timechart", properties: {"title": "x", "ycolumns": "a,b"} })"#);
}

#[test]
fn text_operators_are_calls() {
    assert_snapshot!(shown("Logs | where Level =~ 'e' and Message !has 'a' and Message has_any ('x', 'y') | count"), @r#"
    aggregate by= count() [Count:long]
      filter (equal_ci(#1, "e") and not(has(#2, "a")) and has_any(#2, "x", "y")) [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
    assert_snapshot!(shown("Logs | where Message matches regex 'a+' or Message !startswith_cs 'b' | count"), @r#"
    aggregate by= count() [Count:long]
      filter (matches_regex(#2, "a+") or not(startswith_cs(#2, "b"))) [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
}

#[test]
fn parsing_text() {
    assert_snapshot!(shown("print s='a=1;b=2' | parse s with 'a=' a:long ';' * 'b=' b"), @r#"
    parse #0 [Text("a="), Capture(Long), Text(";"), Skip, Text("b="), Capture(String)] [s:string, a:long, b:string]
      project "a=1;b=2" [s:string]
        unit []
    "#);
    assert_snapshot!(shown("print s='a=1;b=2' | parse-kv s as (a:long, b:string) with (pair_delimiter=';')"), @r#"
    parse-kv #0 [s:string, a:long, b:string]
      project "a=1;b=2" [s:string]
        unit []
    "#);
}

#[test]
fn series_and_nested_tops() {
    assert_snapshot!(
        shown("Logs | make-series n=count() default=0 on Timestamp from ago(1d) to now() step 1h by Level"),
        @r#"
    make-series #0 by=#1 [Level:string, n:dynamic, Timestamp:dynamic]
      scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#
    );
    assert_snapshot!(shown("Logs | top-nested 2 of Level by count(), top-nested of Status by max(Duration)"), @r#"
    top-nested levels=2 [Level:string, aggregated_Level:long, Status:int, aggregated_Status:real]
      scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
    assert_snapshot!(shown("Logs | partition by Level (top 1 by Duration)"), @r#"
    partition #1 [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
      scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
      limit 1 [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
        sort #4 desc [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
          input [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
}

#[test]
fn bags_become_columns_where_they_are_known() {
    assert_snapshot!(shown("Logs | evaluate bag_unpack(Properties) : (*, host: string) | project host"), @r#"
    project #5 [host:string]
      project #0, #1, #2, #3, #4, to_string(#5.host) [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, host:string]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
    let answered = |rows: &[(&str, &str)]| {
        let text = |text: &str| Value::String(text.to_owned());
        let rows = rows.iter().map(|(key, ty)| vec![text(key), text(ty)]).collect();
        let (parameters, answers) = (BTreeMap::new(), [rows]);
        let context =
            PlanContext { schemas: &super::Tables, database: "db", now: 0, parameters: &parameters, answers: &answers };
        let planned = Kql.plan("Logs | evaluate bag_unpack(Properties, 'p_') | project-keep p_*", &context);
        planned.unwrap().query().unwrap().statements[0].plan.to_string()
    };
    assert_snapshot!(answered(&[("b", "long"), ("a", "string"), ("b", "double"), ("c", "null")]), @r#"
    project #5, #6 [p_a:string, p_b:real]
      project #0, #1, #2, #3, #4, to_string(#5.a), to_real(#5.b) [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, p_a:string, p_b:real]
        scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
}

#[test]
fn searching() {
    assert_snapshot!(shown("search in (Logs) 'x' and Status == 5"), @r#"
    union inputs=1 [$table:string, Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
      project "Logs", #0, #1, #2, #3, #4, #5 [$table:string, Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
        filter ((has(#1, "x") or has(#2, "x") or has(to_string(#5), "x")) and (#3 == int(5))) [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
          scan db.Logs [Timestamp:datetime, Level:string, Message:string, Status:int, Duration:real, Properties:dynamic]
    "#);
}

#[test]
fn several_results() {
    assert_eq!(plan("Logs | count; Logs | take 1").unwrap().statements.len(), 2);
    let forked = plan("Logs | fork a=(count) (take 1)").unwrap();
    assert_eq!(forked.statements.iter().map(|s| s.name.clone()).collect::<Vec<_>>(), [Some("a".to_owned()), None]);
}

#[test]
fn commands() {
    use kyma_plan::{Command, QueryFrontend};
    let read = |text: &str| crate::Kql.command(text).map(|command| command.map_err(|errors| errors.to_string()));
    assert_eq!(read("Logs | count"), None);
    assert_eq!(read("// hi\n.show tables"), Some(Ok(Command::ShowTables { tables: vec![] })));
    assert_eq!(
        read(".show table Logs schema as json"),
        Some(Ok(Command::ShowTableSchemaJson { table: "Logs".to_owned() }))
    );
    assert_eq!(
        read(".ingest inline into table Logs <|\n1,'a|b'\n"),
        Some(Ok(Command::IngestInline { table: "Logs".to_owned(), data: "1,'a|b'\n".to_owned() }))
    );
    assert!(matches!(
        read(".create-merge table ['a b'] (x: long, ['y']: dynamic) with (folder='z')"),
        Some(Ok(Command::CreateTables { merge: true, .. }))
    ));
    let altered = Command::AlterTableFormat { table: "Logs".to_owned(), format: "parquet".to_owned() };
    assert_eq!(read(".alter table Logs policy format \"parquet\""), Some(Ok(altered)));
    assert!(matches!(read(".alter table Logs policy format parquet"), Some(Err(_))));
    assert!(matches!(read(".delete everything"), Some(Err(_))));
}

/// Literals in the first column of a plan's projections, in order.
fn first_literals(plan: &kyma_plan::Plan, found: &mut Vec<String>) {
    if let kyma_plan::Node::Project { exprs, .. } = &plan.node
        && let Some(kyma_core::Value::String(text)) = exprs.first().and_then(|expr| expr.as_literal())
    {
        found.push(text.clone());
    }
    plan.inputs().into_iter().for_each(|input| first_literals(input, found));
}

#[track_caller]
fn check_sources(text: &str, expected: &[&str]) {
    let query = plan(text).unwrap_or_else(|errors| panic!("{text}: {errors}"));
    let mut found = Vec::new();
    first_literals(&query.statements[0].plan, &mut found);
    assert_eq!(found, expected, "{text}");
}

#[test]
fn union_says_where_rows_are_from() {
    check_sources("union withsource=S Logs, (Logs | where Status > 1)", &["Logs", "union_arg1"]);
    check_sources("Logs | union withsource=S (Logs | take 1)", &["Logs", "union_arg1"]);
    check_sources("Logs | where Status > 1 | union withsource=S Logs", &["union_arg0", "Logs"]);
    check_sources("let A = Logs; let B = A; B | union withsource=S A", &["Logs", "Logs"]);
    check_sources("let A = Logs | take 1; union withsource=S A, Logs", &["union_arg0", "Logs"]);
    check_sources("let A = datatable(x:long)[1]; let A2 = datatable(x:long)[1]; union withsource=S A*", &["A", "A2"]);
    check_sources("let V = view () { Logs }; union withsource=S V, Logs", &["V", "Logs"]);
}

/// The columns of a query as a schema is declared.
#[track_caller]
fn check_columns(text: &str, expected: &str) {
    let query = plan(text).unwrap_or_else(|errors| panic!("{text}: {errors}"));
    let columns = query.statements[0].plan.schema.columns().iter();
    let found: Vec<String> = columns.map(|column| format!("{}:{}", column.name, column.ty.name())).collect();
    assert_eq!(found.join(", "), expected, "{text}");
}

#[test]
fn types_of_results() {
    check_columns(
        "print int(1) + int(2), int(7) / int(2), int(7) % int(2)",
        "print_0:long, print_1:long, print_2:long",
    );
    check_columns("print bin(true, 1), sign(true)", "print_0:long, print_1:real");
    check_columns(
        "print w = datetime_diff('week', now(), now()), d = datetime_diff('day', now(), now())",
        "w:real, d:long",
    );
    check_columns("print datetime_part('day', now()), getyear(now())", "print_0:long, print_1:long");
}

#[test]
fn functions_of_several_columns() {
    check_columns(
        "print x = dynamic([1]) | project series_stats(x) | project-keep *idx",
        "series_stats_x_min_idx:long, series_stats_x_max_idx:long",
    );
    check_columns("print x = dynamic([1]) | extend (r, s) = series_fit_line(x)", "x:dynamic, r:real, s:real");
    check_columns("let a = dynamic([1]); print array_sort_asc(a, a)", "a_sorted:dynamic, a_sorted1:dynamic");
    check_columns("print x = array_sort_asc(dynamic([1]))", "x:dynamic");
}

#[test]
fn literals_as_the_engine_keeps_them() {
    assert_snapshot!(shown("print dynamic([1d, time(00:00:01), 2]), datetime(2025)"), @r#"
    project dynamic([864000000000,10000000,2]), datetime(null) [print_0:dynamic, print_1:datetime]
      unit []
    "#);
}

#[test]
fn names_as_the_language_service_gives_them() {
    let table = "datatable(a:long, a1:long, s:string)[]";
    check_columns(&format!("{table} | join (print a=1) on a"), "a:long, a1:long, s:string, a2:long");
    check_columns(&format!("{table} | count as n"), "n:long");
    check_columns(&format!("{table} | project tostring(x=a)"), "x:string");
    check_columns(
        &format!("{table} | summarize arg_max(a, *) by tostring(s), tostring(a1)"),
        "s:string, a1:string, a:long, a11:long",
    );
    check_columns(&format!("{table} | summarize argmax(a, s) by a1"), "a1:long, max_a:long, max_a_s:string");
    check_columns(&format!("{table} | extend Column1 = 1 | summarize count() by a + 1"), "Column2:long, count_:long");
    check_columns(&format!("{table} | parse-kv s as (a:string, b:long)"), "a1:long, s:string, a:string, b:long");
    check_columns("print a=1, b=dynamic([1]), c=2 | mv-apply b on (project a=2)", "a:long, c:long");
    check_columns("range x from int(1) to int(2) step int(1)", "x:int");
    check_columns("union (print a=1, b=2), (print a='x')", "a_long:long, a_string:string, b:long");
}
