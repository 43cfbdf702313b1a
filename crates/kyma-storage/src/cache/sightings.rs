//! Remembers which ranges were offered lately, in little room.
//!
//! A table of fingerprints, one for each place; a newer range takes the place of an older one. So a range may be
//! forgotten early, and one in some billions is taken for another: it is advice about what to keep, never about bytes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

use super::RangeKey;

/// The table.
#[derive(Debug)]
pub(crate) struct Sightings(Box<[AtomicU32]>);

impl Sightings {
    /// A table of `places`, four bytes each.
    pub(crate) fn new(places: usize) -> Self {
        Sightings((0..places.max(1)).map(|_| AtomicU32::new(0)).collect())
    }

    /// Whether `key` was seen lately; from now on it was.
    pub(crate) fn again(&self, key: &RangeKey) -> bool {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let hash = hasher.finish();
        let (place, print) = (hash as usize % self.0.len(), (hash >> 32) as u32 | 1);
        self.0[place].swap(print, Ordering::Relaxed) == print
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(start: u64) -> RangeKey {
        RangeKey { object: "o".into(), start, end: start + 1 }
    }

    #[test]
    fn remembers_some_and_forgets_old_ones() {
        let sightings = Sightings::new(100);
        assert!(!sightings.again(&key(1)));
        assert!(sightings.again(&key(1)));
        assert!(!(1_000..3_000).any(|start| sightings.again(&key(start))));
        assert!(!sightings.again(&key(1)), "forgotten after many others");
    }
}
