//! One node's way to the catalog: requests that are lost, late, refused, and commits whose outcome nobody knows.
//!
//! What a request does happens in one step, at the time it arrives. A sender that gave up or died meanwhile learns nothing of
//! it; the request may arrive all the same, as a statement does that was sent before its connection broke.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use kyma_core::catalog::*;
use kyma_core::extent::Extent;
use kyma_core::planted::{self, Bug};
use kyma_core::{Column, DatabaseId, Error, ExtentId, NodeId, Result, Sequence, TableId, TaskId};
use tokio::time::sleep;
use uuid::Uuid;

use crate::model::Model;
use crate::scope::NodeScope;
use crate::trace::number;
use crate::world::{Fate, World};

/// How long the catalog's client waits for an answer before it says so.
const SILENCE_MAX: Duration = Duration::from_secs(65);

/// The way.
#[derive(Clone)]
pub struct NodeCatalog {
    /// The world.
    pub world: Arc<World>,
    /// The node's hold.
    pub scope: Arc<NodeScope>,
    /// The node's name.
    pub name: Arc<str>,
}

impl fmt::Debug for NodeCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeCatalog({})", self.name)
    }
}

/// What an error says that has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// It can be asked again.
    Plain,
    /// It was a commit.
    Commit,
}

impl Silence {
    fn error(self) -> Error {
        match self {
            Silence::Plain => Error::unavailable("catalog.unavailable", "the catalog does not answer"),
            Silence::Commit => Error::unavailable("catalog.commit_unknown", "the answer to a commit was lost"),
        }
    }
}

fn away() -> Error {
    Error::unavailable("catalog.unavailable", "the catalog is starting up")
}

/// The model's answer: it never waits.
fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("the model never waits")
}

impl NodeCatalog {
    async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        detail: u64,
        silence: Silence,
        apply: impl Fn(&Model) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        self.scope.running_now().await;
        let fate = self.world.fate(&self.world.plan.catalog_faults);
        self.world.trace.note(&self.name, what, detail, || format!("{detail:016x} {fate:?}"));
        let model = Arc::clone(&self.world.model);
        let done = move || apply(&model);
        let answer = match fate {
            Fate::Done { before, after } => self.done(before, after, silence, done).await,
            Fate::RequestLost(wait) => {
                sleep(wait.min(SILENCE_MAX)).await;
                // A commit that broke before it arrived may look like one that broke after.
                Err(silence.error())
            }
            Fate::ReplyLost(wait) => {
                if self.world.is_catalog_away() {
                    return Err(away());
                }
                drop(done());
                sleep(wait.min(SILENCE_MAX)).await;
                Err(silence.error())
            }
            Fate::Late(arrival, give_up) => {
                self.later(what, arrival, done);
                sleep(give_up).await;
                Err(silence.error())
            }
            Fate::Refused(wait) => {
                sleep(wait).await;
                Err(Error::unavailable("catalog.contended", "the transaction was ended: serialization failure"))
            }
            Fate::Twice(_) => done(),
        };
        self.scope.running_now().await;
        answer
    }

    async fn done<T>(
        &self,
        before: Duration,
        after: Duration,
        silence: Silence,
        done: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if !before.is_zero() {
            sleep(before).await;
        }
        if self.world.is_catalog_away() {
            return Err(away());
        }
        let restarts = self.world.catalog_restarts();
        let answer = done();
        if !after.is_zero() {
            sleep(after).await;
        }
        if self.world.catalog_restarts() != restarts { Err(silence.error()) } else { answer }
    }

    fn later<T: Send + 'static>(
        &self,
        what: &'static str,
        wait: Duration,
        done: impl FnOnce() -> Result<T> + Send + 'static,
    ) {
        let (world, name) = (Arc::clone(&self.world), Arc::clone(&self.name));
        self.world.tasks.spawn(async move {
            sleep(wait).await;
            if !world.is_catalog_away() {
                let is_done = done().is_ok();
                world.trace.note(&name, "late arrival", u64::from(is_done), || format!("{what}: done {is_done}"));
            }
        });
    }

    /// A commit or replacement. With a planted bug the receipts follow in a request of their own.
    async fn commit_over(&self, commit: &Commit, removal: Option<(TableId, Vec<ExtentId>)>) -> Result<Committed> {
        let key = commit.reservation.as_ref().map_or(0, |reservation| number(reservation.object_key.as_bytes()));
        let what = if removal.is_some() { "replace" } else { "commit" };
        let owned = commit.clone();
        let apply = move |model: &Model| {
            model.commit_now(&owned, removal.as_ref().map(|(table, sources)| (*table, sources.as_slice())))
        };
        let committed = self.ask(what, key, Silence::Commit, apply).await?;
        if planted::is(Bug::ReceiptOutsideTransaction) {
            let (commit, done) = (commit.clone(), committed.clone());
            let add = move |model: &Model| {
                model.add_receipts_late(&commit, &done);
                Ok(())
            };
            let _ = self.ask("add receipts", key, Silence::Plain, add).await;
        }
        Ok(committed)
    }
}

/// Methods that are asked of the model with owned arguments: `name: &type` is lent, `name: =type` is copied.
macro_rules! asked {
    ($($trait:ident { $(fn $method:ident($($name:ident: $(&$lent:ty)? $(=$copied:ty)?),*) -> $out:ty;)* })*) => {$(
        #[async_trait]
        impl $trait for NodeCatalog {
            $(async fn $method(&self, $($name: $(&$lent)? $($copied)?),*) -> Result<$out> {
                $(let $name = $name.to_owned();)*
                let apply = move |model: &Model| {
                    now(model.$method($($(asked!(@lend $name, $lent))? $(asked!(@copy $name, $copied))?),*))
                };
                self.ask(stringify!($method), 0, Silence::Plain, apply).await
            })*
        }
    )*};
    (@lend $name:ident, $ty:ty) => { &$name };
    (@copy $name:ident, $ty:ty) => { $name };
}

asked! {
    Tables {
        fn ensure_database(name: &str) -> Database;
        fn database(name: &str) -> Option<Database>;
        fn databases() -> Vec<Database>;
        fn ensure_table(database: =DatabaseId, name: &str, new: &NewTable) -> Table;
        fn table(database: =DatabaseId, name: &str) -> Option<Table>;
        fn table_by_id(table: =TableId) -> Option<Table>;
        fn tables(database: =DatabaseId) -> Vec<Table>;
        fn grow_table(table: =TableId, columns: &[Column]) -> Table;
        fn set_format(table: =TableId, format: &str) -> Table;
        fn set_deduplication(table: =TableId, seconds: =u32) -> Table;
        fn set_columns(table: =TableId, version: =i64, columns: &[Column]) -> Table;
        fn rename_tables(database: =DatabaseId, names: &[(String, String)]) -> ();
        fn drop_table(table: =TableId) -> ();
        fn totals(table: =TableId, at: =Sequence) -> TableTotals;
    }
    Garbage {
        fn created() -> i64;
        fn revoke_stale(age: =Duration, limit: =usize) -> Vec<DoomedObject>;
        fn hold(node: =NodeId, oldest: &BTreeMap<DatabaseId, Sequence>, time: =Duration) -> ();
        fn doom_removed(grace: =Duration, limit: =usize) -> Vec<DoomedObject>;
        fn doom_unknown(keys: &[String]) -> Vec<DoomedObject>;
        fn doomed(limit: =usize) -> Vec<DoomedObject>;
        fn forget(key: &str) -> ();
    }
    Nodes {
        fn heartbeat(node: &Node) -> ();
        fn leave(node: =NodeId) -> ();
        fn live(within: =Duration) -> Vec<Node>;
    }
    Tasks {
        fn enqueue(task: &NewTask) -> bool;
        fn claim(node: =NodeId, kinds: &[String], lease: =Duration) -> Option<ClaimedTask>;
        fn renew(task: =TaskId, token: =i64, lease: =Duration) -> ();
        fn complete(task: =TaskId, token: =i64) -> ();
        fn fail(task: =TaskId, token: =i64, error: &str) -> ();
        fn give_back(task: =TaskId, token: =i64) -> ();
        fn recent(limit: =usize) -> Vec<TaskStatus>;
        fn open_tasks(kind: &str, parked_within: =Duration, limit: =usize) -> Vec<TaskStatus>;
        fn task_counts() -> Vec<TaskCount>;
        fn unpark(task: =TaskId) -> Option<TaskStatus>;
    }
    Upkeep {
        fn uncompacted_tables(limit: =usize) -> Vec<Uncompacted>;
        fn uncompacted(table: =TableId, limit: =usize) -> Vec<Extent>;
        fn still_visible(table: =TableId, extents: &[ExtentId]) -> Vec<Extent>;
    }
    History {
        fn expired(query: &ExpiryQuery) -> Vec<Extent>;
        fn sequence_at(database: =DatabaseId, time: =i64) -> Sequence;
        fn oldest(database: =DatabaseId) -> Sequence;
        fn tables_at(database: =DatabaseId, at: =Sequence) -> Vec<Table>;
        fn dropped_tables(database: =DatabaseId) -> Vec<DroppedTable>;
        fn undrop_table(table: =TableId, name: &str) -> Table;
        fn give_up_dropped(grace: =Duration, limit: =usize) -> GivenUp;
        fn forget_times(grace: =Duration) -> u64;
    }
    Definitions {
        fn ingestion_mapping(table: =TableId, name: &str) -> Option<IngestionMapping>;
        fn ingestion_mappings(table: =TableId) -> Vec<IngestionMapping>;
        fn put_ingestion_mapping(mapping: &IngestionMapping, replace: =bool) -> ();
        fn drop_ingestion_mapping(table: =TableId, kind: &str, name: &str) -> bool;
        fn functions(database: =DatabaseId) -> Vec<StoredFunction>;
        fn put_function(database: =DatabaseId, function: &StoredFunction, replace: =bool) -> ();
        fn drop_function(database: =DatabaseId, name: &str) -> bool;
        fn table_texts(database: =DatabaseId) -> BTreeMap<TableId, TableTexts>;
        fn put_table_texts(table: =TableId, texts: &TableTexts) -> ();
        fn policies(database: =DatabaseId) -> Vec<Policy>;
        fn put_policy(policy: &Policy) -> ();
        fn drop_policy(database: =DatabaseId, table: =Option<TableId>, kind: &str) -> bool;
    }
}

#[async_trait]
impl Recovery for NodeCatalog {
    async fn identity(&self) -> Result<CatalogIdentity> {
        self.ask("identity", 0, Silence::Plain, |model| now(model.identity())).await
    }

    async fn journal_states(&self) -> Result<Vec<JournalState>> {
        self.ask("journal states", 0, Silence::Plain, |model| now(model.journal_states())).await
    }

    async fn advance_journal(&self, database: DatabaseId, from: i64, to: &JournalMark) -> Result<bool> {
        let to = *to;
        let apply = move |model: &Model| now(model.advance_journal(database, from, &to));
        self.ask("advance journal", to.revision as u64, Silence::Plain, apply).await
    }

    async fn definition(&self, database: DatabaseId) -> Result<DatabaseDefinition> {
        self.ask("definition", 0, Silence::Plain, move |model| now(model.definition(database))).await
    }

    async fn extent_page(&self, page: &ExtentPage) -> Result<Vec<Extent>> {
        let page = *page;
        self.ask("extent page", 0, Silence::Plain, move |model| now(model.extent_page(&page))).await
    }

    async fn receipt_page(&self, page: &ReceiptPage) -> Result<Vec<NumberedReceipt>> {
        let page = page.clone();
        self.ask("receipt page", 0, Silence::Plain, move |model| now(model.receipt_page(&page))).await
    }

    // What nodes do not ask for.

    async fn begin_import(&self, rebuilt_from: Option<Uuid>) -> Result<Box<dyn Import>> {
        self.world.model.begin_import(rebuilt_from).await
    }

    async fn audit(&self, database: DatabaseId, limit: usize) -> Result<Audit> {
        self.world.model.audit(database, limit).await
    }

    async fn repair_totals(&self, database: DatabaseId) -> Result<u64> {
        self.world.model.repair_totals(database).await
    }

    async fn object_states(&self, keys: &[String]) -> Result<BTreeMap<String, ObjectState>> {
        self.world.model.object_states(keys).await
    }

    async fn overdue(&self, age: Duration, limit: usize) -> Result<Vec<String>> {
        self.world.model.overdue(age, limit).await
    }
}

#[async_trait]
impl Operations for NodeCatalog {
    async fn begin_operation(&self, id: Uuid, database: &str, kind: &str, node: NodeId) -> Result<()> {
        self.world.model.begin_operation(id, database, kind, node).await
    }

    async fn note_operation(&self, id: Uuid, node: NodeId, details: &str) -> Result<()> {
        self.world.model.note_operation(id, node, details).await
    }

    async fn end_operation(&self, id: Uuid, error: Option<&str>) -> Result<()> {
        self.world.model.end_operation(id, error).await
    }

    async fn operations(&self, id: Option<Uuid>, limit: usize) -> Result<Vec<Operation>> {
        self.world.model.operations(id, limit).await
    }
}

#[async_trait]
impl Extents for NodeCatalog {
    async fn pin(&self, database: DatabaseId) -> Result<Sequence> {
        self.ask("pin", 0, Silence::Plain, move |model| now(model.pin(database))).await
    }

    async fn pins(&self, known: &BTreeMap<DatabaseId, Sequence>) -> Result<Vec<DatabasePin>> {
        let known = known.clone();
        self.ask("pins", 0, Silence::Plain, move |model| now(model.pins(&known))).await
    }

    async fn changes(&self, query: &ChangeQuery) -> Result<Option<Vec<Extent>>> {
        let query = query.clone();
        self.ask("changes", 0, Silence::Plain, move |model| now(model.changes(&query))).await
    }

    async fn reserve(&self, writer: NodeId, object_key: &str) -> Result<Reservation> {
        let key = object_key.to_owned();
        let detail = number(object_key.as_bytes());
        self.ask("reserve", detail, Silence::Plain, move |model| now(model.reserve(writer, &key))).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed> {
        self.commit_over(commit, None).await
    }

    async fn outcome(&self, reservation: &Reservation) -> Result<Option<Committed>> {
        let (id, detail) = (reservation.id, number(reservation.object_key.as_bytes()));
        self.ask("outcome", detail, Silence::Plain, move |model| model.outcome_now(id)).await
    }

    async fn receipt(
        &self,
        database: DatabaseId,
        key: &str,
        window_seconds: Option<u32>,
    ) -> Result<Option<(serde_json::Value, Sequence)>> {
        let key = key.to_owned();
        let apply = move |model: &Model| now(model.receipt(database, &key, window_seconds));
        self.ask("receipt", 0, Silence::Plain, apply).await
    }

    async fn receipts(&self, database: DatabaseId, prefix: &str) -> Result<Vec<(String, serde_json::Value, Sequence)>> {
        let prefix = prefix.to_owned();
        self.ask("receipts", 0, Silence::Plain, move |model| now(model.receipts(database, &prefix))).await
    }

    fn list(&self, query: ExtentQuery) -> BoxStream<'static, Result<Extent>> {
        let catalog = self.clone();
        let listed = async move {
            let listed = catalog.ask("list", 0, Silence::Plain, move |model| Ok(model.listed(&query))).await?;
            Ok::<_, Error>(stream::iter(listed).map(Ok))
        };
        stream::once(listed).try_flatten().boxed()
    }

    async fn replace(&self, table: TableId, sources: &[ExtentId], commit: &Commit) -> Result<Committed> {
        self.commit_over(commit, Some((table, sources.to_vec()))).await
    }
}

#[async_trait]
impl Catalog for NodeCatalog {
    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
