//! Removes what is past its time, and gives up what was dropped.
//!
//! [`Retention`], for every table whose policy, or whose database's, names a period:
//!
//! 1. The catalog is asked for visible extents every row of which is older than the period, the oldest first, a batch at a
//!    time. The node's clock and the catalog's must agree that they are.
//! 2. One transaction removes the batch. When compaction took one of its extents meanwhile, nothing is removed, and the
//!    batch is asked for again; what compaction made of it is as old.
//! 3. This goes on until nothing is left, or the limit of batches: the rest waits for the next period.
//!
//! Running queries and sequences within the grace period go on seeing what was removed; garbage collection deletes it later.
//! A crash anywhere leaves some batches removed. A policy that is not understood removes nothing.
//!
//! [`GiveUp`] ends what the grace period keeps: drops that can be undone, and what sequences were when.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kyma_core::catalog::{Catalog, ClaimedTask, Commit, Database, ExpiryQuery, Policy, Table};
use kyma_core::clock::Clock;
use kyma_core::failpoint::{self, Point};
use kyma_core::planted::{self, Bug};
use kyma_core::policy::{self, RETENTION, RetentionPolicy};
use kyma_core::{Error, Result, TableId};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::{Registry, Unit};
use tokio_util::sync::CancellationToken;

use crate::handler::TaskHandler;
use crate::settings::{GarbageSettings, RetentionSettings};

/// Batches of one table in one run; the rest waits for the next.
const BATCHES_MAX: usize = 1_000;
/// How often a batch is asked for again because others changed the table.
const CONFLICTS_MAX: usize = 20;

/// What was removed because of its age.
#[derive(Debug, Clone, Default)]
pub(crate) struct RetentionMetrics {
    extents: Counter,
    rows: Counter,
    bytes: Counter,
}

impl RetentionMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
        counter("kyma_retention_extents_removed", "Extents removed because of their age", &self.extents);
        counter("kyma_retention_rows_removed", "Rows removed because of their age", &self.rows);
        let help = "Stored bytes removed because of their age";
        registry.register_with_unit("kyma_retention_removed", help, Unit::Bytes, self.bytes.clone());
    }
}

/// Enforces retention policies.
#[derive(Debug)]
pub struct Retention {
    catalog: Arc<dyn Catalog>,
    settings: RetentionSettings,
    clock: Arc<dyn Clock>,
    metrics: RetentionMetrics,
}

/// What one run removed of a table.
#[derive(Debug, Default)]
struct Removed {
    extents: u64,
    rows: u64,
    bytes: u64,
}

impl Retention {
    pub(crate) fn new(
        catalog: Arc<dyn Catalog>,
        settings: RetentionSettings,
        clock: Arc<dyn Clock>,
        metrics: RetentionMetrics,
    ) -> Retention {
        Retention { catalog, settings, clock, metrics }
    }

    /// Every table of a database. One that fails does not keep the others.
    async fn enforce(&self, database: &Database, stop: &CancellationToken) -> Result<()> {
        let policies = self.catalog.policies(database.id).await?;
        if !policies.iter().any(|policy| policy.kind == RETENTION) {
            return Ok(());
        }
        let mut failed = None;
        for table in self.catalog.tables(database.id).await? {
            let enforced = match period_of(&policies, table.id) {
                Ok(Some(period)) => self.remove_older(&table, period, stop).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = enforced {
                tracing::warn!(table = table.name, error = %error.chain(), "retention of a table failed");
                failed = Some(error);
            }
            if stop.is_cancelled() {
                return Err(stopped());
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Steps 1 to 3 of one table.
    async fn remove_older(&self, table: &Table, period: i64, stop: &CancellationToken) -> Result<()> {
        let mut removed = Removed::default();
        let mut conflicts = 0;
        let ended = loop {
            if stop.is_cancelled() || removed.extents >= (BATCHES_MAX * self.settings.batch) as u64 {
                break Ok(());
            }
            match self.remove_batch(table, period).await {
                Ok(batch) if batch.extents == 0 => break Ok(()),
                Ok(batch) => {
                    self.count(&batch);
                    removed.extents += batch.extents;
                    removed.rows += batch.rows;
                    removed.bytes += batch.bytes;
                }
                Err(error) if error.code() == "catalog.sources_changed" && conflicts < CONFLICTS_MAX => conflicts += 1,
                // Dropped meanwhile.
                Err(error) if error.code() == "catalog.table_unknown" => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if removed.extents > 0 {
            let Removed { extents, rows, bytes } = removed;
            let (database, table) = (&table.database_name, &table.name);
            tracing::info!(database, table, extents, rows, bytes, "retention removed what is past its time");
        }
        ended
    }

    async fn remove_batch(&self, table: &Table, period: i64) -> Result<Removed> {
        let limit = self.settings.batch.max(1);
        let query = ExpiryQuery { table: table.id, now: self.clock.now(), period, limit };
        let expired = self.catalog.expired(&query).await?;
        if expired.is_empty() {
            return Ok(Removed::default());
        }
        let sources: Vec<_> = expired.iter().map(|extent| extent.id).collect();
        failpoint::reach(Point::RetentionBeforeRemove)?;
        self.catalog.replace(table.id, &sources, &Commit::default()).await?;
        failpoint::reach(Point::RetentionAfterRemove)?;
        Ok(Removed {
            extents: expired.len() as u64,
            rows: expired.iter().map(|extent| extent.rows).sum(),
            bytes: expired.iter().map(|extent| extent.location.length).sum(),
        })
    }

    fn count(&self, removed: &Removed) {
        self.metrics.extents.inc_by(removed.extents);
        self.metrics.rows.inc_by(removed.rows);
        self.metrics.bytes.inc_by(removed.bytes);
    }
}

/// How long the rows of a table are kept; `None` is for ever.
fn period_of(policies: &[Policy], table: TableId) -> Result<Option<i64>> {
    let read = |of: Option<TableId>| {
        let kept = policy::of(policies, RETENTION, of);
        kept.map_or(Ok(RetentionPolicy::default()), |policy| RetentionPolicy::parse(&policy.json))
    };
    Ok(read(Some(table))?.or(read(None)?).period.filter(|period| *period < i64::MAX))
}

#[async_trait]
impl TaskHandler for Retention {
    fn kind(&self) -> &'static str {
        RETENTION
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.settings.period_millis.max(1)))
    }

    async fn run(&self, _task: &ClaimedTask, stop: &CancellationToken) -> Result<()> {
        let mut failed = None;
        for database in self.catalog.databases().await? {
            if let Err(error) = self.enforce(&database, stop).await {
                failed = Some(error);
            }
            if stop.is_cancelled() {
                return Err(stopped());
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Gives up drops, and forgets times, after the grace period.
#[derive(Debug)]
pub struct GiveUp {
    catalog: Arc<dyn Catalog>,
    settings: GarbageSettings,
}

impl GiveUp {
    pub(crate) fn new(catalog: Arc<dyn Catalog>, settings: GarbageSettings) -> GiveUp {
        GiveUp { catalog, settings }
    }
}

#[async_trait]
impl TaskHandler for GiveUp {
    fn kind(&self) -> &'static str {
        "give_up"
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.settings.period_millis.max(1)))
    }

    async fn run(&self, _task: &ClaimedTask, _stop: &CancellationToken) -> Result<()> {
        let grace = match planted::is(Bug::GiveUpWithoutGrace) {
            true => Duration::ZERO,
            false => Duration::from_millis(self.settings.removed_grace_millis),
        };
        let given_up = self.catalog.give_up_dropped(grace, self.settings.batch.max(1)).await?;
        if given_up.tables > 0 {
            tracing::info!(tables = given_up.tables, extents = given_up.extents, "dropped tables were given up");
        }
        self.catalog.forget_times(grace).await.map(drop)
    }
}

fn stopped() -> Error {
    Error::cancelled("worker.stopped", "the node stopped before retention was enforced everywhere")
}
