//! Leaves a broken disk alone for a while.
//!
//! 1. Closed: the disk is used. [`FAILURES_MAX`] failures without a success between them open it.
//! 2. Open: the disk is not used, until [`COOL_DOWN`] has passed.
//! 3. On trial: the disk is used again. One failure opens it for another [`COOL_DOWN`]; a success closes it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Failures in a row after which the disk is left alone.
pub(crate) const FAILURES_MAX: u32 = 16;
/// How long it is left alone before it is tried again.
pub(crate) const COOL_DOWN: Duration = Duration::from_secs(60);

/// The breaker. Its clock is the runtime's, which tests can pause.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether the disk may be used now.
    pub(crate) fn allows(&self) -> bool {
        self.0.lock().open_until.is_none_or(|until| until <= Instant::now())
    }

    /// Notes that the disk did what it was asked.
    pub(crate) fn succeeded(&self) {
        let mut state = self.0.lock();
        if state.open_until.is_some() {
            tracing::info!("disk cache works again");
        }
        *state = State::default();
    }

    /// Notes that it did not.
    pub(crate) fn failed(&self, why: &str) {
        let now = Instant::now();
        let mut state = self.0.lock();
        state.failures = state.failures.saturating_add(1);
        let on_trial = state.open_until.is_some_and(|until| until <= now);
        let too_many = state.open_until.is_none() && state.failures >= FAILURES_MAX;
        if too_many || on_trial {
            state.open_until = Some(now + COOL_DOWN);
            tracing::warn!(failures = state.failures, why, "disk cache fails and is left alone for a while");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn fail(breaker: &Breaker, times: u32) {
        (0..times).for_each(|_| breaker.failed("test"));
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row() {
        let breaker = Breaker::default();
        fail(&breaker, FAILURES_MAX - 1);
        breaker.succeeded();
        fail(&breaker, FAILURES_MAX - 1);
        assert!(breaker.allows());
        fail(&breaker, 1);
        assert!(!breaker.allows());
    }

    #[tokio::test(start_paused = true)]
    async fn tries_again_after_a_while_and_closes_after_a_success() {
        let breaker = Breaker::default();
        fail(&breaker, FAILURES_MAX);
        advance(COOL_DOWN - Duration::from_millis(1)).await;
        fail(&breaker, 1);
        assert!(!breaker.allows(), "a late failure changes nothing");
        advance(Duration::from_millis(1)).await;
        assert!(breaker.allows());
        fail(&breaker, 1);
        assert!(!breaker.allows(), "one failure on trial is enough");
        advance(COOL_DOWN).await;
        breaker.succeeded();
        fail(&breaker, FAILURES_MAX - 1);
        assert!(breaker.allows());
    }
}
