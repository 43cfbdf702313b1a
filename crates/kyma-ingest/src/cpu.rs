//! Work that computes runs on blocking threads, as many at a time as there are cores.

use std::sync::Arc;

use kyma_core::{Error, Result};
use tokio::sync::Semaphore;
use tracing::Span;

/// Admission to the cores; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Cpu {
    slots: Arc<Semaphore>,
    inline: bool,
}

impl Cpu {
    /// `threads` at a time, 0 for one per core; or, for runs that must be the same each time, `inline`: on the caller's.
    pub(crate) fn new(threads: usize, inline: bool) -> Self {
        let cores = || std::thread::available_parallelism().map_or(2, |cores| cores.get());
        let slots = Arc::new(Semaphore::new(if threads == 0 { cores() } else { threads }));
        Cpu { slots, inline }
    }

    /// Runs `work` on a blocking thread. A panic in it is an `Internal` error, not the end of the process.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.slots).acquire_owned().await;
        let permit = permit.map_err(|_closed| Error::internal("the cpu gate is closed"))?;
        if self.inline {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            return done.map_err(|_panic| Error::internal("a computing task failed"));
        }
        let span = Span::current();
        let done = tokio::task::spawn_blocking(move || {
            let answer = span.in_scope(work);
            drop(permit);
            answer
        });
        done.await.map_err(|error| Error::internal("a computing task failed").because(error))
    }
}
