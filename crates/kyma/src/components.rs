//! The composition root: the only file that names implementations.
//!
//! A new format or language is one line here. Everything else takes the traits.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog, local};
use kyma_core::NodeId;
use kyma_core::clock::{Clock, SystemClock};
use kyma_core::format::{Formats, SegmentFormat};
use kyma_exec::{Engine, EngineParts};
use kyma_ingest::{IngestParts, Ingester, LocalRouter};
use kyma_plan::QueryFrontend;
use kyma_server::{Node, NodeParts, Role, RunningNode};
use kyma_storage::{Store, StoreSettings};
use kyma_worker::rebuild::{RebuildOptions, RebuildReport, rebuild};
use kyma_worker::verify::Verifier;
use kyma_worker::{Journal, Progress, Worker};
use prometheus_client::registry::Registry;

use crate::config::{Config, Invalid};

pub(crate) use kyma_exec::ExecSettings;
pub(crate) use kyma_ingest::IngestSettings;
pub(crate) use kyma_worker::WorkerSettings;

/// Every format that this process reads. New tables get the one that ingest's settings name.
fn formats() -> Formats {
    let tlm: Arc<dyn SegmentFormat> = Arc::new(kyma_format_tlm::Tlm);
    Formats::new(vec![tlm, Arc::new(kyma_format_parquet::Parquet)])
}

/// Every language that this process speaks.
fn frontends() -> Vec<Arc<dyn QueryFrontend>> {
    vec![Arc::new(kyma_kql::Kql), Arc::new(kyma_sql::Sql)]
}

/// Creates or upgrades the catalog's tables.
pub(crate) async fn migrate(catalog_url: &str) -> anyhow::Result<()> {
    let catalog = connect(catalog_url).await?;
    catalog.migrate().await.context("the catalog cannot be brought up to date")
}

async fn connect(catalog_url: &str) -> anyhow::Result<Arc<PostgresCatalog>> {
    let settings = CatalogSettings::default();
    PostgresCatalog::connect(catalog_url, &settings)
        .await
        .context("the catalog does not answer (is PostgreSQL up, and is catalog_url right?)")
}

async fn open_store(config: &Config) -> anyhow::Result<Arc<Store>> {
    let url = config.required_store_url()?;
    let url = url.parse().map_err(|error| Invalid::new(format!("store_url is not a URL: {url:?}: {error}")))?;
    let settings = StoreSettings {
        options: config.store_options.clone(),
        request_timeout: Duration::from_secs(config.store_seconds.max(1)),
        requests_in_flight_max: config.store_requests_max,
        bytes_in_flight_max: config.store_request_bytes_max,
        hedge_after: Duration::from_millis(config.store_hedge_millis),
        hedge_percent_max: config.store_hedge_percent,
        cache_memory_bytes: config.cache_memory_bytes,
        cache_dir: config.cache_dir.clone(),
        cache_disk_bytes: config.cache_disk_bytes,
        ..StoreSettings::new(url)
    };
    Ok(kyma_storage::open(&settings).await?)
}

/// How queries run; what they spill goes beside the disk cache unless it has a folder of its own.
fn query_settings(config: &Config) -> ExecSettings {
    let beside_cache = || config.cache_dir.as_ref().map(|dir| dir.join("spill"));
    ExecSettings { spill_dir: config.query.spill_dir.clone().or_else(beside_cache), ..config.query.clone() }
}

/// Background work; a node that leaves has its tasks given back before its own time is up.
fn worker_settings(config: &Config) -> WorkerSettings {
    let drain_millis = config.server.drain_seconds.max(1) * 1_000;
    let stop_grace_millis = config.worker.stop_grace_millis.min(drain_millis - drain_millis / 4);
    WorkerSettings { stop_grace_millis, ..config.worker.clone() }
}

/// Puts a node together and starts it.
pub(crate) async fn start_node(config: &Config) -> anyhow::Result<RunningNode> {
    let id = NodeId::generate();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut registry = Registry::default();
    let catalog = connect(config.required_catalog_url()?).await?;
    catalog.register(&mut registry);
    let store = open_store(config).await?;
    store.register(&mut registry);
    let formats = Arc::new(formats());

    let router = Arc::new(LocalRouter::new());
    let ingester = Ingester::new(IngestParts {
        catalog: catalog.clone(),
        store: store.clone(),
        formats: formats.clone(),
        clock: clock.clone(),
        node: id,
        router: router.clone(),
        settings: config.ingest.clone(),
    });
    ingester.register(&mut registry);
    let engine = Engine::new(EngineParts {
        catalog: catalog.clone(),
        store: store.clone(),
        formats: formats.clone(),
        frontends: frontends(),
        clock: clock.clone(),
        settings: query_settings(config),
        registry: &mut registry,
    })?;
    let settings = config.server_settings();
    let worker = settings.has(Role::Worker).then(|| {
        let journal = journal(&catalog, &store, config, &clock);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let rewriter = ingester.rewriter(config.worker.compact.merges(cores));
        let worker = Worker::new(catalog.clone(), store.clone(), worker_settings(config), clock.clone())
            .compacting(rewriter, clock.clone())
            .with(Arc::new(journal))
            .on_node(id);
        worker.register(&mut registry);
        worker
    });
    let parts = NodeParts {
        id,
        catalog,
        store,
        formats,
        default_format: config.ingest.format.clone(),
        engine,
        ingester,
        router,
        worker,
        settings,
        registry,
        clock,
    };
    Ok(Node::start(parts).await?)
}

/// What writes the catalog down in the bucket.
fn journal(catalog: &Arc<PostgresCatalog>, store: &Arc<Store>, config: &Config, clock: &Arc<dyn Clock>) -> Journal {
    Journal::new(catalog.clone(), catalog.clone(), store.clone(), config.worker.journal.clone(), clock.clone())
}

/// What compares the catalog with the bucket.
pub(crate) async fn verifier(config: &Config) -> anyhow::Result<Verifier> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let catalog = connect(config.required_catalog_url()?).await?;
    let store = open_store(config).await?;
    let journal = journal(&catalog, &store, config, &clock);
    Ok(Verifier { recovery: catalog.clone(), catalog, store, formats: Arc::new(formats()), clock, journal })
}

/// Makes the catalog again from the bucket.
pub(crate) async fn rebuild_catalog(
    config: &Config,
    options: &RebuildOptions,
    progress: &Progress,
) -> anyhow::Result<RebuildReport> {
    let catalog = connect(config.required_catalog_url()?).await?;
    let store = open_store(config).await?;
    Ok(rebuild(catalog.as_ref(), &store, &formats(), options, progress).await?)
}

/// Describes the extents of an object's file, with their footers' bytes when wanted.
pub(crate) async fn describe_file(path: &Path, with_footer: bool) -> anyhow::Result<serde_json::Value> {
    crate::object_file::describe(path, Arc::new(kyma_format_tlm::Tlm), with_footer).await
}

/// The private PostgreSQL of `kyma dev`.
#[derive(Debug)]
pub(crate) struct PrivateCatalog(local::Server);

impl PrivateCatalog {
    /// Starts it on `folder`, after recovering what a crash left.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        Ok(PrivateCatalog(local::Server::start(local::Options::durable(folder)).await?))
    }

    /// Where it answers.
    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    /// Stops it cleanly.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        Ok(self.0.stop().await?)
    }
}
