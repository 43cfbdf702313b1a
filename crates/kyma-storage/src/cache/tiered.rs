//! Memory in front of disk.

use async_trait::async_trait;
use bytes::Bytes;

use super::{BlockCache, DiskCache, MemoryCache, RangeKey};

/// A memory cache in front of a disk cache. What is found on disk is kept in memory.
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
        self.memory.put(key.clone(), bytes.clone());
        Some(bytes)
    }

    fn put(&self, key: RangeKey, bytes: Bytes) {
        self.disk.put(key.clone(), bytes.clone());
        self.memory.put(key, bytes);
    }
}
