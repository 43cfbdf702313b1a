//! What a query cost: filled in by every level, sent with every answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::prune::Reason;

/// One level of the pruning cascade.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelProfile {
    /// Extents or blocks looked at.
    pub considered: u64,
    /// How many were pruned, by reason.
    pub pruned: BTreeMap<Reason, u64>,
    /// How many were read, or answered from metadata.
    pub kept: u64,
}

impl LevelProfile {
    /// How many were pruned for any reason.
    pub fn pruned_total(&self) -> u64 {
        self.pruned.values().sum()
    }
}

/// The cost of one query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The snapshot it read, by database name.
    pub snapshot: BTreeMap<String, i64>,
    /// Extents by the catalog's statistics.
    pub catalog: LevelProfile,
    /// Extents by their footers.
    pub extents: LevelProfile,
    /// Blocks by their statistics and indexes.
    pub blocks: LevelProfile,
    /// Extents answered from metadata without data.
    pub metadata_answers: u64,
    /// Blocks answered from metadata, those of such extents included.
    pub metadata_blocks: u64,
    /// Rows whose filter columns were decoded.
    pub rows_scanned: u64,
    /// Rows that passed the scan's filter.
    pub rows_matched: u64,
    /// Rows of the answer.
    pub rows_returned: u64,
    /// Range requests sent to the store, repeated and hedged ones included.
    pub store_requests: u64,
    /// Of these, the second ones, asked because the first was slow.
    #[serde(default)]
    pub store_hedged_requests: u64,
    /// Bytes received from the store.
    pub store_bytes: u64,
    /// Ranges found in a cache.
    pub cache_hits: u64,
    /// Bytes found in a cache.
    pub cache_bytes: u64,
    /// Highest memory of the query's pool, in bytes.
    pub memory_peak_bytes: u64,
    /// Microseconds of text to plan.
    pub parse_micros: u64,
    /// Microseconds of plan to operators, catalog pruning included.
    pub plan_micros: u64,
    /// Microseconds of running.
    pub execute_micros: u64,
}

/// IO counters shared by everything that reads for one query.
#[derive(Debug, Default)]
pub struct IoCounters {
    /// Range requests sent to the store, repeated and hedged ones included.
    pub store_requests: AtomicU64,
    /// Of these, the second ones, asked because the first was slow.
    pub store_hedged_requests: AtomicU64,
    /// Bytes received from the store.
    pub store_bytes: AtomicU64,
    /// Ranges found in a cache.
    pub cache_hits: AtomicU64,
    /// Bytes found in a cache.
    pub cache_bytes: AtomicU64,
}

impl IoCounters {
    /// Counts one request to the store.
    pub fn requested(&self) {
        self.store_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request as one that was asked a second time; it is counted by [`Self::requested`], too.
    pub fn hedged(&self) {
        self.store_hedged_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts `bytes` received from the store.
    pub fn received(&self, bytes: u64) {
        self.store_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts one cache hit of `bytes`.
    pub fn cache(&self, bytes: u64) {
        self.cache_hits.fetch_add(1, Ordering::Relaxed);
        self.cache_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Copies the counters into a profile.
    pub fn fill(&self, profile: &mut Profile) {
        profile.store_requests = self.store_requests.load(Ordering::Relaxed);
        profile.store_hedged_requests = self.store_hedged_requests.load(Ordering::Relaxed);
        profile.store_bytes = self.store_bytes.load(Ordering::Relaxed);
        profile.cache_hits = self.cache_hits.load(Ordering::Relaxed);
        profile.cache_bytes = self.cache_bytes.load(Ordering::Relaxed);
    }
}
