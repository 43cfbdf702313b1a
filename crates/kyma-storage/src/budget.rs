//! How often a node asks its store again.
//!
//! Each call retries by itself, with growing pauses. A store in trouble meets all calls of a node at once, and repeats
//! of every one of them are what it can bear least. So retries are paid from one credit:
//!
//! 1. A retry takes one from the credit. It holds [`CREDIT_MAX`], and [`CREDIT_PER_SECOND`] come back with time.
//! 2. When there is none, a retry waits for its turn, in the order of asking. One whose turn would come after its call's
//!    deadline does not take place: the call fails with what the store said last.
//! 3. While the store asked for peace (`Retry-After`), no retry takes place before that time.
//!
//! First attempts are not counted: what a node is asked to do bounds them.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Retries that may follow each other at once. A node's flushes and a gate full of reads have two each.
const CREDIT_MAX: f64 = 128.0;
/// Retries that a node sends to a store that stays away.
const CREDIT_PER_SECOND: f64 = 16.0;
/// Longest that a store may ask to be left alone.
const PEACE_MAX: Duration = Duration::from_secs(30);

/// The credit of one node with one store.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Below 0 when turns are given away in advance.
    credit: f64,
    counted: Instant,
    peace_until: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Budget(Mutex::new(State { credit: CREDIT_MAX, counted: Instant::now(), peace_until: None }))
    }
}

impl Budget {
    /// Waits for the turn of a retry that would like to take place at `wanted`; `false` when that is not before `deadline`.
    pub(crate) async fn turn(&self, wanted: Instant, deadline: Instant) -> bool {
        let Some(turn) = self.0.lock().turn(Instant::now(), wanted, deadline) else { return false };
        sleep_until(turn).await;
        true
    }

    /// Leaves the store alone for a while, as it asked.
    pub(crate) fn keep_peace(&self, time: Duration) {
        let until = Instant::now() + time.min(PEACE_MAX);
        let mut state = self.0.lock();
        state.peace_until = Some(state.peace_until.map_or(until, |other| other.max(until)));
    }
}

impl State {
    fn turn(&mut self, now: Instant, wanted: Instant, deadline: Instant) -> Option<Instant> {
        let earned = now.saturating_duration_since(self.counted).as_secs_f64() * CREDIT_PER_SECOND;
        self.credit = (self.credit + earned).min(CREDIT_MAX);
        self.counted = now;
        let missing = (1.0 - self.credit).max(0.0);
        let paid = now + Duration::from_secs_f64(missing / CREDIT_PER_SECOND);
        let turn = self.peace_until.map_or(paid, |peace| paid.max(peace)).max(wanted);
        if turn >= deadline {
            return None;
        }
        self.credit -= 1.0;
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stays_away_is_asked_at_a_bounded_rate() {
        let (budget, began) = (Budget::default(), Instant::now());
        let mut retries = 0;
        while began.elapsed() < 10 * SECOND {
            assert!(budget.turn(Instant::now(), began + 100 * SECOND).await);
            retries += 1;
        }
        let most = CREDIT_MAX + CREDIT_PER_SECOND * 10.0;
        assert!((most - 5.0..=most + 5.0).contains(&f64::from(retries)), "{retries}");
        tokio::time::sleep(20 * SECOND).await;
        let again = Instant::now();
        for _ in 0..CREDIT_MAX as usize {
            budget.turn(Instant::now(), again + SECOND).await;
        }
        assert_eq!(again.elapsed(), Duration::ZERO, "the credit comes back with time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_after_the_deadline_is_none_and_costs_none() {
        let (budget, began) = (Budget::default(), Instant::now());
        budget.keep_peace(5 * SECOND);
        budget.keep_peace(SECOND);
        assert!(!budget.turn(began, began + 4 * SECOND).await, "the store asked for peace for longer");
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(budget.turn(began, began + 6 * SECOND).await);
        assert_eq!(began.elapsed(), 5 * SECOND);
        assert!(budget.turn(began + 7 * SECOND, began + 9 * SECOND).await);
        assert_eq!(began.elapsed(), 7 * SECOND, "a pause that is longer counts");
    }
}
