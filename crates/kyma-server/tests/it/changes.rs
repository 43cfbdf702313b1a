//! Commands that change tables and store rows.

use std::time::Duration;

use kyma_ingest::IngestSettings;
use kyma_server::Settings;
use serde_json::{Value, json};

use crate::commands::mgmt;
use crate::node::TestNode;

async fn rows(node: &TestNode, csl: &str) -> Value {
    mgmt(node, csl).await.1
}

/// The code of a command that is refused.
async fn refused(node: &TestNode, csl: &str) -> String {
    let (status, answer) = node.query(json!({ "query": csl })).await;
    assert!((400..500).contains(&status), "{csl}: {status} {answer}");
    answer["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_an_empty_table_change_freely() {
    let node = TestNode::start().await;
    rows(&node, ".create tables T (Timestamp:datetime, n:int), U (Timestamp:datetime) with (folder='both')").await;
    assert_eq!(rows(&node, ".show tables | project Folder").await, json!([["both"], ["both"]]));
    rows(&node, ".alter table T (n:string, Timestamp:datetime, more:guid)").await;
    rows(&node, ".rename column T.more to rest").await;
    rows(&node, ".alter column T.n type=real").await;
    rows(&node, ".alter-merge table T (last:bool)").await;
    let csl = rows(&node, ".show table T cslschema").await[0][1].clone();
    assert_eq!(csl, "n:real,Timestamp:datetime,rest:guid,last:bool");
    rows(&node, ".drop table T columns (rest, last)").await;
    rows(&node, ".alter table T docstring 'what it is'").await;
    assert_eq!(
        rows(&node, ".show table T cslschema").await[0],
        json!(["T", "n:real,Timestamp:datetime", "default", "both", "what it is"])
    );
    assert_eq!(refused(&node, ".drop column T.Timestamp").await, "catalog.time_column_missing");
    assert_eq!(refused(&node, ".drop column T.nothing").await, "column.unknown");
    assert_eq!(refused(&node, ".alter table Nowhere (n:int)").await, "table.unknown");
    // Old extents know columns by name.
    rows(&node, ".ingest inline into table T <|\n1.5,2026-01-01").await;
    for csl in [
        ".rename column T.n to m",
        ".drop column T.n",
        ".alter column T.n type=string",
        ".alter table T (Timestamp:datetime)",
    ] {
        assert_eq!(refused(&node, csl).await, "catalog.columns_in_use", "{csl}");
    }
    rows(&node, ".clear table T data").await;
    assert_eq!(node.rows("T | count").await, json!([[0]]));
    rows(&node, ".rename column T.n to m").await;
    rows(&node, ".drop tables (T, U, Nowhere) ifexists").await;
    assert_eq!(rows(&node, ".show tables").await, json!([]));
    node.stop().await;
}

/// Rows go with their table, whatever its name; writers learn of the new names at once on this node.
#[tokio::test(flavor = "multi_thread")]
async fn tables_swap_their_names() {
    let node = TestNode::start().await;
    node.ingest("A", "{\"n\":1}\n").await;
    node.ingest("B", "{\"n\":2}\n").await;
    rows(&node, ".rename tables A=B, B=A").await;
    node.ingest("A", "{\"n\":20}\n").await;
    assert_eq!(node.rows("A | summarize sum(n)").await, json!([[22]]));
    assert_eq!(node.rows("B | summarize sum(n)").await, json!([[1]]));
    assert_eq!(refused(&node, ".rename table A to B").await, "catalog.table_exists");
    assert_eq!(refused(&node, ".rename table Nowhere to C").await, "catalog.table_unknown");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extents_are_dropped_by_id() {
    let node = TestNode::start().await;
    for n in 0..3 {
        node.ingest("T", format!("{{\"n\":{n}}}\n")).await;
    }
    let extents = rows(&node, ".show table T extents | order by AddedSequence asc | project ExtentId").await;
    let id = |at: usize| extents[at][0].as_str().unwrap().to_owned();
    let dropped = rows(&node, &format!(".drop extents ({}, {}) from T", id(0), id(2))).await;
    assert_eq!(dropped.as_array().map(Vec::len), Some(2), "{dropped}");
    assert_eq!(node.rows("T | project n").await, json!([[1]]));
    assert_eq!(refused(&node, &format!(".drop extent {}", id(0))).await, "extent.unknown");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_query_are_stored() {
    let node = TestNode::start().await;
    node.ingest("T", "{\"n\":1,\"s\":\"a\",\"d\":{\"x\":[1,2]}}\n{\"n\":2,\"s\":\"b\"}\n").await;
    let (names, stored) = mgmt(
        &node,
        ".set Copy with (folder='f') <| T | project n, s, d, Timestamp = datetime(2026-01-02), t = 5m, g = guid(null), r = n / 2.0, m = decimal(1.5)",
    )
    .await;
    assert_eq!(names[0], "ExtentId");
    assert_eq!((stored.as_array().map(Vec::len), &stored[0][5]), (Some(1), &json!(2)), "{stored}");
    let copy = "n:long,s:string,d:dynamic,Timestamp:datetime,t:timespan,g:guid,r:real,m:decimal";
    assert_eq!(rows(&node, ".show table Copy cslschema").await[0][1], copy, "types are exact");
    let read = node.rows("Copy | order by n asc | project n, s, x = d.x[1], t, r, m").await;
    assert_eq!(read, json!([[1, "a", 2, "00:05:00", 0.5, "1.5"], [2, "b", null, "00:05:00", 1.0, "1.5"]]));
    assert_eq!(refused(&node, ".set Copy <| T").await, "table.exists");
    assert_eq!(refused(&node, ".append Nowhere <| T").await, "table.unknown");
    assert_eq!(refused(&node, ".append Copy <| print n = 'text'").await, "command.column_type");
    assert_eq!(refused(&node, ".append Copy <| T | wher true").await, "kql.unknown_operator");

    rows(&node, ".append Copy <| print n = 3, Timestamp = datetime(2026-01-03)").await;
    rows(&node, ".set-or-append Copy <| print n = int(4), more = true").await;
    assert_eq!(node.rows("Copy | summarize sum(n), count(), countif(more)").await, json!([[10, 4, 1]]));

    rows(&node, ".set-or-replace Copy <| Copy | where n > 2 | project n, Timestamp").await;
    assert_eq!(node.rows("Copy | summarize sum(n), count()").await, json!([[7, 2]]));
    rows(&node, ".set-or-replace Copy <| Copy | where n > 100").await;
    assert_eq!(node.rows("Copy | count").await, json!([[0]]));
    // No rows make a table without rows.
    rows(&node, ".set-or-append Empty <| T | where false | project n").await;
    assert_eq!(node.rows("Empty | count").await, json!([[0]]));
    node.stop().await;
}

/// What is deleted is what the condition is true for, not what it is null for.
#[tokio::test(flavor = "multi_thread")]
async fn records_are_deleted() {
    let node = TestNode::start_working().await;
    node.ingest("T", "{\"n\":1,\"s\":\"a\"}\n{\"n\":2,\"s\":\"b\"}\n{\"s\":\"c\"}\n").await;
    node.ingest("T", "{\"n\":3,\"s\":\"b\"}\n").await;
    rows(&node, ".delete table T records <| T | where n > 1 | where s == 'b'").await;
    assert_eq!(node.rows("T | order by s asc | project n, s").await, json!([[1, "a"], [null, "c"]]));
    let left = node.rows("T | project-keep _*").await;
    rows(&node, ".delete table T records <| T | where n == 100").await;
    assert_eq!(node.rows("T | project-keep _*").await, left, "what kyma keeps of a row stays");
    assert_eq!(refused(&node, ".delete table Nowhere records <| Nowhere | where n == 1").await, "table.unknown");
    assert_eq!(refused(&node, ".delete table T records <| T | where m == 1").await, "kql.unknown_column");
    node.stop().await;
}

/// A row that is stored while a replacement runs stays, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_spares_what_comes_meanwhile() {
    let node = TestNode::start().await;
    node.ingest("T", "{\"n\":0}\n").await;
    let writing = async {
        for n in 1..=20 {
            node.ingest("T", format!("{{\"n\":{n}}}\n")).await;
        }
    };
    let replacing = async {
        for _ in 0..6 {
            rows(&node, ".set-or-replace T <| T").await;
        }
    };
    tokio::join!(writing, replacing);
    assert_eq!(node.rows("T | summarize count(), dcount(n), sum(n)").await, json!([[21, 21, 210]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_store_is_an_operation() {
    let node = TestNode::start().await;
    let ended = async |csl: &str| {
        let (names, begun) = mgmt(&node, csl).await;
        assert_eq!(names, ["OperationId"]);
        let id = begun[0][0].as_str().unwrap().to_owned();
        for _ in 0..200 {
            let shown = rows(&node, &format!(".show operations {id} | project State, Operation, Status")).await;
            if shown[0][0] != "InProgress" {
                return shown[0].clone();
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{csl} does not end");
    };
    let done = ended(".set-or-append async T <| range n from 1 to 100 step 1").await;
    assert_eq!(done, json!(["Completed", "TableSetOrAppend", ""]));
    assert_eq!(node.rows("T | count").await, json!([[100]]));
    let failed = ended(".append async T <| print n = 'text'").await;
    assert_eq!((&failed[0], &failed[1]), (&json!("Failed"), &json!("TableAppend")));
    assert!(failed[2].as_str().unwrap().contains("another type"), "{failed}");
    assert_eq!(rows(&node, ".show operations | count").await, json!([[2]]));
    node.stop().await;
}

/// Writers that wrote meanwhile are not lost by a replacement, and no row is there twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_is_one_commit() {
    let node = TestNode::start().await;
    node.ingest("T", "{\"n\":1}\n").await;
    let replacing = async {
        for _ in 0..8 {
            rows(&node, ".set-or-replace T <| T | summarize n = sum(n), count() | project n").await;
        }
    };
    let reading = async {
        for _ in 0..40 {
            assert_eq!(node.rows("T | summarize sum(n)").await, json!([[1]]));
        }
    };
    tokio::join!(replacing, reading);
    assert_eq!(node.rows("T | project n").await, json!([[1]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_query_is_listed_and_cancelled() {
    let node = TestNode::start_with(Settings::default(), IngestSettings::default()).await;
    assert_eq!(node.rows("print 1").await, json!([[1]]));
    let listed = rows(&node, ".show queries | project Text, State, Database").await;
    assert_eq!(listed[0], json!(["print 1", "Completed", "default"]), "{listed}");
    let slow = "range a from 1 to 40000000 step 1 | extend h = hash_sha256(tostring(a)) | summarize dcount(h), max(h)";
    let asking = node
        .post("/v1/rest/query")
        .header("x-ms-client-request-id", "test;slow")
        .header("x-ms-app", "tests")
        .json(&json!({ "db": "default", "csl": slow }))
        .send();
    let cancelling = async {
        for _ in 0..400 {
            let running = rows(&node, ".show running queries | where ClientActivityId == 'test;slow'").await;
            if !running.as_array().unwrap().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        rows(&node, ".cancel query 'test;slow'").await
    };
    let (answered, cancelled) = tokio::join!(asking, cancelling);
    assert_eq!(cancelled[0][0], "test;slow");
    assert_ne!(answered.unwrap().status(), 200);
    let ended = rows(&node, ".show queries | where ClientActivityId == 'test;slow' | project State, Application").await;
    assert_eq!(ended, json!([["Canceled", "tests"]]));
    assert_eq!(refused(&node, ".cancel query 'test;slow'").await, "query.not_running");
    node.stop().await;
}
