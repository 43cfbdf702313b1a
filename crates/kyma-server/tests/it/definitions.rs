//! What people define: stored functions, mappings, policies, texts; and what they ask about it.

use serde_json::{Value, json};

use crate::commands::mgmt;
use crate::node::{TestNode, body_of};

/// The rows of a command.
async fn rows(node: &TestNode, csl: &str) -> Value {
    mgmt(node, csl).await.1
}

/// Status, code and message of a command that is refused.
async fn refused(node: &TestNode, csl: &str) -> (u16, String, String) {
    let (status, answer) = node.query(json!({ "query": csl })).await;
    let of = |name: &str| answer["error"][name].as_str().unwrap_or_default().to_owned();
    (status, of("code"), format!("{} {}", of("message"), of("hint")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_from_creation_to_drop() {
    let node = TestNode::start().await;
    node.ingest("T", "{\"n\":1,\"s\":\"a\"}\n{\"n\":2,\"s\":\"b\"}\n").await;
    let create = ".create function with (folder='f', docstring='d') Of(wanted:string, scale:long=10) \
                  { T | where s == wanted | project n = n * scale }";
    let (names, created) = mgmt(&node, create).await;
    assert_eq!(names, ["Name", "Parameters", "Body", "Folder", "DocString"]);
    let body = "{ T | where s == wanted | project n = n * scale }";
    assert_eq!(created, json!([["Of", "(wanted:string, scale:long=10)", body, "f", "d"]]));
    assert_eq!(node.rows("Of('b')").await, json!([[20]]));
    assert_eq!(node.rows("Of('a', 3) | extend m = n + 1").await, json!([[3, 4]]));
    assert_eq!(node.rows("database('default').Of('b', 1)").await, json!([[2]]));

    assert_eq!(refused(&node, create).await.1, "catalog.function_exists");
    assert_eq!(rows(&node, ".create function ifnotexists Of() { 1 }").await, created);
    rows(&node, ".create-or-alter function Of(wanted:string) { T | where s == wanted | project n }").await;
    assert_eq!(node.rows("Of('b')").await, json!([[2]]), "the next query sees the change");
    let shown = rows(&node, ".show function Of").await;
    assert_eq!((&shown[0][1], &shown[0][3]), (&json!("(wanted:string)"), &json!("f")), "the folder stays");
    rows(&node, ".alter function Of docstring 'new'").await;
    assert_eq!(rows(&node, ".show functions").await[0][4], "new");

    // A view is a function without parameters that is named like a table.
    rows(&node, ".create function Latest() { T | top 1 by n }").await;
    assert_eq!(node.rows("Latest | project n").await, json!([[2]]));
    assert_eq!(node.rows("union T, Latest | count").await, json!([[3]]));

    let (status, code, message) = refused(&node, ".create function Bad() { T | where nn == 1 }").await;
    assert_eq!((status, code.as_str()), (400, "kql.unknown_column"), "{message}");
    assert!(message.contains("'Bad'") && message.contains("skipvalidation"), "{message}");
    rows(&node, ".create function with (skipvalidation=true) Bad() { T | where nn == 1 }").await;
    let (status, code, message) = refused(&node, "Bad() | count").await;
    assert_eq!((status, code.as_str()), (400, "kql.unknown_column"), "{message}");
    assert!(message.contains("in the stored function 'Bad'"), "{message}");

    let (status, code, _) = refused(&node, ".alter function Nobody() { 1 }").await;
    assert_eq!((status, code.as_str()), (404, "function.unknown"));
    assert_eq!(refused(&node, ".create function T() { 1 }").await.1, "function.name_taken");
    assert_eq!(refused(&node, ".drop function Nobody").await.1, "function.unknown");
    rows(&node, ".drop functions (Bad, Nobody) ifexists").await;
    let left = rows(&node, ".drop function Of").await;
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
    assert_eq!(refused(&node, "Of('b')").await.1, "kql.unknown_function");
    node.stop().await;
}

/// What a function of another database names is found in that one, also when the query's text does not name it.
#[tokio::test(flavor = "multi_thread")]
async fn functions_cross_databases() {
    let node = TestNode::start().await;
    for (database, n) in [("first", 1), ("second", 2)] {
        let body = format!("{{\"n\":{n}}}\n");
        let reply = node.post(&format!("/v1/ingest/{database}/T")).body(body).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }
    let run = async |database: &str, query: &str| {
        let (status, answer) = node.query(json!({ "query": query, "database": database })).await;
        assert_eq!(status, 200, "{query}: {answer}");
        answer["rows"].clone()
    };
    run("second", ".create function Here() { T | project n }").await;
    run("first", ".create function There() { database('second').Here() | union (T | project n) }").await;
    run("default", ".create function Far() { database('first').There() | summarize sum(n) }").await;
    assert_eq!(run("default", "Far").await, json!([[3]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_from_creation_to_drop() {
    let node = TestNode::start().await;
    rows(&node, ".create table T (Timestamp:datetime, n:long)").await;
    let json_text = r#"[{"Column":"n","Properties":{"Path":"$.n"}}]"#;
    let (names, created) = mgmt(&node, &format!(".create table T ingestion json mapping 'm' '{json_text}'")).await;
    assert_eq!(names, ["Name", "Kind", "Mapping", "Database", "Table"]);
    assert_eq!(created, json!([["m", "Json", json_text, "default", "T"]]));
    assert_eq!(refused(&node, ".create table T ingestion json mapping 'm' '[]'").await.1, "catalog.mapping_exists");
    rows(&node, ".create-or-alter table T ingestion json mapping 'm' '[]'").await;
    assert_eq!(rows(&node, ".show table T ingestion mappings").await, json!([["m", "Json", "[]", "default", "T"]]));
    assert_eq!(rows(&node, ".show table T ingestion csv mappings").await, json!([]));
    for (csl, code) in [
        (".create table T ingestion csv mapping 'x' '[{\"Properties\":{}}]'", "mapping.invalid"),
        (".create table T ingestion csv mapping 'x' '{}'", "mapping.invalid"),
        (".create table T ingestion avro mapping 'x' '[]'", "mapping.kind"),
        (".alter table T ingestion csv mapping 'x' '[]'", "mapping.unknown"),
        (".show table T ingestion csv mapping 'x'", "mapping.unknown"),
        (".drop table T ingestion csv mapping 'm'", "mapping.unknown"),
        (".create table U ingestion csv mapping 'x' '[]'", "table.unknown"),
    ] {
        assert_eq!(refused(&node, csl).await.1, code, "{csl}");
    }
    assert_eq!(rows(&node, ".drop table T ingestion json mapping 'm'").await, json!([]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_say_whether_they_are_enforced() {
    let node = TestNode::start().await;
    rows(&node, ".create table T (Timestamp:datetime, n:long)").await;
    let (names, kept) = mgmt(&node, ".alter-merge table T policy retention softdelete = 10d").await;
    let wanted = json!([[
        "RetentionPolicy",
        "[default].[T]",
        r#"{"SoftDeletePeriod":"10.00:00:00"}"#,
        "",
        "Table",
        "enforced: rows past their time are removed, and stay readable as of earlier for the grace period, whatever \
         Recoverability says"
    ]]);
    assert_eq!((names[5].as_str(), &kept), ("Remark", &wanted));
    let near = rows(&node, ".alter table T policy caching hot = 3d").await;
    assert_eq!(near[0][5], "enforced: what is hot is kept on a node's disk from its first use, what is not never is");
    rows(&node, ".delete table T policy caching").await;
    rows(&node, ".alter table T policy retention '{\"SoftDeletePeriod\":\"365000.00:00:00\"}'").await;
    rows(&node, ".alter table T policy retention '{\"SoftDeletePeriod\":\"10.00:00:00\"}'").await;
    rows(&node, ".alter-merge table T policy retention recoverability = disabled").await;
    let merged = r#"{"SoftDeletePeriod":"10.00:00:00","Recoverability":"Disabled"}"#;
    assert_eq!(rows(&node, ".show table T policy retention").await[0][2], merged);
    rows(&node, ".alter database policy caching hot = 3d").await;
    assert_eq!(rows(&node, ".show database policy caching").await[0][1], "[default]");
    assert_eq!(rows(&node, ".show table * policy caching").await[0][2], "null", "the table has none of its own");
    assert_eq!(rows(&node, ".delete table T policy retention").await[0][2], "null");
    for (csl, code) in [
        (".alter table T policy row_level_security enable 'T'", "command.policy_unprotected"),
        (".alter table T policy update '[]'", "command.policy_unsupported"),
        (".alter table T policy nonsense '{}'", "command.policy_unknown"),
        (".alter table T policy retention '{\"x\":1}'", "command.policy_invalid"),
        (".alter cluster policy caching hot = 3d", "command.policy_cluster"),
        (".alter table U policy caching hot = 3d", "table.unknown"),
    ] {
        let (status, found, message) = refused(&node, csl).await;
        assert!(found == code && (400..500).contains(&status), "{csl}: {status} {found} {message}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_as_tools_read_them() {
    let node = TestNode::start().await;
    rows(&node, ".create table T (Timestamp:datetime, ['a b']:string) with (folder='f', docstring='say \"hi\"')").await;
    rows(&node, ".alter table T column-docstrings (['a b']:'first')").await;
    rows(&node, ".create function F(n:long, T:(Timestamp:datetime)) { T | take n }").await;
    let (names, shown) = mgmt(&node, ".show database default schema as json").await;
    assert_eq!(names, ["DatabaseSchema"]);
    let schema: Value = serde_json::from_str(shown[0][0].as_str().unwrap()).unwrap();
    let database = &schema["Databases"]["default"];
    let column = json!({ "Name": "a b", "Type": "System.String", "CslType": "string", "DocString": "first" });
    assert_eq!(database["Tables"]["T"]["OrderedColumns"][1], column);
    assert_eq!(database["Tables"]["T"]["DocString"], "say \"hi\"");
    let parameters = json!([
        { "Name": "n", "Type": "System.Int64", "CslType": "long" },
        { "Name": "T", "Columns": [{ "Name": "Timestamp", "Type": "System.DateTime", "CslType": "datetime" }] },
    ]);
    assert_eq!(database["Functions"]["F"]["InputParameters"], parameters);
    assert_eq!(database["Functions"]["F"]["Body"], "{ T | take n }");
    let whole: Value = serde_json::from_str(rows(&node, ".show schema as json").await[0][0].as_str().unwrap()).unwrap();
    assert_eq!(&whole["Databases"]["default"], database);

    // The script makes the same again.
    let script = rows(&node, ".show database default schema as csl script").await;
    for line in script.as_array().unwrap() {
        let csl = line[0].as_str().unwrap();
        let (status, answer) = node.query(json!({ "query": csl, "database": "copy" })).await;
        assert_eq!(status, 200, "{csl}: {answer}");
    }
    let copy: Value =
        serde_json::from_str(rows(&node, ".show database copy schema as json").await[0][0].as_str().unwrap()).unwrap();
    assert_eq!(copy["Databases"]["copy"]["Tables"], database["Tables"]);
    assert_eq!(copy["Databases"]["copy"]["Functions"], database["Functions"]);
    assert_eq!(rows(&node, ".show table T").await[1], json!(["a b", "System.String", "string", false, "first"]));
    node.stop().await;
}

/// A query goes on with the rows of a command.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_piped() {
    let node = TestNode::start().await;
    for name in ["Alpha", "Beta", "Gamma"] {
        rows(&node, &format!(".create table {name} (Timestamp:datetime, n:long)")).await;
    }
    let piped = ".show tables | where TableName endswith 'a' and TableName != 'Beta' | project TableName | order by TableName asc";
    assert_eq!(rows(&node, piped).await, json!([["Alpha"], ["Gamma"]]));
    assert_eq!(rows(&node, ".show tables | count").await, json!([[3]]));
    assert_eq!(rows(&node, ".show databases | where IsCurrent | project DatabaseName").await, json!([["default"]]));
    assert_eq!(
        rows(&node, ".show table Alpha | summarize make_list(AttributeName)").await,
        json!([[["Timestamp", "n"]]])
    );
    assert_eq!(rows(&node, ".show ingestion failures | count").await, json!([[0]]));
    node.ingest("Alpha", "not json\n").await;
    let failures = rows(&node, ".show ingestion failures | project Database, Table, FailureKind").await;
    assert_eq!(failures, json!([["default", "Alpha", "Permanent"]]));
    let (status, code, message) = refused(&node, ".show tables | where Tabl has 'x'").await;
    assert_eq!((status, code.as_str()), (400, "kql.unknown_column"), "{message}");
    node.stop().await;
}

/// Everything that tools ask on their own is answered, and nothing fails as a defect.
#[tokio::test(flavor = "multi_thread")]
async fn no_command_is_a_defect() {
    let node = TestNode::start().await;
    for csl in [
        ".show version",
        ".show capacity",
        ".show cluster",
        ".show principal",
        ".show principal roles",
        ".show database principals",
        ".show materialized-views",
        ".show external tables",
        ".show functions",
        ".show operations",
        ".show queries",
        ".show running queries",
        ".show ingestion failures",
        ".show database",
        ".show databases details",
        ".show database default details",
        ".show schema",
        ".show database schema",
        ".create database D2 persist (@'/a', @'/b')",
    ] {
        rows(&node, csl).await;
    }
    for csl in [
        ".",
        ".show",
        ".create",
        ".create function",
        ".create function f",
        ".create function f(",
        ".show database Nowhere",
        ".show function f",
        ".show operations nonsense",
        ".drop extent nonsense",
        ".drop extent 00000000-0000-0000-0000-000000000001",
        ".cancel query 'nothing'",
        ".set T <| Nowhere",
        ".set T",
        ".append Nowhere <| print 1",
        ".purge table T records <| where 1 == 1",
        ".export to csv ('x') <| T",
        ".show queries | nonsense",
        ".alter column T.c type=nonsense",
        ".rename table A to A",
    ] {
        for path in ["/v1/rest/mgmt", "/v1/query"] {
            let body = json!({ "db": "default", "csl": csl });
            let body = if path == "/v1/query" { json!({ "query": csl }) } else { body };
            let (status, answer) = body_of(node.post(path).json(&body).send().await.unwrap()).await;
            assert!((400..500).contains(&status), "{path} {csl}: {status} {answer}");
        }
    }
    node.stop().await;
}

/// `docs/commands.md` is a list of commands that work, in the order it stands there.
#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_documentation_runs() {
    const DOCS: &str = include_str!("../../../../docs/commands.md");
    let node = TestNode::start_working().await;
    let mut run = 0;
    for line in DOCS.lines().filter(|line| line.starts_with("| `.")) {
        let csl = line.trim_start_matches("| `").split("` |").next().unwrap().replace("\\|", "|");
        let (status, answer) = node.query(json!({ "query": csl })).await;
        assert_eq!(status, 200, "{csl}: {answer}");
        run += 1;
    }
    assert!(run > 60, "only {run} examples were found");
    node.stop().await;
}
