//! `query`, `ingest`, `generate` and `inspect` against a running node.

use std::io::Write;

use serde_json::json;

use crate::process::{Dev, row, run, run_with, stderr, stdout};

#[test]
fn rows_in_and_out() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"), &[]);
    let url = dev.url.as_str();

    // A pipe gets NDJSON, --format gets what it asks for, - reads the query from standard input.
    dev.ingest("T", &[row(1)]);
    let query = |args: &[&str]| run(&[&["query", "--url", url], args].concat());
    assert_eq!(stdout(&query(&["T | project n"])), "{\"n\":1}\n");
    assert_eq!(stdout(&query(&["--format", "csv", "T | project n"])), "n\r\n1\r\n");
    assert!(stdout(&query(&["--format", "table", "T | project n"])).contains("│ 1 │"));
    assert_eq!(stdout(&run_with(&["query", "--url", url, "-"], b"T\n| count")), "{\"Count\":1}\n");
    let profiled = query(&["--profile", "T | project n"]);
    assert_eq!(stdout(&profiled), "{\"n\":1}\n");
    for part in ["execute", "catalog", "1 extents", "scan: extents of default.T", "store  ", "requests", "$0.000000"] {
        assert!(stderr(&profiled).contains(part), "{part} in {}", stderr(&profiled));
    }
    assert!(stderr(&query(&["--profile", "T | nosuch"])).contains("nosuch"));
    let explained = query(&["--explain", "T | where n == 1 | project n"]);
    for part in ["scan: default.T", "pushed filter: ", "pushed columns: n", "estimate: at most 1 extents"] {
        assert!(stdout(&explained).contains(part), "{part} in {}", stdout(&explained));
    }

    // An error stands under its place.
    let wrong = query(&["T | where nosuch == 1"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("1 | T | where nosuch == 1\n              ^^^^^^"), "{}", stderr(&wrong));

    // Files by name and by first bytes; the same key stores once.
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (gz, csv) = (path("rows.ndjson.gz"), path("more.csv"));
    let mut encoder = flate2::write::GzEncoder::new(std::fs::File::create(&gz).unwrap(), flate2::Compression::fast());
    encoder.write_all(b"{\"n\":2}\n{\"n\":3}\n").unwrap();
    encoder.finish().unwrap();
    std::fs::write(&csv, "n\n4\n").unwrap();
    for _ in 0..2 {
        let output = run(&["ingest", "--url", url, "--table", "U", "--key", "load-1", &gz, &csv]);
        assert!(output.status.success() && stderr(&output).contains("3 rows into default.U"), "{}", stderr(&output));
    }
    assert_eq!(dev.rows("U | summarize count(), sum(n)"), json!([[3, 9]]));

    // A file that is not there ends the load with its name.
    let output = run(&["ingest", "--url", url, "--table", "U", "/nowhere.ndjson"]);
    assert!(output.status.code() == Some(1) && stderr(&output).contains("/nowhere.ndjson"), "{}", stderr(&output));

    // Straight from the generator, and how it is laid out.
    let output = run(&["generate", "--rows", "500", "--url", url, "--table", "Shop"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(dev.rows("Shop | count"), json!([[500]]));
    let extents = dev.rows(".show table Shop extents");
    let id = extents[0][0].as_str().unwrap();
    let described = run(&["inspect", "--url", url, id]);
    assert!(described.status.success() && stdout(&described).contains("Attributes"), "{}", stderr(&described));
    let key =
        extents[0].as_array().unwrap().iter().filter_map(|cell| cell.as_str()).find(|text| text.contains('/')).unwrap();
    let object = folder.path().join("data/objects").join(key);
    let described = run(&["inspect", "--json", object.to_str().unwrap()]);
    assert!(described.status.success() && stdout(&described).contains(id), "{}", stderr(&described));
    dev.stop("-TERM");
}
