//! What every handler shares.

use std::sync::Arc;

use kyma_core::catalog::{Catalog, Node};
use kyma_core::clock::Clock;
use kyma_core::format::Formats;
use kyma_core::{Error, Result};
use kyma_exec::Engine;
use kyma_ingest::Ingester;
use kyma_storage::Store;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::drain::Drain;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::queries::Queries;
use crate::settings::{Role, Settings};

/// The parts of a running node.
pub(crate) struct State {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) ingester: Arc<Ingester>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) formats: Arc<Formats>,
    /// Name of the format of tables that a command creates.
    pub(crate) default_format: String,
    pub(crate) settings: Settings,
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) admission: Admission,
    /// What is asked here.
    pub(crate) queries: Arc<Queries>,
    /// Commands that were answered and still run.
    pub(crate) operations: TaskTracker,
    /// Turns of uploads.
    pub(crate) uploads: Semaphore,
    pub(crate) node: Node,
    /// Whether the catalog and the store are there.
    pub(crate) health: Health,
    /// How far the node has left.
    pub(crate) drain: Drain,
}

pub(crate) type Shared = Arc<State>;

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("node", &self.node).finish_non_exhaustive()
    }
}

impl State {
    /// Refuses what another node does.
    pub(crate) fn require(&self, role: Role) -> Result<()> {
        if self.settings.has(role) {
            return Ok(());
        }
        Err(Error::unavailable("server.role", format!("this node does not take the role: role={}", role.name()))
            .hint("ask a node that has it, or add it to `roles`"))
    }

    /// The database of a request that may name none.
    pub(crate) fn database_or_default(&self, named: Option<String>) -> String {
        named.filter(|name| !name.is_empty()).unwrap_or_else(|| self.settings.default_database.clone())
    }
}
