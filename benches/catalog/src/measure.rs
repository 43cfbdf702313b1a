//! The questions, each the median of several runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::TryStreamExt;
use kyma_core::catalog::{Catalog, ExtentOrder, ExtentQuery, Table, TableChange};
use kyma_core::extent::{Extent, ExtentStats};
use kyma_core::ids::Sequence;
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate};
use kyma_core::prune::evaluate;
use kyma_core::time::TimeRange;
use kyma_core::{DatabaseId, Value};

use crate::explain;
use crate::fill::{FIRST, HOUR, SPAN, psql};
use crate::manifest::{ListQuery, Manifests};

/// Runs of a short question.
const RUNS: usize = 21;
/// Runs of one that takes seconds.
const RUNS_LONG: usize = 3;
/// The default of `ExecSettings`.
const CACHE_BYTES: u64 = 64 << 20;

/// One table that is asked about.
struct Bench {
    catalog: Arc<dyn Catalog>,
    table: Table,
    at: Sequence,
    change: TableChange,
}

pub(crate) async fn measure(catalog: &Arc<dyn Catalog>, url: &str, table: &Table, extents: u64) -> Result<()> {
    let known = BTreeMap::from([(table.database, Sequence(0))]);
    let pins = catalog.pins(&known).await.map_err(explain)?;
    let change = pins.iter().flat_map(|pin| &pin.changed).find(|change| change.table == table.id).copied();
    let change = change.ok_or_else(|| anyhow::anyhow!("the table has no extents"))?;
    let at = catalog.pin(table.database).await.map_err(explain)?;
    let bench = Bench { catalog: Arc::clone(catalog), table: table.clone(), at, change };
    println!("{extents} extents, {} visible at {at}\n", change.extents);
    println!("| question | kept | ms | rival, ms |\n|---|---|---|---|");
    bench.windows(url).await?;
    bench.small_questions().await?;
    bench.unselective(url).await?;
    println!("\npeak memory of the process: {} MB", peak_memory_kilobytes() / 1_000);
    Ok(())
}

impl Bench {
    /// One hour somewhere in time: from the catalog, then through the cache.
    async fn windows(&self, url: &str) -> Result<()> {
        for (name, start) in [("oldest", FIRST), ("middle", FIRST + SPAN / 2), ("recent", FIRST + SPAN - HOUR)] {
            let window = TimeRange::new(start, start + HOUR - 1);
            let cold = || self.pruned(window, Predicate::True, 0);
            let rival = copy(url, &self.table, window)?;
            report(&format!("one hour, {name}, listed"), RUNS, Some(rival), cold).await?;
            let cached = self.manifests(CACHE_BYTES);
            let warm = || self.count(&cached, window, Predicate::True);
            warm().await?;
            report(&format!("one hour, {name}, repeated"), RUNS, None, warm).await?;
        }
        Ok(())
    }

    async fn small_questions(&self) -> Result<()> {
        let known: BTreeMap<DatabaseId, Sequence> = BTreeMap::from([(self.table.database, self.at)]);
        let pin = || async { Ok(self.catalog.pins(&known).await.map_err(explain)?.len()) };
        report("pin", 10 * RUNS, None, pin).await?;
        let totals =
            || async { Ok(self.catalog.totals(self.table.id, self.at).await.map_err(explain)?.extents as usize) };
        report("totals", RUNS, None, totals).await?;
        let cached = self.manifests(CACHE_BYTES);
        let window = TimeRange::new(FIRST + SPAN - HOUR, i64::MAX);
        let dashboard = || async {
            self.catalog.pins(&known).await.map_err(explain)?;
            self.count(&cached, window, number(CompareOp::GreaterOrEqual, 0)).await
        };
        dashboard().await?;
        report("repeated dashboard: pin, list, prune", RUNS, None, dashboard).await?;
        let first = || async {
            let query = self.query(TimeRange::ALL);
            let mut listed = self.catalog.list(query);
            Ok(listed.try_next().await.map_err(explain)?.is_some() as usize)
        };
        report("all time, first extent", RUNS, None, first).await
    }

    /// Every extent is looked at.
    async fn unselective(&self, url: &str) -> Result<()> {
        let rival = copy(url, &self.table, TimeRange::ALL)?;
        let none = number(CompareOp::Less, 0);
        let cold = || self.pruned(TimeRange::ALL, none.clone(), 0);
        report("all time, none kept by bounds, tested by the catalog", RUNS_LONG, Some(rival), cold).await?;
        // A predicate that is no range of a column.
        let opaque = Predicate::Not(Box::new(number(CompareOp::GreaterOrEqual, 0)));
        let on_node = || self.pruned(TimeRange::ALL, opaque.clone(), 0);
        report("all time, none kept by bounds, tested by the node", RUNS_LONG, Some(rival), on_node).await?;
        println!("| peak memory up to here, MB | | {} | |", peak_memory_kilobytes() / 1_000);
        let cached = self.manifests(CACHE_BYTES);
        let warm = || self.count(&cached, TimeRange::ALL, none.clone());
        warm().await?;
        report("all time, none kept by bounds, repeated with a cache", RUNS_LONG, Some(rival), warm).await
    }

    fn manifests(&self, bytes: u64) -> Manifests {
        Manifests::new(Arc::clone(&self.catalog), bytes)
    }

    fn query(&self, time: TimeRange) -> ExtentQuery {
        ExtentQuery { table: self.table.id, at: self.at, time, order: ExtentOrder::NewestFirst, ranges: Vec::new() }
    }

    async fn pruned(&self, time: TimeRange, predicate: Predicate, cache_bytes: u64) -> Result<usize> {
        self.count(&self.manifests(cache_bytes), time, predicate).await
    }

    /// Lists and prunes as `kyma_exec::prune::survivors` does.
    async fn count(&self, manifests: &Manifests, time: TimeRange, predicate: Predicate) -> Result<usize> {
        let now = FIRST + SPAN;
        let ranges = predicate.ranges(&self.table.schema);
        let query = ListQuery { table: self.table.id, at: self.at, change: Some(self.change), time, now, ranges };
        let mut listed = manifests.list(&query).await.map_err(explain)?;
        let mut kept: Vec<Arc<Extent>> = Vec::new();
        while let Some(extent) = listed.try_next().await.map_err(explain)? {
            let stats = ExtentStats {
                extent: &extent,
                schema: &self.table.schema,
                time_column: &self.table.time_column,
                null_strings_are_empty: true,
            };
            if !evaluate(&predicate, &stats).is_none() {
                kept.push(extent);
            }
        }
        Ok(kept.len())
    }
}

fn number(op: CompareOp, value: i64) -> Predicate {
    Predicate::Compare { column: ColumnRef::column("n"), op, value: Value::Long(value) }
}

/// What `psql` takes to copy the rows of a window, less what it takes to start.
fn copy(url: &str, table: &Table, time: TimeRange) -> Result<Duration> {
    let starting = psql(url, "SELECT 1")?;
    let TimeRange { start, end } = time;
    let rows =
        format!("SELECT * FROM extents WHERE table_id = {} AND time_end >= {start} AND time_start <= {end}", table.id);
    let copying = psql(url, &format!("COPY ({rows}) TO STDOUT (FORMAT binary)"))?;
    Ok(copying.saturating_sub(starting))
}

/// Prints a line: the question, what it kept, and the median of `runs`.
async fn report<F, R>(name: &str, runs: usize, rival: Option<Duration>, question: F) -> Result<()>
where
    F: Fn() -> R,
    R: Future<Output = Result<usize>>,
{
    let mut times = Vec::with_capacity(runs);
    let mut kept = 0;
    for _ in 0..runs {
        let begun = Instant::now();
        kept = question().await?;
        times.push(begun.elapsed());
    }
    times.sort();
    let millis = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1_000.0);
    let rival = rival.map_or_else(|| "–".to_owned(), millis);
    println!("| {name} | {kept} | {} | {rival} |", millis(times[runs / 2]));
    Ok(())
}

fn peak_memory_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
