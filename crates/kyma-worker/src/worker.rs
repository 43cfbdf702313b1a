//! The worker's loops.
//!
//! 1. The scheduler enqueues each periodic kind with its period as delay. One task of a kind is in flight, so however
//!    many nodes there are, it runs once a period.
//! 2. Each slot claims a task, runs its handler, and meanwhile renews the lease at a third of it. A handler that panics
//!    fails its task, not the worker.
//! 3. When the lease is lost, because another worker has the task or the catalog did not answer until it ran out, the
//!    handler is dropped and nothing is reported: the task is not ours.
//! 4. A slot or the scheduler that panics is started again; what it had claimed waits for its lease to run out.
//! 5. On shutdown nothing more is claimed; running handlers are told, awaited for the grace, then dropped, and their
//!    tasks given back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, join, join_all};
use kyma_core::catalog::{Catalog, ClaimedTask, NewTask};
use kyma_core::clock::Clock;
use kyma_core::failpoint::{self, Point};
use kyma_core::planted::{self, Bug};
use kyma_core::scope;
use kyma_core::{Error, Kind, NodeId, Result};
use kyma_ingest::Rewriter;
use kyma_storage::Store;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::compact::{Merges, PlanMerges};
use crate::garbage::{Collect, Sweep};
use crate::handler::TaskHandler;
use crate::metrics::{KindLabel, Metrics, OutcomeLabels, StateLabels};
use crate::retention::{GiveUp, Retention};
use crate::settings::WorkerSettings;

/// Attempts of a periodic task before it is parked; the next period starts afresh.
const PERIODIC_ATTEMPTS_MAX: i32 = 3;
/// Longest wait after the catalog failed.
const CATALOG_BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Runs background work on a node.
#[derive(Debug)]
pub struct Worker {
    catalog: Arc<dyn Catalog>,
    settings: WorkerSettings,
    node: NodeId,
    handlers: BTreeMap<&'static str, Arc<dyn TaskHandler>>,
    metrics: Metrics,
}

/// How the run of a handler ended.
enum Ended {
    Done(Result<()>),
    /// The node leaves: the task was not done, and that says nothing against it.
    Stopped,
    LeaseLost,
}

impl Ended {
    /// What the handler says; that it was cancelled counts for an end by `stop` when there was one.
    fn of(said: Result<Result<()>, tokio::task::JoinError>, stop: &CancellationToken) -> Ended {
        match said.unwrap_or_else(|error| Err(broken(&error))) {
            Err(error) if error.kind() == Kind::Cancelled && stop.is_cancelled() => Ended::Stopped,
            result => Ended::Done(result),
        }
    }
}

impl Worker {
    /// A worker that collects garbage and enforces retention; [`Worker::with`] adds other work.
    pub fn new(
        catalog: Arc<dyn Catalog>,
        store: Arc<Store>,
        settings: WorkerSettings,
        clock: Arc<dyn Clock>,
    ) -> Worker {
        let metrics = Metrics::new();
        let garbage = settings.garbage.clone();
        let deleted = metrics.objects_deleted.clone();
        let collect = Collect::new(Arc::clone(&catalog), Arc::clone(&store), garbage.clone(), deleted.clone());
        let node = NodeId(clock.new_id());
        let sweep = Sweep::new(Arc::clone(&catalog), store, garbage.clone(), Arc::clone(&clock), deleted);
        let give_up = GiveUp::new(Arc::clone(&catalog), garbage);
        let (policy, counters) = (settings.retention.clone(), metrics.retention.clone());
        let retention = Retention::new(Arc::clone(&catalog), policy, clock, counters);
        let worker = Worker { catalog, settings, node, handlers: BTreeMap::new(), metrics };
        let worker = worker.with(Arc::new(collect)).with(Arc::new(sweep));
        worker.with(Arc::new(retention)).with(Arc::new(give_up))
    }

    /// Also compacts, if the settings say so.
    #[must_use]
    pub fn compacting(self, rewriter: Rewriter, clock: Arc<dyn Clock>) -> Worker {
        let settings = self.settings.compact.clone();
        if !settings.enabled {
            return self;
        }
        let (catalog, metrics) = (Arc::clone(&self.catalog), self.metrics.compact.clone());
        let plan = PlanMerges::new(Arc::clone(&catalog), clock, settings, metrics.clone());
        self.with(Arc::new(plan)).with(Arc::new(Merges::new(catalog, rewriter, metrics)))
    }

    /// Adds a kind of work, or replaces it.
    #[must_use]
    pub fn with(mut self, handler: Arc<dyn TaskHandler>) -> Worker {
        self.handlers.insert(handler.kind(), handler);
        self
    }

    /// Claims in the name of this node.
    #[must_use]
    pub fn on_node(mut self, node: NodeId) -> Worker {
        self.node = node;
        self
    }

    /// Shows the worker's counters.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Works until `shutdown` is cancelled and running tasks have ended.
    pub async fn run(&self, shutdown: CancellationToken) {
        let slots =
            (0..self.settings.tasks_at_once.max(1)).map(|_| self.kept_up("slot", &shutdown, || self.slot(&shutdown)));
        join(self.kept_up("scheduler", &shutdown, || self.schedule(&shutdown)), join_all(slots)).await;
    }

    /// Runs a loop, and again after it panicked: a defect in one must not end a node's background work for ever.
    async fn kept_up<F: Future<Output = ()>>(&self, what: &str, shutdown: &CancellationToken, run: impl Fn() -> F) {
        while std::panic::AssertUnwindSafe(run()).catch_unwind().await.is_err() {
            tracing::error!("the worker's {what} panicked; it starts again");
            pause(self.settings.poll(), shutdown).await;
        }
    }

    /// Step 1.
    async fn schedule(&self, shutdown: &CancellationToken) {
        let periodic: Vec<(&'static str, Duration)> = self
            .handlers
            .values()
            .filter_map(|handler| handler.period().map(|period| (handler.kind(), period)))
            .collect();
        let Some(shortest) = periodic.iter().map(|(_, period)| *period).min() else { return };
        while !shutdown.is_cancelled() {
            for (kind, period) in &periodic {
                if let Err(error) = self.enqueue(kind, *period).await {
                    tracing::warn!(kind, error = %error.chain(), "a periodic task cannot be enqueued");
                }
            }
            self.count_queue().await;
            pause(shortest.max(self.settings.poll()), shutdown).await;
        }
    }

    async fn enqueue(&self, kind: &str, period: Duration) -> Result<()> {
        failpoint::reach(Point::TaskBeforeEnqueue)?;
        self.catalog.enqueue(&periodic_task(kind, period)).await.map(drop)
    }

    /// Steps 2, 3 and 5, for one task at a time.
    async fn slot(&self, shutdown: &CancellationToken) {
        let kinds: Vec<String> = self.handlers.keys().map(|kind| (*kind).to_owned()).collect();
        let mut backoff = self.settings.poll();
        while !shutdown.is_cancelled() {
            let claimed_at = Instant::now();
            match self.catalog.claim(self.node, &kinds, self.settings.lease()).await {
                Ok(Some(task)) => self.work(&task, claimed_at, shutdown).await,
                Ok(None) => pause(self.settings.poll(), shutdown).await,
                Err(error) => {
                    tracing::warn!(error = %error.chain(), "no task can be claimed");
                    pause(backoff, shutdown).await;
                    backoff = (backoff * 2).min(CATALOG_BACKOFF_MAX);
                    continue;
                }
            }
            backoff = self.settings.poll();
        }
    }

    async fn work(&self, task: &ClaimedTask, claimed_at: Instant, shutdown: &CancellationToken) {
        let Some(handler) = self.handlers.get(task.kind.as_str()) else { return };
        let started = Instant::now();
        let ended = match failpoint::reach(Point::TaskAfterClaim) {
            Ok(()) => self.run_leased(Arc::clone(handler), task, claimed_at, shutdown).await,
            Err(error) => Ended::Done(Err(error)),
        };
        let kind = KindLabel { kind: task.kind.clone() };
        self.metrics.seconds.get_or_create(&kind).observe(started.elapsed().as_secs_f64());
        let reported = match ended {
            Ended::LeaseLost => {
                self.count(task, "lost");
                tracing::warn!(kind = task.kind, task = %task.id, "a task's lease was lost while it ran");
                return;
            }
            Ended::Stopped => {
                self.count(task, "stopped");
                self.catalog.give_back(task.id, task.token).await
            }
            Ended::Done(Ok(())) => {
                self.count(task, "completed");
                self.complete(task).await
            }
            Ended::Done(Err(error)) => {
                self.count(task, "failed");
                tracing::warn!(kind = task.kind, task = %task.id, attempt = task.attempt, error = ?error, "a task failed");
                self.catalog.fail(task.id, task.token, &error.chain()).await
            }
        };
        if let Err(error) = reported {
            tracing::warn!(kind = task.kind, task = %task.id, error = %error.chain(), "a task's end cannot be reported");
        }
    }

    fn count(&self, task: &ClaimedTask, outcome: &'static str) {
        self.metrics.attempts.get_or_create(&OutcomeLabels { kind: task.kind.clone(), outcome }).inc();
    }

    /// Notes how many tasks wait, run and are parked in the whole cluster.
    async fn count_queue(&self) {
        let counts = match self.catalog.task_counts().await {
            Ok(counts) => counts,
            Err(error) => {
                tracing::warn!(error = %error.chain(), "tasks cannot be counted");
                return;
            }
        };
        for kind in self.handlers.keys() {
            for state in ["queued", "running", "parked"] {
                let found = counts.iter().find(|count| count.kind == *kind && count.state == state);
                let labels = StateLabels { kind: (*kind).to_owned(), state: state.to_owned() };
                self.metrics.queue.get_or_create(&labels).set(found.map_or(0, |count| count.tasks as i64));
            }
        }
    }

    async fn complete(&self, task: &ClaimedTask) -> Result<()> {
        failpoint::reach(Point::TaskBeforeComplete)?;
        self.catalog.complete(task.id, task.token).await?;
        failpoint::reach(Point::TaskAfterComplete)
    }

    async fn renew(&self, task: &ClaimedTask) -> Result<()> {
        failpoint::reach(Point::TaskBeforeRenew)?;
        self.catalog.renew(task.id, task.token, self.settings.lease()).await
    }

    /// Runs a handler in a task of its own while renewing the lease.
    async fn run_leased(
        &self,
        handler: Arc<dyn TaskHandler>,
        task: &ClaimedTask,
        claimed_at: Instant,
        shutdown: &CancellationToken,
    ) -> Ended {
        let stop = shutdown.child_token();
        let mut running = JoinSet::new();
        let (owned, told) = (task.clone(), stop.clone());
        let span = tracing::info_span!("task", kind = task.kind, task = %task.id, attempt = task.attempt);
        let run = async move { handler.run(&owned, &told).await };
        running.spawn(scope::carried(run.instrument(span)));
        let mut lease_end = claimed_at + self.settings.lease();
        let mut renew_at = claimed_at + self.settings.lease() / 3;
        let given_up = async {
            stop.cancelled().await;
            tokio::time::sleep(self.settings.stop_grace()).await;
        };
        tokio::pin!(given_up);
        // Dropping `running` drops the handler.
        loop {
            tokio::select! {
                biased;
                Some(joined) = running.join_next() => return Ended::of(joined, &stop),
                () = &mut given_up => return Ended::Stopped,
                () = tokio::time::sleep_until(lease_end), if !planted::is(Bug::ZombieContinues) => return Ended::LeaseLost,
                () = tokio::time::sleep_until(renew_at) => {
                    let asked_at = Instant::now();
                    // A catalog that hangs must not keep us here past the lease.
                    let renewed = match planted::is(Bug::LeaseNotRenewed) {
                        true => Ok(Ok(())),
                        false => tokio::time::timeout_at(lease_end, self.renew(task)).await,
                    };
                    match renewed {
                        _ if planted::is(Bug::ZombieContinues) => {}
                        Ok(Ok(())) => lease_end = asked_at + self.settings.lease(),
                        Ok(Err(error)) if error.kind() == Kind::Conflict => return Ended::LeaseLost,
                        Ok(Err(error)) => tracing::warn!(task = %task.id, error = %error.chain(), "a lease cannot be renewed"),
                        Err(_) => return Ended::LeaseLost,
                    }
                    renew_at = asked_at + self.settings.lease() / 3;
                }
            }
        }
    }
}

fn periodic_task(kind: &str, period: Duration) -> NewTask {
    NewTask {
        kind: kind.to_owned(),
        dedup_key: "periodic".to_owned(),
        payload: serde_json::Value::Null,
        priority: 0,
        delay: period,
        attempts_max: PERIODIC_ATTEMPTS_MAX,
    }
}

fn broken(error: &tokio::task::JoinError) -> Error {
    Error::internal(format!("a task handler broke: {error}"))
}

/// Waits, or returns at once when the node stops.
async fn pause(wait: Duration, shutdown: &CancellationToken) {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}
