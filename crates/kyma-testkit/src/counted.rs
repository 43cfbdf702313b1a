//! A catalog that counts what it is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use kyma_core::catalog::*;
use kyma_core::extent::Extent;
use kyma_core::{Column, DatabaseId, ExtentId, NodeId, Result, Sequence, TableId, TaskId};
use parking_lot::Mutex;
use uuid::Uuid;

/// The decorator.
#[derive(Debug)]
pub struct CountedCatalog {
    inner: Arc<dyn Catalog>,
    asked: Mutex<BTreeMap<&'static str, usize>>,
}

impl CountedCatalog {
    /// Over `inner`.
    pub fn new(inner: Arc<dyn Catalog>) -> Arc<Self> {
        Arc::new(CountedCatalog { inner, asked: Mutex::default() })
    }

    /// What is asked without being counted.
    pub fn inner(&self) -> &Arc<dyn Catalog> {
        &self.inner
    }

    /// How often each method was called since this was last asked.
    pub fn asked(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut self.asked.lock())
    }

    fn count(&self, method: &'static str) -> &dyn Catalog {
        *self.asked.lock().entry(method).or_default() += 1;
        &*self.inner
    }
}

/// Methods that count and ask on.
macro_rules! counted {
    ($($trait:ident { $(fn $method:ident($($name:ident: $ty:ty),*) -> $out:ty;)* } and { $($more:item)* })*) => {$(
        #[async_trait]
        impl $trait for CountedCatalog {
            $(async fn $method(&self, $($name: $ty),*) -> Result<$out> {
                self.count(stringify!($method)).$method($($name),*).await
            })*
            $($more)*
        }
    )*};
}

counted! {
    Tables {
        fn ensure_database(name: &str) -> Database;
        fn database(name: &str) -> Option<Database>;
        fn databases() -> Vec<Database>;
        fn ensure_table(database: DatabaseId, name: &str, new: &NewTable) -> Table;
        fn table(database: DatabaseId, name: &str) -> Option<Table>;
        fn table_by_id(table: TableId) -> Option<Table>;
        fn tables(database: DatabaseId) -> Vec<Table>;
        fn grow_table(table: TableId, columns: &[Column]) -> Table;
        fn set_format(table: TableId, format: &str) -> Table;
        fn set_deduplication(table: TableId, seconds: u32) -> Table;
        fn set_columns(table: TableId, version: i64, columns: &[Column]) -> Table;
        fn rename_tables(database: DatabaseId, names: &[(String, String)]) -> ();
        fn drop_table(table: TableId) -> ();
        fn totals(table: TableId, at: Sequence) -> TableTotals;
    } and {}
    Extents {
        fn pin(database: DatabaseId) -> Sequence;
        fn pins(known: &BTreeMap<DatabaseId, Sequence>) -> Vec<DatabasePin>;
        fn changes(query: &ChangeQuery) -> Option<Vec<Extent>>;
        fn reserve(writer: NodeId, object_key: &str) -> Reservation;
        fn commit(commit: &Commit) -> Committed;
        fn outcome(reservation: &Reservation) -> Option<Committed>;
        fn receipt(database: DatabaseId, key: &str, window_seconds: Option<u32>) -> Option<(serde_json::Value, Sequence)>;
        fn receipts(database: DatabaseId, prefix: &str) -> Vec<(String, serde_json::Value, Sequence)>;
        fn replace(table: TableId, sources: &[ExtentId], commit: &Commit) -> Committed;
    } and {
        fn list(&self, query: ExtentQuery) -> BoxStream<'static, Result<Extent>> {
            self.count("list").list(query)
        }
    }
    Upkeep {
        fn uncompacted_tables(limit: usize) -> Vec<Uncompacted>;
        fn uncompacted(table: TableId, limit: usize) -> Vec<Extent>;
        fn still_visible(table: TableId, extents: &[ExtentId]) -> Vec<Extent>;
    } and {}
    Garbage {
        fn created() -> i64;
        fn revoke_stale(age: Duration, limit: usize) -> Vec<DoomedObject>;
        fn hold(node: NodeId, oldest: &BTreeMap<DatabaseId, Sequence>, time: Duration) -> ();
        fn doom_removed(grace: Duration, limit: usize) -> Vec<DoomedObject>;
        fn doom_unknown(keys: &[String]) -> Vec<DoomedObject>;
        fn doomed(limit: usize) -> Vec<DoomedObject>;
        fn forget(key: &str) -> ();
    } and {}
    Nodes {
        fn heartbeat(node: &Node) -> ();
        fn leave(node: NodeId) -> ();
        fn live(within: Duration) -> Vec<Node>;
    } and {}
    Tasks {
        fn enqueue(task: &NewTask) -> bool;
        fn claim(node: NodeId, kinds: &[String], lease: Duration) -> Option<ClaimedTask>;
        fn renew(task: TaskId, token: i64, lease: Duration) -> ();
        fn complete(task: TaskId, token: i64) -> ();
        fn fail(task: TaskId, token: i64, error: &str) -> ();
        fn give_back(task: TaskId, token: i64) -> ();
        fn recent(limit: usize) -> Vec<TaskStatus>;
        fn open_tasks(kind: &str, parked_within: Duration, limit: usize) -> Vec<TaskStatus>;
        fn task_counts() -> Vec<TaskCount>;
        fn unpark(task: TaskId) -> Option<TaskStatus>;
    } and {}
    Definitions {
        fn ingestion_mapping(table: TableId, name: &str) -> Option<IngestionMapping>;
        fn ingestion_mappings(table: TableId) -> Vec<IngestionMapping>;
        fn put_ingestion_mapping(mapping: &IngestionMapping, replace: bool) -> ();
        fn drop_ingestion_mapping(table: TableId, kind: &str, name: &str) -> bool;
        fn functions(database: DatabaseId) -> Vec<StoredFunction>;
        fn put_function(database: DatabaseId, function: &StoredFunction, replace: bool) -> ();
        fn drop_function(database: DatabaseId, name: &str) -> bool;
        fn table_texts(database: DatabaseId) -> BTreeMap<TableId, TableTexts>;
        fn put_table_texts(table: TableId, texts: &TableTexts) -> ();
        fn policies(database: DatabaseId) -> Vec<Policy>;
        fn put_policy(policy: &Policy) -> ();
        fn drop_policy(database: DatabaseId, table: Option<TableId>, kind: &str) -> bool;
    } and {}
    Operations {
        fn begin_operation(id: Uuid, database: &str, kind: &str, node: NodeId) -> ();
        fn note_operation(id: Uuid, node: NodeId, details: &str) -> ();
        fn end_operation(id: Uuid, error: Option<&str>) -> ();
        fn operations(id: Option<Uuid>, limit: usize) -> Vec<Operation>;
    } and {}
    History {
        fn expired(query: &ExpiryQuery) -> Vec<Extent>;
        fn sequence_at(database: DatabaseId, time: i64) -> Sequence;
        fn oldest(database: DatabaseId) -> Sequence;
        fn tables_at(database: DatabaseId, at: Sequence) -> Vec<Table>;
        fn dropped_tables(database: DatabaseId) -> Vec<DroppedTable>;
        fn undrop_table(table: TableId, name: &str) -> Table;
        fn give_up_dropped(grace: Duration, limit: usize) -> GivenUp;
        fn forget_times(grace: Duration) -> u64;
    } and {}
    Catalog {
        fn ping() -> ();
    } and {}
}
