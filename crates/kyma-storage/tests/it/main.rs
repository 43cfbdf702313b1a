//! The store's promises, on memory and folder stores with injected faults.

#![allow(clippy::single_range_in_vec_init)] // One range is what is read.

mod cache;
mod faults;
mod ranges;
mod slow;
mod stores;
mod survival;
mod wire;

use std::sync::Arc;

use kyma_core::extent::ObjectRange;
use kyma_core::profile::IoCounters;

/// The range of a whole extent.
fn extent(key: &str, offset: u64, length: u64) -> ObjectRange {
    ObjectRange { key: key.to_owned(), offset, length }
}

/// `count` bytes that differ from their neighbours.
fn sample(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn counters() -> Arc<IoCounters> {
    Arc::new(IoCounters::default())
}
