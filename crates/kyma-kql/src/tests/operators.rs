//! Operators that look at rows in order, at several tables, or outside.

use super::plan;

/// Names and types of the columns of each result, or the first error's code.
fn columns(text: &str) -> Vec<String> {
    match plan(text) {
        Ok(query) => {
            query.statements.iter().for_each(|statement| super::check::valid(&statement.plan));
            let shown = |statement: &kyma_plan::Statement| {
                let columns = statement.plan.schema.columns().iter();
                columns.map(|column| format!("{}:{}", column.name, column.ty)).collect::<Vec<_>>().join(" ")
            };
            query.statements.iter().map(shown).collect()
        }
        Err(errors) => errors.0.first().map(|error| error.code.clone()).into_iter().collect(),
    }
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(columns(text), expected, "{text}");
}

#[test]
fn scan() {
    let of = |clause: &str| format!("range x from 1 to 3 step 1 | scan {clause}");
    check(
        &of("with_match_id=m declare (y: long = 0, s: string) with (step a: true => y = x + a.y; step b: x > a.x;)"),
        &["x:long y:long s:string m:long"],
    );
    check(&of("order by x desc partition by x with (step a output=last: x > 1)"), &["x:long"]);
    check(&of("with (step a: true; step a: false)"), &["kql.duplicate_name"]);
    check(&of("with (step a: true => y = 1)"), &["kql.unknown_column"]);
    check(&of("with (step a: b.x > 1)"), &["kql.unknown_column"]);
    check(&of("with (step a: a.z > 1)"), &["kql.unknown_column"]);
    check(&of("declare (x: long) with (step a: true)"), &["kql.duplicate_column"]);
    check(&of("declare (y: long) with (step a: true => y = 'z')"), &["kql.type"]);
    check(&of("with (step a output=first: true)"), &["kql.syntax"]);
    check(&of("with (step a optional: true)"), &["kql.unsupported"]);
    check(&of("with ()"), &["kql.syntax"]);
}

#[test]
fn several_results() {
    check(
        "Logs | facet by Level, Status with (take 1 | project Level)",
        &["Level:string count_Level:long", "Status:int count_Status:long", "Level:string"],
    );
}

#[test]
fn patterns_of_texts() {
    let result = "Pattern:string Count:long Representative:string";
    check("Logs | reduce by Message with threshold=0.2, characters='-'", &[result]);
    check("Logs | reduce by Message", &[result]);
    check("Logs | reduce by Message with threshold=2", &["kql.type"]);
}

#[test]
fn schemas_are_asserted() {
    check("print a=1, b='x' | assert-schema (a: long, b: string)", &["a:long b:string"]);
    check("print a=1 | assert-schema (a: string)", &["kql.schema"]);
    check("print a=1 | execute-and-cache", &["a:long"]);
}

#[test]
fn find() {
    let tables =
        "let A = datatable(k: long, a: string, v: long) []; let B = datatable(k: long, b: string, v: real) [];";
    let of = |rest: &str| format!("{tables} find {rest}");
    check(&of("in (A, B) where k > 1"), &["source_:string k:long pack_:dynamic"]);
    check(&of("withsource=t in (A, B) where v > 1"), &["t:string v_long:long v_real:real k:long pack_:dynamic"]);
    check(
        &of("in (A, B) where k > 1 project a, v: string, pack(*)"),
        &["source_:string a:string v:string pack_:dynamic"],
    );
    check(&of("in (A, B) where k > 1 project-smart project-away pack_"), &["source_:string k:long"]);
    check(&of("in (A, B) where k > 1 project z"), &["kql.unknown_column"]);
}

#[test]
fn files_elsewhere() {
    check(
        "externaldata(a: string, b: long,) [@'https://h/x.csv', h'https://h/y.csv'] with (format=csv, ignoreFirstRecord=True) | take 1",
        &["a:string b:long"],
    );
    check("let L = (externaldata(a: string) ['https://h/x'] with (format='txt')); L | count", &["Count:long"]);
    check("externaldata(a: string) ['https://h/x'] with (format='avro')", &["kql.unsupported"]);
    check("externaldata(a: string) []", &["kql.syntax"]);
    check(
        r#"externaldata(a: string) ['https://h/x'] with (format='json', ingestionMapping='[{"Column":"a","Properties":{"Path":"$.b.c"}}]')"#,
        &["a:string"],
    );
}

#[test]
fn one_body_for_several_databases() {
    let group = "entity_group [database('db'), cluster('c').database('db')]";
    check(&format!("macro-expand {group} as e (e.Logs | project Level)"), &["Level:string"]);
    check(
        &format!("let G = {group}; macro-expand G as e (let x = 1; e.Logs | project Level, y = x) | count"),
        &["Count:long"],
    );
    check("macro-expand entity_group [database('nope')] as e (e.Logs)", &["kql.unknown_database"]);
    check("let G = entity_group [database('db')]; G", &["kql.type"]);
    check("macro-expand H as e (e.Logs)", &["kql.unknown_name"]);
}

#[test]
fn cursors() {
    let text = "Logs | where cursor_after('7') and Status > 1 | where cursor_before_or_at('9') | project Level";
    let shown = plan(text).unwrap().statements[0].plan.to_string();
    assert!(shown.contains("scan db.Logs after=7 up_to=9"), "{shown}");
    check("Logs | where cursor_after('x')", &["kql.cursor"]);
    check("Logs | take 1 | where cursor_after('1')", &["kql.cursor"]);
    check("Logs | summarize c = count() | where cursor_after('1')", &["kql.cursor"]);
    check("Logs | where Status > 1 or cursor_after('1')", &["kql.cursor"]);
    check("Logs | extend a = cursor_after('1')", &["kql.cursor"]);
}

#[test]
fn columns_in_order() {
    let of = |order: &str| format!("print a10=1, b=1, a2=1, a=1 | project-reorder a* {order}");
    check(&of("asc"), &["a:long a10:long a2:long b:long"]);
    check(&of("granny-asc"), &["a:long a2:long a10:long b:long"]);
    check(&of("granny-desc"), &["a10:long a2:long a:long b:long"]);
    check(&of(""), &["a10:long a2:long a:long b:long"]);
}
