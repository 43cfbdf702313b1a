//! Compaction end to end: what was written is merged by any number of workers, and stays what it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use kyma_core::catalog::{ExtentOrder, ExtentQuery, Extents, Tables, TaskStatus, Tasks, Upkeep};
use kyma_core::clock::{Clock, ManualClock, SystemClock};
use kyma_core::extent::{Extent, LEVEL_FINAL};
use kyma_core::format::{Formats, OpenOptions, ReadColumn};
use kyma_core::profile::IoCounters;
use kyma_core::schema::HIDDEN_MARK;
use kyma_core::time::TimeRange;
use kyma_core::{NodeId, Sequence};
use kyma_format_tlm::Tlm;
use kyma_ingest::loopback::Loopback;
use kyma_ingest::{BodyFormat, Encoding, IngestParts, IngestRequest, IngestSettings, Ingester, LocalRouter};
use kyma_worker::{CompactSettings, GarbageSettings, Worker, WorkerSettings};

use crate::support::{Bench, patient, until};

struct Writer {
    ingester: Arc<Ingester>,
    _loopback: Loopback,
}

impl Writer {
    async fn new(bench: &Bench) -> Writer {
        let router = Arc::new(LocalRouter::new());
        let ingester = Ingester::new(IngestParts {
            catalog: bench.catalog.clone(),
            store: Arc::clone(&bench.store),
            formats: formats(),
            clock: Arc::new(SystemClock),
            node: NodeId::generate(),
            router: router.clone(),
            settings: IngestSettings { flush_interval: Duration::from_millis(1), ..IngestSettings::default() },
        });
        let loopback = kyma_ingest::loopback::serve(&ingester).await.unwrap();
        router.set_address(loopback.address());
        Writer { ingester, _loopback: loopback }
    }

    async fn write(&self, table: &str, body: String) {
        let request = IngestRequest {
            database: "logs".into(),
            table: table.into(),
            format: BodyFormat::NdJson,
            encoding: Encoding::Identity,
            idempotency_key: None,
            source: "test".into(),
        };
        let body = futures::stream::iter([Ok(Bytes::from(body))]).boxed();
        self.ingester.ingest(&request, body).await.unwrap();
    }
}

fn formats() -> Arc<Formats> {
    Arc::new(Formats::new(vec![Arc::new(Tlm)]))
}

fn compacting(bench: &Bench, writer: &Writer, clock: Arc<dyn Clock>, garbage: GarbageSettings) -> Worker {
    let compact =
        CompactSettings { period_millis: 20, gather_extents: 4, tier_extents: 4, ..CompactSettings::default() };
    let settings = WorkerSettings { poll_millis: 10, compact, garbage, ..WorkerSettings::default() };
    let catalog = bench.catalog.clone();
    Worker::new(catalog, Arc::clone(&bench.store), settings, clock.clone())
        .compacting(writer.ingester.rewriter(1), clock)
}

fn later(seconds: i64) -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(SystemClock.now() + seconds * 1_000_000_000))
}

async fn extents(bench: &Bench, table: &str, at: Sequence) -> Vec<Extent> {
    let table = bench.catalog.table(bench.table.database, table).await.unwrap().unwrap();
    let (time, order) = (TimeRange::ALL, ExtentOrder::OldestFirst);
    let query = ExtentQuery { table: table.id, at, time, order, ranges: Vec::new() };
    bench.catalog.list(query).try_collect().await.unwrap()
}

/// The rows of extents, whatever their order: how often each is there.
async fn rows(bench: &Bench, extents: &[Extent]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for extent in extents {
        let source = bench.store.reader(&extent.location, Arc::new(IoCounters::default()));
        let options = OpenOptions {
            extent: extent.id,
            length: extent.location.length,
            footer_length: extent.footer_length,
            footer: None,
        };
        let reader = formats().get(&extent.format).unwrap().open(source.clone(), &options).await.unwrap();
        let mut stored = reader.schema().columns().to_vec();
        stored.retain(|column| !column.name.starts_with(HIDDEN_MARK));
        stored.sort_by(|a, b| a.name.cmp(&b.name));
        let columns: Vec<_> = stored.iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
        for block in 0..reader.block_rows().len() as u32 {
            let batch = reader.read(source.as_ref(), block, &columns, None).await.unwrap();
            for row in 0..batch.num_rows() {
                let cells = stored.iter().zip(batch.columns()).filter(|(_, array)| array.is_valid(row));
                let shown = cells.map(|(column, array)| {
                    let text = ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap();
                    format!("{}={}", column.name, text.value(row))
                });
                *counts.entry(shown.collect::<Vec<_>>().join(" ")).or_default() += 1;
            }
        }
    }
    counts
}

fn lines(round: usize) -> String {
    let line = |n: usize| {
        let second = (round * 7 + n) % 60;
        format!("{{\"ts\":\"2026-01-01T00:00:{second:02}Z\",\"n\":{n},\"service\":\"s{}\"}}\n", n % 3)
    };
    (0..20).map(line).collect()
}

/// Three workers on as many nodes share the merges of two tables while rows come in; what was pinned before reads the same.
#[tokio::test(flavor = "multi_thread")]
async fn workers_merge_what_was_written_and_change_nothing() {
    let bench = Bench::new().await;
    let writer = Writer::new(&bench).await;
    for round in 0..10 {
        writer.write("a", lines(round)).await;
        writer.write("b", lines(round + 100)).await;
    }
    let pinned = bench.catalog.pin(bench.table.database).await.unwrap();
    let old = extents(&bench, "a", pinned).await;
    let before = rows(&bench, &old).await;
    let now: Arc<dyn Clock> = Arc::new(SystemClock);
    let workers: Vec<_> = (0..3).map(|_| compacting(&bench, &writer, now.clone(), patient())).collect();
    let writes = async {
        for round in 10..16 {
            writer.write("a", lines(round)).await;
        }
    };
    let done = async {
        writes.await;
        until(async || {
            let at = bench.catalog.pin(bench.table.database).await.unwrap();
            extents(&bench, "a", at).await.len() <= 8 && extents(&bench, "b", at).await.len() <= 6
        })
        .await;
    };
    bench.run_until(&workers, done).await;
    assert_eq!(
        extents(&bench, "a", pinned).await.iter().map(|e| e.id).collect::<Vec<_>>(),
        old.iter().map(|e| e.id).collect::<Vec<_>>()
    );
    assert_eq!(rows(&bench, &extents(&bench, "a", pinned).await).await, before);
    let at = bench.catalog.pin(bench.table.database).await.unwrap();
    let mut expected = before;
    for round in 10..16 {
        // Bodies repeat every 60 rounds; within 16 each row of a round is one more of its kind.
        for line in lines(round).lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let time = value["ts"].as_str().unwrap().trim_end_matches('Z');
            let shown = format!("n={} service={} ts={time}", value["n"], value["service"].as_str().unwrap());
            *expected.entry(shown).or_default() += 1;
        }
    }
    assert_eq!(rows(&bench, &extents(&bench, "a", at).await).await, expected);
    let is_failed = |task: &TaskStatus| task.error.is_some();
    let failed: Vec<_> = bench.catalog.recent(1_000).await.unwrap().into_iter().filter(is_failed).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// When nothing came for a while each table is one extent of the last level; its sources' objects go after the grace period,
/// although two tables shared them.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_quiet_is_closed_and_nothing_is_left_behind() {
    let bench = Bench::new().await;
    let writer = Writer::new(&bench).await;
    for round in 0..6 {
        futures::join!(writer.write("a", lines(round)), writer.write("b", lines(round)));
    }
    let at = bench.catalog.pin(bench.table.database).await.unwrap();
    let before = rows(&bench, &extents(&bench, "a", at).await).await;
    let garbage = GarbageSettings { removed_grace_millis: 0, ..patient() };
    let worker = compacting(&bench, &writer, later(7_200), garbage);
    let done = until(async || {
        let at = bench.catalog.pin(bench.table.database).await.unwrap();
        let left = join_all(["a", "b"].map(|table| extents(&bench, table, at))).await;
        left.iter().all(|left| left.len() == 1) && bench.stored().await.len() == 2
    });
    bench.run_until(&[worker], done).await;
    let at = bench.catalog.pin(bench.table.database).await.unwrap();
    let left = extents(&bench, "a", at).await;
    assert_eq!((left[0].level, left[0].rows), (LEVEL_FINAL, 120));
    assert_eq!(rows(&bench, &left).await, before);
    let table = bench.catalog.table(bench.table.database, "a").await.unwrap().unwrap();
    assert!(bench.catalog.uncompacted(table.id, 100).await.unwrap().is_empty());
}

/// A merge whose source is damaged is parked with the reason, and its extents are left alone; others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_source_parks_its_merge() {
    let bench = Bench::new().await;
    let writer = Writer::new(&bench).await;
    for round in 0..4 {
        writer.write("a", lines(round)).await;
    }
    let at = bench.catalog.pin(bench.table.database).await.unwrap();
    let victim = extents(&bench, "a", at).await.remove(1);
    bench.store.delete(&victim.location.key).await.unwrap();
    let worker = compacting(&bench, &writer, Arc::new(SystemClock), patient());
    let failed = || async {
        let tasks = bench.catalog.recent(100).await.unwrap();
        tasks.into_iter().find(|task| task.kind == "merge" && task.error.is_some())
    };
    bench.run_until(&[worker], until(async || failed().await.is_some())).await;
    let error = failed().await.unwrap().error.unwrap();
    assert!(error.contains(&victim.location.key), "{error}");
    let at = bench.catalog.pin(bench.table.database).await.unwrap();
    assert_eq!(extents(&bench, "a", at).await.len(), 4, "nothing was swapped");
}
