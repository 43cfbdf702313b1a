//! What ingest counts of itself.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Counters of one node's ingest; cloned handles share their values.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) requests: Counter,
    pub(crate) failures: Counter,
    pub(crate) rows: Counter,
    pub(crate) rejected: Counter,
    pub(crate) unmapped: Counter,
    pub(crate) raw_bytes: Counter,
    pub(crate) stored_bytes: Counter,
    pub(crate) extents: Counter,
    pub(crate) flushes: Counter,
    pub(crate) flush_failures: Counter,
    pub(crate) flush_seconds: Histogram,
    pub(crate) buffer_bytes: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let bounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        Metrics {
            requests: Counter::default(),
            failures: Counter::default(),
            rows: Counter::default(),
            rejected: Counter::default(),
            unmapped: Counter::default(),
            raw_bytes: Counter::default(),
            stored_bytes: Counter::default(),
            extents: Counter::default(),
            flushes: Counter::default(),
            flush_failures: Counter::default(),
            flush_seconds: Histogram::new(bounds),
            buffer_bytes: Gauge::default(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("kyma_ingest");
        let counters = [
            ("requests", "Writes received", &self.requests),
            ("failures", "Writes that failed", &self.failures),
            ("rows", "Rows stored", &self.rows),
            ("rejected", "Rows stored as rejected", &self.rejected),
            ("unmapped", "Values stored in the bag of unmapped values", &self.unmapped),
            ("raw_bytes", "Input bytes of stored rows", &self.raw_bytes),
            ("stored_bytes", "Bytes of stored extents", &self.stored_bytes),
            ("extents", "Extents stored", &self.extents),
            ("flushes", "Flushes", &self.flushes),
            ("flush_failures", "Flushes in which some write failed", &self.flush_failures),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("flush_seconds", "Seconds from taking a flush to its end", self.flush_seconds.clone());
        registry.register("buffer_bytes", "Bytes of rows that wait or are being flushed", self.buffer_bytes.clone());
    }
}
