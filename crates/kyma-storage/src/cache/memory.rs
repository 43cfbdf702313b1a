//! Ranges in memory, bounded by bytes.
//!
//! Evicted by S3-FIFO (<https://s3fifo.com>), foyer's: a newcomer goes through a tenth of the room and stays only when
//! it is asked for again in time, so what is asked for once replaces little. The traces of this file's tests chose it:
//! of 100 hot footers, as many are left after a scan over four times the cache. moka's TinyLFU left none (it counts
//! nothing before the cache is half full), and took 31 of 100 new footers into a cache that a scan had filled (it turns
//! newcomers away once); S3-FIFO takes all. What it does worse: ranges read in turn, again and again, that are more
//! than the cache holds; TinyLFU finds some of them, S3-FIFO none.
//!
//! Pieces of large requests have to be offered twice when the cache is half full; see the head of `cache`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use foyer::{Cache, CacheBuilder, Event, EventListener, EvictionConfig, S3FifoConfig};

use super::counts::Tally;
use super::sightings::Sightings;
use super::{BlockCache, CacheCounts, Cost, RangeKey, Worth};

/// Bookkeeping of one entry, roughly, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 160;
/// A range larger than this part of a shard is not kept.
const LARGEST_PART: usize = 4;
/// The cache has a shard, with its lock, for each of these bytes,
const SHARD_BYTES: usize = 32 << 20;
/// but no more than these.
const SHARDS_MAX: usize = 8;
/// Pieces of scans that are remembered: 256 KiB of memory.
const SIGHTINGS: usize = 1 << 16;

/// A memory cache.
#[derive(Debug)]
pub struct MemoryCache {
    ranges: Cache<RangeKey, Bytes>,
    entry_bytes_max: usize,
    sightings: Sightings,
    tally: Tally,
    evictions: Arc<Evictions>,
}

/// Counts what foyer evicts.
#[derive(Debug, Default)]
struct Evictions(AtomicU64);

impl EventListener for Evictions {
    type Key = RangeKey;
    type Value = Bytes;

    fn on_leave(&self, reason: Event, _key: &RangeKey, _value: &Bytes) {
        self.0.fetch_add(u64::from(reason == Event::Evict), Ordering::Relaxed);
    }
}

impl MemoryCache {
    /// A cache of at most about `bytes`.
    pub fn new(bytes: u64) -> Self {
        Self::with_eviction(bytes, S3FifoConfig::default())
    }

    fn with_eviction(bytes: u64, eviction: impl Into<EvictionConfig>) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let shards = (bytes / SHARD_BYTES).clamp(1, SHARDS_MAX);
        let evictions = Arc::new(Evictions::default());
        let ranges = CacheBuilder::new(bytes)
            .with_name("kyma-ranges-memory")
            .with_shards(shards)
            .with_eviction_config(eviction)
            .with_weighter(|_: &RangeKey, value: &Bytes| value.len() + ENTRY_OVERHEAD_BYTES)
            .with_event_listener(Arc::clone(&evictions) as _)
            .build();
        let (sightings, tally) = (Sightings::new(SIGHTINGS), Tally::default());
        MemoryCache { ranges, entry_bytes_max: bytes / shards / LARGEST_PART, sightings, tally, evictions }
    }

    /// Bytes held now, roughly.
    pub fn bytes(&self) -> u64 {
        self.ranges.usage() as u64
    }

    fn admits(&self, key: &RangeKey, bytes: usize, cost: Cost) -> bool {
        let again = cost == Cost::RoundTrip || self.sightings.again(key);
        let half_full = self.ranges.usage() + bytes > self.ranges.capacity() / 2;
        bytes <= self.entry_bytes_max && (again || !half_full)
    }
}

#[async_trait]
impl BlockCache for MemoryCache {
    async fn get(&self, key: &RangeKey) -> Option<Bytes> {
        let found = self.ranges.get(key).map(|entry| entry.value().clone());
        self.tally.looked_up(found.as_ref());
        found
    }

    fn put(&self, key: RangeKey, bytes: Bytes, worth: Worth) {
        let admitted = self.admits(&key, bytes.len(), worth.cost);
        self.tally.offered(admitted);
        if admitted {
            self.ranges.insert(key, bytes);
        }
    }

    fn counts(&self) -> Vec<CacheCounts> {
        let (held, evicted) = (self.bytes(), self.evictions.0.load(Ordering::Relaxed));
        vec![CacheCounts { evicted: Some(evicted), held_bytes: Some(held), ..self.tally.counts("memory") }]
    }
}

#[cfg(test)]
mod tests;
