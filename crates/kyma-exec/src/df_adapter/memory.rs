//! Memory: one pool per query within one number per node.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};
use kyma_core::Result as KymaResult;

use crate::df_adapter::error::{exhausted, to_df};
use crate::scan::Budget;
use crate::scope::QueryScope;

/// The pool of one query. Its bytes count for the node too.
#[derive(Debug)]
pub(crate) struct QueryPool {
    used: AtomicUsize,
    limit: usize,
    node_used: Arc<AtomicUsize>,
    node_limit: usize,
    peak: Arc<AtomicUsize>,
}

impl QueryPool {
    /// The pool of `scope`'s query.
    pub(crate) fn new(scope: &QueryScope) -> Self {
        QueryPool {
            used: AtomicUsize::new(0),
            limit: scope.shared.settings.query_memory_bytes,
            node_used: Arc::clone(&scope.shared.memory),
            node_limit: scope.shared.settings.memory_bytes,
            peak: Arc::clone(&scope.memory_peak),
        }
    }

    fn add(&self, bytes: usize) {
        let now = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.node_used.fetch_add(bytes, Ordering::Relaxed);
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    fn sub(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.node_used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn try_add(&self, bytes: usize) -> bool {
        self.add(bytes);
        let within = self.used.load(Ordering::Relaxed) <= self.limit
            && self.node_used.load(Ordering::Relaxed) <= self.node_limit;
        if !within {
            self.sub(bytes);
        }
        within
    }
}

impl Drop for QueryPool {
    fn drop(&mut self) {
        self.node_used.fetch_sub(self.used.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query pool of {} bytes", self.limit)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn grow(&self, _reservation: &MemoryReservation, additional: usize) {
        self.add(additional);
    }

    fn shrink(&self, _reservation: &MemoryReservation, shrink: usize) {
        self.sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if self.try_add(additional) {
            return Ok(());
        }
        let who = reservation.consumer().name();
        let text = format!("{who} wants {additional} bytes more, {self} holds {}", self.reserved());
        Err(DataFusionError::ResourcesExhausted(text))
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

/// The memory of one partition of a scan.
#[derive(Debug)]
pub(crate) struct ScanBudget(pub(crate) MemoryReservation);

impl Budget for ScanBudget {
    fn take(&self, bytes: usize) -> KymaResult<()> {
        self.0.try_grow(bytes).map_err(|error| exhausted(&error.message()))
    }

    fn give(&self, bytes: usize) {
        self.0.shrink(bytes.min(self.0.size()));
    }
}

/// As an error of DataFusion.
pub(crate) fn too_much(what: &str, bytes: usize) -> DataFusionError {
    to_df(exhausted(&format!("{what} holds {bytes} bytes")))
}
