//! Idempotency keys: any number of tries, on any node, store once and are answered alike.

use futures::future::join_all;

use kyma_core::format::write_hash;
use kyma_core::profile::IoCounters;

use crate::catalog::CommitFault;
use crate::node::World;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_tries_on_two_nodes_store_once() {
    let world = World::new().await;
    let (one, two) = (world.node().await, world.node().await);
    let tries = (0..20).map(|at| {
        let node = if at % 2 == 0 { &one } else { &two };
        node.write_once("t", "key", "{\"n\":1}\n{\"n\":2}\nbroken\n")
    });
    let others = (0..20).map(|at| {
        let node = if at % 2 == 0 { &one } else { &two };
        async move { node.write("t", &format!("{{\"n\":{}}}", 100 + at)).await }
    });
    let (tries, others) = tokio::join!(join_all(tries), join_all(others));
    let answers: Vec<_> = tries.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!((answers[0].rows, answers[0].rejected), (2, 1));
    assert!(others.into_iter().all(|answer| answer.is_ok_and(|answer| answer.rows == 1)));
    let mut expected: Vec<String> = (100..120).chain([1, 2]).map(|n| n.to_string()).collect();
    expected.sort();
    assert_eq!(world.column("t", "n").await, expected);
    assert_eq!(world.rows("_rejected").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_retry_on_another_node_gets_the_first_answer() {
    let world = World::new().await;
    let first = world.node().await.write_once("t", "key", r#"{"n":1}"#).await.unwrap();
    let again = world.node().await.write_once("t", "key", r#"{"n":2}"#).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(world.column("t", "n").await, ["1"]);
    let other = world.node().await.write_once("t", "other", r#"{"n":2}"#).await.unwrap();
    assert_ne!(first.extents, other.extents);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_try_leaves_the_key_free() {
    let world = World::new().await;
    let node = world.node().await;
    node.catalog.plan(CommitFault::Down);
    assert!(node.write_once("t", "key", r#"{"n":1}"#).await.is_err());
    assert_eq!(node.write_once("t", "key", r#"{"n":1}"#).await.unwrap().rows, 1);
    assert_eq!(world.column("t", "n").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_no_rows_is_remembered_too() {
    let world = World::new().await;
    let node = world.node().await;
    node.write("t", r#"{"n":1}"#).await.unwrap();
    let empty = node.write_once("t", "key", "\n\n").await.unwrap();
    assert_eq!((empty.rows, empty.extents.len()), (0, 0));
    assert_eq!(node.write_once("t", "key", r#"{"n":2}"#).await.unwrap(), empty);
    assert_eq!(world.column("t", "n").await, ["1"]);
}

/// A client without keys sends the same bytes again after a time-out: the policy of its table says whether that is a new write.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_body_is_stored_once_within_the_window_of_its_table() {
    let world = World::new().await;
    let (one, two) = (world.node().await, world.node().await);
    let body = "{\"n\":1}\n{\"n\":2}\n";
    one.write("t", body).await.unwrap();
    one.write("t", body).await.unwrap();
    assert_eq!(world.column("t", "n").await, ["1", "1", "2", "2"], "without the policy every write counts");

    let database = world.catalog.database("d").await.unwrap().unwrap();
    let table = world.catalog.table(database.id, "t").await.unwrap().unwrap();
    world.catalog.set_deduplication(table.id, 600).await.unwrap();
    [&one, &two].iter().for_each(|node| node.ingester.forget_table("d", "t"));
    let body = "{\"n\":3}\n{\"n\":4}\n";
    let tries = (0..10).map(|at| if at % 2 == 0 { one.write("t", body) } else { two.write("t", body) });
    let answers: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(one.write("t", "{\"n\":4}\n{\"n\":3}\n").await.unwrap().rows, 2, "another body");
    two.write_once("t", "a key", body).await.unwrap();
    two.write("other", body).await.unwrap();
    assert_eq!(world.column("t", "n").await, ["1", "1", "2", "2", "3", "3", "3", "4", "4", "4"]);
    assert_eq!(world.column("other", "n").await, ["3", "4"]);
}

/// What a rebuilt catalog needs: the footer says all of the row, and names the writes when every one has a key.
#[tokio::test(flavor = "multi_thread")]
async fn footers_say_what_the_catalog_knows() {
    let world = World::new().await;
    let node = world.node().await;
    node.write_once("t", "key", "{\"n\":1}\n{\"n\":2}").await.unwrap();
    node.write("u", r#"{"n":1}"#).await.unwrap();
    let store = kyma_storage::Store::from_object_store(std::sync::Arc::clone(&world.objects));
    for table in ["t", "u"] {
        let extents = world.extents(table).await;
        let [extent] = extents.as_slice() else { panic!("one extent: {extents:?}") };
        let source = store.reader(&extent.location, std::sync::Arc::new(IoCounters::default()));
        let open = kyma_core::format::OpenOptions {
            extent: extent.id,
            length: extent.location.length,
            footer_length: extent.footer_length,
            footer: None,
        };
        let format: &dyn kyma_core::format::SegmentFormat = &kyma_format_tlm::Tlm;
        let identity = format.open(source, &open).await.unwrap().identity().unwrap();
        let row = identity.to_extent(&extent.format, extent.location.clone(), extent.footer_length);
        assert_eq!((&row, identity.table_name.as_str()), (&extent.new, table));
        let hash = write_hash(extent.database, "key");
        assert_eq!(identity.writes, if table == "t" { vec![hash] } else { Vec::new() });
    }
}
