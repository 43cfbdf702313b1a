//! What the store counts of itself.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::cache::{BlockCache, CacheCounts};
use crate::gate::GateMetrics;

/// Counters of one store; cloned handles share their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) put_requests: Counter,
    pub(crate) put_bytes: Counter,
    pub(crate) get_requests: Counter,
    pub(crate) get_bytes: Counter,
    pub(crate) hedged_requests: Counter,
    pub(crate) hedges_won: Counter,
    pub(crate) other_requests: Counter,
    pub(crate) failures: Counter,
    pub(crate) shared_reads: Counter,
    pub(crate) gate: GateMetrics,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("kyma_store");
        let counters = [
            ("put_requests", "Put requests", &self.put_requests),
            ("put_bytes", "Bytes put", &self.put_bytes),
            ("get_requests", "Range requests sent to the store, repeated and hedged ones too", &self.get_requests),
            ("get_bytes", "Bytes received from the store", &self.get_bytes),
            ("hedged_requests", "Range requests asked a second time because they were slow", &self.hedged_requests),
            ("hedges_won", "Second requests that answered first", &self.hedges_won),
            ("other_requests", "Deletes, heads and lists", &self.other_requests),
            ("failures", "Calls that failed after their retries", &self.failures),
            ("shared_reads", "Ranges that waited for another reader's request", &self.shared_reads),
            ("get_waits", "Range requests that had to wait for their turn", &self.gate.waits),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("get_in_flight_requests", "Range requests in flight", self.gate.requests.clone());
        registry.register("get_in_flight_bytes", "Bytes asked for in flight", self.gate.bytes.clone());
    }
}

/// One counter of a cache: name, what it counts, how to get it.
type CacheCounter = (&'static str, &'static str, fn(&CacheCounts) -> Option<u64>);

/// The counters of caches, per tier.
const CACHE_COUNTERS: [CacheCounter; 6] = [
    ("kyma_store_cache_hits", "Ranges found in a tier of the cache", |counts| Some(counts.hits)),
    ("kyma_store_cache_hit_bytes", "Bytes found in a tier of the cache", |counts| Some(counts.hit_bytes)),
    ("kyma_store_cache_misses", "Ranges not found in a tier of the cache", |counts| Some(counts.misses)),
    ("kyma_store_cache_admitted", "Ranges that a tier took", |counts| Some(counts.admitted)),
    ("kyma_store_cache_rejected", "Ranges that a tier did not take", |counts| Some(counts.rejected)),
    ("kyma_store_cache_evicted", "Ranges that a tier gave up for others", |counts| counts.evicted),
];

/// Reads the counters of a cache when they are asked for.
#[derive(Debug)]
pub(crate) struct CacheCollector(pub(crate) Arc<dyn BlockCache>);

impl Collector for CacheCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let tiers = self.0.counts();
        for (name, help, value) in CACHE_COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for tier in &tiers {
                if let Some(value) = value(tier) {
                    ConstCounter::new(value).encode(family.encode_family(&[("tier", tier.tier)])?)?;
                }
            }
        }
        let (name, help) = ("kyma_store_cache_held_bytes", "Bytes that a tier of the cache holds");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for tier in &tiers {
            if let Some(held) = tier.held_bytes {
                let held = i64::try_from(held).unwrap_or(i64::MAX);
                ConstGauge::new(held).encode(family.encode_family(&[("tier", tier.tier)])?)?;
            }
        }
        Ok(())
    }
}
