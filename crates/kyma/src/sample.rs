//! The sample of `kyma dev --sample`: loads it once, asks three questions, shows what the answers cost.

use std::time::Duration;

use indicatif::ProgressBar;
use kyma::generate::{Kind, Options};
use kyma_core::clock::{Clock, SystemClock};
use kyma_core::time::HOUR;
use serde_json::Value as Json;

use crate::client::upload::Upload;
use crate::client::{Client, Question, Refused};
use crate::commands::generate::load;
use crate::commands::ingest::style;
use crate::output;

/// The sample's seed.
const SEED: u64 = 1;
/// Hours that the sample covers, up to now.
const HOURS: i64 = 6;
/// Names the load: a load that was interrupted goes on where it stopped.
const KEY: &str = "kyma-sample-1";
/// The sample's tables.
const LOGS: &str = "Logs";
const SPANS: &str = "Spans";

/// A question with what it is for.
struct Example {
    why: &'static str,
    query: &'static str,
}

const EXAMPLES: [Example; 3] = [
    Example {
        why: "Which services fail? One does far more than its share.",
        query: "Logs\n| where Level == \"Error\"\n| summarize errors = count() by Service\n| top 5 by errors",
    },
    Example {
        why: "Since when, and what changed? Errors start with one version.",
        query: "Logs\n| where Service == \"payments\" and Level == \"Error\"\n| summarize errors = count(), first = min(Timestamp), last = max(Timestamp)\n    by version = tostring(Attributes.service.version)\n| order by errors desc",
    },
    Example {
        why: "What do they say? The newest lines that name the cause.",
        query: "Logs\n| where Message has \"exhausted\"\n| top 3 by Timestamp\n| project Timestamp, Pod, Message, waiting = Attributes.db.pool.waiting, TraceId",
    },
];

/// Loads the sample unless it is there, and shows it.
pub(crate) async fn show(client: &Client, database: &str, rows: u64) -> anyhow::Result<()> {
    // A span per hop, one to three lines per hop: these are the spans of the same requests.
    let tables = [(LOGS, Kind::Logs, rows), (SPANS, Kind::Spans, rows * 3 / 4)];
    for (table, kind, rows) in tables {
        ensure(client, database, table, kind, rows).await?;
    }
    for (nth, example) in EXAMPLES.iter().enumerate() {
        let question = Question { query: example.query, language: "kql", database };
        let answer = client.query(&question).await?;
        let query = example.query.replace('\n', "\n     ");
        println!("\n{}. {}\n\n     {query}\n", nth + 1, example.why);
        println!("{}\n{}", output::table(&answer.columns, &answer.rows), output::profile(&answer.profile));
    }
    Ok(())
}

async fn ensure(client: &Client, database: &str, table: &str, kind: Kind, rows: u64) -> anyhow::Result<()> {
    let present = count(client, database, table).await?;
    if present >= rows {
        println!("{table}: {present} rows are there already");
        return Ok(());
    }
    let upload = Upload {
        client: client.clone(),
        database: database.to_owned(),
        table: table.to_owned(),
        parallel: 4,
        retry: Duration::from_secs(60),
    };
    let start = SystemClock.now() - HOURS * HOUR;
    let options = Options { kind, rows, seed: SEED, start, span: HOURS * HOUR };
    let bar = ProgressBar::new(rows)
        .with_style(style("{prefix} {bar:30} {human_pos}/{human_len} rows {per_sec}"))
        .with_prefix(table.to_owned());
    let began = std::time::Instant::now();
    let stored = load(&upload, options, format!("{KEY}-{table}-{rows}"), &bar).await;
    bar.finish_and_clear();
    println!("{table}: {} rows loaded in {:.1} s, durable and indexed", stored?.rows, began.elapsed().as_secs_f64());
    Ok(())
}

/// Rows of a table; 0 when it does not exist.
async fn count(client: &Client, database: &str, table: &str) -> anyhow::Result<u64> {
    let query = format!("{table} | count");
    let answer = client.query(&Question { query: &query, language: "kql", database }).await;
    match answer {
        Ok(answer) => Ok(answer.rows.first().and_then(|row| row.first()).and_then(Json::as_u64).unwrap_or(0)),
        // An unknown table is the one thing wrong that a query of this shape can be refused for.
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| matches!(refused.status, 400 | 404)) => {
            Ok(0)
        }
        Err(error) => Err(error),
    }
}
