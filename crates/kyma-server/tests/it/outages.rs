//! Parts that go away under a running node: every request ends in time with a code, the process lives, nothing
//! acknowledged is lost, and all is well again when they are back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kyma_catalog_postgres::local::{Options, Server};
use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
use kyma_ingest::IngestSettings;
use kyma_server::Settings;
use kyma_storage::fault::{Faults, FaultyStore};
use kyma_storage::object_store::memory::InMemory;
use kyma_storage::{Store, StoreSettings};
use kyma_testkit::postgres::TestDatabase;
use serde_json::{Value, json};

use crate::node::{TestNode, body_of};

/// Every request must end within this time while a part is away.
const BOUND: Duration = Duration::from_secs(20);

/// A PostgreSQL of one test, which it stops and starts again.
struct Postgres {
    folder: tempfile::TempDir,
    server: Option<Server>,
}

impl Postgres {
    async fn start() -> Postgres {
        let mut postgres = Postgres { folder: tempfile::tempdir_in("/tmp").unwrap(), server: None };
        postgres.start_again().await;
        postgres
    }

    async fn start_again(&mut self) {
        let options = Options::throw_away(self.folder.path().join("pg"));
        self.server = Some(Server::start(options).await.unwrap());
    }

    async fn stop(&mut self) {
        self.server.take().unwrap().stop().await.unwrap();
    }

    async fn catalog(&self) -> Arc<PostgresCatalog> {
        let catalog = PostgresCatalog::connect(&self.server.as_ref().unwrap().url(), &quick()).await.unwrap();
        catalog.migrate().await.unwrap();
        catalog
    }
}

/// A catalog that gives up soon.
fn quick() -> CatalogSettings {
    CatalogSettings { connect_timeout_millis: 1_000, statement_timeout_millis: 2_000, ..CatalogSettings::default() }
}

async fn over_postgres(postgres: &Postgres) -> TestNode {
    let store = Store::from_object_store(Arc::new(InMemory::new()));
    TestNode::over(postgres.catalog().await, store, Settings::default(), IngestSettings::default()).await
}

/// A node whose store fails as told.
async fn over_faulty_store() -> (TestNode, Faults, TestDatabase) {
    let (catalog, database) = kyma_testkit::postgres::catalog().await;
    let (faulty, faults) = FaultyStore::new(Arc::new(InMemory::new()));
    let store = Store::with_deadlines(faulty, Duration::from_secs(1), Duration::from_millis(300));
    let node = TestNode::over(catalog, store, Settings::default(), IngestSettings::default()).await;
    (node, faults, database)
}

/// Stores row `n` once, however often it is called; the status.
async fn write(node: &TestNode, n: usize) -> (u16, Value) {
    let request = node.post("/v1/ingest/default/T").header("Idempotency-Key", format!("row-{n}"));
    body_of(request.body(format!("{{\"n\":{n}}}\n")).send().await.unwrap()).await
}

/// A write, a query and `/readyz` say in time that `part` is away; the process lives.
async fn assert_away(node: &TestNode, part: &str) {
    let began = Instant::now();
    let request = node.post("/v1/ingest/default/T").body("{\"n\":-1}\n");
    let reply = request.send().await.unwrap();
    assert_eq!(reply.headers()["retry-after"], "1");
    let (status, answer) = body_of(reply).await;
    assert_refused(status, &answer, part);
    let (status, answer) = node.query(json!({ "query": "T | where n >= 0 | summarize sum(n * 2)" })).await;
    assert_refused(status, &answer, part);
    let request =
        node.post("/v2/rest/query").json(&json!({ "db": "default", "csl": "T | where n >= 0 | summarize sum(n * 2)" }));
    let (status, answer) = body_of(request.send().await.unwrap()).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("ServiceUnavailable")), "{answer}");
    let answer = node.until_ready(false).await;
    assert_eq!(answer["reasons"][0]["part"], part, "{answer}");
    assert_ne!(answer[part], "ok", "{answer}");
    let (other, alive) = if part == "store" { ("catalog", "ok") } else { ("store", "ok") };
    assert_eq!(answer[other], alive, "{answer}");
    assert_eq!(node.get("/healthz").send().await.unwrap().status(), 200);
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
}

fn assert_refused(status: u16, answer: &Value, part: &str) {
    let code = answer["error"]["code"].as_str().unwrap_or_default();
    assert!(status == 503 && code.starts_with(&format!("{part}.")), "{status}: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_stops_is_a_503_until_it_is_back() {
    let mut postgres = Postgres::start().await;
    let node = over_postgres(&postgres).await;
    assert_eq!(write(&node, 1).await.0, 200);
    assert_eq!(node.rows("T | summarize sum(n)").await, json!([[1]]));
    postgres.stop().await;
    assert_away(&node, "catalog").await;
    let (status, answer) = write(&node, 2).await;
    assert_refused(status, &answer, "catalog");

    postgres.start_again().await;
    assert_eq!(write(&node, 2).await.0, 200);
    assert_eq!(node.rows("T | summarize count(), sum(n)").await, json!([[2, 3]]));
    assert_eq!(node.until_ready(true).await["reasons"], json!([]));
    node.stop().await;
    postgres.stop().await;
}

/// Locks that nobody lets go of are what a catalog that hangs looks like.
const HANG: &str = "DO $$ DECLARE t record; BEGIN \
    FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP \
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', t.tablename); END LOOP; \
    PERFORM pg_sleep(600); END $$";
const LET_GO: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE datname = current_database() AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_hangs_is_given_up() {
    let database = Arc::new(kyma_testkit::postgres::database().await);
    let store = Store::from_object_store(Arc::new(InMemory::new()));
    let catalog = PostgresCatalog::connect(&database.url, &quick()).await.unwrap();
    let node = TestNode::over(catalog, store, Settings::default(), IngestSettings::default()).await;
    assert_eq!(write(&node, 1).await.0, 200);
    let locked = database.clone();
    let mut locks = tokio::task::JoinSet::new();
    // Ends with an error when it is made to let go.
    locks.spawn(async move { locked.execute(HANG).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_away(&node, "catalog").await;
    assert!(locks.try_join_next().is_none(), "nothing hung");
    database.execute(LET_GO).await;
    assert_eq!(write(&node, 2).await.0, 200);
    assert_eq!(node.rows("T | where n > 0 | summarize count(), sum(n)").await, json!([[2, 3]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_a_503_until_it_is_back() {
    let (node, faults, _database) = over_faulty_store().await;
    assert_eq!(write(&node, 1).await.0, 200);
    faults.set_down(true);
    assert_away(&node, "store").await;
    faults.set_down(false);
    assert_eq!(write(&node, 2).await.0, 200);
    assert_eq!(node.rows("T | summarize count(), sum(n)").await, json!([[2, 3]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_is_given_up() {
    let (node, faults, _database) = over_faulty_store().await;
    assert_eq!(write(&node, 1).await.0, 200);
    faults.set_hang(true);
    assert_away(&node, "store").await;
    faults.set_hang(false);
    assert_eq!(write(&node, 2).await.0, 200);
    assert_eq!(node.rows("T | summarize count(), sum(n)").await, json!([[2, 3]]));
    node.stop().await;
}

/// Writers go on through two outages of each part; a client that retries with its key loses and doubles nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_during_outages_is_there_once() {
    let mut postgres = Postgres::start().await;
    let (faulty, faults) = FaultyStore::new(Arc::new(InMemory::new()));
    let store = Store::with_deadlines(faulty, Duration::from_secs(1), Duration::from_millis(300));
    let catalog = postgres.catalog().await;
    let node = TestNode::over(catalog, store, Settings::default(), IngestSettings::default()).await;
    let over = AtomicBool::new(false);
    let writer = async |first: usize| {
        let (mut acked, mut refused) = (BTreeSet::new(), 0);
        for n in (first..).step_by(4) {
            if over.load(Ordering::SeqCst) {
                break;
            }
            // A write that is refused is sent again, with its key, until it is stored.
            loop {
                let (status, answer) = write(&node, n).await;
                if status == 200 {
                    assert_eq!((&answer["rows"], &answer["rejected"]), (&json!(1), &json!(0)), "{answer}");
                    acked.insert(n);
                    break;
                }
                assert!(status == 503 && answer["error"]["code"].is_string(), "{status}: {answer}");
                refused += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        (acked, refused)
    };
    let outages = async {
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            postgres.stop().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            postgres.start_again().await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            faults.set_down(true);
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            faults.set_down(false);
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
        over.store(true, Ordering::SeqCst);
    };
    let (one, two, three, four, ()) = tokio::join!(writer(0), writer(1), writer(2), writer(3), outages);
    let refused = one.1 + two.1 + three.1 + four.1;
    assert!(refused > 0, "no write met an outage");
    let acked: BTreeSet<usize> = [one.0, two.0, three.0, four.0].into_iter().flatten().collect();
    let rows = node.rows("T | project n | order by n asc").await;
    let stored: Vec<usize> =
        rows.as_array().unwrap().iter().map(|row| usize::try_from(row[0].as_u64().unwrap()).unwrap()).collect();
    assert_eq!(stored, acked.into_iter().collect::<Vec<_>>());
    node.stop().await;
    postgres.stop().await;
}

/// A disk cache that cannot be written, and one that is taken away, only cost time.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_disk_that_fails_changes_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let file = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
    let lost = folder.path().join("lost");
    let objects = folder.path().join("objects");
    std::fs::create_dir_all(&objects).unwrap();
    for cache_dir in [file.path().join("below-a-file"), lost.clone()] {
        let (catalog, _database) = kyma_testkit::postgres::catalog().await;
        let settings = StoreSettings {
            cache_dir: Some(cache_dir),
            // So little memory that reads must go past it.
            cache_memory_bytes: 4 * 1024,
            ..StoreSettings::new(url::Url::from_directory_path(&objects).unwrap())
        };
        let store = kyma_storage::open(&settings).await.unwrap();
        let node = TestNode::over(catalog, store, Settings::default(), IngestSettings::default()).await;
        let rows: String = (0..5_000).map(|n| format!("{{\"n\":{n},\"s\":\"row {}\"}}\n", n * 7_919)).collect();
        node.ingest("T", rows).await;
        for _ in 0..2 {
            let answer = node.rows("T | summarize count(), sum(n), countif(s has '7919')").await;
            assert_eq!(answer, json!([[5_000, 12_497_500, 1]]));
            let _ = std::fs::remove_dir_all(&lost);
        }
        node.stop().await;
    }
}
