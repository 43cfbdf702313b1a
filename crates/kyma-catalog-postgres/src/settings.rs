//! How the catalog is talked to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of [`crate::PostgresCatalog`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogSettings {
    /// Longest wait for a new connection.
    pub connect_timeout_millis: u64,
    /// Longest run of one statement; an operation of several gets twice this.
    pub statement_timeout_millis: u64,
    /// Most connections of one node.
    pub connections_max: usize,
    /// How long an idempotency key is remembered at least.
    pub receipts_kept_hours: u32,
}

impl Default for CatalogSettings {
    fn default() -> Self {
        CatalogSettings {
            connect_timeout_millis: 5_000,
            statement_timeout_millis: 30_000,
            connections_max: 16,
            receipts_kept_hours: 7 * 24,
        }
    }
}

impl CatalogSettings {
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_millis.max(1))
    }

    pub(crate) fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_millis.max(1))
    }

    /// Longest time from asking to answer: a wait for a connection, and some statements.
    pub(crate) fn operation_timeout(&self) -> Duration {
        self.connect_timeout() + self.statement_timeout() * 2
    }
}
