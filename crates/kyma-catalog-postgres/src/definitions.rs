//! Mappings, functions, texts and policies: rows that are kept as they were written.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kyma_core::catalog::{Definitions, IngestionMapping, Policy, StoredFunction, TableTexts};
use kyma_core::ids::check_name;
use kyma_core::{DatabaseId, Error, Result, TableId};
use serde_json::value::RawValue;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::commit::{database_unknown, table_unknown};
use crate::pool::{PostgresCatalog, get};

/// What `table_id` says of a policy of the database itself.
pub(crate) const NO_TABLE: i64 = 0;

pub(crate) const FUNCTIONS: &str = "SELECT name, parameters, body, folder, docstring FROM functions \
    WHERE database_id = $1 ORDER BY name COLLATE \"C\"";
pub(crate) const TEXTS: &str = "SELECT x.table_id, x.folder, x.docstring, x.columns FROM table_texts x \
    JOIN tables t ON t.id = x.table_id WHERE t.database_id = $1 AND t.dropped_at IS NULL";
pub(crate) const POLICIES: &str = "SELECT database_id, table_id, kind, policy FROM policies WHERE database_id = $1 \
    ORDER BY table_id, kind";

#[async_trait]
impl Definitions for PostgresCatalog {
    async fn ingestion_mapping(&self, table: TableId, name: &str) -> Result<Option<IngestionMapping>> {
        let sql = "SELECT table_id, name, kind, mapping FROM ingestion_mappings WHERE table_id = $1 AND name = $2";
        let rows = self.rows("mapping", sql, &[&table.0, &name]).await?;
        rows.first().map(read_mapping).transpose()
    }

    async fn ingestion_mappings(&self, table: TableId) -> Result<Vec<IngestionMapping>> {
        let sql = "SELECT table_id, name, kind, mapping FROM ingestion_mappings WHERE table_id = $1 ORDER BY name";
        let rows = self.rows("mappings", sql, &[&table.0]).await?;
        rows.iter().map(read_mapping).collect()
    }

    async fn put_ingestion_mapping(&self, mapping: &IngestionMapping, replace: bool) -> Result<()> {
        check_name("mapping", &mapping.name)?;
        let json = raw(&mapping.json)?;
        let sql = "INSERT INTO ingestion_mappings AS m (table_id, name, kind, mapping) \
                   SELECT id, $2::text, $3::text, $4::json FROM tables WHERE id = $1 AND dropped_at IS NULL \
                   ON CONFLICT (table_id, name) DO UPDATE SET mapping = excluded.mapping \
                   WHERE $5::boolean AND m.kind = excluded.kind";
        let IngestionMapping { table, name, kind, .. } = mapping;
        let put = self.change("put mapping", sql, &[&table.0, name, kind, &Json(json), &replace]).await?;
        if put == 1 {
            return Ok(());
        }
        let existing = self.ingestion_mapping(*table, name).await?.ok_or_else(|| table_unknown(*table))?;
        let message = format!("the mapping exists already: name={name}, kind={}", existing.kind);
        Err(Error::conflict("catalog.mapping_exists", message).hint("a mapping's name is unique in its table"))
    }

    async fn drop_ingestion_mapping(&self, table: TableId, kind: &str, name: &str) -> Result<bool> {
        let sql = "DELETE FROM ingestion_mappings WHERE table_id = $1 AND kind = $2 AND name = $3";
        Ok(self.change("drop mapping", sql, &[&table.0, &kind, &name]).await? == 1)
    }

    async fn functions(&self, database: DatabaseId) -> Result<Vec<StoredFunction>> {
        let rows = self.rows("functions", FUNCTIONS, &[&database.0]).await?;
        rows.iter().map(read_function).collect()
    }

    async fn put_function(&self, database: DatabaseId, function: &StoredFunction, replace: bool) -> Result<()> {
        let StoredFunction { name, parameters, body, folder, docstring } = function;
        check_name("function", name)?;
        let sql = "INSERT INTO functions (database_id, name, parameters, body, folder, docstring) \
                   SELECT id, $2::text, $3::text, $4::text, $5::text, $6::text FROM databases WHERE id = $1 \
                   ON CONFLICT (database_id, name) DO UPDATE SET parameters = excluded.parameters, \
                   body = excluded.body, folder = excluded.folder, docstring = excluded.docstring WHERE $7::boolean";
        let put = self
            .change("put function", sql, &[&database.0, name, parameters, body, folder, docstring, &replace])
            .await?;
        if put == 1 {
            return Ok(());
        }
        if replace {
            return Err(database_unknown(database));
        }
        Err(Error::conflict("catalog.function_exists", format!("the function exists already: name={name}"))
            .hint("write .create-or-alter function"))
    }

    async fn drop_function(&self, database: DatabaseId, name: &str) -> Result<bool> {
        let sql = "DELETE FROM functions WHERE database_id = $1 AND name = $2";
        Ok(self.change("drop function", sql, &[&database.0, &name]).await? == 1)
    }

    async fn table_texts(&self, database: DatabaseId) -> Result<BTreeMap<TableId, TableTexts>> {
        let rows = self.rows("table texts", TEXTS, &[&database.0]).await?;
        rows.iter().map(read_texts).collect()
    }

    async fn put_table_texts(&self, table: TableId, texts: &TableTexts) -> Result<()> {
        let sql = "INSERT INTO table_texts (table_id, folder, docstring, columns) \
                   SELECT id, $2::text, $3::text, $4::json FROM tables WHERE id = $1 AND dropped_at IS NULL \
                   ON CONFLICT (table_id) DO UPDATE SET folder = excluded.folder, docstring = excluded.docstring, \
                   columns = excluded.columns";
        let TableTexts { folder, docstring, columns } = texts;
        let put = self.change("put table texts", sql, &[&table.0, folder, docstring, &Json(columns)]).await?;
        if put == 1 { Ok(()) } else { Err(table_unknown(table)) }
    }

    async fn policies(&self, database: DatabaseId) -> Result<Vec<Policy>> {
        let rows = self.rows("policies", POLICIES, &[&database.0]).await?;
        rows.iter().map(read_policy).collect()
    }

    async fn put_policy(&self, policy: &Policy) -> Result<()> {
        let json = raw(&policy.json)?;
        let sql = "INSERT INTO policies (database_id, table_id, kind, policy) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (database_id, table_id, kind) DO UPDATE SET policy = excluded.policy";
        let table = policy.table.map_or(NO_TABLE, |table| table.0);
        self.change("put policy", sql, &[&policy.database.0, &table, &policy.kind, &Json(json)]).await.map(drop)
    }

    async fn drop_policy(&self, database: DatabaseId, table: Option<TableId>, kind: &str) -> Result<bool> {
        let sql = "DELETE FROM policies WHERE database_id = $1 AND table_id = $2 AND kind = $3";
        let table = table.map_or(NO_TABLE, |table| table.0);
        Ok(self.change("drop policy", sql, &[&database.0, &table, &kind]).await? == 1)
    }
}

/// JSON that is kept to the byte.
pub(crate) fn raw(json: &str) -> Result<&RawValue> {
    serde_json::from_str(json).map_err(|error| {
        Error::invalid("catalog.json_invalid", "a definition is not JSON").hint(error.to_string()).because(error)
    })
}

fn json_text(row: &Row, place: usize) -> Result<String> {
    let Json(json): Json<Box<RawValue>> = get(row, place)?;
    Ok(json.get().to_owned())
}

pub(crate) fn read_mapping(row: &Row) -> Result<IngestionMapping> {
    Ok(IngestionMapping {
        table: TableId(get(row, 0)?),
        name: get(row, 1)?,
        kind: get(row, 2)?,
        json: json_text(row, 3)?,
    })
}

pub(crate) fn read_function(row: &Row) -> Result<StoredFunction> {
    Ok(StoredFunction {
        name: get(row, 0)?,
        parameters: get(row, 1)?,
        body: get(row, 2)?,
        folder: get(row, 3)?,
        docstring: get(row, 4)?,
    })
}

pub(crate) fn read_texts(row: &Row) -> Result<(TableId, TableTexts)> {
    let Json(columns): Json<BTreeMap<String, String>> = get(row, 3)?;
    Ok((TableId(get(row, 0)?), TableTexts { folder: get(row, 1)?, docstring: get(row, 2)?, columns }))
}

pub(crate) fn read_policy(row: &Row) -> Result<Policy> {
    let table: i64 = get(row, 1)?;
    let table = (table != NO_TABLE).then_some(TableId(table));
    Ok(Policy { database: DatabaseId(get(row, 0)?), table, kind: get(row, 2)?, json: json_text(row, 3)? })
}
