//! The import: fills an empty catalog with identities and sequences that are given, in one transaction.
//!
//! 1. Every table of the catalog is locked against others; one that has a row refuses the import.
//! 2. Databases (whose past is not there: nothing before their sequence is complete), tables and definitions, then extents and receipts, are added as they come.
//! 3. `finish` moves the identities that are given out next past all that are taken, and commits. An import that is dropped
//!    before closes its connection: PostgreSQL takes everything back.

use async_trait::async_trait;
use deadpool_postgres::Object;
use kyma_core::catalog::{DatabaseDefinition, Import, NumberedReceipt, TableDefinition};
use kyma_core::extent::Extent;
use kyma_core::{DatabaseId, Error, Result, Sequence, TableId};
use serde_json::value::RawValue;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::definitions::{NO_TABLE, raw};
use crate::pool::{PostgresCatalog, execute, one};
use crate::{error, rows};

const DOING: &str = "import";

/// The transaction may wait for the store; nobody waits for its locks in an empty catalog.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0; \
    LOCK TABLE databases, tables, objects, extents, receipts IN SHARE ROW EXCLUSIVE MODE";

const IS_EMPTY: &str = "SELECT NOT (EXISTS (SELECT 1 FROM databases) OR EXISTS (SELECT 1 FROM tables) \
    OR EXISTS (SELECT 1 FROM extents) OR EXISTS (SELECT 1 FROM receipts) OR EXISTS (SELECT 1 FROM objects))";

/// Begins an import.
pub(crate) async fn begin(catalog: &PostgresCatalog, rebuilt_from: Option<Uuid>) -> Result<Box<dyn Import>> {
    let client = catalog.client().await?;
    let import = PostgresImport { client: Some(client) };
    import.client()?.batch_execute(BEGIN).await.map_err(error::statement(DOING))?;
    let is_empty: bool = crate::pool::get(&one(import.client()?, DOING, IS_EMPTY, &[]).await?, 0)?;
    if !is_empty {
        return Err(Error::conflict("catalog.not_empty", "the catalog holds something already")
            .hint("a catalog is made again in an empty database: create one, run kyma migrate, and name it"));
    }
    execute(import.client()?, DOING, "UPDATE catalog SET rebuilt_from = $1", &[&rebuilt_from]).await?;
    Ok(Box::new(import))
}

/// Holds the connection of the transaction until it ends.
struct PostgresImport {
    client: Option<Object>,
}

impl Drop for PostgresImport {
    fn drop(&mut self) {
        // Out of the pool, and closed: the transaction must not go on under somebody else.
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

impl PostgresImport {
    fn client(&self) -> Result<&Object> {
        self.client.as_ref().ok_or_else(|| Error::internal("the import has ended"))
    }

    async fn table(&self, definition: &TableDefinition) -> Result<()> {
        let (client, table) = (self.client()?, &definition.table);
        let sql = "INSERT INTO tables (id, database_id, name, columns, schema_version, time_column, sort_key, format, \
                   deduplication_seconds) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let columns = Json(table.schema.columns());
        execute(
            client,
            DOING,
            sql,
            &[
                &table.id.0,
                &table.database.0,
                &table.name,
                &columns,
                &table.schema_version,
                &table.time_column,
                &table.sort_key,
                &table.format,
                &i64::from(table.deduplication_seconds),
            ],
        )
        .await?;
        if let Some(texts) = &definition.texts {
            let sql = "INSERT INTO table_texts (table_id, folder, docstring, columns) VALUES ($1, $2, $3, $4)";
            let columns = Json(&texts.columns);
            execute(client, DOING, sql, &[&table.id.0, &texts.folder, &texts.docstring, &columns]).await?;
        }
        for mapping in &definition.mappings {
            let sql = "INSERT INTO ingestion_mappings (table_id, name, kind, mapping) VALUES ($1, $2, $3, $4)";
            let json: Json<&RawValue> = Json(raw(&mapping.json)?);
            execute(client, DOING, sql, &[&table.id.0, &mapping.name, &mapping.kind, &json]).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Import for PostgresImport {
    async fn database(&mut self, definition: &DatabaseDefinition) -> Result<()> {
        let (client, database) = (self.client()?, &definition.database);
        let sql = "INSERT INTO databases (id, name, sequence, complete_from) OVERRIDING SYSTEM VALUE \
                   VALUES ($1, $2, $3, $3)";
        execute(client, DOING, sql, &[&database.id.0, &database.name, &definition.sequence.0]).await?;
        for table in &definition.tables {
            self.table(table).await?;
        }
        for function in &definition.functions {
            let sql = "INSERT INTO functions (database_id, name, parameters, body, folder, docstring) \
                       VALUES ($1, $2, $3, $4, $5, $6)";
            let kyma_core::catalog::StoredFunction { name, parameters, body, folder, docstring } = function;
            execute(client, DOING, sql, &[&database.id.0, name, parameters, body, folder, docstring]).await?;
        }
        for policy in &definition.policies {
            let sql = "INSERT INTO policies (database_id, table_id, kind, policy) VALUES ($1, $2, $3, $4)";
            let table = policy.table.map_or(NO_TABLE, |table| table.0);
            execute(client, DOING, sql, &[&database.id.0, &table, &policy.kind, &Json(raw(&policy.json)?)]).await?;
        }
        Ok(())
    }

    async fn extents(&mut self, extents: &[Extent]) -> Result<()> {
        let client = self.client()?;
        let keys: Vec<&str> = extents.iter().map(|extent| extent.location.key.as_str()).collect();
        let sql = "INSERT INTO objects (key, state) SELECT DISTINCT unnest($1::text[]), 'registered' \
                   ON CONFLICT (key) DO NOTHING";
        execute(client, DOING, sql, &[&keys]).await?;
        let with_sequence: Vec<(_, Sequence)> = extents.iter().map(|extent| (&extent.new, extent.added)).collect();
        let sink = client.copy_in(rows::COPY).await.map_err(error::statement(DOING))?;
        rows::write_to(sink, &with_sequence).await
    }

    async fn receipts(&mut self, receipts: &[NumberedReceipt]) -> Result<()> {
        let databases: Vec<i64> = receipts.iter().map(|receipt| receipt.receipt.database.0).collect();
        let keys: Vec<&str> = receipts.iter().map(|receipt| receipt.receipt.key.as_str()).collect();
        let sequences: Vec<i64> = receipts.iter().map(|receipt| receipt.sequence.0).collect();
        let answers: Vec<Json<&serde_json::Value>> =
            receipts.iter().map(|receipt| Json(&receipt.receipt.answer)).collect();
        let sql = "INSERT INTO receipts (database_id, key, sequence, answer) \
                   SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::json[])";
        execute(self.client()?, DOING, sql, &[&databases, &keys, &sequences, &answers]).await?;
        Ok(())
    }

    async fn finish(mut self: Box<Self>, databases_max: DatabaseId, tables_max: TableId) -> Result<()> {
        let client = self.client()?;
        for (table, max) in [("databases", databases_max.0), ("tables", tables_max.0)] {
            let sql = "SELECT setval(pg_get_serial_sequence($1::text, 'id'), greatest($2::bigint, 1), $2::bigint >= 1)";
            one(client, DOING, sql, &[&table, &max]).await?;
        }
        client.batch_execute("COMMIT").await.map_err(error::statement(DOING))?;
        // The session's settings were the transaction's: the connection is as good as any other.
        drop(self.client.take());
        Ok(())
    }
}
