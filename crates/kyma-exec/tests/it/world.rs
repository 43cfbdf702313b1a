//! A catalog, a store and an engine for one test, and extents made by hand.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use futures::TryStreamExt;
use kyma_core::catalog::{Catalog, Commit, ExtentOrder, ExtentQuery, NewTable, Table};
use kyma_core::clock::SystemClock;
use kyma_core::extent::{NewExtent, ObjectRange};
use kyma_core::format::{EncodeOptions, Formats, SegmentFormat};
use kyma_core::profile::Profile;
use kyma_core::time::TimeRange;
use kyma_core::{ExtentId, NodeId, Schema, Type, Value};
use kyma_exec::{Answer, Engine, EngineParts, ExecSettings, QueryError, QueryRequest};
use kyma_storage::Store;
use kyma_storage::fault::{Faults, FaultyStore};
use kyma_testkit::postgres::TestDatabase;
use kyma_testkit::toy_format::ToyFormat;
use object_store::memory::InMemory;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

/// The database of every test.
pub(crate) const DATABASE: &str = "default";
/// 2024-01-01T00:00:00Z.
pub(crate) const EPOCH: i64 = 1_704_067_200_000_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;

/// One row, a value per column.
pub(crate) type Row = Vec<Value>;

pub(crate) struct World {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) faults: Faults,
    store: Arc<Store>,
    formats: Arc<Formats>,
    _database: TestDatabase,
}

impl World {
    pub(crate) async fn start() -> World {
        World::with(settings()).await
    }

    pub(crate) async fn with(settings: ExecSettings) -> World {
        let (catalog, database) = kyma_testkit::postgres::catalog().await;
        let (inner, faults) = FaultyStore::new(Arc::new(InMemory::new()));
        let store = Store::from_object_store(inner);
        let tlm: Arc<dyn SegmentFormat> = Arc::new(kyma_format_tlm::Tlm);
        let formats = Arc::new(Formats::new(vec![tlm, Arc::new(kyma_format_parquet::Parquet), Arc::new(ToyFormat)]));
        let catalog: Arc<dyn Catalog> = catalog;
        catalog.ensure_database(DATABASE).await.unwrap();
        let engine = engine(&catalog, &store, &formats, settings);
        World { catalog, engine, faults, store, formats, _database: database }
    }

    /// Another engine over the same catalog and store.
    pub(crate) fn engine(&self, settings: ExecSettings) -> Arc<Engine> {
        engine(&self.catalog, &self.store, &self.formats, settings)
    }

    /// A table whose event time is `Timestamp`.
    pub(crate) async fn table(&self, name: &str, columns: &[(&str, Type)]) -> Table {
        let mut schema = vec![kyma_core::Column::new("Timestamp", Type::Datetime)];
        schema.extend(columns.iter().map(|(name, ty)| kyma_core::Column::new(*name, *ty)));
        let new = NewTable {
            schema: Schema::new(schema),
            time_column: "Timestamp".to_owned(),
            sort_key: Vec::new(),
            format: "tlm".to_owned(),
        };
        let database = self.catalog.database(DATABASE).await.unwrap().unwrap();
        self.catalog.ensure_table(database.id, name, &new).await.unwrap()
    }

    /// Stores `rows` as one extent of `table`, cut into blocks.
    pub(crate) async fn extent(&self, table: &Table, format: &str, rows: &[Row], block_rows: usize) {
        self.extent_of(table, &table.schema, format, rows, block_rows).await;
    }

    /// Stores `rows` of a schema that may be older than the table's.
    pub(crate) async fn extent_of(
        &self,
        table: &Table,
        schema: &Schema,
        format: &str,
        rows: &[Row],
        block_rows: usize,
    ) {
        let commit = self.stored(table, schema, format, rows, block_rows).await;
        self.catalog.commit(&commit).await.unwrap();
    }

    /// Puts an extent; what is to be committed.
    async fn stored(&self, table: &Table, schema: &Schema, format: &str, rows: &[Row], block_rows: usize) -> Commit {
        let id = ExtentId::generate();
        let options = EncodeOptions {
            extent: id,
            database: table.database,
            database_name: table.database_name.clone(),
            table: table.id,
            table_name: table.name.clone(),
            time_column: table.time_column.clone(),
            sorted_by: Vec::new(),
            level: 0,
            block_rows,
            raw_bytes: 0,
            replaces: Vec::new(),
            writes: Vec::new(),
        };
        let encoded = self.formats.get(format).unwrap().encode(&[batch(schema, rows)], &options).unwrap();
        let key = format!("data/{id}");
        let reservation = self.catalog.reserve(NodeId::generate(), &key).await.unwrap();
        let length = encoded.bytes.len() as u64;
        self.store.put(&key, encoded.bytes).await.unwrap();
        let extent = NewExtent {
            id,
            database: table.database,
            table: table.id,
            format: format.to_owned(),
            location: ObjectRange { key, offset: 0, length },
            footer_length: encoded.footer_length,
            rows: encoded.rows,
            blocks: encoded.blocks,
            raw_bytes: length,
            time: encoded.time,
            level: 0,
            sorted_by: Vec::new(),
            tags: Vec::new(),
            paths: encoded.paths,
            columns: encoded.columns,
        };
        Commit { reservation: Some(reservation), extents: vec![extent], receipts: Vec::new() }
    }

    /// Stores `rows` as one extent in the place of all that the table has, as compaction does.
    pub(crate) async fn merged(&self, table: &Table, schema: &Schema, format: &str, rows: &[Row], block_rows: usize) {
        let at = self.catalog.pin(table.database).await.unwrap();
        let query = ExtentQuery {
            table: table.id,
            at,
            time: TimeRange::ALL,
            order: ExtentOrder::OldestFirst,
            ranges: Vec::new(),
        };
        let sources: Vec<ExtentId> = self.catalog.list(query).map_ok(|extent| extent.id).try_collect().await.unwrap();
        let commit = self.stored(table, schema, format, rows, block_rows).await;
        self.catalog.replace(table.id, &sources, &commit).await.unwrap();
    }

    /// The answer to a KQL query that must succeed.
    pub(crate) async fn kql(&self, text: &str) -> Answer {
        run(&self.engine, "kql", text).await.unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    /// The rows of a KQL query, as text.
    pub(crate) async fn rows(&self, text: &str) -> Vec<String> {
        shown(&self.kql(text).await)
    }

    /// The rows of a SQL query, as text.
    pub(crate) async fn sql(&self, text: &str) -> Vec<String> {
        let answer = run(&self.engine, "sql", text).await;
        shown(&answer.unwrap_or_else(|error| panic!("{text}: {error:?}")))
    }

    /// The profile of a KQL query.
    pub(crate) async fn profile(&self, text: &str) -> Profile {
        self.kql(text).await.profile
    }

    /// The error of a KQL query that must fail.
    pub(crate) async fn error(&self, text: &str) -> kyma_core::Error {
        failure(run(&self.engine, "kql", text).await)
    }
}

/// Settings of a small engine.
pub(crate) fn settings() -> ExecSettings {
    ExecSettings { cpu_threads: 2, ..ExecSettings::default() }
}

fn engine(
    catalog: &Arc<dyn Catalog>,
    store: &Arc<Store>,
    formats: &Arc<Formats>,
    settings: ExecSettings,
) -> Arc<Engine> {
    let parts = EngineParts {
        catalog: catalog.clone(),
        store: store.clone(),
        formats: formats.clone(),
        frontends: vec![Arc::new(kyma_kql::Kql), Arc::new(kyma_sql::Sql)],
        clock: Arc::new(SystemClock),
        settings,
        registry: &mut Registry::default(),
    };
    Engine::new(parts).unwrap()
}

pub(crate) async fn run(engine: &Engine, language: &str, text: &str) -> Result<Answer, QueryError> {
    engine.run(QueryRequest::new(language, DATABASE, text), CancellationToken::new()).await
}

/// The error of a query that must fail.
pub(crate) fn failure(answer: Result<Answer, QueryError>) -> kyma_core::Error {
    match answer {
        Ok(answer) => panic!("the query must fail, but: {:?}", shown(&answer)),
        Err(error) => error.into(),
    }
}

/// Every value of the first table.
pub(crate) fn values(answer: &Answer) -> Vec<Row> {
    let table = &answer.tables[0];
    let row = |batch: &RecordBatch, at: usize| -> Row {
        let columns = batch.columns().iter().zip(table.schema.columns());
        columns.map(|(array, column)| kyma_functions::array_value(&**array, at, column.ty)).collect()
    };
    table.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
}

/// The rows of the first table, values separated by `|`.
pub(crate) fn shown(answer: &Answer) -> Vec<String> {
    let shown = |row: Row| row.iter().map(show).collect::<Vec<_>>().join("|");
    values(answer).into_iter().map(shown).collect()
}

fn show(value: &Value) -> String {
    match value {
        Value::Null(_) => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Real(value) => value.to_string(),
        Value::Decimal(value) => value.to_string(),
        Value::Datetime(nanos) => kyma_core::time::format_datetime(*nanos),
        Value::Timespan(nanos) => kyma_core::time::format_timespan(*nanos),
        Value::Guid(bits) => uuid::Uuid::from_u128(*bits).to_string(),
        Value::String(text) | Value::Dynamic(text) => text.clone(),
    }
}

fn batch(schema: &Schema, rows: &[Row]) -> RecordBatch {
    let column = |at: usize| {
        let cells: Vec<_> = rows.iter().map(|row| cell(&row[at])).collect();
        let cells: Vec<&dyn Array> = cells.iter().map(|cell| &**cell).collect();
        arrow::compute::concat(&cells).unwrap()
    };
    let columns = (0..schema.len()).map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema.arrow(), columns, &options).unwrap()
}

/// One value as an array; a null string stays null, as stored rows may have it.
fn cell(value: &Value) -> arrow::array::ArrayRef {
    match value {
        Value::Null(ty) => arrow::array::new_null_array(&ty.arrow(), 1),
        value => kyma_functions::value_to_array(value, 1),
    }
}

/// `at` seconds after [`EPOCH`].
pub(crate) fn time(at: i64) -> Value {
    Value::Datetime(EPOCH + at * SECOND)
}

pub(crate) fn long(value: i64) -> Value {
    Value::Long(value)
}

pub(crate) fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}
