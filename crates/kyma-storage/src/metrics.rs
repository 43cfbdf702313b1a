//! What the store counts of itself.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Counters of one store; cloned handles share their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) put_requests: Counter,
    pub(crate) put_bytes: Counter,
    pub(crate) get_requests: Counter,
    pub(crate) get_bytes: Counter,
    pub(crate) other_requests: Counter,
    pub(crate) failures: Counter,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_hit_bytes: Counter,
    pub(crate) cache_misses: Counter,
    pub(crate) shared_reads: Counter,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("kyma_store");
        let counters = [
            ("put_requests", "Put requests", &self.put_requests),
            ("put_bytes", "Bytes put", &self.put_bytes),
            ("get_requests", "Range requests sent to the store", &self.get_requests),
            ("get_bytes", "Bytes received from the store", &self.get_bytes),
            ("other_requests", "Deletes, heads and lists", &self.other_requests),
            ("failures", "Calls that failed after their retries", &self.failures),
            ("cache_hits", "Ranges found in a cache", &self.cache_hits),
            ("cache_hit_bytes", "Bytes found in a cache", &self.cache_hit_bytes),
            ("cache_misses", "Ranges not found in a cache", &self.cache_misses),
            ("shared_reads", "Ranges that waited for another reader's request", &self.shared_reads),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
    }
}
