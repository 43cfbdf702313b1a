//! Who is there, by the catalog's clock.

use std::time::Duration;

use async_trait::async_trait;
use kyma_core::catalog::{Node, Nodes};
use kyma_core::{NodeId, Result};

use crate::pool::{PostgresCatalog, get};

#[async_trait]
impl Nodes for PostgresCatalog {
    /// Also removes rows of nodes that died more than a day ago.
    async fn heartbeat(&self, node: &Node) -> Result<()> {
        let sql = "WITH swept AS (DELETE FROM nodes WHERE heartbeat_at < clock_timestamp() - interval '1 day' AND id <> $1) \
                   INSERT INTO nodes (id, roles, http_address, grpc_address, version, zone, heartbeat_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp()) \
                   ON CONFLICT (id) DO UPDATE SET roles = excluded.roles, http_address = excluded.http_address, \
                   grpc_address = excluded.grpc_address, version = excluded.version, zone = excluded.zone, \
                   heartbeat_at = excluded.heartbeat_at";
        let Node { id, roles, http_address, grpc_address, version, zone } = node;
        self.change("heartbeat", sql, &[&id.0, roles, http_address, grpc_address, version, zone]).await.map(drop)
    }

    async fn leave(&self, node: NodeId) -> Result<()> {
        self.change("leave", "DELETE FROM nodes WHERE id = $1", &[&node.0]).await.map(drop)
    }

    async fn live(&self, within: Duration) -> Result<Vec<Node>> {
        let sql = "SELECT id, roles, http_address, grpc_address, version, zone FROM nodes \
                   WHERE heartbeat_at >= clock_timestamp() - make_interval(secs => $1) ORDER BY id";
        let rows = self.rows("live", sql, &[&within.as_secs_f64()]).await?;
        let read = |row| {
            Ok(Node {
                id: NodeId(get(row, 0)?),
                roles: get(row, 1)?,
                http_address: get(row, 2)?,
                grpc_address: get(row, 3)?,
                version: get(row, 4)?,
                zone: get(row, 5)?,
            })
        };
        rows.iter().map(read).collect()
    }
}
