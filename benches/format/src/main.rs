//! Stores one table of NDJSON as TLM and says what that took, as one JSON object on standard output.
//!
//! ```text
//! kyma-bench-format FILE[.zst] --table NAME --time COLUMN [--sort KEY,...] [--flat OUT.arrow] [--text COLUMN] [--id COLUMN]
//! ```
//!
//! 1. `rows` turns the lines into typed columns by the rules of ingest.
//! 2. `extents` encodes them twice: as ingest does (level 0, in flushes) and as compaction does (level 1, sorted, about a
//!    million rows each); it reads every row back and compares.
//! 3. `flat` writes the rows of level 1 as Arrow, nested values as columns of their own, for the rivals.
//! 4. `ids` counts what no encoder can shrink.
//! 5. `questions` asks `--text` for terms and `--id` for a needle, and counts rows, pages, requests and bytes.
//!
//! Runs on one thread; times are CPU seconds of that thread.

mod cpu;
mod extents;
mod flat;
mod ids;
mod questions;
mod rows;
mod source;

use std::io::Read;

use anyhow::{Context, Result, bail};
use serde_json::json;

/// The allocator of the kyma binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What the command line says.
#[derive(Debug, Default)]
struct Arguments {
    input: String,
    table: String,
    time: String,
    sort: Vec<String>,
    flat: Option<String>,
    text: Option<String>,
    id: Option<String>,
}

const USAGE: &str = "usage: kyma-bench-format FILE[.zst] --table NAME --time COLUMN [--sort KEY,...] [--flat OUT.arrow] \
                     [--text COLUMN] [--id COLUMN]";

fn arguments() -> Result<Arguments> {
    let mut arguments = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if !word.starts_with("--") {
            arguments.input = word;
            continue;
        }
        let value = words.next().with_context(|| format!("{word} wants a value\n{USAGE}"))?;
        match word.as_str() {
            "--table" => arguments.table = value,
            "--time" => arguments.time = value,
            "--sort" => arguments.sort = value.split(',').map(str::to_owned).collect(),
            "--flat" => arguments.flat = Some(value),
            "--text" => arguments.text = Some(value),
            "--id" => arguments.id = Some(value),
            _ => bail!("unknown option {word}\n{USAGE}"),
        }
    }
    if arguments.input.is_empty() || arguments.table.is_empty() || arguments.time.is_empty() {
        bail!("{USAGE}");
    }
    Ok(arguments)
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

fn main() -> Result<()> {
    let arguments = arguments()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let text = read(&arguments.input)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let raw_bytes: u64 = lines.iter().map(|line| line.len() as u64 + 1).sum();
    let table = rows::Table::new(&arguments.table, &arguments.time, &arguments.sort, &lines)?;
    let ids = ids::count(&lines);
    drop(lines);
    drop(text);

    let ingested = extents::store(&table, 0)?;
    let ingested_description = runtime.block_on(ingested.describe())?;
    drop(ingested);
    let compacted = extents::store(&table, 1)?;
    let flat = flat::flatten(compacted.rows.iter())?;
    if let Some(path) = &arguments.flat {
        flat.write(path)?;
    }
    let mut compacted_description = runtime.block_on(compacted.describe())?;
    compacted_description["decode"] = runtime.block_on(compacted.decode(&flat.paths))?;
    let questions = runtime.block_on(questions::ask(&compacted, arguments.text.as_deref(), arguments.id.as_deref()))?;
    let report = json!({
        "table": arguments.table,
        "rows": table.rows.num_rows(),
        "raw_bytes": raw_bytes,
        "columns": table.rows.num_columns(),
        "flat_columns": flat.schema.fields().len(),
        "ids": ids,
        "level0": ingested_description,
        "level1": compacted_description,
        "questions": questions,
    });
    println!("{report}");
    Ok(())
}
