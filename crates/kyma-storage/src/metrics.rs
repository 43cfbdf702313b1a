//! What the store counts of itself.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::cache::{BlockCache, CacheCounts};
use crate::gate::GateMetrics;
use crate::measured::RequestMetrics;

/// Counters of one store; cloned handles share their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) requests: RequestMetrics,
    pub(crate) put_bytes: Counter,
    pub(crate) get_bytes: Counter,
    pub(crate) hedged_requests: Counter,
    pub(crate) hedges_won: Counter,
    pub(crate) failures: Counter,
    pub(crate) shared_reads: Counter,
    pub(crate) gate: GateMetrics,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("kyma_store");
        self.requests.register(registry);
        let counters = [
            ("hedged_requests", "Range requests asked a second time because they were slow", &self.hedged_requests),
            ("hedges_won", "Second requests that answered first", &self.hedges_won),
            ("failures", "Calls that failed after their retries", &self.failures),
            ("shared_reads", "Ranges that waited for another reader's request", &self.shared_reads),
            ("get_waits", "Range requests that had to wait for their turn", &self.gate.waits),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register_with_unit("put", "Bytes put", Unit::Bytes, self.put_bytes.clone());
        registry.register_with_unit("get", "Bytes received from the store", Unit::Bytes, self.get_bytes.clone());
        registry.register("get_in_flight_requests", "Range requests in flight", self.gate.requests.clone());
        let help = "Bytes asked for in flight";
        registry.register_with_unit("get_in_flight", help, Unit::Bytes, self.gate.bytes.clone());
    }
}

/// One counter of a cache: name, what it counts, in what, how to get it.
type CacheCounter = (&'static str, &'static str, Option<Unit>, fn(&CacheCounts) -> Option<u64>);

/// The counters of caches, per tier.
const CACHE_COUNTERS: [CacheCounter; 6] = [
    ("kyma_store_cache_hits", "Ranges found in a tier of the cache", None, |counts| Some(counts.hits)),
    ("kyma_store_cache_hit", "Bytes found in a tier of the cache", Some(Unit::Bytes), |counts| Some(counts.hit_bytes)),
    ("kyma_store_cache_misses", "Ranges not found in a tier of the cache", None, |counts| Some(counts.misses)),
    ("kyma_store_cache_admitted", "Ranges that a tier took", None, |counts| Some(counts.admitted)),
    ("kyma_store_cache_rejected", "Ranges that a tier did not take", None, |counts| Some(counts.rejected)),
    ("kyma_store_cache_evicted", "Ranges that a tier gave up for others", None, |counts| counts.evicted),
];

/// Reads the counters of a cache when they are asked for.
#[derive(Debug)]
pub(crate) struct CacheCollector(pub(crate) Arc<dyn BlockCache>);

impl Collector for CacheCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let tiers = self.0.counts();
        for (name, help, unit, value) in CACHE_COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
            for tier in &tiers {
                if let Some(value) = value(tier) {
                    ConstCounter::new(value).encode(family.encode_family(&[("tier", tier.tier)])?)?;
                }
            }
        }
        let (name, help) = ("kyma_store_cache_held", "Bytes that a tier of the cache holds");
        let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?;
        for tier in &tiers {
            if let Some(held) = tier.held_bytes {
                let held = i64::try_from(held).unwrap_or(i64::MAX);
                ConstGauge::new(held).encode(family.encode_family(&[("tier", tier.tier)])?)?;
            }
        }
        Ok(())
    }
}
