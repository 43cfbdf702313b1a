//! Agreement with Microsoft's language service over real queries, as `tests/oracle/run.sh` asks it.
//!
//! `KYMA_ORACLE` names the JSON lines that it writes: a text, the tables guessed for it, and the columns or errors that
//! the service gives. A line agrees when both accept with the same columns and types, or both reject. `KYMA_ORACLE_PROBES`
//! names those of small queries; `KYMA_ORACLE_SHOW` shows cases of the causes that contain it.

use std::collections::{BTreeMap, BTreeSet};

use kyma_core::{Column, Schema, Type};
use kyma_plan::{Diagnostic, Diagnostics, Query, SchemaSource, TableSchema};
use serde_json::Value;

/// Share of real queries that must agree or differ on purpose; raise it, never lower it.
const RATCHET_PERCENT: f64 = 98.5;
/// The same of small queries, most of which try types that nobody mixes.
const PROBES_RATCHET_PERCENT: f64 = 95.6;

/// Beginnings of causes of differences that are on purpose, and why.
const ON_PURPOSE: [(&str, &str); 15] = [
    ("only kyma accepts: KS183", "either side of a join's condition may stand first"),
    ("only kyma accepts: KS005", "a hint may have any value"),
    ("only kyma accepts: KS106", "values whose order is clear are compared, dynamics by the type of the other side"),
    ("only kyma accepts: KS107", "an argument is converted where its meaning is clear"),
    ("only kyma accepts: KS116", "dynamics are grouped and sorted by their text"),
    ("only kyma accepts: KS127", "an argument is converted where its meaning is clear"),
    ("only kyma accepts: KS137", "an argument is converted where its meaning is clear"),
    ("only kyma accepts: KS138", "an argument is converted where its meaning is clear"),
    ("only kyma accepts: KS141", "an argument is converted where its meaning is clear"),
    ("only kyma accepts: KS227", "keys of a join are converted to their common type"),
    ("only kyma accepts: KS241", "keys of a join are converted to their common type"),
    ("only kyma accepts: KS242", "keys of a join are converted to their common type"),
    ("only kyma accepts: KS147", "any dynamic may be asked for an element"),
    ("only kyma rejects: kql.syntax expected a condition", "'where a = b' is a slip for '=='"),
    ("only kyma rejects: kql.no_result", "a text without a query has no result to give"),
];
/// Lines shown of one cause when `KYMA_ORACLE_SHOW` is set.
const SHOWN_MAX: usize = 12;

/// The guessed tables, the same in every database that is named.
#[derive(Debug)]
struct Stubs {
    tables: BTreeMap<String, Schema>,
    databases: Vec<String>,
}

impl Stubs {
    fn of(line: &Value) -> Self {
        let tables = line["tables"].as_object().into_iter().flatten();
        let tables = tables.map(|(name, columns)| (name.clone(), schema_of(columns))).collect();
        let databases = line["databases"].as_array().into_iter().flatten();
        let databases = databases.filter_map(Value::as_str).map(str::to_owned);
        Stubs { tables, databases: databases.chain(["db".to_owned()]).collect() }
    }
}

fn schema_of(columns: &Value) -> Schema {
    pairs(columns).map(|(name, ty)| Column::new(name, ty.parse().unwrap_or(Type::Dynamic))).collect()
}

/// `[[name, type], ...]`.
fn pairs(columns: &Value) -> impl Iterator<Item = (&str, &str)> {
    let columns = columns.as_array().into_iter().flatten();
    columns.map(|column| (column[0].as_str().unwrap_or_default(), column[1].as_str().unwrap_or_default()))
}

impl SchemaSource for Stubs {
    fn table(&self, database: &str, name: &str) -> Option<TableSchema> {
        let schema = self.tables.get(name)?;
        self.databases.iter().any(|known| known == database).then(|| TableSchema {
            database: database.to_owned(),
            name: name.to_owned(),
            schema: schema.clone(),
            time_column: "TimeGenerated".to_owned(),
        })
    }

    fn tables(&self, _database: &str) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    fn databases(&self) -> Vec<String> {
        self.databases.clone()
    }
}

/// Plans, giving every declared parameter without a default some value.
fn plan(text: &str, stubs: &Stubs) -> Result<Query, Diagnostics> {
    let mut parameters = BTreeMap::new();
    loop {
        let errors = match super::plan_over(text, stubs, &parameters) {
            Ok(query) => return Ok(query),
            Err(errors) => errors,
        };
        let missing = errors.0.iter().find(|error| error.code == "kql.missing_parameter");
        let Some(name) = missing.and_then(|error| error.message.split('\'').nth(1)) else { return Err(errors) };
        if parameters.insert(name.to_owned(), Value::from("null")).is_some() {
            return Err(errors);
        }
    }
}

/// What a line shows: agreement, or the cause of the difference and its particulars.
fn compare(line: &Value) -> (String, String) {
    let text = line["text"].as_str().unwrap_or_default();
    let first = line["errors"].as_array().and_then(|errors| errors.first());
    match (plan(text, &Stubs::of(line)), first) {
        (Ok(query), None) => compare_columns(&query, &line["columns"]),
        (Err(_), Some(_)) => ("agree: both reject".to_owned(), String::new()),
        (Ok(_), Some(error)) => {
            let what = format!("{} {}", error["message"].as_str().unwrap_or_default(), error["at"]);
            (format!("only kyma accepts: {}", error["code"].as_str().unwrap_or_default()), what)
        }
        (Err(errors), None) => rejected(&errors.0, text),
    }
}

fn rejected(errors: &[Diagnostic], text: &str) -> (String, String) {
    let Some(error) = errors.first() else { return ("no error".to_owned(), String::new()) };
    let words: Vec<&str> = error.message.split('\'').step_by(2).collect();
    let detail = match error.code.as_str() {
        "kql.unsupported" | "kql.unknown_function" => error.message.clone(),
        _ => words.join("_"),
    };
    (format!("only kyma rejects: {} {detail}", error.code), error.render(text))
}

fn compare_columns(query: &Query, wanted: &Value) -> (String, String) {
    let agree = ("agree: same columns".to_owned(), String::new());
    let (Some(statement), false) = (query.statements.last(), wanted.is_null()) else { return agree };
    let found: Vec<(&str, &str)> =
        statement.plan.schema.columns().iter().map(|column| (column.name.as_str(), column.ty.name())).collect();
    let wanted: Vec<(&str, &str)> = pairs(wanted).collect();
    let names = |columns: &[(&str, &str)]| columns.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
    if names(&found) != names(&wanted) {
        let only = |a: &[(&str, &str)], b: &[(&str, &str)]| {
            let other: BTreeSet<String> = names(b).into_iter().collect();
            names(a).into_iter().filter(|name| !other.contains(name)).collect::<Vec<_>>()
        };
        let what = format!("{:?}, not {:?}; of {:?}", only(&found, &wanted), only(&wanted, &found), names(&wanted));
        return ("columns differ".to_owned(), what);
    }
    let differing = found.iter().zip(&wanted).find(|(found, wanted)| found.1 != wanted.1 && wanted.1 != "unknown");
    match differing {
        None => agree,
        Some((found, wanted)) => (format!("types differ: {}, not {}", found.1, wanted.1), found.0.to_owned()),
    }
}

fn on_purpose(cause: &str) -> Option<&'static str> {
    ON_PURPOSE.iter().find(|(beginning, _)| cause.starts_with(beginning)).map(|(_, why)| *why)
}

/// Compares the lines of the file that a variable names, prints the causes of differences and the share that agrees or
/// differs on purpose.
fn compare_all(variable: &str) -> Option<f64> {
    let Some(path) = std::env::var_os(variable) else {
        eprintln!("NOT RUN: {variable} is not set; run tests/oracle/run.sh");
        return None;
    };
    let lines = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut causes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (cause, what) = compare(&line);
        causes.entry(cause).or_default().push(format!("{} {what}", line["id"]));
    }
    show(&causes);
    let count = |wanted: &dyn Fn(&str) -> bool| -> usize {
        causes.iter().filter(|(cause, _)| wanted(cause)).map(|(_, lines)| lines.len()).sum()
    };
    let total = count(&|_| true);
    let agree = count(&|cause| cause.starts_with("agree"));
    let wanted = count(&|cause| on_purpose(cause).is_some());
    let percent = |part: usize| 100.0 * part as f64 / total.max(1) as f64;
    eprintln!(
        "{agree}/{total} agree with the language service ({:.2} %), {wanted} more differ on purpose ({:.2} %)",
        percent(agree),
        percent(agree + wanted)
    );
    Some(percent(agree + wanted))
}

fn show(causes: &BTreeMap<String, Vec<String>>) {
    let wanted = std::env::var("KYMA_ORACLE_SHOW").ok();
    let mut sorted: Vec<_> = causes.iter().collect();
    sorted.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.len()));
    for (cause, lines) in sorted {
        let why = on_purpose(cause).map(|why| format!(" (on purpose: {why})")).unwrap_or_default();
        eprintln!("{:6}  {cause}{why}", lines.len());
        if wanted.as_ref().is_some_and(|wanted| cause.contains(wanted.as_str()) && !cause.starts_with("agree")) {
            lines.iter().take(SHOWN_MAX).for_each(|line| eprintln!("          {}", line.replace('\n', "\n          ")));
        }
    }
}

#[test]
fn the_language_service_agrees_on_real_queries() {
    if let Some(percent) = compare_all("KYMA_ORACLE") {
        assert!(percent >= RATCHET_PERCENT, "{percent}");
    }
}

#[test]
fn the_language_service_agrees_on_probes() {
    if let Some(percent) = compare_all("KYMA_ORACLE_PROBES") {
        assert!(percent >= PROBES_RATCHET_PERCENT, "{percent}");
    }
}
