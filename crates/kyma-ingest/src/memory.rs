//! Bounded memory of buffered rows, per node and per table.

use std::collections::HashMap;
use std::sync::Arc;

use kyma_core::{Error, Result, TableId};
use parking_lot::Mutex;

/// The bounds and what is used of them; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node_max: u64,
    table_max: u64,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    node: u64,
    tables: HashMap<TableId, u64>,
}

/// A part of the memory, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Memory,
    table: TableId,
    bytes: u64,
}

impl Memory {
    pub(crate) fn new(node_max: u64, table_max: u64) -> Self {
        Memory(Arc::new(Inner { node_max, table_max, used: Mutex::new(Used::default()) }))
    }

    /// Takes `bytes` for rows of `table`.
    ///
    /// # Errors
    /// `Exhausted` (`ingest.overloaded`) when there is no room now.
    pub(crate) fn hold(&self, table: TableId, bytes: u64) -> Result<Held> {
        let mut used = self.0.used.lock();
        let of_table = used.tables.get(&table).copied().unwrap_or(0);
        if used.node.saturating_add(bytes) > self.0.node_max {
            return Err(overloaded("this node", self.0.node_max));
        }
        if of_table.saturating_add(bytes) > self.0.table_max {
            return Err(overloaded("this table", self.0.table_max));
        }
        used.node += bytes;
        used.tables.insert(table, of_table + bytes);
        Ok(Held { memory: self.clone(), table, bytes })
    }

    /// Most bytes held over all tables.
    pub(crate) fn node_max(&self) -> u64 {
        self.0.node_max
    }

    /// Bytes held now.
    pub(crate) fn used(&self) -> u64 {
        self.0.used.lock().node
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut used = self.memory.0.used.lock();
        used.node = used.node.saturating_sub(self.bytes);
        let left = used.tables.get(&self.table).copied().unwrap_or(0).saturating_sub(self.bytes);
        if left == 0 {
            used.tables.remove(&self.table);
        } else {
            used.tables.insert(self.table, left);
        }
    }
}

fn overloaded(whose: &str, bytes_max: u64) -> Error {
    Error::exhausted("ingest.overloaded", format!("too many rows of {whose} wait to be stored: bytes_max={bytes_max}"))
        .hint("wait and send again; send fewer bytes at a time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_given_back() {
        let memory = Memory::new(100, 60);
        let first = memory.hold(TableId(1), 60).unwrap();
        assert_eq!(memory.hold(TableId(1), 1).unwrap_err().code(), "ingest.overloaded");
        let second = memory.hold(TableId(2), 40).unwrap();
        assert!(memory.hold(TableId(3), 1).is_err());
        drop(first);
        assert!(memory.hold(TableId(1), 60).is_ok());
        drop(second);
        assert_eq!(memory.used(), 0);
    }
}
