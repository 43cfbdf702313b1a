//! In as NDJSON, JSON and CSV, plain and compressed; out as JSON, NDJSON, CSV and Arrow.

use std::io::Write;

use arrow::ipc::reader::StreamReader;
use serde_json::json;

use crate::node::TestNode;

const NDJSON: &str = "{\"Timestamp\":\"2026-01-01T00:00:00Z\",\"n\":1,\"s\":\"a,\\\"b\\\"\",\"d\":{\"x\":[1,null]}}\n\
                      {\"Timestamp\":\"2026-01-01T00:00:01Z\",\"n\":2,\"s\":\"line\\nbreak\"}\n";
const QUERY: &str = "T | project n, s, d, Timestamp | order by n asc";

#[tokio::test(flavor = "multi_thread")]
async fn every_format_in() {
    let node = TestNode::start().await;
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let csv = "Timestamp,n,s\n2026-01-01T00:00:00Z,3,\"a,b\"\n";
    let bodies: [(&str, &str, Vec<u8>); 5] = [
        ("application/x-ndjson", "identity", b"{\"n\":1}\n".to_vec()),
        ("application/json", "identity", b"[{\"n\":2}]".to_vec()),
        ("text/csv", "identity", csv.into()),
        ("application/x-ndjson", "gzip", gzip("{\"n\":4}\n")),
        ("application/x-ndjson", "zstd", zstd::encode_all(&b"{\"n\":5}\n"[..], 1).unwrap()),
    ];
    for (media_type, encoding, body) in bodies {
        let request = node.post("/v1/ingest/default/T").header("Content-Type", media_type);
        let reply = request.header("Content-Encoding", encoding).body(body).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{media_type} {encoding}");
        let answer: serde_json::Value = reply.json().await.unwrap();
        assert_eq!((&answer["rows"], &answer["rejected"]), (&json!(1), &json!(0)), "{media_type} {encoding}");
    }
    assert_eq!(node.rows("T | project n | order by n asc").await, json!([[1], [2], [3], [4], [5]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_out() {
    let node = TestNode::start().await;
    let answer = node.ingest("T", NDJSON).await;
    assert_eq!(answer["rows"], 2);
    assert!(answer["sequence"].is_i64() && answer["extents"].as_array().is_some_and(|extents| extents.len() == 1));

    let (_, answer) = node.query(json!({ "query": QUERY })).await;
    assert_eq!(answer["columns"][0], json!({ "name": "n", "type": "long" }));
    assert_eq!(
        answer["rows"],
        json!([
            [1, "a,\"b\"", { "x": [1, null] }, "2026-01-01T00:00:00.0000000Z"],
            [2, "line\nbreak", null, "2026-01-01T00:00:01.0000000Z"],
        ])
    );
    assert_eq!(answer["profile"], serde_json::Value::Null, "{answer}");

    let text = async |accept: &str| {
        let reply =
            node.post("/v1/query").header("Accept", accept).json(&json!({ "query": QUERY })).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{accept}");
        assert!(reply.headers()["content-type"].to_str().unwrap().starts_with(accept));
        reply.bytes().await.unwrap()
    };
    assert_eq!(
        text("application/x-ndjson").await,
        "{\"n\":1,\"s\":\"a,\\\"b\\\"\",\"d\":{\"x\":[1,null]},\"Timestamp\":\"2026-01-01T00:00:00.0000000Z\"}\n\
         {\"n\":2,\"s\":\"line\\nbreak\",\"d\":null,\"Timestamp\":\"2026-01-01T00:00:01.0000000Z\"}\n"
    );
    assert_eq!(
        text("text/csv").await,
        "n,s,d,Timestamp\r\n1,\"a,\"\"b\"\"\",\"{\"\"x\"\":[1,null]}\",2026-01-01T00:00:00.0000000Z\r\n\
         2,\"line\nbreak\",,2026-01-01T00:00:01.0000000Z\r\n"
    );
    let stream = text("application/vnd.apache.arrow.stream").await;
    let batches: Vec<_> = StreamReader::try_new(&stream[..], None).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
    assert_eq!(batches[0].schema().field(0).name(), "n");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_answer_ends_well_when_it_is_compressed() {
    let node = TestNode::start().await;
    let body = json!({ "query": "range x from 1 to 20000 step 1" });
    let request = node.post("/v1/query").header("Accept", "application/x-ndjson").header("Accept-Encoding", "gzip");
    let reply = request.json(&body).send().await.unwrap();
    assert_eq!(reply.headers()["content-encoding"], "gzip");
    // Without its end the body could not be read.
    let bytes = reply.bytes().await.unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text).unwrap();
    assert_eq!(text.lines().count(), 20_000);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_in_a_url_and_in_sql() {
    let node = TestNode::start().await;
    node.ingest("T", NDJSON).await;
    let reply = node.get("/v1/query").query(&[("query", "T | count"), ("database", "default")]).send().await.unwrap();
    assert_eq!(reply.json::<serde_json::Value>().await.unwrap()["rows"], json!([[2]]));
    let (status, answer) = node.query(json!({ "query": "select max(n) as m from \"T\"", "language": "sql" })).await;
    assert_eq!((status, &answer["rows"]), (200, &json!([[2]])), "{answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_stored_once() {
    let node = TestNode::start().await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        let request = node.post("/v1/ingest/default/T").header("Idempotency-Key", "k1").body(NDJSON);
        answers.push(request.send().await.unwrap().json::<serde_json::Value>().await.unwrap());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(node.rows("T | count").await, json!([[2]]));
    node.stop().await;
}
