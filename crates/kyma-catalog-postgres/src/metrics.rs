//! What the catalog's connections and operations cost.

use std::time::Duration;

use deadpool_postgres::Pool;
use kyma_core::Result;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// How an operation ended: `ok`, or the kind of its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// Times of one node's calls; cloned handles share their values.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    wait: Histogram,
    operations: Family<OutcomeLabels, Histogram>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Metrics { wait: histogram(), operations: Family::new_with_constructor(histogram) }
    }

    pub(crate) fn register(&self, registry: &mut Registry, pool: &Pool) {
        let help = "Time that an operation waited for a connection to the catalog";
        registry.register_with_unit("kyma_catalog_connection_wait", help, Unit::Seconds, self.wait.clone());
        let help = "Time of operations on the catalog, waits included, by how they ended: ok, or the kind of the error";
        registry.register_with_unit("kyma_catalog_operation_duration", help, Unit::Seconds, self.operations.clone());
        registry.register_collector(Box::new(Connections(pool.clone())));
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.wait.observe(time.as_secs_f64());
    }

    pub(crate) fn ended<T>(&self, time: Duration, outcome: &Result<T>) {
        let outcome = outcome.as_ref().map_or_else(|error| error.kind().name(), |_| "ok");
        self.operations.get_or_create(&OutcomeLabels { outcome }).observe(time.as_secs_f64());
    }
}

/// From a quarter of a millisecond to eight seconds.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
}

/// Says how many connections there are when it is asked.
#[derive(Debug)]
struct Connections(Pool);

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let status = self.0.status();
        let gauges = [
            ("kyma_catalog_connections_max", "Most connections to the catalog", status.max_size),
            ("kyma_catalog_connections", "Connections to the catalog", status.size),
            (
                "kyma_catalog_connections_in_use",
                "Connections to the catalog that an operation has",
                status.size.saturating_sub(status.available),
            ),
            ("kyma_catalog_waiting", "Operations that wait for a connection to the catalog", status.waiting),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}
