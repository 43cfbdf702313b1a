//! Compaction: many small extents become few large ones, sorted over all of their rows and indexed in full.
//!
//! 1. [`PlanMerges`], a periodic task, asks the catalog for tables with extents that may still be merged, plans (`plan`), and
//!    enqueues a task per merge. Extents that a merge in the queue names, or one that was parked lately, are left out.
//! 2. [`Merges`] runs one such task, on whichever node claims it: it looks whether all sources are still visible, and has them
//!    rewritten (`kyma_ingest::Rewriter`), which swaps them in one transaction that looks again.
//!
//! A worker may die or stall anywhere: before the swap nothing has changed, and the object that it may have left is garbage;
//! after it the task is run again, finds its sources gone, and ends. Two workers that run the same merge cannot both swap.
//! Compaction never changes what a snapshot shows: sources stay, removed, for the grace period.

mod plan;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kyma_core::catalog::{Catalog, ClaimedTask, NewTask, Table};
use kyma_core::clock::Clock;
use kyma_core::failpoint::{self, Point};
use kyma_core::planted::{self, Bug};
use kyma_core::{Error, ExtentId, Result, TableId};
use kyma_ingest::{Rewrite, Rewriter};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::handler::TaskHandler;
use crate::metrics::{CompactMetrics, ReasonLabel};
use crate::settings::CompactSettings;

pub use plan::{Merge, Reason, plan};

/// The kind of tasks that merge.
pub const MERGE: &str = "merge";
/// Tables that one plan looks at.
const TABLES_MAX: usize = 10_000;
/// Extents of a table that one plan looks at.
const EXTENTS_MAX: usize = 20_000;
/// Merges in the queue that a plan looks at; past it no more are enqueued.
const OPEN_MERGES_MAX: usize = 10_000;
/// A merge that failed for good is planned again after this time.
const PARKED_WITHIN: Duration = Duration::from_secs(3_600);
/// Attempts of a merge before it is parked.
const ATTEMPTS_MAX: i32 = 5;

/// What a merge's task says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Payload {
    table: TableId,
    sources: Vec<ExtentId>,
    level: u8,
    raw_bytes: u64,
    reason: String,
}

/// Step 1.
#[derive(Debug)]
pub struct PlanMerges {
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    settings: CompactSettings,
    metrics: CompactMetrics,
}

impl PlanMerges {
    pub(crate) fn new(
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
        settings: CompactSettings,
        metrics: CompactMetrics,
    ) -> Self {
        PlanMerges { catalog, clock, settings, metrics }
    }

    async fn plan_all(&self, stop: &CancellationToken) -> Result<()> {
        let open = self.catalog.open_tasks(MERGE, PARKED_WITHIN, OPEN_MERGES_MAX).await?;
        let mut room = OPEN_MERGES_MAX - open.len();
        let payloads = open.into_iter().filter_map(|task| serde_json::from_value::<Payload>(task.payload).ok());
        let taken: HashSet<ExtentId> = payloads.flat_map(|payload| payload.sources).collect();
        let tables = self.catalog.uncompacted_tables(TABLES_MAX).await?;
        self.metrics.backlog_tables.set(tables.len() as i64);
        self.metrics.backlog_extents.set(tables.iter().map(|table| table.extents as i64).sum());
        self.metrics.backlog_raw_bytes.set(tables.iter().map(|table| table.raw_bytes as i64).sum());
        for table in tables {
            if room == 0 || stop.is_cancelled() {
                break;
            }
            let mut extents = self.catalog.uncompacted(table.table, EXTENTS_MAX).await?;
            extents.retain(|extent| !taken.contains(&extent.id));
            for merge in plan(&extents, &self.settings, self.clock.now()).into_iter().take(room) {
                if planted::is(Bug::CompactionLeavesRest) && merge.reason == Reason::Close {
                    continue;
                }
                room -= 1;
                self.catalog.enqueue(&task_of(table.table, merge)?).await?;
                failpoint::reach(Point::CompactAfterEnqueue)?;
            }
        }
        Ok(())
    }
}

fn task_of(table: TableId, merge: Merge) -> Result<NewTask> {
    let first = merge.sources.first().map(ToString::to_string).unwrap_or_default();
    let priority = merge.priority();
    let payload = Payload {
        table,
        sources: merge.sources,
        level: merge.level,
        raw_bytes: merge.raw_bytes,
        reason: merge.reason.name().to_owned(),
    };
    let payload =
        serde_json::to_value(payload).map_err(|error| Error::internal("a merge cannot be written").because(error))?;
    Ok(NewTask {
        kind: MERGE.to_owned(),
        dedup_key: first,
        payload,
        priority,
        delay: Duration::ZERO,
        attempts_max: ATTEMPTS_MAX,
    })
}

#[async_trait]
impl TaskHandler for PlanMerges {
    fn kind(&self) -> &'static str {
        "plan-merges"
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.settings.period_millis.max(1)))
    }

    async fn run(&self, _task: &ClaimedTask, stop: &CancellationToken) -> Result<()> {
        self.plan_all(stop).await
    }
}

/// Step 2.
#[derive(Debug)]
pub struct Merges {
    catalog: Arc<dyn Catalog>,
    rewriter: Rewriter,
    metrics: CompactMetrics,
}

impl Merges {
    pub(crate) fn new(catalog: Arc<dyn Catalog>, rewriter: Rewriter, metrics: CompactMetrics) -> Self {
        Merges { catalog, rewriter, metrics }
    }

    async fn merge(&self, payload: &Payload) -> Result<()> {
        let Some(table) = self.catalog.table_by_id(payload.table).await? else { return Ok(()) };
        let sources = self.catalog.still_visible(payload.table, &payload.sources).await?;
        if sources.len() != payload.sources.len() {
            // Someone merged, deleted or expired them meanwhile: the next plan sees what there is.
            self.metrics.stale.inc();
            return Ok(());
        }
        let sources = sources.into_iter().map(Arc::new).collect();
        let rewrite =
            Rewrite { table: Arc::new(table.clone()), sources, kept: Vec::new(), level: payload.level, format: None };
        let done = match self.rewriter.rewrite(rewrite).await {
            Err(error) if error.code() == "catalog.sources_changed" => {
                self.metrics.stale.inc();
                return Ok(());
            }
            done => done?,
        };
        self.count(&table, payload, &done);
        Ok(())
    }

    fn count(&self, table: &Table, payload: &Payload, done: &kyma_ingest::Rewritten) {
        let label = ReasonLabel { reason: payload.reason.clone() };
        self.metrics.merges.get_or_create(&label).inc();
        self.metrics.merged_extents.get_or_create(&label).inc_by(payload.sources.len() as u64);
        self.metrics.merged_rows.get_or_create(&label).inc_by(done.rows);
        self.metrics.merged_raw_bytes.get_or_create(&label).inc_by(done.raw_bytes);
        self.metrics.read_bytes.inc_by(done.bytes_read);
        self.metrics.written_bytes.inc_by(done.bytes);
        tracing::debug!(
            table = table.name,
            reason = payload.reason,
            extents = payload.sources.len(),
            rows = done.rows,
            bytes_before = done.bytes_read,
            bytes_after = done.bytes,
            "extents were merged"
        );
    }
}

#[async_trait]
impl TaskHandler for Merges {
    fn kind(&self) -> &'static str {
        MERGE
    }

    async fn run(&self, task: &ClaimedTask, _stop: &CancellationToken) -> Result<()> {
        let payload = serde_json::from_value(task.payload.clone())
            .map_err(|error| Error::internal("a merge's task cannot be read").because(error))?;
        self.merge(&payload).await
    }
}
