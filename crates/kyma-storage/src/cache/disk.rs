//! Ranges on local disk, through foyer.
//!
//! Rules that keep it safe: keys are immutable, nothing is removed or cleared (foyer#1315), S3-FIFO eviction,
//! admission by foyer's own queue limits. A lookup that fails or takes longer than [`LOOKUP_TIMEOUT`] is a miss; after
//! [`FAILURES_MAX`] failures in a row the disk is left alone until the process ends. foyer checks each entry's checksum.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use foyer::{
    BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder, HybridCachePolicy,
    PsyncIoEngineConfig, RecoverMode, S3FifoConfig,
};
use kyma_core::{Error, Result};
use tokio::time::timeout;

use super::{BlockCache, RangeKey};

/// The longest a lookup may take before the store is asked instead.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_millis(500);
/// Failed lookups in a row after which the disk is left alone.
pub(crate) const FAILURES_MAX: u32 = 16;
/// Smallest useful disk cache.
const DISK_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// foyer's unit of eviction, and the largest entry.
const BLOCK_BYTES: usize = 16 * 1024 * 1024;
/// Memory in front of the disk, for entries on their way to it.
const STAGING_BYTES: usize = 16 * 1024 * 1024;

/// A disk cache.
#[derive(Debug)]
pub struct DiskCache {
    ranges: HybridCache<String, Bytes>,
    failures: AtomicU32,
}

impl DiskCache {
    /// Opens or creates a cache of about `bytes` in `dir`.
    ///
    /// # Errors
    /// `Unavailable` when the folder cannot be used; the caller goes on without.
    pub async fn open(dir: &Path, bytes: u64) -> Result<Self> {
        let unusable = |error: &dyn std::fmt::Display| {
            Error::unavailable("store.cache_unusable", format!("disk cache cannot be used: dir={}", dir.display()))
                .because(error.to_string())
        };
        // First by ourselves: foyer panics where the folder cannot be made.
        std::fs::create_dir_all(dir).map_err(|error| unusable(&error))?;
        let capacity = usize::try_from(bytes.max(DISK_BYTES_MIN)).unwrap_or(usize::MAX);
        let device = FsDeviceBuilder::new(dir).with_capacity(capacity).build().map_err(|error| unusable(&error))?;
        let ranges = HybridCacheBuilder::new()
            .with_name("kyma-ranges")
            .with_policy(HybridCachePolicy::WriteOnInsertion)
            .with_flush_on_close(false)
            .memory(STAGING_BYTES)
            .with_shards(4)
            .with_eviction_config(S3FifoConfig::default())
            .with_weighter(|key: &String, value: &Bytes| key.len() + value.len())
            .storage()
            .with_io_engine_config(PsyncIoEngineConfig::new())
            .with_engine_config(BlockEngineConfig::new(device).with_block_size(BLOCK_BYTES))
            .with_recover_mode(RecoverMode::Quiet)
            .build()
            .await
            .map_err(|error| unusable(&error))?;
        Ok(DiskCache { ranges, failures: AtomicU32::new(0) })
    }

    /// Writes out what is on its way to the disk and stops. Lookups are misses from then on.
    pub async fn close(&self) {
        if let Err(error) = self.ranges.close().await {
            tracing::debug!(error = %error, "disk cache did not close cleanly");
        }
    }

    fn given_up(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= FAILURES_MAX
    }

    fn failed(&self, why: &str) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures == FAILURES_MAX {
            tracing::warn!(failures, why, "disk cache failed too often and is left alone");
        }
    }
}

fn name(key: &RangeKey) -> String {
    format!("{}:{}-{}", key.object, key.start, key.end)
}

#[async_trait]
impl BlockCache for DiskCache {
    async fn get(&self, key: &RangeKey) -> Option<Bytes> {
        if self.given_up() {
            return None;
        }
        let name = name(key);
        match timeout(LOOKUP_TIMEOUT, self.ranges.get(&name)).await {
            Ok(Ok(found)) => {
                self.failures.store(0, Ordering::Relaxed);
                found.map(|entry| entry.value().clone()).filter(|bytes| bytes.len() as u64 == key.bytes())
            }
            Ok(Err(error)) => {
                self.failed(&error.to_string());
                None
            }
            Err(_elapsed) => {
                self.failed("lookup took too long");
                None
            }
        }
    }

    fn put(&self, key: RangeKey, bytes: Bytes) {
        let fits = bytes.len() < BLOCK_BYTES / 2;
        if fits && !self.given_up() {
            self.ranges.insert(name(&key), bytes);
        }
    }
}
