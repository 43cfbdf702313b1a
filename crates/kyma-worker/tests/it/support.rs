//! A catalog, a store and a table of one test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use kyma_core::catalog::{
    Catalog, Commit, Committed, ExtentOrder, ExtentQuery, Extents, NewTable, Reservation, Table, Tables,
};
use kyma_core::clock::{Clock, SystemClock};
use kyma_core::extent::{NewExtent, ObjectRange};
use kyma_core::time::TimeRange;
use kyma_core::{ExtentId, NodeId, Result, Schema, Sequence, Type};
use kyma_storage::Store;
use kyma_testkit::postgres::TestDatabase;
use kyma_testkit::s3::TestS3;
use kyma_worker::{GarbageSettings, RetentionSettings, Worker, WorkerSettings};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) struct Bench {
    pub(crate) catalog: Arc<kyma_catalog_postgres::PostgresCatalog>,
    pub(crate) store: Arc<Store>,
    pub(crate) table: Table,
    pub(crate) database: TestDatabase,
    _s3: TestS3,
}

impl Bench {
    pub(crate) async fn new() -> Bench {
        let (catalog, database) = kyma_testkit::postgres::catalog().await;
        let s3 = kyma_testkit::s3::server().await;
        let store = Store::from_object_store(s3.object_store());
        let home = catalog.ensure_database("logs").await.unwrap();
        let new = NewTable {
            schema: Schema::from([("Timestamp", Type::Datetime)]),
            time_column: "Timestamp".to_owned(),
            sort_key: vec![],
            format: "tlm".to_owned(),
        };
        let table = catalog.ensure_table(home.id, "Logs", &new).await.unwrap();
        Bench { catalog, store, table, database, _s3: s3 }
    }

    pub(crate) async fn reserve(&self) -> Reservation {
        let key = format!("extents/{}.kyma", Uuid::now_v7());
        self.catalog.reserve(NodeId::generate(), &key).await.unwrap()
    }

    pub(crate) async fn put(&self, key: &str) {
        self.store.put(key, Bytes::from_static(b"rows")).await.unwrap();
    }

    pub(crate) async fn commit(&self, reservation: &Reservation) -> Result<Committed> {
        let extents = vec![self.extent(&reservation.object_key)];
        self.catalog.commit(&Commit { reservation: Some(reservation.clone()), extents, receipts: vec![] }).await
    }

    /// Reserve, put, commit: what a flush does.
    pub(crate) async fn write(&self) -> Result<Reservation> {
        let reservation = self.reserve().await;
        self.put(&reservation.object_key).await;
        self.commit(&reservation).await.map(|_| reservation)
    }

    pub(crate) fn extent(&self, key: &str) -> NewExtent {
        NewExtent {
            id: ExtentId::generate(),
            database: self.table.database,
            table: self.table.id,
            format: "tlm".to_owned(),
            location: ObjectRange { key: key.to_owned(), offset: 0, length: 4 },
            footer_length: 1,
            rows: 1,
            blocks: 1,
            raw_bytes: 4,
            time: TimeRange::new(0, 9),
            level: 0,
            sorted_by: vec![],
            tags: vec![],
            paths: None,
            columns: BTreeMap::new(),
        }
    }

    /// Every visible extent with its object's key.
    pub(crate) async fn visible(&self) -> Vec<(ExtentId, String)> {
        let at: Sequence = self.catalog.pin(self.table.database).await.unwrap();
        let query = ExtentQuery {
            table: self.table.id,
            at,
            time: TimeRange::ALL,
            order: ExtentOrder::NewestFirst,
            ranges: Vec::new(),
        };
        let listed = self.catalog.list(query);
        listed.map(|extent| extent.map(|e| (e.id, e.location.key.clone())).unwrap()).collect().await
    }

    pub(crate) async fn stored(&self) -> Vec<String> {
        let listed = self.store.list("");
        let mut keys: Vec<String> = listed.map(|object| object.unwrap().key).collect().await;
        keys.sort();
        keys
    }

    pub(crate) fn worker(&self, garbage: GarbageSettings, clock: Arc<dyn Clock>) -> Worker {
        let settings = WorkerSettings {
            poll_millis: 10,
            lease_millis: 5_000,
            tasks_at_once: 2,
            stop_grace_millis: 500,
            retention: RetentionSettings { period_millis: 10, batch: 3 },
            garbage,
            ..WorkerSettings::default()
        };
        let catalog: Arc<dyn Catalog> = self.catalog.clone();
        Worker::new(catalog, Arc::clone(&self.store), settings, clock)
    }

    /// Runs workers until `done`, then stops them.
    pub(crate) async fn run_until(&self, workers: &[Worker], done: impl Future<Output = ()>) {
        let shutdown = CancellationToken::new();
        let running = futures::future::join_all(workers.iter().map(|worker| worker.run(shutdown.clone())));
        let stopping = async {
            let in_time = tokio::time::timeout(Duration::from_secs(30), done).await;
            shutdown.cancel();
            in_time.expect("it happens within half a minute");
        };
        futures::future::join(running, stopping).await;
    }
}

/// Everything is garbage at once, and always looked for.
pub(crate) fn eager() -> GarbageSettings {
    GarbageSettings {
        period_millis: 10,
        reservation_age_millis: 0,
        removed_grace_millis: 0,
        sweep_period_millis: 10,
        unknown_age_millis: 0,
        clock_difference_millis: 0,
        ..GarbageSettings::default()
    }
}

/// Nothing is garbage yet.
pub(crate) fn patient() -> GarbageSettings {
    GarbageSettings { period_millis: 10, sweep_period_millis: 10, ..GarbageSettings::default() }
}

pub(crate) fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// Waits until a question is answered with yes.
pub(crate) async fn until<F: Future<Output = bool>>(ask: impl Fn() -> F) {
    while !ask().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
