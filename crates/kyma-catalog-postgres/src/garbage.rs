//! What may be deleted from the store.
//!
//! Order of use: doom here, delete the object, forget here. Revoking is one UPDATE of the row that a commit must change
//! too, so an object is either registered or doomed. A collector that dies in between leaves the row, and
//! [`Garbage::doomed`] finds it again.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use kyma_core::catalog::{DoomedObject, Garbage};
use kyma_core::failpoint::{self, Point};
use kyma_core::{DatabaseId, NodeId, Result, Sequence};
use tokio_postgres::Row;

use crate::pool::{PostgresCatalog, execute, get, query, transact};

#[async_trait]
impl Garbage for PostgresCatalog {
    async fn created(&self) -> Result<i64> {
        let sql = "SELECT (extract(epoch FROM created_at) * 1000000)::bigint FROM catalog";
        let rows = self.rows("created", sql, &[]).await?;
        let micros: i64 = rows.first().map(|row| get(row, 0)).transpose()?.unwrap_or(i64::MAX);
        Ok(micros.saturating_mul(1_000))
    }

    async fn revoke_stale(&self, age: Duration, limit: usize) -> Result<Vec<DoomedObject>> {
        let sql = "UPDATE objects SET state = 'revoked' WHERE key IN (\
                       SELECT key FROM objects WHERE state = 'reserved' \
                       AND reserved_at < clock_timestamp() - make_interval(secs => $1) \
                       ORDER BY reserved_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
                   RETURNING key";
        let rows = self.rows("revoke stale", sql, &[&age.as_secs_f64(), &bounded(limit)]).await?;
        rows.iter().map(read).collect()
    }

    /// Also forgets what nodes held that are gone.
    async fn hold(&self, node: NodeId, oldest: &BTreeMap<DatabaseId, Sequence>, time: Duration) -> Result<()> {
        let sql = "WITH gone AS (DELETE FROM holds WHERE until < clock_timestamp() - interval '1 hour' \
                       OR node_id = $1 AND database_id <> ALL($2)) \
                   INSERT INTO holds AS h (node_id, database_id, sequence, until) \
                   SELECT $1, d, s, clock_timestamp() + make_interval(secs => $4) \
                   FROM unnest($2::bigint[], $3::bigint[]) AS n(d, s) \
                   ON CONFLICT (node_id, database_id) DO UPDATE SET sequence = excluded.sequence, until = excluded.until";
        let (databases, sequences): (Vec<i64>, Vec<i64>) = oldest.iter().map(|(id, at)| (id.0, at.0)).unzip();
        self.change("hold", sql, &[&node.0, &databases, &sequences, &time.as_secs_f64()]).await.map(drop)
    }

    /// Two statements, because extents may be added to a registered object (see `commit::adopt_objects`, which locks its
    /// row): whether one is visible counts only when it is looked at under the object's lock.
    async fn doom_removed(&self, grace: Duration, limit: usize) -> Result<Vec<DoomedObject>> {
        let doing = "doom removed";
        let grace = grace.as_secs_f64();
        let lock = "SELECT key FROM objects WHERE state = 'registered' AND key IN (\
                        SELECT DISTINCT r.object_key FROM extents r JOIN objects o ON o.key = r.object_key \
                        WHERE o.state = 'registered' \
                        AND r.removed_at < clock_timestamp() - make_interval(secs => $1) \
                        AND NOT EXISTS (SELECT 1 FROM extents e WHERE e.object_key = r.object_key AND (\
                            e.removed_at IS NULL OR e.removed_at >= clock_timestamp() - make_interval(secs => $1) \
                            OR EXISTS (SELECT 1 FROM holds h WHERE h.database_id = e.database_id \
                                AND h.sequence < e.removed_seq AND h.until > clock_timestamp()))) \
                        LIMIT $2) \
                    FOR UPDATE SKIP LOCKED";
        let doom = "UPDATE objects o SET state = 'doomed' WHERE o.key = ANY($2) AND NOT EXISTS (\
                        SELECT 1 FROM extents e WHERE e.object_key = o.key AND (\
                            e.removed_at IS NULL OR e.removed_at >= clock_timestamp() - make_interval(secs => $1) \
                            OR EXISTS (SELECT 1 FROM holds h WHERE h.database_id = e.database_id \
                                AND h.sequence < e.removed_seq AND h.until > clock_timestamp()))) \
                    RETURNING o.key";
        transact!(self, doing, |transaction| {
            let locked = query(transaction, doing, lock, &[&grace, &bounded(limit)]).await?;
            let keys: Vec<String> = locked.iter().map(|row| get(row, 0)).collect::<Result<_>>()?;
            let doomed = query(transaction, doing, doom, &[&grace, &keys]).await?;
            doomed.iter().map(read).collect()
        })
    }

    async fn doom_unknown(&self, keys: &[String]) -> Result<Vec<DoomedObject>> {
        let sql = "INSERT INTO objects (key, state) SELECT DISTINCT unnest($1::text[]), 'doomed' \
                   ON CONFLICT (key) DO NOTHING RETURNING key";
        let rows = self.rows("doom unknown", sql, &[&keys]).await?;
        rows.iter().map(read).collect()
    }

    async fn doomed(&self, limit: usize) -> Result<Vec<DoomedObject>> {
        let sql = "SELECT key FROM objects WHERE state IN ('revoked', 'doomed') ORDER BY key LIMIT $1";
        let rows = self.rows("doomed", sql, &[&bounded(limit)]).await?;
        rows.iter().map(read).collect()
    }

    async fn forget(&self, key: &str) -> Result<()> {
        let doing = "forget";
        transact!(self, doing, |transaction| {
            let forget = "DELETE FROM objects WHERE key = $1 AND state IN ('revoked', 'doomed')";
            if execute(transaction, doing, forget, &[&key]).await? == 1 {
                execute(transaction, doing, "DELETE FROM extents WHERE object_key = $1", &[&key]).await?;
            }
            failpoint::reach(Point::GarbageBeforeForgotten)?;
            Ok(())
        })
    }
}

fn read(row: &Row) -> Result<DoomedObject> {
    Ok(DoomedObject { key: get(row, 0)? })
}

fn bounded(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
