//! The extents of one execution of a scan, shared by its partitions: whoever is free takes the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kyma_core::extent::Extent;
use parking_lot::Mutex;

/// Extents not yet taken, and rows given out so far.
#[derive(Debug, Default)]
pub struct ScanQueue {
    extents: Mutex<VecDeque<Arc<Extent>>>,
    rows: AtomicUsize,
}

impl ScanQueue {
    /// A queue of `extents`, in this order.
    pub fn new(extents: impl IntoIterator<Item = Arc<Extent>>) -> Self {
        ScanQueue { extents: Mutex::new(extents.into_iter().collect()), rows: AtomicUsize::new(0) }
    }

    /// The next extent.
    pub fn take(&self) -> Option<Arc<Extent>> {
        self.extents.lock().pop_front()
    }

    /// Removes and counts what nobody will need.
    pub fn abandon(&self) -> usize {
        std::mem::take(&mut *self.extents.lock()).len()
    }

    /// Counts rows given out.
    pub fn gave(&self, rows: usize) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows given out so far.
    pub fn given(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }
}
