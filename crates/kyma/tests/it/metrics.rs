//! `/metrics` of a real node after work, against the tables of `docs/operations.md`, in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::process::{Dev, row, run};

const DOCUMENT: &str = include_str!("../../../../docs/operations.md");

/// A family with labels is shown once it has counted something. These count what a node does of itself only after a
/// minute; where they are shown, they are compared as the others.
const SHOWN_LATER: [&str; 6] = [
    "kyma_compact_merged_extents",
    "kyma_compact_merged_raw_bytes",
    "kyma_compact_merged_rows",
    "kyma_compact_merges",
    "kyma_worker_task_attempts",
    "kyma_worker_task_seconds",
];

/// A family: type, unit or "", help.
#[derive(Debug, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    unit: String,
    help: String,
}

#[derive(Debug, Default)]
struct Scrape {
    families: BTreeMap<String, Family>,
    /// Name of a sample and its labels.
    samples: Vec<(String, Vec<(String, String)>)>,
}

/// Sends a request as it is written; the body of its answer.
fn http(address: &str, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// Makes every family count something, and sends what nobody should find in a label.
fn work(node: &Dev) {
    node.ingest("T", &(0..100).map(row).collect::<Vec<_>>());
    node.ingest("T", &[row(101)]);
    node.rows("T | where n > 50 | count");
    node.rows("T | where Timestamp > datetime(2030-01-01) | project n");
    let address = &node.address;
    http(address, "POST /v1/query", "{\"query\":\"select 1\",\"language\":\"sql\"}");
    for nth in 0..40 {
        http(address, &format!("MADEUP{nth} /v1/query"), "");
        http(address, &format!("GET /made-up-{nth}"), "");
        http(address, &format!("POST /v1/ingest/made-up-{nth}/%00"), "{}");
        http(address, &format!("POST /v1/ingest/default/_rejected?made-up-{nth}"), "{}");
        http(address, "POST /v1/query", &format!("{{\"query\":\"made-up-{nth}\",\"language\":\"made-up-{nth}\"}}"));
        http(address, "POST /v1/query", &format!("{{\"query\":\"madeup{nth} | count\",\"database\":\"madeup{nth}\"}}"));
    }
    assert!(!run(&["query", "--url", &node.url, "T | nosuch"]).status.success());
}

fn scrape(node: &Dev) -> Scrape {
    let text = http(&node.address, "GET /metrics", "");
    let mut scrape = Scrape::default();
    // The body may come in chunks, whose sizes are lines of their own.
    for line in text.lines().filter(|line| line.starts_with('#') || line.contains(' ')) {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                scrape.family(name).help = help.trim_end_matches('.').to_owned()
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => scrape.family(name).kind = kind.to_owned(),
            (Some("#"), Some("UNIT"), Some(name), Some(unit)) => scrape.family(name).unit = unit.to_owned(),
            (Some("#"), ..) => {}
            _ => scrape.samples.push(sample(line)),
        }
    }
    scrape
}

/// `name{label="value",...} 1`; no value of ours holds a quote or a comma.
fn sample(line: &str) -> (String, Vec<(String, String)>) {
    let (name, _value) = line.rsplit_once(' ').unwrap();
    let Some((name, labels)) = name.split_once('{') else { return (name.to_owned(), Vec::new()) };
    let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
    let labels = labels.map(|label| {
        let (key, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        (key.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name.to_owned(), labels.collect())
}

/// The cells of a table of the document between two marks.
fn table(mark: &str) -> Vec<Vec<String>> {
    let (_, rest) = DOCUMENT.split_once(&format!("<!-- {mark} -->")).expect("the table begins");
    let (rows, _) = rest.split_once(&format!("<!-- end of {mark} -->")).expect("the table ends");
    let rows = rows.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn plain(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

fn documented() -> BTreeMap<String, (Family, BTreeSet<String>)> {
    let rows = table("metrics").into_iter().map(|cells| {
        let [name, kind, unit, labels, help] = <[String; 5]>::try_from(cells).expect("five cells");
        let unit = if unit == "–" { String::new() } else { unit };
        let labels = labels.split(", ").filter(|label| *label != "–").map(plain).collect();
        (plain(&name), (Family { kind, unit, help }, labels))
    });
    rows.collect()
}

#[test]
fn metrics_and_their_document_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let node = Dev::start(&folder.path().join("data"), &[]);
    work(&node);
    let (scrape, mut documented) = (scrape(&node), documented());
    node.stop("-TERM");
    let mut wrong = Vec::new();
    for (name, family) in &scrape.families {
        wrong.extend(ill_named(name, family));
        let labels: BTreeSet<String> = scrape.labels_of(name).map(|(label, _)| label.clone()).collect();
        let is = format!("`{name}` | {} | {} | {labels:?} | {}", family.kind, family.unit, family.help);
        match documented.remove(name) {
            None => wrong.push(format!("not in the document: {is}")),
            Some((said, said_labels)) if said == *family && said_labels == labels => {}
            Some(said) => wrong.push(format!("the document says otherwise: {is}\n    {said:?}")),
        }
    }
    let missing = documented.keys().filter(|name| !SHOWN_LATER.contains(&name.as_str()));
    wrong.extend(missing.map(|name| format!("the node has no such metric: {name}")));
    wrong.extend(unbounded(&scrape));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl Scrape {
    fn family(&mut self, name: &str) -> &mut Family {
        self.families.entry(name.to_owned()).or_default()
    }

    /// Labels with their values of a family's samples.
    fn labels_of<'a>(&'a self, family: &'a str) -> impl Iterator<Item = &'a (String, String)> {
        let endings = ["", "_total", "_bucket", "_sum", "_count", "_info"];
        let belongs = move |name: &str| name.strip_prefix(family).is_some_and(|ending| endings.contains(&ending));
        let samples = self.samples.iter().filter(move |(name, _)| belongs(name));
        samples.flat_map(|(_, labels)| labels).filter(|(label, _)| label != "le")
    }
}

/// Prometheus' habits: base units, named last; nothing abbreviated or scaled.
fn ill_named(name: &str, family: &Family) -> Option<String> {
    let has_prefix = name.starts_with("kyma_") || name.starts_with("process_");
    let scaled =
        ["millis", "micros", "nanos", "ms", "us", "ns", "kb", "mb", "kib", "mib", "minutes", "hours", "percent"];
    let is_scaled = name.split('_').any(|word| scaled.contains(&word));
    let unit_is_last = family.unit.is_empty() || name.ends_with(&format!("_{}", family.unit));
    let unit_is_said = ["seconds", "bytes"].iter().all(|unit| !name.ends_with(unit) || family.unit == **unit);
    let has_type = ["counter", "gauge", "histogram", "info"].contains(&family.kind.as_str());
    let total_is_added = !name.ends_with("_total") && !name.ends_with("_info");
    let right = has_prefix && !is_scaled && unit_is_last && unit_is_said && has_type && total_is_added;
    (!right || family.help.is_empty()).then(|| format!("not as Prometheus has it: {name}: {family:?}"))
}

/// Labels that the document does not know, that have more values than it says, or others than it lists.
fn unbounded(scrape: &Scrape) -> Vec<String> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (label, value) in scrape.samples.iter().flat_map(|(_, labels)| labels) {
        values.entry(label).or_default().insert(value);
    }
    values.remove("le");
    let mut wrong = Vec::new();
    let bounds: BTreeMap<String, (usize, BTreeSet<String>)> = table("labels")
        .into_iter()
        .map(|cells| {
            let [label, most, listed] = <[String; 3]>::try_from(cells).expect("three cells");
            let listed = listed.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (plain(&label), (most.parse().expect("a number"), listed))
        })
        .collect();
    for (label, values) in values {
        let Some((most, listed)) = bounds.get(label) else {
            wrong.push(format!("the document has no such label: {label}={values:?}"));
            continue;
        };
        if values.len() > *most {
            wrong.push(format!("more than {most} values: {label}={values:?}"));
        }
        let made_up = values.iter().filter(|value| value.to_lowercase().contains("made"));
        wrong.extend(made_up.map(|value| format!("a client made it up: {label}={value}")));
        let others = values.iter().filter(|value| !listed.is_empty() && !listed.contains(**value));
        wrong.extend(others.map(|value| format!("the document does not list it: {label}={value}")));
    }
    wrong
}
