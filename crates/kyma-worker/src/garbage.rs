//! Deletes objects that nothing needs.
//!
//! The order, for every object, whatever made it garbage:
//!
//! 1. **Doom it in the catalog.** [`Collect`]: a reservation that is stale is revoked, in the same row that its commit would
//!    change, so a stalled writer that wakes up is refused; an object whose every extent was removed longer ago than the
//!    grace period is doomed. [`Sweep`]: of the objects that are listed, those that no row knows are doomed by adding a row.
//! 2. **Delete it from the store.** An object that is not there counts as deleted.
//! 3. **Forget it in the catalog.**
//!
//! A crash after 1 or 2 leaves a doomed row, with which the next collection starts. A crash can not leave a visible extent
//! without its object, because only what is doomed is deleted and nothing visible can be doomed. Object keys are
//! never used again, so a collector that stalls between 1 and 2 deletes nothing new when it wakes up.
//!
//! A writer that was revoked may still put its object after step 3. Its commit is refused, and the sweep finds the
//! object. The sweep leaves alone what is young, what is not named as kyma names its objects ([`is_ours`]), and what is
//! older than the catalog: that belongs to an earlier catalog of the same bucket, which may yet be rebuilt from it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use kyma_core::catalog::{Catalog, ClaimedTask, DoomedObject};
use kyma_core::clock::Clock;
use kyma_core::failpoint::{self, Point};
use kyma_core::planted::{self, Bug};
use kyma_core::{Error, Result};
use kyma_storage::{Store, StoredObject};
use prometheus_client::metrics::counter::Counter;
use tokio_util::sync::CancellationToken;

use crate::handler::TaskHandler;
use crate::settings::GarbageSettings;

/// The folder of kyma's objects.
pub const PREFIX: &str = "extents";
/// How the keys of kyma's objects end.
pub const SUFFIX: &str = ".kyma";
/// Batches of one collection; the rest waits for the next.
const BATCHES_MAX: usize = 1_000;

/// Whether a key is one that kyma could have made; nothing else is ever swept.
pub fn is_ours(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._=-/".contains(&byte);
    let below = key.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('/'));
    below && key.ends_with(SUFFIX) && key.bytes().all(plain)
}

/// Steps 2 and 3.
#[derive(Debug)]
struct Deleter {
    catalog: Arc<dyn Catalog>,
    store: Arc<Store>,
    at_once: usize,
    deleted: Counter,
}

impl Deleter {
    /// Deletes and forgets doomed objects; one that fails does not keep the others. Returns how many are gone.
    async fn delete_all(&self, doomed: Vec<DoomedObject>, stop: &CancellationToken) -> Result<usize> {
        let deletes = stream::iter(doomed)
            .take_until(stop.cancelled())
            .map(|object| async move { self.delete(&object.key).await })
            .buffer_unordered(self.at_once.max(1));
        let results: Vec<Result<()>> = deletes.collect().await;
        let gone = results.iter().filter(|result| result.is_ok()).count();
        results.into_iter().collect::<Result<Vec<()>>>()?;
        if stop.is_cancelled() { Err(stopped()) } else { Ok(gone) }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        failpoint::reach(Point::GarbageBeforeDelete)?;
        if planted::is(Bug::ForgetBeforeDelete) {
            self.catalog.forget(key).await?;
        }
        match self.store.delete(key).await {
            Err(_) if planted::is(Bug::FailedDeleteForgotten) => {}
            deleted => deleted?,
        }
        failpoint::reach(Point::GarbageAfterDelete)?;
        self.catalog.forget(key).await?;
        failpoint::reach(Point::GarbageAfterForget)?;
        self.deleted.inc();
        Ok(())
    }
}

/// Collects what the catalog knows to be garbage.
#[derive(Debug)]
pub struct Collect {
    deleter: Deleter,
    settings: GarbageSettings,
}

impl Collect {
    pub(crate) fn new(
        catalog: Arc<dyn Catalog>,
        store: Arc<Store>,
        settings: GarbageSettings,
        deleted: Counter,
    ) -> Collect {
        let deleter = Deleter { catalog, store, at_once: settings.deletes_at_once, deleted };
        Collect { deleter, settings }
    }

    /// One collection: until nothing is doomed, or the limit of batches.
    async fn collect(&self, stop: &CancellationToken) -> Result<()> {
        let GarbageSettings { batch, reservation_age_millis, removed_grace_millis, .. } = self.settings;
        let catalog = &self.deleter.catalog;
        for _ in 0..BATCHES_MAX {
            failpoint::reach(Point::GarbageBeforeDoom)?;
            catalog.revoke_stale(Duration::from_millis(reservation_age_millis), batch).await?;
            catalog.doom_removed(Duration::from_millis(removed_grace_millis), batch).await?;
            failpoint::reach(Point::GarbageAfterDoom)?;
            let doomed = catalog.doomed(batch).await?;
            let was_last = doomed.len() < batch;
            self.deleter.delete_all(doomed, stop).await?;
            if was_last {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl TaskHandler for Collect {
    fn kind(&self) -> &'static str {
        "garbage"
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.settings.period_millis.max(1)))
    }

    async fn run(&self, _task: &ClaimedTask, stop: &CancellationToken) -> Result<()> {
        self.collect(stop).await
    }
}

/// Finds objects that no row knows.
#[derive(Debug)]
pub struct Sweep {
    deleter: Deleter,
    settings: GarbageSettings,
    clock: Arc<dyn Clock>,
}

impl Sweep {
    pub(crate) fn new(
        catalog: Arc<dyn Catalog>,
        store: Arc<Store>,
        settings: GarbageSettings,
        clock: Arc<dyn Clock>,
        deleted: Counter,
    ) -> Sweep {
        let deleter = Deleter { catalog, store, at_once: settings.deletes_at_once, deleted };
        Sweep { deleter, settings, clock }
    }

    /// Lists everything below the prefix, a batch at a time.
    async fn sweep(&self, stop: &CancellationToken) -> Result<()> {
        let nanos = |millis: u64| i64::try_from(millis.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        let created = self.deleter.catalog.created().await?;
        let oldest = match planted::is(Bug::SweepIgnoresCatalogAge) {
            true => i64::MIN,
            false => created.saturating_add(nanos(self.settings.clock_difference_millis)),
        };
        let youngest = self.clock.now().saturating_sub(nanos(self.settings.unknown_age_millis));
        let is_candidate = |object: &StoredObject| {
            is_ours(&object.key) && oldest < object.modified_nanos && object.modified_nanos < youngest
        };
        let candidates = self
            .deleter
            .store
            .list(PREFIX)
            .try_filter(|object| std::future::ready(is_candidate(object)))
            .map_ok(|object| object.key)
            .try_chunks(self.settings.batch.max(1));
        tokio::pin!(candidates);
        while let Some(chunk) = candidates.next().await {
            let keys = chunk.map_err(|failed| failed.1)?;
            failpoint::reach(Point::SweepAfterList)?;
            let doomed = match planted::is(Bug::CollectByAge) {
                true => keys.into_iter().map(|key| DoomedObject { key }).collect(),
                false => self.deleter.catalog.doom_unknown(&keys).await?,
            };
            failpoint::reach(Point::SweepAfterDoom)?;
            if !doomed.is_empty() {
                tracing::info!(objects = doomed.len(), "deleting objects that no catalog row knows");
            }
            self.deleter.delete_all(doomed, stop).await?;
            if stop.is_cancelled() {
                return Err(stopped());
            }
        }
        Ok(())
    }
}

#[async_trait]
impl TaskHandler for Sweep {
    fn kind(&self) -> &'static str {
        "sweep"
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.settings.sweep_period_millis.max(1)))
    }

    async fn run(&self, _task: &ClaimedTask, stop: &CancellationToken) -> Result<()> {
        self.sweep(stop).await
    }
}

fn stopped() -> Error {
    Error::cancelled("worker.stopped", "the node stopped before all garbage was deleted")
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_what_kyma_made_is_ours() {
        assert!(is_ours("extents/2026/11/20/0190-abc.kyma"));
        for other in ["extents.kyma", "extents/notes.txt", "extents/\u{e4}.kyma", "backups/a.kyma", "xextents/a.kyma"] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
