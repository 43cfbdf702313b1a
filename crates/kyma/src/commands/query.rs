//! `kyma query`: asks a node, prints a table on a terminal and NDJSON in a pipe; what it cost on standard error.

use std::io::{IsTerminal, Read, Write};

use anyhow::Context;
use futures::StreamExt;
use kyma_core::profile::Profile;
use serde_json::Value as Json;

use crate::cli::{Format, QueryArgs};
use crate::client::{Answer, Client, Column, Question, Refused};
use crate::{output, waterfall};

pub(crate) async fn run(args: QueryArgs) -> anyhow::Result<()> {
    let text = if args.text == "-" { read_stdin()? } else { args.text.clone() };
    let client = Client::new(&args.target.url)?;
    let (language, database) = (&args.language, &args.target.database);
    let question = Question { query: &text, language, database, profile: args.profile, as_of: args.as_of.as_deref() };
    if args.explain {
        let explained = client.explain(&question).await?.to_string();
        written(std::io::stdout().lock().write_all(explained.as_bytes()))?;
        return Ok(());
    }
    let on_terminal = std::io::stdout().is_terminal();
    let format = args.format.unwrap_or(if on_terminal { Format::Table } else { Format::Ndjson });
    // Rows that are only passed on are streamed; what needs the profile, or all rows at once, is collected.
    match format {
        Format::Ndjson if !args.profile => pass_on(&client, &question, "application/x-ndjson").await,
        Format::Csv if !args.profile => pass_on(&client, &question, "text/csv").await,
        Format::Json if !args.profile => pass_on(&client, &question, "application/json").await,
        _ => {
            let answer = client.query(&question).await.inspect_err(print_cost_of_failure)?;
            print(&answer, format, args.profile)
        }
    }
}

/// What a query that failed had cost, if the node says so.
fn print_cost_of_failure(error: &anyhow::Error) {
    if let Some(profile) = error.downcast_ref::<Refused>().and_then(|refused| refused.profile.as_deref()) {
        print_profile(profile);
    }
}

fn print_profile(profile: &Profile) {
    eprint!("{}", waterfall::render(profile, output::stderr_width()));
}

fn read_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    let most = kyma_core::limits::QUERY_TEXT_BYTES_MAX as u64 + 1;
    std::io::stdin().take(most).read_to_string(&mut text).context("standard input cannot be read")?;
    Ok(text)
}

async fn pass_on(client: &Client, question: &Question<'_>, accept: &str) -> anyhow::Result<()> {
    let mut chunks = client.ask(question, accept).await?.bytes_stream();
    let mut out = std::io::stdout().lock();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.context("the answer broke off: the rows above are not all")?;
        if !written(out.write_all(&chunk))? {
            return Ok(());
        }
    }
    written(out.flush())?;
    Ok(())
}

/// Whether a write went through; a reader that has enough (`| head`) is no error.
fn written(outcome: std::io::Result<()>) -> anyhow::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("the answer cannot be written"),
    }
}

pub(super) fn print(answer: &Answer, format: Format, with_profile: bool) -> anyhow::Result<()> {
    for warning in &answer.warnings {
        eprintln!("{}", warning.rendered);
    }
    let mut text = String::new();
    rows_text(&answer.columns, &answer.rows, format, &mut text);
    for table in &answer.tables {
        rows_text(&table.columns, &table.rows, format, &mut text);
    }
    written(std::io::stdout().lock().write_all(text.as_bytes()))?;
    if with_profile {
        print_profile(&answer.profile);
    }
    Ok(())
}

fn rows_text(columns: &[Column], rows: &[Vec<Json>], format: Format, text: &mut String) {
    match format {
        Format::Table => {
            text.push_str(&output::rows(columns, rows));
            text.push_str(&format!("\n{} row{}\n", rows.len(), if rows.len() == 1 { "" } else { "s" }));
        }
        Format::Ndjson => {
            for row in rows {
                let line: serde_json::Map<String, Json> =
                    columns.iter().map(|column| column.name.clone()).zip(row.iter().cloned()).collect();
                text.push_str(&Json::Object(line).to_string());
                text.push('\n');
            }
        }
        Format::Csv => {
            let header: Vec<String> =
                columns.iter().map(|column| output::csv_field(&Json::from(column.name.as_str()))).collect();
            text.push_str(&header.join(","));
            text.push_str("\r\n");
            for row in rows {
                text.push_str(&row.iter().map(output::csv_field).collect::<Vec<_>>().join(","));
                text.push_str("\r\n");
            }
        }
        Format::Json => {
            let columns: Vec<Json> =
                columns.iter().map(|it| serde_json::json!({"name": it.name, "type": it.ty})).collect();
            text.push_str(&serde_json::json!({ "columns": columns, "rows": rows }).to_string());
            text.push('\n');
        }
    }
}
