//! What a query costs and would cost: in JSON, in Kusto's words, in `/metrics`.

use serde_json::{Value, json};

use crate::node::{TestNode, body_of};

const ROWS: &str = "{\"Timestamp\":\"2026-01-01T00:00:00Z\",\"n\":1,\"s\":\"a\"}\n\
                    {\"Timestamp\":\"2026-01-01T00:00:01Z\",\"n\":2,\"s\":\"b\"}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_comes_when_it_is_asked_for() {
    let node = TestNode::start().await;
    node.ingest("T", ROWS).await;
    let (_, answer) = node.query(json!({ "query": "T | where n > 1 | project s", "profile": true })).await;
    let profile = &answer["profile"];
    assert_eq!((&profile["rows_returned"], &profile["catalog"]["kept"]), (&json!(1), &json!(1)), "{answer}");
    assert!(profile["operators"].as_array().is_some_and(|all| all.iter().any(|it| it["name"] == "scan")), "{answer}");

    let body = json!({ "query": "T | count" });
    let (_, answer) = body_of(node.post("/v1/query?profile=true").json(&body).send().await.unwrap()).await;
    assert_eq!(answer["profile"]["metadata_answers"], 1, "{answer}");
    let request = node.get("/v1/query").query(&[("query", "T | count"), ("profile", "true")]);
    let (_, answer) = body_of(request.send().await.unwrap()).await;
    assert_eq!(answer["profile"]["rows_returned"], 1, "{answer}");

    // A query that failed has cost something, too.
    let body = json!({ "query": "T | project s", "profile": true, "limits": { "rows": 1 } });
    let (status, answer) = node.query(body).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("query.result_too_large")), "{answer}");
    assert_eq!(answer["profile"]["catalog"]["kept"], 1, "{answer}");

    // Other formats have no place for it.
    let request = node.post("/v1/query?profile=true").header("Accept", "text/csv").json(&json!({ "query": "T" }));
    let (status, answer) = body_of(request.send().await.unwrap()).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("query.bad_request")), "{answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_answers_with_a_plan() {
    let node = TestNode::start().await;
    node.ingest("T", ROWS).await;
    let (status, answer) = node.query(json!({ "query": "T | where n > 1 | project s", "explain": true })).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["text"].as_str().is_some_and(|text| text.contains("scan: default.T")), "{answer}");
    let scan = answer["explain"]["operators"].as_array().unwrap().iter().find(|it| it["name"] == "scan").unwrap();
    assert_eq!((&scan["scan"]["columns"], &scan["scan"]["filter_columns"]), (&json!(["s"]), &json!(["n"])), "{answer}");
    let estimate = &answer["explain"]["estimate"];
    assert_eq!((&estimate["extents"], &estimate["rows"]), (&json!(1), &json!(2)), "{answer}");

    for wrong in ["T | nosuch", ".show tables"] {
        let (status, answer) = node.query(json!({ "query": wrong, "explain": true })).await;
        assert_eq!(status, 400, "{answer}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kusto_clients_see_the_consumption() {
    let node = TestNode::start().await;
    node.ingest("T", ROWS).await;
    let body = json!({ "db": "default", "csl": "T | where n > 1 | project s" });
    let (_, frames) = body_of(node.post("/v2/rest/query").json(&body).send().await.unwrap()).await;
    let information = frames.as_array().unwrap().iter().find(|it| it["TableKind"] == "QueryCompletionInformation");
    let rows = information.unwrap()["Rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row[10] == "QueryResourceConsumption").unwrap();
    assert_eq!((&row[5], &row[6]), (&json!(6), &json!("Stats")));
    check(&serde_json::from_str(row[11].as_str().unwrap()).unwrap());

    let (_, answer) = body_of(node.post("/v1/rest/query").json(&body).send().await.unwrap()).await;
    let status = answer["Tables"][2]["Rows"].as_array().unwrap();
    assert_eq!((&status[0][2], &status[1][2]), (&json!("Info"), &json!("Stats")), "{answer}");
    check(&serde_json::from_str(status[1][4].as_str().unwrap()).unwrap());
    node.stop().await;
}

fn check(cost: &Value) {
    assert!(cost["ExecutionTime"].as_f64().is_some_and(|seconds| seconds > 0.0), "{cost}");
    assert_eq!(cost["dataset_statistics"][0]["table_row_count"], 1, "{cost}");
    let input = &cost["input_dataset_statistics"];
    assert_eq!(input["rows"], json!({ "total": 2, "scanned": 2 }), "{cost}");
    assert_eq!((&input["extents"]["total"], &input["extents"]["scanned"]), (&json!(1), &json!(1)), "{cost}");
    assert_eq!(input["extents"]["scanned_max_datetime"], "2026-01-01T00:00:01.0000000Z", "{cost}");
    assert!(cost["resource_usage"]["cpu"]["total cpu"].is_string(), "{cost}");
    assert!(cost["resource_usage"]["memory"]["peak_per_node"].is_u64(), "{cost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_add_up_what_queries_cost() {
    let node = TestNode::start().await;
    node.ingest("T", ROWS).await;
    node.rows("T | where n > 1 | project s").await;
    node.rows("T | where n > 7 | project s").await;
    node.query(json!({ "query": "T | nosuch" })).await;
    let metrics = node.get("/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        "kyma_queries_total{language=\"kql\",outcome=\"ok\"} 2",
        "kyma_queries_total{language=\"kql\",outcome=\"invalid\"} 1",
        "kyma_queries_running 0",
        "kyma_query_duration_seconds_count{language=\"kql\"} 3",
        "kyma_query_considered_total{level=\"catalog\"} 2",
        "kyma_query_pruned_total{level=\"catalog\",reason=\"bounds\"} 1",
        "kyma_query_rows_scanned_total 2",
        "kyma_query_rows_returned_total 1",
        "kyma_query_spilled_bytes_total 0",
        "kyma_query_memory_bytes 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    for name in ["kyma_query_store_requests_total ", "kyma_query_store_bytes_total ", "kyma_query_cache_hits_total "] {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name} in {metrics}");
    }
    node.stop().await;
}
