//! `kyma generate`: rows of a web shop to standard output, or straight into a node.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use indicatif::ProgressBar;
use kyma::generate::{Generator, Kind, Options};
use tokio::sync::mpsc;

use super::ingest::{style, summary};
use crate::cli::{GenerateArgs, GenerateKind};
use crate::client::Client;
use crate::client::upload::{Part, Upload};
use crate::config::Invalid;

/// Bytes written or sent at once, about.
const PART_BYTES: usize = 4 * 1024 * 1024;
/// Requests in flight.
const PARALLEL: usize = 4;

pub(crate) async fn run(args: GenerateArgs) -> anyhow::Result<()> {
    let options = options(&args)?;
    let (Some(url), Some(table)) = (&args.url, &args.table) else {
        return tokio::task::spawn_blocking(move || print(options)).await?;
    };
    let upload = Upload {
        client: Client::new(url)?,
        database: args.database.clone(),
        table: table.clone(),
        parallel: PARALLEL,
        retry: Duration::from_secs(60),
    };
    let bar =
        ProgressBar::new(args.rows).with_style(style("{bar:30} {human_pos}/{human_len} rows {per_sec}, {eta} left"));
    let stored = load(&upload, options, uuid::Uuid::new_v4().to_string(), &bar).await;
    bar.finish_and_clear();
    eprintln!("{}", summary(&stored?, &upload));
    Ok(())
}

fn options(args: &GenerateArgs) -> Result<Options, Invalid> {
    let start = kyma_core::time::parse_datetime(&args.start).ok_or_else(|| {
        Invalid::new(format!("--start is not a datetime: {:?} (2026-01-01T00:00:00Z is one)", args.start))
    })?;
    if !(args.hours > 0.0 && args.hours <= 24.0 * 366.0) {
        return Err(Invalid::new("--hours must be more than 0 and at most 8784"));
    }
    let kind = match args.kind {
        GenerateKind::Logs => Kind::Logs,
        GenerateKind::Spans => Kind::Spans,
    };
    let span = (args.hours * kyma_core::time::HOUR as f64) as i64;
    Ok(Options { kind, rows: args.rows, seed: args.seed, start, span })
}

fn print(options: Options) -> anyhow::Result<()> {
    let mut generator = Generator::new(options);
    let mut out = std::io::stdout().lock();
    let mut part = Vec::with_capacity(PART_BYTES + 64 * 1024);
    while generator.fill(&mut part, PART_BYTES) > 0 {
        match out.write_all(&part) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("the rows cannot be written")?,
        }
        part.clear();
    }
    Ok(())
}

/// Sends generated rows; each part's key is `key` and its number.
pub(crate) async fn load(
    upload: &Upload,
    options: Options,
    key: String,
    bar: &ProgressBar,
) -> anyhow::Result<crate::client::upload::Stored> {
    let (sender, parts) = mpsc::channel(upload.parallel);
    let generating = tokio::task::spawn_blocking(move || {
        let mut generator = Generator::new(options);
        for nth in 0_u64.. {
            let mut body = Vec::with_capacity(PART_BYTES + 64 * 1024);
            let rows = generator.fill(&mut body, PART_BYTES);
            let part = Part {
                body: Bytes::from(body),
                format: "ndjson",
                encoding: None,
                key: format!("{key}-{nth}"),
                progress: rows,
            };
            if rows == 0 || sender.blocking_send(Ok(part)).is_err() {
                return;
            }
        }
    });
    let stored = upload.run(parts, |rows| bar.inc(rows)).await?;
    generating.await?;
    Ok(stored)
}
