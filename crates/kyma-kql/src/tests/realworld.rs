//! Real queries from public collections, all accepted by Microsoft's grammar: all must parse, but for `where a = b`, which is
//! refused with a hint.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use kyma_core::{Column, Type};
use kyma_plan::{QueryFrontend, SchemaSource, TableSchema};

use crate::Kql;

/// Share that must parse; raise it, never lower it.
const RATCHET_PERCENT: f64 = 99.89;

/// A file of the shared conformance cases, or `None`, said loudly, where they are absent.
pub(super) fn shared(path: &str) -> Option<String> {
    let root = std::env::var_os("KYMA_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let file = root.join(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("NOT RUN: {} is absent ({error}); set KYMA_SHARED to the shared folder", file.display());
            None
        }
    }
}

/// Share of parsed queries that must bind against guessed tables; raise it, never lower it.
const BIND_RATCHET_PERCENT: f64 = 93.1;
/// One query in this many is tried: each is bound once per missing name.
const BIND_EVERY: usize = 5;
/// Names guessed for one query.
const GUESSES_MAX: usize = 300;

/// Tables and columns as a query asks for them: everything is dynamic, but for times.
#[derive(Debug, Default)]
struct Guessed {
    tables: BTreeSet<String>,
    columns: BTreeSet<String>,
}

impl SchemaSource for Guessed {
    fn table(&self, database: &str, name: &str) -> Option<TableSchema> {
        let columns = self.columns.iter().map(|name| Column::new(name, guessed_type(name)));
        self.tables.contains(name).then(|| TableSchema {
            database: database.to_owned(),
            name: name.to_owned(),
            schema: columns.collect(),
            time_column: "TimeGenerated".to_owned(),
        })
    }

    fn tables(&self, _database: &str) -> Vec<String> {
        self.tables.iter().cloned().collect()
    }

    fn databases(&self) -> Vec<String> {
        vec!["db".to_owned()]
    }
}

fn guessed_type(name: &str) -> Type {
    if name.starts_with("Time") || name.ends_with("Time") { Type::Datetime } else { Type::Dynamic }
}

/// Binds, adding each missing name, until it succeeds or fails otherwise.
fn bind_guessing(text: &str) -> Result<(), String> {
    let mut guessed = Guessed::default();
    let parameters = BTreeMap::new();
    for _ in 0..GUESSES_MAX {
        let errors = match super::plan_over(text, &guessed, &parameters) {
            Ok(query) => {
                query.statements.iter().for_each(|statement| super::check::valid(&statement.plan));
                return Ok(());
            }
            Err(errors) => errors,
        };
        let error = &errors.0[0];
        let name = error.message.split('\'').nth(1).unwrap_or_default().to_owned();
        let added = match error.code.as_str() {
            "kql.unknown_table" => guessed.tables.insert(name),
            "kql.unknown_column" => guessed.columns.insert(name),
            _ => false,
        };
        if !added {
            return Err(format!("{}: {}", error.code, error.message));
        }
    }
    Err("too many names".to_owned())
}

#[test]
fn real_queries_bind() {
    let Some(cases) = shared("conformance/kql/realworld.jsonl") else { return };
    let (mut total, mut bound) = (0, 0);
    for line in cases.lines().step_by(BIND_EVERY) {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let query = case["query"].as_str().unwrap();
        if !crate::parse::parse(query).1.is_empty() {
            continue;
        }
        total += 1;
        match bind_guessing(query) {
            Ok(()) => bound += 1,
            Err(problem) => eprintln!("bind {}: {problem}", case["id"]),
        }
    }
    let percent = 100.0 * bound as f64 / total as f64;
    eprintln!("real queries: {bound}/{total} bind to guessed tables ({percent:.2} %)");
    assert!(percent >= BIND_RATCHET_PERCENT, "{percent}");
}

#[test]
fn real_queries_parse() {
    let Some(cases) = shared("conformance/kql/realworld.jsonl") else { return };
    let (mut total, mut parsed) = (0, 0);
    for line in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let query = case["query"].as_str().unwrap();
        // A management command is read elsewhere.
        if Kql.command(query).is_some() {
            continue;
        }
        let (_, errors) = crate::parse::parse(query);
        total += 1;
        parsed += usize::from(errors.is_empty());
        if let Some(error) = errors.first() {
            eprintln!("{}: {}", case["id"], error.render(query));
        }
    }
    let percent = 100.0 * parsed as f64 / total as f64;
    eprintln!("real queries: {parsed}/{total} parse ({percent:.2} %)");
    assert!(percent >= RATCHET_PERCENT, "{percent}");
}
