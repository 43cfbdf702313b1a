//! A profile as people read it: when phases ran, what each level of the cascade kept, what each operator did, what it
//! cost.
//!
//! Four parts, each with bars: phases share one time axis; a level's bar is what it kept of what it considered; an
//! operator's bar is its share of the slowest one's time. Plain Unicode without colours, so that it reads the same in a
//! file.

use std::fmt::Write;

use kyma_core::profile::{LevelProfile, OperatorProfile, Phase, PhaseName, Profile, bytes_text};

/// Widths that a rendering keeps to, in characters.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=160;
/// Width of what stands before a phase's or a level's bar.
const HEAD: usize = 34;
/// Width of an operator's rows, and of a time.
const NUMBER: usize = 11;
/// Bars in eighths of a character.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The profile in lines whose bars end within `width` characters.
pub(crate) fn render(profile: &Profile, width: usize) -> String {
    let width = width.clamp(*WIDTHS.start(), *WIDTHS.end());
    let mut text = String::new();
    phases(profile, width, &mut text);
    cascade(profile, width, &mut text);
    operators(&profile.operators, width, &mut text);
    costs(profile, &mut text);
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn phases(profile: &Profile, width: usize, text: &mut String) {
    let end = profile.phases.iter().map(|phase| phase.start_micros + phase.micros).max().unwrap_or(0);
    let total = end.max(profile.total_micros()).max(1);
    let axis = width - HEAD;
    let last = time(total);
    line(text, &format!("{:<HEAD$}0{last:>1$}", "time", axis - 1));
    for phase in &profile.phases {
        let Phase { name, start_micros, micros } = phase;
        let indent = if *name == PhaseName::Prune { "  " } else { "" };
        let head = format!("  {indent}{}", name.as_str());
        let before = " ".repeat(scaled(*start_micros, total, axis).min(axis - 1));
        let bar = bar(*micros, total, axis - before.len());
        line(text, &format!("{head:<20}{:>NUMBER$}   {before}{bar}", time(*micros)));
    }
}

fn cascade(profile: &Profile, width: usize, text: &mut String) {
    line(text, "\ncascade");
    let space = (width - HEAD) / 3;
    level("catalog", "extents", &profile.catalog, space, text);
    level("extents", "extents", &profile.extents, space, text);
    level("blocks", "blocks", &profile.blocks, space, text);
    let Profile { rows_total, rows_scanned, rows_matched, rows_returned, .. } = *profile;
    let of = rows_total.max(rows_scanned).max(rows_matched);
    let what = format!("{rows_scanned} scanned, {rows_matched} matched, {rows_returned} returned");
    share("rows", &format!("{of} rows"), (rows_scanned.max(rows_matched), of), &what, space, text);
    if profile.metadata_answers > 0 {
        line(text, &format!("  {} extents answered from metadata, unread", profile.metadata_answers));
    }
}

fn level(name: &str, unit: &str, level: &LevelProfile, space: usize, text: &mut String) {
    let mut what = format!("{} kept", level.kept);
    for (reason, count) in &level.pruned {
        // Writing to a string does not fail.
        let _ = write!(what, ", {count} by {}", reason.as_str());
    }
    share(name, &format!("{} {unit}", level.considered), (level.kept, level.considered), &what, space, text);
}

/// A line with what remained of a whole: `█` remained, `░` fell.
fn share(name: &str, of: &str, (part, whole): (u64, u64), what: &str, space: usize, text: &mut String) {
    let filled = if part == 0 { 0 } else { scaled(part, whole.max(1), space).clamp(1, space) };
    let empty = if whole == 0 { 0 } else { space - filled };
    let bar = format!("{}{}", "█".repeat(filled), "░".repeat(empty));
    line(text, &format!("  {name:<9}{of:>20}   {bar:<space$} {what}"));
}

fn operators(operators: &[OperatorProfile], width: usize, text: &mut String) {
    if operators.is_empty() {
        return;
    }
    let space = width / 5;
    let label_width = width - space - 2 * NUMBER - 1;
    line(text, &format!("\n{:<label_width$}{:>NUMBER$}{:>NUMBER$}", "operators", "rows", "time"));
    let slowest = operators.iter().filter_map(|operator| operator.compute_micros).max().unwrap_or(0).max(1);
    for operator in operators {
        let label = cut(&label(operator), label_width - 1);
        let rows = operator.rows.map_or_else(String::new, |rows| rows.to_string());
        let took = operator.compute_micros.map_or_else(String::new, time);
        let bar = bar(operator.compute_micros.unwrap_or(0), slowest, space);
        line(text, &format!("{label:<label_width$}{rows:>NUMBER$}{took:>NUMBER$} {bar}"));
    }
}

fn label(operator: &OperatorProfile) -> String {
    let OperatorProfile { name, detail, depth, spilled_bytes, .. } = operator;
    let spilled = match spilled_bytes {
        0 => String::new(),
        bytes => format!(" (spilled {})", bytes_text(*bytes)),
    };
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    format!("  {}{name}{spilled}{detail}", "  ".repeat(*depth as usize))
}

fn costs(profile: &Profile, text: &mut String) {
    let scan = &profile.scan;
    line(
        text,
        &format!(
            "\nscans   footers {}, pruning {}, reading {}, waiting for bytes {}",
            time(scan.footer_micros),
            time(scan.prune_micros),
            time(scan.read_micros),
            time(scan.wait_micros)
        ),
    );
    line(
        text,
        &format!(
            "store   {} requests, {}, ${:.7}; cache {} hits, {}",
            profile.store_requests,
            bytes_text(profile.store_bytes),
            profile.store_dollars,
            profile.cache_hits,
            bytes_text(profile.cache_bytes)
        ),
    );
    let (peak, spilled) = (bytes_text(profile.memory_peak_bytes), bytes_text(profile.spilled_bytes));
    line(text, &format!("memory  {peak} at most, {spilled} spilled"));
}

/// `part` of `whole` as a number of `width` characters, rounded down.
fn scaled(part: u64, whole: u64, width: usize) -> usize {
    (part as f64 / whole as f64 * width as f64) as usize
}

/// A bar for `part` of `whole`; what is not nothing is seen.
fn bar(part: u64, whole: u64, width: usize) -> String {
    if part == 0 {
        return String::new();
    }
    let eighths = scaled(part, whole, width * 8).clamp(1, width * 8);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

fn time(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

/// The text in at most `width` characters.
fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kyma_core::profile::ScanProfile;
    use kyma_core::prune::Reason;

    use super::*;

    fn profile() -> Profile {
        let phase = |name, start_micros, micros| Phase { name, start_micros, micros };
        let operator = |name: &str, detail: &str, depth, rows, compute_micros| OperatorProfile {
            name: name.to_owned(),
            detail: detail.to_owned(),
            depth,
            rows,
            compute_micros,
            ..OperatorProfile::default()
        };
        Profile {
            catalog: LevelProfile {
                considered: 12,
                kept: 3,
                pruned: BTreeMap::from([(Reason::Time, 8), (Reason::Bounds, 1)]),
            },
            extents: LevelProfile { considered: 3, kept: 3, pruned: BTreeMap::new() },
            blocks: LevelProfile { considered: 30, kept: 10, pruned: BTreeMap::from([(Reason::Terms, 20)]) },
            rows_total: 120_000,
            rows_scanned: 10_000,
            rows_matched: 250,
            rows_returned: 20,
            store_requests: 14,
            store_bytes: 1_258_291,
            store_dollars: 0.000_005_6,
            cache_hits: 3,
            cache_bytes: 20_480,
            memory_peak_bytes: 2 << 20,
            parse_micros: 1_000,
            plan_micros: 3_000,
            execute_micros: 8_000,
            phases: vec![
                phase(PhaseName::Snapshot, 0, 800),
                phase(PhaseName::Parse, 800, 200),
                phase(PhaseName::Plan, 1_000, 3_000),
                phase(PhaseName::Prune, 1_500, 2_000),
                phase(PhaseName::Execute, 4_000, 8_000),
            ],
            scan: ScanProfile { footer_micros: 200, prune_micros: 100, read_micros: 5_000, wait_micros: 4_000 },
            operators: vec![
                operator(
                    "top",
                    "TopK(fetch=20), expr=[Timestamp DESC], a long detail that is cut",
                    0,
                    Some(20),
                    Some(90),
                ),
                operator("gather", "", 1, None, None),
                OperatorProfile {
                    spilled_bytes: 4_096,
                    ..operator("scan", "extents of default.Logs: 3", 2, Some(250), Some(5_400))
                },
            ],
            ..Profile::default()
        }
    }

    #[test]
    fn a_waterfall() {
        let shown = render(&profile(), 100);
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
        assert_eq!(shown, EXPECTED, "\n{shown}");
    }

    const EXPECTED: &str = "\
time                              0                                                          12.0 ms
  snapshot               800 µs   ████▍
  parse                  200 µs       █
  plan                   3.0 ms        ███████████████▎
    prune                2.0 ms           █████████▋
  execute                8.0 ms                         █████████████████████████████▎

cascade
  catalog            12 extents   █████░░░░░░░░░░░░░░░░░ 3 kept, 8 by time, 1 by bounds
  extents             3 extents   ██████████████████████ 3 kept
  blocks              30 blocks   ███████░░░░░░░░░░░░░░░ 10 kept, 20 by terms
  rows              120000 rows   █░░░░░░░░░░░░░░░░░░░░░ 10000 scanned, 250 matched, 20 returned

operators                                                       rows       time
  top: TopK(fetch=20), expr=[Timestamp DESC], a long de…          20      90 µs ▎
    gather
      scan (spilled 4.0 KiB): extents of default.Logs: 3         250     5.4 ms ████████████████████

scans   footers 200 µs, pruning 100 µs, reading 5.0 ms, waiting for bytes 4.0 ms
store   14 requests, 1.2 MiB, $0.0000056; cache 3 hits, 20.0 KiB
memory  2.0 MiB at most, 0 B spilled
";

    #[test]
    fn narrow_and_empty_profiles_are_shown_too() {
        let narrow = render(&profile(), 10);
        let bars = narrow.lines().filter(|line| line.contains('█')).count();
        assert!(bars >= 5, "{narrow}");
        let empty = render(&Profile::default(), 100);
        assert!(empty.contains("store   0 requests") && !empty.contains('█'), "{empty}");
    }

    #[test]
    fn what_is_not_nothing_is_seen() {
        assert_eq!((bar(0, 10, 4).as_str(), bar(1, 1_000_000, 4).as_str()), ("", "▏"));
        assert_eq!((bar(10, 10, 4).as_str(), bar(5, 10, 3).as_str()), ("████", "█▌"));
        assert_eq!((time(7), time(1_500), time(2_000_000)), ("7 µs".into(), "1.5 ms".into(), "2.00 s".into()));
    }
}
