//! What compaction takes: `cargo run --release -p kyma-bench-compact -- FILE.ndjson[.zst] ...`
//!
//! 1. Each file becomes a table: its lines are ingested in bodies of [`BODY_BYTES`], each an extent of its own, through the
//!    real write path into a throw-away PostgreSQL and a folder.
//! 2. Extents appear to the planner as they would at [`BYTES_PER_SECOND`]: after every body it plans, and what it plans is
//!    merged at once, one merge at a time. When all lines are there, an hour passes, and what is left is closed.
//! 3. Printed, per table: input bytes merged per CPU second of the process (which also commits and serves the store), how
//!    often each row was rewritten, extents and bytes before and after. The limit beside it is the encoding alone: the rows of
//!    every final extent, read back and encoded again at the same level on one thread. A merge also fetches, decodes and sorts.
//! 4. What the hidden columns cost: the same rows encoded without them.

#![allow(clippy::disallowed_methods)] // A bench writes no data of kyma.

mod limit;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use kyma_catalog_postgres::local::{Options, Server};
use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
use kyma_core::NodeId;
use kyma_core::catalog::{ExtentOrder, ExtentQuery, Extents, Table, Tables, Upkeep};
use kyma_core::clock::{Clock, SystemClock};
use kyma_core::extent::Extent;
use kyma_core::format::Formats;
use kyma_core::time::TimeRange;
use kyma_format_tlm::Tlm;
use kyma_ingest::loopback::Loopback;
use kyma_ingest::{BodyFormat, Encoding, IngestParts, IngestRequest, IngestSettings, Ingester, LocalRouter, Rewrite};
use kyma_storage::{Store, StoreSettings};
use kyma_worker::CompactSettings;
use kyma_worker::compact::plan;

/// The allocator of the kyma binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Lines of one body: what a quarter of a second brings of a busy table.
const BODY_BYTES: usize = 1 << 20;
/// How fast bodies appear to come, in input bytes.
const BYTES_PER_SECOND: i64 = 4 << 20;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

struct Bench {
    catalog: Arc<PostgresCatalog>,
    store: Arc<Store>,
    ingester: Arc<Ingester>,
    _loopback: Loopback,
}

/// What merging a table came to.
#[derive(Debug, Default)]
struct Merged {
    ingested_bytes: u64,
    extents_before: u64,
    bytes_before: u64,
    merges: u64,
    raw_bytes: u64,
    cpu_seconds: f64,
    wall_seconds: f64,
}

fn main() -> Result<()> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        anyhow::bail!("usage: kyma-bench-compact FILE.ndjson[.zst] ...");
    }
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run(&files))
}

async fn run(files: &[String]) -> Result<()> {
    let directory = tempfile::tempdir()?;
    open_to_server_user(directory.path())?;
    let server = Server::start(Options::throw_away(directory.path().join("postgres"))).await.map_err(explain)?;
    let bench = Bench::new(&server.url_of("postgres"), &directory.path().join("objects")).await?;
    println!(
        "| table | input, MB | extents | after | stored, MB | after | merges | each row rewritten | MB/s per core | encoding alone, MB/s | ratio | hidden columns |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for file in files {
        let name = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or("table");
        let name = name.split('.').next().unwrap_or(name);
        let merged = bench.fill_and_merge(name, &read(file)?).await?;
        bench.report(name, &merged).await?;
    }
    server.stop().await.map_err(explain)
}

impl Bench {
    async fn new(catalog_url: &str, objects: &Path) -> Result<Bench> {
        let catalog = PostgresCatalog::connect(catalog_url, &CatalogSettings::default()).await.map_err(explain)?;
        catalog.migrate().await.map_err(explain)?;
        let url = url::Url::from_directory_path(objects).map_err(|()| anyhow!("no folder: {objects:?}"))?;
        let store = kyma_storage::open(&StoreSettings::new(url)).await.map_err(explain)?;
        let router = Arc::new(LocalRouter::new());
        let ingester = Ingester::new(IngestParts {
            catalog: catalog.clone(),
            store: store.clone(),
            formats: Arc::new(Formats::new(vec![Arc::new(Tlm)])),
            clock: Arc::new(SystemClock),
            node: NodeId::generate(),
            router: router.clone(),
            settings: IngestSettings { flush_interval: Duration::from_millis(1), ..IngestSettings::default() },
        });
        let loopback = kyma_ingest::loopback::serve(&ingester).await.map_err(explain)?;
        router.set_address(loopback.address());
        Ok(Bench { catalog, store, ingester, _loopback: loopback })
    }

    /// Steps 1 and 2.
    async fn fill_and_merge(&self, name: &str, text: &str) -> Result<Merged> {
        let settings = CompactSettings::default();
        let started = SystemClock.now();
        let mut merged = Merged::default();
        let bodies = bodies(text);
        let progress = indicatif::ProgressBar::new(text.len() as u64)
            .with_style(indicatif::ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}")?)
            .with_message(name.to_owned());
        for body in bodies {
            self.write(name, body).await?;
            progress.inc(body.len() as u64);
            merged.ingested_bytes += body.len() as u64;
            merged.extents_before += 1;
            let seconds = merged.ingested_bytes as i64 / BYTES_PER_SECOND;
            // Bodies came faster than they seem to: an extent is as old as its place in the text says.
            let now = (started + seconds * NANOS_PER_SECOND).max(SystemClock.now());
            self.merge(name, &settings, now, &mut merged).await?;
        }
        progress.finish_and_clear();
        let much_later = SystemClock.now() + 2 * 3_600 * NANOS_PER_SECOND;
        self.merge(name, &settings, much_later, &mut merged).await?;
        Ok(merged)
    }

    async fn write(&self, table: &str, body: &str) -> Result<()> {
        let request = IngestRequest {
            database: "bench".to_owned(),
            table: table.to_owned(),
            format: BodyFormat::NdJson,
            encoding: Encoding::Identity,
            idempotency_key: None,
            source: "bench".to_owned(),
        };
        let body = futures::stream::iter([Ok(Bytes::copy_from_slice(body.as_bytes()))]).boxed();
        self.ingester.ingest(&request, body).await.map(drop).map_err(explain)
    }

    /// Merges what is due at `now`.
    async fn merge(&self, name: &str, settings: &CompactSettings, now: i64, merged: &mut Merged) -> Result<()> {
        let table = self.table(name).await?;
        let rewriter = self.ingester.rewriter(1);
        loop {
            let extents = self.catalog.uncompacted(table.id, 100_000).await.map_err(explain)?;
            let Some(merge) = plan(&extents, settings, now).into_iter().next() else { return Ok(()) };
            let sources = extents.into_iter().filter(|extent| merge.sources.contains(&extent.id));
            let sources: Vec<Arc<Extent>> = sources.map(Arc::new).collect();
            let new = sources.iter().filter(|source| source.level == 0);
            merged.bytes_before += new.map(|source| source.location.length).sum::<u64>();
            let rewrite =
                Rewrite { table: Arc::new(table.clone()), sources, kept: Vec::new(), level: merge.level, format: None };
            let (cpu, wall) = (limit::process_seconds()?, std::time::Instant::now());
            let done = rewriter.rewrite(rewrite).await.map_err(explain)?;
            merged.cpu_seconds += limit::process_seconds()? - cpu;
            merged.wall_seconds += wall.elapsed().as_secs_f64();
            merged.merges += 1;
            merged.raw_bytes += done.raw_bytes;
        }
    }

    async fn table(&self, name: &str) -> Result<Table> {
        let database = self.catalog.ensure_database("bench").await.map_err(explain)?;
        self.catalog.table(database.id, name).await.map_err(explain)?.context("the table is there")
    }

    /// Steps 3 and 4.
    async fn report(&self, name: &str, merged: &Merged) -> Result<()> {
        let table = self.table(name).await?;
        let at = self.catalog.pin(table.database).await.map_err(explain)?;
        let (time, order) = (TimeRange::ALL, ExtentOrder::OldestFirst);
        let query = ExtentQuery { table: table.id, at, time, order, ranges: Vec::new() };
        let after: Vec<Extent> = self.catalog.list(query).try_collect().await.map_err(explain)?;
        let bytes_after: u64 = after.iter().map(|extent| extent.location.length).sum();
        let alone = limit::encode_alone(&self.store, &after).await?;
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let speed = mb(merged.raw_bytes) / merged.cpu_seconds;
        let limit = mb(alone.raw_bytes) / alone.seconds;
        println!(
            "| {name} | {:.0} | {} | {} | {:.1} | {:.1} | {} | {:.2} | **{speed:.1}** | {limit:.1} | {:.2} | {:+.1} % |",
            mb(merged.ingested_bytes),
            merged.extents_before,
            after.len(),
            mb(merged.bytes_before),
            mb(bytes_after),
            merged.merges,
            merged.raw_bytes as f64 / merged.ingested_bytes as f64,
            speed / limit,
            100.0 * (alone.bytes as f64 / alone.bytes_without_hidden as f64 - 1.0),
        );
        Ok(())
    }
}

/// Whole lines of about [`BODY_BYTES`].
fn bodies(text: &str) -> Vec<&str> {
    let mut bodies = Vec::new();
    let mut rest = text;
    while rest.len() > BODY_BYTES {
        let mut cut = BODY_BYTES;
        while !rest.is_char_boundary(cut) {
            cut += 1;
        }
        let end = rest[cut..].find('\n').map_or(rest.len(), |at| cut + at + 1);
        let (body, left) = rest.split_at(end);
        bodies.push(body);
        rest = left;
    }
    if !rest.is_empty() {
        bodies.push(rest);
    }
    bodies
}

/// The file's text, inflated when its name says so.
fn read(path: &str) -> Result<String> {
    let file = std::fs::File::open(path).with_context(|| path.to_owned())?;
    let mut text = String::new();
    match path.ends_with(".zst") {
        true => zstd::Decoder::new(file)?.read_to_string(&mut text)?,
        false => std::io::BufReader::new(file).read_to_string(&mut text)?,
    };
    Ok(text)
}

/// Root's server runs as another user, who must be able to enter the directory.
fn open_to_server_user(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o711))?)
}

fn explain(error: kyma_core::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}
