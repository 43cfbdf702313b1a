//! The extents of a table as this node remembers them, so that a repeated question lists nothing.
//!
//! 1. A list is kept per table and window of time: a small table whole, of a larger one the query's window rounded outwards,
//!    so that a window that slides with the clock stays inside for a while. What does not fit is listed afresh.
//! 2. A kept list answers any sequence in `from..=to`: it holds what was visible at `from` and what was added since, each with
//!    the sequence that removed it. Before `from` the catalog is asked.
//! 3. After `to` it still answers when the pin said that the table did not change since. Otherwise only the changes are
//!    read and merged in; when they are too many, or some are forgotten already, all is read again.
//! 4. One query reads at a time per list, and those that wait find what it read.
//!
//! A list is the same as the catalog's, but for the `removed` of extents that are visible.

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use kyma_core::catalog::{Catalog, ChangeQuery, ExtentOrder, ExtentQuery, TableChange};
use kyma_core::extent::Extent;
use kyma_core::ids::{DatabaseId, ExtentId, Sequence, TableId};
use kyma_core::predicate::ColumnRange;
use kyma_core::time::TimeRange;
use kyma_core::{Error, Result};
use moka::ops::compute::{CompResult, Op};
use moka::policy::EvictionPolicy;

/// One list takes at most this part of the cache.
const SHARE: u64 = 4;
/// Bytes that an extent is thought to take, when it is decided whether to try a table whole.
const EXTENT_BYTES_GUESS: u64 = 2_048;
/// The grain of a window is between this part of its length, and half of that.
const GRAINS: u64 = 4;
/// The smallest grain of a window: about a second.
const GRAIN_MIN: u64 = 1 << 30;
/// Sequences that a list goes on to answer after it moved on, for queries that pinned a moment ago.
const HISTORY_MAX: i64 = 64;
/// Changes that are merged; more are a reason to list afresh.
const CHANGES_MAX: usize = 10_000;

/// What limits how far back a query can go.
pub(crate) const TOO_OLD_HINT: &str =
    "what was removed stays readable for the grace period, `worker.garbage.removed_grace_millis`";

/// What is to be listed.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Of this table.
    pub table: TableId,
    /// Visible at this sequence.
    pub at: Sequence,
    /// The latest change of the table, as told by the pin of `at` or a later one; `None` when it never had extents.
    pub change: Option<TableChange>,
    /// Whose time overlaps this closed range.
    pub time: TimeRange,
    /// The query's clock: windows that reach it slide.
    pub now: i64,
    /// Extents without a row in all of these may be left out, and are by the catalog where no list is kept.
    pub ranges: Vec<ColumnRange>,
}

/// Lists of extents, newest first.
#[derive(Debug)]
pub struct Manifests {
    catalog: Arc<dyn Catalog>,
    cache: moka::future::Cache<Key, Entry>,
    list_bytes_max: u64,
}

/// A table and a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    table: TableId,
    start: i64,
    end: i64,
}

#[derive(Debug, Clone)]
enum Entry {
    Held(Arc<Manifest>),
    /// It was tried; it is not again until this entry is pushed out.
    TooLarge,
}

/// A list that is kept.
#[derive(Debug)]
struct Manifest {
    from: Sequence,
    to: Sequence,
    /// Newest first.
    extents: Vec<Arc<Extent>>,
    bytes: u64,
}

impl Manifests {
    /// At most `bytes` of lists; none are kept when 0.
    pub fn new(catalog: Arc<dyn Catalog>, bytes: u64) -> Self {
        let weigh = |_: &Key, entry: &Entry| u32::try_from(entry.bytes()).unwrap_or(u32::MAX);
        let cache = moka::future::Cache::builder().max_capacity(bytes).weigher(weigh);
        let cache = cache.eviction_policy(EvictionPolicy::lru()).build();
        Manifests { catalog, cache, list_bytes_max: bytes / SHARE }
    }

    /// Visible extents that overlap the time range, newest first.
    pub async fn list(&self, query: &ListQuery) -> Result<BoxStream<'static, Result<Arc<Extent>>>> {
        if query.time.is_empty() || query.change.is_none() {
            return Ok(stream::empty().boxed());
        }
        Ok(match self.held(query).await? {
            Some(manifest) => stream::iter(manifest.visible(query.at, query.time)).map(Ok).boxed(),
            None => self.afresh(query.table, query.at, query.time, query.ranges.clone()),
        })
    }

    /// Bytes that the kept lists hold, about.
    pub fn held_bytes(&self) -> u64 {
        self.cache.weighted_size()
    }

    /// Whether what was listed as of an earlier sequence was all of it.
    pub async fn check_complete(&self, database: DatabaseId, at: Sequence) -> Result<()> {
        check_complete(&*self.catalog, database, at).await
    }

    fn afresh(
        &self,
        table: TableId,
        at: Sequence,
        time: TimeRange,
        ranges: Vec<ColumnRange>,
    ) -> BoxStream<'static, Result<Arc<Extent>>> {
        let query = ExtentQuery { table, at, time, order: ExtentOrder::NewestFirst, ranges };
        self.catalog.list(query).map_ok(Arc::new).boxed()
    }

    /// A list that answers the query, unless none is to be kept.
    async fn held(&self, query: &ListQuery) -> Result<Option<Arc<Manifest>>> {
        for key in self.keys(query) {
            let mut entry = self.cache.get(&key).await;
            if entry.as_ref().is_none_or(|entry| entry.is_behind(query)) {
                entry = self.refreshed(key, query).await?;
            }
            match entry {
                Some(Entry::Held(manifest)) => return Ok((manifest.from <= query.at).then_some(manifest)),
                Some(Entry::TooLarge) | None => {}
            }
        }
        Ok(None)
    }

    /// The entry after this query, or one before it in the queue, brought it up to the query's sequence.
    async fn refreshed(&self, key: Key, query: &ListQuery) -> Result<Option<Entry>> {
        let refresh = async |current: Option<moka::Entry<Key, Entry>>| {
            let current = current.map(moka::Entry::into_value);
            if current.as_ref().is_some_and(|entry| !entry.is_behind(query)) {
                return Ok::<_, Error>(Op::Nop);
            }
            Ok(Op::Put(self.read(key, query, current).await?))
        };
        Ok(match self.cache.entry(key).and_try_compute_with(refresh).await? {
            CompResult::Inserted(entry) | CompResult::ReplacedWith(entry) | CompResult::Unchanged(entry) => {
                Some(entry.into_value())
            }
            CompResult::StillNone(_) | CompResult::Removed(_) => None,
        })
    }

    async fn read(&self, key: Key, query: &ListQuery, current: Option<Entry>) -> Result<Entry> {
        let changed = match &current {
            Some(Entry::Held(manifest)) => self.advanced(key, manifest, query.at).await?,
            _ => None,
        };
        let read = match changed {
            Some(manifest) => Some(manifest),
            None => self.loaded(key, query.at).await?,
        };
        let fits = read.filter(|manifest| manifest.bytes <= self.list_bytes_max);
        Ok(fits.map_or(Entry::TooLarge, |manifest| Entry::Held(Arc::new(manifest))))
    }

    /// The whole list, unless it is too large.
    async fn loaded(&self, key: Key, at: Sequence) -> Result<Option<Manifest>> {
        let mut listed = self.afresh(key.table, at, key.time(), Vec::new());
        let mut manifest = Manifest::new(at, at, Vec::new());
        while let Some(extent) = listed.try_next().await? {
            manifest.bytes += extent_bytes(&extent);
            if manifest.bytes > self.list_bytes_max {
                return Ok(None);
            }
            manifest.extents.push(extent);
        }
        manifest.extents.shrink_to_fit();
        Ok(Some(manifest))
    }

    /// The list with what changed since, unless that is not to be had.
    async fn advanced(&self, key: Key, manifest: &Manifest, to: Sequence) -> Result<Option<Manifest>> {
        let (table, after, time) = (key.table, manifest.to, key.time());
        let changes = self.catalog.changes(&ChangeQuery { table, after, to, time, limit: CHANGES_MAX }).await?;
        Ok(changes.map(|changes| manifest.with(changes, to)))
    }

    /// Which lists would answer the query: that of the whole table, if it may fit, and that of a window.
    fn keys(&self, query: &ListQuery) -> Vec<Key> {
        let extents = query.change.map_or(0, |change| change.extents);
        let may_fit = extents.saturating_mul(EXTENT_BYTES_GUESS) <= self.list_bytes_max;
        let windows = [may_fit.then_some(TimeRange::ALL), window(query.time, query.now)];
        let windows = windows.into_iter().flatten().filter(|_| self.list_bytes_max > 0);
        windows.map(|window| Key { table: query.table, start: window.start, end: window.end }).collect()
    }
}

impl Key {
    fn time(&self) -> TimeRange {
        TimeRange::new(self.start, self.end)
    }
}

impl Entry {
    fn bytes(&self) -> u64 {
        match self {
            Entry::Held(manifest) => manifest.bytes + size_of::<Manifest>() as u64,
            Entry::TooLarge => size_of::<Entry>() as u64,
        }
    }

    /// Whether the entry must be read on before it answers.
    fn is_behind(&self, query: &ListQuery) -> bool {
        match self {
            Entry::Held(manifest) => {
                let changed = query.change.is_some_and(|change| change.sequence > manifest.to);
                manifest.to < query.at && changed
            }
            Entry::TooLarge => false,
        }
    }
}

impl Manifest {
    fn new(from: Sequence, to: Sequence, extents: Vec<Arc<Extent>>) -> Manifest {
        let bytes = extents.iter().map(|extent| extent_bytes(extent)).sum();
        Manifest { from, to, extents, bytes }
    }

    fn visible(&self, at: Sequence, time: TimeRange) -> Vec<Arc<Extent>> {
        let is_visible = |extent: &&Arc<Extent>| {
            let is_there = extent.added <= at && extent.removed.is_none_or(|removed| removed > at);
            is_there && extent.time.overlaps(&time)
        };
        self.extents.iter().filter(is_visible).cloned().collect()
    }

    /// This list and the changes after `self.to` up to `to`.
    fn with(&self, changes: Vec<Extent>, to: Sequence) -> Manifest {
        let from = self.from.max(Sequence(to.0.saturating_sub(HISTORY_MAX)));
        let changed: HashMap<ExtentId, Arc<Extent>> =
            changes.into_iter().map(|extent| (extent.id, Arc::new(extent))).collect();
        let kept = self.extents.iter().filter(|extent| !changed.contains_key(&extent.id));
        let ever_visible = |extent: &&Arc<Extent>| extent.removed.is_none_or(|removed| removed > from);
        let mut extents: Vec<Arc<Extent>> = kept.chain(changed.values()).filter(ever_visible).cloned().collect();
        extents.sort_by_key(|extent| std::cmp::Reverse((extent.time.end, extent.id)));
        Manifest::new(from, to, extents)
    }
}

/// The window that a query's time is rounded to; `None` for all time, and for what began before all.
///
/// One that reaches the clock is open at the end, so that it slides; what comes in there is read as a change.
fn window(time: TimeRange, now: i64) -> Option<TimeRange> {
    let length = time.end.min(now.max(time.start)).checked_sub(time.start)?.unsigned_abs();
    if time.start == i64::MIN {
        return None;
    }
    let grain = i64::try_from((length / GRAINS).max(GRAIN_MIN).next_power_of_two()).ok()?;
    let start = time.start.checked_sub(time.start.rem_euclid(grain))?;
    let end = match time.end.checked_add(grain) {
        Some(end) if end < now => time.end + (grain - 1 - time.end.rem_euclid(grain)),
        _ => i64::MAX,
    };
    Some(TimeRange::new(start, end))
}

/// Bytes that a kept extent takes, its place in the list included.
fn extent_bytes(extent: &Extent) -> u64 {
    (extent.memory_bytes() + size_of::<Arc<Extent>>()) as u64
}

/// Whether a sequence still shows all that it ever did. Asked after a list was read, it speaks for the list.
///
/// # Errors
/// `NotFound` with code `query.as_of_too_old`.
pub async fn check_complete(catalog: &dyn Catalog, database: DatabaseId, at: Sequence) -> Result<()> {
    let oldest = catalog.oldest(database).await?;
    if oldest <= at {
        return Ok(());
    }
    let message = format!("what this sequence showed is not complete any more: sequence={at}, oldest={oldest}");
    Err(Error::not_found("query.as_of_too_old", message).hint(TOO_OLD_HINT))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const HOUR: i64 = 3_600 * SECOND;
    const NOW: i64 = 1_704_067_200 * SECOND;

    #[test]
    fn a_window_that_slides_keeps_its_key_for_a_while() {
        let sliding = |minutes: i64| {
            let now = NOW + minutes * 60 * SECOND;
            window(TimeRange::new(now - HOUR, now), now).unwrap()
        };
        let keys: std::collections::BTreeSet<i64> = (0..60).map(|minute| sliding(minute).start).collect();
        assert!(keys.len() <= 9, "an hour's refreshes of the last hour read {} lists", keys.len());
        assert_eq!(sliding(0).end, i64::MAX);
        assert_eq!(
            window(TimeRange::new(NOW - HOUR, i64::MAX), NOW),
            Some(sliding(0)),
            "open or until now is the same"
        );
    }

    #[test]
    fn a_window_covers_its_query_and_not_much_more() {
        for (start, end) in
            [(0, 0), (-5, 7), (NOW - 30 * HOUR, NOW - 29 * HOUR), (-HOUR, HOUR), (i64::MIN + 1, i64::MIN + HOUR)]
        {
            let Some(window) = window(TimeRange::new(start, end), NOW) else { continue };
            assert!(window.start <= start && end <= window.end, "{start}..={end}: {window:?}");
            let slack = (start - window.start).checked_add(window.end - end).unwrap();
            assert!(slack <= (end - start).max(4 * SECOND), "{start}..={end}: {window:?}");
        }
        assert_eq!(window(TimeRange::ALL, NOW), None);
        assert_eq!(window(TimeRange::new(i64::MIN, 0), NOW), None);
    }
}
