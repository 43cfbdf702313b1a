//! One flush: object, then catalog, then answers.
//!
//! 1. The units' rows are sealed into extents (`seal`), and laid one after another into one object.
//! 2. `reserve`: the catalog notes the object's key. From here on the object is known to somebody.
//! 3. `put`: the object is durable.
//! 4. `commit`: one catalog transaction adds every extent and receipt and ends the reservation, if it still stands.
//! 5. Every writer is answered.
//!
//! A crash before 2 leaves nothing. Between 2 and 4 it leaves a reservation and perhaps an object, which garbage
//! collection first revokes in the catalog and then deletes: no row was acknowledged. After 4 the rows are there and their
//! writers were not told; with an idempotency key a retry gets the answer of step 4. There is no crash that loses an
//! acknowledged row, since the answer comes last, and none that doubles one, since step 4 is one transaction.
//!
//! What may go wrong at 4:
//! - *reservation revoked*: the collector thought us dead. The object may be gone. A new key, back to 2.
//! - *outcome unknown*: the connection broke during COMMIT. `outcome` says whether it happened, and if not, makes sure
//!   that it never will; then a new key, back to 2. While the catalog is away the question is repeated, then the
//!   writers are told that the outcome is unknown. So they are when the object was collected before the question: then it was
//!   either revoked, or committed and removed again since.
//! - *receipt exists*: another node stored the same idempotency key first. That unit gets the first answer, the others
//!   go back to 1.
//! - *anything else that a unit can be to blame for*: units whose table was dropped fail, the others go back to 1; when
//!   nobody is to blame openly, each unit goes back to 1 alone.
//! - any other error fails every unit; nothing of them is visible.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::{Bytes, BytesMut};
use futures::future::join_all;
use kyma_core::catalog::{Catalog, Commit, Committed, Receipt, Reservation, Table};
use kyma_core::clock::Clock;
use kyma_core::failpoint::{self, Point};
use kyma_core::format::{Formats, write_hash};
use kyma_core::limits::{EXTENT_REPLACES_MAX, EXTENT_WRITES_MAX};
use kyma_core::object::{self, DirectoryEntry};
use kyma_core::planted::{self, Bug};
use kyma_core::{DatabaseId, Error, ExtentId, Kind, NodeId, Result, Sequence, TableId};
use kyma_storage::Store;
use tokio::time::{Instant, sleep, timeout};

use crate::answer::IngestAnswer;
use crate::append::service::table_gone;
use crate::buffer::Unit;
use crate::content::WriteKey;
use crate::cpu::Cpu;
use crate::metrics::Metrics;
use crate::seal::{Piece, Sealed, pieces, seal};
use crate::settings::{EXTENT_CELLS_MAX, IngestSettings, PUTS_MAX, SEALS_MAX};
use crate::tables::{Tables, catalog_silent};

/// First wait before an unknown outcome is asked for again; it doubles up to [`OUTCOME_WAIT_MAX`].
const OUTCOME_WAIT: Duration = Duration::from_millis(100);
const OUTCOME_WAIT_MAX: Duration = Duration::from_secs(2);

/// Stores units.
#[derive(Debug)]
pub(crate) struct Committer {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) store: Arc<Store>,
    pub(crate) formats: Arc<Formats>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) node: NodeId,
    pub(crate) settings: IngestSettings,
    pub(crate) cpu: Cpu,
    pub(crate) tables: Arc<Tables>,
    pub(crate) metrics: Metrics,
}

/// Extents of one flush, with the places of the units whose rows they hold.
struct Extents(Vec<(Sealed, BTreeSet<usize>)>);

/// What a commit takes away.
pub(crate) struct Removal {
    pub(crate) table: TableId,
    pub(crate) sources: Vec<ExtentId>,
}

/// How a try to store sealed units ended.
enum Ending {
    /// They are committed.
    Stored(Committed),
    /// Some unit may be to blame for this error: without it the others can be stored.
    Blamed(Error),
    /// Nothing is stored.
    Failed(Error),
}

impl Committer {
    /// Steps 1 to 4 for rows that take the place of others: what is removed is removed by the same transaction.
    pub(crate) async fn replace(
        &self,
        table: Arc<Table>,
        sources: Vec<ExtentId>,
        mut rows: Vec<(RecordBatch, u64)>,
    ) -> Result<IngestAnswer> {
        if planted::is(Bug::ReplaceDropsBatch) && rows.len() > 1 {
            rows.pop();
        }
        let (id, database) = (table.id, table.database);
        let count = rows.iter().map(|(batch, _)| batch.num_rows() as u64).sum();
        let raw_bytes = rows.iter().map(|(_, raw_bytes)| raw_bytes).sum();
        let marked = rows.into_iter().map(|(batch, raw_bytes)| (batch, raw_bytes, ())).collect();
        let mut pieces = pieces(&table, marked, self.settings.extent_bytes, EXTENT_CELLS_MAX);
        // Whoever makes the catalog again from the bucket goes by it: any extent of the object may name any source.
        for ((piece, _), named) in pieces.iter_mut().zip(sources.chunks(EXTENT_REPLACES_MAX)) {
            piece.replaces = named.to_vec();
        }
        let sealing = pieces.into_iter().map(|(piece, _)| self.seal_piece(piece));
        let sealed = join_all(sealing).await.into_iter().collect::<Result<Vec<_>>>()?;
        let extents: Vec<ExtentId> = sealed.iter().map(|sealed| sealed.extent.id).collect();
        let committed = self.swap(sealed, Vec::new(), &Removal { table: id, sources }).await?;
        self.metrics.rows.inc_by(count);
        self.metrics.raw_bytes.inc_by(raw_bytes);
        let sequence = match committed.sequences.get(&database) {
            Some(sequence) => *sequence,
            None => self.bounded(self.catalog.pin(database)).await?,
        };
        Ok(IngestAnswer { rows: count, rejected: 0, unmapped: 0, extents, sequence })
    }

    /// Steps 2 to 4 for extents that take the place of others.
    pub(crate) async fn swap(
        &self,
        sealed: Vec<Sealed>,
        receipts: Vec<Receipt>,
        removal: &Removal,
    ) -> Result<Committed> {
        let laid = Extents(sealed.into_iter().map(|sealed| (sealed, BTreeSet::new())).collect());
        match self.store(laid, receipts, Some(removal)).await {
            Ending::Stored(committed) => Ok(committed),
            Ending::Blamed(error) | Ending::Failed(error) => Err(error),
        }
    }

    /// Stores units and answers each of them.
    pub(crate) async fn flush(&self, units: Vec<Unit>) {
        let started = Instant::now();
        // Each unit may need a try of its own at worst.
        let tries_max = SEALS_MAX + units.len();
        let mut groups = vec![units];
        for _ in 0..tries_max {
            let Some(group) = groups.pop() else { break };
            groups.extend(self.attempt(group).await);
        }
        for group in groups {
            self.fail(group, &Error::unavailable("ingest.commit_failed", "a flush was tried too often"));
        }
        self.metrics.flush_seconds.observe(started.elapsed().as_secs_f64());
    }

    /// Steps 1 to 5. Gives the groups of units that are to be tried again without those that were in their way.
    async fn attempt(&self, units: Vec<Unit>) -> Vec<Vec<Unit>> {
        let extents = match self.seal(&units).await {
            Ok(extents) => extents,
            Err((blamed, error)) => {
                let (blamed, rest) = split(units, &blamed);
                return std::iter::once(rest)
                    .filter(|rest| !rest.is_empty())
                    .chain(self.alone(blamed, &error))
                    .collect();
            }
        };
        let answers = answers(&units, &extents);
        let receipts = match receipts(&units, &answers) {
            Ok(receipts) => receipts,
            Err(error) => {
                self.fail(units, &error);
                return Vec::new();
            }
        };
        if planted::is(Bug::AckBeforeCommit) {
            self.acknowledge(units, answers, &Committed::default()).await;
            let _ = self.store(extents, receipts, None).await;
            return Vec::new();
        }
        match self.store(extents, receipts, None).await {
            Ending::Stored(committed) => {
                match failpoint::reach(Point::IngestAfterCommit) {
                    Ok(()) => self.acknowledge(units, answers, &committed).await,
                    Err(error) => self.fail(units, &error),
                }
                Vec::new()
            }
            Ending::Blamed(error) => self.without_blamed(units, error).await,
            Ending::Failed(error) => {
                self.fail(units, &error);
                Vec::new()
            }
        }
    }

    /// Units of which some are to blame, nobody knows which: each is tried alone; one that was alone already fails.
    fn alone(&self, units: Vec<Unit>, error: &Error) -> Vec<Vec<Unit>> {
        if units.len() > 1 {
            return units.into_iter().map(|unit| vec![unit]).collect();
        }
        self.fail(units, error);
        Vec::new()
    }

    /// Seals the rows of all units, side by side. An error comes with the units to blame.
    async fn seal(&self, units: &[Unit]) -> Result<Extents, (BTreeSet<usize>, Error)> {
        failpoint::reach(Point::IngestBeforeSeal).map_err(|error| ((0..units.len()).collect(), error))?;
        let mut tables: Vec<(TableId, Vec<_>)> = Vec::new();
        let mut newest = std::collections::HashMap::new();
        for (place, unit) in units.iter().enumerate() {
            for part in &unit.parts {
                let known = newest.entry(part.table.id).or_insert_with(|| {
                    tables.push((part.table.id, Vec::new()));
                    (tables.len() - 1, Arc::clone(&part.table))
                });
                if part.table.schema_version > known.1.schema_version {
                    known.1 = Arc::clone(&part.table);
                }
                let rows = part.batches.iter().filter(|(batch, _)| batch.num_rows() > 0);
                tables[known.0].1.extend(rows.map(|(batch, raw_bytes)| (batch.clone(), *raw_bytes, place)));
            }
        }
        let mut sealing = Vec::new();
        for (id, batches) in tables {
            let Some((_, table)) = newest.get(&id) else { continue };
            for (mut piece, places) in pieces(table, batches, self.settings.extent_bytes, EXTENT_CELLS_MAX) {
                let places = BTreeSet::from_iter(places);
                piece.writes = writes(units, &places);
                sealing.push(async move { (self.seal_piece(piece).await, places) });
            }
        }
        let mut extents = Vec::with_capacity(sealing.len());
        for (sealed, places) in join_all(sealing).await {
            match sealed {
                Ok(sealed) => extents.push((sealed, places)),
                Err(error) => return Err((places, error)),
            }
        }
        Ok(Extents(extents))
    }

    async fn seal_piece(&self, piece: Piece) -> Result<Sealed> {
        let format = self.formats.get(&piece.table.format)?;
        let id = ExtentId(self.clock.new_id());
        self.cpu.run(move || seal(&piece, id, format.as_ref())).await?
    }

    /// Steps 2 to 4.
    async fn store(&self, extents: Extents, receipts: Vec<Receipt>, removal: Option<&Removal>) -> Ending {
        let (mut new_extents, object) = match lay_out(extents) {
            Ok(laid_out) => laid_out,
            Err(error) => return Ending::Failed(error),
        };
        if new_extents.is_empty() {
            let commit = Commit { reservation: None, extents: Vec::new(), receipts };
            return self.commit(&commit, removal).await.unwrap_or_else(|| Ending::Failed(revoked()));
        }
        let first_key = object_key(self.clock.as_ref());
        for number in 0..PUTS_MAX {
            let is_first = number == 0 || planted::is(Bug::KeyReused);
            let key = if is_first { first_key.clone() } else { object_key(self.clock.as_ref()) };
            let reservation = match self.reserve_and_put(&key, &object).await {
                Ok(reservation) => reservation,
                Err(error) => return Ending::Failed(error),
            };
            new_extents.iter_mut().for_each(|extent| extent.location.key.clone_from(&key));
            let commit =
                Commit { reservation: Some(reservation), extents: new_extents.clone(), receipts: receipts.clone() };
            if let Some(ending) = self.commit(&commit, removal).await {
                if let Ending::Stored(_) = ending {
                    self.metrics.extents.inc_by(new_extents.len() as u64);
                    self.metrics.stored_bytes.inc_by(object.len() as u64);
                }
                return ending;
            }
            tracing::warn!(key, "a reservation was revoked before its commit; the object is put again");
        }
        Ending::Failed(revoked())
    }

    /// Steps 2 and 3.
    async fn reserve_and_put(&self, key: &str, object: &Bytes) -> Result<Reservation> {
        failpoint::reach(Point::IngestBeforeReserve)?;
        let reservation = self.bounded(self.catalog.reserve(self.node, key)).await?;
        failpoint::reach(Point::IngestAfterReserve)?;
        self.store.put(key, object.clone()).await?;
        failpoint::reach(Point::IngestAfterPut)?;
        Ok(reservation)
    }

    /// Step 4; `None` when the reservation no longer stands and a new one may be tried.
    async fn commit(&self, commit: &Commit, removal: Option<&Removal>) -> Option<Ending> {
        let committing = async {
            match removal {
                Some(Removal { table, sources }) => {
                    failpoint::reach(Point::ReplaceBeforeCommit)?;
                    let committed = self.catalog.replace(*table, sources, commit).await?;
                    failpoint::reach(Point::ReplaceAfterCommit).map_err(commit_unknown)?;
                    Ok(committed)
                }
                None => self.catalog.commit(commit).await,
            }
        };
        let error = match timeout(self.settings.catalog_timeout, committing).await {
            Ok(Ok(committed)) => return Some(Ending::Stored(committed)),
            Ok(Err(error)) => error,
            Err(_elapsed) if planted::is(Bug::TimeoutIsFailure) => catalog_silent(),
            Err(elapsed) => commit_unknown(elapsed),
        };
        match (error.code(), error.kind()) {
            ("catalog.reservation_revoked", _) => None,
            ("catalog.commit_unknown", _) if planted::is(Bug::RetryWithoutLookup) => None,
            ("catalog.commit_unknown", _) => match &commit.reservation {
                Some(reservation) => self.resolve(reservation).await,
                None => Some(Ending::Blamed(error)),
            },
            (_, Kind::Conflict | Kind::NotFound | Kind::Invalid) => Some(Ending::Blamed(error)),
            _ => Some(Ending::Failed(error)),
        }
    }

    /// Finds out what became of a commit; `None` when it did not happen and never will.
    async fn resolve(&self, reservation: &Reservation) -> Option<Ending> {
        let deadline = Instant::now() + self.settings.outcome_timeout;
        let mut wait = OUTCOME_WAIT;
        loop {
            match self.bounded(self.catalog.outcome(reservation)).await {
                Ok(Some(committed)) => return Some(Ending::Stored(committed)),
                Ok(None) => return None,
                Err(error) if error.code() == "catalog.outcome_forgotten" || Instant::now() >= deadline => {
                    let unknown = "nobody knows whether the commit took place; the rows may be stored or not";
                    let hint = "send the write again with the same Idempotency-Key: it is stored once";
                    let error = Error::unavailable("ingest.outcome_unknown", unknown).hint(hint).because(error);
                    return Some(Ending::Failed(error));
                }
                Err(_not_yet) => sleep(wait).await,
            }
            wait = (wait * 2).min(OUTCOME_WAIT_MAX);
        }
    }

    /// Answers units that stand in the others' way: their key is stored already, or their table is gone. If nobody does,
    /// each is tried alone, so that one poisonous write never fails another.
    async fn without_blamed(&self, units: Vec<Unit>, error: Error) -> Vec<Vec<Unit>> {
        let before = units.len();
        let mut rest = Vec::with_capacity(before);
        for unit in units {
            match self.blame(&unit).await {
                Ok(None) => rest.push(unit),
                Ok(Some(first)) => unit.answer(Ok(first)),
                Err(error) => self.fail(vec![unit], &error),
            }
        }
        match rest.len() {
            0 => Vec::new(),
            kept if kept < before => vec![rest],
            _ => self.alone(rest, &error),
        }
    }

    /// The first answer to the unit's key, an error if one of its tables is gone, `None` when it is not to blame.
    async fn blame(&self, unit: &Unit) -> Result<Option<IngestAnswer>> {
        if let Some(key) = &unit.key
            && let Some(first) = self.receipt(unit.database.id, key).await?
        {
            return Ok(Some(first));
        }
        for part in &unit.parts {
            if self.bounded(self.catalog.table_by_id(part.table.id)).await?.is_none() {
                self.tables.forget(&part.table.database_name, &part.table.name);
                return Err(table_gone(&part.table));
            }
        }
        Ok(None)
    }

    /// The remembered answer to a key.
    pub(crate) async fn receipt(&self, database: DatabaseId, key: &WriteKey) -> Result<Option<IngestAnswer>> {
        let found = self.bounded(self.catalog.receipt(database, &key.text, key.window_seconds)).await?;
        found.map(|(answer, sequence)| IngestAnswer::of_receipt(answer, sequence)).transpose()
    }

    /// Step 5.
    async fn acknowledge(&self, units: Vec<Unit>, answers: Vec<IngestAnswer>, committed: &Committed) {
        for (unit, mut answer) in units.into_iter().zip(answers) {
            answer.sequence = match committed.sequences.get(&unit.database.id) {
                Some(sequence) => *sequence,
                // A write of no rows touched nothing: what it would see now is its sequence.
                None => match self.bounded(self.catalog.pin(unit.database.id)).await {
                    Ok(sequence) => sequence,
                    Err(error) => {
                        self.fail(vec![unit], &error);
                        continue;
                    }
                },
            };
            self.metrics.rows.inc_by(answer.rows);
            self.metrics.rejected.inc_by(answer.rejected);
            self.metrics.unmapped.inc_by(answer.unmapped);
            self.metrics.raw_bytes.inc_by(unit.raw_bytes);
            match failpoint::reach(Point::IngestBeforeAck) {
                Ok(()) => unit.answer(Ok(answer)),
                Err(error) => self.fail(vec![unit], &error),
            }
        }
    }

    fn fail(&self, units: Vec<Unit>, error: &Error) {
        if units.is_empty() {
            return;
        }
        self.metrics.flush_failures.inc();
        tracing::warn!(units = units.len(), code = error.code(), error = error.chain(), "writes could not be stored");
        for unit in units {
            unit.answer(Err(copy(error)));
        }
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.settings.catalog_timeout, call).await.unwrap_or_else(|_elapsed| Err(catalog_silent()))
    }
}

fn commit_unknown(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::unavailable("catalog.commit_unknown", "the commit was not answered in time").because(cause)
}

fn revoked() -> Error {
    Error::unavailable("ingest.commit_failed", "the reservation of an object was revoked again and again")
        .hint("send the write again; the garbage collector's grace period may be too short")
}

/// The same error for one more waiter; its causes become part of the sentence.
fn copy(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.code(), error.chain());
    match error.hint_text() {
        Some(hint) => copy.hint(hint),
        None => copy,
    }
}

/// Splits off the units at `places`.
fn split(units: Vec<Unit>, places: &BTreeSet<usize>) -> (Vec<Unit>, Vec<Unit>) {
    let (mut at, mut rest) = (Vec::new(), Vec::new());
    for (place, unit) in units.into_iter().enumerate() {
        if places.contains(&place) { at.push(unit) } else { rest.push(unit) }
    }
    (at, rest)
}

/// Lays the extents one after another, and their directory after them; their key is still to come.
fn lay_out(extents: Extents) -> Result<(Vec<kyma_core::extent::NewExtent>, Bytes)> {
    let mut extents = extents.0;
    if extents.len() == 1
        && let Some((sealed, _)) = extents.pop()
    {
        return Ok((vec![sealed.extent], sealed.encoded.bytes));
    }
    let total = extents.iter().map(|(sealed, _)| sealed.encoded.bytes.len()).sum();
    let mut object = BytesMut::with_capacity(total);
    let mut laid = Vec::with_capacity(extents.len());
    let mut directory = Vec::with_capacity(extents.len());
    for (mut sealed, _) in extents {
        sealed.extent.location.offset = object.len() as u64;
        object.extend_from_slice(&sealed.encoded.bytes);
        directory.push(DirectoryEntry {
            extent: sealed.extent.id,
            format: sealed.extent.format.clone(),
            offset: sealed.extent.location.offset,
            length: sealed.extent.location.length,
            footer_length: sealed.extent.footer_length,
        });
        laid.push(sealed.extent);
    }
    if !laid.is_empty() {
        object.extend_from_slice(&object::write(&directory)?);
    }
    Ok((laid, object.freeze()))
}

/// Names the writes of the units at `places`; none when one has no key of a client, or when there are too many. A content is
/// no name: after its window it is stored again.
fn writes(units: &[Unit], places: &BTreeSet<usize>) -> Vec<u128> {
    if places.len() > EXTENT_WRITES_MAX {
        return Vec::new();
    }
    let units = places.iter().filter_map(|place| units.get(*place));
    let hash = |unit: &Unit| {
        let key = unit.key.as_ref().filter(|key| key.window_seconds.is_none())?;
        Some(write_hash(unit.database.id, &key.text))
    };
    units.map(hash).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// What each unit will be answered; the sequence is still to come.
fn answers(units: &[Unit], extents: &Extents) -> Vec<IngestAnswer> {
    let of_unit = |(place, unit): (usize, &Unit)| IngestAnswer {
        rows: unit.rows,
        rejected: unit.rejected,
        unmapped: unit.unmapped,
        extents: extents
            .0
            .iter()
            .filter(|(_, places)| places.contains(&place))
            .map(|(sealed, _)| sealed.extent.id)
            .collect(),
        sequence: Sequence(0),
    };
    units.iter().enumerate().map(of_unit).collect()
}

fn receipts(units: &[Unit], answers: &[IngestAnswer]) -> Result<Vec<Receipt>> {
    let keyed = units.iter().zip(answers).filter_map(|(unit, answer)| Some((unit, unit.key.as_ref()?, answer)));
    keyed
        .filter(|(_, key, _)| key.window_seconds.is_none() || !planted::is(Bug::ContentNotCommitted))
        .map(|(unit, key, answer)| {
            Ok(Receipt {
                database: unit.database.id,
                key: key.text.clone(),
                answer: answer.to_receipt()?,
                window_seconds: key.window_seconds,
            })
        })
        .collect()
}

/// A new object's key: the day, for people, and an identity. No name that a user chose is in it.
fn object_key(clock: &dyn Clock) -> String {
    let day = kyma_core::time::datetime_of(clock.now()).format("%Y/%m/%d");
    format!("extents/{day}/{}.kyma", clock.new_id())
}
