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
    /// Merging small extents.
    pub compact: CompactSettings,
    /// Deleting what nothing needs.
    pub garbage: GarbageSettings,
    /// Writing the catalog down in the bucket.
    pub journal: JournalSettings,
    /// Removing what is past its time.
    pub retention: RetentionSettings,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        WorkerSettings {
            tasks_at_once: 4,
            poll_millis: 1_000,
            lease_millis: 60_000,
            stop_grace_millis: 10_000,
            compact: CompactSettings::default(),
            garbage: GarbageSettings::default(),
            journal: JournalSettings::default(),
            retention: RetentionSettings::default(),
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

/// Settings of compaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompactSettings {
    /// Whether this node compacts.
    pub enabled: bool,
    /// Time between plans, over all nodes.
    pub period_millis: u64,
    /// Merges that this node computes at a time; 0 for half of its cores. Each holds about twice the target in memory.
    pub merges_at_once: usize,
    /// Input bytes of an extent as it should be; with half of it an extent is left alone.
    pub target_raw_bytes: u64,
    /// Rows times columns of one merge at most.
    pub target_cells: u64,
    /// Extents that one merge takes at most.
    pub sources_max: usize,
    /// As many extents as ingested are merged at once.
    pub gather_extents: usize,
    /// Fewer of them, two at least, are merged when one is this old.
    pub gather_age_millis: u64,
    /// As many merged extents of about one size are merged again.
    pub tier_extents: usize,
    /// Extents of so many seconds of event time are merged with each other.
    pub partition_seconds: u64,
    /// When a partition got nothing for this long, what is left of it is merged for good.
    pub quiet_millis: u64,
}

impl Default for CompactSettings {
    fn default() -> Self {
        CompactSettings {
            enabled: true,
            period_millis: 5_000,
            merges_at_once: 0,
            target_raw_bytes: 256 * 1024 * 1024,
            target_cells: 64 * 1024 * 1024,
            sources_max: 256,
            gather_extents: 16,
            gather_age_millis: 15_000,
            tier_extents: 8,
            partition_seconds: 86_400,
            quiet_millis: 3_600_000,
        }
    }
}

impl CompactSettings {
    /// Merges at a time on a machine with so many cores.
    pub fn merges(&self, cores: usize) -> usize {
        if self.merges_at_once == 0 { (cores / 2).max(1) } else { self.merges_at_once }
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
    /// The grace period: how long what was removed or dropped stays readable as of an earlier time, and a drop can be undone.
    /// Longer than any query takes.
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
            removed_grace_millis: 24 * 3_600_000,
            sweep_period_millis: 6 * 3_600_000,
            unknown_age_millis: 24 * 3_600_000,
            clock_difference_millis: 300_000,
            batch: 1_000,
            deletes_at_once: 8,
        }
    }
}

/// Settings of retention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Time between looks at every policy, over all nodes.
    pub period_millis: u64,
    /// Extents removed by one transaction.
    pub batch: usize,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        RetentionSettings { period_millis: 300_000, batch: 1_000 }
    }
}
