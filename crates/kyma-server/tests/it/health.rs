//! `/readyz`: no blip takes a node out of its balancer, and the answer never waits for a part that hangs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kyma_ingest::IngestSettings;
use kyma_server::Settings;
use kyma_storage::Store;
use kyma_storage::fault::{Faults, FaultyStore};
use kyma_storage::object_store::memory::InMemory;
use kyma_testkit::postgres::TestDatabase;
use serde_json::json;

use crate::node::{TestNode, body_of};

async fn over_faulty_store(settings: Settings, is_down: bool) -> (TestNode, Faults, TestDatabase) {
    let (catalog, database) = kyma_testkit::postgres::catalog().await;
    let (faulty, faults) = FaultyStore::new(Arc::new(InMemory::new()));
    faults.set_down(is_down);
    let store = Store::with_deadlines(faulty, Duration::from_secs(1), Duration::from_millis(300));
    let settings = Settings { ready_period_millis: 20, lame_duck_millis: 0, ..settings };
    (TestNode::as_set(catalog, store, settings, IngestSettings::default()).await, faults, database)
}

/// Waits until the store failed at least twice in a row.
async fn until_failing(node: &TestNode) -> serde_json::Value {
    let began = Instant::now();
    loop {
        let (_, answer) = body_of(node.get("/readyz").send().await.unwrap()).await;
        if answer["store"].as_str().is_some_and(|text| text.contains("in a row") && !text.contains("in a row: 1)")) {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blip_is_shown_and_does_not_count() {
    // Failures count after an hour: whatever this test sees of them is a blip.
    let settings = Settings { unready_millis: 3_600_000, ..Settings::default() };
    let (node, faults, _database) = over_faulty_store(settings, false).await;
    node.until_ready(true).await;
    faults.set_down(true);
    let answer = until_failing(&node).await;
    assert_eq!((&answer["ready"], &answer["reasons"]), (&json!(true), &json!([])), "{answer}");
    faults.set_down(false);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lasts_counts_and_one_answer_ends_it() {
    let settings = Settings { unready_millis: 100, unready_failures: 3, ..Settings::default() };
    let (node, faults, _database) = over_faulty_store(settings, false).await;
    node.until_ready(true).await;
    faults.set_down(true);
    let answer = node.until_ready(false).await;
    assert_eq!((&answer["reasons"][0]["part"], &answer["catalog"]), (&json!("store"), &json!("ok")), "{answer}");
    assert_eq!(answer["draining"], false);
    faults.set_down(false);
    node.until_ready(true).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_node_is_ready_when_both_parts_have_answered() {
    let settings = Settings { unready_millis: 3_600_000, ..Settings::default() };
    let (node, faults, _database) = over_faulty_store(settings, true).await;
    let answer = node.until_ready(false).await;
    assert_eq!(answer["reasons"].as_array().unwrap().last().unwrap()["part"], "store", "{answer}");
    faults.set_down(false);
    node.until_ready(true).await;
    node.stop().await;
}

/// The store hangs; one question alone takes seconds to fail.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_does_not_wait_for_a_part_that_hangs() {
    let (node, faults, _database) = over_faulty_store(Settings::default(), false).await;
    node.until_ready(true).await;
    faults.set_hang(true);
    let began = Instant::now();
    for _ in 0..50 {
        assert!(matches!(node.get("/readyz").send().await.unwrap().status().as_u16(), 200 | 503));
    }
    let answers = began.elapsed();
    let answer = until_failing(&node).await;
    assert!(answers < began.elapsed(), "fifty answers took {answers:?}, longer than two failures: {answer}");
    faults.set_hang(false);
    node.stop().await;
}
