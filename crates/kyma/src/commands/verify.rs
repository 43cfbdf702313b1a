//! `kyma verify`: whether the catalog and the bucket say the same, with a progress bar and a report.

use std::time::Duration;

use anyhow::bail;
use kyma_worker::Progress;
use kyma_worker::verify::{Level, VerifyOptions, VerifyReport};

use crate::cli::VerifyArgs;
use crate::config::Config;
use crate::{components, output};

pub(crate) async fn run(args: VerifyArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.node)?;
    let verifier = components::verifier(&config).await?;
    let level = match (args.quick, args.full) {
        (true, _) => Level::Quick,
        (_, true) => Level::Full,
        _ => Level::Footers,
    };
    let options = VerifyOptions {
        level,
        in_flight: usize::from(args.parallel),
        orphan_age: Duration::from_secs_f64(args.orphan_hours * 3_600.0),
        repair: args.repair,
        ..VerifyOptions::default()
    };
    let progress = Progress::default();
    let report = output::with_progress(&progress, verifier.verify(&options, &progress)).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", shown(&report));
    }
    if report.unrepaired > 0 {
        bail!("{} problems are left", report.unrepaired);
    }
    Ok(())
}

fn shown(report: &VerifyReport) -> String {
    let mut text = format!(
        "{} databases, {} extents, {} rows, {} bytes, {} objects\n",
        report.databases, report.extents, report.rows, report.bytes, report.objects
    );
    for problem in &report.problems {
        let repaired = if problem.repaired { " (repaired)" } else { "" };
        text.push_str(&format!("{}{repaired}: {}\n", problem.code, problem.detail));
    }
    let left_out = report.counts.values().sum::<u64>() - report.problems.len() as u64;
    if left_out > 0 {
        text.push_str(&format!("and {left_out} more\n"));
    }
    if report.counts.is_empty() {
        text.push_str("no problem was found\n");
    }
    text
}
