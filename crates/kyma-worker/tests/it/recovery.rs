//! The catalog is lost, and made again from the bucket; what is damaged is found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, TimestampNanosecondArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use kyma_catalog_postgres::PostgresCatalog;
use kyma_core::catalog::{
    Commit, Database, Definitions, ExtentOrder, ExtentQuery, Extents, Garbage, IngestionMapping, Policy,
    StoredFunction, Table, Tables,
};
use kyma_core::clock::{Clock, ManualClock, SystemClock};
use kyma_core::extent::Extent;
use kyma_core::format::{EncodeOptions, Formats, OpenOptions, ReadColumn, SegmentFormat, write_hash};
use kyma_core::profile::IoCounters;
use kyma_core::schema::{Column, HIDDEN_MARK, Schema};
use kyma_core::time::{DAY, TimeRange};
use kyma_core::{ExtentId, NodeId, Type};
use kyma_format_parquet::Parquet;
use kyma_format_tlm::Tlm;
use kyma_ingest::loopback::Loopback;
use kyma_ingest::{
    BodyFormat, Encoding, IngestAnswer, IngestParts, IngestRequest, IngestSettings, Ingester, LocalRouter, Rewrite,
};
use kyma_storage::Store;
use kyma_storage::object_store::{ObjectStoreExt, PutPayload, path::Path};
use kyma_testkit::postgres::TestDatabase;
use kyma_testkit::s3::TestS3;
use kyma_worker::rebuild::{RebuildOptions, RebuildReport, rebuild};
use kyma_worker::verify::{Level, Verifier, VerifyOptions, VerifyReport};
use kyma_worker::{Journal, JournalSettings, Progress};
use tokio_util::sync::CancellationToken;

/// A bucket, a catalog, and a node that writes.
struct World {
    catalog: Arc<PostgresCatalog>,
    database: TestDatabase,
    s3: TestS3,
    store: Arc<Store>,
    ingester: Arc<Ingester>,
    _loopback: Loopback,
}

fn formats() -> Arc<Formats> {
    Arc::new(Formats::new(vec![Arc::new(Tlm), Arc::new(Parquet)]))
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

impl World {
    async fn new() -> World {
        let (catalog, database) = kyma_testkit::postgres::catalog().await;
        let s3 = kyma_testkit::s3::server().await;
        Self::over(catalog, database, s3).await
    }

    async fn over(catalog: Arc<PostgresCatalog>, database: TestDatabase, s3: TestS3) -> World {
        // Databases of tests are copies of one: each is to be a catalog of its own.
        database.execute("UPDATE catalog SET id = gen_random_uuid()").await;
        let store = Store::from_object_store(s3.object_store());
        let router = Arc::new(LocalRouter::new());
        let ingester = Ingester::new(IngestParts {
            catalog: catalog.clone(),
            store: Arc::clone(&store),
            formats: formats(),
            clock: clock(),
            node: NodeId::generate(),
            router: router.clone(),
            settings: IngestSettings { flush_interval: Duration::from_millis(5), ..IngestSettings::default() },
        });
        let loopback = kyma_ingest::loopback::serve(&ingester).await.unwrap();
        router.set_address(loopback.address());
        World { catalog, database, s3, store, ingester, _loopback: loopback }
    }

    /// The same bucket under a new, empty catalog, made again.
    async fn rebuilt(self) -> (World, RebuildReport) {
        let (catalog, database) = kyma_testkit::postgres::catalog().await;
        let World { s3, .. } = self;
        let world = Self::over(catalog, database, s3).await;
        let report = world.rebuild().await.unwrap();
        (world, report)
    }

    async fn rebuild(&self) -> kyma_core::Result<RebuildReport> {
        let (options, progress) = (RebuildOptions::default(), Progress::default());
        rebuild(self.catalog.as_ref(), &self.store, &formats(), &options, &progress).await
    }

    fn journal(&self, settings: JournalSettings) -> Journal {
        Journal::new(self.catalog.clone(), self.catalog.clone(), Arc::clone(&self.store), settings, clock())
    }

    async fn write_journal(&self) -> u64 {
        self.journal(JournalSettings::default()).catch_up(false, &CancellationToken::new()).await.unwrap()
    }

    async fn write(&self, table: &str, key: Option<&str>, body: &str) -> IngestAnswer {
        let request = request(table, key);
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.ingester.ingest(&request, futures::stream::iter([Ok(body)]).boxed()).await.unwrap()
    }

    async fn home(&self) -> Database {
        self.catalog.database("d").await.unwrap().unwrap()
    }

    async fn table(&self, name: &str) -> Table {
        self.catalog.table(self.home().await.id, name).await.unwrap().unwrap()
    }

    async fn extents(&self, table: &str) -> Vec<Extent> {
        let table = self.table(table).await;
        let at = self.catalog.pin(table.database).await.unwrap();
        let order = ExtentOrder::OldestFirst;
        let query = ExtentQuery { table: table.id, at, time: TimeRange::ALL, order, ranges: Vec::new() };
        self.catalog.list(query).try_collect().await.unwrap()
    }

    /// The rows of a table as text, sorted, without hidden columns.
    async fn rows(&self, table: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for extent in self.extents(table).await {
            let source = self.store.reader(&extent.location, Arc::new(IoCounters::default()));
            let open = OpenOptions {
                extent: extent.id,
                length: extent.location.length,
                footer_length: extent.footer_length,
                footer: None,
            };
            let reader = formats().get(&extent.format).unwrap().open(source.clone(), &open).await.unwrap();
            let shown = reader.schema().columns().iter().filter(|column| !column.name.starts_with(HIDDEN_MARK));
            let columns: Vec<_> = shown.map(|column| ReadColumn::column(&column.name, column.ty)).collect();
            for block in 0..reader.block_rows().len() as u32 {
                let batch = reader.read(source.as_ref(), block, &columns, None).await.unwrap();
                for row in 0..batch.num_rows() {
                    let value = |(column, array): (&ReadColumn, &ArrayRef)| {
                        let text = ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap();
                        array.is_valid(row).then(|| format!("{}={}", column.source.column, text.value(row)))
                    };
                    let values: BTreeSet<_> = columns.iter().zip(batch.columns()).filter_map(value).collect();
                    rows.push(values.into_iter().collect::<Vec<_>>().join(" "));
                }
            }
        }
        rows.sort();
        rows
    }

    /// Merges all extents of a table into one.
    async fn compact(&self, table: &str) {
        let sources = self.extents(table).await.into_iter().map(Arc::new).collect();
        let table = Arc::new(self.table(table).await);
        let rewrite = Rewrite { table, sources, kept: Vec::new(), level: 1, format: None };
        self.ingester.rewriter(1).rewrite(rewrite).await.unwrap();
    }

    /// Puts an object that nobody commits.
    async fn put_orphan(&self, table: &Table, replaces: Vec<ExtentId>, writes: Vec<u128>) -> String {
        let schema = Schema::new(vec![Column::new(&table.time_column, Type::Datetime)]).arrow();
        let times: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1, 2]));
        let rows = RecordBatch::try_new(schema, vec![times]).unwrap();
        let options = EncodeOptions {
            extent: ExtentId::generate(),
            database: table.database,
            database_name: table.database_name.clone(),
            table: table.id,
            table_name: table.name.clone(),
            time_column: table.time_column.clone(),
            sorted_by: vec![table.time_column.clone()],
            level: 0,
            block_rows: 1_024,
            raw_bytes: 10,
            replaces,
            writes,
        };
        let key = format!("extents/2026/01/01/{}.kyma", uuid::Uuid::now_v7());
        self.store.put(&key, Tlm.encode(&[rows], &options).unwrap().bytes).await.unwrap();
        key
    }

    async fn verify(&self, level: Level, repair: bool) -> VerifyReport {
        let verifier = Verifier {
            catalog: self.catalog.clone(),
            recovery: self.catalog.clone(),
            store: Store::from_object_store(self.s3.object_store()),
            formats: formats(),
            clock: clock(),
            journal: self.journal(JournalSettings::default()),
        };
        let (orphan_age, overdue_age) = (Duration::ZERO, Duration::ZERO);
        let options = VerifyOptions { level, repair, orphan_age, overdue_age, ..VerifyOptions::default() };
        verifier.verify(&options, &Progress::default()).await.unwrap()
    }

    async fn bytes(&self, key: &str) -> Vec<u8> {
        let got = self.s3.object_store().get(&Path::from(key)).await.unwrap();
        got.bytes().await.unwrap().to_vec()
    }

    async fn overwrite(&self, key: &str, bytes: Vec<u8>) {
        self.s3.object_store().put(&Path::from(key), PutPayload::from(bytes)).await.unwrap();
    }
}

fn request(table: &str, key: Option<&str>) -> IngestRequest {
    IngestRequest {
        database: "d".into(),
        table: table.into(),
        format: BodyFormat::NdJson,
        encoding: Encoding::Identity,
        idempotency_key: key.map(str::to_owned),
        source: "test".into(),
    }
}

fn lines(from: i64, count: i64) -> String {
    let line = |n: i64| {
        format!("{{\"Timestamp\":\"2026-01-01T00:00:{:02}Z\",\"n\":{n},\"k\":{{\"pod\":\"p{}\"}}}}\n", n % 60, n % 3)
    };
    (from..from + count).map(line).collect()
}

fn codes(report: &VerifyReport) -> Vec<&'static str> {
    report.counts.keys().copied().collect()
}

fn notes(report: &RebuildReport) -> Vec<&'static str> {
    report.notes.iter().map(|note| note.code).collect()
}

/// All that a catalog knows comes back from its journal: definitions, extents as they were, receipts, drops, compaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_makes_the_same_catalog() {
    let world = World::new().await;
    world.write("t", Some("first"), &(lines(0, 20) + "broken\n")).await;
    assert_eq!(world.write_journal().await, 1, "one database moved");
    assert_eq!(world.write_journal().await, 0, "nothing moved since");
    for n in 1..4 {
        world.write("t", None, &lines(n * 100, 10)).await;
        world.write("u", Some(&format!("u{n}")), &lines(n, 3)).await;
    }
    world.write("gone", None, &lines(0, 2)).await;
    world.write_journal().await;
    world.compact("t").await;
    let home = world.home().await;
    world.catalog.drop_table(world.table("gone").await.id).await.unwrap();
    let function = StoredFunction {
        name: "f".into(),
        parameters: "()".into(),
        body: "{ t }".into(),
        folder: String::new(),
        docstring: "all".into(),
    };
    world.catalog.put_function(home.id, &function, false).await.unwrap();
    let table = world.table("u").await;
    let policy = Policy { database: home.id, table: Some(table.id), kind: "caching".into(), json: "{\"a\": 1}".into() };
    world.catalog.put_policy(&policy).await.unwrap();
    let mapping = IngestionMapping { table: table.id, name: "m".into(), kind: "json".into(), json: "[ ]".into() };
    world.catalog.put_ingestion_mapping(&mapping, false).await.unwrap();
    // An extent that was deleted whole.
    let (first, at) = (world.extents("u").await[0].id, world.catalog.pin(home.id).await.unwrap());
    world.catalog.replace(table.id, &[first], &Commit::default()).await.unwrap();
    assert_eq!(world.write_journal().await, 1);

    let mut expected = Vec::new();
    for name in ["t", "u", "_rejected"] {
        expected.push((name, world.rows(name).await, world.extents(name).await, world.table(name).await));
    }
    assert_eq!((expected[0].1.len(), expected[1].1.len(), expected[2].1.len()), (50, 6, 1));
    let answer = world.write("u", Some("u2"), "").await;
    let (world, report) = world.rebuilt().await;
    assert_eq!(notes(&report), [""; 0]);
    assert_eq!((report.databases.len(), report.databases[0].adopted), (1, 0));
    for (name, rows, extents, table) in expected {
        assert_eq!(world.rows(name).await, rows, "{name}");
        assert_eq!(world.extents(name).await, extents, "{name}");
        assert_eq!(Table { schema_version: table.schema_version, ..world.table(name).await }, table);
    }
    assert!(world.catalog.table(home.id, "gone").await.unwrap().is_none());
    assert_eq!(world.catalog.functions(home.id).await.unwrap(), [function]);
    assert!(world.catalog.policies(home.id).await.unwrap().contains(&policy));
    assert_eq!(world.catalog.ingestion_mappings(table.id).await.unwrap(), [mapping]);
    assert_eq!(world.write("u", Some("u2"), &lines(0, 5)).await, answer, "an old key gets its old answer");
    assert!(world.catalog.pin(home.id).await.unwrap() > at);
    world.write("t", None, &lines(900, 1)).await;
    world.write("new", None, &lines(900, 1)).await;
    assert_eq!(world.rows("t").await.len(), 51);
    world.write_journal().await;
    let report = world.verify(Level::Full, false).await;
    // What was merged, dropped and deleted is left in the bucket, and nothing else.
    assert_eq!(codes(&report), ["orphan_object"], "{report:#?}");
    let repaired = world.verify(Level::Quick, true).await;
    assert_eq!((repaired.unrepaired, repaired.counts["orphan_object"] > 0), (0, true));
    let before = (world.rows("t").await, world.rows("u").await);
    let (world, report) = world.rebuilt().await;
    assert_eq!(notes(&report), ["superseded_journal"], "the newer journal counts");
    assert_eq!((world.rows("t").await, world.rows("u").await), before, "what the first catalog removed stays removed");
}

/// What was committed after the last entry is found by footers; what was put and never committed is told apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_after_the_journal_is_found() {
    let world = World::new().await;
    world.write("t", Some("a"), &lines(0, 10)).await;
    world.write("t", Some("b"), &lines(10, 10)).await;
    world.write_journal().await;
    let table = world.table("t").await;
    world.write("t", Some("c"), &lines(20, 10).replace("\"n\"", "\"late\":true,\"n\"")).await;
    world.write("new", None, &(lines(0, 5) + "broken\n")).await;
    world.write("new", None, &lines(5, 5)).await;
    world.compact("t").await;
    world.compact("new").await;
    let orphans = [
        world.put_orphan(&table, Vec::new(), vec![write_hash(table.database, "a")]).await,
        world.put_orphan(&table, Vec::new(), vec![write_hash(table.database, "c")]).await,
    ];
    let tables = ["t", "new", "_rejected"];
    let mut expected = Vec::new();
    for name in tables {
        expected.push((world.rows(name).await, world.table(name).await.schema));
    }
    let (world, report) = world.rebuilt().await;
    for (name, (rows, schema)) in tables.into_iter().zip(expected) {
        assert_eq!(world.rows(name).await, rows, "{name}: {report:#?}");
        let columns =
            |schema: &Schema| schema.columns().iter().map(|c| (c.name.clone(), c.ty)).collect::<BTreeSet<_>>();
        assert_eq!(columns(&world.table(name).await.schema), columns(&schema), "{name}");
    }
    assert_eq!(report.orphans.keys().collect::<Vec<_>>(), orphans.iter().collect::<Vec<_>>(), "{report:#?}");
    assert_eq!(world.verify(Level::Full, false).await.counts.get("footer_mismatch"), None);
}

/// Without a journal footers give the rows; what they cannot know is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn footers_alone_give_the_rows() {
    let world = World::new().await;
    world.write("t", None, &lines(0, 10)).await;
    world.write("t", None, &lines(10, 10)).await;
    world.write("t", None, &(lines(20, 10) + "broken\n")).await;
    world.catalog.set_format(world.table("t").await.id, "parquet").await.unwrap();
    let parquet = World::over(world.catalog.clone(), world.database, world.s3).await;
    parquet.write("t", None, &lines(30, 10)).await;
    let formats: BTreeSet<String> = parquet.extents("t").await.iter().map(|extent| extent.format.clone()).collect();
    assert_eq!(formats.len(), 2, "one table in two formats");
    let (rows, rejected) = (parquet.rows("t").await, parquet.rows("_rejected").await);
    let (world, report) = parquet.rebuilt().await;
    assert_eq!((world.rows("t").await, world.rows("_rejected").await), (rows, rejected));
    assert_eq!(notes(&report), ["no_journal"]);
    assert_eq!(report.databases[0].adopted, 5);
    let error = world.rebuild().await.unwrap_err();
    assert_eq!(error.code(), "catalog.not_empty");
    assert_eq!(world.rows("t").await.len(), 40, "a refused rebuild changes nothing");
}

/// A journal was written by a node whose clock runs a day ahead. What came after it is found all the same: a write, rows that a
/// command put in the place of others, and, by the extent that took its place, that one was merged and collected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_after_a_journal_is_told_by_the_bucket() {
    let world = World::new().await;
    world.write("merged", None, &lines(0, 3)).await;
    let replaced = world.write("replaced", None, &lines(10, 3)).await.extents;
    let ahead = Arc::new(ManualClock::at(SystemClock.now() + DAY));
    let (catalog, store) = (world.catalog.clone(), Arc::clone(&world.store));
    let journal = Journal::new(catalog.clone(), catalog, store, JournalSettings::default(), ahead);
    journal.catch_up(false, &CancellationToken::new()).await.unwrap();

    world.write("merged", None, &lines(20, 3)).await;
    let sources = world.extents("merged").await;
    world.compact("merged").await;
    world.store.delete(&sources[0].location.key).await.unwrap();
    let schema = Schema::new(vec![Column::new("n", Type::Long)]).arrow();
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![99]));
    let batch = RecordBatch::try_new(schema, vec![numbers]).unwrap();
    world.ingester.replace_batches(&request("replaced", None), &replaced, vec![batch]).await.unwrap();

    let rows = async |world: &World| [world.rows("merged").await, world.rows("replaced").await];
    let before = rows(&world).await;
    assert_eq!(before.each_ref().map(Vec::len), [6, 1]);
    let (rebuilt, report) = world.rebuilt().await;
    assert_eq!(rows(&rebuilt).await, before);
    assert_eq!((notes(&report), report.databases[0].adopted), (vec!["object_gone"], 2));
}

/// A gap in the journal is told, and what is behind it is found by footers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_journal_is_told() {
    let world = World::new().await;
    for n in 0..4 {
        world.write("t", None, &lines(n * 10, 10)).await;
        world.write_journal().await;
    }
    let mut parts: Vec<String> = world.store.list("journal").map_ok(|object| object.key).try_collect().await.unwrap();
    parts.sort();
    assert_eq!(parts.len(), 5, "a full entry of two parts, and three deltas");
    world.store.delete(&parts[3]).await.unwrap();
    assert_eq!(codes(&world.verify(Level::Quick, false).await), ["journal_gap"]);
    let rows = world.rows("t").await;
    let (rebuilt, report) = world.rebuilt().await;
    assert_eq!(rebuilt.rows("t").await, rows);
    assert_eq!((notes(&report), report.databases[0].adopted), (vec!["journal_flaw"], 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn journals_of_two_catalogs_need_a_choice() {
    let one = World::new().await;
    one.write("t", None, &lines(0, 10)).await;
    one.write_journal().await;
    let (catalog, database) = kyma_testkit::postgres::catalog().await;
    let other = World::over(catalog, database, one.s3).await;
    other.write("t", None, &lines(0, 3)).await;
    other.write_journal().await;
    let (catalog, _database) = kyma_testkit::postgres::catalog().await;
    let again = |chosen| {
        let (catalog, store) = (catalog.clone(), Arc::clone(&other.store));
        async move {
            let options = RebuildOptions { catalog: chosen, ..RebuildOptions::default() };
            rebuild(catalog.as_ref(), &store, &formats(), &options, &Progress::default()).await
        }
    };
    assert_eq!(again(None).await.unwrap_err().code(), "rebuild.several_catalogs");
    assert_eq!(again(Some(uuid::Uuid::nil())).await.unwrap_err().code(), "rebuild.no_journal");
    assert!(catalog.databases().await.unwrap().is_empty(), "nothing was made");
}

/// Old entries go after a full one, and what is left is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_entries_take_the_place_of_old_ones() {
    let world = World::new().await;
    let journal = world.journal(JournalSettings { deltas_max: 2, kept_millis: 0, ..JournalSettings::default() });
    for n in 0..7 {
        world.write("t", None, &lines(n * 10, 10)).await;
        // Two workers at once: what both write is true.
        let stop = CancellationToken::new();
        let (one, other) = tokio::join!(journal.catch_up(false, &stop), journal.catch_up(false, &stop));
        one.unwrap();
        other.unwrap();
    }
    let parts: Vec<String> = world.store.list("journal").map_ok(|object| object.key).try_collect().await.unwrap();
    assert!(parts.iter().any(|key| key.contains(".full.")) && parts.len() <= 4, "{parts:#?}");
    assert_eq!(codes(&world.verify(Level::Quick, false).await), [""; 0]);
    let (rows, (rebuilt, report)) = (world.rows("t").await, world.rebuilt().await);
    assert_eq!((rebuilt.rows("t").await, report.databases[0].adopted, notes(&report)), (rows, 0, vec![]));
}

/// Each kind of damage, and what it is called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found() {
    let world = World::new().await;
    for n in 0..3 {
        world.write("t", Some(&n.to_string()), &lines(n * 10, 10)).await;
    }
    world.write_journal().await;
    for level in [Level::Quick, Level::Footers, Level::Full] {
        let report = world.verify(level, false).await;
        assert_eq!((codes(&report), report.extents, report.rows, report.objects), (vec![], 3, 30, 3), "{report:#?}");
    }
    let extents = world.extents("t").await;
    let key = extents[0].location.key.clone();
    let whole = world.bytes(&key).await;
    // A byte of the data: only pages tell.
    let mut flipped = whole.clone();
    flipped[3] ^= 1;
    world.overwrite(&key, flipped).await;
    assert_eq!(codes(&world.verify(Level::Footers, false).await), [""; 0]);
    assert_eq!(codes(&world.verify(Level::Full, false).await), ["data_corrupt"]);
    // A byte of the footer.
    let mut flipped = whole.clone();
    let last = flipped.len() - 40;
    flipped[last] ^= 1;
    world.overwrite(&key, flipped).await;
    assert_eq!(codes(&world.verify(Level::Quick, false).await), [""; 0]);
    assert_eq!(codes(&world.verify(Level::Footers, false).await), ["footer_corrupt"]);
    // Cut short, gone, and whole again.
    world.overwrite(&key, whole[..whole.len() - 1].to_vec()).await;
    assert_eq!(codes(&world.verify(Level::Quick, false).await), ["object_truncated"]);
    world.store.delete(&key).await.unwrap();
    let repaired = world.verify(Level::Quick, true).await;
    assert_eq!((codes(&repaired), repaired.unrepaired), (vec!["object_missing"], 1));
    assert_eq!(world.extents("t").await.len(), 3, "a repair never touches a visible extent");
    world.overwrite(&key, whole).await;
    assert_eq!(codes(&world.verify(Level::Full, false).await), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disorder_is_found_and_repaired() {
    let world = World::new().await;
    world.write("t", Some("a"), &lines(0, 10)).await;
    world.write_journal().await;
    let id = world.extents("t").await[0].id;
    let database = &world.database;
    let check = async |sql: &str, code: &'static str, undo: &str| {
        database.execute(sql).await;
        assert_eq!(codes(&world.verify(Level::Full, false).await), [code], "{sql}");
        database.execute(undo).await;
        assert_eq!(codes(&world.verify(Level::Full, false).await), [""; 0], "{undo}");
    };
    check(
        "UPDATE extents SET raw_bytes = raw_bytes + 1; UPDATE manifests SET raw_bytes = raw_bytes + 1",
        "footer_mismatch",
        "UPDATE extents SET raw_bytes = raw_bytes - 1; UPDATE manifests SET raw_bytes = raw_bytes - 1",
    )
    .await;
    check(
        "UPDATE receipts SET sequence = sequence + 1000",
        "receipt_without_commit",
        "UPDATE receipts SET sequence = sequence - 1000",
    )
    .await;
    check(
        "INSERT INTO objects (key, state, reserved_at) VALUES ('extents/x.kyma', 'doomed', now() - interval '1 day')",
        "doomed_object_left",
        "DELETE FROM objects WHERE key = 'extents/x.kyma'",
    )
    .await;
    database.execute("UPDATE extents SET time_end = time_end - 1000000000").await;
    assert_eq!(codes(&world.verify(Level::Full, false).await), ["footer_mismatch", "time_bounds_unsound"]);
    database.execute("UPDATE extents SET time_end = time_end + 1000000000").await;
    // Statistics that rows refute: the catalog would prune what matches.
    let stats = "UPDATE extents SET bounds = replace(bounds::text, '\"l9\"', '\"l8\"')::json";
    database.execute(stats).await;
    let report = world.verify(Level::Full, false).await;
    assert_eq!(codes(&report), ["footer_mismatch", "statistics_unsound"], "{report:#?}");
    database.execute("UPDATE extents SET bounds = replace(bounds::text, '\"l8\"', '\"l9\"')::json").await;

    database.execute("UPDATE manifests SET row_count = row_count + 5").await;
    assert_eq!(codes(&world.verify(Level::Quick, false).await), ["totals_mismatch"]);
    assert_eq!(world.verify(Level::Quick, true).await.unrepaired, 0);
    let orphan = world.put_orphan(&world.table("t").await, Vec::new(), Vec::new()).await;
    assert_eq!(codes(&world.verify(Level::Quick, false).await), ["orphan_object"]);
    assert_eq!(world.verify(Level::Quick, true).await.unrepaired, 0);
    let doomed = world.catalog.doomed(10).await.unwrap();
    assert_eq!(doomed.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), [orphan.as_str()]);
    world.store.delete(&orphan).await.unwrap();
    world.catalog.forget(&orphan).await.unwrap();

    let parts: Vec<String> = world.store.list("journal").map_ok(|object| object.key).try_collect().await.unwrap();
    let mut damaged = world.bytes(&parts[0]).await;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    world.overwrite(&parts[0], damaged).await;
    assert_eq!(codes(&world.verify(Level::Quick, false).await), ["journal_corrupt", "journal_missing"]);
    assert_eq!(world.verify(Level::Quick, true).await.unrepaired, 0);
    assert_eq!(codes(&world.verify(Level::Quick, false).await), [""; 0]);
    // A journal that tells of other extents than the catalog shows.
    database.execute(&format!("UPDATE extents SET id = gen_random_uuid() WHERE id = '{id}'")).await;
    assert!(codes(&world.verify(Level::Quick, false).await).contains(&"journal_mismatch"));
}

/// A writer died after the first part of an entry, and collection forgot extents that it told of: what comes next lies in other
/// parts now. The next writer must not take that first part for its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_another_began_is_not_continued() {
    let world = World::new().await;
    world.write("t", None, &lines(0, 1)).await;
    world.write("t", None, &lines(1, 1)).await;
    world.compact("t").await;
    let journal = world.journal(JournalSettings::default()).in_pages_of(1);
    let stop = CancellationToken::new();
    journal.catch_up(false, &stop).await.unwrap();
    let parts = async || {
        let (catalogs, _) = kyma_worker::journal::list(&world.store).await.unwrap();
        catalogs.into_values().flat_map(|databases| databases.into_values()).flatten().collect::<BTreeMap<_, _>>()
    };
    for part in parts().await.keys().filter(|part| part.part > 0) {
        world.store.delete(&part.to_string()).await.unwrap();
    }
    world.database.execute("DELETE FROM journals").await;
    world.catalog.doom_removed(Duration::ZERO, 100).await.unwrap();
    for object in world.catalog.doomed(100).await.unwrap() {
        world.store.delete(&object.key).await.unwrap();
        world.catalog.forget(&object.key).await.unwrap();
    }

    journal.catch_up(false, &stop).await.unwrap();

    let replayed = kyma_worker::journal::replay::replay(&world.store, &parts().await).await.unwrap();
    let told: Vec<ExtentId> = replayed.extents.into_keys().collect();
    let there: Vec<ExtentId> = world.extents("t").await.iter().map(|extent| extent.id).collect();
    assert_eq!(told, there);
    assert!(!there.is_empty());
}
