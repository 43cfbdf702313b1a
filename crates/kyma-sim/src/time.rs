//! Simulated time: the runtime's paused clock, which jumps from one timer to the next, and the clocks that show it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use kyma_core::clock::Clock;
use tokio::time::Instant;
use uuid::Uuid;

use crate::rng::mix;

/// 2026-01-01T00:00:00Z, when every world begins.
pub const BEGIN: i64 = 1_767_225_600_000_000_000;

/// A clock of one machine. Its identities follow from the seed and from how many there were.
#[derive(Debug)]
pub struct SimClock {
    start: Instant,
    offset: AtomicI64,
    seed: u64,
    ids: AtomicU64,
}

impl SimClock {
    /// A clock that is right, in a world that began at `start`.
    pub fn new(start: Instant, seed: u64) -> SimClock {
        SimClock { start, offset: AtomicI64::new(0), seed, ids: AtomicU64::new(0) }
    }

    /// Sets it right.
    pub fn repair(&self) {
        self.offset.store(0, Ordering::Relaxed);
    }

    /// Moves it, forward or back.
    pub fn jump(&self, nanos: i64) {
        self.offset.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> i64 {
        BEGIN + self.start.elapsed().as_nanos() as i64 + self.offset.load(Ordering::Relaxed)
    }

    fn new_id(&self) -> Uuid {
        let count = self.ids.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (mix(self.seed ^ count), mix(self.seed.rotate_left(32) ^ count));
        let mut random = [0; 10];
        random[..8].copy_from_slice(&high.to_le_bytes());
        random[8..].copy_from_slice(&low.to_le_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(self.now() as u64 / 1_000_000, &random).into_uuid()
    }
}
