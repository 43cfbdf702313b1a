//! Schemas as tools want them: of a table, of a database, of everything; as rows, as JSON, as commands.

use std::collections::BTreeMap;

use kyma_core::catalog::{IngestionMapping, StoredFunction, Table, TableTexts};
use kyma_core::{Column, Result, Type, Value};
use kyma_plan::{Parameter, SchemaForm};
use serde_json::{Map, Value as Json, json};

use super::show::{all_texts, dotnet_type};
use super::table::{SmallTable, string};
use super::{LANGUAGE, all_tables, existing_database};
use crate::state::Shared;

use Type::{Bool, String as Text};

fn schema_columns() -> SmallTable {
    SmallTable::new([
        ("TableName", Text),
        ("Schema", Text),
        ("DatabaseName", Text),
        ("Folder", Text),
        ("DocString", Text),
    ])
}

/// `.show table T schema as json`.
pub(super) fn of_table_json(table: &Table, texts: &TableTexts) -> SmallTable {
    let schema = json!({ "Name": table.name, "OrderedColumns": ordered_columns(table, texts, false) }).to_string();
    let mut shown = schema_columns();
    shown.row(of_table(table, schema, texts));
    shown
}

/// `.show table T cslschema`.
pub(super) fn of_table_csl(table: &Table, texts: &TableTexts) -> SmallTable {
    let columns: Vec<String> =
        table.schema.columns().iter().map(|column| format!("{}:{}", column.name, column.ty)).collect();
    let mut shown = schema_columns();
    shown.row(of_table(table, columns.join(","), texts));
    shown
}

/// Adds the schemas of several tables to one answer.
pub(super) fn of_tables_csl<'a>(tables: impl Iterator<Item = (&'a Table, TableTexts)>) -> SmallTable {
    let mut shown = schema_columns();
    for (table, texts) in tables {
        let columns: Vec<String> =
            table.schema.columns().iter().map(|column| format!("{}:{}", column.name, column.ty)).collect();
        shown.row(of_table(table, columns.join(","), &texts));
    }
    shown
}

fn of_table(table: &Table, schema: String, texts: &TableTexts) -> [Value; 5] {
    [string(&table.name), string(schema), string(&table.database_name), string(&texts.folder), string(&texts.docstring)]
}

fn ordered_columns(table: &Table, texts: &TableTexts, with_texts: bool) -> Vec<Json> {
    let of_column = |column: &Column| {
        let mut described = json!({
            "Name": column.name,
            "Type": dotnet_type(column.ty),
            "CslType": column.ty.name(),
        });
        if with_texts {
            described["DocString"] = json!(texts.columns.get(&column.name).cloned().unwrap_or_default());
        }
        described
    };
    table.schema.columns().iter().map(of_column).collect()
}

/// The databases that a command names; an empty name is the request's, no name is all.
async fn chosen(state: &Shared, current: &str, named: &[String]) -> Result<Vec<String>> {
    if named.is_empty() {
        return Ok(state.catalog.databases().await?.into_iter().map(|database| database.name).collect());
    }
    let mut chosen = Vec::with_capacity(named.len());
    for name in named {
        match name.is_empty() {
            true => chosen.push(current.to_owned()),
            false => chosen.push(existing_database(state, name).await?.name),
        }
    }
    Ok(chosen)
}

/// `.show database schema`: a row per column.
pub(super) async fn rows(state: &Shared, current: &str, databases: &[String]) -> Result<SmallTable> {
    let mut shown = SmallTable::new([
        ("DatabaseName", Text),
        ("TableName", Text),
        ("ColumnName", Text),
        ("ColumnType", Text),
        ("IsDefaultTable", Bool),
        ("IsDefaultColumn", Bool),
        ("PrettyName", Text),
        ("Version", Text),
        ("Folder", Text),
        ("DocString", Text),
    ]);
    let no = || Value::Bool(false);
    for database in chosen(state, current, databases).await? {
        let texts = all_texts(state, &database).await?;
        for table in all_tables(state, &database).await? {
            let said = texts.get(&table.id).cloned().unwrap_or_default();
            for column in table.schema.columns() {
                let (name, ty) = (string(&column.name), string(dotnet_type(column.ty)));
                let owner = (string(&table.database_name), string(&table.name));
                let doc = said.columns.get(&column.name).cloned().unwrap_or_default();
                let folder = string(&said.folder);
                shown.row([owner.0, owner.1, name, ty, no(), no(), string(""), string(""), folder, string(doc)]);
            }
        }
    }
    Ok(shown)
}

/// `.show database schema as json`, `.show schema as json`: what language services read.
pub(super) async fn json(state: &Shared, current: &str, databases: &[String], form: SchemaForm) -> Result<SmallTable> {
    let mut described = Map::new();
    for database in chosen(state, current, databases).await? {
        let schema = database_json(state, &database).await?;
        described.insert(database, schema);
    }
    let mut whole = json!({ "Databases": described });
    let column = if form == SchemaForm::ClusterJson { "ClusterSchema" } else { "DatabaseSchema" };
    if form == SchemaForm::ClusterJson {
        whole["Plugins"] = json!([]);
    }
    let mut shown = SmallTable::new([(column, Text)]);
    shown.row([string(whole.to_string())]);
    Ok(shown)
}

async fn database_json(state: &Shared, name: &str) -> Result<Json> {
    let texts = all_texts(state, name).await?;
    let mut tables = Map::new();
    for table in all_tables(state, name).await? {
        let said = texts.get(&table.id).cloned().unwrap_or_default();
        let described = json!({
            "Name": table.name,
            "Folder": said.folder,
            "DocString": said.docstring,
            "OrderedColumns": ordered_columns(&table, &said, true),
        });
        tables.insert(table.name.clone(), described);
    }
    let functions = functions_of(state, name).await?;
    let functions: Map<String, Json> =
        functions.into_iter().map(|function| (function.name.clone(), function_json(state, &function))).collect();
    Ok(json!({
        "Name": name,
        "Tables": tables,
        "ExternalTables": {},
        "MaterializedViews": {},
        "EntityGroups": {},
        "MajorVersion": 1,
        "MinorVersion": 0,
        "Functions": functions,
        "DatabaseAccessMode": "ReadWrite",
        "Graphs": {},
        "StoredQueryResults": {},
    }))
}

async fn functions_of(state: &Shared, database: &str) -> Result<Vec<StoredFunction>> {
    match state.catalog.database(database).await? {
        Some(found) => state.catalog.functions(found.id).await,
        None => Ok(Vec::new()),
    }
}

fn function_json(state: &Shared, function: &StoredFunction) -> Json {
    let parameters = state.engine.frontend(LANGUAGE).and_then(|frontend| frontend.parameters(function));
    let of_parameter = |parameter: &Parameter| match parameter.ty {
        Some(ty) => json!({ "Name": parameter.name, "Type": dotnet_type(ty), "CslType": ty.name() }),
        None => {
            let column = |column: &Column| json!({ "Name": column.name, "Type": dotnet_type(column.ty), "CslType": column.ty.name() });
            json!({ "Name": parameter.name, "Columns": parameter.columns.iter().map(column).collect::<Vec<_>>() })
        }
    };
    json!({
        "Name": function.name,
        "InputParameters": parameters.unwrap_or_default().iter().map(of_parameter).collect::<Vec<_>>(),
        "Body": function.body,
        "Folder": function.folder,
        "DocString": function.docstring,
        "FunctionKind": "Unknown",
        "OutputColumns": [],
    })
}

/// `.show database schema as csl script`: commands that make the same again.
pub(super) async fn script(state: &Shared, current: &str, databases: &[String]) -> Result<SmallTable> {
    let mut shown = SmallTable::new([("DatabaseSchemaScript", Text)]);
    for database in chosen(state, current, databases).await? {
        let texts = all_texts(state, &database).await?;
        for table in all_tables(state, &database).await? {
            let said = texts.get(&table.id).cloned().unwrap_or_default();
            shown.row([string(create_table(&table, &said))]);
            if !said.columns.is_empty() {
                shown.row([string(column_docstrings(&table, &said.columns))]);
            }
            for mapping in state.catalog.ingestion_mappings(table.id).await? {
                shown.row([string(create_mapping(&table, &mapping))]);
            }
        }
        for function in functions_of(state, &database).await? {
            shown.row([string(create_function(&function))]);
        }
    }
    Ok(shown)
}

/// A name as commands write it: quoted unless it is a word.
fn name_text(name: &str) -> String {
    let is_word = name.chars().all(|letter| letter == '_' || letter.is_alphanumeric())
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if is_word { name.to_owned() } else { format!("[{}]", quoted(name)) }
}

/// A string literal.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0' => quoted.push_str("\\0"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn with_texts(folder: &str, docstring: &str) -> String {
    let said: Vec<String> = [("folder", folder), ("docstring", docstring)]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("{name}={}", quoted(text)))
        .collect();
    if said.is_empty() { String::new() } else { format!(" with ({})", said.join(", ")) }
}

fn create_table(table: &Table, texts: &TableTexts) -> String {
    let column = |column: &Column| format!("{}:{}", name_text(&column.name), column.ty);
    let columns: Vec<String> = table.schema.columns().iter().map(column).collect();
    let with = with_texts(&texts.folder, &texts.docstring);
    format!(".create-merge table {} ({}){with}", name_text(&table.name), columns.join(", "))
}

fn column_docstrings(table: &Table, texts: &BTreeMap<String, String>) -> String {
    let text = |(column, text): (&String, &String)| format!("{}:{}", name_text(column), quoted(text));
    let texts: Vec<String> = texts.iter().map(text).collect();
    format!(".alter table {} column-docstrings ({})", name_text(&table.name), texts.join(", "))
}

fn create_mapping(table: &Table, mapping: &IngestionMapping) -> String {
    format!(
        ".create-or-alter table {} ingestion {} mapping {} {}",
        name_text(&table.name),
        mapping.kind,
        quoted(&mapping.name),
        quoted(&mapping.json)
    )
}

fn create_function(function: &StoredFunction) -> String {
    let with = with_texts(&function.folder, &function.docstring);
    format!(".create-or-alter function{with} {}{} {}", name_text(&function.name), function.parameters, function.body)
}
