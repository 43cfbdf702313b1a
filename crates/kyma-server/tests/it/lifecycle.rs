//! Rows that go, tables that come back, and what was.

use std::sync::Arc;
use std::time::Duration;

use kyma_core::catalog::{Catalog, Garbage, History, Tables};
use kyma_core::clock::{Clock, SystemClock};
use kyma_core::time::{DAY, HOUR, format_datetime};
use kyma_ingest::IngestSettings;
use kyma_server::{Role, Settings};
use kyma_storage::object_store::memory::InMemory;
use kyma_storage::{BlockCache, DiskCache, MemoryCache, Store, StoreSettings, TieredCache};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::commands::mgmt;
use crate::node::{TestNode, body_of};

/// The only row that a command answers, by column.
async fn row(node: &TestNode, csl: &str) -> Value {
    let (names, rows) = mgmt(node, csl).await;
    let cells = rows[0].as_array().unwrap().clone();
    Value::Object(names.into_iter().zip(cells).collect())
}

async fn code(node: &TestNode, body: Value) -> String {
    let (status, answer) = node.query(body.clone()).await;
    assert!((400..500).contains(&status), "{body}: {status} {answer}");
    answer["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_touches_only_extents_that_match_and_says_what_it_did() {
    let node = TestNode::start_working().await;
    for body in ["{\"n\":1,\"s\":\"a\"}\n{\"n\":2,\"s\":\"b\"}\n", "{\"n\":3,\"s\":\"b\"}\n", "{\"n\":4,\"s\":\"c\"}\n"]
    {
        node.ingest("T", body).await;
    }
    let extents = "T | summarize count() by extent_id() | count";
    let untouched = "T | where n == 4 | project extent_id()";
    let (before, facts) = (node.rows(untouched).await, node.rows("T | where n == 1 | project ingestion_time()").await);
    let receipt = row(&node, ".delete table T records <| T | where s == 'b' // all of them").await;
    assert_eq!(node.rows("T | order by n asc | project n").await, json!([[1], [4]]));
    assert_eq!(node.rows(untouched).await, before);
    assert_eq!(node.rows("T | where n == 1 | project ingestion_time()").await, facts);
    assert_eq!(node.rows(extents).await, json!([[2]]));
    let counts = ["RowsRemoved", "ExtentsRewritten", "ExtentsRemoved", "ExtentsUntouched"];
    assert_eq!(counts.map(|name| receipt[name].as_u64()), [Some(2), Some(1), Some(1), Some(1)], "{receipt}");
    assert!(receipt["BytesWritten"].as_u64() > Some(0) && receipt["Sequence"].as_u64() > Some(3), "{receipt}");
    let id = receipt["OperationId"].as_str().unwrap();
    let operation = row(&node, &format!(".show operations {id}")).await;
    assert_eq!((&operation["State"], &operation["Operation"]), (&json!("Completed"), &json!("TableDeleteRecords")));
    let said: Value = serde_json::from_str(operation["Status"].as_str().unwrap()).unwrap();
    assert_eq!(said["RowsRemoved"], 2, "{operation}");
    let nothing = row(&node, ".delete table T records <| T | where s == 'b'").await;
    assert_eq!(counts.map(|name| nothing[name].as_u64()), [Some(0), Some(0), Some(0), Some(2)], "{nothing}");
    for (csl, wanted) in [
        (".delete table T records <| T | where absent == 1", "kql.unknown_column"),
        (".delete table T records <| T | where nothing_like_it(n)", "kql.unknown_function"),
        (".delete table Nowhere records <| Nowhere | where n == 1", "table.unknown"),
    ] {
        assert_eq!(code(&node, json!({ "query": csl })).await, wanted, "{csl}");
    }
    assert_eq!(node.rows("T | count").await, json!([[2]]));
    node.stop().await;
}

/// A caching policy counts from the next query on: what is cold is not kept on disk, what is hot is.
#[tokio::test(flavor = "multi_thread")]
async fn a_caching_policy_says_what_the_disk_keeps() {
    let (catalog, _database) = kyma_testkit::postgres::catalog().await;
    let folder = tempfile::tempdir().unwrap();
    let disk = DiskCache::open(folder.path(), 64 << 20).await.unwrap();
    let cache = Arc::new(TieredCache::new(MemoryCache::new(0), disk));
    let settings = StoreSettings::new(url::Url::parse("memory:///").unwrap());
    let store = Store::with_cache(Arc::new(InMemory::new()), &settings, Arc::clone(&cache) as _);
    let node = TestNode::over(catalog, store, Settings::default(), IngestSettings::default()).await;
    let now = SystemClock.now();
    for (days, text) in [(0, "young"), (30, "old")] {
        let time = format_datetime(now - days * DAY);
        node.ingest("T", format!("{{\"Timestamp\":\"{time}\",\"s\":\"{text}\"}}\n")).await;
    }
    // How many ranges the disk takes when all of an extent is read.
    let taken = async |text: &str| {
        let before = cache.counts()[1].admitted;
        let of = if text == "old" { "Timestamp < ago(10d)" } else { "Timestamp > ago(10d)" };
        assert_eq!(node.rows(&format!("T | where {of} | project s")).await, json!([[text]]));
        cache.counts()[1].admitted - before
    };
    let policy = async |csl: &str| drop(mgmt(&node, csl).await);
    policy(".alter table T policy caching hot = 1d").await;
    assert_eq!(taken("old").await, 0);
    assert!(taken("young").await > 0);
    policy(".alter database default policy caching hot = 1d").await;
    policy(".alter table T policy caching hot = 365d").await;
    assert!(taken("old").await > 0, "its table speaks first");
    policy(".delete table T policy caching").await;
    policy(".alter database default policy caching hot = 0d").await;
    let (_, shown) = mgmt(&node, ".show database default policy caching").await;
    assert!(shown[0].to_string().contains("enforced: what is hot"), "{shown}");
    node.stop().await;
}

/// What a row of the random test is made of.
#[derive(Debug, Clone)]
struct Row {
    n: Option<i64>,
    s: Option<&'static str>,
    k: Option<i64>,
    mistyped: bool,
}

type Holds = fn(&Row) -> bool;

/// Conditions, and what they mean.
const CONDITIONS: [(&str, Holds); 10] = [
    ("n > 5", |row| row.n.is_some_and(|n| n > 5)),
    ("not(n > 5)", |row| row.n.is_some_and(|n| n <= 5)),
    ("isnull(n)", |row| row.n.is_none()),
    ("s == 'a b'", |row| row.s == Some("a b")),
    ("isempty(s)", |row| row.s.is_none_or(str::is_empty)),
    ("s has 'b' or n in (1, 2)", |row| row.s.is_some_and(|s| s.contains('b')) || matches!(row.n, Some(1 | 2))),
    ("d.k == 2", |row| row.k == Some(2)),
    ("isnotnull(_unmapped)", |row| row.mistyped),
    ("true", |_| true),
    ("n < 0", |_| false),
];

impl Row {
    fn line(&self, id: usize) -> String {
        let mut line =
            json!({ "id": id, "s": self.s, "d": self.k.map(|k| json!({ "k": k, "deep": { "x": [k, null] } })) });
        if self.mistyped {
            line["b"] = json!("neither true nor false");
        }
        if let Some(n) = self.n {
            line["n"] = json!(n);
        }
        format!("{line}\n")
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let texts = prop_oneof![Just(None), Just(Some("")), Just(Some("a b")), Just(Some("c"))];
    let row = (proptest::option::of(0..10_i64), texts, proptest::option::of(0..4_i64), proptest::bool::weighted(0.2))
        .prop_map(|(n, s, k, mistyped)| Row { n, s, k, mistyped });
    proptest::collection::vec(row, 1..30)
}

/// Against the slow way: all rows are read, and those that match are dropped here.
#[test]
fn a_deletion_is_as_if_all_rows_were_filtered() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let node = runtime.block_on(TestNode::start_working());
    let mut runner = TestRunner::new(Config { cases: 40, max_shrink_iters: 40, ..Config::default() });
    let conditions = proptest::collection::vec(0..CONDITIONS.len(), 1..3);
    let cases = std::cell::Cell::new(0);
    let case = (proptest::collection::vec(rows(), 1..5), conditions, any::<bool>());
    let outcome = runner.run(&case, |(extents, conditions, parquet)| {
        cases.set(cases.get() + 1);
        let table = format!("T{}", cases.get());
        runtime.block_on(check(&node, &table, &extents, &conditions, parquet));
        Ok(())
    });
    runtime.block_on(node.stop());
    outcome.unwrap();
}

async fn check(node: &TestNode, table: &str, extents: &[Vec<Row>], conditions: &[usize], parquet: bool) {
    let columns = "id:long, n:long, s:string, d:dynamic, b:bool, _unmapped:dynamic";
    mgmt(node, &format!(".create table {table} ({columns})")).await;
    if parquet {
        mgmt(node, &format!(".alter table {table} policy format 'parquet'")).await;
    }
    let (mut all, mut matching) = (Vec::new(), 0);
    for rows in extents {
        let from = all.len();
        let lines: String = rows.iter().enumerate().map(|(at, row)| row.line(from + at)).collect();
        node.ingest(table, lines).await;
        all.extend(rows);
    }
    let read = format!("{table} | extend it = ingestion_time() | order by id asc");
    let before = node.rows(&read).await;
    assert_eq!(before.as_array().unwrap().len(), all.len());
    let goes = |row: &Row| conditions.iter().all(|condition| CONDITIONS[*condition].1(row));
    let mut expected = Vec::new();
    for (row, cells) in all.iter().zip(before.as_array().unwrap()) {
        if goes(row) { matching += 1 } else { expected.push(cells.clone()) }
    }
    let said: String = conditions.iter().map(|condition| format!(" | where {}", CONDITIONS[*condition].0)).collect();
    let receipt = row(node, &format!(".delete table {table} records <| {table}{said}")).await;
    assert_eq!(node.rows(&read).await, Value::Array(expected), "{said}");
    assert_eq!(receipt["RowsRemoved"], matching, "{said}: {receipt}");
}

/// Replacements take extents away while they are deleted from, and rows come in.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_follows_rows_into_the_extents_that_replaced_theirs() {
    let node = TestNode::start_working().await;
    for n in 0..12 {
        node.ingest("T", format!("{{\"n\":{n},\"s\":\"old\"}}\n{{\"n\":{n},\"s\":\"stays\"}}\n")).await;
    }
    let replacing = async {
        for _ in 0..5 {
            mgmt(&node, ".set-or-replace T <| T").await;
        }
    };
    let deleting = row(&node, ".delete table T records <| T | where s == 'old'");
    let ((), receipt) = tokio::join!(replacing, deleting);
    assert_eq!(
        node.rows("T | summarize countif(s == 'old'), countif(s == 'stays'), dcount(n)").await,
        json!([[0, 12, 12]])
    );
    assert_eq!(receipt["RowsRemoved"], 12, "{receipt}");
    node.stop().await;
}

async fn shared() -> (Arc<kyma_catalog_postgres::PostgresCatalog>, Arc<Store>, impl Drop) {
    struct Kept<T>(#[allow(dead_code)] T);
    impl<T> Drop for Kept<T> {
        fn drop(&mut self) {}
    }
    let (catalog, database) = kyma_testkit::postgres::catalog().await;
    let s3 = kyma_testkit::s3::server().await;
    let store = Store::from_object_store(s3.object_store());
    (catalog, store, Kept((database, s3)))
}

/// A node dies in the middle, another one goes on; a third one, which only answers, asked for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_survives_its_worker_and_counts_every_row_once() {
    let (catalog, store, _kept) = shared().await;
    let catalog: Arc<dyn Catalog> = catalog;
    let asked = Settings { roles: vec![Role::Ingest, Role::Query], ..Settings::default() };
    let asking = TestNode::over(catalog.clone(), store.clone(), asked, IngestSettings::default()).await;
    for n in 0..30 {
        asking.ingest("T", format!("{{\"n\":{n},\"s\":\"goes\"}}\n{{\"n\":{n},\"s\":\"stays\"}}\n")).await;
    }
    let dying = TestNode::working(catalog.clone(), store.clone(), Settings::default()).await;
    let begun = row(&asking, ".delete async table T records <| T | where s == 'goes'").await;
    let id = begun["OperationId"].as_str().unwrap().to_owned();
    // What it has done is done.
    while asking.rows("T | where s == 'goes' | count").await == json!([[30]]) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(dying);
    let other = TestNode::working(catalog, store, Settings::default()).await;
    let operation = loop {
        let operation = row(&asking, &format!(".show operations {id}")).await;
        if operation["State"] != "InProgress" {
            break operation;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(operation["State"], "Completed", "{operation}");
    let said: Value = serde_json::from_str(operation["Status"].as_str().unwrap()).unwrap();
    let counts = ["RowsRemoved", "ExtentsRewritten", "ExtentsRemoved", "ExtentsUntouched"];
    assert_eq!(counts.map(|name| said[name].as_u64()), [Some(30), Some(30), Some(0), Some(0)], "{said}");
    assert_eq!(asking.rows("T | summarize count(), dcount(n), countif(s == 'goes')").await, json!([[30, 30, 0]]));
    other.stop().await;
    asking.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_reads_what_was() {
    let (catalog, store, _kept) = shared().await;
    let node = TestNode::over(catalog.clone(), store, Settings::default(), IngestSettings::default()).await;
    let first = node.ingest("T", "{\"n\":1}\n{\"n\":2}\n").await["sequence"].as_i64().unwrap();
    let database = catalog.database("default").await.unwrap().unwrap().id;
    // A time at which the database certainly had this sequence, and has for ever.
    let time = loop {
        let now = SystemClock.now();
        if catalog.sequence_at(database, now).await.is_ok_and(|found| found.0 == first) {
            break format_datetime(now);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    mgmt(&node, ".set-or-replace T <| T | where n == 1 | extend more = 'x'").await;
    node.ingest("Later", "{\"n\":9}\n").await;
    let count = "T | summarize count(), sum(n)";
    let now = json!([[1, 1]]);
    let then = json!([[2, 3]]);
    let as_of = async |as_of: Value| {
        let (status, answer) = node.query(json!({ "query": count, "as_of": as_of })).await;
        assert_eq!(status, 200, "{answer}");
        answer["rows"].clone()
    };
    assert_eq!(node.rows(count).await, now);
    assert_eq!(as_of(json!(first)).await, then);
    assert_eq!(as_of(json!(first.to_string())).await, then);
    assert_eq!(as_of(json!(time)).await, then);
    assert_eq!(node.rows(&format!("set query_as_of = {first}; {count}")).await, then);
    assert_eq!(node.rows(&format!("set query_as_of = datetime({time}); {count}")).await, then);
    assert_eq!(node.rows(count).await, now, "what is remembered of then does not answer now");
    assert_eq!(node.rows(&format!("set query_as_of = {first}; Later | count")).await, json!([[0]]));
    let sql = json!({ "query": "SELECT count(*) FROM \"T\"", "language": "sql", "as_of": first });
    assert_eq!(node.query(sql).await.1["rows"], json!([[2]]));
    let properties = json!({ "Options": { "query_as_of": time } });
    let kusto = json!({ "db": "default", "csl": count, "properties": properties });
    let (_, answer) = body_of(node.post("/v1/rest/query").json(&kusto).send().await.unwrap()).await;
    assert_eq!(answer["Tables"][0]["Rows"], then, "{answer}");

    // A dropped table is there then, also while another one has its name.
    mgmt(&node, ".drop table T").await;
    assert_eq!(as_of(json!(first)).await, then);
    node.ingest("T", "{\"n\":100}\n").await;
    assert_eq!(as_of(json!(first)).await, then);
    assert_eq!(node.rows(count).await, json!([[1, 100]]));

    let refused = async |as_of: Value| code(&node, json!({ "query": count, "as_of": as_of })).await;
    assert_eq!(refused(json!(1_000_000)).await, "query.as_of_ahead");
    assert_eq!(refused(json!(format_datetime(SystemClock.now() + HOUR))).await, "query.as_of_ahead");
    assert_eq!(refused(json!("2001-01-01")).await, "query.as_of_too_old");
    assert_eq!(refused(json!("yesterday")).await, "query.as_of_invalid");
    assert_eq!(refused(json!(-1)).await, "query.as_of_invalid");
    let command = code(&node, json!({ "query": ".show tables", "as_of": first })).await;
    assert_eq!(command, "query.bad_request");

    // What was removed is collected: the answer would not be complete, so there is none.
    catalog.give_up_dropped(Duration::ZERO, 10).await.unwrap();
    catalog.doom_removed(Duration::ZERO, 1_000).await.unwrap();
    assert_eq!(refused(json!(first)).await, "query.as_of_too_old");
    assert_eq!(refused(json!(time)).await, "query.as_of_too_old");
    assert_eq!(node.rows(count).await, json!([[1, 100]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_is_undone_on_every_node() {
    let (catalog, store, _kept) = shared().await;
    let dynamic: Arc<dyn Catalog> = catalog.clone();
    let one = TestNode::over(dynamic.clone(), store.clone(), Settings::default(), IngestSettings::default()).await;
    let other = TestNode::over(dynamic, store, Settings::default(), IngestSettings::default()).await;
    one.ingest("T", "{\"n\":1}\n").await;
    assert_eq!(other.rows("T | count").await, json!([[1]]));
    mgmt(&one, ".drop table T").await;
    let gone = async |node: &TestNode| code(node, json!({ "query": "T | count" })).await;
    assert_eq!(
        (gone(&one).await, gone(&other).await),
        ("kql.unknown_table".to_owned(), "kql.unknown_table".to_owned())
    );
    let details = row(&other, ".undo drop table T").await;
    assert_eq!((&details["TableName"], &details["TotalRowCount"]), (&json!("T"), &json!(1)), "{details}");
    assert_eq!((one.rows("T | count").await, other.rows("T | count").await), (json!([[1]]), json!([[1]])));
    one.ingest("T", "{\"n\":2}\n").await;

    mgmt(&one, ".drop table T").await;
    one.ingest("T", "{\"n\":3}\n").await;
    assert_eq!(code(&one, json!({ "query": ".undo drop table T" })).await, "catalog.table_exists");
    mgmt(&one, ".undo drop table T as Old").await;
    assert_eq!(other.rows("union Old, T | summarize sum(n), count()").await, json!([[6, 3]]));
    assert_eq!(code(&one, json!({ "query": ".undo drop table T" })).await, "table.drop_final");

    mgmt(&one, ".drop table Old").await;
    catalog.give_up_dropped(Duration::ZERO, 10).await.unwrap();
    assert_eq!(code(&one, json!({ "query": ".undo drop table Old" })).await, "table.drop_final");
    one.stop().await;
    other.stop().await;
}
