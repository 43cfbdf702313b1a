//! `.delete table T records`: a task that removes the rows for which conditions are true, for good.
//!
//! The command ([`ask`]):
//! 1. The conditions are planned, so that what is wrong with them is said at once.
//! 2. The deletion is put into the queue, with the `now()` of the command. Then its operation is noted; the task notes it, too,
//!    should the node die in between.
//! 3. The client hears the operation's id, or waits for its end. The node need not be the one that does the work.
//!
//! The task ([`DeleteRecords`]), in rounds:
//! 1. A sequence is pinned. Everything that was committed before the command is visible at it.
//! 2. One query as of this sequence counts matching rows by extent: what pruning excludes is not opened, and extents without
//!    a match are never touched.
//! 3. Of each extent with matches another query tells the places of the rows. An extent of nothing else is removed; any other
//!    is written again without them ([`rewrite`]).
//! 4. One transaction removes the extent, adds what is left of it, and keeps a receipt that counts what went. It is refused
//!    when the extent is not visible any more: compaction took it, or another worker that was thought dead.
//! 5. After a refusal another round looks at what is visible then. Without one, no row is left that was committed before
//!    the command and matches: the receipts are added up, and the operation ends.
//!
//! A crash anywhere leaves some extents done, each with its receipt in the same transaction, and perhaps an object without
//! extents, which garbage collection finds by its reservation. The next attempt begins with a round of its own: rows that are
//! gone do not match again, and the sum of the receipts counts every row once, whoever removed it.
//!
//! Rows that are committed while the task runs may go or stay. The bytes of what was removed go after the grace period.

mod ask;
mod receipt;
mod rewrite;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use kyma_core::catalog::{ClaimedTask, ExtentOrder, ExtentQuery, Table};
use kyma_core::extent::Extent;
use kyma_core::failpoint::{self, Point};
use kyma_core::time::TimeRange;
use kyma_core::{Error, ExtentId, Kind, Result, Sequence, TableId};
use kyma_exec::{AsOf, Limits, QueryRequest, ResultTable};
use kyma_ingest::Rewriter;
use kyma_worker::TaskHandler;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use self::ask::{ask, wait};
pub(crate) use self::receipt::Receipt;
use self::rewrite::Ending;
use crate::settings::{DELETE_EXTENTS_AT_ONCE, DELETE_MEMORY_BYTES, DELETE_QUERY_TIME_MAX};
use crate::state::Shared;

/// The kind of the task.
const TASK: &str = "delete";
/// The kind of the operation, in Kusto's words.
pub(crate) const OPERATION: &str = "TableDeleteRecords";
/// Attempts before the task is parked; the last one ends the operation.
const ATTEMPTS_MAX: i32 = 50;
/// Attempts that find damaged bytes, some two minutes in all.
const CORRUPT_ATTEMPTS_MAX: i32 = 8;
/// Rounds of one attempt: each follows a conflict with compaction.
const ROUNDS_MAX: usize = 100;
/// Extents after which the operation shows how far it is.
const PROGRESS_EVERY: u64 = 100;
/// The language of what is deleted.
const LANGUAGE: &str = "kql";
/// A unit of the semaphore that bounds memory.
const MEMORY_UNIT: u64 = 1 << 20;

/// What is to be deleted; the payload of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Deletion {
    operation: Uuid,
    database: String,
    table: TableId,
    /// The rows that go: the table and conditions.
    query: String,
    /// The command's `now()`.
    now: i64,
}

/// Deletes rows.
#[derive(Debug)]
pub(crate) struct DeleteRecords {
    state: Shared,
    rewriter: Rewriter,
    memory: Arc<Semaphore>,
}

/// What one round found and did.
#[derive(Debug, Default)]
struct Round {
    /// Extents that were visible.
    visible: u64,
    /// Those with matches.
    matched: u64,
    /// Those that someone else took.
    gone: u64,
}

impl DeleteRecords {
    pub(crate) fn new(state: Shared) -> Self {
        let units = usize::try_from(DELETE_MEMORY_BYTES / MEMORY_UNIT).unwrap_or(Semaphore::MAX_PERMITS);
        let rewriter = state.ingester.rewriter(DELETE_EXTENTS_AT_ONCE);
        DeleteRecords { state, rewriter, memory: Arc::new(Semaphore::new(units)) }
    }

    /// All rounds of one attempt; what the receipts come to.
    async fn delete(&self, deletion: &Deletion, stop: &CancellationToken) -> Result<Receipt> {
        let table = self.state.catalog.table_by_id(deletion.table).await?;
        let gone = || Error::not_found("table.unknown", "the table was dropped before its rows were deleted");
        let table = table.ok_or_else(gone)?;
        let before = receipt::total(&*self.state.catalog, table.database, deletion.operation).await?;
        let mut untouched = None;
        for _ in 0..ROUNDS_MAX {
            let round = self.round(deletion, &table, stop).await?;
            // What earlier attempts wrote is visible, and was touched.
            let first = round.visible.saturating_sub(round.matched + before.extents_rewritten);
            let untouched = *untouched.get_or_insert(first);
            let mut total = receipt::total(&*self.state.catalog, table.database, deletion.operation).await?;
            total.extents_untouched = untouched;
            self.state.catalog.note_operation(deletion.operation, self.state.node.id, &total.json()).await?;
            if round.gone == 0 {
                return Ok(total);
            }
        }
        Err(Error::conflict("delete.contended", "extents were taken by others again and again"))
    }

    /// Steps 1 to 4.
    async fn round(&self, deletion: &Deletion, table: &Table, stop: &CancellationToken) -> Result<Round> {
        let at = self.state.catalog.pin(table.database).await?;
        let visible = self.state.catalog.totals(table.id, at).await?.extents;
        let matches = self.matches(deletion, at, stop).await?;
        let extents = self.extents(table, at, &matches).await?;
        let mut round = Round { visible, matched: extents.len() as u64, gone: 0 };
        if round.matched > 0 {
            failpoint::reach(Point::DeleteBeforeReplace)?;
        }
        let mut endings = stream::iter(extents)
            .map(|(extent, rows)| self.purge(deletion, table, at, extent, rows, stop))
            .buffer_unordered(DELETE_EXTENTS_AT_ONCE);
        let mut ended = 0_u64;
        while let Some(ending) = endings.next().await {
            match ending? {
                Ending::Done(what) => {
                    self.state.metrics.deletes.count(&what);
                    failpoint::reach(Point::DeleteAfterReplace)?;
                }
                Ending::Gone => round.gone += 1,
            }
            ended += 1;
            if ended.is_multiple_of(PROGRESS_EVERY) {
                self.note(deletion, table).await?;
            }
            if stop.is_cancelled() {
                return Err(stopped());
            }
        }
        Ok(round)
    }

    /// Shows in the operation what the receipts come to.
    async fn note(&self, deletion: &Deletion, table: &Table) -> Result<Receipt> {
        let total = receipt::total(&*self.state.catalog, table.database, deletion.operation).await?;
        self.state.catalog.note_operation(deletion.operation, self.state.node.id, &total.json()).await?;
        Ok(total)
    }

    /// Step 2.
    async fn matches(
        &self,
        deletion: &Deletion,
        at: Sequence,
        stop: &CancellationToken,
    ) -> Result<BTreeMap<ExtentId, u64>> {
        let text =
            format!("{}\n| summarize Rows = count() by Extent = extent_id() | project Extent, Rows", deletion.query);
        let counted = self.query(deletion, at, text, stop).await?;
        let mut matches = BTreeMap::new();
        for batch in &counted.batches {
            let ids = batch.column(0).as_fixed_size_binary();
            let rows = batch.column(1).as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let id = Uuid::from_slice(ids.value(row));
                let id = id.map_err(|error| Error::internal("an extent's id is not one").because(error))?;
                matches.insert(ExtentId(id), rows.value(row).unsigned_abs());
            }
        }
        Ok(matches)
    }

    /// The extents with matches, the oldest first, each with how many rows match.
    async fn extents(
        &self,
        table: &Table,
        at: Sequence,
        matches: &BTreeMap<ExtentId, u64>,
    ) -> Result<Vec<(Extent, u64)>> {
        let (time, order) = (TimeRange::ALL, ExtentOrder::OldestFirst);
        let listed = self.state.catalog.list(ExtentQuery { table: table.id, at, time, order, ranges: Vec::new() });
        let with_rows = |extent: Extent| async {
            let rows = matches.get(&extent.id).copied();
            Ok(rows.map(|rows| (extent, rows)))
        };
        listed.try_filter_map(with_rows).try_collect().await
    }

    /// Steps 3 and 4 of one extent.
    async fn purge(
        &self,
        deletion: &Deletion,
        table: &Table,
        at: Sequence,
        extent: Extent,
        rows: u64,
        stop: &CancellationToken,
    ) -> Result<Ending> {
        let units = (extent.raw_bytes.saturating_mul(2) / MEMORY_UNIT).clamp(1, DELETE_MEMORY_BYTES / MEMORY_UNIT);
        let permit = Arc::clone(&self.memory).acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX)).await;
        let _memory = permit.map_err(|closed| Error::internal("the bound of memory is gone").because(closed))?;
        if rows == extent.rows {
            return rewrite::remove(&self.state, deletion.operation, table, &extent).await;
        }
        let text =
            format!("{}\n| where extent_id() == guid({}) | project Place = extent_row()", deletion.query, extent.id);
        let places = self.query(deletion, at, text, stop).await?;
        let places: Vec<i64> = places
            .batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().iter().flatten().collect::<Vec<_>>())
            .collect();
        rewrite::rewrite(&self.state, &self.rewriter, deletion.operation, table, extent, &places).await
    }

    /// The rows of a query as of a sequence.
    async fn query(
        &self,
        deletion: &Deletion,
        at: Sequence,
        text: String,
        stop: &CancellationToken,
    ) -> Result<ResultTable> {
        let limits = Limits { rows: None, bytes: None, timeout: DELETE_QUERY_TIME_MAX };
        let request = QueryRequest {
            now: Some(deletion.now),
            as_of: Some(AsOf::Sequence(at.0)),
            limits,
            ..QueryRequest::new(LANGUAGE, &deletion.database, text)
        };
        let answer = self.state.engine.run(request, stop.child_token()).await?;
        let table = answer.tables.into_iter().next();
        table.ok_or_else(|| Error::internal("a query of a deletion gave no table"))
    }

    /// Ends the operation, if it has not ended: another worker may have been faster.
    async fn end(&self, operation: Uuid, error: Option<&str>) -> Result<()> {
        match self.state.catalog.end_operation(operation, error).await {
            Err(error) if error.code() == "catalog.operation_ended" => Ok(()),
            ended => ended,
        }
    }
}

#[async_trait]
impl TaskHandler for DeleteRecords {
    fn kind(&self) -> &'static str {
        TASK
    }

    async fn run(&self, task: &ClaimedTask, stop: &CancellationToken) -> Result<()> {
        let deletion: Deletion = serde_json::from_value(task.payload.clone())
            .map_err(|error| Error::invalid("delete.payload", "the task is not understood").because(error))?;
        let (id, node) = (deletion.operation, self.state.node.id);
        self.state.catalog.begin_operation(id, &deletion.database, OPERATION, node).await?;
        let known = self.state.catalog.operations(Some(id), 1).await?;
        if known.iter().any(|operation| operation.state != "InProgress") {
            return Ok(());
        }
        match self.delete(&deletion, stop).await {
            Ok(total) => {
                failpoint::reach(Point::DeleteBeforeEnd)?;
                tracing::info!(operation = %id, database = deletion.database, receipt = total.json(), "rows were deleted");
                self.end(id, None).await
            }
            Err(error) if is_final(&error, task.attempt) => {
                tracing::warn!(operation = %id, error = %error.chain(), "rows could not be deleted");
                self.end(id, Some(&error.chain())).await
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether the deletion is given up: another attempt would fail alike. An extent or a sequence that was collected meanwhile is no
/// reason, and bytes that were damaged on their way are not damaged the next time.
fn is_final(error: &Error, attempt: i32) -> bool {
    let attempts_max = match (error.kind(), error.code()) {
        (_, "table.unknown" | "catalog.table_unknown" | "query.unknown_table") | (Kind::Invalid, _) => 1,
        (Kind::Corrupt, _) => CORRUPT_ATTEMPTS_MAX,
        _ => ATTEMPTS_MAX,
    };
    attempt >= attempts_max
}

fn stopped() -> Error {
    Error::cancelled("worker.stopped", "the node stopped before all rows were deleted")
}
