//! `kyma dev`: start, stop, start again, and after `kill -9`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Dev, kyma, pause, row, run, stderr, stdout};

#[test]
fn data_outlives_stops_and_kills() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let first = Dev::start(&data_dir, &[]);
    first.ingest("T", &[row(1), row(2)]);
    assert_eq!(first.rows("T | count"), json!([[2]]));
    first.stop("-TERM");
    assert!(!Dev::postgres_runs(&data_dir), "PostgreSQL was not stopped");

    let second = Dev::start(&data_dir, &[]);
    assert_eq!(second.rows("T | count"), json!([[2]]));
    second.ingest("T", &[row(3)]);
    second.kill();
    assert!(Dev::postgres_runs(&data_dir), "there is nothing to recover from");

    let third = Dev::start(&data_dir, &[]);
    assert_eq!(third.rows("T | summarize count(), sum(n)"), json!([[3, 6]]));
    third.stop("-INT");
    assert!(!Dev::postgres_runs(&data_dir), "PostgreSQL was not stopped");
}

/// A client that retries under its keys loads a file through two `kill -9`: nothing is lost, nothing is there twice.
#[test]
fn a_load_outlives_kills() {
    const ROWS: usize = 30_000;
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, file) = (folder.path().join("data"), folder.path().join("rows.csv"));
    let lines: String = (0..ROWS).map(|n| format!("{n},{}\n", "some text ".repeat(100))).collect();
    std::fs::write(&file, format!("n,text\n{lines}")).unwrap();

    let mut node = Dev::start(&data_dir, &[]);
    let address = node.address.clone();
    let mut load = kyma();
    load.args(["ingest", "--url", &node.url, "--table", "T", "--key", "load", "--parallel", "1"]).arg(&file);
    let load = load.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..2 {
        let before = stored(&node);
        let began = Instant::now();
        while stored(&node) == before && began.elapsed() < Duration::from_secs(20) {
            pause();
        }
        node.kill();
        node = Dev::start_on(&address, &data_dir, &[]);
    }
    let output = load.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(node.rows("T | summarize count(), sum(n)"), json!([[ROWS, (ROWS - 1) * ROWS / 2]]));
    assert_eq!(node.rows("T | distinct n | count"), json!([[ROWS]]));
    node.stop("-TERM");
}

/// The rows of the load so far; 0 before its first.
fn stored(node: &Dev) -> u64 {
    let output = run(&["query", "--url", &node.url, "--format", "json", "T | count"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    answer["rows"][0][0].as_u64().unwrap_or(0)
}

#[test]
fn the_sample_is_loaded_once_and_shows_its_incident() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let sample = ["--sample", "--sample-rows", "20000"];
    let first = Dev::start(&data_dir, &sample);
    let shown = first.output();
    assert!(shown.contains("2.14.0") && shown.contains("connection pool exhausted"), "{shown}");
    assert!(shown.contains("extents:") && shown.contains("pruned"), "{shown}");
    assert_eq!(first.rows("Logs | count"), json!([[20_000]]));
    first.stop("-TERM");

    let second = Dev::start(&data_dir, &sample);
    assert_eq!(second.rows("Logs | count"), json!([[20_000]]));
    assert_eq!(second.rows("Spans | count"), json!([[15_000]]));
    second.stop("-TERM");
}

#[test]
fn a_second_start_says_what_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let first = Dev::start(&data_dir, &[]);
    first.ingest("T", &[row(1)]);

    let same_folder = run(&["dev", "--listen", "127.0.0.1:0", "--data-dir", data_dir.to_str().unwrap()]);
    assert_eq!(same_folder.status.code(), Some(1));
    assert!(stderr(&same_folder).contains("another process runs"), "{}", stderr(&same_folder));

    let other = folder.path().join("other");
    let same_port = run(&["dev", "--listen", &first.address, "--data-dir", other.to_str().unwrap()]);
    assert_eq!(same_port.status.code(), Some(1));
    assert!(stderr(&same_port).contains("--listen"), "{}", stderr(&same_port));
    assert!(!Dev::postgres_runs(&other), "the second PostgreSQL was not stopped");

    // The first is unharmed.
    assert_eq!(first.rows("T | count"), json!([[1]]));
    first.stop("-TERM");
}

#[test]
fn a_killed_postgres_is_an_error_until_the_next_start_recovers_it() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let first = Dev::start(&data_dir, &[]);
    first.ingest("T", &[row(1), row(2)]);
    Dev::kill_postgres(&data_dir);

    // The node lives and says what is wrong; it can still be stopped.
    let began = Instant::now();
    let output = run(&["query", "--url", &first.url, "T | count"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("catalog."), "{}", stderr(&output));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    first.end("-TERM");

    let second = Dev::start(&data_dir, &[]);
    assert_eq!(second.rows("T | summarize count(), sum(n)"), json!([[2, 3]]));
    second.stop("-TERM");
}

#[test]
fn commands_answer_with_their_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"), &[]);
    assert_eq!(dev.rows(".show databases")[0][0], "default");
    assert_eq!(dev.rows(".show tables"), json!([]));
    dev.ingest("T", &[row(1), row(2)]);
    assert_eq!(dev.rows(".show tables"), json!([["T", "default", "", ""]]));

    let objects = |command: &str| -> Vec<Value> {
        let output = run(&["query", "--url", &dev.url, "--format", "ndjson", command]);
        assert!(output.status.success(), "{command}: {}", stderr(&output));
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let details = objects(".show table T details");
    assert_eq!((details.len(), &details[0]["TotalRowCount"]), (1, &json!(2)), "{details:?}");
    assert!(details[0]["TotalExtentSize"].as_u64().is_some_and(|bytes| bytes > 0), "{details:?}");
    assert_eq!(details[0]["TimeColumn"], "Timestamp");

    let schema = objects(".show table T schema as json");
    let schema: Value = serde_json::from_str(schema[0]["Schema"].as_str().unwrap()).unwrap();
    let columns: Vec<_> = schema["OrderedColumns"].as_array().unwrap().iter().map(|it| &it["CslType"]).collect();
    assert_eq!(columns, ["datetime", "long"], "{schema}");

    let extents = objects(".show extents");
    assert_eq!((extents.len(), &extents[0]["RowCount"], &extents[0]["Kind"]), (1, &json!(2), &json!("tlm")));
    assert!(extents[0]["ExtentId"].as_str().is_some_and(|id| id.len() == 36), "{extents:?}");
    dev.stop("-TERM");
}
