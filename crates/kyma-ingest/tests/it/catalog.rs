//! A catalog that fails as told, over the real one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use kyma_core::catalog::*;
use kyma_core::extent::Extent;
use kyma_core::{Column, DatabaseId, Error, ExtentId, NodeId, Result, Sequence, TableId, TaskId};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What happens to the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitFault {
    /// The catalog is away.
    Down,
    /// It happens, and the answer is lost.
    LostAnswer,
    /// It does not happen, and nobody knows.
    LostRequest,
    /// The reservation is revoked just before.
    Revoked,
    /// It waits until released.
    Stall,
    /// It is refused; nobody can tell for whose fault.
    Refused,
}

/// The decorator.
#[derive(Debug)]
pub(crate) struct FaultyCatalog {
    inner: Arc<dyn Catalog>,
    plan: Mutex<Vec<CommitFault>>,
    /// Releases a stalled commit.
    pub(crate) release: Notify,
    /// Told when a commit stalls.
    pub(crate) stalled: Notify,
}

impl FaultyCatalog {
    pub(crate) fn new(inner: Arc<dyn Catalog>) -> Arc<Self> {
        Arc::new(FaultyCatalog { inner, plan: Mutex::default(), release: Notify::new(), stalled: Notify::new() })
    }

    pub(crate) fn plan(&self, fault: CommitFault) {
        self.plan.lock().push(fault);
    }

    fn next(&self) -> Option<CommitFault> {
        let mut plan = self.plan.lock();
        if plan.is_empty() { None } else { Some(plan.remove(0)) }
    }
}

#[async_trait]
impl Tables for FaultyCatalog {
    async fn ensure_database(&self, name: &str) -> Result<Database> {
        self.inner.ensure_database(name).await
    }
    async fn database(&self, name: &str) -> Result<Option<Database>> {
        self.inner.database(name).await
    }
    async fn databases(&self) -> Result<Vec<Database>> {
        self.inner.databases().await
    }
    async fn ensure_table(&self, database: DatabaseId, name: &str, new: &NewTable) -> Result<Table> {
        self.inner.ensure_table(database, name, new).await
    }
    async fn table(&self, database: DatabaseId, name: &str) -> Result<Option<Table>> {
        self.inner.table(database, name).await
    }
    async fn table_by_id(&self, table: TableId) -> Result<Option<Table>> {
        self.inner.table_by_id(table).await
    }
    async fn tables(&self, database: DatabaseId) -> Result<Vec<Table>> {
        self.inner.tables(database).await
    }
    async fn grow_table(&self, table: TableId, columns: &[Column]) -> Result<Table> {
        self.inner.grow_table(table, columns).await
    }
    async fn set_format(&self, table: TableId, format: &str) -> Result<Table> {
        self.inner.set_format(table, format).await
    }
    async fn set_deduplication(&self, table: TableId, seconds: u32) -> Result<Table> {
        self.inner.set_deduplication(table, seconds).await
    }
    async fn set_columns(&self, table: TableId, version: i64, columns: &[Column]) -> Result<Table> {
        self.inner.set_columns(table, version, columns).await
    }
    async fn rename_tables(&self, database: DatabaseId, names: &[(String, String)]) -> Result<()> {
        self.inner.rename_tables(database, names).await
    }
    async fn drop_table(&self, table: TableId) -> Result<()> {
        self.inner.drop_table(table).await
    }
    async fn totals(&self, table: TableId, at: Sequence) -> Result<TableTotals> {
        self.inner.totals(table, at).await
    }
}

#[async_trait]
impl Extents for FaultyCatalog {
    async fn pin(&self, database: DatabaseId) -> Result<Sequence> {
        self.inner.pin(database).await
    }
    async fn pins(&self, known: &BTreeMap<DatabaseId, Sequence>) -> Result<Vec<DatabasePin>> {
        self.inner.pins(known).await
    }
    async fn changes(&self, query: &ChangeQuery) -> Result<Option<Vec<Extent>>> {
        self.inner.changes(query).await
    }
    async fn reserve(&self, writer: NodeId, object_key: &str) -> Result<Reservation> {
        self.inner.reserve(writer, object_key).await
    }
    async fn commit(&self, commit: &Commit) -> Result<Committed> {
        let unknown = || Error::unavailable("catalog.commit_unknown", "injected");
        match self.next() {
            None => {}
            Some(CommitFault::Down) => return Err(Error::unavailable("catalog.unavailable", "injected")),
            Some(CommitFault::LostRequest) => return Err(unknown()),
            Some(CommitFault::LostAnswer) => {
                self.inner.commit(commit).await?;
                return Err(unknown());
            }
            Some(CommitFault::Revoked) => {
                self.inner.revoke_stale(Duration::ZERO, 1_000).await?;
            }
            Some(CommitFault::Refused) => return Err(Error::invalid("catalog.text_invalid", "injected")),
            Some(CommitFault::Stall) => {
                self.stalled.notify_one();
                self.release.notified().await;
            }
        }
        self.inner.commit(commit).await
    }
    async fn outcome(&self, reservation: &Reservation) -> Result<Option<Committed>> {
        self.inner.outcome(reservation).await
    }
    async fn receipt(
        &self,
        database: DatabaseId,
        key: &str,
        window_seconds: Option<u32>,
    ) -> Result<Option<(serde_json::Value, Sequence)>> {
        self.inner.receipt(database, key, window_seconds).await
    }
    async fn receipts(&self, database: DatabaseId, prefix: &str) -> Result<Vec<(String, serde_json::Value, Sequence)>> {
        self.inner.receipts(database, prefix).await
    }
    fn list(&self, query: ExtentQuery) -> BoxStream<'static, Result<Extent>> {
        self.inner.list(query)
    }
    async fn replace(&self, table: TableId, sources: &[ExtentId], commit: &Commit) -> Result<Committed> {
        self.inner.replace(table, sources, commit).await
    }
}

#[async_trait]
impl Upkeep for FaultyCatalog {
    async fn uncompacted_tables(&self, limit: usize) -> Result<Vec<Uncompacted>> {
        self.inner.uncompacted_tables(limit).await
    }
    async fn uncompacted(&self, table: TableId, limit: usize) -> Result<Vec<Extent>> {
        self.inner.uncompacted(table, limit).await
    }
    async fn still_visible(&self, table: TableId, extents: &[ExtentId]) -> Result<Vec<Extent>> {
        self.inner.still_visible(table, extents).await
    }
}

#[async_trait]
impl Garbage for FaultyCatalog {
    async fn revoke_stale(&self, age: Duration, limit: usize) -> Result<Vec<DoomedObject>> {
        self.inner.revoke_stale(age, limit).await
    }
    async fn hold(&self, node: NodeId, oldest: &BTreeMap<DatabaseId, Sequence>, time: Duration) -> Result<()> {
        self.inner.hold(node, oldest, time).await
    }
    async fn doom_removed(&self, grace: Duration, limit: usize) -> Result<Vec<DoomedObject>> {
        self.inner.doom_removed(grace, limit).await
    }
    async fn doom_unknown(&self, keys: &[String]) -> Result<Vec<DoomedObject>> {
        self.inner.doom_unknown(keys).await
    }
    async fn doomed(&self, limit: usize) -> Result<Vec<DoomedObject>> {
        self.inner.doomed(limit).await
    }
    async fn forget(&self, key: &str) -> Result<()> {
        self.inner.forget(key).await
    }
}

#[async_trait]
impl Nodes for FaultyCatalog {
    async fn heartbeat(&self, node: &Node) -> Result<()> {
        self.inner.heartbeat(node).await
    }
    async fn leave(&self, node: NodeId) -> Result<()> {
        self.inner.leave(node).await
    }
    async fn live(&self, within: Duration) -> Result<Vec<Node>> {
        self.inner.live(within).await
    }
}

#[async_trait]
impl Tasks for FaultyCatalog {
    async fn enqueue(&self, task: &NewTask) -> Result<bool> {
        self.inner.enqueue(task).await
    }
    async fn claim(&self, node: NodeId, kinds: &[String], lease: Duration) -> Result<Option<ClaimedTask>> {
        self.inner.claim(node, kinds, lease).await
    }
    async fn renew(&self, task: TaskId, token: i64, lease: Duration) -> Result<()> {
        self.inner.renew(task, token, lease).await
    }
    async fn complete(&self, task: TaskId, token: i64) -> Result<()> {
        self.inner.complete(task, token).await
    }
    async fn fail(&self, task: TaskId, token: i64, error: &str) -> Result<()> {
        self.inner.fail(task, token, error).await
    }
    async fn give_back(&self, task: TaskId, token: i64) -> Result<()> {
        self.inner.give_back(task, token).await
    }
    async fn recent(&self, limit: usize) -> Result<Vec<TaskStatus>> {
        self.inner.recent(limit).await
    }
    async fn open_tasks(&self, kind: &str, parked_within: Duration, limit: usize) -> Result<Vec<TaskStatus>> {
        self.inner.open_tasks(kind, parked_within, limit).await
    }
    async fn task_counts(&self) -> Result<Vec<TaskCount>> {
        self.inner.task_counts().await
    }
    async fn unpark(&self, task: TaskId) -> Result<Option<TaskStatus>> {
        self.inner.unpark(task).await
    }
}

#[async_trait]
impl Definitions for FaultyCatalog {
    async fn ingestion_mapping(&self, table: TableId, name: &str) -> Result<Option<IngestionMapping>> {
        self.inner.ingestion_mapping(table, name).await
    }
    async fn ingestion_mappings(&self, table: TableId) -> Result<Vec<IngestionMapping>> {
        self.inner.ingestion_mappings(table).await
    }
    async fn put_ingestion_mapping(&self, mapping: &IngestionMapping, replace: bool) -> Result<()> {
        self.inner.put_ingestion_mapping(mapping, replace).await
    }
    async fn drop_ingestion_mapping(&self, table: TableId, kind: &str, name: &str) -> Result<bool> {
        self.inner.drop_ingestion_mapping(table, kind, name).await
    }
    async fn functions(&self, database: DatabaseId) -> Result<Vec<StoredFunction>> {
        self.inner.functions(database).await
    }
    async fn put_function(&self, database: DatabaseId, function: &StoredFunction, replace: bool) -> Result<()> {
        self.inner.put_function(database, function, replace).await
    }
    async fn drop_function(&self, database: DatabaseId, name: &str) -> Result<bool> {
        self.inner.drop_function(database, name).await
    }
    async fn table_texts(&self, database: DatabaseId) -> Result<BTreeMap<TableId, TableTexts>> {
        self.inner.table_texts(database).await
    }
    async fn put_table_texts(&self, table: TableId, texts: &TableTexts) -> Result<()> {
        self.inner.put_table_texts(table, texts).await
    }
    async fn policies(&self, database: DatabaseId) -> Result<Vec<Policy>> {
        self.inner.policies(database).await
    }
    async fn put_policy(&self, policy: &Policy) -> Result<()> {
        self.inner.put_policy(policy).await
    }
    async fn drop_policy(&self, database: DatabaseId, table: Option<TableId>, kind: &str) -> Result<bool> {
        self.inner.drop_policy(database, table, kind).await
    }
}

#[async_trait]
impl Operations for FaultyCatalog {
    async fn begin_operation(&self, id: uuid::Uuid, database: &str, kind: &str, node: NodeId) -> Result<()> {
        self.inner.begin_operation(id, database, kind, node).await
    }
    async fn note_operation(&self, id: uuid::Uuid, node: NodeId, details: &str) -> Result<()> {
        self.inner.note_operation(id, node, details).await
    }
    async fn end_operation(&self, id: uuid::Uuid, error: Option<&str>) -> Result<()> {
        self.inner.end_operation(id, error).await
    }
    async fn operations(&self, id: Option<uuid::Uuid>, limit: usize) -> Result<Vec<Operation>> {
        self.inner.operations(id, limit).await
    }
}

#[async_trait]
impl History for FaultyCatalog {
    async fn expired(&self, query: &ExpiryQuery) -> Result<Vec<Extent>> {
        self.inner.expired(query).await
    }
    async fn sequence_at(&self, database: DatabaseId, time: i64) -> Result<Sequence> {
        self.inner.sequence_at(database, time).await
    }
    async fn oldest(&self, database: DatabaseId) -> Result<Sequence> {
        self.inner.oldest(database).await
    }
    async fn tables_at(&self, database: DatabaseId, at: Sequence) -> Result<Vec<Table>> {
        self.inner.tables_at(database, at).await
    }
    async fn dropped_tables(&self, database: DatabaseId) -> Result<Vec<DroppedTable>> {
        self.inner.dropped_tables(database).await
    }
    async fn undrop_table(&self, table: TableId, name: &str) -> Result<Table> {
        self.inner.undrop_table(table, name).await
    }
    async fn give_up_dropped(&self, grace: Duration, limit: usize) -> Result<GivenUp> {
        self.inner.give_up_dropped(grace, limit).await
    }
    async fn forget_times(&self, grace: Duration) -> Result<u64> {
        self.inner.forget_times(grace).await
    }
}

#[async_trait]
impl Catalog for FaultyCatalog {
    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }
}
