//! Which cells there are.

use std::fmt;

use kyma_core::failpoint::Point;

/// How a node fails at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Mode {
    /// `kill -9`, then a new process.
    Kill,
    /// The thread panics.
    Panic,
    /// The step fails.
    Error,
    /// The process is stopped for a minute, then goes on as if nothing had been.
    Stop,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 4] = [Mode::Kill, Mode::Panic, Mode::Error, Mode::Stop];

    /// Its name, as in `KYMA_FAILPOINTS`.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Kill => "kill",
            Mode::Panic => "panic",
            Mode::Error => "error",
            Mode::Stop => "stop",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One cell.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Where.
    pub point: Point,
    /// How.
    pub mode: Mode,
}

impl Cell {
    /// What the node's environment says.
    pub fn failpoints(self) -> String {
        let (at, before) = reach(self.point);
        format!("{before}{}={}@{at}", self.point.name(), self.mode)
    }
}

/// At which reach a point fails, so that something is stored already, and what must happen for it to be reached at all.
fn reach(point: Point) -> (u32, &'static str) {
    match point {
        Point::IngestTableMade => (1, ""),
        Point::OutcomeBeforeAsk | Point::OutcomeAfterAsk => (1, "commit.after_commit=error@4;"),
        // A lease is renewed when work takes longer than a third of it.
        Point::TaskBeforeRenew => (1, "garbage.before_doom=pause@1;garbage.after_doom=pause@1;"),
        point if point.name().starts_with("delete.") => (1, ""),
        point if point.name().starts_with("ingest.") => (5, ""),
        point if point.name().starts_with("store.") || point.name().starts_with("commit.") => (5, ""),
        _ => (2, ""),
    }
}

/// Every cell of the points and modes wanted, point by point.
pub fn cells(points: &[Point], modes: &[Mode]) -> Vec<Cell> {
    points.iter().flat_map(|point| modes.iter().map(|mode| Cell { point: *point, mode: *mode })).collect()
}

/// Some of the cells, evenly over all of them.
pub fn sample(cells: &[Cell], count: usize) -> Vec<Cell> {
    let count = count.min(cells.len());
    // An odd step meets every mode, also when there are as many cells per point as modes.
    let step = (cells.len() / count.max(1)).max(1) | 1;
    let mut taken: Vec<usize> = Vec::new();
    let mut place = 0;
    while taken.len() < count {
        while taken.contains(&place) {
            place = (place + 1) % cells.len();
        }
        taken.push(place);
        place = (place + step) % cells.len();
    }
    taken.into_iter().filter_map(|place| cells.get(place).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_at_least_twenty_points_and_a_sample_has_every_mode() {
        assert!(Point::ALL.len() >= 20);
        let cells = cells(Point::ALL, &Mode::ALL);
        assert_eq!(cells.len(), 4 * Point::ALL.len());
        let some = sample(&cells, 6);
        assert_eq!(some.len(), 6);
        assert!(Mode::ALL.iter().all(|mode| some.iter().any(|cell| cell.mode == *mode)));
        assert_eq!(sample(&cells, 10_000).len(), cells.len());
    }

    #[test]
    fn every_cell_arms_what_is_understood() {
        let text: Vec<String> = cells(Point::ALL, &Mode::ALL).into_iter().map(|cell| cell.failpoints()).collect();
        kyma_core::failpoint::arm(&text.join(";")).unwrap();
    }
}
