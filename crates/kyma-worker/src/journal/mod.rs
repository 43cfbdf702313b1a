//! The catalog's journal: what the bucket must hold beside extents so that the catalog can be made again from it.
//!
//! From the extents alone nobody can tell an extent from one that was compacted away, deleted or never committed. So every
//! database whose state moved is written down as an *entry*: a *full* one holds all of it, a *delta* what commits after the
//! `previous` sequence up to its own changed. An entry is one or more objects (*parts*); `entry` says how they look.
//!
//! One run, for each database that moved since its mark (a row of the catalog):
//!
//! 1. Read the definition: sequence *s* and all but extents and receipts, of one moment.
//! 2. Choose: a delta after the mark's sequence, or a full entry when there is none yet, after [`JournalSettings::deltas_max`]
//!    deltas, when the delta would be too large, or when some extents that were removed since the mark may be forgotten.
//! 3. Put the parts, in order, under the first revision after the mark's under which nobody began this entry. Their keys name
//!    revision, sequence and version of the definition. Two writers of one entry cut it into parts alike only as long
//!    as no removed extent is forgotten between: an entry is never put together from what two of them put.
//! 4. Move the mark, if it still is the one of step 1. If not, another worker was here: its entry and ours are both
//!    true, and a reader applies both.
//! 5. After a full entry: delete parts of entries before it that are older than the grace period.
//!
//! A crash between 3 and 4 leaves parts that no mark counts. They are true as well; a reader applies entries that are complete, and
//! the next run writes another one from the same mark. Since every entry says after which sequence it begins, a
//! reader finds a gap when there is one, and applies what overlaps twice to the same end.

pub mod entry;
pub mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use kyma_core::catalog::{
    Catalog, ChangeQuery, ClaimedTask, DatabaseDefinition, ExtentPage, JournalMark, JournalState, NumberedReceipt,
    ReceiptPage, Recovery,
};
use kyma_core::clock::Clock;
use kyma_core::extent::{Extent, ObjectRange};
use kyma_core::failpoint::{self, Point};
use kyma_core::planted::{self, Bug};
use kyma_core::profile::IoCounters;
use kyma_core::time::TimeRange;
use kyma_core::{Error, ExtentId, Kind, Result, Sequence};
use kyma_storage::Store;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::handler::TaskHandler;
use entry::{PREFIX, Part, PartKey};

/// Extents of one part, and receipts of one part.
const PAGE: usize = 2_000;
/// Changed extents of a delta; with more, a full entry is written.
const DELTA_EXTENTS_MAX: usize = 20_000;

/// Settings of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalSettings {
    /// Time between looks at what moved, over all nodes: what is younger is found by extents' footers alone.
    pub period_millis: u64,
    /// Deltas after which a full entry is written.
    pub deltas_max: u64,
    /// How long entries before a full one are kept.
    pub kept_millis: u64,
}

impl Default for JournalSettings {
    fn default() -> Self {
        JournalSettings { period_millis: 10_000, deltas_max: 1_000, kept_millis: 24 * 3_600_000 }
    }
}

/// Writes journals.
#[derive(Clone)]
pub struct Journal {
    catalog: Arc<dyn Catalog>,
    recovery: Arc<dyn Recovery>,
    store: Arc<Store>,
    settings: JournalSettings,
    clock: Arc<dyn Clock>,
    page: usize,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Journal {
    /// A journal of the catalog, which is asked in both its roles, in the store.
    pub fn new(
        catalog: Arc<dyn Catalog>,
        recovery: Arc<dyn Recovery>,
        store: Arc<Store>,
        settings: JournalSettings,
        clock: Arc<dyn Clock>,
    ) -> Journal {
        Journal { catalog, recovery, store, settings, clock, page: PAGE }
    }

    /// Parts of so many extents or receipts, for tests.
    #[must_use]
    pub fn in_pages_of(self, page: usize) -> Journal {
        Journal { page: page.max(1), ..self }
    }

    /// Writes down every database that moved; `in full` also those that did not. Gives how many entries it wrote.
    pub async fn catch_up(&self, in_full: bool, stop: &CancellationToken) -> Result<u64> {
        let mut written = 0;
        for state in self.recovery.journal_states().await? {
            if stop.is_cancelled() {
                return Err(Error::cancelled("worker.stopped", "the node stopped before all journals were written"));
            }
            if in_full || has_moved(&state) {
                self.write(&state, in_full).await?;
                written += 1;
            }
        }
        Ok(written)
    }

    /// Steps 1 to 5 for one database.
    async fn write(&self, state: &JournalState, in_full: bool) -> Result<()> {
        let identity = self.recovery.identity().await?;
        let (database, mark) = (state.database.id, state.mark);
        let definition = self.recovery.definition(database).await?;
        let deltas = mark.revision - mark.full_revision;
        let is_full = in_full
            || mark.full_revision == 0
            || deltas >= i64::try_from(self.settings.deltas_max).unwrap_or(i64::MAX)
            || definition.forgotten > mark.sequence;
        let delta = if is_full { None } else { self.changes(&mark, &definition).await? };
        let is_full = delta.is_none();
        let mut key = PartKey {
            catalog: identity.id,
            database,
            revision: mark.revision + 1,
            sequence: definition.sequence,
            definitions_version: definition.definitions_version,
            full: is_full,
            part: 0,
        };
        if !planted::is(Bug::JournalContinuesOthers) {
            while self.store.size(&key.to_string()).await?.is_some() {
                key.revision += 1;
            }
        }
        let moved = JournalMark {
            revision: key.revision,
            sequence: key.sequence,
            definitions_version: key.definitions_version,
            full_revision: if is_full { key.revision } else { mark.full_revision },
        };
        if planted::is(Bug::JournalMarkBeforePut) {
            self.recovery.advance_journal(database, mark.revision, &moved).await?;
        }
        let previous = if is_full { Sequence(0) } else { mark.sequence };
        let mut parts = Parts { journal: self, rebuilt_from: identity.rebuilt_from, previous, key };
        let put = match delta {
            Some(delta) => self.put_delta(&mut parts, definition, delta).await,
            None => self.put_full(&mut parts, definition).await,
        };
        match put {
            // Another worker is writing the same entry at this moment: it is left to that one, whose end the next run sees.
            Err(error) if error.code() == "store.object_exists" => return Ok(()),
            put => put?,
        }
        let advanced = self.recovery.advance_journal(database, mark.revision, &moved).await?;
        if advanced && is_full {
            self.delete_before(identity.id, &moved, state).await?;
        }
        Ok(())
    }

    /// The changes of extents up to the definition's sequence; `None` when there are too many, or when some may be forgotten.
    async fn changes(&self, mark: &JournalMark, definition: &DatabaseDefinition) -> Result<Option<Delta>> {
        let (after, to) = (mark.sequence, definition.sequence);
        let mut delta = Delta::default();
        let known = BTreeMap::from([(definition.database.id, after)]);
        let pins = self.catalog.pins(&known).await?;
        let changed = pins.iter().filter(|pin| pin.database.id == definition.database.id).flat_map(|pin| &pin.changed);
        for table in changed {
            let limit = DELTA_EXTENTS_MAX - delta.extents.len() - delta.removed.len();
            let query = ChangeQuery { table: table.table, after, to, time: TimeRange::ALL, limit };
            let Some(extents) = self.catalog.changes(&query).await? else { return Ok(None) };
            extents.into_iter().for_each(|extent| delta.add(extent, after, to));
        }
        delta.extents.sort_by_key(|extent| extent.id);
        delta.removed.sort_unstable();
        Ok(Some(delta))
    }

    async fn put_delta(&self, parts: &mut Parts<'_>, definition: DatabaseDefinition, delta: Delta) -> Result<()> {
        let mut page = ReceiptPage {
            database: definition.database.id,
            after: (Sequence(parts.previous.0 + 1), String::new()),
            to: definition.sequence,
            limit: self.page,
        };
        let mut receipts = self.recovery.receipt_page(&page).await?;
        let mut content = Content { extents: delta.extents, removed: delta.removed, receipts: Vec::new() };
        let mut definition = Some(definition);
        loop {
            let is_last = receipts.len() < self.page;
            if let Some(last) = receipts.last() {
                page.after = (last.sequence, last.receipt.key.clone());
            }
            content.receipts = receipts;
            parts.put(definition.take(), std::mem::take(&mut content), is_last).await?;
            if is_last {
                return Ok(());
            }
            receipts = self.recovery.receipt_page(&page).await?;
        }
    }

    async fn put_full(&self, parts: &mut Parts<'_>, definition: DatabaseDefinition) -> Result<()> {
        let (database, to) = (definition.database.id, definition.sequence);
        let mut page = ExtentPage { database, to, after: None, limit: self.page };
        let mut definition = Some(definition);
        loop {
            let extents = self.recovery.extent_page(&page).await?;
            let Some(last) = extents.last() else { break };
            page.after = Some((last.table, last.added, last.id));
            let mut delta = Delta::default();
            extents.into_iter().for_each(|extent| delta.add(extent, Sequence(0), to));
            let content = Content { extents: delta.extents, removed: delta.removed, receipts: Vec::new() };
            parts.put(definition.take(), content, false).await?;
        }
        let mut page = ReceiptPage { database, after: (Sequence(0), String::new()), to, limit: self.page };
        loop {
            let receipts = self.recovery.receipt_page(&page).await?;
            let is_last = receipts.len() < self.page;
            if let Some(last) = receipts.last() {
                page.after = (last.sequence, last.receipt.key.clone());
            }
            parts.put(definition.take(), Content { receipts, ..Content::default() }, is_last).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Step 5.
    async fn delete_before(&self, catalog: Uuid, mark: &JournalMark, state: &JournalState) -> Result<()> {
        let kept = i64::try_from(self.settings.kept_millis.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        let oldest = self.clock.now().saturating_sub(kept);
        let folder = format!("{PREFIX}/{catalog}/{}", state.database.id);
        let mut listed = self.store.list(&folder);
        while let Some(object) = listed.try_next().await? {
            let is_before = PartKey::parse(&object.key).is_some_and(|key| key.revision < mark.revision);
            if is_before && object.modified_nanos < oldest {
                self.store.delete(&object.key).await?;
            }
        }
        Ok(())
    }
}

/// Whether the database moved since it was last written down.
pub fn has_moved(state: &JournalState) -> bool {
    let JournalState { sequence, definitions_version, mark, .. } = state;
    mark.revision == 0 || *sequence != mark.sequence || *definitions_version != mark.definitions_version
}

/// What commits changed.
#[derive(Debug, Default)]
struct Delta {
    extents: Vec<Extent>,
    removed: Vec<(ExtentId, Sequence, String)>,
}

impl Delta {
    /// Notes an extent as commits in `after..=to` left it: visible, or removed. Its object is named too, since it may be there still.
    fn add(&mut self, mut extent: Extent, after: Sequence, to: Sequence) {
        match extent.removed {
            Some(removed) if removed <= to && planted::is(Bug::JournalOmitsRemovals) => {}
            Some(removed) if removed <= to => {
                self.removed.push((extent.id, removed, extent.location.key.clone()));
            }
            _ if extent.added > after && extent.added <= to => {
                extent.removed = None;
                self.extents.push(extent);
            }
            _ => {}
        }
    }
}

/// What one part holds beside the definition.
#[derive(Debug, Default)]
struct Content {
    extents: Vec<Extent>,
    removed: Vec<(ExtentId, Sequence, String)>,
    receipts: Vec<NumberedReceipt>,
}

/// Puts the parts of one entry in order.
struct Parts<'a> {
    journal: &'a Journal,
    rebuilt_from: Option<Uuid>,
    previous: Sequence,
    key: PartKey,
}

impl Parts<'_> {
    async fn put(&mut self, definition: Option<DatabaseDefinition>, content: Content, is_last: bool) -> Result<()> {
        let part = Part {
            format: entry::FORMAT,
            key: self.key,
            rebuilt_from: self.rebuilt_from,
            previous: self.previous,
            written_at: self.journal.clock.now(),
            is_last,
            definition,
            extents: content.extents,
            removed: content.removed,
            receipts: content.receipts,
        };
        failpoint::reach(Point::JournalBeforePut)?;
        let put = self.journal.store.put(&self.key.to_string(), Bytes::from(part.encode()?)).await;
        self.key.part += 1;
        match put {
            Err(error) if error.kind() == Kind::Conflict && planted::is(Bug::JournalContinuesOthers) => {}
            other => other?,
        }
        failpoint::reach(Point::JournalAfterPut)
    }
}

#[async_trait]
impl TaskHandler for Journal {
    fn kind(&self) -> &'static str {
        "journal"
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.settings.period_millis.max(1)))
    }

    async fn run(&self, _task: &ClaimedTask, stop: &CancellationToken) -> Result<()> {
        self.catch_up(false, stop).await.map(drop)
    }
}

/// Parts of one database's journal in order, each with when it was put, in nanoseconds by the store's clock.
pub type ListedParts = BTreeMap<PartKey, i64>;

/// Every part in the bucket, by catalog and database; and the keys below the folder that are none.
pub async fn list(
    store: &Store,
) -> Result<(BTreeMap<Uuid, BTreeMap<kyma_core::DatabaseId, ListedParts>>, Vec<String>)> {
    let mut catalogs: BTreeMap<Uuid, BTreeMap<_, ListedParts>> = BTreeMap::new();
    let mut foreign = Vec::new();
    let mut listed = store.list(PREFIX);
    while let Some(object) = listed.try_next().await? {
        match PartKey::parse(&object.key) {
            Some(key) => {
                let parts = catalogs.entry(key.catalog).or_default().entry(key.database).or_default();
                parts.insert(key, object.modified_nanos);
            }
            None => foreign.push(object.key),
        }
    }
    Ok((catalogs, foreign))
}

/// The whole object under `key`.
///
/// # Errors
/// `NotFound` when there is none, `Exhausted` when it has more than `bytes_max` bytes.
pub(crate) async fn read_object(store: &Arc<Store>, key: &str, bytes_max: u64) -> Result<Bytes> {
    let missing = || Error::not_found("store.not_found", format!("the object does not exist: key={key}"));
    let length = store.size(key).await?.ok_or_else(missing)?;
    if length > bytes_max {
        return Err(Error::exhausted("store.object_too_large", format!("the object is too large: key={key}")));
    }
    let reader = store.reader(&ObjectRange { key: key.to_owned(), offset: 0, length }, Arc::new(IoCounters::default()));
    let read = reader.read(std::slice::from_ref(&(0..length))).await?;
    read.into_iter().next().ok_or_else(missing)
}
