//! What people see: tables, profiles, errors.

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::ProgressBar;
use kyma_core::profile::{LevelProfile, Profile, bytes_text};
use kyma_worker::Progress;
use serde_json::Value as Json;

use crate::client::Column;

/// Widest table when the terminal does not say how wide it is.
const WIDTH: u16 = 160;
/// Width of a profile when it is not printed on a terminal.
const STDERR_WIDTH: u16 = 100;
/// More columns than this, and a lone row stands upright.
const UPRIGHT_COLUMNS: usize = 10;

/// Time between looks at how far the work is.
const PROGRESS_PERIOD: std::time::Duration = std::time::Duration::from_millis(200);

/// Does the work and shows meanwhile how far it is; a bar only on a terminal.
pub(crate) async fn with_progress<T>(progress: &Progress, work: impl Future<Output = T>) -> T {
    let bar = ProgressBar::new(0);
    bar.set_style(crate::commands::ingest::style("{msg:20} {bar:30} {pos}/{len} {per_sec}"));
    let mut ticks = tokio::time::interval(PROGRESS_PERIOD);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                bar.finish_and_clear();
                return done;
            }
            _ = ticks.tick() => {
                let (stage, done, total) = progress.now();
                bar.set_message(stage);
                bar.set_length(total.max(done));
                bar.set_position(done);
            }
        }
    }
}

/// Rows as a table with borders; numbers stand right.
pub(crate) fn table(columns: &[Column], rows: &[Vec<Json>]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    table.set_header(columns.iter().map(|column| &column.name));
    for row in rows {
        table.add_row(row.iter().map(cell));
    }
    for (nth, column) in columns.iter().enumerate() {
        if matches!(column.ty.as_str(), "int" | "long" | "real" | "decimal")
            && let Some(column) = table.column_mut(nth)
        {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    table.to_string()
}

/// Rows as a table, or a lone row of many columns as a column of its own: name and value per line.
pub(crate) fn rows(columns: &[Column], rows: &[Vec<Json>]) -> String {
    match rows {
        [row] if columns.len() > UPRIGHT_COLUMNS => {
            let upright = columns.iter().zip(row).map(|(column, value)| vec![Json::from(&*column.name), value.clone()]);
            let heads = ["column", "value"].map(|name| Column { name: name.to_owned(), ty: "string".to_owned() });
            table(&heads, &upright.collect::<Vec<_>>())
        }
        _ => table(columns, rows),
    }
}

/// A value without quotes; control characters would move the cursor and are shown as spaces.
pub(crate) fn cell(value: &Json) -> String {
    let text = match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// A value as a field of CSV.
pub(crate) fn csv_field(value: &Json) -> String {
    let text = match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// What a query cost, level by level, in few lines; [`crate::waterfall`] says it in full.
pub(crate) fn profile(profile: &Profile) -> String {
    let time = |micros: u64| format!("{:.1} ms", micros as f64 / 1e3);
    let mut lines = vec![
        level("catalog", "extents", &profile.catalog),
        level("footers", "extents", &profile.extents),
        level("blocks", "blocks", &profile.blocks),
    ];
    if profile.metadata_answers > 0 {
        lines.push(format!("  metadata  {} extents answered without data", profile.metadata_answers));
    }
    lines.push(format!(
        "  rows      {} scanned, {} matched, {} returned",
        profile.rows_scanned, profile.rows_matched, profile.rows_returned
    ));
    lines.push(format!(
        "  store     {} in {} requests; cache {} in {} hits",
        bytes_text(profile.store_bytes),
        profile.store_requests,
        bytes_text(profile.cache_bytes),
        profile.cache_hits
    ));
    lines.push(format!(
        "  time      parse {}, plan {}, run {}",
        time(profile.parse_micros),
        time(profile.plan_micros),
        time(profile.execute_micros)
    ));
    lines.join("\n")
}

fn level(name: &str, unit: &str, level: &LevelProfile) -> String {
    let by = |(reason, count): (&kyma_core::prune::Reason, &u64)| format!("{count} by {}", reason.as_str());
    let reasons: Vec<String> = level.pruned.iter().map(by).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    format!("  {name:<9} {} {unit}: {} pruned{reasons}, {} kept", level.considered, level.pruned_total(), level.kept)
}

/// Characters that a line on standard error may have.
pub(crate) fn stderr_width() -> usize {
    Table::new().use_stderr().width().map_or(usize::from(STDERR_WIDTH), usize::from)
}

/// An error with its causes, each once, and the hint of one of kyma's own.
pub(crate) fn error_text(error: &anyhow::Error) -> String {
    let mut lines = vec![format!("kyma: {error}")];
    let mut hint = None;
    for cause in error.chain() {
        let text = cause.to_string();
        if !lines.iter().any(|line| line.contains(&text)) {
            lines.push(format!("  because {text}"));
        }
        if let Some(own) = cause.downcast_ref::<kyma_core::Error>() {
            hint = hint.or(own.hint_text());
        }
    }
    lines.extend(hint.map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_why_and_what_to_do() {
        let inner = kyma_core::Error::unavailable("catalog.down", "the catalog does not answer").hint("start it");
        let error = anyhow::Error::new(inner).context("kyma cannot start");
        assert_eq!(
            error_text(&error),
            "kyma: kyma cannot start\n  because the catalog does not answer\nhint: start it"
        );
    }

    #[test]
    fn a_lone_wide_row_stands_upright() {
        let columns: Vec<Column> =
            (0..11).map(|nth| Column { name: format!("c{nth}"), ty: "long".to_owned() }).collect();
        let row: Vec<Json> = (0..11).map(|nth| Json::from(nth * 7)).collect();
        let shown = rows(&columns, std::slice::from_ref(&row));
        assert!(shown.contains("│ c10    ┆ 70    │"), "{shown}");
        assert!(!rows(&columns, &[row.clone(), row]).contains("column"));
    }

    #[test]
    fn fields_and_cells() {
        assert_eq!(csv_field(&Json::from("a,\"b\"")), "\"a,\"\"b\"\"\"");
        assert_eq!(cell(&Json::from("a\x1b[31m")), "a [31m");
    }
}
