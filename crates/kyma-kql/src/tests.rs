//! Tests of the whole frontend.

mod check;
mod commands;
mod conformance;
mod docs;
mod errors;
mod examples;
mod functions;
mod graphs;
mod lookups;
mod mutation;
mod operators;
mod oracle;
mod plans;
mod realworld;
mod soup;

use std::collections::BTreeMap;

use kyma_core::{Schema, Type};
use kyma_plan::{Diagnostics, PlanContext, Planned, Query, QueryFrontend, SchemaSource, TableSchema};

use crate::Kql;

/// 2024-05-01T12:00:00Z
const NOW: i64 = 1_714_564_800_000_000_000;

/// One database with one table.
#[derive(Debug)]
struct Tables;

impl SchemaSource for Tables {
    fn table(&self, database: &str, name: &str) -> Option<TableSchema> {
        let known = database == "db" && name == "Logs";
        known.then(|| TableSchema {
            database: database.to_owned(),
            name: name.to_owned(),
            schema: Schema::from([
                ("Timestamp", Type::Datetime),
                ("Level", Type::String),
                ("Message", Type::String),
                ("Status", Type::Int),
                ("Duration", Type::Real),
                ("Properties", Type::Dynamic),
            ]),
            time_column: "Timestamp".to_owned(),
        })
    }

    fn tables(&self, database: &str) -> Vec<String> {
        if database == "db" { vec!["Logs".to_owned()] } else { Vec::new() }
    }

    fn databases(&self) -> Vec<String> {
        vec!["db".to_owned()]
    }
}

fn plan(text: &str) -> Result<Query, Diagnostics> {
    plan_with(text, &BTreeMap::new())
}

fn plan_with(text: &str, parameters: &BTreeMap<String, serde_json::Value>) -> Result<Query, Diagnostics> {
    let query = plan_over(text, &Tables, parameters)?;
    for statement in &query.statements {
        check::valid(&statement.plan);
    }
    Ok(query)
}

/// The plan over some tables; what it asks for has no rows.
fn plan_over(
    text: &str,
    schemas: &dyn SchemaSource,
    parameters: &BTreeMap<String, serde_json::Value>,
) -> Result<Query, Diagnostics> {
    let mut answers = Vec::new();
    loop {
        let context = PlanContext { schemas, database: "db", now: NOW, parameters, answers: &answers };
        match Kql.plan(text, &context)? {
            Planned::Query(query) => return Ok(query),
            Planned::Asks(_) => answers.push(Vec::new()),
        }
    }
}
