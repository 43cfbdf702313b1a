//! Log lines, and traces and log records at a collector: a real one, as far as OTLP over gRPC goes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use kyma_testkit::ports::free_port;
use kyma_testkit::postgres::TestDatabase;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::process::Dev;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

#[derive(Debug, Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    records: Arc<Mutex<Vec<LogRecord>>>,
    services: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_spans {
            let attributes = of_resource.resource.unwrap_or_default().attributes;
            let service = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            self.services.lock().push(format!("{:?}", service.and_then(|service| service.value)));
            self.spans.lock().extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let scopes = request.into_inner().resource_logs.into_iter().flat_map(|of_resource| of_resource.scope_logs);
        self.records.lock().extend(scopes.flat_map(|scope| scope.log_records));
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

impl Collector {
    /// Serves until the set is dropped; where.
    async fn start(&self, tasks: &mut tokio::task::JoinSet<()>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(LogsServiceServer::new(self.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tasks.spawn(async move { server.await.unwrap() });
        endpoint
    }

    fn span(&self, name: &str, is_it: impl Fn(&Span) -> bool) -> Span {
        let spans = self.spans.lock();
        let found = spans.iter().find(|span| span.name == name && is_it(span)).cloned();
        let names: Vec<String> = spans.iter().map(|span| format!("{} {}", span.name, hex(&span.trace_id))).collect();
        found.unwrap_or_else(|| panic!("no such span: {name}, only {names:?}"))
    }

    /// The name of every span above, up to the one that the client named.
    fn path(&self, span: &Span) -> Vec<String> {
        let spans = self.spans.lock();
        let parent_of = |span: &Span| spans.iter().find(|parent| parent.span_id == span.parent_span_id).cloned();
        let above = std::iter::successors(parent_of(span), parent_of);
        above.map(|span| span.name).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Node {
    dev: Dev,
    http: reqwest::Client,
    folder: tempfile::TempDir,
    _database: TestDatabase,
}

impl Node {
    async fn start(variables: &[(&str, &str)]) -> Node {
        let database = kyma_testkit::postgres::database().await;
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::serve(&database.url, &folder.path().join("objects"), variables);
        // Another test of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Node { dev, http, folder, _database: database }
    }

    /// Sends a request of the client's trace; status and the answer's `traceparent`.
    async fn post(&self, path: &str, body: String) -> (u16, String) {
        let request = self.http.post(format!("{}{path}", self.dev.url)).body(body);
        let request = request.header("traceparent", format!("00-{TRACE}-{PARENT}-01")).header("x-request-id", "mine-7");
        let reply = request.send().await.unwrap();
        let parent = reply.headers().get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default();
        (reply.status().as_u16(), parent.to_owned())
    }

    async fn write_and_ask(&self) -> [(u16, String); 2] {
        let written = self.post("/v1/ingest/default/T", "{\"n\":1}\n".to_owned()).await;
        let asked = self.post("/v1/query", json!({ "query": "T | where n > 0 | count" }).to_string()).await;
        [written, asked]
    }

    /// Stops it as a supervisor does; the lines that it wrote.
    fn stop(self) -> String {
        let log = self.folder.path().join("objects.log");
        self.dev.stop("-TERM");
        std::fs::read_to_string(log).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_records_reach_a_collector_in_the_clients_trace() {
    let (collector, mut tasks) = (Collector::default(), tokio::task::JoinSet::new());
    let endpoint = collector.start(&mut tasks).await;
    let node = Node::start(&[("KYMA_OTLP_ENDPOINT", &endpoint)]).await;
    let [written, asked] = node.write_and_ask().await;
    assert_eq!((written.0, asked.0), (200, 200));
    // What waits is sent when the node stops.
    node.stop();

    assert!(collector.services.lock().iter().all(|service| service.contains("kyma")));
    let in_trace = |span: &Span| hex(&span.trace_id) == TRACE;
    let query = collector.span("POST /v1/query", in_trace);
    assert_eq!(hex(&query.parent_span_id), PARENT);
    assert_eq!(asked.1, format!("00-{TRACE}-{}-01", hex(&query.span_id)), "the answer names the request's span");
    for phase in ["snapshot", "parse", "plan", "prune", "execute"] {
        let phase = collector.span(phase, in_trace);
        let path = collector.path(&phase);
        assert_eq!(path.last().map(String::as_str), Some("POST /v1/query"), "{path:?}");
        assert!(path.iter().any(|name| name == "query"), "{path:?}");
    }
    let append = collector.span("/kyma.v1.Ingest/Append", in_trace);
    assert_eq!(collector.path(&append), ["POST /v1/ingest/{database}/{table}"], "over gRPC");
    let flush = collector.span("flush", |_| true);
    assert!(flush.attributes.iter().any(|attribute| attribute.key == "writes"), "{flush:?}");
    let records = collector.records.lock();
    assert!(records.iter().any(|record| hex(&record.trace_id) == TRACE), "{} records", records.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_or_hangs_is_no_concern_of_requests() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    // Connections are taken by the kernel, and nobody ever answers.
    for address in [silent.local_addr().unwrap(), away] {
        let node = Node::start(&[("KYMA_OTLP_ENDPOINT", &format!("http://{address}"))]).await;
        for _ in 0..5 {
            assert_eq!(node.write_and_ask().await.map(|(status, _)| status), [200, 200]);
        }
        node.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_json_off_a_terminal_and_carry_the_requests_id() {
    let node = Node::start(&[("KYMA_LOG", "info,kyma_server=debug,kyma_exec=debug")]).await;
    assert_eq!(node.post("/v1/query", json!({ "query": "print 1", "language": "cobol" }).to_string()).await.0, 400);
    let [_, asked] = node.write_and_ask().await;
    assert_eq!(asked.1, format!("00-{TRACE}-{PARENT}-01"), "the client's own: no traces are exported");
    let log = node.stop();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of_request = |line: &&Value| {
        let spans = line["spans"].as_array();
        spans.into_iter().flatten().any(|span| span["request_id"] == "mine-7" && span["trace_id"] == TRACE)
    };
    let targets: Vec<&str> = lines.iter().filter(of_request).filter_map(|line| line["target"].as_str()).collect();
    assert_eq!(targets.iter().filter(|target| **target == "kyma::access").count(), 3, "{log}");
    assert!(targets.contains(&"kyma_server::failure"), "{log}");
    let strays = lines.iter().filter(|line| line["target"] == "kyma_server::failure").filter(|line| !of_request(line));
    assert_eq!(strays.count(), 0, "{log}");
}
