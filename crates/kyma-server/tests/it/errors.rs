//! What a client learns when something is wrong.

use std::io::Write;

use kyma_ingest::IngestSettings;
use kyma_server::Settings;
use serde_json::json;

use crate::node::{TestNode, body_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_query_shows_the_place() {
    let node = TestNode::start().await;
    node.ingest("T", "{\"n\":1}\n").await;
    let (status, answer) = node.query(json!({ "query": "T\n| where m == 1" })).await;
    let error = &answer["error"];
    assert_eq!(status, 400, "{answer}");
    assert_eq!((&error["span"]["line"], &error["span"]["column"]), (&json!(2), &json!(9)), "{answer}");
    assert!(error["rendered"].as_str().unwrap().contains("2 | | where m == 1\n            ^"), "{answer}");
    assert!(error["request_id"].is_string() && error["code"].as_str().unwrap().starts_with("kql."), "{answer}");

    let (status, answer) = node.query(json!({ "query": "T | wher n == 1" })).await;
    assert_eq!(status, 400);
    assert!(answer["error"]["hint"].as_str().is_some_and(|hint| hint.contains("where")), "{answer}");

    let (status, answer) = node.query(json!({ "query": "Nowhere | count" })).await;
    assert!(matches!(status, 400 | 404), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("Nowhere"), "{answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_wrong_query_has_a_code_a_place_and_a_hint() {
    let node = TestNode::start().await;
    node.ingest("T", "{\"Timestamp\":\"2026-01-01\",\"n\":1,\"s\":\"x\"}\n").await;
    for (query, at, hint) in [
        ("T | where", 9, None),          // syntax: something is missing
        ("T | where (n == 1", 17, None), // syntax: not closed
        ("T | where s > 'a' and n + s > 2", 22, Some("strcat()")),
        ("T | where s", 10, Some("isnotempty()")),
        ("T | summarize sum(s)", 18, Some("toreal()")),
        ("T | where startofda(Timestamp) == 1", 10, Some("startofday")),
        ("T | where N == 1", 10, Some("'n'")), // names have their case
        ("Nowhere | count", 0, None),
    ] {
        let (status, answer) = node.query(json!({ "query": query })).await;
        let error = &answer["error"];
        assert_eq!(status, 400, "{query}: {answer}");
        assert!(error["code"].as_str().is_some_and(|code| code.starts_with("kql.")), "{query}: {answer}");
        assert_eq!(error["span"]["start"], at, "{query}: {answer}");
        assert!(error["rendered"].as_str().is_some_and(|text| text.contains('^')), "{query}: {answer}");
        let given = error["hint"].as_str().unwrap_or_default();
        assert!(hint.is_none_or(|hint| given.contains(hint)), "{query}: {answer}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_says_what_to_send() {
    let node = TestNode::start().await;
    let reply = node.post("/v1/query").body("{\"quarry\":1}").send().await.unwrap();
    let (status, answer) = body_of(reply).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("query.bad_request")), "{answer}");

    let (status, answer) = node.query(json!({ "query": "print 1", "language": "cobol" })).await;
    assert_eq!(status, 400, "{answer}");

    let reply = node.get("/v1/nothing").header("x-request-id", "mine-1").send().await.unwrap();
    assert_eq!(reply.headers()["x-request-id"], "mine-1");
    let (status, answer) = body_of(reply).await;
    assert_eq!((status, &answer["error"]["request_id"]), (404, &json!("mine-1")));

    let (status, answer) = body_of(node.get("/v1/ingest/default/T").send().await.unwrap()).await;
    assert_eq!((status, &answer["error"]["code"]), (405, &json!("http.wrong_method")));

    let reply = node.post("/v1/ingest/default/a%2Fb").body("{}").send().await.unwrap();
    let (status, answer) = body_of(reply).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("name.invalid")), "{answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_names_what_is_away() {
    let node = TestNode::start().await;
    assert_eq!(node.get("/healthz").send().await.unwrap().status(), 200);
    let answer = node.until_ready(true).await;
    assert_eq!((&answer["catalog"], &answer["store"], &answer["reasons"]), (&json!("ok"), &json!("ok"), &json!([])));
    let metrics = node.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("kyma_http_requests_total") && metrics.ends_with("# EOF\n"), "{metrics}");
    let page = node.get("/").send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_lines_and_wrong_types_are_kept_and_counted() {
    let node = TestNode::start().await;
    node.ingest("T", "{\"n\":1}\n").await;
    let answer = node.ingest("T", "{\"n\":2}\n{broken\n{\"n\":\"three\"}\n").await;
    assert_eq!((&answer["rows"], &answer["rejected"], &answer["unmapped"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(node.rows("T | summarize sum(n), count()").await, json!([[3, 3]]));
    assert_eq!(
        node.rows("T | where isnotnull(_unmapped) | project x = tostring(_unmapped.n)").await,
        json!([["three"]])
    );
    assert_eq!(node.rows("_rejected | count").await, json!([[1]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_read_is_refused_whole() {
    let node = TestNode::start().await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&b"{\"n\":1}\n".repeat(10_000)).unwrap();
    let mut cut = encoder.finish().unwrap();
    cut.truncate(cut.len() / 2);
    for (headers, body, status, code) in [
        ([("Content-Encoding", "gzip"), ("Content-Type", "application/x-ndjson")], &cut[..], 400, "ingest.body_broken"),
        ([("Content-Encoding", "br"), ("Content-Type", "application/x-ndjson")], b"{}", 400, "ingest.encoding_unknown"),
        ([("Content-Encoding", "identity"), ("Content-Type", "image/png")], b"{}", 400, "ingest.format_unknown"),
        ([("Content-Encoding", "identity"), ("Content-Type", "text/csv")], b"n,n\n1,2\n", 400, "ingest.header_invalid"),
    ] {
        let mut request = node.post("/v1/ingest/default/T").body(body.to_vec());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let (answered, answer) = body_of(request.send().await.unwrap()).await;
        assert_eq!((answered, &answer["error"]["code"]), (status, &json!(code)), "{answer}");
        assert!(answer["error"]["hint"].is_string(), "{answer}");
    }
    assert_eq!(node.rows(".show tables").await, json!([]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_as_deep_as_50000_brackets_are_kept_as_rejected() {
    let node = TestNode::start().await;
    let deep = format!("{{\"n\":1}}\n{{\"d\":{}{}}}\n", "[".repeat(50_000), "]".repeat(50_000));
    let answer = node.ingest("T", deep).await;
    assert_eq!((&answer["rows"], &answer["rejected"]), (&json!(1), &json!(1)), "{answer}");
    assert_eq!(node.rows("_rejected | where Reason contains 'deeper' | count").await, json!([[1]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_may_not_be_made_is_named() {
    let ingest = IngestSettings { create_on_write: false, ..IngestSettings::default() };
    let node = TestNode::start_with(Settings::default(), ingest).await;
    let reply = node.post("/v1/ingest/default/Nowhere").body("{\"n\":1}\n").send().await.unwrap();
    let (status, answer) = body_of(reply).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("ingest.table_missing")), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("Nowhere"), "{answer}");
    assert!(answer["error"]["hint"].as_str().unwrap().contains("create"), "{answer}");
    node.stop().await;
}
