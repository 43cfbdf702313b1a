//! An ingesting node in a test, and a way to read what it stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::Array;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use kyma_core::catalog::{Catalog, ExtentOrder, ExtentQuery};
use kyma_core::clock::{Clock, ManualClock};
use kyma_core::extent::Extent;
use kyma_core::format::{Formats, OpenOptions, ReadColumn};
use kyma_core::profile::IoCounters;
use kyma_core::time::TimeRange;
use kyma_core::{NodeId, Result};
use kyma_format_tlm::Tlm;
use kyma_ingest::loopback::Loopback;
use kyma_ingest::{
    BodyFormat, Encoding, IngestAnswer, IngestParts, IngestRequest, IngestSettings, Ingester, LocalRouter,
};
use kyma_storage::Store;
use kyma_storage::fault::{Faults, FaultyStore};
use kyma_storage::object_store::ObjectStore;
use kyma_storage::object_store::memory::InMemory;
use kyma_testkit::postgres::TestDatabase;

use crate::catalog::FaultyCatalog;

/// 2023-11-14T22:13:20Z
pub(crate) const NOW: i64 = 1_700_000_000_000_000_000;

/// A bucket and a catalog that nodes share.
pub(crate) struct World {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) objects: Arc<dyn ObjectStore>,
    _database: Option<TestDatabase>,
}

/// A node of a world, with faults of its own.
pub(crate) struct Node {
    pub(crate) ingester: Arc<Ingester>,
    pub(crate) store: Arc<Store>,
    pub(crate) faults: Faults,
    pub(crate) catalog: Arc<FaultyCatalog>,
    _loopback: Loopback,
}

pub(crate) fn settings() -> IngestSettings {
    IngestSettings {
        flush_interval: Duration::from_millis(20),
        table_age_max: Duration::from_millis(200),
        outcome_timeout: Duration::from_secs(2),
        ..IngestSettings::default()
    }
}

impl World {
    pub(crate) async fn new() -> World {
        Self::over(Arc::new(InMemory::new())).await
    }

    pub(crate) async fn over(objects: Arc<dyn ObjectStore>) -> World {
        let (catalog, database) = kyma_testkit::postgres::catalog().await;
        World { catalog, objects, _database: Some(database) }
    }

    /// A world around a catalog that the test owns.
    pub(crate) fn with(catalog: Arc<dyn Catalog>) -> World {
        World { catalog, objects: Arc::new(InMemory::new()), _database: None }
    }

    pub(crate) async fn node(&self) -> Node {
        self.node_with(settings()).await
    }

    pub(crate) async fn node_with(&self, settings: IngestSettings) -> Node {
        let (faulty, faults) = FaultyStore::new(Arc::clone(&self.objects));
        let store = Store::with_deadlines(faulty, Duration::from_millis(500), Duration::from_millis(200));
        let catalog = FaultyCatalog::new(Arc::clone(&self.catalog));
        let router = Arc::new(LocalRouter::new());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
        let ingester = Ingester::new(IngestParts {
            catalog: catalog.clone(),
            store: Arc::clone(&store),
            formats: Arc::new(Formats::new(vec![Arc::new(Tlm)])),
            clock,
            node: NodeId::generate(),
            router: router.clone(),
            settings,
        });
        let loopback = kyma_ingest::loopback::serve(&ingester).await.unwrap();
        router.set_address(loopback.address());
        Node { ingester, store, faults, catalog, _loopback: loopback }
    }

    /// The visible extents of a table.
    pub(crate) async fn extents(&self, table: &str) -> Vec<Extent> {
        let Some(database) = self.catalog.database("d").await.unwrap() else { return Vec::new() };
        let Some(table) = self.catalog.table(database.id, table).await.unwrap() else { return Vec::new() };
        let at = self.catalog.pin(database.id).await.unwrap();
        let query = ExtentQuery {
            table: table.id,
            at,
            time: TimeRange::ALL,
            order: ExtentOrder::OldestFirst,
            ranges: Vec::new(),
        };
        self.catalog.list(query).try_collect().await.unwrap()
    }

    /// The visible rows of a table, as column to text without nulls, in order of their extents.
    pub(crate) async fn rows(&self, table: &str) -> Vec<BTreeMap<String, String>> {
        let store = Store::from_object_store(Arc::clone(&self.objects));
        let mut rows = Vec::new();
        for extent in self.extents(table).await {
            read(&store, &extent, &mut rows).await;
        }
        rows
    }

    /// The rows of one extent, in its order.
    pub(crate) async fn rows_of(&self, extent: &Extent) -> Vec<BTreeMap<String, String>> {
        let mut rows = Vec::new();
        read(&Store::from_object_store(Arc::clone(&self.objects)), extent, &mut rows).await;
        rows
    }

    /// One column of every row, sorted.
    pub(crate) async fn column(&self, table: &str, column: &str) -> Vec<String> {
        let rows = self.rows(table).await;
        let mut values: Vec<_> = rows.iter().map(|row| row.get(column).cloned().unwrap_or("-".into())).collect();
        values.sort();
        values
    }

    /// How many objects there are.
    pub(crate) async fn objects(&self) -> usize {
        self.objects.list(None).count().await
    }
}

async fn read(store: &Arc<Store>, extent: &Extent, rows: &mut Vec<BTreeMap<String, String>>) {
    let source = store.reader(&extent.location, Arc::new(IoCounters::default()));
    let options = OpenOptions {
        extent: extent.id,
        length: extent.location.length,
        footer_length: extent.footer_length,
        footer: None,
    };
    let format = Formats::new(vec![Arc::new(Tlm)]).get(&extent.format).unwrap();
    let reader = format.open(Arc::clone(&source), &options).await.unwrap();
    let columns: Vec<_> =
        reader.schema().columns().iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
    for block in 0..reader.block_rows().len() as u32 {
        let batch = reader.read(source.as_ref(), block, &columns, None).await.unwrap();
        for row in 0..batch.num_rows() {
            let mut shown = BTreeMap::new();
            for (column, array) in columns.iter().zip(batch.columns()) {
                if array.is_valid(row) {
                    let text = ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap();
                    shown.insert(column.source.column.clone(), text.value(row).to_string());
                }
            }
            rows.push(shown);
        }
    }
}

pub(crate) fn request(table: &str) -> IngestRequest {
    IngestRequest {
        database: "d".into(),
        table: table.into(),
        format: BodyFormat::NdJson,
        encoding: Encoding::Identity,
        idempotency_key: None,
        source: "test".into(),
    }
}

impl Node {
    pub(crate) async fn write(&self, table: &str, body: &str) -> Result<IngestAnswer> {
        self.send(&request(table), body.as_bytes()).await
    }

    pub(crate) async fn write_once(&self, table: &str, key: &str, body: &str) -> Result<IngestAnswer> {
        let request = IngestRequest { idempotency_key: Some(key.into()), ..request(table) };
        self.send(&request, body.as_bytes()).await
    }

    pub(crate) async fn send(&self, request: &IngestRequest, body: &[u8]) -> Result<IngestAnswer> {
        let pieces: Vec<Result<Bytes>> =
            body.chunks(64 * 1024).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        self.ingester.ingest(request, futures::stream::iter(pieces).boxed()).await
    }
}
