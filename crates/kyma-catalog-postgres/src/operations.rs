//! Commands that answer before they end.

use async_trait::async_trait;
use kyma_core::catalog::{Operation, Operations};
use kyma_core::{Error, NodeId, Result};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::pool::{PostgresCatalog, get};

/// Times as nanoseconds; PostgreSQL keeps microseconds.
const OPERATIONS: &str = "SELECT id, database_name, kind, node_id, state, status, details, \
    (extract(epoch FROM started_at) * 1000000)::bigint * 1000, \
    (extract(epoch FROM changed_at) * 1000000)::bigint * 1000 \
    FROM operations WHERE $1::uuid IS NULL OR id = $1 ORDER BY started_at DESC, id LIMIT $2";

#[async_trait]
impl Operations for PostgresCatalog {
    /// Also removes operations that began more than two weeks ago.
    async fn begin_operation(&self, id: Uuid, database: &str, kind: &str, node: NodeId) -> Result<()> {
        let sql = "WITH swept AS (DELETE FROM operations WHERE started_at < now() - interval '14 days') \
                   INSERT INTO operations (id, database_name, kind, node_id) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING";
        self.change("begin operation", sql, &[&id, &database, &kind, &node.0]).await.map(drop)
    }

    async fn note_operation(&self, id: Uuid, node: NodeId, details: &str) -> Result<()> {
        let sql = "UPDATE operations SET node_id = $2, details = $3, changed_at = clock_timestamp() \
                   WHERE id = $1 AND state = 'InProgress'";
        let details = details.replace('\0', "\u{fffd}");
        let noted = self.change("note operation", sql, &[&id, &node.0, &details]).await?;
        running(id, noted)
    }

    async fn end_operation(&self, id: Uuid, error: Option<&str>) -> Result<()> {
        let sql = "UPDATE operations SET state = $2, status = $3, changed_at = clock_timestamp() \
                   WHERE id = $1 AND state = 'InProgress'";
        let state = if error.is_some() { "Failed" } else { "Completed" };
        let status = error.unwrap_or("").replace('\0', "\u{fffd}");
        let ended = self.change("end operation", sql, &[&id, &state, &status]).await?;
        running(id, ended)
    }

    async fn operations(&self, id: Option<Uuid>, limit: usize) -> Result<Vec<Operation>> {
        let rows = self.rows("operations", OPERATIONS, &[&id, &i64::try_from(limit).unwrap_or(i64::MAX)]).await?;
        rows.iter().map(read_operation).collect()
    }
}

fn running(id: Uuid, changed: u64) -> Result<()> {
    if changed == 1 {
        return Ok(());
    }
    Err(Error::conflict("catalog.operation_ended", format!("the operation is not running: id={id}")))
}

fn read_operation(row: &Row) -> Result<Operation> {
    Ok(Operation {
        id: get(row, 0)?,
        database: get(row, 1)?,
        kind: get(row, 2)?,
        node: NodeId(get(row, 3)?),
        state: get(row, 4)?,
        status: get(row, 5)?,
        details: get(row, 6)?,
        started: get(row, 7)?,
        changed: get(row, 8)?,
    })
}
