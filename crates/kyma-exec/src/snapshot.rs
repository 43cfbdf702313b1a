//! What exists, as of one query: databases, tables and stored functions, and one pinned sequence per database.
//!
//! 1. One small statement pins every database and tells, for those this node knows, which tables' extents changed since it
//!    last asked.
//! 2. Tables, functions and caching policies are kept by their database's schema version and read after the pin: a schema is
//!    never older than the extents it reads, and a table or column that was there before the query began is seen by it.
//! 3. The first query of a database on this node pins twice: only then it is known whose changes to ask for. What is kept of
//!    a database is never taken back, so that an answer always continues it; databases beyond the limit are asked in full.
//! 4. A query as of earlier pins like any other; then each database's sequence is put back, and its tables are those that this
//!    sequence sees, with the columns and functions of now. It must be complete when the query begins, and is asked for again
//!    after every list of extents ([`check_complete`]): what garbage collection takes meanwhile ends the query.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyma_core::catalog::{Catalog, DatabasePin, Policy, StoredFunction, Table, TableChange};
use kyma_core::extent::Extent;
use kyma_core::ids::{DatabaseId, Sequence, TableId};
use kyma_core::policy::{self, CACHING, CachingPolicy};
use kyma_core::{Error, Result, Schema, Value};
use kyma_plan::{SchemaSource, TableSchema};
use kyma_storage::Warmth;
use parking_lot::Mutex;

use crate::manifest::{TOO_OLD_HINT, check_complete};
use crate::request::AsOf;
use crate::scan::footers::shared_error;

/// How many databases' tables are kept, and for how many of them changes are.
const CACHED_DATABASES_MAX: usize = 64;

/// The latest change of every table of a database that ever had extents.
pub type Changes = BTreeMap<TableId, TableChange>;

/// One database of a snapshot.
#[derive(Debug, Clone)]
pub struct PinnedDatabase {
    /// Its identity.
    pub id: DatabaseId,
    /// The sequence that is read.
    pub sequence: Sequence,
    /// Its tables by name.
    pub tables: Arc<BTreeMap<String, Table>>,
    /// Its stored functions by name.
    pub functions: Arc<BTreeMap<String, StoredFunction>>,
    /// How young data of each table is hot, in nanoseconds; those without a caching policy have no entry.
    pub hot: Arc<BTreeMap<TableId, i64>>,
    /// What changed, as of the pinned sequence or later.
    pub changes: Arc<Changes>,
}

/// The tables there are, and the sequence each database is read at.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Databases that are loaded, by name.
    pub databases: BTreeMap<String, PinnedDatabase>,
    /// Names of all databases.
    pub names: Vec<String>,
    /// A table that is not stored.
    pub given: Option<GivenTable>,
    /// Whether some database is read as of earlier.
    pub is_past: bool,
}

/// Rows that a query reads instead of stored ones, by a name that no stored table has.
#[derive(Debug, Clone)]
pub struct GivenTable {
    /// How the query names it.
    pub name: String,
    /// Its columns.
    pub schema: Schema,
    /// Its rows.
    pub rows: Vec<Vec<Value>>,
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

impl Snapshot {
    /// How near an extent's bytes are to be kept: hot as long as its latest event is.
    pub fn warmth(&self, extent: &Extent, now: i64) -> Warmth {
        let hot = self.databases.values().find_map(|pinned| pinned.hot.get(&extent.table));
        warmth(hot.copied(), extent.time.end, now)
    }

    fn given(&self, name: &str) -> Option<&GivenTable> {
        self.given.as_ref().filter(|given| given.name == name)
    }

    /// Bodies of the stored functions that may be called by these texts, and by each other.
    fn bodies(&self, texts: &[String]) -> Vec<String> {
        let all = self.databases.values().flat_map(|pinned| pinned.functions.values());
        let (mut called, mut others): (Vec<_>, Vec<_>) =
            all.partition(|function| texts.iter().any(|text| text.contains(&function.name)));
        let mut seen = 0;
        while let Some(function) = called.get(seen).copied() {
            let (more, rest) = others.into_iter().partition(|other| function.body.contains(&other.name));
            called.extend::<Vec<_>>(more);
            others = rest;
            seen += 1;
        }
        called.into_iter().map(|function| function.body.clone()).collect()
    }

    /// The latest change of a table's extents; `None` when it never had any.
    pub fn change(&self, table: &Table) -> Option<TableChange> {
        self.databases.get(&table.database_name)?.changes.get(&table.id).copied()
    }
}

impl SchemaSource for Snapshot {
    fn table(&self, database: &str, name: &str) -> Option<TableSchema> {
        if let Some(given) = self.given(name) {
            let (database, name, schema) = (database.to_owned(), name.to_owned(), given.schema.clone());
            return Some(TableSchema { database, name, schema, time_column: String::new() });
        }
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

    fn sequence(&self, database: &str) -> Option<Sequence> {
        self.databases.get(database).map(|pinned| pinned.sequence)
    }

    fn rows(&self, _database: &str, name: &str) -> Option<Vec<Vec<Value>>> {
        self.given(name).map(|given| given.rows.clone())
    }

    fn function(&self, database: &str, name: &str) -> Option<StoredFunction> {
        self.databases.get(database)?.functions.get(name).cloned()
    }

    fn functions(&self, database: &str) -> Vec<String> {
        self.databases.get(database).map_or_else(Vec::new, |pinned| pinned.functions.keys().cloned().collect())
    }
}

/// Reads snapshots from the catalog.
#[derive(Debug)]
pub struct Snapshots {
    catalog: Arc<dyn Catalog>,
    known: Mutex<BTreeMap<DatabaseId, Known>>,
    schemas: moka::future::Cache<(DatabaseId, i64), Schemas>,
}

/// Tables and stored functions of a database, by name.
#[derive(Debug, Clone)]
struct Schemas {
    tables: Arc<BTreeMap<String, Table>>,
    functions: Arc<BTreeMap<String, StoredFunction>>,
    hot: Arc<BTreeMap<TableId, i64>>,
}

/// What this node knows of a database's changes: all of them up to a sequence, and some later ones.
#[derive(Debug, Clone)]
struct Known {
    to: Sequence,
    changes: Arc<Changes>,
}

impl Default for Known {
    /// Nothing changed before the first sequence.
    fn default() -> Self {
        Known { to: Sequence(0), changes: Arc::default() }
    }
}

impl Snapshots {
    /// Over `catalog`.
    pub fn new(catalog: Arc<dyn Catalog>) -> Self {
        let schemas = moka::future::Cache::new(CACHED_DATABASES_MAX as u64);
        Snapshots { catalog, known: Mutex::default(), schemas }
    }

    /// Pins `database`, and every other database whose name occurs in `text` or in a stored function that it may call. A
    /// database that does not exist has no tables: clients name one also for questions that need none.
    pub async fn take(&self, database: &str, text: &str) -> Result<Snapshot> {
        let mut texts = vec![text.to_owned()];
        loop {
            let snapshot = self.take_named(database, &texts).await?;
            let bodies = snapshot.bodies(&texts);
            let is_missing = |name: &&String| !snapshot.databases.contains_key(*name);
            let missing = snapshot.names.iter().filter(is_missing);
            if !missing.into_iter().any(|name| bodies.iter().any(|body| body.contains(name))) {
                return Ok(snapshot);
            }
            // At least one database more is pinned next time, all of them anew.
            texts.extend(bodies);
        }
    }

    /// Pins like [`Snapshots::take`], as of earlier.
    ///
    /// # Errors
    /// `Invalid` with code `query.as_of_ahead` for what has not come yet, `NotFound` with code `query.as_of_too_old` for
    /// what is not complete any more.
    pub async fn take_as_of(&self, database: &str, text: &str, as_of: AsOf) -> Result<Snapshot> {
        let mut snapshot = self.take(database, text).await?;
        for (name, pinned) in &mut snapshot.databases {
            let at = match as_of {
                AsOf::Sequence(sequence) if name == database => Sequence(sequence),
                AsOf::Sequence(_) => continue,
                AsOf::Time(time) => self.catalog.sequence_at(pinned.id, time).await.map_err(of_time)?,
            };
            if at > pinned.sequence {
                return Err(not_yet(at, pinned.sequence));
            }
            check_complete(&*self.catalog, pinned.id, at).await?;
            let tables = self.catalog.tables_at(pinned.id, at).await?;
            pinned.tables = Arc::new(tables.into_iter().map(|table| (table.name.clone(), table)).collect());
            pinned.sequence = at;
        }
        snapshot.is_past = true;
        Ok(snapshot)
    }

    async fn take_named(&self, database: &str, texts: &[String]) -> Result<Snapshot> {
        let is_named = |name: &String| name == database || texts.iter().any(|text| text.contains(name));
        let is_wanted = |pin: &&DatabasePin| is_named(&pin.database.name);
        let mut asked = self.known();
        let mut pins = self.catalog.pins(&asked).await?;
        let wanted: Vec<DatabaseId> = pins.iter().filter(is_wanted).map(|pin| pin.database.id).collect();
        if wanted.iter().any(|id| !asked.contains_key(id)) {
            let unasked: Vec<DatabaseId> = wanted.iter().filter(|id| !asked.contains_key(id)).copied().collect();
            asked.extend(unasked.into_iter().map(|id| (id, Sequence(0))));
            pins = self.catalog.pins(&asked).await?;
        }
        let names = pins.iter().map(|pin| pin.database.name.clone()).collect();
        let mut snapshot = Snapshot { names, ..Snapshot::default() };
        for pin in pins.into_iter().filter(|pin| wanted.contains(&pin.database.id)) {
            snapshot.databases.insert(pin.database.name.clone(), self.pinned(pin).await?);
        }
        Ok(snapshot)
    }

    /// Up to where each database is known.
    fn known(&self) -> BTreeMap<DatabaseId, Sequence> {
        self.known.lock().iter().map(|(id, known)| (*id, known.to)).collect()
    }

    async fn pinned(&self, pin: DatabasePin) -> Result<PinnedDatabase> {
        let DatabasePin { database, sequence, schema_version, changed } = pin;
        let changes = self.note(database.id, sequence, changed);
        let read = async {
            let tables = self.catalog.tables(database.id).await?;
            let functions = self.catalog.functions(database.id).await?;
            let policies = self.catalog.policies(database.id).await?;
            Ok::<_, Error>(Schemas {
                hot: Arc::new(hot(&tables.iter().map(|table| table.id).collect::<Vec<_>>(), &policies)),
                tables: Arc::new(tables.into_iter().map(|table| (table.name.clone(), table)).collect()),
                functions: Arc::new(functions.into_iter().map(|it| (it.name.clone(), it)).collect()),
            })
        };
        let Schemas { tables, functions, hot } =
            self.schemas.try_get_with((database.id, schema_version), read).await.map_err(shared_error)?;
        Ok(PinnedDatabase { id: database.id, sequence, tables, functions, hot, changes })
    }

    /// Adds what a pin told. It told all since what was known then, and what is known is never taken back. Answers of
    /// concurrent pins arrive in any order: the latest change of a table counts.
    fn note(&self, database: DatabaseId, to: Sequence, changed: Vec<TableChange>) -> Arc<Changes> {
        let mut all = self.known.lock();
        let mut untracked = Known::default();
        let known = match all.len() < CACHED_DATABASES_MAX || all.contains_key(&database) {
            true => all.entry(database).or_default(),
            false => &mut untracked,
        };
        known.to = known.to.max(to);
        if !changed.is_empty() {
            let changes = Arc::make_mut(&mut known.changes);
            for change in changed {
                let latest = changes.entry(change.table).or_insert(change);
                if latest.sequence < change.sequence {
                    *latest = change;
                }
            }
        }
        Arc::clone(&known.changes)
    }
}

/// How young data of each table is hot: as its policy says, or its database's. One that is not understood is none.
fn hot(tables: &[TableId], policies: &[Policy]) -> BTreeMap<TableId, i64> {
    let span = |of: Option<TableId>| {
        let read = CachingPolicy::parse(&policy::of(policies, CACHING, of)?.json);
        read.inspect_err(
            |error| tracing::warn!(table = ?of, error = %error.chain(), "a caching policy is not followed"),
        )
        .ok()
        .map(|policy| policy.hot)
    };
    let of_database = span(None);
    tables.iter().filter_map(|table| Some((*table, span(Some(*table)).or(of_database)?))).collect()
}

fn warmth(hot: Option<i64>, latest: i64, now: i64) -> Warmth {
    match hot {
        None => Warmth::ByUse,
        Some(hot) if latest >= now.saturating_sub(hot) => Warmth::Hot,
        Some(_) => Warmth::Cold,
    }
}

/// An error of a time, in the words of a query.
fn of_time(error: Error) -> Error {
    let code = match error.code() {
        "catalog.time_ahead" => "query.as_of_ahead",
        "catalog.time_forgotten" => "query.as_of_too_old",
        _ => return error,
    };
    let said = Error::new(error.kind(), code, error.message().to_owned());
    said.hint(error.hint_text().unwrap_or(TOO_OLD_HINT).to_owned())
}

fn not_yet(at: Sequence, latest: Sequence) -> Error {
    let message = format!("the sequence has not come yet: sequence={at}, latest={latest}");
    Error::invalid("query.as_of_ahead", message)
}

fn unknown_database(name: &str) -> Error {
    Error::not_found("query.unknown_database", format!("database does not exist: {name}"))
        .hint("a database is created by its first write")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kyma_core::time::DAY;

    #[test]
    fn a_policy_says_how_young_is_hot_and_a_table_speaks_before_its_database() {
        let database = DatabaseId(1);
        let policy = |table: Option<TableId>, json: &str| Policy {
            database,
            table,
            kind: CACHING.to_owned(),
            json: json.to_owned(),
        };
        let days = |days: i64| format!(r#"{{"DataHotSpan":"{days}.00:00:00"}}"#);
        let one = Some(TableId(1));
        let spans = |policies: &[Policy]| {
            let found = hot(&[TableId(1), TableId(2)], policies);
            [found.get(&TableId(1)).copied(), found.get(&TableId(2)).copied()]
        };
        assert_eq!(spans(&[]), [None, None]);
        assert_eq!(spans(&[policy(None, &days(7))]), [Some(7 * DAY); 2]);
        assert_eq!(spans(&[policy(one, &days(3)), policy(None, &days(7))]), [Some(3 * DAY), Some(7 * DAY)]);
        assert_eq!(spans(&[policy(one, "{}")]), [None, None], "not understood");
        let other = Policy { kind: "retention".to_owned(), ..policy(None, &days(7)) };
        assert_eq!(spans(&[other]), [None, None]);
    }

    #[test]
    fn data_is_hot_until_its_latest_event_is_too_old() {
        for (hot, end, wanted) in [
            (None, 0, Warmth::ByUse),
            (Some(10), 90, Warmth::Hot),
            (Some(10), 89, Warmth::Cold),
            (Some(0), 100, Warmth::Hot),
            (Some(10), i64::MAX, Warmth::Hot),
            (Some(i64::MAX), i64::MIN + 1_000, Warmth::Hot),
        ] {
            assert_eq!(warmth(hot, end, 100), wanted, "{hot:?} {end}");
        }
    }
}
