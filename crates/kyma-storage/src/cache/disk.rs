//! Ranges on local disk, through foyer.
//!
//! Rules that keep it safe: keys are immutable, nothing is removed or cleared (foyer#1315), S3-FIFO eviction of what
//! is on its way to the disk. A lookup that fails or takes longer than [`LOOKUP_TIMEOUT`] is a miss; after some of them
//! in a row the disk is left alone for a while (`breaker`). foyer checks each entry's checksum. It does not tell of
//! writes that fail: what was not written is simply not found.
//!
//! The disk evicts in the order of writing. Pieces of large requests are taken at first sight until half of the room
//! was taken since the start, and later when they are offered again; so a scan over more than the disk goes past it.
//! What is hot is taken at once, what is cold never.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use foyer::{
    BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder, HybridCachePolicy,
    PsyncIoEngineConfig, RecoverMode, S3FifoConfig, Source,
};
use kyma_core::{Error, Result};
use tokio::time::timeout;

use super::breaker::Breaker;
use super::counts::Tally;
use super::sightings::Sightings;
use super::{BlockCache, CacheCounts, Cost, RangeKey, Warmth, Worth};

/// The longest a lookup may take before the store is asked instead.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_millis(500);
/// Smallest useful disk cache.
const DISK_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// foyer's unit of eviction, and the largest entry.
const BLOCK_BYTES: usize = 16 * 1024 * 1024;
/// Memory in front of the disk, for entries on their way to it.
const STAGING_BYTES: usize = 16 * 1024 * 1024;
/// Pieces of scans that are remembered: 4 MiB of memory.
const SIGHTINGS: usize = 1 << 20;

/// A disk cache.
#[derive(Debug)]
pub struct DiskCache {
    ranges: HybridCache<String, Bytes>,
    bytes_max: u64,
    /// Bytes taken since the start. foyer's own count of what was written lags behind.
    taken: AtomicU64,
    breaker: Breaker,
    sightings: Sightings,
    tally: Tally,
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
        let bytes_max = capacity as u64;
        let (breaker, sightings, tally) = (Breaker::default(), Sightings::new(SIGHTINGS), Tally::default());
        Ok(DiskCache { ranges, bytes_max, taken: AtomicU64::new(0), breaker, sightings, tally })
    }

    /// Writes out what is on its way to the disk and stops. Lookups are misses from then on.
    pub async fn close(&self) {
        if let Err(error) = self.ranges.close().await {
            tracing::debug!(error = %error, "disk cache did not close cleanly");
        }
    }

    /// Bytes written since the start.
    fn written(&self) -> u64 {
        self.ranges.statistics().disk_write_bytes() as u64
    }

    fn admits(&self, key: &RangeKey, bytes: &Bytes, worth: Worth) -> bool {
        let wanted = match worth.warmth {
            Warmth::Cold => false,
            Warmth::Hot => true,
            Warmth::ByUse => {
                let again = worth.cost == Cost::RoundTrip || self.sightings.again(key);
                again || self.taken.load(Ordering::Relaxed) < self.bytes_max / 2
            }
        };
        wanted && bytes.len() < BLOCK_BYTES / 2 && self.breaker.allows()
    }

    async fn look_up(&self, key: &RangeKey) -> Option<Bytes> {
        let name = name(key);
        match timeout(LOOKUP_TIMEOUT, self.ranges.get(&name)).await {
            Ok(Ok(found)) => {
                let entry = found?;
                // What is still on its way to the disk says nothing of the disk.
                if entry.source() == Source::Disk {
                    self.breaker.succeeded();
                }
                Some(entry.value().clone()).filter(|bytes| bytes.len() as u64 == key.bytes())
            }
            Ok(Err(error)) => {
                self.breaker.failed(&error.to_string());
                None
            }
            Err(_elapsed) => {
                self.breaker.failed("lookup took too long");
                None
            }
        }
    }
}

fn name(key: &RangeKey) -> String {
    format!("{}:{}-{}", key.object, key.start, key.end)
}

#[async_trait]
impl BlockCache for DiskCache {
    async fn get(&self, key: &RangeKey) -> Option<Bytes> {
        let found = if self.breaker.allows() { self.look_up(key).await } else { None };
        self.tally.looked_up(found.as_ref());
        found
    }

    fn put(&self, key: RangeKey, bytes: Bytes, worth: Worth) {
        let admitted = self.admits(&key, &bytes, worth);
        self.tally.offered(admitted);
        if admitted {
            self.taken.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.ranges.insert(name(&key), bytes);
        }
    }

    fn counts(&self) -> Vec<CacheCounts> {
        // foyer does not tell what it holds: no more than was written, and than there is room for.
        let held_bytes = Some(self.written().min(self.bytes_max));
        vec![CacheCounts { held_bytes, ..self.tally.counts("disk") }]
    }
}
