//! A node for one test, and a client of it.

use std::sync::Arc;

use kyma_core::NodeId;
use kyma_core::catalog::Catalog;
use kyma_core::clock::SystemClock;
use kyma_core::format::{Formats, SegmentFormat};
use kyma_exec::{Engine, EngineParts, ExecSettings};
use kyma_ingest::{IngestParts, IngestSettings, Ingester, LocalRouter};
use kyma_server::{Node, NodeParts, RunningNode, Settings};
use kyma_storage::{Store, StoreSettings};
use kyma_testkit::postgres::TestDatabase;
use kyma_worker::{Worker, WorkerSettings};
use prometheus_client::registry::Registry;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

pub(crate) struct TestNode {
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    running: RunningNode,
    _kept: Option<(tempfile::TempDir, TestDatabase)>,
}

impl TestNode {
    pub(crate) async fn start() -> TestNode {
        TestNode::start_with(Settings::default(), IngestSettings::default()).await
    }

    pub(crate) async fn start_with(settings: Settings, ingest: IngestSettings) -> TestNode {
        let (catalog, database) = kyma_testkit::postgres::catalog().await;
        let folder = tempfile::tempdir().unwrap();
        let store_url = url::Url::from_directory_path(folder.path()).unwrap();
        let store = kyma_storage::open(&StoreSettings::new(store_url)).await.unwrap();
        TestNode { _kept: Some((folder, database)), ..TestNode::over(catalog, store, settings, ingest).await }
    }

    /// A node that does background work, too.
    pub(crate) async fn start_working() -> TestNode {
        let (catalog, database) = kyma_testkit::postgres::catalog().await;
        let folder = tempfile::tempdir().unwrap();
        let store_url = url::Url::from_directory_path(folder.path()).unwrap();
        let store = kyma_storage::open(&StoreSettings::new(store_url)).await.unwrap();
        TestNode { _kept: Some((folder, database)), ..TestNode::working(catalog, store, Settings::default()).await }
    }

    /// A node that does background work, over a catalog and a store that the test owns. Its leases are short.
    pub(crate) async fn working(catalog: Arc<dyn Catalog>, store: Arc<Store>, settings: Settings) -> TestNode {
        let worker = WorkerSettings { poll_millis: 10, lease_millis: 600, ..WorkerSettings::default() };
        TestNode::made_of(catalog, store, at_once(settings), IngestSettings::default(), Some(worker)).await
    }

    /// A node over a catalog and a store that the test owns. It notices soon when one of them is away, and stops without
    /// waiting for balancers.
    pub(crate) async fn over(
        catalog: Arc<dyn Catalog>,
        store: Arc<Store>,
        settings: Settings,
        ingest: IngestSettings,
    ) -> TestNode {
        TestNode::made_of(catalog, store, at_once(settings), ingest, None).await
    }

    /// The same with exactly these settings, but for the ports.
    pub(crate) async fn as_set(
        catalog: Arc<dyn Catalog>,
        store: Arc<Store>,
        settings: Settings,
        ingest: IngestSettings,
    ) -> TestNode {
        TestNode::made_of(catalog, store, settings, ingest, None).await
    }

    async fn made_of(
        catalog: Arc<dyn Catalog>,
        store: Arc<Store>,
        settings: Settings,
        ingest: IngestSettings,
        worker: Option<WorkerSettings>,
    ) -> TestNode {
        let tlm: Arc<dyn SegmentFormat> = Arc::new(kyma_format_tlm::Tlm);
        let formats = Arc::new(Formats::new(vec![tlm, Arc::new(kyma_format_parquet::Parquet)]));
        let (id, clock) = (NodeId::generate(), Arc::new(SystemClock));
        let mut registry = Registry::default();
        let router = Arc::new(LocalRouter::new());
        let ingester = Ingester::new(IngestParts {
            catalog: catalog.clone(),
            store: store.clone(),
            formats: formats.clone(),
            clock: clock.clone(),
            node: id,
            router: router.clone(),
            settings: ingest,
        });
        let engine = Engine::new(EngineParts {
            catalog: catalog.clone(),
            store: store.clone(),
            formats: formats.clone(),
            frontends: vec![Arc::new(kyma_kql::Kql), Arc::new(kyma_sql::Sql)],
            clock: clock.clone(),
            settings: ExecSettings::default(),
            registry: &mut registry,
        })
        .unwrap();
        let worker =
            worker.map(|settings| Worker::new(catalog.clone(), store.clone(), settings, clock.clone()).on_node(id));
        let loopback = "127.0.0.1:0".parse().unwrap();
        let running = Node::start(NodeParts {
            id,
            catalog,
            store,
            formats,
            default_format: "tlm".to_owned(),
            engine,
            ingester,
            router,
            worker,
            settings: Settings { listen: loopback, grpc_listen: loopback, ..settings },
            registry,
            clock,
        })
        .await
        .unwrap();
        let url = format!("http://{}", running.http_addr);
        let client = client();
        TestNode { url, client, running, _kept: None }
    }

    pub(crate) async fn stop(self) {
        self.running.shutdown().await;
    }

    /// Starts to stop; the client still has the node's address.
    pub(crate) fn stopping(self) -> (String, impl Future<Output = ()> + Send) {
        let TestNode { url, running, _kept, client: _ } = self;
        let stopping = async move {
            running.shutdown().await;
            drop(_kept);
        };
        (url, stopping)
    }

    /// Waits until `/readyz` says whether the node is ready as it should; its answer.
    pub(crate) async fn until_ready(&self, ready: bool) -> Value {
        let began = std::time::Instant::now();
        loop {
            let (status, answer) = body_of(self.get("/readyz").send().await.unwrap()).await;
            assert_eq!(answer["ready"], json!(status == 200), "{answer}");
            if (status == 200) == ready {
                return answer;
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(30), "ready is never {ready}: {answer}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    /// Stores NDJSON in `default`; the answer of a write that must succeed.
    pub(crate) async fn ingest(&self, table: &str, body: impl Into<reqwest::Body>) -> Value {
        let reply = self.post(&format!("/v1/ingest/default/{table}")).body(body).send().await.unwrap();
        let (status, answer) = body_of(reply).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The rows of a KQL query that must succeed.
    pub(crate) async fn rows(&self, text: &str) -> Value {
        let (status, answer) = self.query(json!({ "query": text })).await;
        assert_eq!(status, 200, "{text}: {answer}");
        answer["rows"].clone()
    }

    /// Status and body of a query.
    pub(crate) async fn query(&self, body: Value) -> (u16, Value) {
        body_of(self.post("/v1/query").json(&body).send().await.unwrap()).await
    }
}

/// Settings of a node that notices soon when a part is away, and stops without waiting for balancers.
fn at_once(settings: Settings) -> Settings {
    let (ready_period_millis, unready_millis, lame_duck_millis) = (50, 200, 0);
    Settings { ready_period_millis, unready_millis, lame_duck_millis, ..settings }
}

pub(crate) fn client() -> reqwest::Client {
    // The first of the tests of this process installs it; the others find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) async fn body_of(reply: Response) -> (u16, Value) {
    let status = reply.status().as_u16();
    let text = reply.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
