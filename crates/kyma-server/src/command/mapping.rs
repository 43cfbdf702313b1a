//! Ingestion mappings.

use kyma_core::catalog::{IngestionMapping, Table};
use kyma_core::{Error, Result, Type};
use kyma_plan::Put;
use serde_json::Value as Json;

use super::table::{SmallTable, string};
use super::{chosen_tables, find_table};
use crate::state::Shared;

const KINDS: [&str; 2] = ["csv", "json"];

/// `.show table T ingestion mappings`, `.show database ingestion mappings`.
pub(super) async fn show(
    state: &Shared,
    database: &str,
    table: Option<&str>,
    kind: Option<&str>,
    name: Option<&str>,
) -> Result<SmallTable> {
    let names: Vec<String> = table.map(str::to_owned).into_iter().collect();
    let mut shown = listed();
    let mut found = false;
    for table in chosen_tables(state, database, &names).await? {
        for mapping in state.catalog.ingestion_mappings(table.id).await? {
            let is_wanted =
                kind.is_none_or(|kind| kind == mapping.kind) && name.is_none_or(|name| name == mapping.name);
            if is_wanted {
                found = true;
                add(&mut shown, &table, mapping);
            }
        }
    }
    match name {
        Some(name) if !found => Err(unknown(table.unwrap_or("*"), name)),
        _ => Ok(shown),
    }
}

fn listed() -> SmallTable {
    let text = Type::String;
    SmallTable::new([("Name", text), ("Kind", text), ("Mapping", text), ("Database", text), ("Table", text)])
}

fn add(shown: &mut SmallTable, table: &Table, mapping: IngestionMapping) {
    let kind = if mapping.kind == "csv" { "Csv" } else { "Json" };
    let (database, name) = (string(&table.database_name), string(&table.name));
    shown.row([string(mapping.name), string(kind), string(mapping.json), database, name]);
}

fn unknown(table: &str, name: &str) -> Error {
    Error::not_found("mapping.unknown", format!("the mapping does not exist: table={table}, mapping={name}"))
        .hint("`.show table T ingestion mappings` lists the mappings")
}

/// `.create table T ingestion csv mapping "m" '[...]'` and its like.
pub(super) async fn put(
    state: &Shared,
    database: &str,
    table: &str,
    kind: String,
    name: String,
    json: String,
    put: Put,
) -> Result<SmallTable> {
    if !KINDS.contains(&kind.as_str()) {
        let message = format!("mappings of this kind are not kept: kind={kind}");
        return Err(Error::invalid("mapping.kind", message).hint("write a csv or a json mapping"));
    }
    check(&kind, &json)?;
    let table = find_table(state, database, table).await?;
    if put == Put::Alter && state.catalog.ingestion_mapping(table.id, &name).await?.is_none() {
        return Err(unknown(&table.name, &name));
    }
    let mapping = IngestionMapping { table: table.id, name, kind, json };
    state.catalog.put_ingestion_mapping(&mapping, put != Put::Create).await?;
    let mut shown = listed();
    add(&mut shown, &table, mapping);
    Ok(shown)
}

/// A mapping is an array of columns, each with a name and with where its values are.
fn check(kind: &str, json: &str) -> Result<()> {
    let wrong = |why: String| {
        let hint = match kind {
            "csv" => r#"write [{"Column":"a","Properties":{"Ordinal":"0"}}]"#,
            _ => r#"write [{"Column":"a","Properties":{"Path":"$.a"}}]"#,
        };
        Error::invalid("mapping.invalid", format!("the mapping is not understood: {why}")).hint(hint)
    };
    let parsed: Json = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
    let columns = parsed.as_array().ok_or_else(|| wrong("it is not an array".to_owned()))?;
    for (at, column) in columns.iter().enumerate() {
        let name = field(column, &["column", "name"]).and_then(Json::as_str).unwrap_or_default();
        if name.is_empty() {
            return Err(wrong(format!("element {at} names no column")));
        }
        let said = field(column, &["properties"]).unwrap_or(column);
        if said.is_object() {
            continue;
        }
        return Err(wrong(format!("the properties of column '{name}' are not an object")));
    }
    Ok(())
}

/// A field by any of its spellings, whatever their case.
fn field<'a>(object: &'a Json, names: &[&str]) -> Option<&'a Json> {
    let fields = object.as_object()?;
    fields.iter().find(|(key, _)| names.iter().any(|name| key.eq_ignore_ascii_case(name))).map(|(_, value)| value)
}

/// `.drop table T ingestion csv mapping "m"`.
pub(super) async fn drop(state: &Shared, database: &str, table: &str, kind: &str, name: &str) -> Result<SmallTable> {
    let table = find_table(state, database, table).await?;
    if !state.catalog.drop_ingestion_mapping(table.id, kind, name).await? {
        return Err(unknown(&table.name, name));
    }
    show(state, database, Some(&table.name), None, None).await
}
