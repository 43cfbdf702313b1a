//! Ranges in memory, bounded by bytes.

use async_trait::async_trait;
use bytes::Bytes;
use moka::sync::Cache;

use super::{BlockCache, RangeKey};

/// Bookkeeping of one entry, roughly, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 160;
/// A range larger than this part of the cache is not kept.
const LARGEST_PART: u64 = 4;

/// A memory cache.
#[derive(Debug)]
pub struct MemoryCache {
    ranges: Cache<RangeKey, Bytes>,
    entry_bytes_max: u64,
}

impl MemoryCache {
    /// A cache of at most about `bytes`.
    pub fn new(bytes: u64) -> Self {
        let weigh = |_: &RangeKey, value: &Bytes| u32::try_from(value.len() + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX);
        let ranges = Cache::builder().max_capacity(bytes).weigher(weigh).build();
        MemoryCache { ranges, entry_bytes_max: bytes / LARGEST_PART }
    }

    /// Bytes held now, roughly.
    pub fn bytes(&self) -> u64 {
        self.ranges.run_pending_tasks();
        self.ranges.weighted_size()
    }
}

#[async_trait]
impl BlockCache for MemoryCache {
    async fn get(&self, key: &RangeKey) -> Option<Bytes> {
        self.ranges.get(key)
    }

    fn put(&self, key: RangeKey, bytes: Bytes) {
        if bytes.len() as u64 <= self.entry_bytes_max {
            self.ranges.insert(key, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stays_within_its_bytes() {
        let cache = MemoryCache::new(100_000);
        for start in 0..1_000_u64 {
            cache.put(RangeKey { object: "o".into(), start, end: start + 1_000 }, Bytes::from(vec![7; 1_000]));
        }
        assert!(cache.bytes() <= 100_000, "{}", cache.bytes());
        let whole = RangeKey { object: "o".into(), start: 0, end: 50_000 };
        cache.put(whole.clone(), Bytes::from(vec![7; 50_000]));
        assert_eq!(cache.get(&whole).await, None);
    }
}
