//! The states of the steps, and what a row does to them.

use std::rc::Rc;

use kyma_core::{Error, Result, Value};
use kyma_plan::table::StepOutput;

use super::lean::{Columns, Entry, Frame};
use super::{Match, Step};
use crate::EvalContext;
use crate::limits::SCAN_ROWS_MAX;

/// The state of a step: the sequence that has come as far as it.
struct Sequence {
    /// By step, up to this one.
    rows: Vec<Option<Entry>>,
    number: i64,
    /// The step's last match, where only that comes out.
    held: Option<Match>,
}

/// Runs the steps over rows.
pub(super) struct Machine<'a> {
    steps: &'a [Step],
    columns: &'a Columns,
    context: &'a EvalContext,
    /// By step.
    states: Vec<Option<Sequence>>,
    sequences: i64,
    pub(super) matches: Vec<Match>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(steps: &'a [Step], columns: &'a Columns, context: &'a EvalContext) -> Self {
        Machine { steps, columns, context, states: Vec::new(), sequences: 0, matches: Vec::new() }
    }

    /// Runs over the rows of one stream, in order, from empty states.
    pub(super) fn stream(&mut self, rows: &[u32]) -> Result<()> {
        self.states = self.steps.iter().map(|_| None).collect();
        for row in rows {
            for at in (0..self.steps.len()).rev() {
                self.step(at, *row)?;
            }
        }
        let held = self.states.iter_mut().flatten().filter_map(|state| state.held.take());
        let mut held: Vec<Match> = held.collect();
        held.sort_by_key(|found| found.row);
        held.into_iter().try_for_each(|found| self.give(found))
    }

    fn step(&mut self, at: usize, row: u32) -> Result<()> {
        if let Some(before) = at.checked_sub(1)
            && self.states[before].is_some()
            && self.holds(at, row, before)?
        {
            return self.promote(before, at, row);
        }
        if (at == 0 || self.states[at].is_some()) && self.holds(at, row, at)? {
            self.matched(at, row)?;
        }
        Ok(())
    }

    /// Whether a step's condition holds over the state of `of`.
    fn holds(&self, at: usize, row: u32, of: usize) -> Result<bool> {
        let state = self.states[of].as_ref().map_or(&[][..], |state| &state.rows);
        let frame = Frame { row, declared: &self.columns.defaults, state };
        self.steps[at].condition.holds(self.columns, &frame, self.context)
    }

    /// Moves a state one step on, then the row matches there.
    fn promote(&mut self, before: usize, at: usize, row: u32) -> Result<()> {
        // What the step had ends here.
        if let Some(held) = self.states[at].take().and_then(|state| state.held) {
            self.give(held)?;
        }
        if let Some(mut state) = self.states[before].take() {
            if let Some(held) = state.held.take() {
                self.give(held)?;
            }
            self.states[at] = Some(state);
        }
        self.matched(at, row)
    }

    /// A row matches over the step's own state, which begins here where there is none.
    fn matched(&mut self, at: usize, row: u32) -> Result<()> {
        let mut state = match self.states[at].take() {
            Some(state) => state,
            None => {
                self.sequences += 1;
                Sequence { rows: Vec::new(), number: self.sequences - 1, held: None }
            }
        };
        let declared = self.assigned(at, row, &state)?;
        state.rows.resize(at + 1, None);
        state.rows[at] = Some((row, Rc::clone(&declared)));
        let found = Match { row, declared, sequence: state.number };
        match self.steps[at].output {
            StepOutput::All => self.give(found)?,
            StepOutput::Last => state.held = Some(found),
            StepOutput::None => {}
        }
        self.states[at] = Some(state);
        Ok(())
    }

    /// The declared columns after a step's assignments.
    fn assigned(&self, at: usize, row: u32, state: &Sequence) -> Result<Rc<[Value]>> {
        let mut declared = self.columns.defaults.clone();
        for (column, expr) in &self.steps[at].assignments {
            let frame = Frame { row, declared: &declared, state: &state.rows };
            let value = expr.value(self.columns, &frame, self.context)?;
            if let Some(place) = declared.get_mut(*column) {
                *place = value;
            }
        }
        Ok(declared.into())
    }

    fn give(&mut self, found: Match) -> Result<()> {
        if self.matches.len() >= SCAN_ROWS_MAX {
            let text = format!("scan gives more rows than the limit: limit={SCAN_ROWS_MAX}");
            return Err(Error::exhausted("query.scan_rows", text).hint("filter before scan, or use output=none"));
        }
        self.matches.push(found);
        Ok(())
    }
}
