//! Management commands, over both endpoints.

use kyma_ingest::IngestSettings;
use kyma_server::Settings;
use serde_json::{Value, json};

use crate::node::{TestNode, body_of};

pub(crate) async fn mgmt(node: &TestNode, csl: &str) -> (Vec<String>, Value) {
    let reply = node.post("/v1/rest/mgmt").json(&json!({ "db": "default", "csl": csl })).send().await.unwrap();
    let (status, answer) = body_of(reply).await;
    assert_eq!(status, 200, "{csl}: {answer}");
    let tables = answer["Tables"].as_array().unwrap();
    assert_eq!((tables.len(), &tables[0]["TableName"]), (1, &json!("Table_0")));
    let columns = tables[0]["Columns"].as_array().unwrap();
    let names = columns.iter().map(|column| column["ColumnName"].as_str().unwrap().to_owned()).collect();
    (names, tables[0]["Rows"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_from_creation_to_drop() {
    let node = TestNode::start().await;
    let (_, rows) = mgmt(&node, ".create table T (Timestamp:datetime, n:long)").await;
    assert_eq!((&rows[0][0], &rows[0][1]), (&json!("T"), &json!("Timestamp:datetime,n:long")));
    let (_, rows) = mgmt(&node, ".create-merge table T (s:string)").await;
    assert_eq!(rows[0][1], "Timestamp:datetime,n:long,s:string");
    mgmt(&node, ".ingest inline into table T <|\n2026-01-01,1,one\n2026-01-02,2,two").await;
    assert_eq!(node.rows("T | summarize sum(n), make_list(s)").await, json!([[3, ["one", "two"]]]));

    let (names, rows) = mgmt(&node, ".show tables").await;
    assert_eq!(names, ["TableName", "DatabaseName", "Folder", "DocString"]);
    assert_eq!(rows, json!([["T", "default", "", ""]]));

    let (names, rows) = mgmt(&node, ".show table T details").await;
    let of = |name: &str| &rows[0][names.iter().position(|it| it == name).unwrap()];
    assert_eq!(of("TotalRowCount"), 2);
    assert_eq!((of("TotalExtents"), of("HotRowCount")), (&json!(1), &json!(2)));
    assert!(of("TotalExtentSize").as_i64().is_some_and(|bytes| bytes > 0));
    assert!(of("TotalOriginalSize").as_i64().is_some_and(|bytes| bytes > 0));

    let (names, rows) = mgmt(&node, ".show table T schema as json").await;
    assert_eq!(names, ["TableName", "Schema", "DatabaseName", "Folder", "DocString"]);
    let schema: Value = serde_json::from_str(rows[0][1].as_str().unwrap()).unwrap();
    assert_eq!(schema["OrderedColumns"][1], json!({ "Name": "n", "Type": "System.Int64", "CslType": "long" }));

    let (names, rows) = mgmt(&node, ".show extents").await;
    let of = |name: &str| &rows[0][names.iter().position(|it| it == name).unwrap()];
    assert_eq!((of("TableName"), of("RowCount")), (&json!("T"), &json!(2)));
    assert_eq!(of("MinTime"), "2026-01-01T00:00:00.0000000Z");
    assert_eq!(of("MaxTime"), "2026-01-02T00:00:00.0000000Z");
    assert_eq!(mgmt(&node, ".show table T extents").await.1, rows);
    let id = of("ExtentId").as_str().unwrap();
    let (status, described) = body_of(node.get(&format!("/v1/extents/{id}")).send().await.unwrap()).await;
    assert_eq!((status, &described["extent"]["rows"]), (200, &json!(2)), "{described}");
    assert!(described["layout"].is_object());

    let (_, rows) = mgmt(&node, ".drop table T").await;
    assert_eq!(rows, json!([]));
    let (_, rows) = mgmt(&node, ".show tables").await;
    assert_eq!(rows, json!([]));
    node.stop().await;
}

/// Extents of both formats in one table answer as one.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_changes_its_format() {
    let ingest = IngestSettings { table_age_max: std::time::Duration::ZERO, ..IngestSettings::default() };
    let node = TestNode::start_with(Settings::default(), ingest).await;
    mgmt(&node, ".create table T (Timestamp:datetime, n:long, d:dynamic)").await;
    mgmt(&node, ".ingest inline into table T <|\n2026-01-01,1,\"{\"\"a\"\":1}\"").await;
    let (names, rows) = mgmt(&node, ".alter table T policy format \"parquet\"").await;
    let of = |name: &str| &rows[0][names.iter().position(|it| it == name).unwrap()];
    assert_eq!((of("Format"), of("TotalExtents")), (&json!("parquet"), &json!(1)));
    mgmt(&node, ".ingest inline into table T <|\n2026-01-02,2,\"{\"\"a\"\":5}\"").await;
    let (names, rows) = mgmt(&node, ".show table T extents").await;
    let kind = names.iter().position(|name| name == "Kind").unwrap();
    let kinds: Vec<_> = rows.as_array().unwrap().iter().map(|row| row[kind].as_str().unwrap()).collect();
    assert_eq!(kinds, ["parquet", "tlm"]);
    assert_eq!(node.rows("T | where n > 0 | summarize sum(n), sum(tolong(d.a))").await, json!([[3, 6]]));

    let unknown = json!({ "db": "default", "csl": ".alter table T policy format \"orc\"" });
    let (status, answer) = body_of(node.post("/v1/rest/mgmt").json(&unknown).send().await.unwrap()).await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"]["@message"].as_str().unwrap().contains("orc"), "{answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_ask_first() {
    let node = TestNode::start().await;
    let (names, rows) = mgmt(&node, ".show version").await;
    assert_eq!(names, ["BuildVersion", "BuildTime", "ServiceType", "ProductVersion"]);
    assert_eq!(rows[0][2], "Engine");
    // The default database is there before anything is stored.
    let (_, rows) = mgmt(&node, ".show databases").await;
    assert_eq!((rows.as_array().map(Vec::len), &rows[0][0]), (Some(1), &json!("default")), "{rows}");
    node.ingest("T", "{\"n\":1}\n").await;
    assert_eq!(node.get("/v1/rest/auth/metadata").send().await.unwrap().status(), 404);
    assert_eq!(node.rows(".show tables").await.as_array().map(Vec::len), Some(1));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_done_says_why() {
    let node = TestNode::start().await;
    let reply = node
        .post("/v1/rest/mgmt")
        .json(&json!({ "db": "default", "csl": ".drop table Nowhere" }))
        .send()
        .await
        .unwrap();
    let (status, answer) = body_of(reply).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("General_BadRequest")), "{answer}");
    assert!(answer["error"]["@message"].as_str().unwrap().contains("Nowhere"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_database_is_a_setting() {
    let settings = Settings { default_database: "prod".to_owned(), ..Settings::default() };
    let node = TestNode::start_with(settings, IngestSettings::default()).await;
    let rows = node.rows(".show databases").await;
    assert_eq!((rows.as_array().map(Vec::len), &rows[0][0]), (Some(1), &json!("prod")), "{rows}");
    node.post("/v1/ingest/prod/T").body("{\"n\":7}\n").send().await.unwrap().error_for_status().unwrap();
    assert_eq!(node.rows("T | project n").await, json!([[7]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_database_answers_what_needs_no_table() {
    let node = TestNode::start().await;
    let ask = async |query: &str| node.query(json!({ "query": query, "database": "Nowhere" })).await;
    let (status, answer) = ask("range x from 1 to 3 step 1 | summarize sum(x)").await;
    assert_eq!((status, &answer["rows"]), (200, &json!([[6]])), "{answer}");
    let (status, answer) = ask(".show tables").await;
    assert_eq!((status, &answer["rows"]), (200, &json!([])), "{answer}");
    let (status, answer) = ask("T | count").await;
    assert!(matches!(status, 400 | 404), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains('T'), "{answer}");
    // Asking made nothing.
    assert_eq!(node.rows(".show databases").await.as_array().map(Vec::len), Some(1));
    node.stop().await;
}

/// Counts of patterns, from footers, are those of the lines.
#[tokio::test(flavor = "multi_thread")]
async fn patterns_count_every_line() {
    let node = TestNode::start().await;
    for part in 0..2 {
        let line = |n: usize| match n % 3 {
            0 => format!("user {n} logged in from 10.0.0.{}", n % 250),
            1 => format!("request {n} took {} ms", n * 7 % 900),
            _ => format!("cache miss for key {n}"),
        };
        let rows = (part * 300..part * 300 + 300).map(|n| json!({ "n": n, "message": line(n) }).to_string() + "\n");
        let reply = node.post("/v1/ingest/default/T").body(rows.collect::<String>()).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }
    let (names, rows) = mgmt(&node, ".show table T patterns").await;
    assert_eq!(names, ["ColumnName", "Pattern", "Count"]);
    let rows = rows.as_array().unwrap();
    let of = |start: &str| -> u64 {
        let starts = |row: &&Value| row[1].as_str().is_some_and(|text| text.starts_with(start));
        rows.iter().filter(starts).map(|row| row[2].as_u64().unwrap()).sum()
    };
    for start in ["user ", "request ", "cache miss"] {
        let scanned = node.rows(&format!("T | where message startswith_cs '{start}' | count")).await;
        assert_eq!(json!([[of(start)]]), scanned, "{start}: {rows:?}");
    }
    assert_eq!(of(""), 600, "{rows:?}");
}
