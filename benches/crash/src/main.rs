//! `kyma-crash matrix`: every point in every mode, and a table of how it went.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use kyma_core::failpoint::Point;
use kyma_crash::cell::{self, Report};
use kyma_crash::plan::{self, Cell, Mode};
use kyma_crash::table;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Breaks real nodes on purpose and counts every row.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs the cells and prints a table of them. Ends with an error when one was violated.
    Matrix(MatrixArgs),
    /// Lists the points.
    Points,
}

#[derive(Debug, Parser)]
struct MatrixArgs {
    /// Only points whose name contains this; may be repeated.
    #[arg(long)]
    point: Vec<String>,
    /// Only this mode; may be repeated.
    #[arg(long, value_enum)]
    mode: Vec<Mode>,
    /// Only so many cells, evenly over those that are left.
    #[arg(long)]
    sample: Option<usize>,
    /// Cells that run at once; stopped nodes wait beside them, as many again.
    #[arg(long, default_value_t = 6)]
    parallel: usize,
    /// How long a stop is.
    #[arg(long, default_value_t = 60)]
    stop_seconds: u64,
    /// The `kyma` to break, built with failpoints; built and used from this target folder without it.
    #[arg(long)]
    bin: Option<PathBuf>,
    /// Shows the logs of nodes of violated cells, and how requests failed.
    #[arg(long)]
    verbose: bool,
}

fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Verb::Points => {
            Point::ALL.iter().for_each(|point| println!("{}", point.name()));
            Ok(ExitCode::SUCCESS)
        }
        Verb::Matrix(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let reports = runtime.block_on(run(&args))?;
            print!("{}", table::text(&reports));
            let violated = reports.iter().any(|report| !report.violations.is_empty());
            Ok(ExitCode::from(u8::from(violated)))
        }
    }
}

async fn run(args: &MatrixArgs) -> Result<Vec<Report>> {
    let cells = chosen(args)?;
    let binary: Arc<Path> = match &args.bin {
        Some(binary) => Arc::from(std::path::absolute(binary)?),
        None => Arc::from(build()?),
    };
    let (started, total, stop_time) = (Instant::now(), cells.len(), Duration::from_secs(args.stop_seconds));
    let turns = Arc::new(Semaphore::new(args.parallel.max(1)));
    let stopped_turns = Arc::new(Semaphore::new(args.parallel.max(1)));
    let mut running = JoinSet::new();
    // Stops first: they take longest, and mostly wait.
    let (stops, others): (Vec<Cell>, Vec<Cell>) = cells.into_iter().partition(|cell| cell.mode == Mode::Stop);
    for cell in stops.into_iter().chain(others) {
        let turns = Arc::clone(if cell.mode == Mode::Stop { &stopped_turns } else { &turns });
        let binary = Arc::clone(&binary);
        running.spawn(async move {
            let _turn = turns.acquire_owned().await;
            cell::run(&binary, cell, stop_time).await
        });
    }
    let mut reports = Vec::with_capacity(total);
    while let Some(report) = running.join_next().await {
        let report = report.context("a cell broke")?;
        let word = if report.violations.is_empty() { "ok" } else { "VIOLATION" };
        eprintln!(
            "[{:4.0} s] {:3}/{total} {:26} {:5} {word} ({:.0} s, {} rows)",
            started.elapsed().as_secs_f64(),
            reports.len() + 1,
            report.cell.point.name(),
            report.cell.mode,
            report.took.as_secs_f64(),
            report.rows,
        );
        if args.verbose {
            eprintln!("    failures: {:?}", report.failures);
            report.violations.iter().for_each(|violation| eprintln!("    {violation}"));
            eprint!("{}", report.log);
        }
        reports.push(report);
    }
    let place = |report: &Report| (Point::ALL.iter().position(|point| *point == report.cell.point), report.cell.mode);
    reports.sort_by_key(place);
    Ok(reports)
}

fn chosen(args: &MatrixArgs) -> Result<Vec<Cell>> {
    let wanted = |point: &Point| args.point.is_empty() || args.point.iter().any(|part| point.name().contains(part));
    let points: Vec<Point> = Point::ALL.iter().copied().filter(wanted).collect();
    if points.is_empty() {
        bail!("no point has such a name; `kyma-crash points` lists them");
    }
    let modes = if args.mode.is_empty() { Mode::ALL.to_vec() } else { args.mode.clone() };
    let cells = plan::cells(&points, &modes);
    Ok(match args.sample {
        Some(count) => plan::sample(&cells, count),
        None => cells,
    })
}

/// Builds the binary with failpoints, in the profile of this one.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    let built = Command::new(cargo)
        .args(["build", "-p", "kyma", "--features", "kyma-core/failpoints"])
        .args(profile)
        .status()
        .context("start cargo")?;
    if !built.success() {
        bail!("the binary could not be built: {built}");
    }
    Ok(std::env::current_exe()?.with_file_name("kyma"))
}
