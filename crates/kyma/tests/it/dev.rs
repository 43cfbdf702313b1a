//! `kyma dev`: start, stop, start again, and after `kill -9`.

use serde_json::json;

use crate::process::{Dev, row};

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
