//! When a slow GET is asked a second time.
//!
//! Of a store's GETs a few take many times the usual (<https://research.google/pubs/the-tail-at-scale/>); a second one
//! usually does not. A GET is hedged
//! 1. when it has taken longer than [`PERCENTILE`] percent of the last [`RECENT`] GETs of about its size, and longer
//!    than the least that the settings say;
//! 2. while no more than the settings' part of all GETs was hedged. So a store that is slow as a whole is not asked
//!    twice for everything, just when it can bear it least; soon its slowness is the usual, too.
//!
//! What is remembered of a hedged GET is when its first answer came. Nothing is hedged before [`KNOWN_MIN`] GETs of the
//! size are known.

use std::time::Duration;

use parking_lot::Mutex;

/// Slower than so many percent of recent GETs is slow.
const PERCENTILE: usize = 95;
/// How many GETs of each size are remembered.
const RECENT: usize = 256;
/// How many of them must be known.
const KNOWN_MIN: usize = 32;
/// GETs of at most these bytes, and not of those before, are of about the same size; larger ones are, too.
const SIZES: [u64; 3] = [64 << 10, 1 << 20, 4 << 20];
/// Most hedges that may be saved up while none is needed.
const SAVED_MAX: u64 = 8;
/// What one hedge takes from the credit. Each GET adds a percent.
const PRICE: u64 = 100;

/// Decides on hedges.
#[derive(Debug)]
pub(crate) struct Hedges {
    after_min: Duration,
    percent_max: u64,
    credit: Mutex<u64>,
    recent: [Mutex<Recent>; SIZES.len() + 1],
}

/// The last GETs of about one size.
#[derive(Debug, Default)]
struct Recent {
    micros: Vec<u64>,
    oldest: usize,
}

impl Recent {
    fn add(&mut self, micros: u64) {
        if self.micros.len() < RECENT {
            self.micros.push(micros);
            return;
        }
        self.micros[self.oldest] = micros;
        self.oldest = (self.oldest + 1) % RECENT;
    }

    fn percentile(&self) -> Option<u64> {
        if self.micros.len() < KNOWN_MIN {
            return None;
        }
        let mut sorted = self.micros.clone();
        let place = sorted.len() * PERCENTILE / 100;
        Some(*sorted.select_nth_unstable(place).1)
    }
}

impl Hedges {
    /// Hedges no earlier than `after_min`, and no more than `percent_max` of all GETs; none when that is 0.
    pub(crate) fn new(after_min: Duration, percent_max: u32) -> Self {
        let recent = std::array::from_fn(|_| Mutex::default());
        Hedges { after_min, percent_max: u64::from(percent_max), credit: Mutex::new(0), recent }
    }

    /// Counts a GET of `bytes` that starts. How long to wait before it is slow; `None` when it is not to be hedged.
    pub(crate) fn start(&self, bytes: u64) -> Option<Duration> {
        if self.percent_max == 0 {
            return None;
        }
        let mut credit = self.credit.lock();
        *credit = (*credit + self.percent_max).min(SAVED_MAX * PRICE);
        drop(credit);
        let usual = self.recent[size(bytes)].lock().percentile()?;
        Some(Duration::from_micros(usual).max(self.after_min))
    }

    /// Takes the right to one hedge, if there is one left.
    pub(crate) fn take(&self) -> bool {
        let mut credit = self.credit.lock();
        let left = credit.checked_sub(PRICE);
        *credit = left.unwrap_or(*credit);
        left.is_some()
    }

    /// Remembers how long a GET of `bytes` took.
    pub(crate) fn finish(&self, bytes: u64, took: Duration) {
        if self.percent_max > 0 {
            self.recent[size(bytes)].lock().add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }
}

fn size(bytes: u64) -> usize {
    SIZES.iter().position(|&most| bytes <= most).unwrap_or(SIZES.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn slow_is_what_few_recent_ones_of_the_size_were() {
        let hedges = Hedges::new(5 * MILLI, 5);
        for at in 1..=RECENT as u32 {
            assert_eq!(hedges.start(1_000).is_some(), at > KNOWN_MIN as u32, "{at}");
            hedges.finish(1_000, at * MILLI);
        }
        assert_eq!(hedges.start(1_000), Some(244 * MILLI));
        assert_eq!(hedges.start(100_000), None, "nothing is known of larger ones");
        for _ in 0..RECENT {
            hedges.finish(1_000, MILLI);
        }
        assert_eq!(hedges.start(1_000), Some(5 * MILLI), "the old ones are forgotten, and there is a least");
    }

    #[test]
    fn few_are_hedged_and_few_are_saved_up() {
        let hedges = Hedges::new(MILLI, 5);
        let taken = (0..1_000).filter(|_| {
            hedges.start(1);
            hedges.take()
        });
        assert_eq!(taken.count(), 50);
        for _ in 0..1_000 {
            hedges.start(1);
        }
        assert_eq!((0..100).filter(|_| hedges.take()).count(), SAVED_MAX as usize);
    }

    #[test]
    fn none_when_it_is_off() {
        let hedges = Hedges::new(MILLI, 0);
        for _ in 0..RECENT {
            hedges.finish(1, MILLI);
        }
        assert_eq!(hedges.start(1), None);
        assert!(!hedges.take());
    }
}
