//! The way in: from a request and its body to an answer.
//!
//! 1. Names, key and slots are checked; a key that is stored already is answered at once, its body unread.
//! 2. The body is decompressed (`accept`), cut and decoded (`decode`), [`CHUNKS_IN_FLIGHT`] chunks at a time in order.
//! 3. The table is made or grown as the decoded rows ask (`tables`), then rows get its types.
//! 4. Rows go to the node that buffers the table (`route`, `append`) while the rest of the body is still being read.
//! 5. After the last row the write is ended, and only then stored: all of it or nothing.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, StringViewArray, StringViewBuilder, TimestampNanosecondArray};
use arrow::datatypes::Schema as ArrowSchema;
use bytes::Bytes;
use futures::future::Either;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use kyma_core::catalog::{Catalog, NewTable, Table};
use kyma_core::clock::Clock;
use kyma_core::format::Formats;
use kyma_core::ids::check_name;
use kyma_core::schema::{INGESTION_TIME_COLUMN, REJECTED_TABLE, UNMAPPED_COLUMN};
use kyma_core::{Column, Error, ExtentId, NodeId, Result, Schema, Type};
use kyma_proto::v1::AppendHeader;
use kyma_proto::v1::ingest_server::IngestServer;
use kyma_storage::Store;
use prometheus_client::registry::Registry;
use tokio::sync::{Mutex as AsyncMutex, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::accept::Body;
use crate::answer::{IngestAnswer, IngestOptions, IngestRequest};
use crate::append::client::{self, Sender};
use crate::append::once::Once;
use crate::append::service::{AppendService, check_batch};
use crate::buffer::{Buffer, stopping};
use crate::commit::Committer;
use crate::content::{ContentDigest, WriteKey};
use crate::cpu::Cpu;
use crate::decode::cells::Cells;
use crate::decode::mapped::Fields;
use crate::decode::split::{Chunk, Layout, Rows, Split, splitter};
use crate::decode::{Rejected, build, csv, infer, json};
use crate::mapping::Mapping;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::rewrite::Rewriter;
use crate::route::{Channels, IngestRouter, client_over};
use crate::settings::{
    BATCH_CELLS_MAX, BATCH_ROWS_MAX, CHUNKS_IN_FLIGHT, IDEMPOTENCY_KEY_BYTES_MAX, IngestSettings, MESSAGE_BYTES_MAX,
};
use crate::tables::Tables;

/// Bytes given to a splitter at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// What an [`Ingester`] is made of.
#[derive(Debug, Clone)]
pub struct IngestParts {
    /// The catalog.
    pub catalog: Arc<dyn Catalog>,
    /// The object store.
    pub store: Arc<Store>,
    /// Formats by name; must know `settings.format`.
    pub formats: Arc<Formats>,
    /// The clock: ingestion times and object days.
    pub clock: Arc<dyn Clock>,
    /// This process.
    pub node: NodeId,
    /// Where each table's append call goes.
    pub router: Arc<dyn IngestRouter>,
    /// Settings.
    pub settings: IngestSettings,
}

/// Accepts writes, and buffers and stores the tables routed to this node.
#[derive(Debug)]
pub struct Ingester {
    parts: IngestParts,
    tables: Arc<Tables>,
    committer: Arc<Committer>,
    buffer: Arc<Buffer>,
    memory: Memory,
    once: Once,
    cpu: Cpu,
    channels: Channels,
    slots: Semaphore,
    /// Makes the first chunks of concurrent writes to one node infer a new table one after another.
    making: AsyncMutex<()>,
    metrics: Metrics,
}

/// Decoded rows of a chunk, cut into batches.
struct Decoded {
    batches: Vec<(RecordBatch, u64, u64)>,
    rejected: Vec<Rejected>,
    rejected_bytes: u64,
}

impl Ingester {
    /// Starts the buffer. Must be called within a tokio runtime.
    pub fn new(parts: IngestParts) -> Arc<Self> {
        let settings = &parts.settings;
        let cpu = Cpu::new(settings.cpu_threads, settings.cpu_inline);
        let tables =
            Arc::new(Tables::new(Arc::clone(&parts.catalog), settings.table_age_max, settings.catalog_timeout));
        let metrics = Metrics::new();
        let committer = Arc::new(Committer {
            catalog: Arc::clone(&parts.catalog),
            store: Arc::clone(&parts.store),
            formats: Arc::clone(&parts.formats),
            clock: Arc::clone(&parts.clock),
            node: parts.node,
            settings: settings.clone(),
            cpu: cpu.clone(),
            tables: Arc::clone(&tables),
            metrics: metrics.clone(),
        });
        Arc::new(Ingester {
            buffer: Buffer::start(settings.clone(), Arc::clone(&committer)),
            memory: Memory::new(settings.buffer_bytes_max, settings.table_buffer_bytes_max),
            slots: Semaphore::new(settings.requests_max),
            once: Once::default(),
            channels: Channels::default(),
            making: AsyncMutex::new(()),
            tables,
            committer,
            cpu,
            metrics,
            parts,
        })
    }

    /// The append service of this node, to be mounted on its gRPC port.
    pub fn append_server(&self) -> IngestServer<AppendService> {
        let service = AppendService {
            tables: Arc::clone(&self.tables),
            memory: self.memory.clone(),
            buffer: Arc::clone(&self.buffer),
            committer: Arc::clone(&self.committer),
            once: self.once.clone(),
        };
        IngestServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Adds the counters to `registry`, as `kyma_ingest_*`.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry, &self.memory, &self.buffer);
    }

    /// What a client refused with `ingest.overloaded` should be told to wait.
    pub fn retry_after(&self) -> Duration {
        self.parts.settings.retry_after
    }

    /// Bytes of rows that wait or are being flushed on this node.
    pub fn buffer_bytes(&self) -> u64 {
        self.memory.used()
    }

    /// The settings.
    pub fn settings(&self) -> &IngestSettings {
        &self.parts.settings
    }

    /// Takes no more writes, stores what waits and returns when everything is answered.
    pub async fn shutdown(&self) {
        self.slots.close();
        self.buffer.stop().await;
    }

    /// Stores a body. Everything in the answer is durable and visible; after an error nothing of the body is stored,
    /// except that `ingest.outcome_unknown` leaves it open.
    pub async fn ingest(&self, request: &IngestRequest, body: BoxStream<'_, Result<Bytes>>) -> Result<IngestAnswer> {
        self.ingest_with(request, &IngestOptions::default(), body).await
    }

    /// Stores a body like [`Ingester::ingest`], read as `options` say.
    pub async fn ingest_with(
        &self,
        request: &IngestRequest,
        options: &IngestOptions,
        body: BoxStream<'_, Result<Bytes>>,
    ) -> Result<IngestAnswer> {
        let began = Instant::now();
        let answer = self.ingest_inner(request, options, body).await;
        self.metrics.ended(began, &answer);
        answer
    }

    async fn ingest_inner(
        &self,
        request: &IngestRequest,
        options: &IngestOptions,
        body: BoxStream<'_, Result<Bytes>>,
    ) -> Result<IngestAnswer> {
        let _slot = self.enter(request)?;
        if let Some(first) = self.first_answer(request).await? {
            return Ok(first);
        }
        self.check_exists(request).await?;
        let settings = &self.parts.settings;
        let layout = self.layout(request, options).await?;
        let digest = self.digest(request, options).await?;
        let body = match &digest {
            Some(digest) => digest.watch(body),
            None => body,
        };
        let body = Body::new(body, settings.body_bytes_max, settings.body_idle_timeout);
        let (mut sender, call) = self.open(request).await?;
        let produce = async {
            let fields = layout.fields.clone();
            self.send_body(request, body, splitter(request.format, layout), fields, &mut sender).await?;
            sender.end(digest.map(|digest| digest.text()).unwrap_or_default()).await
        };
        join_call(call, produce).await
    }

    /// Stores rows that are decoded already: batches whose fields carry kyma types. Columns that the table lacks are
    /// added; a column whose type does not read as the table's is an error. Rows without event time get now.
    pub async fn ingest_batches(&self, request: &IngestRequest, batches: Vec<RecordBatch>) -> Result<IngestAnswer> {
        let _slot = self.enter(request)?;
        if let Some(first) = self.first_answer(request).await? {
            return Ok(first);
        }
        self.check_exists(request).await?;
        let (mut sender, call) = self.open(request).await?;
        let produce = async {
            for batch in batches {
                let raw_bytes = batch.get_array_memory_size() as u64;
                let table = self.table_for_batch(request, &batch).await?;
                let batch = with_event_time(batch, &table, self.parts.clock.now())?;
                sender.rows(&batch, raw_bytes, 0).await?;
            }
            sender.end(String::new()).await
        };
        join_call(call, produce).await
    }

    /// Stores decoded rows instead of those of `sources`, in one transaction. `Conflict` with code `catalog.sources_changed`
    /// when one of these is not visible any more; nothing is stored then. Rows that others store meanwhile stay.
    ///
    /// The rows do not pass the buffer: they are encoded and committed here, alone.
    pub async fn replace_batches(
        &self,
        request: &IngestRequest,
        sources: &[ExtentId],
        batches: Vec<RecordBatch>,
    ) -> Result<IngestAnswer> {
        let _slot = self.enter(request)?;
        let mut table = self.existing(request).await?;
        let mut rows = Vec::with_capacity(batches.len());
        for batch in batches {
            let raw_bytes = batch.get_array_memory_size() as u64;
            table = self.table_for_batch(request, &batch).await?;
            rows.push((with_event_time(batch, &table, self.parts.clock.now())?, raw_bytes));
        }
        rows.iter().try_for_each(|(batch, _)| check_batch(batch, &table))?;
        self.committer.replace(table, sources.to_vec(), rows).await
    }

    /// What makes extents of stored ones on this node, `at_once` at a time.
    pub fn rewriter(&self, at_once: usize) -> Rewriter {
        Rewriter::new(Arc::clone(&self.committer), at_once)
    }

    /// Forgets what is known of a table, so that the next write sees a change that was just made.
    pub fn forget_table(&self, database: &str, table: &str) {
        self.tables.forget(database, table);
    }

    /// Checks a request and takes a slot for it.
    fn enter(&self, request: &IngestRequest) -> Result<SemaphorePermit<'_>> {
        self.metrics.requests.inc();
        check_name("database", &request.database)?;
        check_name("table", &request.table)?;
        if request.table == REJECTED_TABLE {
            return Err(Error::invalid("name.invalid", format!("table name is kyma's own: name={REJECTED_TABLE:?}"))
                .hint("choose another name"));
        }
        let key = request.idempotency_key.as_deref().unwrap_or_default();
        if key.len() > IDEMPOTENCY_KEY_BYTES_MAX || key.contains('\0') {
            return Err(Error::invalid("ingest.key_invalid", "idempotency key is not allowed")
                .hint(format!("use at most {IDEMPOTENCY_KEY_BYTES_MAX} bytes without NUL")));
        }
        self.slots.try_acquire().map_err(|refused| match refused {
            tokio::sync::TryAcquireError::Closed => stopping(),
            tokio::sync::TryAcquireError::NoPermits => {
                Error::exhausted("ingest.overloaded", "too many writes at a time").hint("wait and send again")
            }
        })
    }

    async fn first_answer(&self, request: &IngestRequest) -> Result<Option<IngestAnswer>> {
        let Some(key) = request.idempotency_key.as_deref().and_then(WriteKey::of_client) else { return Ok(None) };
        match self.tables.database(&request.database).await? {
            Some(database) => self.committer.receipt(database.id, &key).await,
            None => Ok(None),
        }
    }

    /// What the body is digested by, when the write has no key and its table's policy recognises contents.
    async fn digest(&self, request: &IngestRequest, options: &IngestOptions) -> Result<Option<ContentDigest>> {
        if request.idempotency_key.as_deref().is_some_and(|key| !key.is_empty()) {
            return Ok(None);
        }
        let table = self.tables.table(&request.database, &request.table).await?;
        let is_wanted = table.is_some_and(|table| table.deduplication_seconds > 0);
        Ok(is_wanted.then(|| ContentDigest::new(request, options)))
    }

    /// Fails early where nothing may be created.
    async fn check_exists(&self, request: &IngestRequest) -> Result<()> {
        if self.parts.settings.create_on_write {
            return Ok(());
        }
        self.existing(request).await.map(|_table| ())
    }

    async fn existing(&self, request: &IngestRequest) -> Result<Arc<Table>> {
        let (database, table) = (&request.database, &request.table);
        if self.tables.database(database).await?.is_none() {
            return Err(Error::not_found(
                "ingest.database_missing",
                format!("database does not exist: database={database:?}"),
            )
            .hint("create it, or switch create_on_write on"));
        }
        self.tables.table(database, table).await?.ok_or_else(|| {
            Error::not_found(
                "ingest.table_missing",
                format!("table does not exist: database={database:?} table={table:?}"),
            )
            .hint("create it, or switch create_on_write on")
        })
    }

    /// How the body's fields become columns. A mapping's columns are added to the table, so that their types are those
    /// that it says.
    async fn layout(&self, request: &IngestRequest, options: &IngestOptions) -> Result<Layout> {
        let skip_first = options.skip_first;
        let Some(mapping) = &options.mapping else {
            let columns = match request.format.is_positional() {
                true => self.positional_columns(request).await?,
                false => Vec::new(),
            };
            return Ok(Layout { columns, fields: None, skip_first });
        };
        if mapping.kind() != request.format.mapping_kind() {
            let message = format!("the mapping does not fit the body's format: kind={}", mapping.kind().name());
            return Err(Error::invalid("ingest.mapping_invalid", message));
        }
        let fields = mapping.fields_for(&self.mapped_columns(request, mapping).await?);
        Ok(Layout { columns: Vec::new(), fields: Some(Fields::new(fields)), skip_first })
    }

    /// The table's columns after a mapping's were added; none if the table is still to be made from the rows.
    async fn mapped_columns(&self, request: &IngestRequest, mapping: &Mapping) -> Result<Vec<Column>> {
        let typed = mapping.typed_columns();
        let table = match self.tables.table(&request.database, &request.table).await? {
            Some(table) => table,
            None if !mapping.is_typed() => return Ok(Vec::new()),
            None => {
                let new = infer::new_table_of(&Schema::new(typed.clone()), &self.parts.settings.format);
                self.tables.ensure(&request.database, &request.table, &new).await?
            }
        };
        let missing: Vec<Column> =
            typed.into_iter().filter(|column| table.schema.column(&column.name).is_none()).collect();
        let table = if missing.is_empty() { table } else { self.tables.grow(&table, &missing).await? };
        Ok(table.schema.columns().to_vec())
    }

    /// The columns that a sender of positional rows knows: not the ones that kyma fills.
    async fn positional_columns(&self, request: &IngestRequest) -> Result<Vec<String>> {
        let table = self.existing(request).await?;
        let names = table.schema.columns().iter().map(|column| column.name.clone());
        Ok(names.filter(|name| name != UNMAPPED_COLUMN && name != INGESTION_TIME_COLUMN).collect())
    }

    async fn open(
        &self,
        request: &IngestRequest,
    ) -> Result<(Sender, impl Future<Output = Result<IngestAnswer>> + use<>)> {
        let address = self.parts.router.route(&request.database, &request.table).await?;
        let header = AppendHeader {
            database: request.database.clone(),
            table: request.table.clone(),
            idempotency_key: request.idempotency_key.clone().unwrap_or_default(),
        };
        let client = match self.parts.router.in_process(&address) {
            Some(channel) => client_over(channel),
            None => self.channels.client(&address)?,
        };
        Ok(client::open(client, header))
    }

    /// Steps 2 to 4.
    async fn send_body(
        &self,
        request: &IngestRequest,
        body: Body<'_>,
        split: Box<dyn Split>,
        fields: Option<Fields>,
        sender: &mut Sender,
    ) -> Result<()> {
        let fields = fields.as_ref();
        let mut chunks = chunks(body, split).boxed();
        // The first chunk goes alone: it makes the table that the others are decoded for.
        if let Some(first) = chunks.next().await {
            let decoded = self.decode(request, first?, fields).await?;
            self.send(request, decoded, sender).await?;
        }
        let mut decoded =
            chunks.map(|chunk| async { self.decode(request, chunk?, fields).await }).buffered(CHUNKS_IN_FLIGHT);
        while let Some(decoded) = decoded.try_next().await? {
            self.send(request, decoded, sender).await?;
        }
        Ok(())
    }

    async fn send(&self, request: &IngestRequest, decoded: Decoded, sender: &mut Sender) -> Result<()> {
        for (batch, raw_bytes, unmapped) in &decoded.batches {
            sender.rows(batch, *raw_bytes, *unmapped).await?;
        }
        if decoded.rejected.is_empty() {
            return Ok(());
        }
        if self.tables.table(&request.database, REJECTED_TABLE).await?.is_none() {
            let new = rejected_table(&self.parts.settings.format);
            self.tables.ensure(&request.database, REJECTED_TABLE, &new).await?;
        }
        let (now, mut raw_bytes) = (self.parts.clock.now(), decoded.rejected_bytes);
        for rejected in decoded.rejected.chunks(BATCH_ROWS_MAX) {
            let batch = rejected_batch(request, rejected, now)?;
            sender.rejected(&batch, std::mem::take(&mut raw_bytes)).await?;
        }
        Ok(())
    }

    /// Decodes one chunk, and makes or grows the table on the way.
    async fn decode(&self, request: &IngestRequest, chunk: Chunk, fields: Option<&Fields>) -> Result<Decoded> {
        let raw_bytes = chunk.raw_bytes;
        let fields = fields.cloned();
        let (groups, mut rejected) = self.cpu.run(move || decode_cells(chunk, fields.as_ref())).await?;
        let rows: u64 = groups.iter().map(|cells| u64::from(cells.rows)).sum();
        let refused: u64 = rejected.len() as u64 + groups.iter().map(|cells| cells.rejected.len() as u64).sum::<u64>();
        let share = |count: u64| (raw_bytes * count).checked_div(rows + refused).unwrap_or(0);
        let mut batches = Vec::with_capacity(groups.len());
        for mut cells in groups {
            rejected.append(&mut cells.rejected);
            if cells.rows == 0 {
                continue;
            }
            let share = share(u64::from(cells.rows));
            let table = self.table_for(request, &cells).await?;
            let now = self.parts.clock.now();
            let built = self.cpu.run(move || build::build(&cells, &table, now).map(|built| (built, table))).await?;
            let (built, table) = built?;
            if built.unmapped > 0 {
                self.ensure_bag(&table).await?;
            }
            batches.push((built.batch, share, built.unmapped));
        }
        Ok(Decoded { batches, rejected_bytes: share(refused), rejected })
    }

    /// The table with every column that these cells need and may have.
    async fn table_for(&self, request: &IngestRequest, cells: &Cells) -> Result<Arc<Table>> {
        let table = match self.tables.table(&request.database, &request.table).await? {
            Some(table) => table,
            None => self.make_table(request, cells).await?,
        };
        let growth = infer::growth(cells, &table);
        if growth.is_empty() { Ok(table) } else { self.tables.grow(&table, &growth).await }
    }

    async fn make_table(&self, request: &IngestRequest, cells: &Cells) -> Result<Arc<Table>> {
        if !self.parts.settings.create_on_write {
            return self.existing(request).await;
        }
        let _one_at_a_time = self.making.lock().await;
        if let Some(table) = self.tables.table(&request.database, &request.table).await? {
            return Ok(table);
        }
        let new = infer::new_table(cells, &self.parts.settings.format);
        self.tables.ensure(&request.database, &request.table, &new).await
    }

    /// The table with the bag.
    async fn ensure_bag(&self, table: &Table) -> Result<()> {
        let has_bag = |table: &Table| table.schema.column(UNMAPPED_COLUMN).is_some_and(|bag| bag.ty == Type::Dynamic);
        if has_bag(table) {
            return Ok(());
        }
        let grown = self.tables.grow(table, &[Column::new(UNMAPPED_COLUMN, Type::Dynamic)]).await?;
        if has_bag(&grown) {
            return Ok(());
        }
        Err(Error::exhausted("ingest.columns_exhausted", "the table has no room for its column of unmapped values")
            .hint("send fewer distinct keys; nothing of this write was stored"))
    }

    async fn table_for_batch(&self, request: &IngestRequest, batch: &RecordBatch) -> Result<Arc<Table>> {
        let schema = Schema::of_arrow(batch.schema_ref());
        let table = match self.tables.table(&request.database, &request.table).await? {
            Some(table) => table,
            None => {
                let new = infer::new_table_of(&schema, &self.parts.settings.format);
                self.tables.ensure(&request.database, &request.table, &new).await?
            }
        };
        let missing: Vec<Column> =
            schema.columns().iter().filter(|column| table.schema.column(&column.name).is_none()).cloned().collect();
        if missing.is_empty() { Ok(table) } else { self.tables.grow(&table, &missing).await }
    }
}

impl Drop for Ingester {
    fn drop(&mut self) {
        self.buffer.stop_soon();
    }
}

/// Runs the call beside its producer. The call's error counts more: a producer that cannot send only knows that the
/// call ended. A producer's own error cancels the call before its end, so that nothing is stored.
async fn join_call(
    call: impl Future<Output = Result<IngestAnswer>>,
    produce: impl Future<Output = Result<()>>,
) -> Result<IngestAnswer> {
    let (call, produce) = (std::pin::pin!(call), std::pin::pin!(produce));
    match futures::future::select(call, produce).await {
        Either::Left((answer, _)) => answer,
        Either::Right((Ok(()), call)) => call.await,
        Either::Right((Err(error), call)) => {
            if error.code() == "ingest.commit_failed" {
                return call.await;
            }
            Err(error)
        }
    }
}

/// The chunks of a body. Pieces larger than [`PIECE_BYTES`] are taken bit by bit, so that no chunk grows with them.
fn chunks<'a>(body: Body<'a>, split: Box<dyn Split>) -> impl futures::Stream<Item = Result<Chunk>> + Send + 'a {
    stream::try_unfold(Some((body, split, Bytes::new())), |state| async {
        let Some((mut body, mut split, mut bytes)) = state else { return Ok(None) };
        loop {
            if bytes.is_empty() {
                match body.next().await? {
                    Some(next) => bytes = next,
                    None => return Ok(split.finish()?.map(|chunk| (chunk, None))),
                }
            }
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
            if let Some(chunk) = split.push(&piece)? {
                return Ok(Some((chunk, Some((body, split, bytes)))));
            }
        }
    })
}

/// Decodes a chunk into groups of rows that each make one batch of bounded size.
pub(crate) fn decode_cells(chunk: Chunk, fields: Option<&Fields>) -> (Vec<Cells>, Vec<Rejected>) {
    let mut rejected = chunk.rejected;
    let spans = match chunk.rows {
        Rows::Records(header) => {
            let cells = csv::decode(&chunk.bytes, &header);
            return (vec![cells], rejected);
        }
        Rows::Fields(header) => {
            let lines = lines(&chunk.bytes);
            return (vec![csv::decode_lines(&chunk.bytes, &lines, &header)], rejected);
        }
        Rows::Whole(header) => {
            let whole = 0..chunk.bytes.len();
            return (vec![csv::decode_lines(&chunk.bytes, &[whole], &header)], rejected);
        }
        Rows::At(spans) => spans,
        Rows::Lines => lines(&chunk.bytes),
    };
    let (text, spans) = utf8_rows(chunk.bytes, spans, &mut rejected);
    let mut groups = Vec::new();
    for rows in spans.chunks(BATCH_ROWS_MAX) {
        decode_group(&text, rows, fields, &mut groups);
    }
    (groups, rejected)
}

/// Decodes rows, in halves when they are so unlike that their batch would be mostly empty.
fn decode_group(text: &Bytes, rows: &[std::ops::Range<usize>], fields: Option<&Fields>, groups: &mut Vec<Cells>) {
    let cells = json::decode(text, rows, fields);
    let sparse = cells.columns.len().saturating_mul(cells.rows as usize) > BATCH_CELLS_MAX;
    if sparse && rows.len() > 1 {
        let (first, second) = rows.split_at(rows.len() / 2);
        decode_group(text, first, fields, groups);
        decode_group(text, second, fields, groups);
        return;
    }
    groups.push(cells);
}

pub(crate) fn lines(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut from = 0;
    let ends = memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]);
    ends.map(|end| std::mem::replace(&mut from, end + 1)..end).filter(|line| !line.is_empty()).collect()
}

/// The rows that are UTF-8; the others are rejected.
fn utf8_rows(
    bytes: Bytes,
    rows: Vec<std::ops::Range<usize>>,
    rejected: &mut Vec<Rejected>,
) -> (Bytes, Vec<std::ops::Range<usize>>) {
    if std::str::from_utf8(&bytes).is_ok() {
        return (bytes, rows);
    }
    let (mut text, mut kept) = (String::with_capacity(bytes.len()), Vec::with_capacity(rows.len()));
    for row in rows {
        let raw = bytes.get(row).unwrap_or_default();
        match std::str::from_utf8(raw) {
            Ok(row) => {
                kept.push(text.len()..text.len() + row.len());
                text.push_str(row);
            }
            Err(_) => rejected.push(Rejected::new("not utf-8", raw, raw.len() as u64)),
        }
    }
    (Bytes::from(text), kept)
}

/// The rows with an event time each.
fn with_event_time(batch: RecordBatch, table: &Table, now: i64) -> Result<RecordBatch> {
    let place = batch.schema_ref().index_of(&table.time_column).ok();
    let times: TimestampNanosecondArray = match place {
        None => vec![now; batch.num_rows()].into(),
        Some(place) => {
            let array = arrow::compute::cast(batch.column(place), &Type::Datetime.arrow()).map_err(|error| {
                let column = &table.time_column;
                Error::invalid("ingest.append_invalid", format!("event times cannot be read: column={column:?}"))
                    .because(error)
            })?;
            let times = arrow::array::AsArray::as_primitive::<arrow::datatypes::TimestampNanosecondType>(&array);
            times.iter().map(|time| Some(time.unwrap_or(now))).collect()
        }
    };
    let mut fields: Vec<_> = batch.schema_ref().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut columns = batch.columns().to_vec();
    let place = place.unwrap_or(columns.len());
    if place == columns.len() {
        fields.push(Type::Datetime.field(&table.time_column));
        columns.push(Arc::new(times));
    } else {
        fields[place] = Type::Datetime.field(&table.time_column);
        columns[place] = Arc::new(times);
    }
    Ok(RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns)?)
}

/// The table of rejected rows.
fn rejected_table(format: &str) -> NewTable {
    NewTable {
        schema: Schema::from([
            ("Timestamp", Type::Datetime),
            ("Table", Type::String),
            ("Reason", Type::String),
            ("Source", Type::String),
            ("Raw", Type::String),
        ]),
        time_column: "Timestamp".to_owned(),
        sort_key: vec!["Table".to_owned()],
        format: format.to_owned(),
    }
}

fn rejected_batch(request: &IngestRequest, rejected: &[Rejected], now: i64) -> Result<RecordBatch> {
    let same = |text: &str| repeating(std::iter::repeat_n(text, rejected.len()));
    let schema = rejected_table("").schema.arrow();
    Ok(RecordBatch::try_new(
        schema,
        vec![
            Arc::new(TimestampNanosecondArray::from(vec![now; rejected.len()])),
            Arc::new(same(&request.table)),
            Arc::new(repeating(rejected.iter().map(|row| row.reason.as_str()))),
            Arc::new(same(&request.source)),
            Arc::new(StringViewArray::from_iter_values(rejected.iter().map(|row| &row.raw))),
        ],
    )?)
}

/// Texts of which most are the same, each kept once.
fn repeating<'a>(texts: impl Iterator<Item = &'a str>) -> StringViewArray {
    let mut builder = StringViewBuilder::new().with_deduplicate_strings();
    texts.for_each(|text| builder.append_value(text));
    builder.finish()
}
