//! The receiving side of the append call.
//!
//! 1. The header names database, table and idempotency key.
//! 2. Rows are checked against the table's schema and held in bounded memory; past it the write fails as overloaded.
//! 3. At the end the key, if there is one or the content stands for one, is claimed and its receipt looked up.
//! 4. The rows go to the buffer as one unit, and the answer is awaited.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use kyma_core::catalog::Table;
use kyma_core::ids::check_name;
use kyma_core::schema::REJECTED_TABLE;
use kyma_core::stats::can_promote;
use kyma_core::{Error, Result, Type};
use kyma_proto::v1::append_request::Part;
use kyma_proto::v1::append_rows::Target;
use kyma_proto::v1::ingest_server::Ingest;
use kyma_proto::v1::{AppendHeader, AppendReply, AppendRequest, AppendRows};
use tonic::{Request, Response, Status, Streaming};

use crate::answer::IngestAnswer;
use crate::buffer::{Buffer, Part as UnitPart, Unit};
use crate::commit::Committer;
use crate::content::WriteKey;
use crate::ipc;
use crate::memory::{Held, Memory};
use crate::settings::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::tables::Tables;

use super::once::Once;

/// The gRPC service; mount it with [`crate::Ingester::append_server`].
#[derive(Debug, Clone)]
pub struct AppendService {
    pub(crate) tables: Arc<Tables>,
    pub(crate) memory: Memory,
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) committer: Arc<Committer>,
    pub(crate) once: Once,
}

/// A write that is arriving.
struct Staged {
    header: AppendHeader,
    rows: Option<UnitPart>,
    rejected: Option<UnitPart>,
    unmapped: u64,
    held: Vec<Held>,
}

#[tonic::async_trait]
impl Ingest for AppendService {
    async fn append(&self, request: Request<Streaming<AppendRequest>>) -> Result<Response<AppendReply>, Status> {
        let answer = self.receive(request.into_inner()).await.map_err(|error| kyma_proto::status_of(&error))?;
        Ok(Response::new(AppendReply {
            rows: answer.rows,
            rejected: answer.rejected,
            unmapped: answer.unmapped,
            extents: answer.extents.iter().map(ToString::to_string).collect(),
            sequence: answer.sequence.0,
        }))
    }
}

impl AppendService {
    async fn receive(&self, mut stream: Streaming<AppendRequest>) -> Result<IngestAnswer> {
        let header = match next(&mut stream).await? {
            Some(Part::Header(header)) => header,
            _ => return Err(invalid("an append call must start with its header")),
        };
        check_header(&header)?;
        let mut staged = Staged { header, rows: None, rejected: None, unmapped: 0, held: Vec::new() };
        loop {
            match next(&mut stream).await? {
                Some(Part::Rows(rows)) => self.stage(&mut staged, rows).await?,
                Some(Part::End(end)) => {
                    let counted = (count(&staged.rows), count(&staged.rejected));
                    if counted != (end.rows, end.rejected) {
                        return Err(invalid("an append call lost rows on its way"));
                    }
                    return self.store(staged, &end.content).await;
                }
                Some(Part::Header(_)) => return Err(invalid("an append call has two headers")),
                None => return Err(invalid("an append call broke off before its end")),
            }
        }
    }

    /// Checks rows and holds them.
    async fn stage(&self, staged: &mut Staged, rows: AppendRows) -> Result<()> {
        let target =
            Target::try_from(rows.target).map_err(|_unknown| invalid("an append call has an unknown target"))?;
        let is_rejected = target == Target::Rejected;
        let name = if is_rejected { REJECTED_TABLE } else { &staged.header.table };
        let slot = if is_rejected { &staged.rejected } else { &staged.rows };
        let known = match slot {
            Some(part) => Arc::clone(&part.table),
            None => self.table(&staged.header.database, name).await?,
        };
        let held = self.memory.hold(known.id, rows.arrow_ipc.len() as u64)?;
        let batches = ipc::decode(rows.arrow_ipc)?;
        let table = self.fitting(known, &batches).await?;
        staged.held.push(held);
        staged.unmapped += rows.unmapped;
        let slot = if is_rejected { &mut staged.rejected } else { &mut staged.rows };
        let part = slot.get_or_insert_with(|| UnitPart { table: Arc::clone(&table), batches: Vec::new() });
        part.table = table;
        // The first batch stands for the input of the message: there is one batch per message.
        let mut raw_bytes = rows.raw_bytes;
        for batch in batches {
            part.batches.push((batch, std::mem::take(&mut raw_bytes)));
        }
        Ok(())
    }

    async fn table(&self, database: &str, name: &str) -> Result<Arc<Table>> {
        let found = self.tables.table(database, name).await?;
        found.ok_or_else(|| {
            Error::not_found(
                "ingest.table_missing",
                format!("table does not exist: database={database:?} table={name:?}"),
            )
        })
    }

    /// The table in a version that has every column of `batches`: what the sender knew, this node may not know yet.
    async fn fitting(&self, table: Arc<Table>, batches: &[RecordBatch]) -> Result<Arc<Table>> {
        if batches.iter().try_for_each(|batch| check_batch(batch, &table)).is_ok() {
            return Ok(table);
        }
        let fresh = self.tables.refresh(&table.database_name, &table.name).await?;
        let fresh = fresh.filter(|fresh| fresh.id == table.id).ok_or_else(|| table_gone(&table))?;
        batches.iter().try_for_each(|batch| check_batch(batch, &fresh))?;
        Ok(fresh)
    }

    /// Stores a whole write, once.
    async fn store(&self, staged: Staged, content: &str) -> Result<IngestAnswer> {
        let of_content = || WriteKey::of_content(content, &staged.rows.as_ref()?.table);
        let key = WriteKey::of_client(&staged.header.idempotency_key).or_else(of_content);
        let parts: Vec<UnitPart> = [staged.rows, staged.rejected].into_iter().flatten().collect();
        let (rows, rejected) = (count(&parts.first().filter(|part| part.table.name != REJECTED_TABLE)), 0_u64);
        let rejected = rejected
            + parts.iter().filter(|part| part.table.name == REJECTED_TABLE).map(|part| count(&Some(part))).sum::<u64>();
        let database = match parts.first() {
            Some(part) => {
                kyma_core::catalog::Database { id: part.table.database, name: part.table.database_name.clone() }
            }
            None => match self.tables.database(&staged.header.database).await? {
                Some(database) => database,
                // Nothing to store and nowhere: a key without a database cannot be remembered and need not be.
                None => return Ok(nothing()),
            },
        };
        let mut unit = Unit::new(database, key.clone(), parts, staged.held);
        (unit.rows, unit.rejected, unit.unmapped) = (rows, rejected, staged.unmapped);
        let Some(key) = key else { return self.buffer.append(unit).await };
        let claim = match self.once.claim(unit.database.id, &key.text).await {
            Ok(claim) => claim,
            Err(answer) => return Ok(answer),
        };
        let answer = match self.committer.receipt(unit.database.id, &key).await? {
            Some(first) => first,
            None => self.buffer.append(unit).await?,
        };
        claim.answer(&answer);
        Ok(answer)
    }
}

fn nothing() -> IngestAnswer {
    IngestAnswer { rows: 0, rejected: 0, unmapped: 0, extents: Vec::new(), sequence: kyma_core::Sequence(0) }
}

async fn next(stream: &mut Streaming<AppendRequest>) -> Result<Option<Part>> {
    let message = stream.message().await.map_err(|status| kyma_proto::error_of(&status))?;
    message.map(|message| message.part.ok_or_else(|| invalid("an append call has an empty message"))).transpose()
}

fn count(part: &Option<impl std::borrow::Borrow<UnitPart>>) -> u64 {
    part.as_ref().map_or(0, |part| part.borrow().batches.iter().map(|(batch, _)| batch.num_rows() as u64).sum())
}

fn check_header(header: &AppendHeader) -> Result<()> {
    check_name("database", &header.database)?;
    check_name("table", &header.table)?;
    if header.idempotency_key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(invalid("an idempotency key is too long"));
    }
    Ok(())
}

/// Whether every column of a batch is one of the table's, once, in a type that reads as the table's, and the event time
/// is there.
pub(crate) fn check_batch(batch: &RecordBatch, table: &Table) -> Result<()> {
    let mut names = HashSet::new();
    for field in batch.schema_ref().fields() {
        if !names.insert(field.name().as_str()) {
            return Err(invalid(&format!("a column is there twice: column={:?}", field.name())));
        }
        let ty = Type::of_field(field);
        let column = table.schema.column(field.name());
        let fits = column.is_some_and(|column| can_promote(ty, column.ty)) && ty.arrow() == *field.data_type();
        if !fits {
            return Err(invalid(&format!("a column does not fit its table: column={:?} type={ty}", field.name())));
        }
    }
    let time = batch.column_by_name(&table.time_column);
    if time.is_none_or(|time| time.null_count() > 0) {
        return Err(invalid("rows without event time"));
    }
    Ok(())
}

fn invalid(message: &str) -> Error {
    Error::invalid("ingest.append_invalid", message)
}

pub(crate) fn table_gone(table: &Table) -> Error {
    let names = format!("database={:?} table={:?}", table.database_name, table.name);
    Error::conflict("ingest.table_gone", format!("table was dropped while rows were on their way: {names}"))
        .hint("send the write again")
}
