//! Hostile queries, eight at once, in a node that may have 1 GiB: each ends with an answer or a clear error, the node lives, and
//! an innocent query beside them answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Dev, row};

/// What the node may have, in bytes.
const MEMORY_MAX: u64 = 1 << 30;
/// The memory of all queries together, and of one.
const SETTINGS: [(&str, &str); 4] = [
    ("KYMA_QUERY__MEMORY_BYTES", "300000000"),
    ("KYMA_QUERY__QUERY_MEMORY_BYTES", "100000000"),
    ("KYMA_CACHE_MEMORY_BYTES", "50000000"),
    ("KYMA_SERVER__QUERY_SECONDS", "20"),
];
/// Errors that a hostile query may end with.
const CLEAR: [&str; 9] = [
    "query.memory_exhausted",
    "query.timeout",
    "query.result_too_large",
    "query.too_many",
    "query.too_deep",
    "kql.too_deep",
    "kql.limit",
    "function.regex_too_large",
    "function.limit",
];

fn hostile() -> Vec<(&'static str, String)> {
    let terms: Vec<String> = (0..10_000).map(|n| format!("s has 'term{n}'")).collect();
    let many = "range x from 1 to 30000000 step 1";
    vec![
        ("group by everything", format!("{many} | summarize count() by x, y = tostring(x) | count")),
        ("cross join", format!("{many} | extend k = 1 | join kind=inner ({many} | extend k = 1) on k | count")),
        ("a list of everything", format!("{many} | summarize make_list(tostring(x), 100000000)")),
        ("a set of everything", format!("{many} | summarize make_set(x, 100000000)")),
        ("ten thousand terms", format!("T | where {} | count", terms.join(" or "))),
        ("deep nesting", format!("print x = {}1{}", "(1 + ".repeat(20_000), ")".repeat(20_000))),
        ("a regex bomb", r"T | where s matches regex @'((a{1,100}){1,100}){1,100}$' | count".to_owned()),
        (
            "a sort of all",
            format!(
                "{many} | extend s = strcat('key ', tostring(x)) | sort by s desc | extend r = row_number() | count"
            ),
        ),
    ]
}

/// The status and body of a query over HTTP, without a client's retries.
fn ask(address: &str, query: &str) -> (u16, Value) {
    let body = json!({ "query": query, "language": "kql", "database": "default" }).to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let head = format!(
        "POST /v1/query HTTP/1.0\r\nHost: kyma\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).unwrap();
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    let mut answer = String::new();
    reader.read_to_string(&mut answer).unwrap();
    let status = status.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let start = answer.find('{').unwrap_or(answer.len());
    let end = answer.rfind('}').map_or(start, |end| end + 1);
    (status, serde_json::from_str(&answer[start..end]).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_hostile_queries_leave_the_node_and_an_innocent_query_unharmed() {
    let folder = tempfile::tempdir().unwrap();
    let (catalog, objects) = (kyma_testkit::postgres::database().await, folder.path().join("objects"));
    std::fs::create_dir_all(&objects).unwrap();
    let spill = folder.path().join("cache");
    let mut settings = SETTINGS.to_vec();
    let spill_text = spill.display().to_string();
    settings.push(("KYMA_CACHE_DIR", &spill_text));
    let node = Dev::serve(&catalog.url, &objects, &settings);
    node.ingest("T", &(0..1_000).map(row_with_text).collect::<Vec<_>>());

    let threads: Vec<_> = hostile()
        .into_iter()
        .map(|(name, query)| {
            let address = node.address.clone();
            (name, std::thread::spawn(move || ask(&address, &query)))
        })
        .collect();
    let mut innocent = 0;
    while threads.iter().any(|(_, thread)| !thread.is_finished()) {
        let (status, answer) = ask(&node.address, "T | summarize count(), sum(n)");
        assert_eq!((status, &answer["rows"]), (200, &json!([[1_000, 499_500]])), "{answer}");
        innocent += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(innocent > 0, "nothing ran beside the hostile queries");
    for (name, thread) in threads {
        let (status, answer) = thread.join().unwrap();
        let code = answer["error"]["code"].as_str().unwrap_or_default();
        assert!(status == 200 || CLEAR.contains(&code), "{name}: status={status}, {answer}");
    }
    let peak = node.peak_bytes();
    assert!(peak < MEMORY_MAX, "the node took {peak} bytes");
    assert_eq!(node.rows("T | count"), json!([[1_000]]));
    node.stop("-TERM");
}

fn row_with_text(n: i64) -> Value {
    let mut row = row(n);
    row["s"] = format!("{} term {n}", "a".repeat(50)).into();
    row
}
