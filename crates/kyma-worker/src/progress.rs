//! How far a long piece of work is, for whoever shows it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Written by the work, read by the one who shows it.
#[derive(Debug, Default)]
pub struct Progress {
    stage: Mutex<&'static str>,
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Begins a stage of `total` steps; 0 when nobody knows how many.
    pub fn begin(&self, stage: &'static str, total: u64) {
        if let Ok(mut current) = self.stage.lock() {
            *current = stage;
        }
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// Counts steps.
    pub fn add(&self, steps: u64) {
        self.done.fetch_add(steps, Ordering::Relaxed);
    }

    /// The stage, the steps done, and all of them.
    pub fn now(&self) -> (&'static str, u64, u64) {
        let stage = self.stage.lock().map(|stage| *stage).unwrap_or_default();
        (stage, self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}
