//! The snapshots that a node's queries read, and the heartbeat that tells the catalog of them, as a server does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kyma_core::catalog::Catalog;
use kyma_core::{DatabaseId, NodeId, Sequence};
use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// For how long what was told counts: some heartbeats may be missed.
pub const TOLD: Duration = Duration::from_secs(60);

/// Counts the queries that read each snapshot; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Holds(Arc<Mutex<BTreeMap<(DatabaseId, Sequence), usize>>>);

/// A query that reads a snapshot, until dropped.
#[derive(Debug)]
pub struct Hold {
    holds: Holds,
    of: (DatabaseId, Sequence),
}

impl Holds {
    /// Counts a query in.
    pub fn take(&self, database: DatabaseId, at: Sequence) -> Hold {
        let of = (database, at);
        *self.0.lock().entry(of).or_default() += 1;
        Hold { holds: self.clone(), of }
    }

    fn oldest(&self) -> BTreeMap<DatabaseId, Sequence> {
        let mut oldest = BTreeMap::new();
        for (database, at) in self.0.lock().keys() {
            oldest.entry(*database).or_insert(*at);
        }
        oldest
    }

    /// Tells the catalog every `period`; one that fails is told at the next. In the end it is told that nothing is read.
    pub async fn beat(self, catalog: Arc<dyn Catalog>, node: NodeId, period: Duration, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let oldest = self.oldest();
            let _ = catalog.hold(node, &oldest, TOLD).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleep(period) => {}
            }
        }
        let _ = catalog.hold(node, &BTreeMap::new(), Duration::ZERO).await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut counts = self.holds.0.lock();
        let Some(count) = counts.get_mut(&self.of) else { return };
        *count -= 1;
        if *count == 0 {
            counts.remove(&self.of);
        }
    }
}
