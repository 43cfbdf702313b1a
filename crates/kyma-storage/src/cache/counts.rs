//! What a tier of the cache counts of itself.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Counts of one tier since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheCounts {
    /// `memory` or `disk`.
    pub tier: &'static str,
    /// Ranges found.
    pub hits: u64,
    /// Bytes of them.
    pub hit_bytes: u64,
    /// Ranges not found.
    pub misses: u64,
    /// Ranges taken when they were offered.
    pub admitted: u64,
    /// Ranges not taken.
    pub rejected: u64,
    /// Ranges given up for others; where the tier can tell.
    pub evicted: Option<u64>,
    /// Bytes held now, roughly; where the tier can tell.
    pub held_bytes: Option<u64>,
}

impl CacheCounts {
    /// The part of lookups that found their range, from 0 to 1; 0 when there were none.
    pub fn hit_rate(&self) -> f64 {
        self.hits as f64 / (self.hits + self.misses).max(1) as f64
    }
}

/// The counters behind [`CacheCounts`].
#[derive(Debug, Default)]
pub(crate) struct Tally {
    hits: AtomicU64,
    hit_bytes: AtomicU64,
    misses: AtomicU64,
    admitted: AtomicU64,
    rejected: AtomicU64,
}

impl Tally {
    /// Counts a lookup by what it found.
    pub(crate) fn looked_up(&self, found: Option<&Bytes>) {
        match found {
            Some(bytes) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                self.hit_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            None => {
                self.misses.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Counts an offer by whether it was taken.
    pub(crate) fn offered(&self, taken: bool) {
        let counter = if taken { &self.admitted } else { &self.rejected };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts of `tier`, without what only the tier knows.
    pub(crate) fn counts(&self, tier: &'static str) -> CacheCounts {
        CacheCounts {
            tier,
            hits: self.hits.load(Ordering::Relaxed),
            hit_bytes: self.hit_bytes.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            admitted: self.admitted.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            evicted: None,
            held_bytes: None,
        }
    }
}
