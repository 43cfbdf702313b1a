//! `kyma tasks`: the catalog's queue of background work, through any node.

use std::io::IsTerminal;

use super::query::print;
use crate::cli::{Format, TasksArgs};
use crate::client::{Client, Question};

pub(crate) async fn run(args: TasksArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.target.url)?;
    let text = command(&args);
    let question =
        Question { query: &text, language: "kql", database: &args.target.database, profile: false, as_of: None };
    let answer = client.query(&question).await?;
    let on_terminal = std::io::stdout().is_terminal();
    print(&answer, args.format.unwrap_or(if on_terminal { Format::Table } else { Format::Ndjson }), false)
}

fn command(args: &TasksArgs) -> String {
    if let Some(task) = args.retry {
        return format!(".retry task {task}");
    }
    let mut text = ".show tasks".to_owned();
    for (column, wanted) in [("Kind", &args.kind), ("State", &args.state)] {
        if let Some(wanted) = wanted {
            let quoted = wanted.replace('\\', "\\\\").replace('\'', "\\'");
            text.push_str(&format!(" | where {column} == '{quoted}'"));
        }
    }
    text + " | project TaskId, Kind, State, Attempts, NotBefore, LastUpdatedOn, NodeId, Error"
}
