//! `scan`: sequences of rows, found by steps that look at the row at hand and at the rows that matched before.
//!
//! Steps are tried from the last to the first. Each keeps a state: the last row that matched it and, of the sequence it is
//! in, the last rows of the steps before it. For a row and step `k`:
//!
//! 1. If step `k - 1` has a state and the condition holds over it, that state moves to step `k` (what `k` had is gone), and
//!    the row matches.
//! 2. Otherwise, if step `k` has a state or is the first, and the condition holds over it, the row matches; it takes the
//!    place of the row that step `k` had. The first step begins a sequence where it has none.
//!
//! Then the row goes on to step `k - 1`, whether it matched or not.

use kyma_core::{Column, Value};

use crate::expr::Expr;

/// The parameters of a `scan`.
///
/// Its expressions are over these columns: the input's (`w`), the declared ones (`d`) with what the step has assigned so
/// far, and for each step the same `w + d` columns of its row in the state, null (or the declared default) where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Places of the input columns that tell one stream from another; each stream is scanned alone.
    pub partition: Vec<usize>,
    /// Columns that steps assign, which follow the input's in the output.
    pub declared: Vec<ScanColumn>,
    /// Whether a last output column numbers the sequences, from zero.
    pub match_id: bool,
    /// In the order written.
    pub steps: Vec<ScanStep>,
}

/// A column that steps assign.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanColumn {
    /// Its name and type.
    pub column: Column,
    /// Its value where a step does not assign it.
    pub default: Value,
}

/// A step of a `scan`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanStep {
    /// Its name.
    pub name: String,
    /// Which of its matches come out.
    pub output: StepOutput,
    /// What a row must meet.
    pub condition: Expr,
    /// Declared columns, by their place among those, with what they become, in order.
    pub assignments: Vec<(usize, Expr)>,
}

/// Which matches of a step come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutput {
    /// Every one.
    All,
    /// The last before the sequence leaves the step.
    Last,
    /// None.
    None,
}

impl Scan {
    /// Every expression, for what must be put into them before the scan runs.
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let mut exprs = Vec::new();
        for step in &mut self.steps {
            exprs.push(&mut step.condition);
            exprs.extend(step.assignments.iter_mut().map(|(_, expr)| expr));
        }
        exprs
    }
}
