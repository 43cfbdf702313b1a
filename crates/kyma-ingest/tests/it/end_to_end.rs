//! What is written is there, in the right types.

use std::io::Write;

use kyma_core::Type;
use kyma_ingest::{BodyFormat, IngestRequest, IngestSettings};

use crate::node::{World, request, settings};

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_every_format_are_there_when_they_are_acknowledged() {
    let world = World::new().await;
    let node = world.node().await;
    let answer =
        node.write("logs", "{\"ts\":\"2022-08-22T05:18:16Z\",\"n\":1}\n{\"n\":2,\"s\":\"x\"}\n").await.unwrap();
    assert_eq!((answer.rows, answer.rejected, answer.unmapped, answer.extents.len()), (2, 0, 0, 1));
    assert_eq!(world.column("logs", "n").await, ["1", "2"]);
    assert_eq!(world.extents("logs").await[0].added, answer.sequence);
    assert_eq!(world.extents("logs").await[0].raw_bytes, 52);

    let json = IngestRequest { format: BodyFormat::Json, ..request("logs") };
    node.send(&json, br#"[{"n":3},{"n":4}]"#).await.unwrap();
    let csv = IngestRequest { format: BodyFormat::Csv, ..request("logs") };
    node.send(&csv, b"n,s\n5,y\n").await.unwrap();
    let positional = IngestRequest { format: BodyFormat::CsvPositional, ..request("logs") };
    node.send(&positional, b"2022-08-22,6,z\n").await.unwrap();
    // What a short record lacks is null; a long one is kept as rejected.
    let answer = node.send(&positional, b"2022-08-22,9\n2022-08-22,9,z,?\n").await.unwrap();
    assert_eq!((answer.rows, answer.rejected), (1, 1));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"{\"n\":7}\n").unwrap();
    node.send(&request("logs"), &gzip.finish().unwrap()).await.unwrap();
    node.send(&request("logs"), &zstd::encode_all(&b"{\"n\":8}\n"[..], 3).unwrap()).await.unwrap();
    assert_eq!(world.column("logs", "n").await, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(world.column("logs", "s").await, ["-", "-", "-", "-", "-", "-", "x", "y", "z"]);
    assert_eq!(node.ingester.buffer_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flush_of_many_tables_is_one_object_and_one_commit() {
    let world = World::new().await;
    let slow = IngestSettings { flush_interval: std::time::Duration::from_millis(700), ..settings() };
    let node = world.node_with(slow).await;
    let bodies: Vec<_> = (0..10).map(|at| (format!("t{at}"), format!("{{\"n\":{at}}}"))).collect();
    let writes = bodies.iter().map(|(table, body)| node.write(table, body));
    let answers = futures::future::try_join_all(writes).await.unwrap();
    assert_eq!(world.objects().await, 1);
    assert!(answers.iter().all(|answer| answer.sequence == answers[0].sequence));
    for at in 0..10 {
        assert_eq!(world.column(&format!("t{at}"), "n").await, [at.to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_grow_widen_and_clash() {
    let world = World::new().await;
    let node = world.node().await;
    node.write("t", r#"{"a":1,"b":"x","ts":"2022-01-01"}"#).await.unwrap();
    let answer = node.write("t", r#"{"a":1.5,"b":7,"c":{"d":[1, {"e":null}]},"ts":"2022-01-02"}"#).await.unwrap();
    assert_eq!(answer.unmapped, 1);
    let database = world.catalog.database("d").await.unwrap().unwrap();
    let table = world.catalog.table(database.id, "t").await.unwrap().unwrap();
    let ty = |name: &str| table.schema.column(name).map(|column| column.ty);
    assert_eq!((ty("a"), ty("b"), ty("c")), (Some(Type::Real), Some(Type::String), Some(Type::Dynamic)));
    assert_eq!(world.column("t", "_unmapped").await, ["-", r#"{"b":7}"#]);
    assert_eq!(world.column("t", "c").await, ["-", r#"{"d":[1,{"e":null}]}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_race_on_types_lose_nothing() {
    let world = World::new().await;
    let (one, two) = (world.node().await, world.node().await);
    let writes = (0..20).map(|at| {
        let (node, body) = match at % 2 {
            0 => (&one, format!(r#"{{"x":{at},"k{at}":true}}"#)),
            _ => (&two, format!(r#"{{"x":"s{at}","k{at}":"t"}}"#)),
        };
        async move { node.write("t", &body).await }
    });
    let answers = futures::future::try_join_all(writes).await.unwrap();
    assert_eq!(answers.iter().map(|answer| answer.rows).sum::<u64>(), 20);
    let rows = world.rows("t").await;
    assert_eq!(rows.len(), 20);
    for at in 0..20 {
        let value = if at % 2 == 0 { format!("{at}") } else { format!("s{at}") };
        let found = rows.iter().filter(|row| {
            let in_bag = row.get("_unmapped").is_some_and(|bag| {
                bag.contains(&format!(r#""x":"{value}""#)) || bag.contains(&format!(r#""x":{value}}}"#))
            });
            row.get("x") == Some(&value) || row.get("x") == Some(&format!("\"{value}\"")) || in_bag
        });
        assert_eq!(found.count(), 1, "x={value}: {rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_is_stored_as_a_whole_in_several_extents() {
    let world = World::new().await;
    let small = IngestSettings { extent_bytes: 3 << 20, ..settings() };
    let node = world.node_with(small).await;
    let line = format!("\"host\":\"h\",\"message\":\"{}\"}}\n", "x".repeat(200));
    let body: String = (0..40_000).map(|at| format!("{{\"n\":{at},{line}")).collect();
    let answer = node.write("big", &body).await.unwrap();
    assert_eq!(answer.rows, 40_000);
    assert!(answer.extents.len() >= 3, "{}", answer.extents.len());
    assert_eq!(world.objects().await, 1);
    let extents = world.extents("big").await;
    assert_eq!(extents.iter().map(|extent| extent.rows).sum::<u64>(), 40_000);
    let raw: u64 = extents.iter().map(|extent| extent.raw_bytes).sum();
    assert!(raw.abs_diff(body.len() as u64) < 100, "{raw} of {}", body.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_over_s3() {
    let s3 = kyma_testkit::s3::server().await;
    let world = World::over(s3.object_store()).await;
    let node = world.node().await;
    node.write("logs", r#"{"n":1}"#).await.unwrap();
    assert_eq!(world.column("logs", "n").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_stores_what_waits_and_refuses_what_comes() {
    let world = World::new().await;
    let never = IngestSettings { flush_interval: std::time::Duration::from_secs(3_600), ..settings() };
    let node = world.node_with(never).await;
    let (written, ()) = tokio::join!(node.write("t", r#"{"n":1}"#), async {
        while node.ingester.buffer_bytes() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        node.ingester.shutdown().await;
    });
    assert_eq!(written.unwrap().rows, 1);
    assert_eq!(node.write("t", r#"{"n":2}"#).await.unwrap_err().code(), "ingest.stopping");
    assert_eq!(world.column("t", "n").await, ["1"]);
}
