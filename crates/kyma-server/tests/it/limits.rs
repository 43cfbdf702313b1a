//! Every limit is a clear answer, and the node lives on.

use std::io::Write;
use std::time::Duration;

use kyma_ingest::IngestSettings;
use kyma_server::Settings;
use serde_json::json;

use crate::node::{TestNode, body_of};

fn small_bodies() -> IngestSettings {
    IngestSettings { body_bytes_max: 8 * 1024 * 1024, ..IngestSettings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_refused_before_it_unfolds() {
    let node = TestNode::start_with(Settings::default(), small_bodies()).await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1024 * 1024];
    (0..200).for_each(|_| encoder.write_all(&zeros).unwrap());
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 512 * 1024);
    let reply = node.post("/v1/ingest/default/T").header("Content-Encoding", "gzip").body(bomb).send().await.unwrap();
    let (status, answer) = body_of(reply).await;
    assert_eq!((status, &answer["error"]["code"]), (413, &json!("ingest.body_too_large")), "{answer}");
    assert_eq!(node.rows("print 1").await, json!([[1]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_text_has_a_limit() {
    let node = TestNode::start().await;
    let (status, answer) = node.query(json!({ "query": format!("print '{}'", "x".repeat(5 << 20)) })).await;
    assert_eq!((status, &answer["error"]["code"]), (413, &json!("query.body_too_large")), "{answer}");
    let (status, answer) =
        node.query(json!({ "query": format!("print {}1{}", "(".repeat(50_000), ")".repeat(50_000)) })).await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"]["code"].as_str().is_some_and(|code| code.starts_with("kql.")), "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("deep")), "{answer}");
    assert_eq!(node.rows("print 1").await, json!([[1]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_has_limits() {
    let node = TestNode::start().await;
    let query = "range x from 1 to 1000 step 1";
    let (status, answer) = node.query(json!({ "query": query, "limits": { "rows": 10 } })).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("query.result_too_large")), "{answer}");
    assert!(answer["error"]["hint"].is_string(), "{answer}");
    let (status, answer) = node.query(json!({ "query": query, "limits": { "rows": 10, "truncate": true } })).await;
    assert_eq!((status, answer["rows"].as_array().map(Vec::len)), (200, Some(10)), "{answer}");
    node.stop().await;
}

/// Runs until it is stopped: a cross join of a hundred million with itself.
const ENDLESS: &str = "range x from 1 to 100000000 step 1 | extend k = 1 | join kind=inner (range y from 1 to 100000000 step 1 | extend k = 1) on k | summarize sum(x + y)";

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_when_its_time_is_up_or_its_client_goes() {
    let node = TestNode::start_with(
        Settings { queries_max: 1, queries_waiting_max: 0, ..Settings::default() },
        IngestSettings::default(),
    )
    .await;
    let (status, answer) = node.query(json!({ "query": ENDLESS, "limits": { "seconds": 0.5 } })).await;
    assert_eq!(status, 504, "{answer}");

    let request = node.post("/v1/query").json(&json!({ "query": ENDLESS })).timeout(Duration::from_millis(500));
    assert!(request.send().await.unwrap_err().is_timeout());
    // The only place is free again soon after: the query went with its client.
    for attempt in 0.. {
        let (status, answer) = node.query(json!({ "query": "print 1" })).await;
        if status == 200 {
            break;
        }
        assert_eq!((status, &answer["error"]["code"]), (429, &json!("query.too_many")), "{answer}");
        assert!(attempt < 100, "the query still runs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let metrics = node.get("/metrics").send().await.unwrap().text().await.unwrap();
    for outcome in ["exhausted", "cancelled"] {
        let line = format!("kyma_queries_total{{language=\"kql\",outcome=\"{outcome}\"}} 1");
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_queries_are_refused_at_once() {
    let node = TestNode::start_with(
        Settings { queries_max: 1, queries_waiting_max: 0, ..Settings::default() },
        IngestSettings::default(),
    )
    .await;
    let running = node.query(json!({ "query": ENDLESS, "limits": { "seconds": 3 } }));
    let refused = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        node.post("/v1/query").json(&json!({ "query": "print 1" })).send().await.unwrap()
    };
    let (_, refused) = tokio::join!(running, refused);
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    node.stop().await;
}
