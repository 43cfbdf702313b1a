//! The extents of one execution of a scan, shared by its partitions: whoever is free takes the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kyma_core::extent::Extent;
use parking_lot::Mutex;

/// Extents not yet taken, and rows given out so far.
#[derive(Debug, Default)]
pub struct ScanQueue {
    extents: Mutex<VecDeque<(usize, Arc<Extent>)>>,
    rows: AtomicUsize,
}

impl ScanQueue {
    /// A queue of `extents`, in this order, each with its place in the list of the scan.
    pub fn new(extents: impl IntoIterator<Item = (usize, Arc<Extent>)>) -> Self {
        ScanQueue { extents: Mutex::new(extents.into_iter().collect()), rows: AtomicUsize::new(0) }
    }

    /// The next extent.
    pub fn take(&self) -> Option<(usize, Arc<Extent>)> {
        self.extents.lock().pop_front()
    }

    /// Removes and counts what nobody will need.
    pub fn abandon(&self) -> usize {
        std::mem::take(&mut *self.extents.lock()).len()
    }

    /// Takes up to `wanted` of the rows that may still be given out, of `limit` in all; how many it got.
    pub fn claim(&self, wanted: usize, limit: usize) -> usize {
        let room = |given: usize| wanted.min(limit.saturating_sub(given));
        let claim = |given: usize| Some(given + room(given));
        self.rows.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).map_or(0, room)
    }

    /// Rows given out so far, of a scan with a limit.
    pub fn given(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }
}
