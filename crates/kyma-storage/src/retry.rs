//! One call to the store: attempts with a time limit each, backoff with jitter between them, one deadline over all.
//!
//! The clients' own retries are off, so that this is the only place that repeats a request. All repeats of a node are
//! paid from one `budget`.

use std::future::Future;
use std::time::Duration;

use kyma_core::Result;
use object_store::Error as StoreError;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, timeout};

use crate::budget::Budget;
use crate::error::{explain, is_transient, timed_out};
use crate::settings::StoreSettings;

/// First wait between attempts; it doubles each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Longest wait between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How long and how often a call is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) total: Duration,
    pub(crate) attempt: Duration,
    pub(crate) attempts_max: u32,
    /// What jitter is drawn from, where it must be the same in every run.
    pub(crate) jitter_seed: Option<u64>,
}

impl Policy {
    /// What the settings say.
    pub(crate) fn of(settings: &StoreSettings) -> Policy {
        let (total, attempt) = (settings.request_timeout, settings.attempt_timeout);
        Policy { total, attempt, attempts_max: settings.attempts_max, jitter_seed: settings.jitter_seed }
    }

    /// Which part of the backoff is waited after this attempt: half of it to all.
    fn jitter(&self, number: u32) -> f64 {
        match self.jitter_seed {
            None => rand::rng().random_range(0.5..1.0),
            Some(seed) => rand::rngs::StdRng::seed_from_u64(seed ^ u64::from(number)).random_range(0.5..1.0),
        }
    }

    /// The policy with a second more per MiB sent.
    pub(crate) fn for_upload(self, bytes: usize) -> Policy {
        let extra = Duration::from_secs((bytes >> 20) as u64);
        Policy { total: self.total + extra, attempt: self.attempt + extra, ..self }
    }
}

/// How an attempt failed for good.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The store said so, at this attempt (from 1).
    Said(StoreError, u32),
    /// The deadline came, after this error.
    TimedOut(Option<StoreError>),
}

impl Failure {
    /// The caller's error.
    pub(crate) fn explain(self, what: &str, key: &str) -> kyma_core::Error {
        match self {
            Failure::Said(error, _) => explain(what, key, error),
            Failure::TimedOut(last) => timed_out(what, key, last),
        }
    }
}

/// Calls `attempt` until it succeeds, fails for good, or time or the node's budget is up. The number of the attempt that succeeded comes with
/// its answer.
pub(crate) async fn call<T, F, Fut>(policy: Policy, budget: &Budget, mut attempt: F) -> Result<(T, u32), Failure>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = object_store::Result<T>>,
{
    let deadline = Instant::now() + policy.total;
    let mut backoff = BACKOFF_FIRST;
    let mut last = None;
    for number in 1..=policy.attempts_max.max(1) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match timeout(left.min(policy.attempt), attempt()).await {
            Ok(Ok(answer)) => return Ok((answer, number)),
            Ok(Err(error)) if !is_transient(&error) => return Err(Failure::Said(error, number)),
            Ok(Err(error)) => last = Some(error),
            Err(_elapsed) => {}
        }
        let jittered = backoff.mul_f64(policy.jitter(number));
        if number == policy.attempts_max || !budget.turn(Instant::now() + jittered, deadline).await {
            break;
        }
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
    Err(Failure::TimedOut(last))
}
