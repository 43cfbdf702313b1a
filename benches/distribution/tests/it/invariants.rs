//! The five invariants, against real processes where the claim is about processes.

use serde_json::json;

use crate::process::{self, Cluster};
use crate::tree;

fn rows(from: i64, count: i64) -> Vec<serde_json::Value> {
    let row = |id: i64| json!({"Timestamp": format!("2026-01-01T00:{:02}:{:02}Z", id / 60 % 60, id % 60), "id": id, "k": {"pod": format!("p{}", id % 3)}});
    (from..from + count).map(row).collect()
}

/// 1. Kill every node, wipe every disk, start new ones: every acked row answers, exactly once. Then lose the catalog.
#[tokio::test(flavor = "multi_thread")]
async fn object_storage_is_the_only_source_of_truth() {
    let cluster = Cluster::start().await;
    let mut acked = 0;
    for round in 0..3 {
        let node = cluster.node().await;
        for batch in 0..4 {
            let key = format!("{round}-{batch}");
            node.ingest("T", &key, &rows(acked, 25)).await.expect("the write is acknowledged");
            acked += 25;
        }
        // In flight when the node dies: not acknowledged, and sent again under its key to another node.
        let (last, in_flight) = (format!("{round}-last"), rows(acked, 25));
        tokio::select! {
            _ = node.ingest("T", &last, &in_flight) => {}
            () = tokio::time::sleep(std::time::Duration::from_millis(round * 90)) => {}
        }
        node.kill_and_wipe();
        let next = cluster.node().await;
        next.ingest("T", &last, &in_flight).await.expect("the retry is acknowledged");
        acked += 25;
        next.kill_and_wipe();
    }
    let question = "T | summarize n = count(), ids = dcount(id), first = min(id), last = max(id)";
    let fresh = cluster.node().await;
    assert_eq!(fresh.query(question).await, [json!([acked, acked, 0, acked - 1])]);
    fresh.kill_and_wipe();
    // The catalog, too: what is left is the bucket.
    let cluster = cluster.rebuilt().await;
    let node = cluster.node().await;
    assert_eq!(node.query(question).await, [json!([acked, acked, 0, acked - 1])]);
    // Its journal may not be written yet; then nothing is wrong.
    cluster.succeed("verify --full --repair");
    cluster.succeed("verify --full");
}

/// 1. A node needs no file of its own: on a read-only root it takes writes and answers them.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_works_on_a_read_only_root() {
    let cluster = Cluster::start().await;
    let node = cluster.node_on_read_only_root().await;
    node.ingest("T", "one", &rows(0, 30)).await.expect("the write is acknowledged");
    node.kill_and_wipe();
    let next = cluster.node_on_read_only_root().await;
    assert_eq!(next.query("T | summarize n = count(), s = sum(id)").await, [json!([30, 435])]);
}

/// 2. The same question has the same answer on any node, on a new node, and while its cache is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn query_nodes_are_stateless() {
    let cluster = Cluster::start().await;
    let first = cluster.node().await;
    for batch in 0..5 {
        first.ingest("T", &batch.to_string(), &rows(batch * 40, 40)).await.expect("the write is acknowledged");
    }
    let question =
        "T | where id % 7 != 0 | summarize n = count(), s = sum(id) by pod = tostring(k.pod) | order by pod asc";
    let want = first.query(question).await;
    assert_eq!(want.len(), 3);
    let second = cluster.node().await;
    assert_eq!(second.query(question).await, want);
    for _ in 0..10 {
        let _ = std::fs::remove_dir_all(second.cache());
        assert_eq!(second.query(question).await, want);
    }
}

/// 3. The binary refuses to run without a catalog, and says what to do.
#[test]
fn the_binary_refuses_to_run_without_a_catalog() {
    let out = process::run(&["serve", "--listen", "127.0.0.1:0"]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success());
    assert!(text.contains("catalog"), "the error should name the catalog: {text}");

    let out = process::run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--catalog-url",
        "postgres://127.0.0.1:1/none",
        "--store-url",
        "file:///tmp/kyma-none",
    ]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success());
    assert!(text.contains("catalog") || text.contains("PostgreSQL"), "the error should name the catalog: {text}");
}

/// 3. There is one implementation of the catalog that ships. The simulator's model never does (`layers`).
#[test]
fn one_crate_implements_the_catalog() {
    let implementers: Vec<String> = tree::sources("crates")
        .into_iter()
        .filter(|(_, text)| text.contains("impl Catalog for"))
        .map(|(path, _)| path)
        .collect();
    assert!(
        implementers.iter().all(|path| path.starts_with("crates/kyma-catalog-postgres/src")
            || path.starts_with("crates/kyma-testkit/src")
            || path.starts_with("crates/kyma-sim/src")
            || path.contains("/tests/")),
        "{implementers:?}"
    );
    assert_eq!(implementers.iter().filter(|path| path.starts_with("crates/kyma-catalog-postgres/src")).count(), 1);
}
