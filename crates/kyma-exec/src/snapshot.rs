//! What exists, as of one query: databases and tables, and one pinned sequence per database.
//!
//! 1. The sequence is pinned first, the tables are read after: a schema is never older than the extents it reads.
//! 2. Tables are kept per (database, sequence) for a moment, so that a dashboard's queries share one read. A frontend
//!    that misses a name makes the engine read afresh once.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyma_core::catalog::{Catalog, Table};
use kyma_core::ids::{DatabaseId, Sequence};
use kyma_core::{Error, Result};
use kyma_plan::{SchemaSource, TableSchema};

/// How many databases' tables are kept.
const CACHED_DATABASES_MAX: u64 = 64;
/// How long they are kept, in milliseconds: new tables of other nodes show up this late at most, and at once where missed.
const CACHED_MILLIS: u64 = 1_000;

/// One database of a snapshot.
#[derive(Debug, Clone)]
pub struct PinnedDatabase {
    /// Its identity.
    pub id: DatabaseId,
    /// The sequence that is read.
    pub sequence: Sequence,
    /// Its tables by name.
    pub tables: Arc<BTreeMap<String, Table>>,
}

/// The tables there are, and the sequence each database is read at.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Databases that are loaded, by name.
    pub databases: BTreeMap<String, PinnedDatabase>,
    /// Names of all databases.
    pub names: Vec<String>,
}

impl Snapshot {
    /// The table and its database's sequence.
    pub fn find(&self, database: &str, table: &str) -> Result<(Table, Sequence)> {
        let pinned = self.databases.get(database).ok_or_else(|| unknown_database(database))?;
        let found = pinned.tables.get(table).cloned();
        let missing = || Error::not_found("query.unknown_table", format!("table does not exist: {database}.{table}"));
        Ok((found.ok_or_else(missing)?, pinned.sequence))
    }
}

impl SchemaSource for Snapshot {
    fn table(&self, database: &str, name: &str) -> Option<TableSchema> {
        let table = self.databases.get(database)?.tables.get(name)?;
        Some(TableSchema {
            database: database.to_owned(),
            name: name.to_owned(),
            schema: table.schema.clone(),
            time_column: table.time_column.clone(),
        })
    }

    fn tables(&self, database: &str) -> Vec<String> {
        self.databases.get(database).map_or_else(Vec::new, |pinned| pinned.tables.keys().cloned().collect())
    }

    fn databases(&self) -> Vec<String> {
        self.names.clone()
    }
}

/// Reads snapshots from the catalog.
#[derive(Debug)]
pub struct Snapshots {
    catalog: Arc<dyn Catalog>,
    cache: moka::sync::Cache<(DatabaseId, Sequence), Arc<BTreeMap<String, Table>>>,
}

impl Snapshots {
    /// Over `catalog`.
    pub fn new(catalog: Arc<dyn Catalog>) -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity(CACHED_DATABASES_MAX)
            .time_to_live(std::time::Duration::from_millis(CACHED_MILLIS))
            .build();
        Snapshots { catalog, cache }
    }

    /// Pins `database`, and every other database whose name occurs in `text`. A database that does not exist has no tables:
    /// clients name one also for questions that need none.
    pub async fn take(&self, database: &str, text: &str, fresh: bool) -> Result<Snapshot> {
        let all = self.catalog.databases().await?;
        let mut snapshot = Snapshot { names: all.iter().map(|one| one.name.clone()).collect(), ..Default::default() };
        for one in all.iter().filter(|one| one.name == database || text.contains(&one.name)) {
            let sequence = self.catalog.pin(one.id).await?;
            let tables = self.tables(one.id, sequence, fresh).await?;
            snapshot.databases.insert(one.name.clone(), PinnedDatabase { id: one.id, sequence, tables });
        }
        Ok(snapshot)
    }

    async fn tables(&self, id: DatabaseId, at: Sequence, fresh: bool) -> Result<Arc<BTreeMap<String, Table>>> {
        if let (false, Some(found)) = (fresh, self.cache.get(&(id, at))) {
            return Ok(found);
        }
        let tables = self.catalog.tables(id).await?;
        let by_name: BTreeMap<_, _> = tables.into_iter().map(|table| (table.name.clone(), table)).collect();
        let by_name = Arc::new(by_name);
        self.cache.insert((id, at), Arc::clone(&by_name));
        Ok(by_name)
    }
}

fn unknown_database(name: &str) -> Error {
    Error::not_found("query.unknown_database", format!("database does not exist: {name}"))
        .hint("a database is created by its first write")
}
