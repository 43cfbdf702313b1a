//! `kyma ingest`: files into a table, several requests in flight, with a progress bar.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use crate::cli::{IngestArgs, InputFormat};
use crate::client::Client;
use crate::client::upload::{Part, Stored, Upload};
use crate::local_file::Input;

pub(crate) async fn run(args: IngestArgs) -> anyhow::Result<()> {
    let parallel = usize::from(args.parallel);
    let upload = Upload {
        client: Client::new(&args.target.url)?,
        database: args.target.database,
        table: args.table,
        parallel,
        retry: Duration::from_secs(args.retry_seconds),
    };
    let key = args.key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let bar = bar_of_bytes(total_bytes(&args.files));
    let began = std::time::Instant::now();
    let (sender, parts) = mpsc::channel(parallel);
    let reader = tokio::task::spawn_blocking(move || read_files(&args.files, args.format, &key, &sender));
    let stored = upload.run(parts, |bytes| bar.inc(bytes)).await;
    bar.finish_and_clear();
    let stored = stored?;
    reader.await?;
    eprintln!("{} in {:.1} s", summary(&stored, &upload), began.elapsed().as_secs_f64());
    Ok(())
}

/// Reads files one after the other; an error travels as the last part.
fn read_files(files: &[PathBuf], format: Option<InputFormat>, key: &str, parts: &mpsc::Sender<anyhow::Result<Part>>) {
    for (nth, path) in files.iter().enumerate() {
        let input = Input { path, format, key: format!("{key}-{nth}") };
        let read = input.read(&mut |part| parts.blocking_send(Ok(part)).is_ok());
        if let Err(error) = read {
            // When the upload ended before, its own error is the one to show.
            let _ = parts.blocking_send(Err(error));
            return;
        }
    }
}

/// What was stored, and where to look at what was not.
pub(crate) fn summary(stored: &Stored, upload: &Upload) -> String {
    let mut text = format!("{} rows into {}.{}", stored.rows, upload.database, upload.table);
    if stored.rejected > 0 {
        text.push_str(&format!(", {} rejected (see the table _rejected)", stored.rejected));
    }
    if stored.unmapped > 0 {
        text.push_str(&format!(", {} values kept in _unmapped", stored.unmapped));
    }
    text
}

/// The files' bytes; `None` when one of them has no length.
fn total_bytes(files: &[PathBuf]) -> Option<u64> {
    let length = |path: &PathBuf| {
        let metadata = (path != Path::new("-")).then(|| std::fs::metadata(path).ok()).flatten()?;
        metadata.is_file().then_some(metadata.len())
    };
    files.iter().map(length).sum()
}

fn bar_of_bytes(total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => {
            ProgressBar::new(total).with_style(style("{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left"))
        }
        None => ProgressBar::new_spinner().with_style(style("{spinner} {bytes} {bytes_per_sec}")),
    }
}

/// A style; a template that does not parse falls back to the plain one.
pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
