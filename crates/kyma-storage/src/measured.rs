//! A decorator that counts and times every request to the store: the innermost one, so that each attempt and each hedge
//! counts for itself. Of a listing only the first page does.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

/// What is asked of the store and how that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

/// Requests by operation and outcome, and their times; cloned handles share their values.
#[derive(Debug, Clone)]
pub(crate) struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<OperationLabels, Histogram>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        // From half a millisecond to sixteen seconds.
        let histogram = || Histogram::new(exponential_buckets(0.000_5, 2.0, 16));
        RequestMetrics { requests: Family::default(), seconds: Family::new_with_constructor(histogram) }
    }
}

impl RequestMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Requests to the store, each attempt for itself, by operation and by how they ended";
        registry.register("requests", help, self.requests.clone());
        let help = "Time until the store answered, by operation; of a read until its first byte";
        registry.register_with_unit("request_duration", help, Unit::Seconds, self.seconds.clone());
    }

    fn begin(&self, operation: &'static str) -> Running {
        Running { metrics: self.clone(), operation, began: Instant::now(), outcome: "abandoned" }
    }

    fn count(&self, operation: &'static str, outcome: &'static str, time: Duration) {
        self.requests.get_or_create(&RequestLabels { operation, outcome }).inc();
        self.seconds.get_or_create(&OperationLabels { operation }).observe(time.as_secs_f64());
    }

    async fn measure<T>(&self, operation: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let running = self.begin(operation);
        let answer = work.await;
        running.end(&answer);
        answer
    }
}

/// A request under way. Dropped before its end it counts as abandoned: it took too long, or another was faster.
struct Running {
    metrics: RequestMetrics,
    operation: &'static str,
    began: Instant,
    outcome: &'static str,
}

impl Running {
    fn end<T>(mut self, answer: &Result<T>) {
        self.outcome = match answer {
            Ok(_) => "ok",
            Err(Error::NotFound { .. }) => "not_found",
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => "exists",
            Err(_) => "error",
        };
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.metrics.count(self.operation, self.outcome, self.began.elapsed());
    }
}

/// The store that is measured.
#[derive(Debug)]
pub(crate) struct Measured {
    inner: Arc<dyn ObjectStore>,
    metrics: RequestMetrics,
}

impl Measured {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, metrics: RequestMetrics) -> Self {
        Measured { inner, metrics }
    }

    /// Counts a stream's first step as the request; a failure later counts as another one.
    fn stream<T: Send + 'static>(
        &self,
        operation: &'static str,
        inner: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let metrics = self.metrics.clone();
        stream::unfold((inner, Some(metrics)), move |(mut inner, metrics)| async move {
            let running = metrics.as_ref().map(|metrics| metrics.begin(operation));
            let item = inner.next().await;
            if let Some(running) = running {
                running.end(&item.as_ref().map_or(Ok(()), |item| item.as_ref().map(drop).map_err(copy)));
            }
            item.map(|item| (item, (inner, None)))
        })
        .boxed()
    }
}

/// The kind of an error that is looked at, not owned.
fn copy(error: &Error) -> Error {
    match error {
        Error::NotFound { path, .. } => Error::NotFound { path: path.clone(), source: "not found".into() },
        other => Error::Generic { store: "measured", source: other.to_string().into() },
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Measured {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.metrics.measure("put", self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.metrics.measure("put", self.inner.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { "head" } else { "get" };
        self.metrics.measure(operation, self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.metrics.measure("get", self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.stream("delete", self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.stream("list", self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.stream("list", self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.metrics.measure("list", self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.metrics.measure("copy", self.inner.copy_opts(from, to, options)).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn requests_count_by_operation_and_outcome() {
        let metrics = RequestMetrics::default();
        let store = Measured::new(Arc::new(InMemory::new()), metrics.clone());
        let (here, nowhere) = (Path::from("here"), Path::from("nowhere"));
        store.put(&here, PutPayload::from_static(b"abc")).await.unwrap();
        store.get(&here).await.unwrap();
        store.head(&here).await.unwrap();
        store.get(&nowhere).await.unwrap_err();
        assert_eq!(store.list(None).count().await, 1);
        store.delete(&here).await.unwrap();
        drop(metrics.begin("get"));

        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "requests_total{operation=\"put\",outcome=\"ok\"} 1",
            "requests_total{operation=\"get\",outcome=\"ok\"} 1",
            "requests_total{operation=\"get\",outcome=\"not_found\"} 1",
            "requests_total{operation=\"get\",outcome=\"abandoned\"} 1",
            "requests_total{operation=\"head\",outcome=\"ok\"} 1",
            "requests_total{operation=\"list\",outcome=\"ok\"} 1",
            "requests_total{operation=\"delete\",outcome=\"ok\"} 1",
            "request_duration_seconds_count{operation=\"get\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
