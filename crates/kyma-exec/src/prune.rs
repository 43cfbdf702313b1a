//! The catalog's level of the pruning cascade: which extents a query must open.
//!
//! 1. What is visible at the pinned sequence and overlaps the filter's time range is listed in order, from the node's cache
//!    or from the catalog (`manifest.rs`).
//! 2. As each extent arrives, its statistics falsify the rest of the filter, or prove it true of every row; only those
//!    that stay are held.
//! 3. As of an earlier sequence, the list counts only if the sequence is still complete after it was read.

use std::sync::Arc;

use futures::TryStreamExt;
use kyma_core::Result;
use kyma_core::catalog::Table;
use kyma_core::extent::{Extent, ExtentStats};
use kyma_core::format::PruneRequest;
use kyma_core::ids::Sequence;
use kyma_core::predicate::Predicate;
use kyma_core::profile::{LevelProfile, PhaseName};
use kyma_core::prune::{Outcome, Reason, evaluate};
use kyma_core::schema::Schema;
use kyma_core::time::TimeRange;
use kyma_plan::node::Added;

use crate::manifest::ListQuery;
use crate::scan::facts::FactStats;
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
    /// What the filter says of the facts of extents alone, weakened likewise.
    pub facts: Predicate,
    /// Which commits are read.
    pub added: Added,
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
    let change = scope.snapshot.change(&query.table);
    let ranges = if prune { query.predicate.ranges(&query.schema) } else { Vec::new() };
    let lists_all = time == TimeRange::ALL && ranges.is_empty();
    let wanted = ListQuery { table: query.table.id, at: query.at, change, time, now: scope.now, ranges };
    let mut listed = scope.shared.manifests.list(&wanted).await?;
    let mut found = Survivors { all_match: prune, ..Survivors::default() };
    let (mut considered, mut rows_listed) = (0, 0);
    while let Some(extent) = listed.try_next().await? {
        considered += 1;
        rows_listed += extent.rows;
        let excluded = prune && FactStats::new(&extent).excludes(&query.facts);
        if excluded || !query.added.overlaps(extent.commits()) {
            *found.level.pruned.entry(Reason::Cursor).or_default() += 1;
            continue;
        }
        let outcome = query.evaluate(&query.predicate, &extent);
        if prune && outcome.is_none() {
            *found.level.pruned.entry(outcome.reason.unwrap_or(Reason::Bounds)).or_default() += 1;
            continue;
        }
        found.all_match &= outcome.is_all();
        found.extents.push(extent);
    }
    if scope.snapshot.is_past {
        scope.shared.manifests.check_complete(query.table.database, query.at).await?;
    }
    // What was not even listed, of the table as it was last changed: for people, not for answers.
    let unlisted = change.map_or(0, |change| change.extents).saturating_sub(considered);
    if !lists_all && unlisted > 0 {
        let reason = if time == TimeRange::ALL { Reason::Bounds } else { Reason::Time };
        considered += unlisted;
        *found.level.pruned.entry(reason).or_default() += unlisted;
    }
    let rows_total = change.map_or(0, |change| change.rows).max(rows_listed);
    found.level.considered = considered;
    found.level.kept = found.extents.len() as u64;
    scope.note(|profile| {
        profile.catalog.add(&found.level);
        profile.rows_total += rows_total;
        found.extents.iter().for_each(|extent| profile.keep_time(extent.time));
    });
    Ok(found)
}
