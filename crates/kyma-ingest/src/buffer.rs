//! The node's buffer: units of all tables wait here for the next flush.
//!
//! 1. A unit is all rows of one write; it is stored as a whole.
//! 2. A flush is due when `flush_bytes` of input wait, or when the oldest unit is `flush_interval` old, or at shutdown.
//! 3. At most `flushes_in_flight` run at a time; meanwhile units gather, bounded by [`crate::memory::Memory`].
//! 4. A flush takes units in order of arrival, about twice `flush_bytes` of them at most, at least one.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use kyma_core::catalog::{Database, Table};
use kyma_core::{Error, Result, scope};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::answer::IngestAnswer;
use crate::commit::Committer;
use crate::content::WriteKey;
use crate::memory::Held;
use crate::metrics::FlushLabels;
use crate::settings::IngestSettings;

/// Rows of one table within a unit, with the input bytes of each batch.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) table: Arc<Table>,
    pub(crate) batches: Vec<(RecordBatch, u64)>,
}

/// All rows of one write.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) database: Database,
    pub(crate) key: Option<WriteKey>,
    pub(crate) parts: Vec<Part>,
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) unmapped: u64,
    pub(crate) raw_bytes: u64,
    /// Given back when the unit is answered.
    _held: Vec<Held>,
    waiter: Option<oneshot::Sender<Result<IngestAnswer>>>,
}

impl Unit {
    pub(crate) fn new(database: Database, key: Option<WriteKey>, parts: Vec<Part>, held: Vec<Held>) -> Self {
        let raw_bytes = parts.iter().flat_map(|part| &part.batches).map(|(_, raw_bytes)| raw_bytes).sum();
        Unit { database, key, parts, rows: 0, rejected: 0, unmapped: 0, raw_bytes, _held: held, waiter: None }
    }

    /// Answers the writer. One that went away is not missed.
    pub(crate) fn answer(mut self, answer: Result<IngestAnswer>) {
        if let Some(waiter) = self.waiter.take() {
            let _ = waiter.send(answer);
        }
    }
}

/// The buffer.
#[derive(Debug)]
pub(crate) struct Buffer {
    settings: IngestSettings,
    waiting: Mutex<Waiting>,
    wake: Notify,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Waiting {
    units: VecDeque<Unit>,
    raw_bytes: u64,
    oldest: Option<Instant>,
    stopping: bool,
}

/// When the next flush is due.
enum Due {
    /// Now, and why.
    Now(&'static str),
    At(Instant),
    Never,
    Stop,
}

impl Buffer {
    /// A buffer that flushes through `committer` until it is stopped.
    pub(crate) fn start(settings: IngestSettings, committer: Arc<Committer>) -> Arc<Self> {
        let tasks = TaskTracker::new();
        let buffer = Arc::new(Buffer { settings, waiting: Mutex::default(), wake: Notify::new(), tasks });
        buffer.tasks.spawn(scope::carried(Arc::clone(&buffer).run(committer)));
        buffer
    }

    /// Adds a unit and waits until it is stored.
    pub(crate) async fn append(&self, mut unit: Unit) -> Result<IngestAnswer> {
        let (sender, receiver) = oneshot::channel();
        unit.waiter = Some(sender);
        {
            let mut waiting = self.waiting.lock();
            if waiting.stopping {
                return Err(stopping());
            }
            waiting.raw_bytes += unit.raw_bytes;
            waiting.oldest.get_or_insert_with(Instant::now);
            waiting.units.push_back(unit);
        }
        self.wake.notify_one();
        receiver.await.unwrap_or_else(|_dropped| Err(broken_off()))
    }

    /// Input bytes of the units that wait for a flush.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting.lock().raw_bytes
    }

    /// Takes no more units, stores what waits, and returns when every flush has ended.
    pub(crate) async fn stop(&self) {
        self.stop_soon();
        self.tasks.wait().await;
    }

    /// Like [`Buffer::stop`], without waiting.
    pub(crate) fn stop_soon(&self) {
        self.waiting.lock().stopping = true;
        self.wake.notify_one();
        self.tasks.close();
    }

    async fn run(self: Arc<Self>, committer: Arc<Committer>) {
        let flights = Arc::new(Semaphore::new(self.settings.flushes_in_flight.max(1)));
        loop {
            match self.due() {
                Due::Stop => return,
                Due::Never => self.wake.notified().await,
                Due::At(instant) => {
                    tokio::select! {
                        biased;
                        () = sleep_until(instant) => {}
                        () = self.wake.notified() => {}
                    }
                }
                Due::Now(reason) => {
                    let Ok(flight) = Arc::clone(&flights).acquire_owned().await else { return };
                    committer.metrics.flushes.get_or_create(&FlushLabels { reason }).inc();
                    let (units, committer) = (self.take(), Arc::clone(&committer));
                    let raw_bytes: u64 = units.iter().map(|unit| unit.raw_bytes).sum();
                    let span = tracing::info_span!("flush", reason, writes = units.len(), raw_bytes);
                    let flushing = async move {
                        committer.flush(units).await;
                        drop(flight);
                    };
                    self.tasks.spawn(scope::carried(flushing.instrument(span)));
                }
            }
        }
    }

    fn due(&self) -> Due {
        let waiting = self.waiting.lock();
        match waiting.oldest {
            None if waiting.stopping => Due::Stop,
            None => Due::Never,
            Some(oldest) => {
                let deadline = oldest + self.settings.flush_interval;
                let full = waiting.raw_bytes >= self.settings.flush_bytes;
                match (full, waiting.stopping, Instant::now() >= deadline) {
                    (true, _, _) => Due::Now("bytes"),
                    (_, true, _) => Due::Now("stop"),
                    (_, _, true) => Due::Now("age"),
                    _ => Due::At(deadline),
                }
            }
        }
    }

    fn take(&self) -> Vec<Unit> {
        let mut waiting = self.waiting.lock();
        let (mut taken, mut raw_bytes) = (Vec::new(), 0);
        while let Some(unit) = waiting.units.pop_front() {
            if !taken.is_empty() && raw_bytes + unit.raw_bytes > self.settings.flush_bytes.saturating_mul(2) {
                waiting.units.push_front(unit);
                break;
            }
            raw_bytes += unit.raw_bytes;
            taken.push(unit);
        }
        waiting.raw_bytes -= raw_bytes;
        // What is left is as old as the flush that could not take it: due by its bytes or very soon.
        waiting.oldest = (!waiting.units.is_empty()).then(Instant::now);
        taken
    }
}

/// The error of writers whose flush broke down at an unknown step.
fn broken_off() -> Error {
    Error::unavailable("ingest.outcome_unknown", "a flush broke off without an answer; the rows may be stored or not")
        .hint("send the write again with the same Idempotency-Key: it is stored once")
}

pub(crate) fn stopping() -> Error {
    Error::unavailable("ingest.stopping", "this node is shutting down").hint("send the write to another node")
}
