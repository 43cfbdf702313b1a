//! What the HTTP edge counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) method: String,
    /// The route's pattern, never the path itself: labels must stay few.
    pub(crate) route: String,
    pub(crate) status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RouteLabels {
    pub(crate) route: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) seconds: Family<RouteLabels, Histogram>,
    pub(crate) queries_running: Gauge,
    pub(crate) queries_waiting: Gauge,
    pub(crate) start_seconds: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Metrics {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16))),
            queries_running: Gauge::default(),
            queries_waiting: Gauge::default(),
            start_seconds: Gauge::default(),
        };
        registry.register("kyma_http_requests", "HTTP requests answered", metrics.requests.clone());
        registry.register("kyma_http_request_seconds", "Seconds until the head of an answer", metrics.seconds.clone());
        registry.register("kyma_queries_running", "Queries that run", metrics.queries_running.clone());
        registry.register("kyma_queries_waiting", "Queries that wait for a turn", metrics.queries_waiting.clone());
        registry.register("kyma_start_time_seconds", "When the node started", metrics.start_seconds.clone());
        metrics
    }
}
