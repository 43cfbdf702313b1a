//! How much background work is done, and how patiently.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::journal::JournalSettings;

/// Settings of [`crate::Worker`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// Tasks that run at once on this node.
    pub tasks_at_once: usize,
    /// Wait between looks at an empty queue.
    pub poll_millis: u64,
    /// How long a claim lasts; it is renewed at a third of this.
    pub lease_millis: u64,
    /// How long a running task may take to end when the node stops.
    pub stop_grace_millis: u64,
    /// Deleting what nothing needs.
    pub garbage: GarbageSettings,
    /// Writing the catalog down in the bucket.
    pub journal: JournalSettings,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        WorkerSettings {
            tasks_at_once: 2,
            poll_millis: 1_000,
            lease_millis: 60_000,
            stop_grace_millis: 10_000,
            garbage: GarbageSettings::default(),
            journal: JournalSettings::default(),
        }
    }
}

impl WorkerSettings {
    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_millis.max(1))
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_millis.max(3))
    }

    pub(crate) fn stop_grace(&self) -> Duration {
        Duration::from_millis(self.stop_grace_millis)
    }
}

/// Settings of garbage collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GarbageSettings {
    /// Time between collections, over all nodes.
    pub period_millis: u64,
    /// A reservation this old that did not commit is revoked: longer than any flush takes.
    pub reservation_age_millis: u64,
    /// How long removed extents stay readable: longer than any query takes.
    pub removed_grace_millis: u64,
    /// Time between sweeps of the whole store, over all nodes.
    pub sweep_period_millis: u64,
    /// An object that no row knows is deleted when this old.
    pub unknown_age_millis: u64,
    /// Objects are swept only if this much younger than the catalog: clocks differ.
    pub clock_difference_millis: u64,
    /// Objects asked of the catalog at once.
    pub batch: usize,
    /// Deletes in flight.
    pub deletes_at_once: usize,
}

impl Default for GarbageSettings {
    fn default() -> Self {
        GarbageSettings {
            period_millis: 60_000,
            reservation_age_millis: 3_600_000,
            removed_grace_millis: 3_600_000,
            sweep_period_millis: 6 * 3_600_000,
            unknown_age_millis: 24 * 3_600_000,
            clock_difference_millis: 300_000,
            batch: 1_000,
            deletes_at_once: 8,
        }
    }
}
