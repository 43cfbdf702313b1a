//! The sample of `kyma dev --sample`: loads it once, asks three questions, shows what the answers cost.

use std::time::Duration;

use indicatif::ProgressBar;
use kyma::generate::{Kind, Options};
use kyma_core::clock::{Clock, SystemClock};
use kyma_core::time::HOUR;
use serde_json::Value as Json;

use crate::client::upload::Upload;
use crate::client::{Answer, Client, Question, Refused};
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

/// The first question.
const WHICH: &str = "Logs\n| where Level == \"Error\"\n| summarize errors = count() by Service\n| top 5 by errors";
/// The second question; its first row holds the time of the incident.
const SINCE: &str = "Logs\n| where Service == \"payments\" and Level == \"Error\"\n| summarize errors = count(), first = min(Timestamp), last = max(Timestamp)\n    by version = tostring(Attributes.service.version)\n| order by errors desc";

/// Loads the sample unless it is there, and shows it.
pub(crate) async fn show(client: &Client, database: &str, rows: u64) -> anyhow::Result<()> {
    // A span per hop, one to three lines per hop: these are the spans of the same requests.
    let tables = [(LOGS, Kind::Logs, rows), (SPANS, Kind::Spans, rows * 3 / 4)];
    for (table, kind, rows) in tables {
        ensure(client, database, table, kind, rows).await?;
    }
    ask(client, database, "1. Which services fail? Three of them far more than the others.", WHICH).await?;
    let title = "2. Payments stands behind the other two. Since when, and what changed? Errors start with one version.";
    let since = ask(client, database, title, SINCE).await?;
    let title = "3. What do they say? The newest lines of that time that name the cause.";
    ask(client, database, title, &what_they_say(&since)).await?;
    Ok(())
}

/// The third question: about the time that the second one found. Only the extents of that time are opened.
fn what_they_say(since: &Answer) -> String {
    let cell = |nth: usize| since.rows.first().and_then(|row| row.get(nth)).and_then(Json::as_str);
    let window = match (cell(2), cell(3)) {
        (Some(first), Some(last)) => format!("Timestamp between (datetime({first}) .. datetime({last})) and "),
        _ => String::new(),
    };
    format!(
        "Logs\n| where {window}Message has \"exhausted\"\n| top 3 by Timestamp\n\
         | project Timestamp, Pod, Message, waiting = Attributes.db.pool.waiting, TraceId"
    )
}

/// Asks, and prints the question, the answer and what each level pruned.
async fn ask(client: &Client, database: &str, title: &str, query: &str) -> anyhow::Result<Answer> {
    let answer = client.query(&Question { query, language: "kql", database, profile: true, as_of: None }).await?;
    println!("\n{title}\n\n     {}\n", query.replace('\n', "\n     "));
    println!("{}\n{}", output::table(&answer.columns, &answer.rows), output::profile(&answer.profile));
    Ok(answer)
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
    let answer =
        client.query(&Question { query: &query, language: "kql", database, profile: false, as_of: None }).await;
    match answer {
        Ok(answer) => Ok(answer.rows.first().and_then(|row| row.first()).and_then(Json::as_u64).unwrap_or(0)),
        // An unknown table is the one thing wrong that a query of this shape can be refused for.
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| matches!(refused.status, 400 | 404)) => {
            Ok(0)
        }
        Err(error) => Err(error),
    }
}
