//! Many seeds, over all cores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use kyma_core::planted::Bug;
use parking_lot::Mutex;

use crate::run::{Outcome, run};

/// A seed that broke something.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// How it ended, with its log.
    pub outcome: Outcome,
}

/// What is run.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// A bug that is armed in all of them.
    pub bug: Option<Bug>,
    /// Whether each is run twice and compared.
    pub replay: bool,
    /// Whether the first violation ends it.
    pub stop_at_first: bool,
    /// Seeds at a time; 0 for one per core.
    pub threads: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Violations, by seed.
    pub violations: Vec<Violation>,
    /// Seeds whose second run was not the same.
    pub differing: Vec<u64>,
    /// Seeds that were run.
    pub seeds: u64,
    /// Events over all of them.
    pub events: u64,
    /// Simulated milliseconds over all of them.
    pub millis: u64,
    /// Writes that were acked.
    pub acked: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Threads it took.
    pub threads: usize,
}

impl Campaign {
    /// Runs it, showing how far it is.
    pub fn run(&self, bar: &ProgressBar) -> Report {
        let begun = Instant::now();
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if self.threads == 0 { cores() } else { self.threads };
        let next = AtomicU64::new(0);
        let report = Mutex::new(Report { threads, ..Report::default() });
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.work(&next, &report, bar));
            }
        });
        let mut report = report.into_inner();
        report.violations.sort_by_key(|violation| violation.seed);
        report.differing.sort_unstable();
        report.elapsed = begun.elapsed();
        report
    }

    fn work(&self, next: &AtomicU64, report: &Mutex<Report>, bar: &ProgressBar) {
        arm(self.bug);
        loop {
            let place = next.fetch_add(1, Ordering::SeqCst);
            let is_over = self.stop_at_first && !report.lock().violations.is_empty();
            if place >= self.seeds || is_over {
                break;
            }
            let seed = self.from + place;
            let outcome = run(seed, false);
            let differs = self.replay && run(seed, false) != outcome;
            let violation = outcome.broken.is_some().then(|| Violation { seed, outcome: run(seed, true) });
            let mut report = report.lock();
            report.seeds += 1;
            report.events += outcome.events;
            report.millis += outcome.millis;
            report.acked += outcome.writes.0 as u64;
            report.violations.extend(violation);
            report.differing.extend(differs.then_some(seed));
            bar.inc(1);
        }
        arm(None);
    }
}

/// Arms a bug in this thread; without the feature there is none to arm.
pub fn arm(bug: Option<Bug>) {
    #[cfg(feature = "planted-bugs")]
    kyma_core::planted::arm(bug);
    let _ = bug;
}

/// A bar for so many seeds.
pub fn bar(seeds: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(seeds).with_message(what.to_owned());
    let style = ProgressStyle::with_template("{msg:28} {wide_bar} {pos}/{len}  {per_sec}  {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
