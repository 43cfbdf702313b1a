//! Whether this node can do its work, watched in the background: `/readyz` answers at once, whatever hangs.
//!
//! 1. The catalog and the store are asked every [`Settings::ready_period_millis`], each in a loop of its own, and
//!    [`EAGERNESS`] times as often while one does not answer: a store is paid by the question. A question without an answer
//!    in [`READY_TIME_MAX`] failed.
//! 2. A part is away after [`Settings::unready_failures`] failures in a row that span [`Settings::unready_millis`]: a blip
//!    takes no node out of its balancer, least of all every node at once.
//! 3. One answer, and the part is back.
//! 4. A part that never answered is away: a node that starts is ready when both have answered.

use std::future::Future;
use std::time::Duration;

use kyma_core::Result;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::settings::{READY_TIME_MAX, Settings};
use crate::state::Shared;

/// How many times as often a part is asked that does not answer.
const EAGERNESS: u32 = 5;

/// When failures count.
#[derive(Debug, Clone, Copy)]
struct Rules {
    failures: u32,
    time: Duration,
}

/// What is known of the parts that a node cannot work without.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) catalog: Part,
    pub(crate) store: Part,
}

/// What is known of one part.
#[derive(Debug)]
pub(crate) struct Part {
    name: &'static str,
    rules: Rules,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
enum Seen {
    /// It never answered; why not, once it was asked.
    Never { failure: Option<String> },
    /// It answered when it was last asked.
    Well,
    /// It answered once; then it failed `failures` times in a row.
    Failing { failures: u32, since: Instant, failure: String, away: bool },
}

impl Health {
    pub(crate) fn new(settings: &Settings) -> Self {
        let time = Duration::from_millis(settings.unready_millis);
        let rules = Rules { failures: settings.unready_failures.max(1), time };
        Health { catalog: Part::new("catalog", rules), store: Part::new("store", rules) }
    }

    /// Each part with its name.
    pub(crate) fn parts(&self) -> [&Part; 2] {
        [&self.catalog, &self.store]
    }

    /// Whether every part is there.
    pub(crate) fn is_ready(&self) -> bool {
        self.parts().iter().all(|part| part.reason().is_none())
    }
}

impl Part {
    fn new(name: &'static str, rules: Rules) -> Self {
        Part { name, rules, seen: Mutex::new(Seen::Never { failure: None }) }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Why the part counts as away, if it does.
    pub(crate) fn reason(&self) -> Option<String> {
        match &*self.seen.lock() {
            Seen::Never { failure: Some(failure) } => Some(failure.clone()),
            Seen::Never { failure: None } => Some("it was not asked yet".to_owned()),
            Seen::Failing { failure, away: true, .. } => Some(failure.clone()),
            Seen::Well | Seen::Failing { .. } => None,
        }
    }

    /// `ok`, or the latest failure, also one that does not count yet.
    pub(crate) fn shown(&self) -> String {
        match &*self.seen.lock() {
            Seen::Never { failure } => failure.clone().unwrap_or_else(|| "it was not asked yet".to_owned()),
            Seen::Well => "ok".to_owned(),
            Seen::Failing { failure, failures, .. } => format!("{failure} (failures in a row: {failures})"),
        }
    }

    /// Takes note of an answer or of a failure.
    fn note(&self, outcome: Result<(), String>, now: Instant) {
        let mut seen = self.seen.lock();
        *seen = match (outcome, &*seen) {
            (Ok(()), before) => {
                if !matches!(before, Seen::Well) {
                    tracing::info!(part = self.name, "a part answers");
                }
                Seen::Well
            }
            (Err(failure), Seen::Never { .. }) => Seen::Never { failure: Some(failure) },
            (Err(failure), Seen::Well) => self.failing(1, now, failure, false, now),
            (Err(failure), Seen::Failing { failures, since, away, .. }) => {
                self.failing(failures.saturating_add(1), *since, failure, *away, now)
            }
        };
    }

    fn failing(&self, failures: u32, since: Instant, failure: String, was_away: bool, now: Instant) -> Seen {
        let away = failures >= self.rules.failures && now.saturating_duration_since(since) >= self.rules.time;
        if away && !was_away {
            tracing::warn!(part = self.name, failures, "a part is away, the node is not ready: {failure}");
        }
        Seen::Failing { failures, since, failure, away: away || was_away }
    }
}

/// Asks both parts again and again until told to stop.
pub(crate) async fn watch(state: Shared, stop: CancellationToken) {
    let period = Duration::from_millis(state.settings.ready_period_millis.max(10));
    let (catalog, store) = (&state.catalog, &state.store);
    tokio::join!(
        ask(&state.health.catalog, period, &stop, || catalog.ping()),
        ask(&state.health.store, period, &stop, || store.ping()),
    );
}

async fn ask<F: Future<Output = Result<()>>>(
    part: &Part,
    period: Duration,
    stop: &CancellationToken,
    ping: impl Fn() -> F,
) {
    while !stop.is_cancelled() {
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = answers(ping()) => outcome,
        };
        let pause = if outcome.is_ok() { period } else { period / EAGERNESS };
        part.note(outcome, Instant::now());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether a part answers in time, or why not.
async fn answers(ping: impl Future<Output = Result<()>>) -> Result<(), String> {
    match tokio::time::timeout(READY_TIME_MAX, ping).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{}: {}", error.code(), error.message())),
        Err(_) => Err(format!("no answer in {} s", READY_TIME_MAX.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(1);

    /// What a part of rules (3 failures, 4 s) is after outcomes a second apart: ready or not, step by step.
    fn check(outcomes: &str, ready: &str) {
        let part = Part::new("catalog", Rules { failures: 3, time: STEP * 4 });
        let mut now = Instant::now();
        let mut shown = String::new();
        for outcome in outcomes.chars() {
            now += STEP;
            part.note(if outcome == '+' { Ok(()) } else { Err("gone".to_owned()) }, now);
            shown.push(if part.reason().is_none() { '+' } else { '-' });
        }
        assert_eq!(shown, ready, "{outcomes}");
    }

    #[test]
    fn a_blip_changes_nothing_and_one_answer_is_enough_to_be_back() {
        check("+-+--+---+----+", "+++++++++++++++");
        // Away with the fifth: four seconds after the first.
        check("+-------+-+", "+++++---+++");
    }

    #[test]
    fn a_part_that_never_answered_is_away() {
        check("--+-", "--++");
        let part = Part::new("store", Rules { failures: 1, time: Duration::ZERO });
        assert_eq!(part.reason().unwrap(), "it was not asked yet");
        part.note(Ok(()), Instant::now());
        assert_eq!((part.reason(), part.shown()), (None, "ok".to_owned()));
        part.note(Err("gone".to_owned()), Instant::now());
        assert_eq!(part.reason().unwrap(), "gone");
        assert_eq!(part.shown(), "gone (failures in a row: 1)");
    }

    #[test]
    fn a_failure_that_does_not_count_is_shown() {
        let part = Part::new("store", Rules { failures: 2, time: Duration::ZERO });
        part.note(Ok(()), Instant::now());
        part.note(Err("gone".to_owned()), Instant::now());
        assert_eq!((part.reason(), part.shown().as_str()), (None, "gone (failures in a row: 1)"));
    }
}
