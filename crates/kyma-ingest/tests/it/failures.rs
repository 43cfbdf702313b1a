//! Store, catalog and tables that fail at the worst moment. Nothing acknowledged is lost, nothing is doubled.

use std::time::Duration;

use kyma_core::Kind;
use kyma_ingest::IngestSettings;
use kyma_storage::fault::{Call, Fault};

use crate::catalog::CommitFault;
use crate::node::{World, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_fails_the_write_and_nothing_else() {
    let world = World::new().await;
    let node = world.node().await;
    node.write("t", r#"{"n":1}"#).await.unwrap();
    node.faults.set_down(true);
    let error = node.write("t", r#"{"n":2}"#).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "store.unavailable"));
    node.faults.set_down(false);
    assert_eq!(node.ingester.buffer_bytes(), 0, "memory is given back");
    node.write("t", r#"{"n":3}"#).await.unwrap();
    node.faults.plan(Call::Put, Fault::LostAnswer);
    node.write("t", r#"{"n":4}"#).await.unwrap();
    assert_eq!(world.column("t", "n").await, ["1", "3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_is_down_at_the_commit_leaves_an_orphan_only() {
    let world = World::new().await;
    let node = world.node().await;
    node.write("t", r#"{"n":1}"#).await.unwrap();
    node.catalog.plan(CommitFault::Down);
    let error = node.write("t", r#"{"n":2}"#).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "catalog.unavailable"));
    assert_eq!(world.objects().await, 2, "the orphan");
    assert_eq!(world.column("t", "n").await, ["1"]);
    let doomed = world.catalog.revoke_stale(Duration::ZERO, 10).await.unwrap();
    assert_eq!(doomed.len(), 1, "the collector finds it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_resolved() {
    let world = World::new().await;
    let node = world.node().await;
    node.catalog.plan(CommitFault::LostAnswer);
    let stored = node.write("t", r#"{"n":1}"#).await.unwrap();
    assert_eq!(world.extents("t").await[0].added, stored.sequence);
    node.catalog.plan(CommitFault::LostRequest);
    node.write("t", r#"{"n":2}"#).await.unwrap();
    assert_eq!(world.column("t", "n").await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_reservation_is_replaced() {
    let world = World::new().await;
    let node = world.node().await;
    node.catalog.plan(CommitFault::Revoked);
    node.catalog.plan(CommitFault::Revoked);
    node.write("t", r#"{"n":1}"#).await.unwrap();
    assert_eq!(world.column("t", "n").await, ["1"]);
    assert_eq!(world.objects().await, 3);
    let extent = &world.extents("t").await[0];
    let doomed = world.catalog.doomed(10).await.unwrap();
    assert!(doomed.iter().all(|object| object.key != extent.location.key), "the registered object is not doomed");
    for _ in 0..3 {
        node.catalog.plan(CommitFault::Revoked);
    }
    assert_eq!(node.write("t", r#"{"n":2}"#).await.unwrap_err().code(), "ingest.commit_failed");
    assert_eq!(world.column("t", "n").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_writer_cannot_commit_what_was_collected() {
    let world = World::new().await;
    let node = world.node().await;
    node.catalog.plan(CommitFault::Stall);
    let (written, ()) = tokio::join!(node.write("t", r#"{"n":1}"#), async {
        node.catalog.stalled.notified().await;
        for object in world.catalog.revoke_stale(Duration::ZERO, 10).await.unwrap() {
            node.store.delete(&object.key).await.unwrap();
            world.catalog.forget(&object.key).await.unwrap();
        }
        node.catalog.release.notify_one();
    });
    written.unwrap();
    assert_eq!(world.column("t", "n").await, ["1"], "stored again under a new key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_dropped_on_the_way_fails_its_own_rows_only() {
    let world = World::new().await;
    let slow = IngestSettings { flush_interval: Duration::from_millis(400), ..settings() };
    let node = world.node_with(slow).await;
    node.write("gone", r#"{"n":1}"#).await.unwrap();
    node.write("stays", r#"{"n":1}"#).await.unwrap();
    let database = world.catalog.database("d").await.unwrap().unwrap();
    let gone = world.catalog.table(database.id, "gone").await.unwrap().unwrap();
    let (lost, kept, ()) = tokio::join!(node.write("gone", r#"{"n":2}"#), node.write("stays", r#"{"n":2}"#), async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        world.catalog.drop_table(gone.id).await.unwrap();
    });
    let error = lost.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "ingest.table_gone"));
    kept.unwrap();
    assert_eq!(world.column("stays", "n").await, ["1", "2"]);
    node.write("gone", r#"{"n":3}"#).await.unwrap();
    assert_eq!(world.column("gone", "n").await, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_flush_is_tried_write_by_write() {
    let world = World::new().await;
    let slow = IngestSettings { flush_interval: Duration::from_millis(500), ..settings() };
    let node = world.node_with(slow).await;
    // The flush of all three, then the one that is to blame.
    node.catalog.plan(CommitFault::Refused);
    node.catalog.plan(CommitFault::Refused);
    let (one, two, three) =
        tokio::join!(node.write("a", r#"{"n":1}"#), node.write("b", r#"{"n":1}"#), node.write("a", r#"{"n":2}"#));
    let failed = [one, two, three].into_iter().filter(Result::is_err).count();
    assert_eq!(failed, 1);
    assert_eq!(world.rows("a").await.len() + world.rows("b").await.len(), 2);
}

/// A PostgreSQL of its own that goes away and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_process_that_stops_fails_writes_in_time_and_recovers() {
    use kyma_catalog_postgres::local::{Options, Server};
    use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let start = async || Server::start(Options::throw_away(folder.path().join("pg"))).await.unwrap();
    let server = start().await;
    let quick = CatalogSettings {
        connect_timeout_millis: 1_000,
        statement_timeout_millis: 2_000,
        ..CatalogSettings::default()
    };
    let catalog = PostgresCatalog::connect(&server.url(), &quick).await.unwrap();
    catalog.migrate().await.unwrap();
    let world = World::with(catalog);
    let node = world.node().await;
    node.write("t", r#"{"n":1}"#).await.unwrap();
    server.stop().await.unwrap();
    let started = std::time::Instant::now();
    let error = node.write("t", r#"{"n":2}"#).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(node.ingester.buffer_bytes(), 0);
    let server = start().await;
    node.write("t", r#"{"n":3}"#).await.unwrap();
    assert_eq!(world.column("t", "n").await, ["1", "3"]);
    drop(node);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_memory_allows_is_refused_and_the_rest_is_stored() {
    let world = World::new().await;
    let tight = IngestSettings { table_buffer_bytes_max: 200_000, buffer_bytes_max: 300_000, ..settings() };
    let node = world.node_with(tight).await;
    node.write("t", r#"{"n":0}"#).await.unwrap();
    node.faults.set_latency(Duration::from_millis(20));
    let body = format!("{{\"n\":1,\"m\":\"{}\"}}", "x".repeat(20_000));
    let writes = futures::future::join_all((0..40).map(|_| node.write("t", &body))).await;
    let stored = writes.iter().filter(|write| write.is_ok()).count();
    let refused = writes.iter().filter_map(|write| write.as_ref().err());
    assert!(refused.clone().all(|error| (error.kind(), error.code()) == (Kind::Exhausted, "ingest.overloaded")));
    assert!(stored > 0 && refused.count() > 0, "{stored}");
    assert_eq!(world.column("t", "n").await.len(), stored + 1);
    assert_eq!(node.ingester.buffer_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_stores_nothing_halfway() {
    use futures::StreamExt;
    let world = World::new().await;
    let node = world.node().await;
    let line = format!("{{\"n\":1,\"m\":\"{}\"}}\n", "x".repeat(1_000));
    let sent = bytes::Bytes::from(line.repeat(5_000));
    let body = futures::stream::iter([Ok(sent)]).chain(futures::stream::pending()).boxed();
    let request = crate::node::request("t");
    let gone = tokio::time::timeout(Duration::from_millis(500), node.ingester.ingest(&request, body)).await;
    assert!(gone.is_err());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.rows("t").await.len(), 0);
    assert_eq!(node.ingester.buffer_bytes(), 0, "memory is given back");
}
