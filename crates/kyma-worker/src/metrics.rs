//! What a worker counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::retention::RetentionMetrics;

/// Kinds of tasks are few: each is a handler.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabel {
    pub(crate) kind: String,
}

/// How an attempt at a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabels {
    pub(crate) kind: String,
    /// `completed`, `failed`, or `lost` with its lease.
    pub(crate) outcome: &'static str,
}

/// Tasks in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StateLabels {
    pub(crate) kind: String,
    pub(crate) state: String,
}

/// Why extents were merged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    pub(crate) reason: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) attempts: Family<OutcomeLabels, Counter>,
    pub(crate) seconds: Family<KindLabel, Histogram>,
    pub(crate) queue: Family<StateLabels, Gauge>,
    pub(crate) objects_deleted: Counter,
    pub(crate) compact: CompactMetrics,
    pub(crate) retention: RetentionMetrics,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Metrics {
            attempts: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 3.0, 11))),
            queue: Family::default(),
            objects_deleted: Counter::default(),
            compact: CompactMetrics::default(),
            retention: RetentionMetrics::default(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let worker = registry.sub_registry_with_prefix("kyma_worker");
        worker.register("task_attempts", "Attempts at tasks, by how they ended", self.attempts.clone());
        let help = "Time that an attempt at a task took";
        worker.register_with_unit("task", help, Unit::Seconds, self.seconds.clone());
        worker.register("tasks", "Tasks that are not done, in the whole cluster", self.queue.clone());
        worker.register("objects_deleted", "Objects deleted from the store", self.objects_deleted.clone());
        self.compact.register(registry);
        self.retention.register(registry);
    }
}

/// What compaction counts. Write amplification is `1 + merged_raw_bytes / kyma_ingest_raw_bytes`.
#[derive(Debug, Clone, Default)]
pub(crate) struct CompactMetrics {
    pub(crate) merges: Family<ReasonLabel, Counter>,
    pub(crate) merged_extents: Family<ReasonLabel, Counter>,
    pub(crate) merged_rows: Family<ReasonLabel, Counter>,
    pub(crate) merged_raw_bytes: Family<ReasonLabel, Counter>,
    pub(crate) read_bytes: Counter,
    pub(crate) written_bytes: Counter,
    pub(crate) stale: Counter,
    pub(crate) backlog_tables: Gauge,
    pub(crate) backlog_extents: Gauge,
    pub(crate) backlog_raw_bytes: Gauge,
}

impl CompactMetrics {
    fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("kyma_compact");
        let by_reason = [
            ("merges", "Merges that were committed", &self.merges),
            ("merged_extents", "Extents that were merged", &self.merged_extents),
            ("merged_rows", "Rows that were rewritten", &self.merged_rows),
        ];
        for (name, help, family) in by_reason {
            registry.register(name, help, family.clone());
        }
        let help = "Input bytes of the rows that were rewritten";
        registry.register_with_unit("merged_raw", help, Unit::Bytes, self.merged_raw_bytes.clone());
        let help = "Stored bytes of the extents that were merged";
        registry.register_with_unit("read", help, Unit::Bytes, self.read_bytes.clone());
        registry.register_with_unit(
            "written",
            "Stored bytes of merged extents",
            Unit::Bytes,
            self.written_bytes.clone(),
        );
        registry.register("stale_merges", "Merges whose sources had changed", self.stale.clone());
        let backlog = [
            ("backlog_tables", "Tables with extents that may still be merged", &self.backlog_tables),
            ("backlog_extents", "Extents that may still be merged", &self.backlog_extents),
        ];
        for (name, help, gauge) in backlog {
            registry.register(name, help, gauge.clone());
        }
        let help = "Input bytes of extents that may still be merged";
        registry.register_with_unit("backlog_raw", help, Unit::Bytes, self.backlog_raw_bytes.clone());
    }
}
