//! The whole way of a query: request → frontend → snapshot → plan → run → answer.
//!
//! 1. The snapshot is pinned; the frontend reads the text against its schemas.
//! 2. Every statement is lowered, pruned and run on the CPU runtime; requests to the store run on the caller's.
//! 3. Rows are counted against the limits while they arrive. Cancelling, the timeout, and dropping the future or the stream
//!    all drop the running plan, which stops at its next await.
//! 4. Whoever waits sees the query's scope ([`Watch`]): what a query cost that failed or was stopped is known, too.

mod parts;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use futures::StreamExt;
use kyma_core::catalog::Catalog;
use kyma_core::clock::Clock;
use kyma_core::explain::Explanation;
use kyma_core::format::Formats;
use kyma_core::profile::{PhaseName, Profile};
use kyma_core::{DatabaseId, Error, Sequence, Value};
use kyma_plan::{Diagnostic, Plan, PlanContext, Planned, Query, QueryFrontend, Severity, StoredFunction};
use kyma_storage::Store;
use prometheus_client::registry::Registry;
use tokio::runtime::{Handle, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span};

pub use self::parts::{AnswerParts, Part, TableHead};

use crate::df_adapter::run::{Rows, Runner};
use crate::df_adapter::spans;
use crate::holds::Holds;
use crate::manifest::Manifests;
use crate::metrics::QueryMetrics;
use crate::request::{Answer, AnswerStream, AsOf, Limits, QueryError, QueryRequest, ResultTable};
use crate::scan::footers::Footers;
use crate::scope::{QueryScope, Shared};
use crate::settings::{ANSWER_ROWS_MAX, ExecSettings, QUESTIONS_MAX};
use crate::size::batch_bytes;
use crate::snapshot::{GivenTable, Snapshot, Snapshots};
use crate::timeline::Timeline;

/// Stack of a CPU thread: plans nest.
const STACK_BYTES: usize = 16 << 20;
/// The option by which a text says as of when it is meant.
const AS_OF_OPTION: &str = "query_as_of";
/// Batches that wait for a slow reader of a stream.
const STREAM_BATCHES: usize = 4;

/// What an engine is made of.
pub struct EngineParts<'a> {
    /// What exists.
    pub catalog: Arc<dyn Catalog>,
    /// Where bytes are.
    pub store: Arc<Store>,
    /// How they are laid out.
    pub formats: Arc<Formats>,
    /// Languages.
    pub frontends: Vec<Arc<dyn QueryFrontend>>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub settings: ExecSettings,
    /// Where metrics go.
    pub registry: &'a mut Registry,
}

impl std::fmt::Debug for EngineParts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Answers queries.
#[derive(Debug)]
pub struct Engine {
    work: Arc<Work>,
    cpu: Option<Runtime>,
}

/// What running queries share.
#[derive(Debug)]
struct Work {
    shared: Arc<Shared>,
    snapshots: Snapshots,
    frontends: Vec<Arc<dyn QueryFrontend>>,
    clock: Arc<dyn Clock>,
    metrics: QueryMetrics,
}

/// Where whoever waits for a query finds its scope, as soon as it has one.
type Watch = Arc<OnceLock<Arc<QueryScope>>>;

/// A query that was read.
struct Ready {
    scope: Arc<QueryScope>,
    query: Query,
    limits: Limits,
    truncate: bool,
}

impl Engine {
    /// An engine with threads of its own for computing.
    pub fn new(parts: EngineParts<'_>) -> Result<Arc<Engine>, Error> {
        let threads = parts.settings.threads();
        spans::hand_down();
        let cpu = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("kyma-query")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| Error::internal("threads for queries do not start").because(error))?;
        let snapshots = Snapshots::new(Arc::clone(&parts.catalog));
        let shared = Arc::new(Shared {
            store: parts.store,
            external: parts.settings.external_files()?,
            formats: parts.formats,
            manifests: Manifests::new(parts.catalog, parts.settings.manifest_cache_bytes),
            footers: Footers::new(parts.settings.footer_cache_bytes),
            settings: parts.settings,
            memory: Arc::default(),
            holds: Holds::default(),
        });
        let work = Work {
            snapshots,
            metrics: QueryMetrics::register(parts.registry, Arc::clone(&shared)),
            shared,
            frontends: parts.frontends,
            clock: parts.clock,
        };
        Ok(Arc::new(Engine { work: Arc::new(work), cpu: Some(cpu) }))
    }

    /// The oldest snapshot of each database that a query of this node reads.
    pub fn held(&self) -> BTreeMap<DatabaseId, Sequence> {
        self.work.shared.holds.oldest()
    }

    /// Answers a query, collected within its limits.
    pub async fn run(&self, request: QueryRequest, cancel: CancellationToken) -> Result<Answer, QueryError> {
        self.run_profiled(request, cancel).await.0
    }

    /// Answers like [`Engine::run`], and says what the query cost when it fails or is cancelled, too.
    pub async fn run_profiled(
        &self,
        request: QueryRequest,
        cancel: CancellationToken,
    ) -> (Result<Answer, QueryError>, Profile) {
        self.run_watched(request, None, cancel).await
    }

    /// Answers a query that reads rows which are not stored: those of a command's result.
    pub async fn run_over(
        &self,
        request: QueryRequest,
        given: GivenTable,
        cancel: CancellationToken,
    ) -> Result<Answer, QueryError> {
        self.run_watched(request, Some(given), cancel).await.0
    }

    /// Whether a stored function's text is right, as of now.
    pub async fn check_function(
        &self,
        language: &str,
        database: &str,
        function: &StoredFunction,
    ) -> Result<(), QueryError> {
        let frontend = self.frontend(language).ok_or_else(nothing_asked)?;
        let snapshot = self.work.snapshots.take(database, &function.body).await?;
        let parameters = BTreeMap::new();
        let now = self.work.clock.now();
        let context = PlanContext { schemas: &snapshot, database, now, parameters: &parameters, answers: &[] };
        Ok(frontend.check_function(function, &context)?)
    }

    async fn run_watched(
        &self,
        request: QueryRequest,
        given: Option<GivenTable>,
        cancel: CancellationToken,
    ) -> (Result<Answer, QueryError>, Profile) {
        let watch = Watch::default();
        let account = Account::open(&self.work, &request.language, &watch);
        let bounds = Bounds::new(request.limits.timeout, cancel);
        let (work, io, inner) = (Arc::clone(&self.work), Handle::current(), Arc::clone(&watch));
        let span = span_of(&request);
        let mut task = match self.spawn(async move { work.run(request, given, io, &inner).await }.instrument(span)) {
            Ok(task) => task,
            Err(error) => return (Err(error.into()), Profile::default()),
        };
        let answer = bounds.hold(joined(&mut task)).await;
        // Before the task is dropped, and its plan with it.
        let profile = match &answer {
            Ok(answer) => answer.profile.clone(),
            Err(_) => profile_of(&watch),
        };
        drop(task);
        account.close(&profile, answer.as_ref().err());
        (answer, profile)
    }

    /// Answers the first statement of a query, batch by batch.
    pub async fn stream(&self, request: QueryRequest, cancel: CancellationToken) -> Result<AnswerStream, QueryError> {
        let (work, io) = (Arc::clone(&self.work), Handle::current());
        let bounds = Bounds::new(request.limits.timeout, cancel);
        let watch = Watch::default();
        let account = Account::open(&self.work, &request.language, &watch);
        let inner = Arc::clone(&watch);
        let span = span_of(&request);
        let starting = async move {
            let mut planned = work.plan(request, None, &io, &inner).await?;
            planned.query.statements.truncate(1);
            let runner = Runner::new(&planned.scope)?;
            let statement = planned.query.statements.pop().ok_or_else(nothing_asked)?;
            let rows = start(&planned.scope, &runner, &statement.plan).await?;
            Ok::<_, QueryError>((planned, statement.visualization, rows, runner))
        };
        let task = self.spawn(starting.instrument(span.clone()))?;
        let begun = bounds.hold(joined(task)).await;
        let (planned, visualization, rows, runner) = match begun {
            Ok(begun) => begun,
            Err(error) => return Err(account.fail(error)),
        };
        let (send, receive) = tokio::sync::mpsc::channel(STREAM_BATCHES);
        let (scope, schema, warnings) =
            (Arc::clone(&planned.scope), rows.schema.clone(), planned.query.warnings.clone());
        let pumping = async move {
            let _runner = runner;
            let profile = planned.scope.clone();
            let sent = bounds.hold(pump(planned, rows, &send)).await;
            account.close(&profile.profile(), sent.as_ref().err());
            if let Err(error) = sent {
                let _ = send.send(Err(error)).await;
            }
        };
        let pump = self.spawn(pumping.instrument(span))?;
        let batches = futures::stream::unfold((receive, pump), |(mut receive, pump)| async move {
            receive.recv().await.map(|batch| (batch, (receive, pump)))
        });
        let profile = Box::new(move || scope.profile());
        Ok(AnswerStream { schema, visualization, warnings, batches: batches.boxed(), profile })
    }

    /// How a query would run and what it would read at most. Nothing of it is run, sub-queries included: what depends
    /// on their values is estimated as if it pruned nothing.
    pub async fn explain(&self, request: QueryRequest) -> Result<Explanation, QueryError> {
        let (work, io) = (Arc::clone(&self.work), Handle::current());
        let bounds = Bounds::new(request.limits.timeout, CancellationToken::new());
        let task = self.spawn(async move {
            let planned = work.plan(request, None, &io, &Watch::default()).await?;
            let runner = Runner::explaining(&planned.scope)?;
            let mut explanation = Explanation::default();
            for statement in &planned.query.statements {
                runner.explain(&statement.plan, &mut explanation).await?;
            }
            let Profile { snapshot, catalog, metadata_answers, .. } = planned.scope.profile();
            Ok(Explanation { snapshot, catalog, metadata_answers, ..explanation })
        })?;
        bounds.hold(joined(task)).await
    }

    /// The frontend of a language.
    pub fn frontend(&self, language: &str) -> Option<Arc<dyn QueryFrontend>> {
        self.work.frontend(language)
    }

    /// Runs on the CPU threads; stops when the handle is dropped.
    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<AbortOnDropHandle<T>, Error> {
        let cpu = self.cpu.as_ref().ok_or_else(cancelled)?;
        Ok(AbortOnDropHandle::new(cpu.spawn(task.in_current_span())))
    }
}

/// The query in its request's trace.
fn span_of(request: &QueryRequest) -> Span {
    tracing::info_span!("query", language = request.language, database = request.database)
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(cpu) = self.cpu.take() {
            cpu.shutdown_background();
        }
    }
}

/// A query as the node's metrics count it: once, however it ends. Dropped while open, it was given up by its caller.
struct Account {
    work: Arc<Work>,
    language: String,
    started: Instant,
    watch: Watch,
    is_open: bool,
}

impl Account {
    fn open(work: &Arc<Work>, language: &str, watch: &Watch) -> Account {
        // A client may make up any language.
        let language = if work.frontend(language).is_some() { language } else { "unknown" };
        let (work, watch) = (Arc::clone(work), Arc::clone(watch));
        Account { work, language: language.to_owned(), started: Instant::now(), watch, is_open: true }
    }

    fn close(mut self, profile: &Profile, error: Option<&QueryError>) {
        self.count(profile, error);
    }

    fn fail(self, error: QueryError) -> QueryError {
        let profile = profile_of(&self.watch);
        self.close(&profile, Some(&error));
        error
    }

    fn count(&mut self, profile: &Profile, error: Option<&QueryError>) {
        self.is_open = false;
        self.work.metrics.count(&self.language, self.started.elapsed(), profile, error);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.is_open {
            let profile = profile_of(&self.watch);
            self.count(&profile, Some(&cancelled().into()));
        }
    }
}

impl Work {
    fn frontend(&self, language: &str) -> Option<Arc<dyn QueryFrontend>> {
        self.frontends.iter().find(|frontend| frontend.language() == language).cloned()
    }

    async fn plan(
        &self,
        request: QueryRequest,
        given: Option<GivenTable>,
        io: &Handle,
        watch: &Watch,
    ) -> Result<Ready, QueryError> {
        let (started, timeline) = (Instant::now(), Timeline::start());
        let frontend = self.frontend(&request.language).ok_or_else(|| {
            let known: Vec<&str> = self.frontends.iter().map(|frontend| frontend.language()).collect();
            Error::invalid("query.unknown_language", format!("query language is not known: {}", request.language))
                .hint(format!("this node speaks {}", known.join(", ")))
        })?;
        let now = request.now.unwrap_or_else(|| self.clock.now());
        let pinning = timeline.enter(PhaseName::Snapshot);
        let snapshot = match as_of(&*frontend, &request, now)? {
            Some(as_of) => self.snapshots.take_as_of(&request.database, &request.text, as_of).await?,
            None => self.snapshots.take(&request.database, &request.text).await?,
        };
        let snapshot = Snapshot { given, ..snapshot };
        drop(pinning);
        let shared = Arc::clone(&self.shared);
        let scope = QueryScope::new(shared, snapshot, now, &request.database, io.clone(), timeline);
        // Nobody else sets them.
        let _ = request.time_scope.clone().map(|bounds| scope.time_scope.set(bounds));
        let _ = watch.set(Arc::clone(&scope));
        let query = read(&scope, &*frontend, &request).await?;
        scope.note(|profile| profile.parse_micros = micros(started));
        let unlimited = matches!(query.options.get("notruncation"), Some(Value::Bool(true)));
        let limits = match unlimited {
            true => Limits { rows: None, bytes: None, ..request.limits },
            false => request.limits,
        };
        Ok(Ready { scope, query, limits, truncate: request.truncate })
    }

    async fn run(
        &self,
        request: QueryRequest,
        given: Option<GivenTable>,
        io: Handle,
        watch: &Watch,
    ) -> Result<Answer, QueryError> {
        let Ready { scope, query, limits, truncate } = self.plan(request, given, &io, watch).await?;
        let runner = Runner::new(&scope)?;
        let mut meter = Meter::new(&limits, truncate);
        let mut tables = Vec::with_capacity(query.statements.len());
        for statement in query.statements {
            let Rows { schema, batches: mut rows } = start(&scope, &runner, &statement.plan).await?;
            let running = Running::begin(&scope);
            let mut batches = Vec::new();
            while let Some(batch) = rows.next().await {
                let Some(batch) = meter.admit(batch?)? else { break };
                batches.push(batch);
                running.gave(meter.rows);
                if meter.is_full {
                    break;
                }
            }
            drop((running, rows));
            tables.push(ResultTable { name: statement.name, schema, batches, visualization: statement.visualization });
        }
        let mut warnings = query.warnings;
        warnings.extend(meter.warning());
        Ok(Answer { tables, profile: scope.profile(), warnings })
    }
}

/// Sends the rows of a stream, within its limits.
async fn pump(
    planned: Ready,
    mut rows: Rows,
    send: &tokio::sync::mpsc::Sender<Result<RecordBatch, QueryError>>,
) -> Result<(), QueryError> {
    let running = Running::begin(&planned.scope);
    let mut meter = Meter::new(&planned.limits, planned.truncate);
    while let Some(batch) = rows.batches.next().await {
        let Some(batch) = meter.admit(batch?)? else { break };
        running.gave(meter.rows);
        if send.send(Ok(batch)).await.is_err() || meter.is_full {
            break;
        }
    }
    Ok(())
}

/// What a query reads instead of what is there now. The text is read for it only where it may say so.
fn as_of(frontend: &dyn QueryFrontend, request: &QueryRequest, now: i64) -> Result<Option<AsOf>, Error> {
    if !request.text.contains(AS_OF_OPTION) {
        return Ok(request.as_of);
    }
    let (nothing, database) = (Snapshot::default(), request.database.as_str());
    let context = PlanContext { schemas: &nothing, database, now, parameters: &request.parameters, answers: &[] };
    match frontend.options(&request.text, &context).get(AS_OF_OPTION) {
        Some(value) => AsOf::of_value(value).map(Some),
        None => Ok(request.as_of),
    }
}

/// Reads a text; questions that its plan depends on are run.
async fn read(
    scope: &Arc<QueryScope>,
    frontend: &dyn QueryFrontend,
    request: &QueryRequest,
) -> Result<Query, QueryError> {
    let mut answers: Vec<kyma_plan::frontend::Rows> = Vec::new();
    loop {
        let parsing = scope.enter(PhaseName::Parse);
        let context = PlanContext {
            schemas: &scope.snapshot,
            database: &request.database,
            now: scope.now,
            parameters: &request.parameters,
            answers: &answers,
        };
        let question = match frontend.plan(&request.text, &context)? {
            Planned::Query(query) => return Ok(query),
            Planned::Asks(question) => question,
        };
        drop(parsing);
        if answers.len() == QUESTIONS_MAX {
            let message = format!("too many columns depend on rows: questions_max={QUESTIONS_MAX}");
            return Err(Error::exhausted("query.too_many_questions", message).at(question.span).into());
        }
        answers.push(answer(scope, &question).await?);
    }
}

/// The rows that a frontend asked for.
async fn answer(scope: &Arc<QueryScope>, question: &Plan) -> Result<kyma_plan::frontend::Rows, Error> {
    let runner = Runner::new(scope)?;
    let Rows { schema, mut batches } = start(scope, &runner, question).await?;
    let _running = Running::begin(scope);
    let mut rows = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        if rows.len() + batch.num_rows() > ANSWER_ROWS_MAX {
            let message = format!("the columns depend on too many rows: rows_max={ANSWER_ROWS_MAX}");
            return Err(Error::exhausted("query.too_many_columns", message).at(question.span));
        }
        let value = |row: usize| {
            let cells = batch.columns().iter().zip(schema.columns());
            cells.map(|(array, column)| kyma_functions::array_value(&**array, row, column.ty)).collect()
        };
        rows.extend((0..batch.num_rows()).map(value));
    }
    Ok(rows)
}

/// Plans a statement and starts it.
async fn start(scope: &Arc<QueryScope>, runner: &Runner, plan: &Plan) -> Result<Rows, Error> {
    let (started, _phase) = (Instant::now(), scope.enter(PhaseName::Plan));
    let rows = runner.start(plan).await;
    scope.note(|profile| profile.plan_micros += micros(started));
    rows
}

/// A statement while it runs; its time is noted when this is dropped, however it ended.
struct Running {
    scope: Arc<QueryScope>,
    started: Instant,
    _phase: crate::timeline::Running,
}

impl Running {
    fn begin(scope: &Arc<QueryScope>) -> Self {
        Running { scope: Arc::clone(scope), started: Instant::now(), _phase: scope.enter(PhaseName::Execute) }
    }

    /// So many rows of the answer are there.
    fn gave(&self, rows: usize) {
        self.scope.note(|profile| profile.rows_returned = rows as u64);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.scope.note(|profile| profile.execute_micros += micros(self.started));
    }
}

/// What a query has cost, if it came as far as having a scope.
fn profile_of(watch: &Watch) -> Profile {
    watch.get().map(|scope| scope.profile()).unwrap_or_default()
}

/// What may end a query before it is done.
struct Bounds {
    timeout: Duration,
    /// None: the timeout is as good as endless.
    deadline: Option<tokio::time::Instant>,
    cancel: CancellationToken,
}

impl Bounds {
    /// The timeout counts from now.
    fn new(timeout: Duration, cancel: CancellationToken) -> Self {
        Bounds { timeout, deadline: tokio::time::Instant::now().checked_add(timeout), cancel }
    }

    /// Does work until it is done, cancelled, or out of time.
    async fn hold<T>(&self, work: impl Future<Output = Result<T, QueryError>>) -> Result<T, QueryError> {
        tokio::select! {
            done = work => done,
            () = self.cancel.cancelled() => Err(cancelled().into()),
            () = self.late() => Err(timed_out(self.timeout).into()),
        }
    }

    async fn late(&self) {
        match self.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}

/// What a task gave; an error when it died.
async fn joined<T>(
    task: impl Future<Output = Result<Result<T, QueryError>, tokio::task::JoinError>>,
) -> Result<T, QueryError> {
    task.await.unwrap_or_else(|gone| Err(died(gone).into()))
}

/// Counts an answer against its limits.
struct Meter {
    rows: usize,
    bytes: usize,
    rows_max: Option<usize>,
    bytes_max: Option<usize>,
    truncate: bool,
    is_full: bool,
}

impl Meter {
    fn new(limits: &Limits, truncate: bool) -> Self {
        Meter { rows: 0, bytes: 0, rows_max: limits.rows, bytes_max: limits.bytes, truncate, is_full: false }
    }

    /// The part of a batch that fits; an error when not all does and nothing may be cut.
    fn admit(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>, Error> {
        let room = self.rows_max.map_or(usize::MAX, |max| max - self.rows.min(max));
        let bytes = self.bytes.saturating_add(batch_bytes(&batch));
        let over_bytes = self.bytes_max.is_some_and(|max| bytes > max);
        if batch.num_rows() <= room && !over_bytes {
            self.rows += batch.num_rows();
            self.bytes = bytes;
            return Ok(Some(batch));
        }
        if !self.truncate {
            return Err(self.too_large());
        }
        self.is_full = true;
        if over_bytes {
            return Ok(None);
        }
        self.rows += room;
        Ok(Some(batch.slice(0, room)))
    }

    fn too_large(&self) -> Error {
        let rows = self.rows_max.map_or_else(|| "any".to_owned(), |max| max.to_string());
        let bytes = self.bytes_max.map_or_else(|| "any".to_owned(), |max| max.to_string());
        Error::exhausted(
            "query.result_too_large",
            format!("the result is too large: rows limit={rows}, bytes limit={bytes}"),
        )
        .hint("add '| take' or '| summarize', or ask for larger limits")
    }

    fn warning(&self) -> Option<Diagnostic> {
        let mut warning = Diagnostic::error("query.truncated", self.too_large().message(), Default::default());
        warning.severity = Severity::Warning;
        self.is_full.then_some(warning)
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn cancelled() -> Error {
    Error::cancelled("query.cancelled", "the query was cancelled")
}

fn timed_out(timeout: Duration) -> Error {
    Error::exhausted("query.timeout", format!("the query took longer than it may: timeout={timeout:?}"))
        .hint("narrow the time range, filter earlier, or ask for a longer timeout")
}

fn died(gone: tokio::task::JoinError) -> Error {
    match gone.is_cancelled() {
        true => cancelled(),
        false => Error::internal("the query's task died").because(gone),
    }
}

fn nothing_asked() -> Error {
    Error::invalid("query.empty", "the query has no statement that gives rows")
}
