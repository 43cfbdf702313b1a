//! The commit: one transaction that makes a flush visible, or changes nothing.
//!
//! Steps, in the order in which locks are taken, so that two commits never wait for each other in a circle:
//!
//! 1. The reservation ends: `reserved` becomes `registered` in exactly one row, or the commit is refused. Garbage
//!    collection revokes by the same row, so either the commit wins or the object may be deleted, never both.
//! 2. The tables are locked against being dropped, in id order.
//! 3. Each database takes its next sequence, in id order. Its row's lock is held until the end: what a sequence shows
//!    was complete before the next one was taken.
//! 4. Sources of a replacement are marked removed; every one must still be visible.
//! 5. Receipts are added; a key that exists refuses the commit, unless its receipt is older than the new one's window.
//! 6. Extents are added. The rows of `manifests` follow steps 4 and 6 by trigger.
//! 7. The sequences are noted beside the object, so that an unknown outcome can be looked up.
//!
//! When COMMIT does not succeed the outcome is unknown, `catalog.commit_unknown`, unless PostgreSQL says that it ended
//! the transaction. [`outcome`] resolves it by revoking the reservation under the same row lock.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use kyma_core::catalog::{Commit, Committed, Receipt, Reservation};
use kyma_core::extent::NewExtent;
use kyma_core::failpoint::{self, Point};
use kyma_core::{DatabaseId, Error, ExtentId, Result, Sequence, TableId};
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::error;
use crate::pool::{PostgresCatalog, execute, get, query};
use crate::rows;

/// Expired receipts removed by one commit that adds some.
const RECEIPTS_EXPIRED_MAX: i64 = 100;

/// What a commit removes.
pub(crate) struct Removal<'a> {
    pub(crate) table: TableId,
    pub(crate) sources: &'a [ExtentId],
}

impl PostgresCatalog {
    /// Commits, and again when PostgreSQL ended this transaction in favour of others.
    pub(crate) async fn commit_retrying(&self, commit: &Commit, removal: Option<Removal<'_>>) -> Result<Committed> {
        check_shape(commit)?;
        self.retrying(|| self.commit_once(commit, removal.as_ref())).await
    }

    async fn commit_once(&self, commit: &Commit, removal: Option<&Removal<'_>>) -> Result<Committed> {
        let doing = "commit";
        let mut client = self.client().await?;
        let begun = async {
            let transaction = client.transaction().await.map_err(error::statement(doing))?;
            let committed = self.in_transaction(&transaction, commit, removal).await?;
            Ok((transaction, committed))
        };
        let (transaction, committed) = self.bounded(doing, begun).await?;
        failpoint::reach(Point::CommitBeforeCommit)?;
        let ending = async {
            transaction.commit().await.map_err(error::statement(doing))?;
            failpoint::reach(Point::CommitAfterCommit)
        };
        match self.bounded(doing, ending).await {
            Ok(()) => Ok(committed),
            Err(error) if error.code() == "catalog.contended" => Err(error),
            Err(error) => {
                Err(Error::unavailable("catalog.commit_unknown", "the answer to a commit was lost").because(error))
            }
        }
    }

    async fn in_transaction(
        &self,
        transaction: &Transaction<'_>,
        commit: &Commit,
        removal: Option<&Removal<'_>>,
    ) -> Result<Committed> {
        end_reservation(transaction, commit).await?;
        let databases = lock_tables(transaction, commit, removal).await?;
        let sequences = take_sequences(transaction, &databases).await?;
        failpoint::reach(Point::CommitLocked)?;
        if let Some(removal) = removal {
            remove_sources(transaction, removal, &sequences).await?;
        }
        self.add_receipts(transaction, &commit.receipts, &sequences).await?;
        add_extents(transaction, &commit.extents, &sequences).await?;
        note_sequences(transaction, commit.reservation.as_ref(), &sequences).await?;
        Ok(Committed { sequences })
    }

    async fn add_receipts(
        &self,
        transaction: &Transaction<'_>,
        receipts: &[Receipt],
        sequences: &BTreeMap<DatabaseId, Sequence>,
    ) -> Result<()> {
        if receipts.is_empty() {
            return Ok(());
        }
        let doing = "add receipts";
        let mut seen = BTreeSet::new();
        if let Some(twice) = receipts.iter().find(|receipt| !seen.insert((receipt.database, &receipt.key))) {
            return Err(receipt_exists(twice));
        }
        let databases: Vec<i64> = receipts.iter().map(|receipt| receipt.database.0).collect();
        let keys: Vec<&str> = receipts.iter().map(|receipt| receipt.key.as_str()).collect();
        let taken: Vec<i64> =
            receipts.iter().filter_map(|receipt| sequences.get(&receipt.database)).map(|s| s.0).collect();
        let windows: Vec<Option<f64>> = receipts.iter().map(|receipt| receipt.window_seconds.map(f64::from)).collect();
        let answers: Vec<Json<&serde_json::Value>> = receipts.iter().map(|receipt| Json(&receipt.answer)).collect();
        let added = query(
            transaction,
            doing,
            "INSERT INTO receipts AS r (database_id, key, sequence, answer) \
             SELECT n.database_id, n.key, n.sequence, n.answer \
             FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::json[], $5::float8[]) \
                 AS n(database_id, key, sequence, answer, \"window\") \
             ON CONFLICT (database_id, key) DO UPDATE SET sequence = excluded.sequence, answer = excluded.answer, \
                 created_at = clock_timestamp() \
                 WHERE r.created_at < clock_timestamp() - make_interval(secs => ( \
                     SELECT min(w.\"window\") FROM unnest($2::text[], $5::float8[]) AS w(key, \"window\") \
                     WHERE w.key = excluded.key)) \
             RETURNING database_id, key",
            &[&databases, &keys, &taken, &answers, &windows],
        )
        .await?;
        let added: BTreeSet<(i64, String)> =
            added.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect::<Result<_>>()?;
        let is_new = |receipt: &&Receipt| added.contains(&(receipt.database.0, receipt.key.clone()));
        if let Some(existing) = receipts.iter().find(|receipt| !is_new(receipt)) {
            return Err(receipt_exists(existing));
        }
        execute(
            transaction,
            doing,
            "DELETE FROM receipts WHERE (database_id, key) IN (\
                 SELECT database_id, key FROM receipts WHERE created_at < now() - make_interval(hours => $1) \
                 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            &[&i32::try_from(self.settings.receipts_kept_hours).unwrap_or(i32::MAX), &RECEIPTS_EXPIRED_MAX],
        )
        .await?;
        Ok(())
    }

    /// Revokes the reservation unless its commit took place; see `Extents::outcome`.
    ///
    /// The UPDATE waits for a commit that is still running. A row that is gone was collected and forgotten: nothing can be
    /// registered under it any more, but whether it was revoked, or registered and removed since, nobody knows.
    pub(crate) async fn resolve_outcome(&self, reservation: &Reservation) -> Result<Option<Committed>> {
        let doing = "outcome";
        failpoint::reach(Point::OutcomeBeforeAsk)?;
        let revoke = "UPDATE objects SET state = 'revoked' WHERE reservation_id = $1 AND state = 'reserved'";
        let outcome = match self.change(doing, revoke, &[&reservation.id.0]).await? {
            0 => {
                let sql = "SELECT sequences FROM objects WHERE reservation_id = $1";
                let rows = self.rows(doing, sql, &[&reservation.id.0]).await?;
                let Some(row) = rows.first() else { return Err(outcome_forgotten(reservation)) };
                let noted: Option<Json<BTreeMap<i64, i64>>> = get(row, 0)?;
                let sequences = |Json(noted): Json<BTreeMap<i64, i64>>| {
                    noted.into_iter().map(|(database, sequence)| (DatabaseId(database), Sequence(sequence))).collect()
                };
                noted.map(|noted| Committed { sequences: sequences(noted) })
            }
            _ => None,
        };
        failpoint::reach(Point::OutcomeAfterAsk)?;
        Ok(outcome)
    }
}

fn outcome_forgotten(reservation: &Reservation) -> Error {
    let message =
        format!("the object of a commit was collected before its outcome was asked: object={}", reservation.object_key);
    Error::conflict("catalog.outcome_forgotten", message)
        .hint("the writer stalled for longer than the garbage collector's grace; the rows may have been stored or not")
}

fn receipt_exists(receipt: &Receipt) -> Error {
    let message = format!("an idempotency key was used already: key={}", receipt.key);
    Error::conflict("catalog.receipt_exists", message)
}

/// Refuses what the catalog could not answer for later.
fn check_shape(commit: &Commit) -> Result<()> {
    for extent in &commit.extents {
        if extent.id.0 == Uuid::nil() || extent.id.0 == Uuid::max() {
            return Err(Error::invalid("catalog.extent_id", "an extent's id is nil or max"));
        }
        let elsewhere = |reservation: &Reservation| reservation.object_key != extent.location.key;
        if commit.reservation.as_ref().is_some_and(elsewhere) {
            let message = format!("an extent is not in the reserved object: key={}", extent.location.key);
            return Err(Error::invalid("catalog.object_mismatch", message));
        }
    }
    Ok(())
}

/// Step 1. An object without extents is garbage at once. Without a reservation, objects are adopted unless doomed.
async fn end_reservation(transaction: &Transaction<'_>, commit: &Commit) -> Result<()> {
    let doing = "end reservation";
    let Some(reservation) = &commit.reservation else {
        return adopt_objects(transaction, &commit.extents).await;
    };
    let state = if commit.extents.is_empty() { "doomed" } else { "registered" };
    let ended = execute(
        transaction,
        doing,
        "UPDATE objects SET state = $3 WHERE reservation_id = $1 AND key = $2 AND state = 'reserved'",
        &[&reservation.id.0, &reservation.object_key, &state],
    )
    .await?;
    if ended == 1 {
        return Ok(());
    }
    let message = format!("the reservation was revoked: object={}", reservation.object_key);
    Err(Error::conflict("catalog.reservation_revoked", message).hint(
        "the writer stalled for longer than the garbage collector's grace; write the object again under a new key",
    ))
}

async fn adopt_objects(transaction: &Transaction<'_>, extents: &[NewExtent]) -> Result<()> {
    if extents.is_empty() {
        return Ok(());
    }
    let doing = "adopt objects";
    let keys: BTreeSet<&str> = extents.iter().map(|extent| extent.location.key.as_str()).collect();
    let keys: Vec<&str> = keys.into_iter().collect();
    let adopt = "INSERT INTO objects (key, state) SELECT unnest($1::text[]), 'registered' ON CONFLICT (key) DO NOTHING";
    execute(transaction, doing, adopt, &[&keys]).await?;
    let check = "SELECT key FROM objects WHERE key = ANY($1) AND state = 'registered' ORDER BY key FOR SHARE";
    let usable = query(transaction, doing, check, &[&keys]).await?;
    if usable.len() == keys.len() {
        return Ok(());
    }
    Err(Error::conflict("catalog.object_doomed", "an object is reserved by someone else, or doomed"))
}

/// Step 2: every table exists, and which databases the commit touches.
async fn lock_tables(
    transaction: &Transaction<'_>,
    commit: &Commit,
    removal: Option<&Removal<'_>>,
) -> Result<BTreeSet<DatabaseId>> {
    let mut claimed: BTreeMap<TableId, Option<DatabaseId>> =
        commit.extents.iter().map(|extent| (extent.table, Some(extent.database))).collect();
    if let Some(removal) = removal {
        claimed.entry(removal.table).or_insert(None);
    }
    let mut databases: BTreeSet<DatabaseId> = commit.receipts.iter().map(|receipt| receipt.database).collect();
    if claimed.is_empty() {
        return Ok(databases);
    }
    let ids: Vec<i64> = claimed.keys().map(|table| table.0).collect();
    let sql = "SELECT id, database_id FROM tables WHERE id = ANY($1) AND dropped_at IS NULL ORDER BY id FOR KEY SHARE";
    for row in query(transaction, "lock tables", sql, &[&ids]).await? {
        let (table, database) = (TableId(get(&row, 0)?), DatabaseId(get(&row, 1)?));
        let agrees = claimed.remove(&table).is_some_and(|claim| claim.is_none_or(|claim| claim == database));
        if !agrees {
            return Err(Error::invalid(
                "catalog.database_mismatch",
                format!("a table is in another database: table={table}"),
            ));
        }
        databases.insert(database);
    }
    match claimed.keys().next() {
        None => Ok(databases),
        Some(table) => Err(table_unknown(*table)),
    }
}

pub(crate) fn table_unknown(table: TableId) -> Error {
    Error::not_found("catalog.table_unknown", format!("the table does not exist or was dropped: table={table}"))
}

/// Step 3. One UPDATE per database: the order of their locks is the order of their ids.
async fn take_sequences(
    transaction: &Transaction<'_>,
    databases: &BTreeSet<DatabaseId>,
) -> Result<BTreeMap<DatabaseId, Sequence>> {
    let mut sequences = BTreeMap::new();
    for database in databases {
        sequences.insert(*database, next_sequence(transaction, *database).await?);
    }
    Ok(sequences)
}

pub(crate) async fn next_sequence(transaction: &Transaction<'_>, database: DatabaseId) -> Result<Sequence> {
    let sql = "UPDATE databases SET sequence = sequence + 1 WHERE id = $1 RETURNING sequence";
    let rows = query(transaction, "take sequence", sql, &[&database.0]).await?;
    match rows.first() {
        Some(row) => Ok(Sequence(get(row, 0)?)),
        None => Err(database_unknown(database)),
    }
}

pub(crate) fn database_unknown(database: DatabaseId) -> Error {
    Error::not_found("catalog.database_unknown", format!("the database does not exist: database={database}"))
}

/// Step 4.
async fn remove_sources(
    transaction: &Transaction<'_>,
    removal: &Removal<'_>,
    sequences: &BTreeMap<DatabaseId, Sequence>,
) -> Result<()> {
    let ids: BTreeSet<Uuid> = removal.sources.iter().map(|source| source.0).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let databases: Vec<i64> = sequences.keys().map(|database| database.0).collect();
    let removed = execute(
        transaction,
        "remove sources",
        "UPDATE extents e SET removed_seq = d.sequence, removed_at = clock_timestamp() FROM databases d \
         WHERE e.id = ANY($1) AND e.table_id = $2 AND e.removed_seq IS NULL AND d.id = e.database_id AND d.id = ANY($3)",
        &[&ids, &removal.table.0, &databases],
    )
    .await?;
    if removed == ids.len() as u64 {
        return Ok(());
    }
    let message =
        format!("a source is not visible any more: table={}, sources={}, visible={removed}", removal.table, ids.len());
    Err(Error::conflict("catalog.sources_changed", message))
}

/// Step 6.
async fn add_extents(
    transaction: &Transaction<'_>,
    extents: &[NewExtent],
    sequences: &BTreeMap<DatabaseId, Sequence>,
) -> Result<()> {
    if extents.is_empty() {
        return Ok(());
    }
    let sequence =
        |extent: &NewExtent| sequences.get(&extent.database).copied().ok_or(database_unknown(extent.database));
    let with_sequence: Vec<(&NewExtent, Sequence)> =
        extents.iter().map(|extent| Ok((extent, sequence(extent)?))).collect::<Result<_>>()?;
    rows::write(transaction, &with_sequence).await
}

/// Step 7.
async fn note_sequences(
    transaction: &Transaction<'_>,
    reservation: Option<&Reservation>,
    sequences: &BTreeMap<DatabaseId, Sequence>,
) -> Result<()> {
    let Some(reservation) = reservation else { return Ok(()) };
    let noted: BTreeMap<i64, i64> = sequences.iter().map(|(database, sequence)| (database.0, sequence.0)).collect();
    let sql = "UPDATE objects SET sequences = $2 WHERE reservation_id = $1";
    execute(transaction, "note sequences", sql, &[&reservation.id.0, &Json(noted)]).await?;
    Ok(())
}
