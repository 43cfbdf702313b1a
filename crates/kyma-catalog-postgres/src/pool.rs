//! Connections: made on demand, checked before use, given up after a bounded time.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use kyma_core::catalog::Catalog;
use kyma_core::{Error, Result};
use prometheus_client::registry::Registry;
use rand::Rng;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls, Row};

use crate::error;
use crate::metrics::Metrics;
use crate::settings::CatalogSettings;

/// The oldest PostgreSQL that kyma is tested on, as `server_version_num` says it.
const SERVER_VERSION_MIN: i32 = 150_000;
/// How often an operation is tried that PostgreSQL ends in favour of others: some two seconds in all.
const CONTENDED_ATTEMPTS_MAX: u32 = 10;
/// First pause between these; it doubles each time.
const CONTENDED_BACKOFF_FIRST: Duration = Duration::from_millis(10);
/// Longest pause between these.
const CONTENDED_BACKOFF_MAX: Duration = Duration::from_millis(500);
/// How long a node that hangs in a transaction keeps its locks.
const IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(10);

/// Runs statements in one transaction and commits it, within the operation timeout: again while PostgreSQL ends it in favour of
/// others. An error rolls it back. (A closure that is given the transaction cannot say that its future may be sent.)
macro_rules! transact {
    ($catalog:expr, $doing:expr, |$transaction:ident| $work:expr) => {{
        let (catalog, doing): (&$crate::PostgresCatalog, &'static str) = ($catalog, $doing);
        let once = || async {
            let mut client = catalog.client().await?;
            let transaction = client.transaction().await.map_err($crate::error::statement(doing))?;
            let $transaction = &transaction;
            let worked: kyma_core::Result<_> = async { $work }.await;
            let done = worked?;
            transaction.commit().await.map_err($crate::error::statement(doing))?;
            Ok(done)
        };
        catalog.retrying(|| catalog.bounded(doing, once())).await
    }};
}
pub(crate) use transact;

/// The catalog on PostgreSQL. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct PostgresCatalog {
    pub(crate) pool: Pool,
    pub(crate) settings: CatalogSettings,
    metrics: Metrics,
    url: Arc<str>,
    /// Host, port and database: what may be printed.
    place: Arc<str>,
}

impl fmt::Debug for PostgresCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresCatalog").field("place", &self.place).finish_non_exhaustive()
    }
}

impl PostgresCatalog {
    /// Connects to `postgres://user@host:port/database` or `postgres:///database?host=/socket/directory&user=name`.
    ///
    /// Fails when nothing answers within the connect timeout, and when the server is older than PostgreSQL 15. Does not
    /// migrate: see [`PostgresCatalog::migrate`].
    pub async fn connect(url: &str, settings: &CatalogSettings) -> Result<Arc<PostgresCatalog>> {
        let config = client_config(url, settings)?;
        let place = format!("{:?}:{:?}/{}", config.get_hosts(), config.get_ports(), config.get_dbname().unwrap_or(""));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let pool = Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(settings.connections_max.max(1))
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(settings.connect_timeout()))
            .recycle_timeout(Some(settings.connect_timeout()))
            .wait_timeout(Some(settings.statement_timeout()))
            .build()
            .map_err(|error| Error::internal("the connection pool cannot be built").because(error))?;
        let (settings, metrics) = (settings.clone(), Metrics::new());
        let catalog = PostgresCatalog { pool, settings, metrics, url: url.into(), place: place.into() };
        catalog.check_version().await?;
        Ok(Arc::new(catalog))
    }

    /// Creates or upgrades the catalog's tables. Safe to call from many nodes at once; does nothing when up to date.
    pub async fn migrate(&self) -> Result<()> {
        crate::migrate::run(&self.url, &self.settings).await
    }

    /// Adds what the catalog counts to `registry`, as `kyma_catalog_*`.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry, &self.pool);
    }

    async fn check_version(&self) -> Result<()> {
        let version: i32 = self
            .bounded("connect", async {
                let client = self.client().await?;
                let row = one(&client, "connect", "SELECT current_setting('server_version_num')::int", &[]).await?;
                get(&row, 0)
            })
            .await?;
        if version >= SERVER_VERSION_MIN {
            return Ok(());
        }
        Err(Error::invalid("catalog.server_too_old", format!("the catalog's PostgreSQL is too old: version={version}"))
            .hint("use PostgreSQL 15 or newer"))
    }

    pub(crate) async fn client(&self) -> Result<Object> {
        let began = Instant::now();
        let client = self.pool.get().await.map_err(error::of_pool);
        self.metrics.waited(began.elapsed());
        client
    }

    /// Runs an operation within the operation timeout. A connection that is dropped in the middle is checked before
    /// anyone uses it again.
    pub(crate) async fn bounded<T>(&self, doing: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let began = Instant::now();
        let result = match tokio::time::timeout(self.settings.operation_timeout(), work).await {
            Ok(result) => result,
            Err(_) => Err(error::timed_out(doing)),
        };
        self.metrics.ended(began.elapsed(), &result);
        result
    }

    /// Runs an operation again, after pauses that grow, while PostgreSQL ends its transactions in favour of others.
    ///
    /// A connection that takes no writes may be one to a server that lost its role: it is not kept.
    pub(crate) async fn retrying<T, F>(&self, run: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut backoff = CONTENDED_BACKOFF_FIRST;
        for _ in 1..CONTENDED_ATTEMPTS_MAX {
            match run().await {
                Err(error) if error.code() == "catalog.contended" => tokio::time::sleep(jittered(backoff)).await,
                Err(error) if error.code() == "catalog.read_only" => {
                    self.pool.retain(|_, _| false);
                    return Err(error);
                }
                result => return result,
            }
            backoff = (backoff * 2).min(CONTENDED_BACKOFF_MAX);
        }
        run().await
    }

    /// Runs one statement and returns its rows.
    pub(crate) async fn rows(
        &self,
        doing: &'static str,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.retrying(|| self.bounded(doing, async { query(&self.client().await?, doing, sql, params).await })).await
    }

    /// Runs one statement and returns how many rows it changed.
    pub(crate) async fn change(
        &self,
        doing: &'static str,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64> {
        self.retrying(|| self.bounded(doing, async { execute(&self.client().await?, doing, sql, params).await })).await
    }
}

#[async_trait]
impl Catalog for PostgresCatalog {
    async fn ping(&self) -> Result<()> {
        self.rows("ping", "SELECT 1 FROM catalog", &[]).await.map(drop)
    }
}

/// Half of it to all of it, so that those who met once do not meet again.
fn jittered(backoff: Duration) -> Duration {
    backoff.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// The client's configuration: the URL's, with bounded waits on both sides.
///
/// `idle_in_transaction_session_timeout` frees the locks of a node that hangs in the middle of a commit: others wait for
/// them that long, and between two statements of a commit lie no more than milliseconds. A commit that is
/// answered must be on the server's disk, and each statement must see what was committed before it, whatever the
/// server's or the database's own settings are. What the URL says comes last and counts. Sorting is off
/// because a list must walk an index in order and stop at its page: on a table without fresh statistics the planner
/// would rather sort all of it. Plans are generic for the same reason: one plan, whatever the first values are.
fn client_config(url: &str, settings: &CatalogSettings) -> Result<Config> {
    let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        Error::invalid("catalog.url_invalid", "the catalog URL is not understood")
            .hint("write postgres://user:password@host:5432/database or postgres:///database?host=/socket/directory&user=name")
            .because(error)
    })?;
    let millis = settings.statement_timeout().as_millis();
    let idle_millis = settings.statement_timeout().min(IDLE_IN_TRANSACTION_MAX).as_millis();
    let ours = format!(
        "-c statement_timeout={millis} -c lock_timeout={millis} -c idle_in_transaction_session_timeout={idle_millis} \
         -c synchronous_commit=on -c default_transaction_isolation=read\\ committed -c jit=off -c enable_sort=off \
         -c plan_cache_mode=force_generic_plan"
    );
    let options = config.get_options().map_or_else(|| ours.clone(), |theirs| format!("{ours} {theirs}"));
    config.options(options);
    config.connect_timeout(settings.connect_timeout());
    config.tcp_user_timeout(settings.operation_timeout());
    // In whole seconds, at least one: the system refuses less.
    config.keepalives_idle(settings.statement_timeout().max(Duration::from_secs(1)));
    if config.get_application_name().is_none() {
        config.application_name("kyma");
    }
    Ok(config)
}

pub(crate) async fn query(
    client: &impl GenericClient,
    doing: &'static str,
    sql: &'static str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>> {
    let prepared = client.prepare_cached(sql).await.map_err(error::statement(doing))?;
    client.query(&prepared, params).await.map_err(error::statement(doing))
}

pub(crate) async fn one(
    client: &impl GenericClient,
    doing: &'static str,
    sql: &'static str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Row> {
    let rows = query(client, doing, sql, params).await?;
    rows.into_iter().next().ok_or_else(|| Error::internal(format!("a catalog statement gave no row: doing={doing}")))
}

pub(crate) async fn execute(
    client: &impl GenericClient,
    doing: &'static str,
    sql: &'static str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<u64> {
    let prepared = client.prepare_cached(sql).await.map_err(error::statement(doing))?;
    client.execute(&prepared, params).await.map_err(error::statement(doing))
}

/// The value at `place` of a row.
pub(crate) fn get<'row, T: tokio_postgres::types::FromSql<'row>>(row: &'row Row, place: usize) -> Result<T> {
    row.try_get(place).map_err(|error| {
        Error::internal(format!("a catalog row has an unexpected shape: column={place}")).because(error)
    })
}

#[cfg(test)]
mod tests {
    use kyma_testkit::postgres;

    use super::*;

    #[tokio::test]
    async fn a_weak_setting_of_the_server_does_not_weaken_a_commit() {
        let database = postgres::database().await;
        let name = database.url.split('?').next().and_then(|url| url.rsplit('/').next()).unwrap().to_owned();
        for setting in ["synchronous_commit = off", "default_transaction_isolation = 'serializable'"] {
            database.execute(&format!("ALTER DATABASE \"{name}\" SET {setting}")).await;
        }
        let config = client_config(&database.url, &CatalogSettings::default()).unwrap();
        let (client, connection) = config.connect(NoTls).await.unwrap();
        let mut connections = tokio::task::JoinSet::new();
        connections.spawn(connection);
        for (name, value) in [("synchronous_commit", "on"), ("transaction_isolation", "read committed")] {
            let row = client.query_one("SELECT current_setting($1)", &[&name]).await.unwrap();
            assert_eq!(row.get::<_, String>(0), value, "{name}");
        }
    }
}
