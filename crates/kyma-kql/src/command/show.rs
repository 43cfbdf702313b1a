//! The `.show` commands.

use kyma_plan::{Command, PolicyOwner, SchemaForm};

use super::{Parsed, names};
use crate::parse::Parser;

pub(super) fn show(parser: &mut Parser<'_>) -> Parsed<Option<Command>> {
    const NOUNS: [&str; 22] = [
        "version",
        "cluster",
        "capacity",
        "databases",
        "database",
        "schema",
        "tables",
        "table",
        "extents",
        "functions",
        "function",
        "operations",
        "queries",
        "running",
        "ingestion",
        "principal",
        "principals",
        "external",
        "materialized-views",
        "continuous-exports",
        "entity_groups",
        "tasks",
    ];
    let Some(noun) = parser.eat_hyphenated(&NOUNS) else { return Ok(None) };
    Ok(Some(match noun {
        "version" => Command::ShowVersion,
        "cluster" => cluster(parser)?,
        "capacity" => Command::ShowCapacity,
        "databases" => databases(parser)?,
        "database" => database(parser)?,
        "schema" => Command::ShowSchema { databases: Vec::new(), form: form(parser, SchemaForm::ClusterJson)? },
        "tables" => tables(parser)?,
        "table" => return table(parser),
        "extents" => Command::ShowExtents { table: None },
        "functions" => Command::ShowFunctions { name: None },
        "function" => Command::ShowFunctions { name: Some(parser.name()?.text) },
        "operations" => operations(parser)?,
        "queries" => Command::ShowQueries { running: false },
        "tasks" => Command::ShowTasks,
        "running" => {
            parser.expect_word("queries")?;
            Command::ShowQueries { running: true }
        }
        "ingestion" => return ingestion(parser, None),
        "principal" => {
            parser.eat_word("roles");
            Command::ShowPrincipals { of: "principal".to_owned() }
        }
        "principals" => Command::ShowPrincipals { of: "cluster".to_owned() },
        "external" => {
            parser.expect_word("tables")?;
            Command::ShowNone { what: "external-tables".to_owned() }
        }
        other => Command::ShowNone { what: other.to_owned() },
    }))
}

fn cluster(parser: &mut Parser<'_>) -> Parsed<Command> {
    if parser.eat_word("extents") {
        return Ok(Command::ShowExtents { table: None });
    }
    if parser.eat_word("principals") {
        return Ok(Command::ShowPrincipals { of: "cluster".to_owned() });
    }
    if parser.eat_word("policy") {
        return Ok(Command::ShowPolicy { of: PolicyOwner::Cluster, kind: policy_kind(parser)? });
    }
    if parser.eat_word("schema") {
        return Ok(Command::ShowSchema { databases: Vec::new(), form: form(parser, SchemaForm::ClusterJson)? });
    }
    parser.eat_word("details");
    Ok(Command::ShowCluster)
}

fn databases(parser: &mut Parser<'_>) -> Parsed<Command> {
    let databases = if parser.is_punct("(") { names(parser)? } else { Vec::new() };
    if parser.eat_word("schema") {
        return Ok(Command::ShowSchema { databases, form: form(parser, SchemaForm::Json)? });
    }
    parser.eat_word("details");
    Ok(Command::ShowDatabases)
}

/// What may follow `.show database`, with or without the database's name.
const OF_DATABASE: [&str; 9] =
    ["schema", "cslschema", "details", "extents", "policy", "principals", "ingestion", "functions", "with"];

fn database(parser: &mut Parser<'_>) -> Parsed<Command> {
    let is_plain = parser.at_end() || parser.is_punct("|") || OF_DATABASE.iter().any(|word| parser.is_word(word));
    let name = if is_plain { None } else { Some(parser.name()?.text) };
    let Some(what) = parser.eat_hyphenated(&OF_DATABASE) else { return Ok(Command::ShowDatabase { database: name }) };
    let databases = || vec![name.clone().unwrap_or_default()];
    Ok(match what {
        "schema" => Command::ShowSchema { databases: databases(), form: form(parser, SchemaForm::Json)? },
        "cslschema" => {
            parser.eat_word("script");
            Command::ShowSchema { databases: databases(), form: SchemaForm::Script }
        }
        "extents" => Command::ShowExtents { table: None },
        "functions" => Command::ShowFunctions { name: None },
        "policy" => Command::ShowPolicy { of: PolicyOwner::Database(name), kind: policy_kind(parser)? },
        "principals" => Command::ShowPrincipals { of: "database".to_owned() },
        "ingestion" => {
            parser.expect_word("mappings")?;
            Command::ShowMappings { table: None, kind: None, name: None }
        }
        _ => Command::ShowDatabase { database: name },
    })
}

/// `[if_later_than "v1.0"] [as json | as csl [script]]`
fn form(parser: &mut Parser<'_>, json: SchemaForm) -> Parsed<SchemaForm> {
    if parser.eat_word("if_later_than") {
        parser.text()?;
    }
    if !parser.eat_word("as") {
        return Ok(SchemaForm::Rows);
    }
    if parser.eat_word("csl") {
        parser.eat_word("script");
        return Ok(SchemaForm::Script);
    }
    parser.expect_word("json")?;
    Ok(json)
}

fn tables(parser: &mut Parser<'_>) -> Parsed<Command> {
    let tables = if parser.is_punct("(") { names(parser)? } else { Vec::new() };
    Ok(if parser.eat_word("details") { Command::ShowTableDetails { tables } } else { Command::ShowTables { tables } })
}

fn table(parser: &mut Parser<'_>) -> Parsed<Option<Command>> {
    if parser.eat("*") {
        parser.expect_word("policy")?;
        return Ok(Some(Command::ShowPolicy { of: PolicyOwner::EveryTable, kind: policy_kind(parser)? }));
    }
    let table = parser.name()?.text;
    const OF_TABLE: [&str; 8] =
        ["details", "extents", "patterns", "cslschema", "schema", "ingestion", "policy", "principals"];
    if parser.at_end() || parser.is_punct("|") {
        return Ok(Some(Command::ShowTable { table }));
    }
    let Some(what) = parser.eat_hyphenated(&OF_TABLE) else { return Ok(None) };
    Ok(Some(match what {
        "details" => Command::ShowTableDetails { tables: vec![table] },
        "extents" => Command::ShowExtents { table: Some(table) },
        "patterns" => Command::ShowTablePatterns { table },
        "cslschema" => Command::ShowTableCslSchema { table },
        "ingestion" => return ingestion(parser, Some(table)),
        "policy" => Command::ShowPolicy { of: PolicyOwner::Table(table), kind: policy_kind(parser)? },
        "principals" => Command::ShowPrincipals { of: "table".to_owned() },
        _ => {
            parser.expect_word("as")?;
            if parser.eat_word("csl") {
                Command::ShowTableCslSchema { table }
            } else {
                parser.expect_word("json")?;
                Command::ShowTableSchemaJson { table }
            }
        }
    }))
}

/// `.show [table T] ingestion [kind] mappings`, `... mapping "m"`, `.show ingestion failures`
fn ingestion(parser: &mut Parser<'_>, table: Option<String>) -> Parsed<Option<Command>> {
    if table.is_none() && parser.eat_word("failures") {
        return Ok(Some(Command::ShowIngestionFailures));
    }
    let is_all = parser.is_word("mappings") || parser.is_word("mapping");
    let kind = if is_all { None } else { Some(parser.name()?.text.to_lowercase()) };
    if parser.eat_word("mappings") {
        return Ok(Some(Command::ShowMappings { table, kind, name: None }));
    }
    parser.expect_word("mapping")?;
    let name = Some(parser.text()?);
    Ok(Some(Command::ShowMappings { table, kind, name }))
}

fn operations(parser: &mut Parser<'_>) -> Parsed<Command> {
    let id = |parser: &mut Parser<'_>| Ok(parser.raw_word()?.to_owned());
    let ids = if parser.eat("(") {
        parser.list_until(")", id)?
    } else if parser.at_end() || parser.is_punct("|") || parser.is_word("with") {
        Vec::new()
    } else {
        vec![id(parser)?]
    };
    Ok(Command::ShowOperations { ids })
}

pub(super) fn policy_kind(parser: &mut Parser<'_>) -> Parsed<String> {
    if parser.eat("*") {
        return Ok("*".to_owned());
    }
    Ok(parser.name()?.text.to_lowercase())
}
