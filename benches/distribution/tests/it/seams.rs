//! Invariants 4 and 5: a format and a language that nobody planned for are one file each, here.
//!
//! Rows go through the real ingester into a real catalog and a store, in the toy format, and are asked for in a toy language
//! through the real engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use kyma_core::clock::{Clock, SystemClock};
use kyma_core::error::Span;
use kyma_core::format::{Formats, SegmentFormat};
use kyma_core::{NodeId, Type, Value};
use kyma_exec::{Engine, EngineParts, ExecSettings, QueryRequest};
use kyma_ingest::{BodyFormat, Encoding, IngestParts, IngestRequest, IngestSettings, Ingester, LocalRouter};
use kyma_plan::node::Scan;
use kyma_plan::{
    BinaryOp, Diagnostic, Diagnostics, Expr, Node, Plan, PlanContext, Planned, Query, QueryFrontend, Statement,
};
use kyma_storage::Store;
use kyma_testkit::toy_format::ToyFormat;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

/// `TABLE COLUMN NUMBER`: the table's rows whose column is at least the number.
#[derive(Debug)]
struct AtLeast;

impl QueryFrontend for AtLeast {
    fn language(&self) -> &'static str {
        "at-least"
    }

    fn plan(&self, text: &str, context: &PlanContext<'_>) -> Result<Planned, Diagnostics> {
        let whole = Span::new(0, text.len());
        let fail = |message: &str| Diagnostics::from(Diagnostic::error("at-least.syntax", message, whole));
        let words: Vec<&str> = text.split_whitespace().collect();
        let [table, column, number] = words[..] else { return Err(fail("say: table column number")) };
        let number = number.parse().map_err(|_| fail("not a number"))?;
        let found = context.schemas.table(context.database, table).ok_or_else(|| fail("no such table"))?;
        let place = found.schema.index_of(column).ok_or_else(|| fail("no such column"))?;
        let scan = Scan {
            database: found.database,
            table: found.name,
            null_strings_are_empty: false,
            added: Default::default(),
        };
        let rows = Plan::new(Node::Scan(scan), found.schema, whole);
        let (left, right) = (Expr::column(place, Type::Long, whole), Expr::literal(Value::Long(number), whole));
        let plan = Plan::filter(rows, Expr::binary(BinaryOp::GreaterOrEqual, left, right, Type::Bool));
        let statement = Statement { name: None, plan, visualization: None };
        let query = Query { statements: vec![statement], options: BTreeMap::new(), warnings: Vec::new() };
        Ok(Planned::Query(query))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toy_format_and_a_toy_language_are_enough() {
    let (catalog, _database) = kyma_testkit::postgres::catalog().await;
    let store = Store::from_object_store(Arc::new(object_store::memory::InMemory::new()));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let toy: Arc<dyn SegmentFormat> = Arc::new(ToyFormat);
    let settings = IngestSettings { format: toy.name().to_owned(), ..Default::default() };
    let formats = Arc::new(Formats::new(vec![toy]));
    let router = Arc::new(LocalRouter::new());
    let ingester = Ingester::new(IngestParts {
        catalog: catalog.clone(),
        store: store.clone(),
        formats: formats.clone(),
        clock: clock.clone(),
        node: NodeId::generate(),
        router: router.clone(),
        settings,
    });
    let port = kyma_ingest::loopback::serve(&ingester).await.expect("a loopback port");
    router.set_address(port.address());
    let request = IngestRequest {
        database: "default".to_owned(),
        table: "T".to_owned(),
        format: BodyFormat::NdJson,
        encoding: Encoding::Identity,
        idempotency_key: None,
        source: "test".to_owned(),
    };
    let body: String = (0..100).map(|id| format!("{{\"Timestamp\":\"2026-01-01T00:00:00Z\",\"id\":{id}}}\n")).collect();
    let stream = futures::stream::once(async move { Ok(bytes::Bytes::from(body)) }).boxed();
    assert_eq!(ingester.ingest(&request, stream).await.expect("the write is acknowledged").rows, 100);

    let mut registry = Registry::default();
    let engine = Engine::new(EngineParts {
        catalog,
        store,
        formats,
        frontends: vec![Arc::new(AtLeast)],
        clock,
        settings: ExecSettings::default(),
        registry: &mut registry,
    })
    .expect("an engine");
    let answer = engine
        .run(QueryRequest::new("at-least", "default", "T id 90"), CancellationToken::new())
        .await
        .expect("an answer");
    let rows: usize = answer.tables[0].batches.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, 10);
    let refused = engine.run(QueryRequest::new("at-least", "default", "T nothing 90"), CancellationToken::new()).await;
    assert!(format!("{:?}", refused.expect_err("an unknown column")).contains("no such column"));
}
