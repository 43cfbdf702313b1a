//! What the HTTP edge counts, and what the node says of itself when it is scraped.

use axum::http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::delete::Receipt;
use crate::process::Process;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) method: &'static str,
    /// The route's pattern, never the path itself: labels must stay few.
    pub(crate) route: String,
    pub(crate) status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RouteLabels {
    pub(crate) route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PartLabels {
    pub(crate) part: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) seconds: Family<RouteLabels, Histogram>,
    pub(crate) requests_running: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) queries_running: Gauge,
    pub(crate) queries_waiting: Gauge,
    pub(crate) ready: Gauge,
    pub(crate) parts_up: Family<PartLabels, Gauge>,
    pub(crate) deletes: DeleteMetrics,
}

/// What deletions on this node have removed.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteMetrics {
    rows_removed: Counter,
    extents_rewritten: Counter,
    extents_removed: Counter,
    removed_bytes: Counter,
    written_bytes: Counter,
}

impl DeleteMetrics {
    /// Counts what became of one extent.
    pub(crate) fn count(&self, what: &Receipt) {
        self.rows_removed.inc_by(what.rows_removed);
        self.extents_rewritten.inc_by(what.extents_rewritten);
        self.extents_removed.inc_by(what.extents_removed);
        self.removed_bytes.inc_by(what.bytes_removed);
        self.written_bytes.inc_by(what.bytes_written);
    }

    fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("kyma_delete");
        let counts = [
            ("rows_removed", "Rows removed by deletions", &self.rows_removed),
            ("extents_rewritten", "Extents written again without deleted rows", &self.extents_rewritten),
            ("extents_removed", "Extents of which a deletion left nothing", &self.extents_removed),
        ];
        for (name, help, counter) in counts {
            registry.register(name, help, counter.clone());
        }
        let help = "Stored bytes of extents that deletions removed or wrote again";
        registry.register_with_unit("removed", help, Unit::Bytes, self.removed_bytes.clone());
        let help = "Stored bytes of what deletions wrote again";
        registry.register_with_unit("written", help, Unit::Bytes, self.written_bytes.clone());
    }
}

impl Metrics {
    /// Registers them. `started` is when the node did, in nanoseconds since the epoch.
    pub(crate) fn register(registry: &mut Registry, version: &str, started: i64) -> Self {
        let metrics = Metrics {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16))),
            requests_running: Gauge::default(),
            connections: Gauge::default(),
            queries_running: Gauge::default(),
            queries_waiting: Gauge::default(),
            ready: Gauge::default(),
            parts_up: Family::default(),
            deletes: DeleteMetrics::default(),
        };
        let help = "HTTP requests answered";
        registry.register("kyma_http_requests", help, metrics.requests.clone());
        let help = "Time from a request's head to the head of its answer";
        registry.register_with_unit("kyma_http_request_duration", help, Unit::Seconds, metrics.seconds.clone());
        let help = "HTTP requests whose answer was not sent to its end yet";
        registry.register("kyma_http_requests_running", help, metrics.requests_running.clone());
        registry.register("kyma_http_connections", "HTTP connections that are open", metrics.connections.clone());
        registry.register("kyma_queries_running", "Queries that run", metrics.queries_running.clone());
        registry.register("kyma_queries_waiting", "Queries that wait for a turn", metrics.queries_waiting.clone());
        registry.register("kyma_ready", "Whether the node is ready: 1 or 0", metrics.ready.clone());
        let help = "Whether a part that the node needs is there: 1 or 0";
        registry.register("kyma_part_up", help, metrics.parts_up.clone());
        let build = [("version", version.to_owned()), ("arch", std::env::consts::ARCH.to_owned())];
        registry.register("kyma_build", "What runs", Info::new(build.to_vec()));
        metrics.deletes.register(registry);
        registry.register_collector(Box::new(Process { started }));
        metrics
    }
}

/// The method as a label: anybody may make up one.
pub(crate) fn method_label(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
    known.into_iter().find(|name| *name == method.as_str()).unwrap_or("other")
}
