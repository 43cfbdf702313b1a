//! A node that leaves: what its clients see, and how long it takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kyma_ingest::IngestSettings;
use kyma_server::Settings;
use kyma_storage::Store;
use kyma_storage::fault::{Faults, FaultyStore};
use kyma_storage::object_store::memory::InMemory;
use kyma_testkit::postgres::TestDatabase;
use serde_json::json;

use crate::node::{TestNode, body_of, client};

async fn node(settings: Settings) -> (TestNode, Faults, TestDatabase) {
    let (catalog, database) = kyma_testkit::postgres::catalog().await;
    let (faulty, faults) = FaultyStore::new(Arc::new(InMemory::new()));
    let store = Store::with_deadlines(faulty, Duration::from_secs(60), Duration::from_secs(60));
    (TestNode::as_set(catalog, store, settings, IngestSettings::default()).await, faults, database)
}

/// Waits until the node says that it leaves; what a request is answered meanwhile counts for nothing.
async fn until_leaving(client: &reqwest::Client, url: &str) {
    loop {
        let (status, answer) = body_of(client.get(format!("{url}/readyz")).send().await.unwrap()).await;
        if status == 503 && answer["draining"] == true {
            assert_eq!(answer["reasons"][0]["part"], "node", "{answer}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_answered_while_balancers_notice_and_each_answer_says_close() {
    let (node, _faults, _database) = node(Settings { lame_duck_millis: 3_000, ..Settings::default() }).await;
    node.ingest("T", "{\"n\":1}\n").await;
    let (url, stopping) = node.stopping();
    let http = client();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(stopping);
    until_leaving(&http, &url).await;
    let reply = http.post(format!("{url}/v1/ingest/default/T")).body("{\"n\":2}\n").send().await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.headers()["connection"].to_str().unwrap()), (200, "close"));
    let reply = http.post(format!("{url}/v1/query")).json(&json!({ "query": "T | count" })).send().await.unwrap();
    assert_eq!(reply.headers()["connection"].to_str().unwrap(), "close");
    let (status, answer) = body_of(reply).await;
    assert_eq!((status, &answer["rows"]), (200, &json!([[2]])), "{answer}");
    tasks.join_next().await.unwrap().unwrap();
    let refused = http.get(format!("{url}/healthz")).send().await.unwrap_err();
    assert!(refused.is_connect(), "{refused:?}");
}

/// The store hangs, so a write never ends: it is answered before the node's time is up, and what comes meanwhile is
/// refused, on old and new connections, in words that say "again".
#[tokio::test(flavor = "multi_thread")]
async fn what_still_waits_is_answered_and_what_comes_is_refused_in_one_bounded_time() {
    let (node, faults, database) =
        node(Settings { drain_seconds: 3, lame_duck_millis: 0, ..Settings::default() }).await;
    node.ingest("T", "{\"n\":1}\n").await;
    faults.set_hang(true);
    let (http, url) = (client(), node.url.clone());
    let waiting = http.post(format!("{url}/v1/ingest/default/T")).body("{\"n\":2}\n").send();
    let mut writes = tokio::task::JoinSet::new();
    writes.spawn(waiting);
    // The write has arrived when the node says that it holds rows.
    while !node.get("/metrics").send().await.unwrap().text().await.unwrap().contains("kyma_http_requests_running 2") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    let (_, stopping) = node.stopping();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(stopping);
    until_leaving(&http, &url).await;
    for http in [&http, &client()] {
        loop {
            let reply = http
                .post(format!("{url}/v1/ingest/default/T"))
                .body("{\"n\":3}\n")
                .timeout(Duration::from_millis(700))
                .send()
                .await;
            // One that slipped in before the node refuses waits as the first does.
            let Ok(reply) = reply else { continue };
            assert_eq!(reply.headers()["retry-after"], "1");
            assert_eq!(reply.headers()["connection"].to_str().unwrap(), "close");
            let (status, answer) = body_of(reply).await;
            assert_eq!((status, &answer["error"]["code"]), (503, &json!("server.draining")), "{answer}");
            break;
        }
    }
    let reply = writes.join_next().await.unwrap().unwrap().expect("an answer, not a broken connection");
    assert_eq!(reply.headers()["retry-after"], "1");
    let (status, answer) = body_of(reply).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("server.draining")), "{answer}");
    tasks.join_next().await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop((faults, database));
}
