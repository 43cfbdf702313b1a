//! What was sent, what was acknowledged, and what was seen to be wrong.

use std::collections::{BTreeMap, HashMap, HashSet};

use parking_lot::Mutex;

/// Kept by everybody who takes part in a cell.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sent: HashSet<i64>,
    acked: HashSet<i64>,
    acks: u64,
    failures: BTreeMap<String, u64>,
    violations: Vec<String>,
}

/// Violations that are kept; more are only counted in the last one.
const VIOLATIONS_MAX: usize = 20;

impl Ledger {
    /// Rows are about to be sent for the first time.
    pub fn sent(&self, ids: &[i64]) {
        self.state.lock().sent.extend(ids);
    }

    /// Rows were acknowledged.
    pub fn acked(&self, ids: &[i64]) {
        let mut state = self.state.lock();
        state.acked.extend(ids);
        state.acks += 1;
    }

    /// A request failed as it may.
    pub fn failed(&self, how: &str) {
        *self.state.lock().failures.entry(how.to_owned()).or_default() += 1;
    }

    /// Something is wrong that never may be.
    pub fn violated(&self, what: String) {
        let mut state = self.state.lock();
        if state.violations.len() < VIOLATIONS_MAX && !state.violations.contains(&what) {
            state.violations.push(what);
        }
    }

    /// Acknowledgements so far.
    pub fn acks(&self) -> u64 {
        self.state.lock().acks
    }

    /// What was acknowledged so far.
    pub fn acked_now(&self) -> HashSet<i64> {
        self.state.lock().acked.clone()
    }

    /// What was seen to be wrong.
    pub fn violations(&self) -> Vec<String> {
        self.state.lock().violations.clone()
    }

    /// How requests failed, and how often.
    pub fn failures(&self) -> BTreeMap<String, u64> {
        self.state.lock().failures.clone()
    }

    /// Compares an answer with what was acknowledged before it was asked for: each acknowledged row is there, no row is
    /// there twice, and none that was never sent.
    pub fn compare(&self, acked_before: &HashSet<i64>, answer: &[i64], when: &str) {
        let mut counts: HashMap<i64, u32> = HashMap::new();
        for id in answer {
            *counts.entry(*id).or_default() += 1;
        }
        let lost = acked_before.iter().filter(|id| !counts.contains_key(id)).count();
        let doubled = counts.values().filter(|count| **count > 1).count();
        let unknown = {
            let state = self.state.lock();
            counts.keys().filter(|id| !state.sent.contains(id)).count()
        };
        for (count, what) in
            [(lost, "acked rows are lost"), (doubled, "rows are doubled"), (unknown, "rows were never sent")]
        {
            if count > 0 {
                self.violated(format!(
                    "{count} {what} ({when}; {} acked, {} answered)",
                    acked_before.len(),
                    answer.len()
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_doubled_or_made_up_is_seen() {
        let check = |answer: &[i64]| {
            let ledger = Ledger::default();
            ledger.sent(&[1, 2, 3]);
            ledger.acked(&[1, 2]);
            ledger.compare(&ledger.acked_now(), answer, "test");
            ledger.violations().len()
        };
        assert_eq!([check(&[1, 2]), check(&[1, 2, 3])], [0, 0], "a row that is not acked may be there or not");
        assert_eq!([check(&[1]), check(&[1, 2, 2]), check(&[1, 2, 9]), check(&[9, 9])], [1, 1, 1, 3]);
    }
}
