//! Rows over the Kusto wire: formats, mappings, and queued ingestion as the storage clients do it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kyma_core::catalog::{Catalog, IngestionMapping};
use kyma_ingest::IngestSettings;
use kyma_server::Settings;
use kyma_storage::StoreSettings;
use serde_json::{Value, json};

use crate::node::{TestNode, body_of};

async fn command(node: &TestNode, csl: &str) -> Value {
    let reply = node.post("/v1/rest/mgmt").json(&json!({ "db": "default", "csl": csl })).send().await.unwrap();
    let (status, answer) = body_of(reply).await;
    assert_eq!(status, 200, "{csl}: {answer}");
    answer
}

async fn stream(node: &TestNode, parameters: &str, body: &str) -> (u16, Value) {
    let request = node.post(&format!("/v1/rest/ingest/default/T?{parameters}")).body(body.to_owned());
    body_of(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_of_a_stream() {
    let node = TestNode::start().await;
    command(&node, ".create table T (a:long, b:string)").await;
    let bodies = [
        ("csv", "1,x"),
        ("tsv", "1\tx"),
        ("tsve", "1\tx"),
        ("psv", "1|x"),
        ("scsv", "1;x"),
        ("sohsv", "1\u{1}x"),
        ("json", "{\"a\":1,\"b\":\"x\"}"),
        ("multijson", "[{\"a\":1,\n\"b\":\"x\"}]"),
        ("csv&ignoreFirstRecord=true", "a,b\n1,x\n"),
    ];
    for (format, body) in bodies {
        let (status, answer) = stream(&node, &format!("streamFormat={format}"), body).await;
        assert_eq!((status, &answer["Tables"][0]["Rows"][0][0]), (200, &json!(1)), "{format}: {answer}");
    }
    assert_eq!(node.rows("T | summarize count() by a, b").await, json!([[1, "x", 9]]));
    let (status, answer) = stream(&node, "streamFormat=avro", "").await;
    assert_eq!((status, &answer["error"]["innererror"]["code"]), (400, &json!("kusto.ingest_format")));
    let foreign = json!({ "sourceUri": "https://a.blob.core.windows.net/c/b.csv" }).to_string();
    let (status, answer) = stream(&node, "streamFormat=csv&sourceKind=uri", &foreign).await;
    assert_eq!((status, &answer["error"]["innererror"]["code"]), (400, &json!("kusto.ingest_source")));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mappings_of_the_table_and_of_the_request() {
    let (catalog, _database) = kyma_testkit::postgres::catalog().await;
    let catalog: Arc<dyn Catalog> = catalog;
    let folder = tempfile::tempdir().unwrap();
    let store = kyma_storage::open(&StoreSettings::new(url::Url::from_directory_path(folder.path()).unwrap()));
    let store = store.await.unwrap();
    let node = TestNode::over(catalog.clone(), store, Settings::default(), IngestSettings::default()).await;
    command(&node, ".create table T (a:long, at:datetime)").await;

    let database = catalog.database("default").await.unwrap().unwrap();
    let table = catalog.table(database.id, "T").await.unwrap().unwrap().id;
    let json = r#"[{"column":"a","Properties":{"Path":"$.x[1]"}},
        {"column":"at","Properties":{"Path":"$.ms","Transform":"DateTimeFromUnixMilliseconds"}},
        {"column":"added","datatype":"real","Properties":{"Path":"$.r"}}]"#;
    let mapping = IngestionMapping { table, name: "m".into(), kind: "json".into(), json: json.into() };
    catalog.put_ingestion_mapping(&mapping, false).await.unwrap();

    let body = r#"{"x":[0,"7"],"ms":1700000000123,"r":2,"left":"out"}"#;
    let (status, answer) = stream(&node, "streamFormat=json&mappingName=m", body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(node.rows("T").await, json!([[7, "2023-11-14T22:13:20.1230000Z", 2.0]]));

    let inline = "streamFormat=csv&mapping=%5B%7B%22Column%22%3A%22a%22%2C%22Ordinal%22%3A1%7D%5D";
    let (status, answer) = stream(&node, inline, "left,8\n").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(node.rows("T | where a == 8 | project a, added").await, json!([[8, null]]));

    for (parameters, code) in [
        ("streamFormat=json&mappingName=nosuch", "ingest.mapping_missing"),
        ("streamFormat=csv&mappingName=m", "ingest.mapping_invalid"),
        ("streamFormat=csv&mapping=%5B%5D", "ingest.mapping_invalid"),
    ] {
        let (status, answer) = stream(&node, parameters, body).await;
        assert_eq!((status, &answer["error"]["innererror"]["code"]), (400, &json!(code)), "{answer}");
        assert_eq!(answer["error"]["@permanent"], true);
    }
    node.stop().await;
}

/// The place of a kind that `.get ingestion resources` names, without its signature.
async fn place(node: &TestNode, kind: &str) -> String {
    let answer = command(node, ".get ingestion resources").await;
    let rows = answer["Tables"][0]["Rows"].as_array().unwrap().clone();
    let row = rows.iter().find(|row| row[0] == kind).unwrap();
    row[1].as_str().unwrap().split('?').next().unwrap().to_owned()
}

async fn put(node: &TestNode, url: &str, body: impl Into<reqwest::Body>) -> u16 {
    node.client.put(url).header("x-ms-blob-type", "BlockBlob").body(body).send().await.unwrap().status().as_u16()
}

/// Puts a message; the status and the body of the answer.
async fn message(node: &TestNode, queue: &str, blob: &str, id: u128, properties: Value) -> (u16, String) {
    let message = json!({
        "Id": uuid::Uuid::from_u128(id), "BlobPath": blob, "DatabaseName": "default", "TableName": "T",
        "RetainBlobOnSuccess": true, "AdditionalProperties": properties,
    });
    let text = BASE64.encode(message.to_string());
    let body = format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>");
    let reply = node.client.post(format!("{queue}/messages")).body(body).send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_blob_is_stored_once() {
    let node = TestNode::start().await;
    command(&node, ".create table T (a:long)").await;
    let (container, queue) = (place(&node, "TempStorage").await, place(&node, "SecuredReadyForAggregationQueue").await);
    assert!(container.starts_with(&node.url), "{container}");
    let blob = format!("{container}/db__T__1 x.csv");
    assert_eq!(put(&node, &blob, "1\n2\n").await, 201);
    let new_only = node.client.put(&blob).header("If-None-Match", "*").body("3\n").send().await.unwrap();
    assert_eq!(
        (new_only.status().as_u16(), &new_only.headers()["x-ms-error-code"]),
        (409, &"BlobAlreadyExists".parse().unwrap())
    );

    for _ in 0..2 {
        let (status, answer) = message(&node, &queue, &blob, 1, json!({ "format": "csv" })).await;
        assert_eq!(status, 201, "{answer}");
        assert!(answer.contains("<MessageId>"), "{answer}");
    }
    assert_eq!(node.rows("T | summarize count(), sum(a)").await, json!([[2, 3]]));
    // Another message about the blob, which is gone.
    let (status, answer) = message(&node, &queue, &blob, 2, json!({ "format": "csv" })).await;
    assert_eq!(status, 404, "{answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_in_blocks_in_the_order_of_its_list() {
    let node = TestNode::start().await;
    command(&node, ".create table T (a:long, b:string)").await;
    let (container, queue) = (place(&node, "TempStorage").await, place(&node, "SecuredReadyForAggregationQueue").await);
    let blob = format!("{container}/blocks.csv");
    // More than one part of the store.
    let long = format!("{}\n", "y".repeat(9 * 1024 * 1024));
    for (block, body) in
        [("Mg==", format!("2,{long}")), ("MQ==", "h,h\n1,x\n".to_owned()), ("MQ==", "h,h\n1,z\n".to_owned())]
    {
        let id = block.replace('=', "%3D");
        assert_eq!(put(&node, &format!("{blob}?comp=block&blockid={id}"), body).await, 201);
    }
    let list = |blocks: &str| format!("<?xml version=\"1.0\"?><BlockList>{blocks}</BlockList>");
    let missing = list("<Latest>Mw==</Latest>");
    assert_eq!(put(&node, &format!("{blob}?comp=blocklist"), missing).await, 400);
    let whole = list("<Latest>MQ==</Latest><Latest>Mg==</Latest>");
    assert_eq!(put(&node, &format!("{blob}?comp=blocklist"), whole).await, 201);
    let properties = json!({ "format": "csv", "ignoreFirstRecord": true });
    let (status, answer) = message(&node, &queue, &blob, 3, properties).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(node.rows("T | order by a asc | project a, strlen(b)").await, json!([[1, 1], [2, 9 * 1024 * 1024]]));
    assert_eq!(node.rows("T | where a == 1 | project b").await, json!([["z"]]), "the latest of a block counts");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_says_so_and_stores_nothing() {
    let node =
        TestNode::start_with(Settings::default(), IngestSettings { body_bytes_max: 1_000, ..Default::default() }).await;
    command(&node, ".create table T (a:long)").await;
    let (container, queue) = (place(&node, "TempStorage").await, place(&node, "SecuredReadyForAggregationQueue").await);
    let blob = format!("{container}/b.csv");
    assert_eq!(put(&node, &blob, "1\n").await, 201);
    assert_eq!(put(&node, &format!("{container}/large.csv"), "1\n".repeat(501)).await, 413);
    assert_eq!(put(&node, &format!("{}/kusto-blobs/notaday/b.csv", node.url), "1\n").await, 400);
    let cases = [
        (blob.as_str(), json!({ "format": "orc" }), "kusto.ingest_format"),
        (blob.as_str(), json!({ "ingestionMappingReference": "nosuch" }), "ingest.mapping_missing"),
        (blob.as_str(), json!({ "ingestIfNotExists": "[\"t\"]" }), "kusto.ingest_if_not_exists"),
        ("https://a.blob.core.windows.net/c/b.csv", json!({}), "kusto.ingest_source"),
    ];
    for (nth, (blob, properties, code)) in cases.into_iter().enumerate() {
        let (status, answer) = message(&node, &queue, blob, nth as u128, properties).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.contains(code), "{answer}");
    }
    let reports = place(&node, "FailedIngestionsQueue").await;
    let reply = node.client.get(format!("{reports}/messages?peekonly=true")).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(node.rows("T | count").await, json!([[0]]));
    node.stop().await;
}
