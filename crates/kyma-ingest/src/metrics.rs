//! What ingest counts of itself.

use std::sync::Arc;

use kyma_core::{Kind, Result};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::buffer::Buffer;
use crate::memory::Memory;

/// Bounds of times, in seconds: an ack waits for a flush, which waits for a put and a commit.
const SECONDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Why a flush was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FlushLabels {
    pub(crate) reason: &'static str,
}

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabels {
    pub(crate) kind: &'static str,
}

/// Counters of one node's ingest; cloned handles share their values.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) requests: Counter,
    pub(crate) failures: Family<KindLabels, Counter>,
    pub(crate) ack_seconds: Histogram,
    pub(crate) rows: Counter,
    pub(crate) rejected: Counter,
    pub(crate) unmapped: Counter,
    pub(crate) raw_bytes: Counter,
    pub(crate) stored_bytes: Counter,
    pub(crate) extents: Counter,
    pub(crate) flushes: Family<FlushLabels, Counter>,
    pub(crate) flush_failures: Counter,
    pub(crate) flush_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Metrics {
            requests: Counter::default(),
            failures: Family::default(),
            ack_seconds: Histogram::new(SECONDS),
            rows: Counter::default(),
            rejected: Counter::default(),
            unmapped: Counter::default(),
            raw_bytes: Counter::default(),
            stored_bytes: Counter::default(),
            extents: Counter::default(),
            flushes: Family::default(),
            flush_failures: Counter::default(),
            flush_seconds: Histogram::new(SECONDS),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry, memory: &Memory, buffer: &Arc<Buffer>) {
        let registry = registry.sub_registry_with_prefix("kyma_ingest");
        let counters = [
            ("requests", "Writes received", &self.requests),
            ("rows", "Rows stored", &self.rows),
            ("rejected", "Rows stored as rejected", &self.rejected),
            ("unmapped", "Values stored in the bag of unmapped values", &self.unmapped),
            ("extents", "Extents stored", &self.extents),
            ("flush_failures", "Flushes in which some write failed", &self.flush_failures),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let bytes = [
            ("raw", "Input bytes of stored rows", &self.raw_bytes),
            ("stored", "Bytes of stored extents", &self.stored_bytes),
        ];
        for (name, help, counter) in bytes {
            registry.register_with_unit(name, help, Unit::Bytes, counter.clone());
        }
        registry.register("failures", "Writes that failed, by the kind of the error", self.failures.clone());
        registry.register("flushes", "Flushes, by why they were due", self.flushes.clone());
        let help = "Time from a write's first byte to its acknowledgement";
        registry.register_with_unit("ack_duration", help, Unit::Seconds, self.ack_seconds.clone());
        let help = "Time from taking a flush to its end";
        registry.register_with_unit("flush_duration", help, Unit::Seconds, self.flush_seconds.clone());
        registry.register_collector(Box::new(Waiting { memory: memory.clone(), buffer: Arc::clone(buffer) }));
    }

    /// Counts how a write ended that began at `began`.
    pub(crate) fn ended<T>(&self, began: Instant, outcome: &Result<T>) {
        match outcome {
            Ok(_) => self.ack_seconds.observe(began.elapsed().as_secs_f64()),
            Err(error) => self.failed(error.kind()),
        }
    }

    fn failed(&self, kind: Kind) {
        self.failures.get_or_create(&KindLabels { kind: kind.name() }).inc();
    }
}

/// Says what waits when it is asked.
#[derive(Debug)]
struct Waiting {
    memory: Memory,
    buffer: Arc<Buffer>,
}

impl Collector for Waiting {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let waiting = self.buffer.waiting_bytes();
        let gauges = [
            ("buffer", "Memory of rows that wait or are being flushed", self.memory.used()),
            ("buffer_max", "Most memory that such rows may have before writes are refused", self.memory.node_max()),
            ("queue", "Input bytes of rows that wait for the next flush", waiting),
        ];
        for (name, help, bytes) in gauges {
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, Some(&Unit::Bytes), kind)?)?;
        }
        Ok(())
    }
}
