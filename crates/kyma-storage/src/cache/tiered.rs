//! Memory in front of disk.

use async_trait::async_trait;
use bytes::Bytes;

use super::{BlockCache, CacheCounts, Cost, DiskCache, MemoryCache, RangeKey, Worth};

/// A memory cache in front of a disk cache. What is found on disk is offered to memory; each tier decides for itself
/// what it takes.
#[derive(Debug)]
pub struct TieredCache {
    memory: MemoryCache,
    disk: DiskCache,
}

impl TieredCache {
    /// Puts `memory` in front of `disk`.
    pub fn new(memory: MemoryCache, disk: DiskCache) -> Self {
        TieredCache { memory, disk }
    }
}

#[async_trait]
impl BlockCache for TieredCache {
    async fn get(&self, key: &RangeKey) -> Option<Bytes> {
        if let Some(bytes) = self.memory.get(key).await {
            return Some(bytes);
        }
        let bytes = self.disk.get(key).await?;
        self.memory.put(key.clone(), bytes.clone(), Cost::of_request(key.bytes()).into());
        Some(bytes)
    }

    fn put(&self, key: RangeKey, bytes: Bytes, worth: Worth) {
        self.disk.put(key.clone(), bytes.clone(), worth);
        self.memory.put(key, bytes, worth);
    }

    fn counts(&self) -> Vec<CacheCounts> {
        [self.memory.counts(), self.disk.counts()].concat()
    }
}
