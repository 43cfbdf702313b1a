//! Real logs from the shared folder (`KYMA_SHARED`, else `../shared` beside the repository).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use kyma_core::Type;
use kyma_core::catalog::Table;

use crate::node::World;

/// Rows taken of each file: encoding is slow without optimisation.
const ROWS: usize = 3_000;

fn data(file: &str) -> String {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("KYMA_SHARED").map_or(beside, PathBuf::from);
    let path = shared.join("data").join(file);
    let opened = std::fs::File::open(&path);
    let opened = opened.unwrap_or_else(|error| panic!("{}: {error}; set KYMA_SHARED", path.display()));
    let lines = BufReader::new(zstd::Decoder::new(opened).unwrap()).lines();
    lines.take(ROWS).map(|line| line.unwrap() + "\n").collect()
}

async fn table(world: &World, name: &str) -> Table {
    let database = world.catalog.database("d").await.unwrap().unwrap();
    world.catalog.table(database.id, name).await.unwrap().unwrap()
}

fn types(table: &Table) -> Vec<(&str, Type)> {
    table.schema.columns().iter().map(|column| (column.name.as_str(), column.ty)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nezha_logs() {
    let world = World::new().await;
    let body = data("nezha_logs.ndjson.zst");
    let answer = world.node().await.write("nezha", &body).await.unwrap();
    assert_eq!((answer.rows as usize, answer.rejected, answer.unmapped), (ROWS, 0, 0));
    let table = table(&world, "nezha").await;
    assert_eq!((table.time_column.as_str(), &table.sort_key[0]), ("timestamp", &"k8s.pod".to_owned()));
    let types = types(&table);
    for expected in [
        ("timestamp", Type::Datetime),
        ("time_unix_nano", Type::Long),
        ("k8s", Type::Dynamic),
        ("trace_id", Type::String),
        ("message", Type::String),
    ] {
        assert!(types.contains(&expected), "{expected:?} in {types:?}");
    }
    let mut expected: Vec<String> = body
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].as_str().unwrap().to_owned())
        .collect();
    expected.sort();
    assert!(world.column("nezha", "message").await == expected, "every message, byte for byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_logs_are_taken_whole() {
    let world = World::new().await;
    let node = world.node().await;
    for (file, time) in [
        ("nezha_spans.ndjson.zst", None),
        ("nginx_json.ndjson.zst", Some("timestamp")),
        ("zeek.ndjson.zst", Some("ts")),
    ] {
        let body = data(file);
        let name = file.split('.').next().unwrap();
        let answer = node.write(name, &body).await.unwrap();
        assert_eq!((answer.rows as usize, answer.rejected), (body.lines().count(), 0), "{file}");
        let table = table(&world, name).await;
        println!(
            "{file}: {} unmapped, time {}, sort {:?}, {:?}",
            answer.unmapped,
            table.time_column,
            table.sort_key,
            types(&table)
        );
        if let Some(time) = time {
            assert_eq!(table.time_column, time, "{file}");
        }
    }
}

/// Megabytes of NDJSON per second from a body in memory to durable, on a memory store. A figure, not a claim: run it with
/// `cargo test --release -p kyma-ingest --test it -- --ignored --nocapture speed`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; only an optimised build is worth measuring"]
async fn speed() {
    let world = World::new().await;
    let node = world.node().await;
    let body = data("nezha_logs.ndjson.zst").repeat(20);
    node.write("warm", &body).await.unwrap();
    for writers in [1, 4] {
        let started = std::time::Instant::now();
        let writes = (0..writers).map(|_| node.write("nezha", &body));
        futures::future::try_join_all(writes).await.unwrap();
        let megabytes = (writers * body.len()) as f64 / 1e6;
        println!("{writers} writers: {:.0} MB/s", megabytes / started.elapsed().as_secs_f64());
    }
}
