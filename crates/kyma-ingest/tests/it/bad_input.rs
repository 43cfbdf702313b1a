//! Input that is wrong, hostile or too much: a clear answer, nothing lost, the node alive.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::Schema as ArrowSchema;
use bytes::Bytes;
use futures::StreamExt;
use kyma_core::{Kind, Type};
use kyma_ingest::{BodyFormat, IngestRequest, IngestSettings, LINE_BYTES_MAX};

use crate::node::{World, request, settings};

#[tokio::test(flavor = "multi_thread")]
async fn broken_lines_are_kept_as_rejected_rows() {
    let world = World::new().await;
    let node = world.node().await;
    let body = b"{\"n\":1}\nnot json\n{\"n\":2\n\xff\xfe\n{\"n\":3}\n";
    let answer = node.send(&request("t"), body).await.unwrap();
    assert_eq!((answer.rows, answer.rejected, answer.extents.len()), (2, 3, 2));
    assert_eq!(world.column("t", "n").await, ["1", "3"]);
    let rejected = world.rows("_rejected").await;
    assert_eq!(rejected.len(), 3);
    assert!(rejected.iter().all(|row| row["Table"] == "t" && row["Source"] == "test" && !row["Reason"].is_empty()));
    assert_eq!(world.column("_rejected", "Raw").await, ["not json", "{\"n\":2", "\u{fffd}\u{fffd}"]);
    let only_broken = node.write("never", "nothing").await.unwrap();
    assert_eq!((only_broken.rows, only_broken.rejected), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_nothing_but_short_broken_lines_is_kept() {
    let world = World::new().await;
    let node = world.node().await;
    let request = IngestRequest { source: "s".repeat(2_000), ..request("t") };
    let answer = node.send(&request, "x\n".repeat(80_000).as_bytes()).await.unwrap();
    assert_eq!((answer.rows, answer.rejected), (0, 80_000));
    assert_eq!(world.extents("_rejected").await.iter().map(|extent| extent.rows).sum::<u64>(), 80_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_line_is_rejected_without_being_held() {
    let world = World::new().await;
    let node = world.node_with(IngestSettings { body_bytes_max: 4 << 30, ..settings() }).await;
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    let pieces = (LINE_BYTES_MAX >> 20) * 4;
    let huge = futures::stream::repeat_with(move || Ok(piece.clone())).take(pieces);
    let body = futures::stream::iter([Ok(Bytes::from_static(b"{\"n\":1}\n{\"n\":\""))])
        .chain(huge)
        .chain(futures::stream::iter([Ok(Bytes::from_static(b"\"}\n{\"n\":2}"))]))
        .boxed();
    let answer = node.ingester.ingest(&request("t"), body).await.unwrap();
    assert_eq!((answer.rows, answer.rejected), (2, 1));
    let rejected = &world.rows("_rejected").await[0];
    assert!(rejected["Reason"].contains("longer than"), "{}", rejected["Reason"]);
    assert_eq!(rejected["Raw"].len(), kyma_ingest::RAW_BYTES_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_stores_nothing() {
    let world = World::new().await;
    let node = world.node_with(IngestSettings { body_bytes_max: 100_000, ..settings() }).await;
    let bomb = zstd::encode_all(&"{\"n\":1}\n".repeat(100_000).into_bytes()[..], 3).unwrap();
    let error = node.send(&request("t"), &bomb).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "ingest.body_too_large"));
    assert!(error.hint_text().is_some());
    assert_eq!(world.rows("t").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_keys_and_missing_tables() {
    let world = World::new().await;
    let node = world.node_with(IngestSettings { create_on_write: false, ..settings() }).await;
    let code = async |database: &str, table: &str, key: &str| {
        let request = IngestRequest { database: database.into(), idempotency_key: Some(key.into()), ..request(table) };
        node.send(&request, b"{}").await.unwrap_err().code()
    };
    assert_eq!(code("../d", "t", "").await, "name.invalid");
    assert_eq!(code("d", "a/b", "").await, "name.invalid");
    assert_eq!(code("d", "_rejected", "").await, "name.invalid");
    assert_eq!(code("d", "t", &"k".repeat(257)).await, "ingest.key_invalid");
    assert_eq!(code("d", "t", "").await, "ingest.database_missing");
    world.catalog.ensure_database("e").await.unwrap();
    assert_eq!(code("e", "t", "").await, "ingest.table_missing");
    let csv = IngestRequest { format: BodyFormat::Csv, ..request("t") };
    let creating = world.node().await;
    assert_eq!(creating.send(&csv, b"a,a\n1,2\n").await.unwrap_err().code(), "ingest.header_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_keys_and_values_survive() {
    let world = World::new().await;
    let node = world.node().await;
    let row =
        r#"{"\u0000":1,"a":"\u0000","k":{"\u0000":"\u0000","x.y":1,"":2},"DROP TABLE":"'; --","ü":"\ud83d\ude00"}"#;
    let answer = node.write("t", row).await.unwrap();
    assert_eq!((answer.rows, answer.unmapped), (1, 1));
    let rows: Vec<BTreeMap<String, String>> = world.rows("t").await;
    assert_eq!(rows[0]["a"], "\0");
    assert_eq!(rows[0]["DROP TABLE"], "'; --");
    assert_eq!(rows[0]["ü"], "😀");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_with_thousands_of_different_keys_are_stored() {
    let world = World::new().await;
    let node = world.node().await;
    let body: String = (0..3_000).map(|at| format!("{{\"k{at}\":{at}}}\n")).collect();
    let answer = node.write("sparse", &body).await.unwrap();
    assert_eq!((answer.rows, answer.rejected), (3_000, 0));
    assert!(answer.unmapped > 1_900, "{}", answer.unmapped);
    assert_eq!(world.rows("sparse").await.len(), 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_column_twice_is_refused() {
    let world = World::new().await;
    let node = world.node().await;
    let schema = Arc::new(ArrowSchema::new(vec![Type::Long.field("n"), Type::Long.field("n")]));
    let values = |value| Arc::new(Int64Array::from(vec![value])) as _;
    let batch = RecordBatch::try_new(schema, vec![values(1), values(2)]).unwrap();
    let error = node.ingester.ingest_batches(&request("t"), vec![batch]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "ingest.append_invalid"), "{error:?}");
}
