//! Rows that are deleted on purpose, and their neighbours that must stay.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use serde_json::Value;

/// The text of a row that stays.
pub const KEEP: &str = "keep";
/// The text of a row that is deleted.
pub const ERASE: &str = "erase";

/// What was written to the table that rows are deleted from, and deleted from it.
#[derive(Debug, Default)]
pub struct Deletions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    acked: BTreeSet<i64>,
    /// All rows to erase with an id up to this are named by a deletion that was accepted.
    erased_to: Option<i64>,
}

impl Deletions {
    /// Both rows of this id were acknowledged.
    pub fn acked(&self, id: i64) {
        self.0.lock().acked.insert(id);
    }

    /// The rows to erase with ids up to this one are as good as gone.
    pub fn accepted(&self, id: i64) {
        let mut state = self.0.lock();
        state.erased_to = state.erased_to.max(Some(id));
    }

    /// What is wrong with the rows, each an id and a text, that are there when all deletions have ended.
    pub fn check(&self, rows: &[Value]) -> Vec<String> {
        let mut counts: BTreeMap<(i64, &str), u32> = BTreeMap::new();
        for row in rows {
            *counts.entry((row[0].as_i64().unwrap_or(-1), row[1].as_str().unwrap_or_default())).or_default() += 1;
        }
        let state = self.0.lock();
        let lost = state.acked.iter().filter(|id| !counts.contains_key(&(**id, KEEP))).count();
        let doubled = counts.values().filter(|count| **count > 1).count();
        let named = |id: i64| state.erased_to.is_some_and(|to| id <= to) && state.acked.contains(&id);
        let undead = counts.keys().filter(|(id, text)| *text == ERASE && named(*id)).count();
        [(lost, "rows beside deleted ones are lost"), (doubled, "rows are doubled"), (undead, "deleted rows are there")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what} in the table of deletions"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_lost_doubled_or_still_there_is_seen() {
        let deletions = Deletions::default();
        (1..=3).for_each(|id| deletions.acked(id));
        deletions.accepted(2);
        let kept = [json!([1, KEEP]), json!([2, KEEP]), json!([3, KEEP])];
        let check = |more: &[Value]| deletions.check(&[&kept, more].concat()).len();
        assert_eq!([check(&[]), check(&[json!([3, ERASE])]), check(&[json!([4, ERASE])])], [0, 0, 0]);
        assert_eq!([check(&[json!([2, ERASE])]), check(&[json!([1, KEEP])])], [1, 1]);
        assert_eq!(deletions.check(&kept[1..]).len(), 1);
    }
}
