//! Claims, leases, failures and shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kyma_core::catalog::{Catalog, ClaimedTask, NewTask, TaskStatus, Tasks};
use kyma_core::{Error, Result};
use kyma_worker::{TaskHandler, Worker, WorkerSettings};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, patient, system_clock, until};

/// What a test's handler does.
#[derive(Debug, Clone, Copy)]
enum Does {
    Sleeps(Duration),
    Fails,
    Panics,
    WaitsForStop,
}

#[derive(Debug)]
struct Handler {
    does: Does,
    runs: AtomicU32,
}

#[async_trait]
impl TaskHandler for Handler {
    fn kind(&self) -> &'static str {
        "test"
    }

    async fn run(&self, _task: &ClaimedTask, stop: &CancellationToken) -> Result<()> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        match self.does {
            Does::Sleeps(time) => tokio::time::sleep(time).await,
            Does::Fails => return Err(Error::internal("it went wrong")),
            Does::Panics => panic!("a handler's own mistake"),
            Does::WaitsForStop => {
                stop.cancelled().await;
                return Err(Error::cancelled("worker.stopped", "the node stopped"));
            }
        }
        Ok(())
    }
}

fn handler(does: Does) -> Arc<Handler> {
    Arc::new(Handler { does, runs: AtomicU32::new(0) })
}

fn worker(bench: &Bench, handler: &Arc<Handler>, lease_millis: u64) -> Worker {
    let settings = WorkerSettings {
        poll_millis: 10,
        lease_millis,
        stop_grace_millis: 50,
        garbage: patient(),
        ..WorkerSettings::default()
    };
    let catalog: Arc<dyn Catalog> = bench.catalog.clone();
    let handler: Arc<dyn TaskHandler> = handler.clone();
    Worker::new(catalog, Arc::clone(&bench.store), settings, system_clock()).with(handler)
}

async fn enqueue(bench: &Bench, attempts_max: i32) {
    let task = NewTask {
        kind: "test".to_owned(),
        dedup_key: "only".to_owned(),
        payload: serde_json::Value::Null,
        priority: 0,
        delay: Duration::ZERO,
        attempts_max,
    };
    assert!(bench.catalog.enqueue(&task).await.unwrap());
}

async fn status(bench: &Bench) -> TaskStatus {
    let recent = bench.catalog.recent(1_000).await.unwrap();
    recent.into_iter().find(|status| status.kind == "test").unwrap()
}

/// The lease is renewed while the handler runs, so no other worker takes the task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_longer_than_its_lease_runs_once() {
    let bench = Bench::new().await;
    let handler = handler(Does::Sleeps(Duration::from_millis(1_500)));
    let workers = [worker(&bench, &handler, 600), worker(&bench, &handler, 600)];
    enqueue(&bench, 3).await;
    bench.run_until(&workers, until(|| async { status(&bench).await.state == "done" })).await;
    assert_eq!(handler.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_and_panics_park_the_task_with_its_error() {
    for (does, words) in [(Does::Fails, "it went wrong"), (Does::Panics, "panic")] {
        let bench = Bench::new().await;
        let handler = handler(does);
        enqueue(&bench, 2).await;
        let workers = [worker(&bench, &handler, 5_000)];
        bench.run_until(&workers, until(|| async { status(&bench).await.state == "parked" })).await;
        assert_eq!(handler.runs.load(Ordering::SeqCst), 2);
        let error = status(&bench).await.error.unwrap();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_ends_in_time_and_gives_the_task_back() {
    let bench = Bench::new().await;
    let handler = handler(Does::Sleeps(Duration::from_secs(3_600)));
    enqueue(&bench, 3).await;
    let workers = [worker(&bench, &handler, 60_000)];
    let begun = Instant::now();
    bench.run_until(&workers, until(|| async { handler.runs.load(Ordering::SeqCst) == 1 })).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let given_back = status(&bench).await;
    assert_eq!((&*given_back.state, given_back.attempts), ("queued", 0), "{given_back:?}");
}

/// A handler that hears the stop and says that it was cancelled has not failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_ends_because_the_node_stops_has_not_failed() {
    let bench = Bench::new().await;
    let handler = handler(Does::WaitsForStop);
    enqueue(&bench, 1).await;
    let workers = [worker(&bench, &handler, 60_000)];
    bench.run_until(&workers, until(|| async { handler.runs.load(Ordering::SeqCst) == 1 })).await;
    let given_back = status(&bench).await;
    assert_eq!((&*given_back.state, given_back.attempts), ("queued", 0), "{given_back:?}");
}

/// Many nodes enqueue a periodic task; it runs once a period, not once a period and node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_periodic_task_is_not_multiplied_by_nodes() {
    let bench = Bench::new().await;
    let garbage = kyma_worker::GarbageSettings { period_millis: 200, ..kyma_worker::GarbageSettings::default() };
    let workers: Vec<Worker> = (0..4).map(|_| bench.worker(garbage.clone(), system_clock())).collect();
    let begun = Instant::now();
    bench.run_until(&workers, tokio::time::sleep(Duration::from_millis(1_500))).await;
    let runs = bench.catalog.recent(1_000).await.unwrap().iter().filter(|task| task.kind == "garbage").count();
    let periods = begun.elapsed().as_millis() / 200;
    assert!(runs >= 2 && runs as u128 <= periods + 1, "{runs} runs in {periods} periods");
}
