//! Whether what the catalog says is in the bucket, and the other way round.
//!
//! 1. **Catalog**, one database at a time: totals are the sums over visible extents; extents and receipts belong to commits that
//!    there were; what should be deleted is.
//! 2. **Journal**: it can be replayed without a gap up to the mark that the catalog keeps, and tells the extents that the catalog
//!    shows at that sequence.
//! 3. **Extents**, every visible one, as thoroughly as [`Level`] says; see `extent`. Streamed: a bounded number at a time.
//! 4. **Objects**: every one of kyma's that is old enough is known to the catalog.
//! 5. Repair, only when told to, and only what cannot lose rows: orphans are given to the collector, totals are
//!    counted afresh, a full entry of the journal is written. A visible extent is never touched, whatever is wrong with it.
//!
//! What other processes do meanwhile is not a problem: an extent that is not as expected is looked at again in the
//! catalog, and passed over when it is not visible any more.

mod extent;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kyma_core::catalog::{Catalog, Database, ExtentOrder, ExtentQuery, Recovery, Table};
use kyma_core::clock::Clock;
use kyma_core::format::Formats;
use kyma_core::time::TimeRange;
use kyma_core::{Result, Sequence};
use kyma_storage::Store;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::garbage;
use crate::journal::replay::{Flaw, replay};
use crate::journal::{self, Journal};
use crate::progress::Progress;

/// Problems of one code that are reported one by one; all are counted.
const PROBLEMS_MAX: usize = 1_000;
/// Objects asked of the catalog at once.
const BATCH: usize = 1_000;

/// How thoroughly extents are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The object is there and long enough.
    Quick,
    /// The footer can be read, and says what the catalog says.
    Footers,
    /// Every page is read: checksums match and statistics hold.
    Full,
}

/// What to verify.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// How thoroughly.
    pub level: Level,
    /// Extents looked at at a time.
    pub in_flight: usize,
    /// An object that the catalog does not know is an orphan when this old: longer than any write takes.
    pub orphan_age: Duration,
    /// What may be deleted should be, after this long.
    pub overdue_age: Duration,
    /// Whether to repair what can be repaired without losing rows.
    pub repair: bool,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        VerifyOptions {
            level: Level::Footers,
            in_flight: 16,
            orphan_age: Duration::from_secs(25 * 3_600),
            overdue_age: Duration::from_secs(3 * 3_600),
            repair: false,
        }
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Which kind; stable. `docs/recovery.md` lists them.
    pub code: &'static str,
    /// What, in particular.
    pub detail: String,
    /// Whether it was repaired.
    pub repaired: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// How thorough it was.
    pub level: Level,
    /// Databases looked at.
    pub databases: u64,
    /// Extents looked at.
    pub extents: u64,
    /// Their rows.
    pub rows: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// Objects listed.
    pub objects: u64,
    /// How many problems there are of each code, repaired ones among them.
    pub counts: BTreeMap<&'static str, u64>,
    /// How many of them are left.
    pub unrepaired: u64,
    /// The problems, a bounded number of each code.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    fn new(level: Level) -> Self {
        VerifyReport {
            level,
            databases: 0,
            extents: 0,
            rows: 0,
            bytes: 0,
            objects: 0,
            counts: BTreeMap::new(),
            unrepaired: 0,
            problems: Vec::new(),
        }
    }

    fn add(&mut self, code: &'static str, detail: String, repaired: bool) {
        let count = self.counts.entry(code).or_default();
        *count += 1;
        self.unrepaired += u64::from(!repaired);
        if *count <= PROBLEMS_MAX as u64 {
            self.problems.push(Problem { code, detail, repaired });
        }
    }
}

/// What verifying needs.
pub struct Verifier {
    /// The catalog.
    pub catalog: Arc<dyn Catalog>,
    /// The same, for what only recovery asks.
    pub recovery: Arc<dyn Recovery>,
    /// The bucket.
    pub store: Arc<Store>,
    /// Every format that the extents may have.
    pub formats: Arc<Formats>,
    /// For ages of objects.
    pub clock: Arc<dyn Clock>,
    /// Writes the journal when told to repair it.
    pub journal: Journal,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Verifier {
    /// Looks at everything.
    ///
    /// # Errors
    /// Those of catalog and store when they do not answer. What is wrong is in the report.
    pub async fn verify(&self, options: &VerifyOptions, progress: &Progress) -> Result<VerifyReport> {
        let mut report = VerifyReport::new(options.level);
        let databases = self.catalog.databases().await?;
        progress.begin("catalog", databases.len() as u64);
        for database in &databases {
            self.audit(database, options, &mut report).await?;
            progress.add(1);
        }
        for key in self.recovery.overdue(options.overdue_age, PROBLEMS_MAX).await? {
            report.add("doomed_object_left", format!("object={key}"), false);
        }
        progress.begin("journals", 0);
        self.journals(options, &mut report, progress).await?;
        self.extents(&databases, options, &mut report, progress).await?;
        progress.begin("objects", 0);
        self.objects(options, &mut report, progress).await?;
        Ok(report)
    }

    /// Step 1.
    async fn audit(&self, database: &Database, options: &VerifyOptions, report: &mut VerifyReport) -> Result<()> {
        report.databases += 1;
        let audit = self.recovery.audit(database.id, PROBLEMS_MAX).await?;
        let repaired = options.repair && !audit.totals.is_empty();
        if repaired {
            self.recovery.repair_totals(database.id).await?;
        }
        for (table, (kept, counted)) in audit.totals {
            let detail = format!("database={}, table={table}, kept={kept:?}, counted={counted:?}", database.name);
            report.add("totals_mismatch", detail, repaired);
        }
        for extent in audit.misplaced {
            report.add("extent_without_commit", format!("database={}, extent={extent}", database.name), false);
        }
        for key in audit.receipts {
            report.add("receipt_without_commit", format!("database={}, key={key}", database.name), false);
        }
        Ok(())
    }

    /// Step 2.
    async fn journals(&self, options: &VerifyOptions, report: &mut VerifyReport, progress: &Progress) -> Result<()> {
        let id = self.recovery.identity().await?.id;
        let (mut catalogs, _) = journal::list(&self.store).await?;
        let mut parts = catalogs.remove(&id).unwrap_or_default();
        let mut found: Vec<(&'static str, String)> = Vec::new();
        // Read after the parts were listed: what was written since is not missed.
        for state in self.recovery.journal_states().await? {
            let (database, mark) = (&state.database, state.mark);
            let listed = parts.remove(&database.id).unwrap_or_default();
            let listed = listed.into_iter().filter(|(part, _)| part.revision <= mark.revision).collect();
            let replayed = replay(&self.store, &listed).await?;
            progress.add(1);
            let name = &database.name;
            if mark.revision == 0 {
                found.push(("journal_missing", format!("database={name}")));
                continue;
            }
            for flaw in &replayed.flaws {
                let code = match flaw {
                    Flaw::Corrupt(_) => "journal_corrupt",
                    Flaw::Incomplete(_) => continue,
                    Flaw::Gap(..) => "journal_gap",
                    Flaw::NoFull => "journal_missing",
                };
                found.push((code, format!("database={name}: {flaw:?}")));
            }
            if replayed.sequence() < mark.sequence && replayed.flaws.is_empty() {
                let detail = format!("database={name}, reached={}, mark={}", replayed.sequence(), mark.sequence);
                found.push(("journal_gap", detail));
            }
            if replayed.flaws.iter().all(|flaw| matches!(flaw, Flaw::Incomplete(_))) {
                found.extend(self.differences(database, &replayed).await?);
            }
        }
        let repaired = options.repair && !found.is_empty();
        if repaired {
            self.journal.catch_up(true, &CancellationToken::new()).await?;
        }
        for (code, detail) in found {
            report.add(code, detail, repaired);
        }
        Ok(())
    }

    /// Whether the journal tells the extents that the catalog shows at the journal's sequence.
    async fn differences(
        &self,
        database: &Database,
        replayed: &journal::replay::Replayed,
    ) -> Result<Option<(&'static str, String)>> {
        let at = replayed.sequence();
        let (mut shown, mut unknown) = (0_usize, 0_usize);
        let tables = self.catalog.tables(database.id).await?;
        for table in &tables {
            let mut listed = self.catalog.list(everything(table, at));
            while let Some(extent) = listed.try_next().await? {
                shown += 1;
                unknown += usize::from(!replayed.extents.contains_key(&extent.id));
            }
        }
        let of_tables = |table| tables.iter().any(|known| known.id == table);
        let told = replayed.extents.values().filter(|extent| of_tables(extent.table)).count();
        if unknown == 0 && told == shown {
            return Ok(None);
        }
        let detail =
            format!("database={}, sequence={at}, visible={shown}, told={told}, missing={unknown}", database.name);
        Ok(Some(("journal_mismatch", detail)))
    }

    /// Step 3.
    async fn extents(
        &self,
        databases: &[Database],
        options: &VerifyOptions,
        report: &mut VerifyReport,
        progress: &Progress,
    ) -> Result<()> {
        let mut tables = Vec::new();
        let mut total = 0;
        for database in databases {
            let at = self.catalog.pin(database.id).await?;
            for table in self.catalog.tables(database.id).await? {
                total += self.catalog.totals(table.id, at).await?.extents;
                tables.push((table, at));
            }
        }
        progress.begin("extents", total);
        for (table, at) in &tables {
            let listed = self.catalog.list(everything(table, *at));
            let checks = listed.map(|extent| async {
                let extent = extent?;
                let found = extent::check(&self.store, &self.formats, &extent, table, options.level).await?;
                Ok::<_, kyma_core::Error>((extent, found))
            });
            let mut checked = checks.buffer_unordered(options.in_flight.max(1));
            while let Some((extent, found)) = checked.try_next().await? {
                progress.add(1);
                report.extents += 1;
                report.rows += extent.rows;
                report.bytes += extent.location.length;
                if found.is_empty() || !self.is_visible(table, &extent).await? {
                    continue;
                }
                for (code, detail) in found {
                    let location = &extent.location;
                    let place = format!(
                        "database={}, table={}, extent={}, object={}, offset={}",
                        table.database_name, table.name, extent.id, location.key, location.offset
                    );
                    report.add(code, format!("{place}: {detail}"), false);
                }
            }
        }
        Ok(())
    }

    /// Whether the extent is visible now.
    async fn is_visible(&self, table: &Table, extent: &kyma_core::extent::Extent) -> Result<bool> {
        let at = self.catalog.pin(table.database).await?;
        let mut listed = self.catalog.list(ExtentQuery { time: extent.time, ..everything(table, at) });
        while let Some(found) = listed.try_next().await? {
            if found.id == extent.id {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Step 4.
    async fn objects(&self, options: &VerifyOptions, report: &mut VerifyReport, progress: &Progress) -> Result<()> {
        let age = i64::try_from(options.orphan_age.as_nanos()).unwrap_or(i64::MAX);
        let youngest = self.clock.now().saturating_sub(age);
        // An object that is older than a catalog belongs to an earlier one, unless this one was made again from it.
        let is_rebuilt = self.recovery.identity().await?.rebuilt_from.is_some();
        let oldest = if is_rebuilt { i64::MIN } else { self.catalog.created().await? };
        let listed = self.store.list(garbage::PREFIX).try_filter(|object| {
            progress.add(1);
            std::future::ready(garbage::is_ours(&object.key))
        });
        let mut batches = listed.try_chunks(BATCH).boxed();
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|failed| failed.1)?;
            report.objects += batch.len() as u64;
            let old =
                batch.into_iter().filter(|object| object.modified_nanos < youngest && object.modified_nanos > oldest);
            let keys: Vec<String> = old.map(|object| object.key).collect();
            let known = self.recovery.object_states(&keys).await?;
            let orphans: Vec<String> = keys.into_iter().filter(|key| !known.contains_key(key)).collect();
            if options.repair && !orphans.is_empty() {
                self.catalog.doom_unknown(&orphans).await?;
            }
            for key in orphans {
                report.add("orphan_object", format!("object={key}"), options.repair);
            }
        }
        Ok(())
    }
}

fn everything(table: &Table, at: Sequence) -> ExtentQuery {
    ExtentQuery { table: table.id, at, time: TimeRange::ALL, order: ExtentOrder::OldestFirst, ranges: Vec::new() }
}
