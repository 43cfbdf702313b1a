//! `kyma rebuild-catalog`: the catalog from the bucket alone, into an empty PostgreSQL.

use kyma_worker::Progress;
use kyma_worker::rebuild::{RebuildOptions, RebuildReport};

use crate::cli::RebuildArgs;
use crate::config::Config;
use crate::{components, output};

pub(crate) async fn run(args: RebuildArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.node)?;
    let options =
        RebuildOptions { catalog: args.catalog_id, in_flight: usize::from(args.parallel), ..RebuildOptions::default() };
    let progress = Progress::default();
    let report = output::with_progress(&progress, components::rebuild_catalog(&config, &options, &progress)).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", shown(&report));
    }
    Ok(())
}

fn shown(report: &RebuildReport) -> String {
    let mut text = match report.journal_of {
        Some(id) => format!("from the journal of catalog {id}, and {} objects after it\n", report.objects_opened),
        None => format!("from {} objects, without a journal\n", report.objects_opened),
    };
    for database in &report.databases {
        text.push_str(&format!(
            "database {}: {} tables, {} extents ({} by their footers alone), {} rows, {} receipts\n",
            database.name, database.tables, database.extents, database.adopted, database.rows, database.receipts
        ));
    }
    if !report.orphans.is_empty() {
        text.push_str(&format!(
            "{} objects were never committed; kyma verify --repair gives them to the collector\n",
            report.orphans.len()
        ));
    }
    for note in &report.notes {
        text.push_str(&format!("{}: {}\n", note.code, note.detail));
    }
    text
}
