//! A query reads one snapshot, whatever is committed while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use kyma_core::Type;
use kyma_exec::QueryRequest;
use tokio_util::sync::CancellationToken;

use crate::world::{DATABASE, Row, World, long, time};

fn rows(from: i64) -> Vec<Row> {
    (from..from + 10).map(|n| vec![time(n), long(n)]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_does_not_see_what_is_committed_after_it_began() {
    let world = World::start().await;
    let table = world.table("T", &[("n", Type::Long)]).await;
    for extent in 0..20 {
        world.extent(&table, "tlm", &rows(extent * 10), 5).await;
    }
    let request = QueryRequest::new("kql", DATABASE, "T | where n >= 0");
    let mut stream = world.engine.stream(request, CancellationToken::new()).await.unwrap();
    let mut seen = stream.batches.next().await.unwrap().unwrap().num_rows();
    for extent in 20..25 {
        world.extent(&table, "tlm", &rows(extent * 10), 5).await;
    }
    while let Some(batch) = stream.batches.next().await {
        seen += batch.unwrap().num_rows();
    }
    assert_eq!(seen, 200);
    let profile = (stream.profile)();
    assert_eq!((profile.rows_returned, profile.snapshot.contains_key(DATABASE)), (200, true));
    assert_eq!(world.rows("T | count").await, ["250"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_parts_of_a_query_read_the_same_rows() {
    let world = Arc::new(World::start().await);
    let table = world.table("T", &[("n", Type::Long)]).await;
    world.extent(&table, "tlm", &rows(0), 5).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (world, stop, table) = (Arc::clone(&world), Arc::clone(&stop), table.clone());
        tokio::spawn(async move {
            let mut extents = 1;
            while !stop.load(Ordering::Relaxed) && extents < 200 {
                world.extent(&table, "tlm", &rows(extents * 10), 5).await;
                extents += 1;
            }
            extents
        })
    };
    for _ in 0..15 {
        let query = "T | summarize a = count() | extend b = toscalar(T | where n >= 0 | summarize countif(n > -1)), \
                     c = toscalar(T | join kind=inner T on n | count) | project same = a == b and b == c";
        assert_eq!(world.rows(query).await, ["true"]);
    }
    stop.store(true, Ordering::Relaxed);
    let extents = writer.await.unwrap();
    assert_eq!(world.rows("T | count").await, [(extents * 10).to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_is_found_at_once() {
    let world = World::start().await;
    assert_eq!(world.error("T | count").await.kind(), kyma_core::Kind::Invalid);
    let table = world.table("T", &[("n", Type::Long)]).await;
    assert_eq!(world.rows("T | count").await, ["0"]);
    world.extent(&table, "tlm", &rows(0), 5).await;
    assert_eq!(world.rows("T | count").await, ["10"]);
}
