//! Work that computes runs on blocking threads, as many at a time as there are cores.

use std::sync::Arc;

use kyma_core::{Error, Result};
use tokio::sync::Semaphore;

/// Admission to the cores; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Cpu(Arc<Semaphore>);

impl Cpu {
    /// `threads` at a time; 0 for one per core.
    pub(crate) fn new(threads: usize) -> Self {
        let cores = || std::thread::available_parallelism().map_or(2, |cores| cores.get());
        Cpu(Arc::new(Semaphore::new(if threads == 0 { cores() } else { threads })))
    }

    /// Runs `work` on a blocking thread. A panic in it is an `Internal` error, not the end of the process.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        let permit = permit.map_err(|_closed| Error::internal("the cpu gate is closed"))?;
        let done = tokio::task::spawn_blocking(move || {
            let answer = work();
            drop(permit);
            answer
        });
        done.await.map_err(|error| Error::internal("a computing task failed").because(error))
    }
}
