//! The table that a run prints.

use std::fmt::Write as _;

use crate::cell::Report;
use crate::plan::Mode;

/// Points by modes, what went wrong, and the sum.
pub fn text(reports: &[Report]) -> String {
    let mut points: Vec<&'static str> = Vec::new();
    for report in reports {
        let name = report.cell.point.name();
        if !points.contains(&name) {
            points.push(name);
        }
    }
    let mut text = format!("{:26}", "point");
    for mode in Mode::ALL {
        let _ = write!(text, "{mode:>16}");
    }
    text.push('\n');
    for point in points {
        let _ = write!(text, "{point:26}");
        for mode in Mode::ALL {
            let report = reports.iter().find(|report| report.cell.point.name() == point && report.cell.mode == mode);
            let _ = write!(text, "{:>16}", report.map_or_else(|| "-".to_owned(), cell_text));
        }
        text.push('\n');
    }
    let broken: Vec<&Report> = reports.iter().filter(|report| !report.violations.is_empty()).collect();
    for report in &broken {
        let _ = writeln!(text, "\n{} {}:", report.cell.point.name(), report.cell.mode);
        for violation in &report.violations {
            let _ = writeln!(text, "  {violation}");
        }
    }
    let rows: usize = reports.iter().map(|report| report.rows).sum();
    let _ = writeln!(text, "\ncells: {}  rows counted: {rows}  violations: {}", reports.len(), broken.len());
    text
}

fn cell_text(report: &Report) -> String {
    let word = if report.violations.is_empty() { "ok" } else { "VIOLATION" };
    format!("{word} {:.0} s", report.took.as_secs_f64())
}
