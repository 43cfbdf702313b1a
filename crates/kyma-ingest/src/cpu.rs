//! Work that computes runs on threads of its own, one per core or as many as are wanted.
//!
//! Blocking threads would do, but there are as many of these as files were ever read at once, and the work would go round them
//! all: each keeps some memory of what it last did.

use std::sync::{Arc, OnceLock};

use kyma_core::{Error, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tracing::Span;

/// Admission to the threads; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Cpu {
    slots: Arc<Semaphore>,
    /// `None` computes on the caller's thread.
    threads: Option<Arc<Threads>>,
}

/// Threads that are started when they are needed first.
#[derive(Debug)]
struct Threads {
    count: usize,
    runtime: OnceLock<Runtime>,
}

impl Threads {
    fn runtime(&self) -> Result<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let made = Builder::new_multi_thread().worker_threads(self.count).thread_name("kyma-cpu").build();
        let made = made.map_err(|error| Error::internal("threads for computing do not start").because(error))?;
        if let Err(another) = self.runtime.set(made) {
            another.shutdown_background();
        }
        self.runtime.get().ok_or_else(|| Error::internal("threads for computing are gone"))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Cpu {
    /// `threads` at a time, 0 for one per core; or, for runs that must be the same each time, `inline`: on the caller's.
    pub(crate) fn new(threads: usize, inline: bool) -> Self {
        let cores = || std::thread::available_parallelism().map_or(2, |cores| cores.get());
        let count = if threads == 0 { cores() } else { threads };
        let threads = (!inline).then(|| Arc::new(Threads { count, runtime: OnceLock::new() }));
        Cpu { slots: Arc::new(Semaphore::new(count)), threads }
    }

    /// Runs `work` on one of the threads. A panic in it is an `Internal` error, not the end of the process.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.slots).acquire_owned().await;
        let permit = permit.map_err(|_closed| Error::internal("the cpu gate is closed"))?;
        let Some(threads) = &self.threads else {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            return done.map_err(|_panic| Error::internal("a computing task failed"));
        };
        let span = Span::current();
        let done = threads.runtime()?.spawn(async move {
            let answer = span.in_scope(work);
            drop(permit);
            answer
        });
        done.await.map_err(|error| Error::internal("a computing task failed").because(error))
    }
}
