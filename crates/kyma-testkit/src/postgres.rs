//! A throw-away PostgreSQL, one fresh database per test.
//!
//! 1. The first test of a run starts a server in a temporary directory and migrates a template database. A run is a
//!    nextest run (`NEXTEST_RUN_ID`), whose processes share the server, or else this process.
//! 2. Each [`database`] is a copy of the template, dropped with its handle.
//! 3. A watchdog, a small shell process, waits until the run's process is gone, then stops the server and removes the
//!    directory: also after a panic, a kill or Ctrl-C.
//!
//! `KYMA_TEST_DATABASE_URL` names a running server instead (its user must be allowed to create databases), and
//! `KYMA_TEST_CONTAINERS=1` starts one in a container. A server that cannot be had fails the test.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use kyma_catalog_postgres::local::{Options, Server};
use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
use tokio_postgres::NoTls;
use url::Url;
use uuid::Uuid;

use crate::watchdog;

/// Names a running server to use instead of a private one.
pub const URL_VARIABLE: &str = "KYMA_TEST_DATABASE_URL";
const TEMPLATE: &str = "kyma_template";
/// Version of the image for `KYMA_TEST_CONTAINERS`.
const IMAGE_TAG: &str = "16-alpine";

/// A database of one test. Dropping it drops the database.
#[derive(Debug)]
pub struct TestDatabase {
    /// Its URL, for `PostgresCatalog::connect`.
    pub url: String,
    admin_url: String,
    name: String,
}

/// A fresh database with the catalog's tables.
pub async fn database() -> TestDatabase {
    fresh(true).await.expect("a throw-away PostgreSQL: install PostgreSQL 15 or newer, or set KYMA_TEST_DATABASE_URL")
}

/// A fresh database with nothing in it.
pub async fn empty_database() -> TestDatabase {
    fresh(false).await.expect("a throw-away PostgreSQL: install PostgreSQL 15 or newer, or set KYMA_TEST_DATABASE_URL")
}

/// A migrated catalog on a fresh database, with small settings.
pub async fn catalog() -> (std::sync::Arc<PostgresCatalog>, TestDatabase) {
    let database = database().await;
    let catalog =
        PostgresCatalog::connect(&database.url, &CatalogSettings::default()).await.expect("the test database answers");
    (catalog, database)
}

impl TestDatabase {
    /// Runs a statement on the database, behind the catalog's back.
    pub async fn execute(&self, sql: &str) {
        execute(&self.url, sql).await.expect("a statement of a test");
    }

    /// The rows of a statement, as text, behind the catalog's back.
    pub async fn query(&self, sql: &str) -> Vec<Vec<String>> {
        query(&self.url, sql).await.expect("a statement of a test")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (admin_url, name) = (self.admin_url.clone(), self.name.clone());
        // A thread with a runtime of its own: the test's may be ending.
        let dropping = std::thread::spawn(move || {
            block_on(execute(&admin_url, &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")))
        });
        let _ = dropping.join();
    }
}

/// A server that is there for the whole run.
#[derive(Debug, Clone)]
struct Shared {
    admin_url: String,
    has_template: bool,
}

async fn fresh(migrated: bool) -> Result<TestDatabase> {
    let shared = tokio::task::spawn_blocking(shared).await??;
    let name = format!("test_{}", Uuid::now_v7().simple());
    let template = if migrated && shared.has_template { TEMPLATE } else { "template0" };
    execute(&shared.admin_url, &format!("CREATE DATABASE \"{name}\" TEMPLATE {template}")).await?;
    let url = with_database(&shared.admin_url, &name)?;
    let database = TestDatabase { url, admin_url: shared.admin_url, name };
    if migrated && !shared.has_template {
        migrate(&database.url).await?;
    }
    Ok(database)
}

fn shared() -> Result<Shared> {
    static SHARED: OnceLock<Result<Shared, String>> = OnceLock::new();
    let started = SHARED.get_or_init(|| start_or_join().map_err(|error| format!("{error:#}")));
    started.clone().map_err(|error| anyhow!(error))
}

fn start_or_join() -> Result<Shared> {
    if let Ok(admin_url) = std::env::var(URL_VARIABLE) {
        return Ok(Shared { admin_url, has_template: false });
    }
    let run = watchdog::Run::current();
    let directory = std::env::temp_dir().join(format!("kyma-test-{}", run.name));
    std::fs::create_dir_all(&directory).context("make a temporary directory")?;
    open_to_server_user(&directory)?;
    let _lock = lock(&directory.join("start.lock"))?;
    let note = directory.join("url");
    if let Ok(admin_url) = std::fs::read_to_string(&note) {
        return Ok(Shared { admin_url, has_template: true });
    }
    let admin_url = if crate::use_containers() { block_on(start_container(&run))? } else { start(&directory, &run)? };
    block_on(make_template(&admin_url))?;
    write(&note, &admin_url)?;
    Ok(Shared { admin_url, has_template: true })
}

fn start(directory: &Path, run: &watchdog::Run) -> Result<String> {
    let data = directory.join("postgres");
    // Before the start: an interrupted one is cleaned up, too.
    watchdog::stop_postgres(run, directory, &data)?;
    let server = block_on(Server::start(Options::throw_away(&data))).map_err(explain)?;
    let admin_url = server.url_of("postgres");
    // The server outlives this process under nextest; the watchdog ends it.
    std::mem::forget(server);
    Ok(admin_url)
}

async fn start_container(run: &watchdog::Run) -> Result<String> {
    use testcontainers_modules::testcontainers::{ImageExt, runners::AsyncRunner};
    let container = testcontainers_modules::postgres::Postgres::default().with_tag(IMAGE_TAG).start().await?;
    let (host, port) = (container.get_host().await?, container.get_host_port_ipv4(5432).await?);
    watchdog::remove_container(run, container.id())?;
    std::mem::forget(container);
    Ok(format!("postgres://postgres:postgres@{host}:{port}/postgres"))
}

async fn make_template(admin_url: &str) -> Result<()> {
    execute(admin_url, &format!("CREATE DATABASE {TEMPLATE} TEMPLATE template0")).await?;
    migrate(&with_database(admin_url, TEMPLATE)?).await
}

async fn migrate(url: &str) -> Result<()> {
    let catalog = PostgresCatalog::connect(url, &CatalogSettings::default()).await.map_err(explain)?;
    catalog.migrate().await.map_err(explain)
}

fn explain(error: kyma_core::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}

async fn execute(url: &str, sql: &str) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connect to the test server")?;
    tokio::select! {
        done = client.batch_execute(sql) => done.with_context(|| sql.to_owned()),
        closed = connection => Err(anyhow!("the test server closed the connection: {closed:?}")),
    }
}

async fn query(url: &str, sql: &str) -> Result<Vec<Vec<String>>> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connect to the test server")?;
    let messages = tokio::select! {
        messages = client.simple_query(sql) => messages.with_context(|| sql.to_owned())?,
        closed = connection => return Err(anyhow!("the test server closed the connection: {closed:?}")),
    };
    let text = |row: tokio_postgres::SimpleQueryRow| {
        (0..row.len()).map(|place| row.get(place).unwrap_or_default().to_owned()).collect()
    };
    let rows = messages.into_iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(text(row)),
        _ => None,
    });
    Ok(rows.collect())
}

fn with_database(url: &str, name: &str) -> Result<String> {
    let mut url = Url::parse(url)?;
    url.set_path(&format!("/{name}"));
    Ok(url.into())
}

/// Runs a future to its end on a blocking thread.
fn block_on<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let on_its_own = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a small runtime").block_on(work)
    };
    std::thread::scope(|scope| scope.spawn(on_its_own).join().expect("the helper thread ends"))
}

/// Root's server runs as another user, who must be able to enter the directory.
fn open_to_server_user(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o711))?)
}

#[allow(clippy::disallowed_methods)] // Files of a test run.
fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.lock()?;
    Ok(file)
}

#[allow(clippy::disallowed_methods)] // Files of a test run.
fn write(path: &PathBuf, text: &str) -> Result<()> {
    Ok(std::fs::write(path, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn databases_are_apart_and_migrated() {
        let (one, other) = (database().await, database().await);
        assert_ne!(one.url, other.url);
        execute(&one.url, "CREATE TABLE mine ()").await.unwrap();
        execute(&other.url, "SELECT id FROM catalog").await.unwrap();
        execute(&other.url, "SELECT * FROM mine").await.unwrap_err();
    }
}
