//! The model of the catalog: its promises in memory, each method one step that nothing interrupts.
//!
//! It passes the conformance suite that PostgreSQL's catalog passes, and exists for the simulator alone. What happens in it
//! is told to an [`Observer`] in the same step, before anybody is answered.

mod commit;
mod definitions;
mod extents;
mod garbage;
mod history;
mod queue;
mod recovery;
mod tables;
mod upkeep;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use kyma_core::catalog::{
    Catalog, IngestionMapping, JournalMark, Node, Operation, Policy, StoredFunction, Table, TableTexts,
};
use kyma_core::clock::Clock;
use kyma_core::extent::{Extent, NewExtent};
use kyma_core::{DatabaseId, Error, ExtentId, NodeId, ReservationId, Result, Sequence, TableId, TaskId};
use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

/// Sees every change of the catalog in the step that makes it.
pub trait Observer: Send + Sync {
    /// A key was reserved.
    fn reserved(&self, _key: &str, _id: ReservationId) {}
    /// A reservation was revoked, or an object doomed.
    fn doomed(&self, _key: &str, _reservation: Option<ReservationId>) {}
    /// An object was forgotten.
    fn forgotten(&self, _key: &str) {}
    /// A transaction added and removed extents.
    fn committed(&self, _change: &Change<'_>) {}
    /// A table was dropped: sequences from this one on do not see it.
    fn dropped(&self, _table: TableId, _sequence: Sequence, _at: i64) {}
    /// A drop was undone.
    fn undropped(&self, _table: TableId) {}
    /// A node told which snapshots it reads, and until when that counts.
    fn held(&self, _node: NodeId, _oldest: &BTreeMap<DatabaseId, Sequence>, _until: i64) {}
    /// A task was claimed under this token.
    fn claimed(&self, _task: TaskId, _token: i64) {}
    /// A task was renewed, completed or given back under this token.
    fn kept(&self, _task: TaskId, _token: i64) {}
}

/// What a transaction changed.
pub struct Change<'a> {
    /// The reservation that it ended.
    pub reservation: Option<ReservationId>,
    /// Extents that are visible from now on.
    pub added: &'a [NewExtent],
    /// Extents that are not any more.
    pub removed: &'a [ExtentId],
    /// The sequences that it took.
    pub sequences: &'a BTreeMap<DatabaseId, Sequence>,
    /// When, by the catalog's clock.
    pub at: i64,
}

struct Quiet;

impl Observer for Quiet {}

/// The model.
pub struct Model {
    clock: Arc<dyn Clock>,
    created: i64,
    identity: Uuid,
    state: Mutex<State>,
    imported: Arc<Mutex<Vec<Extent>>>,
    observer: OnceLock<Arc<dyn Observer>>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Model")
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) databases: Vec<DatabaseRow>,
    pub(crate) tables: BTreeMap<TableId, TableRow>,
    pub(crate) objects: BTreeMap<String, ObjectRow>,
    pub(crate) keys: BTreeMap<ReservationId, String>,
    pub(crate) extents: BTreeMap<ExtentId, ExtentRow>,
    pub(crate) receipts: BTreeMap<(DatabaseId, String), ReceiptRow>,
    pub(crate) holds: BTreeMap<(NodeId, DatabaseId), (Sequence, i64)>,
    pub(crate) tables_made: i64,
    pub(crate) nodes: BTreeMap<NodeId, (Node, i64)>,
    pub(crate) tasks: BTreeMap<TaskId, TaskRow>,
    pub(crate) mappings: BTreeMap<(TableId, String), IngestionMapping>,
    pub(crate) functions: BTreeMap<(DatabaseId, String), StoredFunction>,
    pub(crate) texts: BTreeMap<TableId, TableTexts>,
    pub(crate) policies: BTreeMap<(DatabaseId, Option<TableId>, String), Policy>,
    pub(crate) operations: BTreeMap<Uuid, Operation>,
}

pub(crate) struct DatabaseRow {
    pub(crate) id: DatabaseId,
    pub(crate) name: String,
    pub(crate) sequence: Sequence,
    pub(crate) schema_version: i64,
    /// Rises with every change of what journals tell beside extents and receipts.
    pub(crate) definitions_version: i64,
    /// How far it is written down.
    pub(crate) mark: JournalMark,
    /// Earlier sequences are not complete.
    pub(crate) complete_from: Sequence,
    /// The last sequence of each second that had one.
    pub(crate) times: BTreeMap<i64, Sequence>,
}

/// A remembered answer, and when it was given.
pub(crate) struct ReceiptRow {
    pub(crate) answer: serde_json::Value,
    pub(crate) sequence: Sequence,
    pub(crate) created_at: i64,
}

pub(crate) struct TableRow {
    pub(crate) table: Table,
    /// The first sequence that does not see it, and when that was.
    pub(crate) dropped: Option<(Sequence, i64)>,
    pub(crate) given_up: bool,
    /// Sequences that do not see it because its drop was undone later.
    pub(crate) gaps: Vec<(Sequence, Sequence)>,
    /// The latest commit that changed its extents, if one did.
    pub(crate) changed: Option<Sequence>,
    /// Extents removed at or before this one may be forgotten.
    pub(crate) forgotten: Sequence,
    pub(crate) extents: Vec<ExtentId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectState {
    Reserved,
    Registered,
    Revoked,
    Doomed,
}

pub(crate) struct ObjectRow {
    pub(crate) state: ObjectState,
    pub(crate) reservation: Option<ReservationId>,
    pub(crate) reserved_at: i64,
    pub(crate) sequences: Option<BTreeMap<DatabaseId, Sequence>>,
    pub(crate) extents: Vec<ExtentId>,
}

pub(crate) struct ExtentRow {
    pub(crate) extent: Extent,
    pub(crate) added_at: i64,
    pub(crate) removed_at: Option<i64>,
}

pub(crate) struct TaskRow {
    pub(crate) kind: String,
    pub(crate) dedup_key: String,
    pub(crate) payload: serde_json::Value,
    pub(crate) priority: i32,
    pub(crate) state: &'static str,
    pub(crate) token: i64,
    pub(crate) attempts: i32,
    pub(crate) attempts_max: i32,
    pub(crate) run_at: i64,
    pub(crate) lease_until: i64,
    pub(crate) node: Option<NodeId>,
    pub(crate) changed: i64,
    pub(crate) error: Option<String>,
}

impl Model {
    /// An empty catalog.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Model> {
        let (created, identity) = (clock.now(), clock.new_id());
        Arc::new(Model {
            clock,
            created,
            identity,
            state: Mutex::default(),
            imported: Arc::default(),
            observer: OnceLock::new(),
        })
    }

    /// Tells `observer` from now on. Only the first one counts.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        let _ = self.observer.set(observer);
    }

    /// The extents that a rebuild filled it with. They are not visible: nothing else becomes of an import.
    pub fn imported(&self) -> MutexGuard<'_, Vec<Extent>> {
        self.imported.lock()
    }

    fn observer(&self) -> &dyn Observer {
        self.observer.get().map_or(&Quiet, |observer| observer.as_ref())
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn now(&self) -> i64 {
        self.clock.now()
    }
}

impl State {
    fn database(&mut self, id: DatabaseId) -> Result<&mut DatabaseRow> {
        let found = self.databases.iter_mut().find(|database| database.id == id);
        found.ok_or_else(|| database_unknown(id))
    }

    fn live_table(&mut self, id: TableId) -> Result<&mut TableRow> {
        self.tables.get_mut(&id).filter(|row| row.dropped.is_none()).ok_or_else(|| table_unknown(id))
    }

    fn schema_changed(&mut self, database: DatabaseId) {
        if let Ok(row) = self.database(database) {
            row.schema_version += 1;
        }
        self.definition_changed(database);
    }

    fn definition_changed(&mut self, database: DatabaseId) {
        if let Ok(row) = self.database(database) {
            row.definitions_version += 1;
        }
    }

    /// What is said of a table changed.
    fn said_of(&mut self, table: TableId) {
        if let Some(database) = self.tables.get(&table).map(|row| row.table.database) {
            self.definition_changed(database);
        }
    }
}

impl ExtentRow {
    fn is_visible(&self, at: Sequence) -> bool {
        self.extent.added <= at && self.extent.removed.is_none_or(|removed| removed > at)
    }
}

fn database_unknown(id: DatabaseId) -> Error {
    Error::not_found("catalog.database_unknown", format!("the database does not exist: database={id}"))
}

fn table_unknown(id: TableId) -> Error {
    Error::not_found("catalog.table_unknown", format!("the table does not exist or was dropped: table={id}"))
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Catalog for Model {
    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
