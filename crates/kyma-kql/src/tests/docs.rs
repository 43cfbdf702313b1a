//! The pages made from the tables are current, and every official name is there or said to be not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::realworld::shared;
use crate::reference::{Kind, entries, markdown};

/// Set to write the pages instead of comparing them.
const UPDATE: &str = "KYMA_UPDATE_DOCS";

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

#[allow(clippy::disallowed_methods)] // Writes documentation of the source tree, when asked to.
fn is_current(name: &str, text: &str) {
    let path = page(name);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let line = found.lines().zip(text.lines()).position(|(found, made)| found != made);
    assert!(
        found == text,
        "docs/{name} is not what the tables say (first difference in line {:?}): run `{UPDATE}=1 cargo test -p kyma-kql docs`",
        line.map(|at| at + 1)
    );
}

#[test]
fn the_reference_is_current() {
    is_current("kql.md", &markdown());
}

#[test]
fn every_entry_is_told() {
    for entry in entries() {
        let name = entry.name;
        assert!(entry.doc.ends_with('.') && !entry.doc.contains('\n'), "{name}: a sentence: {:?}", entry.doc);
        assert!(!entry.syntax.is_empty(), "{name}");
    }
}

#[test]
fn operators_that_are_read_are_told() {
    let told: BTreeSet<&str> = names(Kind::Operator).collect();
    let read: BTreeSet<&str> = crate::parse::OPERATOR_NAMES.into_iter().collect();
    assert_eq!(told, read);
}

fn names(kind: Kind) -> impl Iterator<Item = &'static str> {
    entries().into_iter().filter(move |entry| entry.kind == kind).map(|entry| entry.name)
}

/// Operators of Kusto's reference.
const OFFICIAL_OPERATORS: &[&str] = &[
    "as",
    "assert-schema",
    "consume",
    "count",
    "datatable",
    "distinct",
    "evaluate",
    "extend",
    "externaldata",
    "facet",
    "find",
    "fork",
    "getschema",
    "graph-mark-components",
    "graph-match",
    "graph-shortest-paths",
    "graph-to-table",
    "invoke",
    "join",
    "limit",
    "lookup",
    "macro-expand",
    "make-graph",
    "make-series",
    "mv-apply",
    "mv-expand",
    "parse",
    "parse-kv",
    "parse-where",
    "partition",
    "print",
    "project",
    "project-away",
    "project-by-names",
    "project-keep",
    "project-rename",
    "project-reorder",
    "range",
    "reduce",
    "render",
    "sample",
    "sample-distinct",
    "scan",
    "search",
    "serialize",
    "sort",
    "summarize",
    "take",
    "top",
    "top-hitters",
    "top-nested",
    "union",
    "where",
];

/// Where the answer may not be Kusto's, though the name is there.
const DIFFERS: &[(&str, &str)] = &[
    ("autocluster", "segments are found by an algorithm of our own"),
    ("cluster", "there is one cluster, this one"),
    ("externaldata", "reads only what the node's settings allow"),
    ("geo_info_from_ip_address", "gives null: there is no database of places"),
    ("hash_combine", "other values than Kusto's, whose rule is not published"),
    ("hash_many", "other values than Kusto's, whose rule is not published"),
    ("parse_user_agent", "knows the common browsers and systems"),
    ("parse_version", "the number is Kusto's divided by 10^18; the order is the same"),
    ("reduce", "patterns are found by an algorithm of our own"),
    ("series_periods_detect", "periods agree, scores to three digits"),
    ("series_periods_validate", "periods agree, scores to three digits"),
];

/// What is not there, and why.
const ABSENT: &[(&str, &str)] = &[
    ("project-by-names", "it is undocumented"),
    ("entity_group", "entity groups are written out in `macro-expand`"),
    ("external_table", "there are no external tables; `externaldata` reads files"),
    ("graph", "graphs are not stored; `make-graph` makes them in the query"),
    ("labels", "graphs have no labels"),
    ("materialized_view", "there are no materialized views"),
    ("row_id", "it is undocumented"),
    ("stored_query_result", "results are not stored"),
];

/// Names that are there, in lower case, with their kind.
fn known() -> BTreeSet<String> {
    let entries = entries();
    let names = entries.iter().flat_map(|entry| std::iter::once(entry.name).chain(entry.aliases.iter().copied()));
    names.map(str::to_lowercase).collect()
}

/// Official names by family; `None` where the shared lists are absent.
fn official() -> Option<BTreeMap<&'static str, BTreeSet<String>>> {
    let catalogue: serde_json::Value =
        serde_json::from_str(&shared("conformance/kql/builtin_catalogue.json")?).unwrap();
    let signatures: serde_json::Value =
        serde_json::from_str(&shared("conformance/kql/builtin_signatures.json")?).unwrap();
    let family = |key: &str| -> BTreeSet<String> {
        let names = catalogue[key].as_array().into_iter().flatten().filter_map(|name| name.as_str());
        let visible = |name: &&str| !name.starts_with("__") && signatures[name]["hidden"] != true;
        names.filter(visible).map(str::to_lowercase).collect()
    };
    let operators = OFFICIAL_OPERATORS.iter().map(|name| (*name).to_owned()).collect();
    Some(BTreeMap::from([
        ("1. Operators", operators),
        ("2. Scalar functions", family("scalar")),
        ("3. Aggregates", family("agg")),
        ("4. Plugins", family("plugin")),
    ]))
}

#[test]
fn the_ledger_is_current() {
    let Some(official) = official() else { return };
    let known = known();
    let (differs, absent): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (DIFFERS.iter().copied().collect(), ABSENT.iter().chain(crate::bind::plugin::REFUSED).copied().collect());
    let mut text = "# What of Kusto is there\n\nMade as `docs/kql.md` is, against the official lists of names. \
                    *yes* is there and is meant to give Kusto's answers, *differs* says how, *no* says why.\n"
        .to_owned();
    let mut unsaid = Vec::new();
    for (title, names) in &official {
        let count = |status: &str| names.iter().filter(|name| status_of(name, &known, &differs) == status).count();
        text.push_str(&format!(
            "\n## {}\n\nyes {}, differs {}, no {}\n\n| name | | |\n|---|---|---|\n",
            title.split_once(' ').map_or(*title, |(_, title)| title),
            count("yes"),
            count("differs"),
            count("no")
        ));
        for name in names {
            let status = status_of(name, &known, &differs);
            let why = differs.get(name.as_str()).or(absent.get(name.as_str())).copied().unwrap_or_default();
            if status == "no" && why.is_empty() {
                unsaid.push(name.clone());
            }
            text.push_str(&format!("| `{name}` | {status} | {why} |\n"));
        }
    }
    let there: Vec<&&str> = absent.keys().filter(|name| known.contains(**name)).collect();
    assert!(there.is_empty(), "said to be absent, but there: {there:?}");
    assert!(unsaid.is_empty(), "absent, and nobody says why: {unsaid:?}");
    is_current("kql-coverage.md", &text);
}

fn status_of(name: &str, known: &BTreeSet<String>, differs: &BTreeMap<&str, &str>) -> &'static str {
    match (known.contains(name), differs.contains_key(name)) {
        (true, false) => "yes",
        (true, true) => "differs",
        (false, _) => "no",
    }
}
