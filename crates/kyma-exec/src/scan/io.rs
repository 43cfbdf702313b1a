//! Requests to the store run on the IO runtime, decoding runs where it is polled.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use kyma_core::format::RangeReader;
use kyma_core::profile::IoCounters;
use kyma_core::{Error, Result};
use tokio::runtime::Handle;

/// Sends reads to another runtime. Dropping a read cancels it there.
#[derive(Debug)]
pub struct IoReader {
    /// Where the bytes are.
    pub inner: Arc<dyn RangeReader>,
    /// Where requests run.
    pub runtime: Handle,
    /// Where waiting is counted.
    pub counters: Arc<IoCounters>,
}

#[async_trait]
impl RangeReader for IoReader {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (inner, ranges) = (Arc::clone(&self.inner), ranges.to_vec());
        let task = self.runtime.spawn(async move { inner.read(&ranges).await });
        let task = tokio_util::task::AbortOnDropHandle::new(task);
        let asked = Instant::now();
        let read = task.await;
        self.counters.waiting.add(asked.elapsed());
        read.map_err(|gone| Error::cancelled("query.stopped", "the node is shutting down").because(gone))?
    }

    fn distrust(&self) {
        self.inner.distrust();
    }
}
