//! The snapshots that running queries of this node read.
//!
//! The node tells the catalog the oldest of each database with its heartbeat, so that what a long query still reads is not
//! collected, however long it runs. A query that began after the last heartbeat is safe for the grace period, which is far
//! longer.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyma_core::ids::{DatabaseId, Sequence};
use parking_lot::Mutex;

use crate::snapshot::Snapshot;

type Counts = BTreeMap<DatabaseId, BTreeMap<Sequence, usize>>;

/// Counts the queries that read each snapshot; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Holds(Arc<Mutex<Counts>>);

/// A query that reads a snapshot, until dropped.
#[derive(Debug)]
pub struct Hold {
    holds: Holds,
    held: Vec<(DatabaseId, Sequence)>,
}

impl Holds {
    /// Counts a query in.
    pub fn take(&self, snapshot: &Snapshot) -> Hold {
        let held: Vec<_> = snapshot.databases.values().map(|pinned| (pinned.id, pinned.sequence)).collect();
        let mut counts = self.0.lock();
        for (database, sequence) in &held {
            *counts.entry(*database).or_default().entry(*sequence).or_default() += 1;
        }
        Hold { holds: self.clone(), held }
    }

    /// The oldest sequence of each database that some query reads.
    pub fn oldest(&self) -> BTreeMap<DatabaseId, Sequence> {
        let counts = self.0.lock();
        counts.iter().filter_map(|(database, of)| Some((*database, *of.keys().next()?))).collect()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut counts = self.holds.0.lock();
        for (database, sequence) in &self.held {
            let Some(of) = counts.get_mut(database) else { continue };
            if let Some(count) = of.get_mut(sequence) {
                *count -= 1;
                if *count == 0 {
                    of.remove(sequence);
                }
            }
            if of.is_empty() {
                counts.remove(database);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::PinnedDatabase;

    fn snapshot(sequence: i64) -> Snapshot {
        let pinned = PinnedDatabase {
            id: DatabaseId(1),
            sequence: Sequence(sequence),
            tables: Arc::default(),
            functions: Arc::default(),
            hot: Arc::default(),
            changes: Arc::default(),
        };
        Snapshot { databases: BTreeMap::from([("d".to_owned(), pinned)]), ..Snapshot::default() }
    }

    #[test]
    fn the_oldest_is_held_until_its_last_query_ends() {
        let holds = Holds::default();
        let oldest = || holds.oldest().get(&DatabaseId(1)).map(|sequence| sequence.0);
        let (one, two, later) = (holds.take(&snapshot(3)), holds.take(&snapshot(3)), holds.take(&snapshot(5)));
        drop(one);
        assert_eq!(oldest(), Some(3));
        drop(two);
        assert_eq!(oldest(), Some(5));
        drop(later);
        assert_eq!(oldest(), None);
    }
}
