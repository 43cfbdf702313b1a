//! `.set`, `.append`, `.set-or-append`, `.set-or-replace`: the rows of a query become rows of a table.
//!
//! 1. The query runs to its end over one snapshot; its rows are held in memory, within [`STORE_BYTES_MAX`].
//! 2. The table is made, or checked against the query's columns. Columns go by name; one that is new to the table is added.
//! 3. The rows are committed in one transaction. Replacing removes in the same one the extents that the query's snapshot
//!    showed: what others store meanwhile stays. When compaction took one of them, everything begins anew.
//!
//! A crash before 3 leaves at worst a table without rows; after it everything is stored. An asynchronous command notes
//! its operation in the catalog before it is answered, and how it ended.

use std::time::Duration;

use kyma_core::catalog::Table;
use kyma_core::ids::check_name;
use kyma_core::{Column, Error, ExtentId, Result, Schema, Sequence, Type, Value};
use kyma_exec::{Limits, QueryRequest, ResultTable};
use kyma_ingest::{BodyFormat, Encoding, IngestAnswer, IngestRequest};
use kyma_plan::{StoreMode, Texts};
use tracing::Instrument;
use uuid::Uuid;

use super::change::{extent_ids, put_texts, visible_extent_ids};
use super::table::{SmallTable, string};
use super::write::create_table;
use super::{LANGUAGE, ensure_database};
use crate::failure::{Failure, Outcome};
use crate::http::query::Turn;
use crate::settings::{Role, SHOW_OPERATIONS_MAX, SHOW_TASKS_MAX, STORE_BYTES_MAX};
use crate::state::Shared;

/// How often a replacement is tried when compaction changes the table meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// What is to be stored, and where.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) database: String,
    pub(super) table: String,
    pub(super) mode: StoreMode,
    pub(super) texts: Texts,
    pub(super) query: String,
}

/// Runs the command, or begins to.
pub(super) async fn store(state: &Shared, job: Job, is_async: bool) -> Outcome<SmallTable> {
    state.require(Role::Query)?;
    check_name("table", &job.table)?;
    if is_async {
        return Ok(begin(state, job).await?);
    }
    let (table, answer) = run(state, &job).await?;
    Ok(stored(state, &table, &answer).await?)
}

/// Notes the operation, and goes on without the client.
async fn begin(state: &Shared, job: Job) -> Result<SmallTable> {
    let id = Uuid::new_v4();
    state.catalog.begin_operation(id, &job.database, kind(job.mode), state.node.id).await?;
    let shared = state.clone();
    let running = async move {
        let failed = run(&shared, &job).await.err().map(|failure| failure.message);
        if let Err(error) = shared.catalog.end_operation(id, failed.as_deref()).await {
            tracing::warn!(operation = %id, code = error.code(), "the end of an operation is not noted: {error}");
        }
    };
    state.operations.spawn(running.in_current_span());
    let mut shown = SmallTable::new([("OperationId", Type::Guid)]);
    shown.row([Value::Guid(id.as_u128())]);
    Ok(shown)
}

fn kind(mode: StoreMode) -> &'static str {
    match mode {
        StoreMode::Set => "TableSet",
        StoreMode::Append => "TableAppend",
        StoreMode::SetOrAppend => "TableSetOrAppend",
        StoreMode::SetOrReplace => "TableSetOrReplace",
    }
}

async fn run(state: &Shared, job: &Job) -> Outcome<(Table, IngestAnswer)> {
    let mut attempt = 1;
    loop {
        match run_once(state, job).await {
            Err(failure) if failure.code == "catalog.sources_changed" && attempt < ATTEMPTS_MAX => attempt += 1,
            ended => return ended,
        }
    }
}

async fn run_once(state: &Shared, job: &Job) -> Outcome<(Table, IngestAnswer)> {
    let database = ensure_database(state, &job.database).await?;
    let before = state.catalog.table(database.id, &job.table).await?;
    check_mode(job, before.as_ref())?;
    let (rows, at) = rows_of(state, job).await?;
    check_columns(before.as_ref(), &rows.schema)?;
    let (table, is_new) = match before {
        Some(table) => (table, false),
        None => (create_table(state, &database, &job.table, rows.schema.columns().to_vec(), false).await?, true),
    };
    let replaced = match job.mode {
        StoreMode::SetOrReplace => Some(extent_ids(state, &table, at).await?),
        StoreMode::Set | StoreMode::Append | StoreMode::SetOrAppend => None,
    };
    let committed = commit(state, &table, job.mode, rows, replaced).await;
    if committed.is_err() && is_new {
        // What the command made goes with it, unless someone wrote there meanwhile.
        drop_if_empty(state, &table).await;
    }
    let answer = committed?;
    put_texts(state, &table, &job.texts).await?;
    Ok((table, answer))
}

fn check_mode(job: &Job, table: Option<&Table>) -> Result<()> {
    match (job.mode, table) {
        (StoreMode::Set, Some(_)) => {
            let message = format!("the table exists already: table={}", job.table);
            Err(Error::conflict("table.exists", message).hint("write .append, .set-or-append or .set-or-replace"))
        }
        (StoreMode::Append, None) => {
            let message = format!("the table does not exist: database={}, table={}", job.database, job.table);
            Err(Error::not_found("table.unknown", message)
                .hint("`.show tables` lists the tables; .set and .set-or-append make one"))
        }
        _ => Ok(()),
    }
}

/// The rows of the query, all of them, and the sequence that it read.
async fn rows_of(state: &Shared, job: &Job) -> Outcome<(ResultTable, Sequence)> {
    let timeout = state.settings.query_time(Some(Duration::from_secs(state.settings.query_seconds_max)));
    let limits = Limits { rows: None, bytes: Some(STORE_BYTES_MAX), timeout };
    let request = QueryRequest { limits, ..QueryRequest::new(LANGUAGE, &job.database, job.query.clone()) };
    let turn = Turn::take_for(state, &request).await?;
    let (answer, profile) = state.engine.run_profiled(request, turn.cancel.clone()).await;
    turn.note(&answer, &profile);
    let answer = answer.map_err(|error| Failure::of_query(error, &job.query))?;
    // A database that was made a moment ago is in no snapshot: nothing of it was read.
    let at = Sequence(answer.profile.snapshot.get(&job.database).copied().unwrap_or(0));
    let mut tables = answer.tables.into_iter();
    match (tables.next(), tables.next()) {
        (Some(rows), None) => Ok((rows, at)),
        _ => {
            let message = "the query must give one table";
            Err(Error::invalid("command.several_tables", message).hint("store one after the other").into())
        }
    }
}

/// Columns go by name; a type that the table's does not hold exactly is refused rather than lost.
fn check_columns(table: Option<&Table>, schema: &Schema) -> Result<()> {
    let Some(table) = table else { return Ok(()) };
    let is_wrong = |column: &&Column| {
        let known = table.schema.column(&column.name);
        known.is_some_and(|known| !kyma_core::stats::can_promote(column.ty, known.ty))
    };
    let Some(wrong) = schema.columns().iter().find(is_wrong) else { return Ok(()) };
    let wanted = table.schema.column(&wrong.name).map_or(Type::Dynamic, |column| column.ty);
    let message = format!(
        "the query's column has another type than the table's: column={}, type={}, wanted={wanted}",
        wrong.name, wrong.ty
    );
    Err(Error::invalid("command.column_type", message)
        .hint(format!("convert it in the query: | extend {name} = to{wanted}({name})", name = wrong.name)))
}

async fn commit(
    state: &Shared,
    table: &Table,
    mode: StoreMode,
    rows: ResultTable,
    replaced: Option<Vec<ExtentId>>,
) -> Result<IngestAnswer> {
    let request = IngestRequest {
        database: table.database_name.clone(),
        table: table.name.clone(),
        format: BodyFormat::NdJson,
        encoding: Encoding::Identity,
        idempotency_key: None,
        source: kind(mode).to_owned(),
    };
    let batches = rows.batches.into_iter().filter(|batch| batch.num_rows() > 0).collect();
    match replaced {
        Some(sources) => state.ingester.replace_batches(&request, &sources, batches).await,
        None => state.ingester.ingest_batches(&request, batches).await,
    }
}

async fn drop_if_empty(state: &Shared, table: &Table) {
    let is_empty = visible_extent_ids(state, table).await.is_ok_and(|extents| extents.is_empty());
    if is_empty && let Err(error) = state.catalog.drop_table(table.id).await {
        tracing::warn!(table = table.name, code = error.code(), "a table that a command made stays empty: {error}");
    }
    state.ingester.forget_table(&table.database_name, &table.name);
}

/// The extents that hold the rows, as Kusto lists them.
async fn stored(state: &Shared, table: &Table, answer: &IngestAnswer) -> Result<SmallTable> {
    let text = Type::String;
    let mut shown = SmallTable::new([
        ("ExtentId", Type::Guid),
        ("OriginalSize", Type::Long),
        ("ExtentSize", Type::Long),
        ("CompressedSize", Type::Long),
        ("IndexSize", Type::Long),
        ("RowCount", Type::Long),
        ("TableName", text),
        ("DatabaseName", text),
    ]);
    let mut listed = crate::extents::list(state, table).await?;
    let mut left = answer.extents.len();
    while left > 0
        && let Some(extent) = futures::TryStreamExt::try_next(&mut listed).await?
    {
        if !answer.extents.contains(&extent.id) {
            continue;
        }
        left -= 1;
        let size = super::table::long(extent.location.length);
        shown.row([
            Value::Guid(extent.id.0.as_u128()),
            super::table::long(extent.raw_bytes),
            size.clone(),
            size,
            Value::Long(0),
            super::table::long(extent.rows),
            string(&table.name),
            string(&table.database_name),
        ]);
    }
    Ok(shown)
}

/// `.show operations`. One whose node is gone ended with it.
pub(super) async fn operations(state: &Shared, ids: &[String]) -> Result<SmallTable> {
    let text = Type::String;
    let mut shown = SmallTable::new([
        ("OperationId", Type::Guid),
        ("Operation", text),
        ("NodeId", text),
        ("StartedOn", Type::Datetime),
        ("LastUpdatedOn", Type::Datetime),
        ("Duration", Type::Timespan),
        ("State", text),
        ("Status", text),
        ("RootActivityId", Type::Guid),
        ("ShouldRetry", Type::Bool),
        ("Database", text),
        ("Principal", text),
    ]);
    let mut found = Vec::new();
    if ids.is_empty() {
        found = state.catalog.operations(None, SHOW_OPERATIONS_MAX).await?;
    }
    for id in ids {
        let plain = id.trim_matches(['"', '\'']);
        let id: Uuid = plain.parse().map_err(|_| {
            Error::invalid("command.operation_id", format!("this is not an operation's id: id={id}"))
                .hint("`.show operations` lists the latest")
        })?;
        found.extend(state.catalog.operations(Some(id), 1).await?);
    }
    let within = Duration::from_secs(3 * state.settings.heartbeat_seconds.max(1));
    let live: Vec<_> = state.catalog.live(within).await?.into_iter().map(|node| node.id).collect();
    let now = state.clock.now();
    for operation in found {
        // A deletion is in the queue: another node goes on with it.
        let is_queued = operation.kind == crate::delete::OPERATION;
        let is_lost = operation.state == "InProgress" && !live.contains(&operation.node) && !is_queued;
        let (said, status) = match is_lost {
            true => ("Abandoned", "its node is gone; what it stored is there as a whole or not at all"),
            false if operation.status.is_empty() => (operation.state.as_str(), operation.details.as_str()),
            false => (operation.state.as_str(), operation.status.as_str()),
        };
        let until = if operation.state == "InProgress" { now } else { operation.changed };
        let id = Value::Guid(operation.id.as_u128());
        shown.row([
            id.clone(),
            string(&operation.kind),
            string(operation.node.to_string()),
            Value::Datetime(operation.started),
            Value::Datetime(operation.changed),
            Value::Timespan(until.saturating_sub(operation.started).max(0)),
            string(said),
            string(status),
            id,
            Value::Bool(is_lost),
            string(&operation.database),
            string(""),
        ]);
    }
    if ids.is_empty() {
        parked_tasks(state, &mut shown).await?;
    }
    Ok(shown)
}

/// Background work that was given up is an operation that failed; `.show tasks` has all of it.
async fn parked_tasks(state: &Shared, shown: &mut SmallTable) -> Result<()> {
    let parked = state.catalog.recent(SHOW_TASKS_MAX).await?.into_iter().filter(|task| task.state == "parked");
    for task in parked {
        let id = Value::Guid(u128::from(task.id.0.unsigned_abs()));
        let (began, ended) = (task.run_at.min(task.changed), task.changed);
        shown.row([
            id.clone(),
            string(format!("Task {}: {}", task.id, task.kind)),
            string(task.node.map(|node| node.to_string()).unwrap_or_default()),
            Value::Datetime(began),
            Value::Datetime(ended),
            Value::Timespan(ended.saturating_sub(began)),
            string("Failed"),
            string(task.error.as_deref().unwrap_or_default()),
            id,
            Value::Bool(true),
            string(""),
            string(""),
        ]);
    }
    Ok(())
}
