//! What queries cost, as the node's metrics: every profile is added up here, whether its query was answered or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kyma_core::Kind;
use kyma_core::profile::Profile;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::request::QueryError;
use crate::scope::Shared;

/// The language of a query; one that no frontend speaks is `unknown`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LanguageLabels {
    language: String,
}

/// The language of a query and how it ended: `ok`, or the kind of its error.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    language: String,
    outcome: &'static str,
}

/// A level of the cascade.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LevelLabels {
    level: &'static str,
}

/// A level of the cascade and why something fell there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    level: &'static str,
    reason: &'static str,
}

/// Sums over all queries of a node. Counters get `_total` when they are exported.
#[derive(Debug)]
pub struct QueryMetrics {
    queries: Family<OutcomeLabels, Counter>,
    seconds: Family<LanguageLabels, Histogram>,
    considered: Family<LevelLabels, Counter>,
    pruned: Family<ReasonLabels, Counter>,
    metadata_answers: Counter,
    rows_scanned: Counter,
    rows_returned: Counter,
    store_requests: Counter,
    store_bytes: Counter,
    store_dollars: Counter<f64, AtomicU64>,
    cache_hits: Counter,
    cache_bytes: Counter,
    spilled_bytes: Counter,
}

/// What queries, and caches for them, hold in memory now.
#[derive(Debug)]
struct MemoryInUse(Arc<Shared>);

impl Collector for MemoryInUse {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let shared = &self.0;
        let gauges = [
            (
                "kyma_query_memory",
                "Bytes of memory that running queries hold",
                shared.memory.load(Ordering::Relaxed) as u64,
            ),
            ("kyma_query_footers", "Bytes of memory that cached footers of extents hold", shared.footers.held_bytes()),
            (
                "kyma_query_manifests",
                "Bytes of memory that cached lists of extents hold",
                shared.manifests.held_bytes(),
            ),
        ];
        for (name, help, bytes) in gauges {
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, Some(&Unit::Bytes), gauge.metric_type())?)?;
        }
        Ok(())
    }
}

impl Default for QueryMetrics {
    fn default() -> Self {
        QueryMetrics {
            queries: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 18))),
            considered: Family::default(),
            pruned: Family::default(),
            metadata_answers: Counter::default(),
            rows_scanned: Counter::default(),
            rows_returned: Counter::default(),
            store_requests: Counter::default(),
            store_bytes: Counter::default(),
            store_dollars: Counter::default(),
            cache_hits: Counter::default(),
            cache_bytes: Counter::default(),
            spilled_bytes: Counter::default(),
        }
    }
}

impl QueryMetrics {
    /// Metrics in `registry`, with what the queries and caches of `shared` hold.
    pub fn register(registry: &mut Registry, shared: Arc<Shared>) -> Self {
        registry.register_collector(Box::new(MemoryInUse(shared)));
        Self::of(registry)
    }

    fn of(registry: &mut Registry) -> Self {
        let metrics = QueryMetrics::default();
        let help = "Queries, by language and by how they ended: ok, or the kind of the error";
        registry.register("kyma_queries", help, metrics.queries.clone());
        let help = "Time from a query's text to its last row";
        registry.register_with_unit("kyma_query_duration", help, Unit::Seconds, metrics.seconds.clone());
        let mut counter = |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
        counter("kyma_query_metadata_answers", "Extents answered from metadata", &metrics.metadata_answers);
        counter("kyma_query_rows_scanned", "Rows that queries looked at", &metrics.rows_scanned);
        counter("kyma_query_rows_returned", "Rows of answers", &metrics.rows_returned);
        counter("kyma_query_store_requests", "Requests of queries to the store", &metrics.store_requests);
        counter("kyma_query_cache_hits", "Ranges that queries found in a cache", &metrics.cache_hits);
        let mut bytes = |name: &str, help: &str, counter: &Counter| {
            registry.register_with_unit(name, help, Unit::Bytes, counter.clone());
        };
        bytes("kyma_query_store", "Bytes that queries read from the store", &metrics.store_bytes);
        bytes("kyma_query_cache", "Bytes that queries found in a cache", &metrics.cache_bytes);
        bytes("kyma_query_spilled", "Bytes that queries wrote to disk", &metrics.spilled_bytes);
        let help = "Price of the queries' requests to the store, in US dollars";
        let dollars = Unit::Other("dollars".to_owned());
        registry.register_with_unit("kyma_query_store", help, dollars, metrics.store_dollars.clone());
        let help = "Extents or blocks that a level of pruning looked at";
        registry.register("kyma_query_considered", help, metrics.considered.clone());
        let help = "Extents or blocks that were not read, by level and reason";
        registry.register("kyma_query_pruned", help, metrics.pruned.clone());
        metrics
    }

    /// Adds a query that took `time` and failed with `error`, if it did.
    pub fn count(&self, language: &str, time: Duration, profile: &Profile, error: Option<&QueryError>) {
        let ended = OutcomeLabels { language: language.to_owned(), outcome: outcome(error) };
        self.queries.get_or_create(&ended).inc();
        let language = LanguageLabels { language: language.to_owned() };
        self.seconds.get_or_create(&language).observe(time.as_secs_f64());
        self.metadata_answers.inc_by(profile.metadata_answers);
        self.rows_scanned.inc_by(profile.rows_scanned);
        self.rows_returned.inc_by(profile.rows_returned);
        self.store_requests.inc_by(profile.store_requests);
        self.store_bytes.inc_by(profile.store_bytes);
        self.store_dollars.inc_by(profile.store_dollars);
        self.cache_hits.inc_by(profile.cache_hits);
        self.cache_bytes.inc_by(profile.cache_bytes);
        self.spilled_bytes.inc_by(profile.spilled_bytes);
        self.count_levels(profile);
    }

    fn count_levels(&self, profile: &Profile) {
        for (level, counts) in profile.levels() {
            self.considered.get_or_create(&LevelLabels { level }).inc_by(counts.considered);
            for (reason, count) in &counts.pruned {
                let labels = ReasonLabels { level, reason: reason.as_str() };
                self.pruned.get_or_create(&labels).inc_by(*count);
            }
        }
    }
}

fn outcome(error: Option<&QueryError>) -> &'static str {
    match error {
        None => "ok",
        Some(QueryError::Invalid(_)) => Kind::Invalid.name(),
        Some(QueryError::Failed(error)) => error.kind().name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kyma_core::prune::Reason;

    #[test]
    fn a_profile_becomes_lines_of_prometheus() {
        let mut registry = Registry::default();
        let metrics = QueryMetrics::of(&mut registry);
        let mut profile = Profile { store_requests: 3, store_dollars: 0.5, spilled_bytes: 9, ..Profile::default() };
        profile.blocks.considered = 10;
        profile.blocks.pruned.insert(Reason::Terms, 7);
        let failed = QueryError::Failed(kyma_core::Error::exhausted("query.timeout", "too slow"));
        metrics.count("kql", Duration::from_millis(3), &profile, None);
        metrics.count("sql", Duration::from_millis(3), &Profile::default(), Some(&failed));

        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "kyma_queries_total{language=\"kql\",outcome=\"ok\"} 1",
            "kyma_queries_total{language=\"sql\",outcome=\"exhausted\"} 1",
            "kyma_query_duration_seconds_count{language=\"kql\"} 1",
            "kyma_query_considered_total{level=\"blocks\"} 10",
            "kyma_query_pruned_total{level=\"blocks\",reason=\"terms\"} 7",
            "kyma_query_store_requests_total 3",
            "kyma_query_store_dollars_total 0.5",
            "kyma_query_spilled_bytes_total 9",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
