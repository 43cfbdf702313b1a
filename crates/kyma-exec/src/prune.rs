//! The catalog's level of the pruning cascade: which extents a query must open.
//!
//! 1. The catalog lists what is visible at the pinned sequence and overlaps the filter's time range, in order.
//! 2. Each extent's manifest statistics falsify the rest of the filter, or prove it true of every row.

use futures::TryStreamExt;
use kyma_core::Result;
use kyma_core::catalog::{ExtentOrder, ExtentQuery, Table, TableTotals};
use kyma_core::extent::{Extent, ExtentStats};
use kyma_core::format::PruneRequest;
use kyma_core::ids::Sequence;
use kyma_core::predicate::Predicate;
use kyma_core::profile::{LevelProfile, PhaseName};
use kyma_core::prune::{Outcome, Reason, evaluate};
use kyma_core::schema::Schema;
use kyma_core::time::TimeRange;
use std::sync::Arc;

use crate::scope::QueryScope;

/// Extents of a query and what is known of them.
#[derive(Debug, Clone, Default)]
pub struct Survivors {
    /// Those that may hold matching rows, in the order asked for.
    pub extents: Vec<Arc<Extent>>,
    /// Whether every row of every one of them matches, for certain.
    pub all_match: bool,
    /// How many were considered, and why the others fell.
    pub level: LevelProfile,
}

/// What to look for in a table.
#[derive(Debug, Clone)]
pub struct TableQuery {
    /// The table.
    pub table: Arc<Table>,
    /// The pinned sequence.
    pub at: Sequence,
    /// The schema the query reads with.
    pub schema: Schema,
    /// The filter, weakened to what pruners understand.
    pub predicate: Predicate,
    /// Whether null strings read as `""`.
    pub null_strings_are_empty: bool,
}

impl TableQuery {
    /// What the manifest says of `predicate` over `extent`.
    pub fn evaluate(&self, predicate: &Predicate, extent: &Extent) -> Outcome {
        evaluate(predicate, &self.stats(extent))
    }

    /// What a format is asked to prune by.
    pub fn prune_request<'a>(&'a self, predicate: &'a Predicate, candidates: &'a [u32]) -> PruneRequest<'a> {
        PruneRequest {
            predicate,
            schema: &self.schema,
            time_column: &self.table.time_column,
            null_strings_are_empty: self.null_strings_are_empty,
            candidates,
        }
    }

    /// The manifest's statistics of `extent`, read as the query reads.
    pub fn stats<'a>(&'a self, extent: &'a Extent) -> ExtentStats<'a> {
        ExtentStats {
            extent,
            schema: &self.schema,
            time_column: &self.table.time_column,
            null_strings_are_empty: self.null_strings_are_empty,
        }
    }
}

/// Lists and prunes.
pub async fn survivors(scope: &QueryScope, query: &TableQuery) -> Result<Survivors> {
    let _phase = scope.enter(PhaseName::Prune);
    let prune = scope.shared.settings.prune;
    let time = if prune { query.predicate.time_range(&query.table.time_column) } else { TimeRange::ALL };
    let (listed, outside) = futures::try_join!(list(scope, query, time), all(scope, query, time))?;
    let rows_total = outside.map_or_else(|| listed.iter().map(|extent| extent.rows).sum(), |all| all.rows);
    let outside = outside.map_or(0, |all| all.extents.saturating_sub(listed.len() as u64));
    let mut found = Survivors { all_match: prune, ..Survivors::default() };
    found.level.considered = outside + listed.len() as u64;
    if outside > 0 {
        found.level.pruned.insert(Reason::Time, outside);
    }
    for extent in listed {
        let outcome = query.evaluate(&query.predicate, &extent);
        if prune && outcome.is_none() {
            *found.level.pruned.entry(outcome.reason.unwrap_or(Reason::Bounds)).or_default() += 1;
            continue;
        }
        found.all_match &= outcome.is_all();
        found.extents.push(Arc::new(extent));
    }
    found.level.kept = found.extents.len() as u64;
    scope.note(|profile| {
        profile.catalog.add(&found.level);
        profile.rows_total += rows_total;
        found.extents.iter().for_each(|extent| profile.keep_time(extent.time));
    });
    Ok(found)
}

/// What is visible, where a time range may exclude some.
async fn all(scope: &QueryScope, query: &TableQuery, time: TimeRange) -> Result<Option<TableTotals>> {
    if time == TimeRange::ALL {
        return Ok(None);
    }
    Ok(Some(scope.shared.catalog.totals(query.table.id, query.at).await?))
}

async fn list(scope: &QueryScope, query: &TableQuery, time: TimeRange) -> Result<Vec<Extent>> {
    if time.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = ExtentQuery { table: query.table.id, at: query.at, time, order: ExtentOrder::NewestFirst };
    scope.shared.catalog.list(wanted).try_collect().await
}
