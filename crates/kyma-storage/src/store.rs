//! The store that the rest of kyma sees: whole puts, range reads, deletes, lists; every call with a deadline.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use kyma_core::extent::ObjectRange;
use kyma_core::failpoint::{self, Point};
use kyma_core::format::RangeReader;
use kyma_core::profile::IoCounters;
use kyma_core::{Error, Result};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use crate::budget::Budget;
use crate::cache::{BlockCache, MemoryCache, Warmth};
use crate::distrust::Distrusted;
use crate::error::{explain, is_unsupported, timed_out};
use crate::flights::Flights;
use crate::gate::Gate;
use crate::hedge::Hedges;
use crate::key;
use crate::measured::Measured;
use crate::metrics::{CacheCollector, Metrics};
use crate::reader::Extent;
use crate::retry::{Failure, Policy, call};
use crate::settings::StoreSettings;

/// Longest wait for [`Store::ping`].
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its key below the store's prefix.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// When the store says it was last written, in nanoseconds since the epoch by the store's clock.
    pub modified_nanos: i64,
}

/// An object store with deadlines, retries, metrics and a range cache.
pub struct Store {
    pub(crate) inner: Arc<dyn ObjectStore>,
    pub(crate) policy: Policy,
    pub(crate) budget: Arc<Budget>,
    pub(crate) cache: Arc<dyn BlockCache>,
    pub(crate) distrusted: Distrusted,
    pub(crate) flights: Flights,
    pub(crate) gate: Gate,
    pub(crate) hedges: Hedges,
    pub(crate) metrics: Metrics,
    conditional_puts: AtomicBool,
    price_get_per_million: f64,
    price_put_per_million: f64,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("inner", &format_args!("{}", self.inner)).finish_non_exhaustive()
    }
}

impl Store {
    /// Decorates `inner` as `settings` say, with this cache; the settings' URL and those of caches are not used.
    pub fn with_cache(inner: Arc<dyn ObjectStore>, settings: &StoreSettings, cache: Arc<dyn BlockCache>) -> Arc<Store> {
        Self::assemble(inner, settings, cache, Arc::default())
    }

    /// The store whose retries are paid from `budget`.
    pub(crate) fn assemble(
        inner: Arc<dyn ObjectStore>,
        settings: &StoreSettings,
        cache: Arc<dyn BlockCache>,
        budget: Arc<Budget>,
    ) -> Arc<Store> {
        let metrics = Metrics::default();
        let (requests, bytes) = (settings.requests_in_flight_max, settings.bytes_in_flight_max);
        Arc::new(Store {
            inner: Arc::new(Measured::new(inner, metrics.requests.clone())),
            policy: Policy::of(settings),
            budget,
            cache,
            distrusted: Distrusted::default(),
            flights: Flights::default(),
            gate: Gate::new(requests, bytes, metrics.gate.clone()),
            hedges: Hedges::new(settings.hedge_after, settings.hedge_percent_max),
            metrics,
            conditional_puts: AtomicBool::new(true),
            price_get_per_million: settings.price_get_per_million,
            price_put_per_million: settings.price_put_per_million,
        })
    }

    /// Decorates any object store as `settings` say, without a disk cache; the settings' URL is not used.
    pub fn decorate(inner: Arc<dyn ObjectStore>, settings: &StoreSettings) -> Arc<Store> {
        Self::with_cache(inner, settings, Arc::new(MemoryCache::new(settings.cache_memory_bytes)))
    }

    /// Decorates any object store with default deadlines and a small memory cache; for tests.
    pub fn from_object_store(inner: Arc<dyn ObjectStore>) -> Arc<Store> {
        let (total, attempt) = (Duration::from_secs(30), Duration::from_secs(10));
        Self::with_deadlines(inner, total, attempt)
    }

    /// Decorates any object store with the given deadlines, a small memory cache and no hedges; for tests of failures.
    pub fn with_deadlines(inner: Arc<dyn ObjectStore>, total: Duration, attempt: Duration) -> Arc<Store> {
        let settings = StoreSettings { request_timeout: total, attempt_timeout: attempt, ..StoreSettings::for_tests() };
        Self::decorate(inner, &settings)
    }

    /// What the store's list prices make of so many GETs and PUTs, in US dollars. Bytes and what is kept are not in it.
    pub fn dollars(&self, gets: u64, puts: u64) -> f64 {
        (gets as f64 * self.price_get_per_million + puts as f64 * self.price_put_per_million) / 1e6
    }

    /// Adds the store's counters to `registry`, as `kyma_store_*`.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
        registry.register_collector(Box::new(CacheCollector(Arc::clone(&self.cache))));
    }

    /// Puts a new object. When this returns, the object is durable, and the store has shown that it is there in full: an
    /// acknowledged put that left nothing, as of a gateway that lost it, counts as a failed attempt. Its bytes are
    /// the store's to verify: the S3 client signs their hash.
    ///
    /// Where the store can tell, an object that is there already is never overwritten: `Conflict`, unless it is what an
    /// earlier attempt of this very call left, byte for byte. Where it cannot, the put overwrites; keys are unique, so
    /// correctness never rests on this.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        let path = key::parse(key)?;
        let size = bytes.len();
        let policy = self.policy.for_upload(size);
        let payload = PutPayload::from_bytes(bytes.clone());
        let put = || async {
            let conditional = self.conditional_puts.load(Ordering::Relaxed);
            let mode = if conditional { PutMode::Create } else { PutMode::Overwrite };
            failpoint::reach(Point::StoreBeforePut).map_err(lost)?;
            let answer = match self.put_and_look(&path, &payload, mode).await {
                Err(error) if conditional && is_unsupported(&error) => {
                    self.conditional_puts.store(false, Ordering::Relaxed);
                    self.put_and_look(&path, &payload, PutMode::Overwrite).await
                }
                // S3 says so, too, while an earlier attempt is under way that may yet come to nothing.
                Err(error @ (StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }))
                    if matches!(self.inner.head(&path).await, Err(StoreError::NotFound { .. })) =>
                {
                    Err(StoreError::Generic { store: "conflict", source: Box::new(error) })
                }
                other => other,
            };
            failpoint::reach(Point::StoreAfterPut).map_err(lost)?;
            answer
        };
        match call(policy, &self.budget, put).await {
            Ok(_) => {
                self.metrics.put_bytes.inc_by(size as u64);
                Ok(())
            }
            Err(Failure::Said(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }, attempt))
                if attempt > 1 && self.holds(&path, &bytes).await =>
            {
                Ok(())
            }
            Err(failure) => Err(self.count(failure.explain("store an object", key))),
        }
    }

    async fn put_and_look(&self, path: &Path, payload: &PutPayload, mode: PutMode) -> Result<(), StoreError> {
        self.inner.put_opts(path, payload.clone(), PutOptions::from(mode)).await?;
        let found = match self.inner.head(path).await {
            Ok(meta) => meta.size,
            Err(StoreError::NotFound { .. }) => 0,
            Err(error) => return Err(error),
        };
        let sent = payload.content_length() as u64;
        if found == sent {
            return Ok(());
        }
        let source = format!("a put was acknowledged and is not there: sent={sent} found={found}").into();
        Err(StoreError::Generic { store: "verify", source })
    }

    /// Whether the object under `path` is `bytes`: an earlier attempt arrived although its answer did not.
    async fn holds(&self, path: &Path, bytes: &Bytes) -> bool {
        let read = || async { self.inner.get(path).await?.bytes().await };
        matches!(call(self.policy, &self.budget, read).await, Ok((found, _)) if found == *bytes)
    }

    /// Reads ranges of one extent; offsets count from its first byte. See the steps in `reader`.
    pub fn reader(self: &Arc<Self>, location: &ObjectRange, counters: Arc<IoCounters>) -> Arc<dyn RangeReader> {
        Arc::new(Extent::new(Arc::clone(self), location, counters))
    }

    /// Reads ranges of an extent whose owner said how near it is to be kept.
    pub fn reader_of(
        self: &Arc<Self>,
        location: &ObjectRange,
        counters: Arc<IoCounters>,
        warmth: Warmth,
    ) -> Arc<dyn RangeReader> {
        Arc::new(Extent::new(Arc::clone(self), location, counters).with(warmth))
    }

    /// All bytes of one extent, past the cache: for work that reads everything once.
    pub async fn read_whole(self: &Arc<Self>, location: &ObjectRange, counters: Arc<IoCounters>) -> Result<Bytes> {
        Extent::new(Arc::clone(self), location, counters).read_whole().await
    }

    /// Deletes an object; it is no error when there is none.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let path = key::parse(key)?;
        match call(self.policy, &self.budget, || self.inner.delete(&path)).await {
            Ok(_) | Err(Failure::Said(StoreError::NotFound { .. }, _)) => Ok(()),
            Err(failure) => Err(self.count(failure.explain("delete an object", key))),
        }
    }

    /// Whether there is an object under `key`.
    pub async fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.size(key).await?.is_some())
    }

    /// The size of the object under `key`, if there is one.
    pub async fn size(&self, key: &str) -> Result<Option<u64>> {
        let path = key::parse(key)?;
        match call(self.policy, &self.budget, || self.inner.head(&path)).await {
            Ok((meta, _)) => Ok(Some(meta.size)),
            Err(Failure::Said(StoreError::NotFound { .. }, _)) => Ok(None),
            Err(failure) => Err(self.count(failure.explain("look up an object", key))),
        }
    }

    /// Every object whose key lies under `prefix` (whole segments; `""` for all), in no order, streamed. Each step of
    /// the listing has the deadline of one call; a listing that fails ends with the error.
    pub fn list(&self, prefix: &str) -> BoxStream<'static, Result<StoredObject>> {
        let path = match prefix {
            "" => None,
            prefix => match key::parse(prefix) {
                Ok(path) => Some(path),
                Err(error) => return futures::stream::once(async { Err(error) }).boxed(),
            },
        };
        let (total, prefix) = (self.policy.total, prefix.to_owned());
        let listing = self.inner.list(path.as_ref());
        futures::stream::unfold(Some(listing), move |listing| {
            let prefix = prefix.clone();
            async move {
                let mut listing = listing?;
                match timeout(total, listing.next()).await {
                    Ok(None) => None,
                    Ok(Some(Ok(meta))) => Some((Ok(stored(meta)), Some(listing))),
                    Ok(Some(Err(error))) => Some((Err(explain("list objects", &prefix, error)), None)),
                    Err(_elapsed) => Some((Err(timed_out("list objects", &prefix, None)), None)),
                }
            }
        })
        .boxed()
    }

    /// Answers when the store does; the error says why it does not.
    pub async fn ping(&self) -> Result<()> {
        let mut listing = self.inner.list(None);
        match timeout(PING_TIMEOUT, listing.next()).await {
            Ok(None | Some(Ok(_))) => Ok(()),
            Ok(Some(Err(error))) => Err(Error::unavailable("store.unavailable", "the object store does not answer")
                .hint("check the store's URL, credentials and that the bucket exists")
                .because(error)),
            Err(_elapsed) => Err(timed_out("answer", "", None)),
        }
    }

    pub(crate) fn count(&self, error: Error) -> Error {
        self.metrics.failures.inc();
        error
    }
}

/// A failpoint's error as one of the store's that may pass.
fn lost(error: Error) -> StoreError {
    StoreError::Generic { store: "failpoint", source: Box::new(error) }
}

fn stored(meta: object_store::ObjectMeta) -> StoredObject {
    StoredObject {
        key: meta.location.to_string(),
        bytes: meta.size,
        modified_nanos: kyma_core::time::nanos_of(meta.last_modified.naive_utc()),
    }
}
