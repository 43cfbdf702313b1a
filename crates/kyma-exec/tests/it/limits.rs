//! Every limit is a clear error, and the engine lives on.

use std::time::{Duration, Instant};

use futures::StreamExt;
use kyma_core::time::SECOND;
use kyma_core::{Kind, Type};
use kyma_exec::{ExecSettings, Limits, QueryRequest, TimeScope};
use tokio_util::sync::CancellationToken;

use crate::world::{DATABASE, EPOCH, Row, World, failure, long, settings, shown, text, time};

/// Runs until it is stopped.
const ENDLESS: &str = "range x from 1 to 100000000 step 1 | extend k = 1 \
    | join kind=inner (range y from 1 to 100000000 step 1 | extend k = 1) on k | summarize sum(x + y)";

fn request(text: &str, limits: Limits) -> QueryRequest {
    QueryRequest { limits, ..QueryRequest::new("kql", DATABASE, text) }
}

async fn filled(world: &World) {
    let table = world.table("T", &[("n", Type::Long), ("s", Type::String)]).await;
    for extent in 0..10 {
        let rows: Vec<Row> = (extent * 100..extent * 100 + 100)
            .map(|n| vec![time(n), long(n), text(&format!("row {n} {}", "x".repeat(100)))])
            .collect();
        world.extent(&table, "tlm", &rows, 50).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_too_large_is_refused_or_cut() {
    let world = World::start().await;
    filled(&world).await;
    let rows = Limits { rows: Some(150), ..Limits::default() };
    let bytes = Limits { bytes: Some(10_000), ..Limits::default() };
    for limits in [&rows, &bytes] {
        let error = failure(world.engine.run(request("T", limits.clone()), CancellationToken::new()).await);
        assert_eq!((error.kind(), error.code()), (Kind::Exhausted, "query.result_too_large"));
        assert!(error.hint_text().is_some_and(|hint| hint.contains("take")), "{error:?}");
    }
    let cut = QueryRequest { truncate: true, ..request("T | sort by n asc", rows.clone()) };
    let answer = world.engine.run(cut, CancellationToken::new()).await.unwrap();
    assert_eq!((shown(&answer).len(), answer.warnings[0].code.as_ref()), (150, "query.truncated"));
    let fits = world.engine.run(request("T | take 150", rows.clone()), CancellationToken::new()).await.unwrap();
    assert_eq!((shown(&fits).len(), fits.warnings.len()), (150, 0));
    let unlimited = request("set notruncation; T", rows.clone());
    assert_eq!(shown(&world.engine.run(unlimited, CancellationToken::new()).await.unwrap()).len(), 1000);

    let mut stream = world.engine.stream(request("T", rows), CancellationToken::new()).await.unwrap();
    let mut last = None;
    while let Some(batch) = stream.batches.next().await {
        last = Some(batch.map(|batch| batch.num_rows()));
    }
    assert!(last.is_some_and(|last| last.is_err()), "the stream must end with an error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_too_long_is_stopped() {
    let world = World::with(ExecSettings { cpu_threads: 1, ..settings() }).await;
    let limits = Limits { timeout: Duration::from_millis(300), ..Limits::default() };
    let started = Instant::now();
    let error = failure(world.engine.run(request(ENDLESS, limits), CancellationToken::new()).await);
    assert_eq!((error.kind(), error.code()), (Kind::Exhausted, "query.timeout"), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // Its only thread is free again.
    let started = Instant::now();
    assert_eq!(world.rows("print x = 1").await, ["1"]);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_stops_within_a_second() {
    let world = World::with(ExecSettings { cpu_threads: 1, ..settings() }).await;
    filled(&world).await;
    for (query, hang) in [
        (ENDLESS, false),
        ("range x from 1 to 100000000 step 1 | summarize dcount(x), percentile(x, 50)", false),
        ("range x from 1 to 100000000 step 1 | sort by x desc | take 1000000 | count", false),
        ("range x from 1 to 100000000 step 1 | extend y = prev(x) | where y < 0", false),
        ("T | summarize sum(n + 1)", true),
    ] {
        world.faults.set_hang(hang);
        let cancel = CancellationToken::new();
        let later = cancel.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            later.cancel();
        });
        let error = failure(world.engine.run(request(query, Limits::default()), cancel).await);
        let stopped = Instant::now();
        assert_eq!((error.kind(), error.code()), (Kind::Cancelled, "query.cancelled"), "{query}: {error:?}");
        assert_eq!(world.rows("print x = 1").await, ["1"]);
        assert!(stopped.elapsed() < Duration::from_secs(1), "{query}: {:?}", stopped.elapsed());
        world.faults.set_hang(false);
    }
    // A stream that is dropped stops, too.
    let stream = world.engine.stream(request(ENDLESS, Limits::default()), CancellationToken::new()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    let stopped = Instant::now();
    assert_eq!(world.rows("print x = 1").await, ["1"]);
    assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}", stopped.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_needs_too_much_memory_fails_alone() {
    let world = World::with(ExecSettings { query_memory_bytes: 4 << 20, ..settings() }).await;
    filled(&world).await;
    for query in [
        "range x from 1 to 3000000 step 1 | summarize count() by x | count",
        "range x from 1 to 3000000 step 1 | summarize make_list(x, 10000000)",
        "range x from 1 to 3000000 step 1 | sort by x desc | extend y = prev(x) | count",
        "range x from 1 to 3000000 step 1 | join kind=inner (range x from 1 to 3000000 step 1) on x | count",
        "let M = materialize(range x from 1 to 3000000 step 1); M | count",
        "range x from 1 to 3000000 step 1 | extend y = row_number() | count",
    ] {
        let error = world.error(query).await;
        assert_eq!((error.kind(), error.code()), (Kind::Exhausted, "query.memory_exhausted"), "{query}: {error:?}");
        assert!(error.hint_text().is_some(), "{query}: {error:?}");
        assert_eq!(world.rows("T | summarize dcount(n) > 900, count()").await, ["true|1000"], "after {query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_may_spill_finishes() {
    let folder = tempfile::tempdir().unwrap();
    let spill_dir = Some(folder.path().join("spill"));
    let world = World::with(ExecSettings { query_memory_bytes: 32 << 20, spill_dir, ..settings() }).await;
    let many = "range x from 1 to 1000000 step 1 | extend s = strcat('key number ', tostring(x))";
    assert_eq!(world.rows(&format!("{many} | summarize count() by s | count")).await, ["1000000"]);
    let last = world.rows(&format!("{many} | sort by s desc, x asc | where x == 7 | project s")).await;
    assert_eq!(last, ["key number 7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_together_stay_within_the_nodes_memory() {
    let world = World::with(ExecSettings { memory_bytes: 6 << 20, ..settings() }).await;
    let heavy = "range x from 1 to 3000000 step 1 | summarize count() by x | count";
    let error = world.error(heavy).await;
    assert_eq!(error.code(), "query.memory_exhausted", "{error:?}");
    assert_eq!(world.rows("range x from 1 to 1000 step 1 | summarize count() by x | count").await, ["1000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_terms_do_not_overflow_the_stack() {
    let world = World::start().await;
    filled(&world).await;
    let terms: Vec<String> = (0..50_000).map(|n| format!("n=={}", n + 990)).collect();
    assert_eq!(world.rows(&format!("T | where {} | count", terms.join(" or "))).await, ["10"]);
    let list: Vec<String> = (0..50_000).map(|n| (n + 995).to_string()).collect();
    assert_eq!(world.rows(&format!("T | where n in ({}) | count", list.join(","))).await, ["5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_said_so() {
    let world = World::start().await;
    filled(&world).await;
    world.faults.set_down(true);
    let limits = Limits { timeout: Duration::from_secs(60), ..Limits::default() };
    let error = failure(world.engine.run(request("T | summarize sum(n + 1)", limits), CancellationToken::new()).await);
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "store.unavailable"), "{error:?}");
    world.faults.set_down(false);
    assert_eq!(world.rows("T | summarize sum(n)").await, ["499500"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_scope_hides_rows_of_every_table_that_has_its_column() {
    let world = World::start().await;
    filled(&world).await;
    let scope = |column: Option<&str>| {
        let (from, to) = (EPOCH + 10 * SECOND, EPOCH + 19 * SECOND);
        let bounds = TimeScope { column: column.map(str::to_owned), from, to };
        let text = "union T, (T | where n < 15) | summarize count(), min(n), max(n)";
        QueryRequest { time_scope: Some(bounds), ..QueryRequest::new("kql", DATABASE, text) }
    };
    let run = async |request: QueryRequest| shown(&world.engine.run(request, CancellationToken::new()).await.unwrap());
    assert_eq!(run(scope(None)).await, ["15|10|19"]);
    assert_eq!(run(scope(Some("nosuch"))).await, ["1015|0|999"]);
}
