//! Ranges in memory, bounded by bytes.
//!
//! moka's TinyLFU counts how often each range is asked for, found or not, from when the cache is half full. A newcomer
//! gets in when it was asked for more often than all together that must go for it. So a scan never replaces what is
//! asked for often; but ranges that are asked for once replace each other not at all, and whoever came first stays.
//! Therefore pieces of large requests are admitted at first sight only until the cache is half full, and a range
//! that costs a round trip counts as asked for once more than it was: it replaces pieces of a scan, these do not replace it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use moka::sync::Cache;

use super::counts::Tally;
use super::sightings::Sightings;
use super::{BlockCache, CacheCounts, Cost, RangeKey};

/// Bookkeeping of one entry, roughly, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 160;
/// A range larger than this part of the cache is not kept.
const LARGEST_PART: u64 = 4;
/// Pieces of scans that are remembered: 256 KiB of memory.
const SIGHTINGS: usize = 1 << 16;

/// A memory cache.
#[derive(Debug)]
pub struct MemoryCache {
    ranges: Cache<RangeKey, Bytes>,
    bytes_max: u64,
    sightings: Sightings,
    tally: Tally,
    evicted: Arc<AtomicU64>,
}

impl MemoryCache {
    /// A cache of at most about `bytes`.
    pub fn new(bytes: u64) -> Self {
        let weigh = |_: &RangeKey, value: &Bytes| u32::try_from(value.len() + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX);
        let evicted = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&evicted);
        let count = move |_, _, cause: moka::notification::RemovalCause| {
            counter.fetch_add(u64::from(cause.was_evicted()), Ordering::Relaxed);
        };
        let ranges = Cache::builder().max_capacity(bytes).weigher(weigh).eviction_listener(count).build();
        let (sightings, tally) = (Sightings::new(SIGHTINGS), Tally::default());
        MemoryCache { ranges, bytes_max: bytes, sightings, tally, evicted }
    }

    /// Bytes held now, roughly.
    pub fn bytes(&self) -> u64 {
        self.ranges.run_pending_tasks();
        self.ranges.weighted_size()
    }

    fn admits(&self, key: &RangeKey, bytes: u64, cost: Cost) -> bool {
        let again = cost == Cost::RoundTrip || self.sightings.again(key);
        let half_full = self.ranges.weighted_size() + bytes > self.bytes_max / 2;
        bytes <= self.bytes_max / LARGEST_PART && (again || !half_full)
    }
}

#[async_trait]
impl BlockCache for MemoryCache {
    async fn get(&self, key: &RangeKey) -> Option<Bytes> {
        let found = self.ranges.get(key);
        self.tally.looked_up(found.as_ref());
        found
    }

    fn put(&self, key: RangeKey, bytes: Bytes, cost: Cost) {
        let admitted = self.admits(&key, bytes.len() as u64, cost);
        self.tally.offered(admitted);
        if !admitted {
            return;
        }
        if cost == Cost::RoundTrip {
            // Counts in TinyLFU's sketch; see the head of this file.
            self.ranges.get(&key);
        }
        self.ranges.insert(key, bytes);
    }

    fn counts(&self) -> Vec<CacheCounts> {
        let (held, evicted) = (self.bytes(), self.evicted.load(Ordering::Relaxed));
        vec![CacheCounts { evicted: Some(evicted), held_bytes: Some(held), ..self.tally.counts("memory") }]
    }
}

#[cfg(test)]
mod tests;
