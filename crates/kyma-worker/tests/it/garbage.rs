//! What is deleted, and what never.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kyma_core::catalog::{Commit, Extents, Garbage, Tasks};
use kyma_core::clock::{Clock, ManualClock, SystemClock};
use kyma_core::time::DAY;

use crate::support::{Bench, eager, patient, system_clock, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_writer_cannot_commit_after_its_object_was_deleted() {
    let bench = Bench::new().await;
    let stalled = bench.reserve().await;
    bench.put(&stalled.object_key).await;
    let worker = [bench.worker(eager(), system_clock())];
    bench.run_until(&worker, until(|| async { bench.stored().await.is_empty() })).await;
    let error = bench.commit(&stalled).await.unwrap_err();
    assert_eq!(error.code(), "catalog.reservation_revoked");
    assert!(bench.visible().await.is_empty());
}

/// Writers, slow writers and replacements race several collectors to whom everything is garbage at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acked_data_is_never_deleted() {
    let bench = Bench::new().await;
    let workers = [bench.worker(eager(), system_clock()), bench.worker(eager(), system_clock())];
    let writer = |number: u64| {
        let bench = &bench;
        async move {
            let mut acked = Vec::new();
            for round in 0..12 {
                let reservation = bench.reserve().await;
                bench.put(&reservation.object_key).await;
                tokio::time::sleep(Duration::from_millis(number * (round % 4) * 5)).await;
                match bench.commit(&reservation).await {
                    Ok(_) => acked.push(reservation.object_key),
                    Err(error) => assert_eq!(error.code(), "catalog.reservation_revoked", "{error:?}"),
                }
            }
            acked
        }
    };
    let (mut acked, mut replaced) = (Vec::new(), Vec::new());
    bench
        .run_until(&workers, async {
            acked = join_all((0..6).map(writer)).await.concat();
            // Some of it is replaced by nothing, as retention does.
            for (id, key) in bench.visible().await.into_iter().step_by(3) {
                bench.catalog.replace(bench.table.id, &[id], &Commit::default()).await.unwrap();
                replaced.push(key);
            }
            let expected = acked.len() - replaced.len();
            until(|| async { bench.stored().await.len() == expected }).await;
        })
        .await;
    assert!(!acked.is_empty(), "some writers were fast enough");
    let mut visible: Vec<String> = bench.visible().await.into_iter().map(|(_, key)| key).collect();
    visible.sort();
    assert_eq!(visible, bench.stored().await, "what is visible is stored, and nothing else is");
    acked.retain(|key| !replaced.contains(key));
    acked.sort();
    assert_eq!(visible, acked, "what was acked and not replaced is visible");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn young_garbage_is_kept() {
    let bench = Bench::new().await;
    let reserved = bench.reserve().await;
    bench.put(&reserved.object_key).await;
    let removed = bench.write().await.unwrap();
    let (id, _) = bench.visible().await[0].clone();
    bench.catalog.replace(bench.table.id, &[id], &Commit::default()).await.unwrap();
    bench.put("extents/stray.kyma").await;
    let worker = [bench.worker(patient(), system_clock())];
    bench.run_until(&worker, tokio::time::sleep(Duration::from_millis(300))).await;
    let mut expected = ["extents/stray.kyma".to_owned(), reserved.object_key.clone(), removed.object_key];
    expected.sort();
    assert_eq!(bench.stored().await, expected);
    bench.commit(&reserved).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweep_takes_old_strays_below_its_prefix_only() {
    let bench = Bench::new().await;
    let written = bench.write().await.unwrap();
    bench.put("extents/stray.kyma").await;
    bench.put("backups/mine.tar").await;
    bench.put("extents/notes.txt").await;
    // The test's catalog is a copy of one that is some seconds old already; the store rounds to seconds.
    bench.database.execute("UPDATE catalog SET created_at = created_at - interval '1 hour'").await;
    let tomorrow: Arc<dyn Clock> = Arc::new(ManualClock::at(SystemClock.now() + 2 * DAY));
    let worker = [bench.worker(patient(), tomorrow)];
    bench.run_until(&worker, until(|| async { bench.stored().await.len() == 3 })).await;
    assert_eq!(
        bench.stored().await,
        ["backups/mine.tar".to_owned(), written.object_key, "extents/notes.txt".to_owned()]
    );
}

/// A new catalog over the bucket of a lost one knows none of its objects, and must not delete them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_an_earlier_catalog_are_left_alone() {
    let bench = Bench::new().await;
    bench.put("extents/of-a-lost-catalog.kyma").await;
    bench.database.execute("UPDATE catalog SET created_at = created_at + interval '1 hour'").await;
    let tomorrow: Arc<dyn Clock> = Arc::new(ManualClock::at(SystemClock.now() + 2 * DAY));
    let worker = [bench.worker(patient(), tomorrow)];
    let swept = || async {
        let recent = bench.catalog.recent(1_000).await.unwrap();
        recent.iter().any(|task| task.kind == "sweep" && task.state == "done")
    };
    bench.run_until(&worker, until(swept)).await;
    assert_eq!(bench.stored().await, ["extents/of-a-lost-catalog.kyma"]);
}

/// A collector died between dooming and deleting: the next one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_collector_doomed_is_deleted() {
    let bench = Bench::new().await;
    let reservation = bench.reserve().await;
    bench.put(&reservation.object_key).await;
    assert_eq!(bench.catalog.revoke_stale(Duration::ZERO, 10).await.unwrap().len(), 1);
    let worker = [bench.worker(patient(), system_clock())];
    bench.run_until(&worker, until(|| async { bench.catalog.doomed(10).await.unwrap().is_empty() })).await;
    assert!(bench.stored().await.is_empty());
}
