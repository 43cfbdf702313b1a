//! Snapshots, reservations, receipts, and the changes of a table's extents; the list of them is in `list.rs`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::stream::BoxStream;
use kyma_core::catalog::{
    ChangeQuery, Commit, Committed, Database, DatabasePin, ExtentQuery, Extents, Reservation, TableChange,
};
use kyma_core::extent::Extent;
use kyma_core::{DatabaseId, Error, ExtentId, NodeId, ReservationId, Result, Sequence, TableId};
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use crate::commit::{Removal, database_unknown};
use crate::list;
use crate::pool::{PostgresCatalog, get};
use crate::rows;

const PINS: &str = "SELECT d.id, d.name, d.sequence, d.schema_version, m.tables, m.sequences, m.counts, m.rows \
    FROM databases d LEFT JOIN unnest($1::bigint[], $2::bigint[]) AS k(id, sequence) ON k.id = d.id \
    LEFT JOIN LATERAL ( \
        SELECT array_agg(table_id) AS tables, array_agg(sequence) AS sequences, array_agg(extent_count) AS counts, \
            array_agg(row_count) AS rows \
        FROM manifests WHERE database_id = d.id AND sequence > k.sequence) m ON true \
    ORDER BY d.name";

/// A row without an extent when nothing changed: `is_lost` is always told, by the statement that looked.
const CHANGES: &str = concat!(
    "SELECT e.*, coalesce((SELECT forgotten_seq > $2 FROM manifests WHERE table_id = $1), false) AS is_lost \
     FROM (SELECT) always LEFT JOIN ( \
        SELECT * FROM (SELECT ",
    rows::columns!(),
    ", removed_seq FROM extents WHERE table_id = $1 AND added_seq > $2 AND added_seq <= $3 \
        UNION ALL SELECT ",
    rows::columns!(),
    ", removed_seq FROM extents WHERE table_id = $1 AND removed_seq > $2 AND removed_seq <= $3 AND added_seq <= $2) c \
        WHERE time_end >= $4 AND time_start <= $5 LIMIT $6) e ON true"
);

#[async_trait]
impl Extents for PostgresCatalog {
    async fn pin(&self, database: DatabaseId) -> Result<Sequence> {
        let rows = self.rows("pin", "SELECT sequence FROM databases WHERE id = $1", &[&database.0]).await?;
        match rows.first() {
            Some(row) => Ok(Sequence(get(row, 0)?)),
            None => Err(database_unknown(database)),
        }
    }

    async fn pins(&self, known: &BTreeMap<DatabaseId, Sequence>) -> Result<Vec<DatabasePin>> {
        let (ids, sequences): (Vec<i64>, Vec<i64>) = known.iter().map(|(id, sequence)| (id.0, sequence.0)).unzip();
        let rows = self.rows("pins", PINS, &[&ids, &sequences]).await?;
        rows.iter().map(read_pin).collect()
    }

    async fn changes(&self, query: &ChangeQuery) -> Result<Option<Vec<Extent>>> {
        let ChangeQuery { table, after, to, time, limit } = query;
        let fetched = i64::try_from(*limit).unwrap_or(i64::MAX).saturating_add(1);
        let params: [&(dyn ToSql + Sync); 6] = [&table.0, &after.0, &to.0, &time.start, &time.end, &fetched];
        let rows = self.rows("changes", CHANGES, &params).await?;
        let is_lost = rows.first().map(|row| get::<bool>(row, rows::REMOVED + 1)).transpose()?;
        if is_lost.unwrap_or(true) || rows.len() > *limit {
            return Ok(None);
        }
        let changed = rows.iter().filter(|row| matches!(row.try_get::<_, Option<Uuid>>(rows::ID), Ok(Some(_))));
        changed.map(rows::read).collect::<Result<_>>().map(Some)
    }

    async fn reserve(&self, writer: NodeId, object_key: &str) -> Result<Reservation> {
        let id = ReservationId::generate();
        let sql = "INSERT INTO objects (key, state, reservation_id, writer) VALUES ($1, 'reserved', $2, $3) \
                   ON CONFLICT (key) DO NOTHING";
        let reserved = self.change("reserve", sql, &[&object_key, &id.0, &writer.0]).await?;
        if reserved == 1 {
            return Ok(Reservation { id, object_key: object_key.to_owned(), writer });
        }
        Err(Error::conflict("catalog.object_reserved", format!("the object key was used already: key={object_key}")))
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed> {
        self.commit_retrying(commit, None).await
    }

    async fn outcome(&self, reservation: &Reservation) -> Result<Option<Committed>> {
        self.resolve_outcome(reservation).await
    }

    async fn receipt(
        &self,
        database: DatabaseId,
        key: &str,
        window_seconds: Option<u32>,
    ) -> Result<Option<(serde_json::Value, Sequence)>> {
        let sql = "SELECT answer, sequence FROM receipts WHERE database_id = $1 AND key = $2 \
                   AND ($3::float8 IS NULL OR created_at >= clock_timestamp() - make_interval(secs => $3))";
        let window = window_seconds.map(f64::from);
        let rows = self.rows("receipt", sql, &[&database.0, &key, &window]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Json(answer): Json<serde_json::Value> = get(row, 0)?;
        Ok(Some((answer, Sequence(get(row, 1)?))))
    }

    async fn receipts(&self, database: DatabaseId, prefix: &str) -> Result<Vec<(String, serde_json::Value, Sequence)>> {
        let sql =
            "SELECT key, answer, sequence FROM receipts WHERE database_id = $1 AND starts_with(key, $2) ORDER BY key";
        let rows = self.rows("receipts", sql, &[&database.0, &prefix]).await?;
        let read = |row| {
            let Json(answer): Json<serde_json::Value> = get(row, 1)?;
            Ok((get(row, 0)?, answer, Sequence(get(row, 2)?)))
        };
        rows.iter().map(read).collect()
    }

    fn list(&self, query: ExtentQuery) -> BoxStream<'static, Result<Extent>> {
        list::list(self.clone(), query)
    }

    async fn replace(&self, table: TableId, sources: &[ExtentId], commit: &Commit) -> Result<Committed> {
        self.commit_retrying(commit, Some(Removal { table, sources })).await
    }
}

fn read_pin(row: &Row) -> Result<DatabasePin> {
    let database = Database { id: DatabaseId(get(row, 0)?), name: get(row, 1)? };
    let list = |place| get::<Option<Vec<i64>>>(row, place).map(Option::unwrap_or_default);
    let changed = list(4)?.into_iter().zip(list(5)?).zip(list(6)?.into_iter().zip(list(7)?));
    let changed = changed.map(|((table, sequence), (extents, rows))| TableChange {
        table: TableId(table),
        sequence: Sequence(sequence),
        extents: extents.unsigned_abs(),
        rows: rows.unsigned_abs(),
    });
    Ok(DatabasePin {
        database,
        sequence: Sequence(get(row, 2)?),
        schema_version: get(row, 3)?,
        changed: changed.collect(),
    })
}
