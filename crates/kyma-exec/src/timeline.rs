//! When a query came and what it did since.

use std::sync::Arc;
use std::time::Instant;

use kyma_core::profile::{Phase, PhaseName};
use parking_lot::Mutex;
use tracing::Span;

/// The phases of one query. One that was not ended (the query runs, failed, or was cancelled) lasts until it is asked
/// for.
#[derive(Debug, Clone)]
pub struct Timeline {
    arrived: Instant,
    entries: Arc<Mutex<Vec<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    name: PhaseName,
    start: Instant,
    end: Option<Instant>,
}

/// A phase that runs; it ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    timeline: Timeline,
    place: usize,
    /// The same in the query's trace.
    _span: Span,
}

impl Timeline {
    /// Of a query that arrives now.
    pub fn start() -> Self {
        Timeline { arrived: Instant::now(), entries: Arc::default() }
    }

    /// Begins a phase.
    pub fn enter(&self, name: PhaseName) -> Running {
        let mut entries = self.entries.lock();
        entries.push(Entry { name, start: Instant::now(), end: None });
        let span = tracing::info_span!("phase", otel.name = name.as_str());
        Running { timeline: self.clone(), place: entries.len() - 1, _span: span }
    }

    /// The phases so far, by start.
    pub fn phases(&self) -> Vec<Phase> {
        let now = Instant::now();
        let phase = |entry: &Entry| Phase {
            name: entry.name,
            start_micros: micros_between(self.arrived, entry.start),
            micros: micros_between(entry.start, entry.end.unwrap_or(now)),
        };
        self.entries.lock().iter().map(phase).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(entry) = self.timeline.entries.lock().get_mut(self.place) {
            entry.end = Some(Instant::now());
        }
    }
}

fn micros_between(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_that_is_not_ended_lasts_until_now() {
        let timeline = Timeline::start();
        drop(timeline.enter(PhaseName::Parse));
        let _running = timeline.enter(PhaseName::Execute);
        let phases = timeline.phases();
        assert_eq!(phases.iter().map(|phase| phase.name).collect::<Vec<_>>(), [PhaseName::Parse, PhaseName::Execute]);
        assert!(phases[0].start_micros <= phases[1].start_micros);
        assert_eq!(timeline.phases()[0].micros, phases[0].micros);
        assert!(timeline.phases()[1].micros >= phases[1].micros);
    }
}
