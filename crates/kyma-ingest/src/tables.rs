//! What a node knows of databases and tables, and how tables are made and grow.
//!
//! Growth is a catalog transaction of its own, before any row is encoded: it is idempotent and concurrent calls agree on
//! one answer, so rows are built against types that are final (they only ever widen) and are never encoded twice
//! because a schema moved. A crash after it leaves columns without values, which read null.
//!
//! Knowledge is trusted for `table_age_max`. A table dropped meanwhile is noticed by the commit at the latest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kyma_core::catalog::{Catalog, Database, NewTable, Table};
use kyma_core::failpoint::{self, Point};
use kyma_core::{Column, Error, Result};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// Names of databases and tables to what the catalog said of them.
#[derive(Debug)]
pub(crate) struct Tables {
    catalog: Arc<dyn Catalog>,
    age_max: Duration,
    timeout: Duration,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    databases: HashMap<String, Database>,
    tables: HashMap<(String, String), (Arc<Table>, Instant)>,
}

/// Names remembered before all are forgotten; they come from users.
const KNOWN_MAX: usize = 100_000;

impl Tables {
    pub(crate) fn new(catalog: Arc<dyn Catalog>, age_max: Duration, timeout: Duration) -> Self {
        Tables { catalog, age_max, timeout, known: Mutex::default() }
    }

    /// The database, if it exists.
    pub(crate) async fn database(&self, name: &str) -> Result<Option<Database>> {
        if let Some(known) = self.known.lock().databases.get(name) {
            return Ok(Some(known.clone()));
        }
        let found = self.bounded(self.catalog.database(name)).await?;
        Ok(found.inspect(|database| self.remember_database(database)))
    }

    /// The database, made if need be.
    pub(crate) async fn ensure_database(&self, name: &str) -> Result<Database> {
        if let Some(known) = self.database(name).await? {
            return Ok(known);
        }
        let made = self.bounded(self.catalog.ensure_database(name)).await?;
        self.remember_database(&made);
        Ok(made)
    }

    /// The table, if it exists, no older than `table_age_max`.
    pub(crate) async fn table(&self, database: &str, name: &str) -> Result<Option<Arc<Table>>> {
        let key = (database.to_owned(), name.to_owned());
        if let Some((table, since)) = self.known.lock().tables.get(&key)
            && since.elapsed() < self.age_max
        {
            return Ok(Some(Arc::clone(table)));
        }
        self.refresh(database, name).await
    }

    /// The table as the catalog has it now.
    pub(crate) async fn refresh(&self, database: &str, name: &str) -> Result<Option<Arc<Table>>> {
        let Some(owner) = self.database(database).await? else { return Ok(None) };
        match self.bounded(self.catalog.table(owner.id, name)).await? {
            Some(table) => Ok(Some(self.remember(table))),
            None => {
                self.forget(database, name);
                Ok(None)
            }
        }
    }

    /// The table, made as `new` unless it exists.
    pub(crate) async fn ensure(&self, database: &str, name: &str, new: &NewTable) -> Result<Arc<Table>> {
        let owner = self.ensure_database(database).await?;
        let table = self.bounded(self.catalog.ensure_table(owner.id, name, new)).await?;
        failpoint::reach(Point::IngestTableMade)?;
        Ok(self.remember(table))
    }

    /// The table with more or wider columns, as far as the catalog allows them.
    pub(crate) async fn grow(&self, table: &Table, columns: &[Column]) -> Result<Arc<Table>> {
        let grown = self.bounded(self.catalog.grow_table(table.id, columns)).await?;
        failpoint::reach(Point::IngestTableMade)?;
        Ok(self.remember(grown))
    }

    /// Forgets a table, so that the next look asks the catalog.
    pub(crate) fn forget(&self, database: &str, name: &str) {
        self.known.lock().tables.remove(&(database.to_owned(), name.to_owned()));
    }

    fn remember_database(&self, database: &Database) {
        let mut known = self.known.lock();
        if known.databases.len() >= KNOWN_MAX {
            known.databases.clear();
        }
        known.databases.insert(database.name.clone(), database.clone());
    }

    /// Keeps the newer of two versions: answers may overtake each other.
    fn remember(&self, table: Table) -> Arc<Table> {
        let mut known = self.known.lock();
        if known.tables.len() >= KNOWN_MAX {
            known.tables.clear();
        }
        let key = (table.database_name.clone(), table.name.clone());
        if let Some((older, since)) = known.tables.get_mut(&key)
            && older.id == table.id
            && older.schema_version >= table.schema_version
        {
            *since = Instant::now();
            return Arc::clone(older);
        }
        let table = Arc::new(table);
        known.tables.insert(key, (Arc::clone(&table), Instant::now()));
        table
    }

    /// A catalog call that ends in time.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.timeout, call).await.unwrap_or_else(|_elapsed| Err(catalog_silent()))
    }
}

/// The error of a catalog that does not answer in time.
pub(crate) fn catalog_silent() -> Error {
    Error::unavailable("catalog.unavailable", "the catalog does not answer in time")
        .hint("check that PostgreSQL is up and reachable; the write may be retried")
}
