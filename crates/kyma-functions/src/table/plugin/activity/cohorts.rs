//! `activity_metrics` and `new_activity_metrics`: who comes back.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch};
use kyma_core::{Error, Result};

use super::{Bins, Event, Events, Figure, Found, PluginCall, optional_span, span};

/// The ids of every bin, by bin.
fn ids_by_bin(group: &[Event], bins: Bins) -> BTreeMap<i64, HashSet<u32>> {
    let mut ids: BTreeMap<i64, HashSet<u32>> = BTreeMap::new();
    group.iter().for_each(|event| {
        ids.entry(bins.of(event.at)).or_default().insert(event.id);
    });
    ids
}

fn share(part: usize, whole: usize) -> Figure {
    Figure::Ratio(part as f64 / whole as f64)
}

/// Constants: start, end (may be null), window. Per window: ids, new ids, the share of the last window's ids that are here again,
/// and of those that are not; NaN where there was no last window.
pub(in crate::table::plugin) fn activity_metrics(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let (start, end, width) = (optional_span(call, 0)?, optional_span(call, 1)?, span(call, 2)?);
    let events = Events::of(call, start, end)?;
    let bins = Bins::new(start.map_or(events.origin(), i128::from), width)?;
    let mut found = Found::default();
    for group in events.groups() {
        let ids = ids_by_bin(group, bins);
        let (mut known, nobody) = (HashSet::new(), HashSet::new());
        for (bin, here) in &ids {
            let before = bin.checked_sub(width).and_then(|before| ids.get(&before)).unwrap_or(&nobody);
            let again = here.intersection(before).count();
            let fresh = here.iter().filter(|id| known.insert(**id)).count();
            let counts = [Figure::Count(here.len()), Figure::Count(fresh)];
            let rates = [share(again, before.len()), share(before.len() - again, before.len())];
            found.push(group[0].group, [*bin], [counts[0], counts[1], rates[0], rates[1]]);
        }
    }
    found.batch(call, &events)
}

/// Constants: start, end, window, cohort (may be null: every one). The last column tells ids that are not new. For every window
/// (only that of the cohort) and each later one: the ids that were new in the first, how many of them are there in the second, how
/// many are not, and both as shares.
pub(in crate::table::plugin) fn new_activity_metrics(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let (start, end, width) = (optional_span(call, 0)?, optional_span(call, 1)?, span(call, 2)?);
    let Some((known, columns)) = call.table.input(0)?.columns().split_last() else {
        return Err(Error::internal("new_activity_metrics() lacks its columns"));
    };
    let known = known.as_boolean_opt().ok_or_else(|| Error::internal("new_activity_metrics() wants a flag last"))?;
    let events = Events::from_columns(call, columns, start, end)?;
    let bins = Bins::new(start.map_or(events.origin(), i128::from), width)?;
    let cohort = optional_span(call, 3)?.map(|cohort| bins.of(cohort));
    let is_old = |event: &Event| known.is_valid(event.row as usize) && known.value(event.row as usize);
    let mut found = Found::default();
    for group in events.groups() {
        let old: HashSet<u32> = group.iter().filter(|event| is_old(event)).map(|event| event.id).collect();
        for ([from, to], [fresh, here]) in retained(&ids_by_bin(group, bins), &old, cohort) {
            let counts = [fresh, here, fresh - here].map(Figure::Count);
            let figures = [counts[0], counts[1], counts[2], share(here, fresh), share(fresh - here, fresh)];
            found.push(group[0].group, [from, to], figures);
        }
    }
    found.batch(call, &events)
}

/// Per window and later window: how many ids were new in the first, and how many of these are there in the second.
fn retained(ids: &BTreeMap<i64, HashSet<u32>>, old: &HashSet<u32>, cohort: Option<i64>) -> Vec<([i64; 2], [usize; 2])> {
    let mut first: HashMap<u32, i64> = HashMap::new();
    let mut fresh: BTreeMap<i64, usize> = BTreeMap::new();
    let mut again: HashMap<(i64, i64), usize> = HashMap::new();
    for (bin, here) in ids {
        for id in here.difference(old) {
            let from = *first.entry(*id).or_insert(*bin);
            *fresh.entry(from).or_default() += usize::from(from == *bin);
            *again.entry((from, *bin)).or_default() += 1;
        }
    }
    let mut found = Vec::new();
    for (from, fresh) in fresh.into_iter().filter(|(from, _)| cohort.is_none_or(|cohort| cohort == *from)) {
        for (to, _) in ids.range(from..) {
            let here = again.get(&(from, *to)).copied().unwrap_or_default();
            found.push(([from, *to], [fresh, here]));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every pair of windows, with ids looked for in all windows before.
    fn slowly(
        ids: &BTreeMap<i64, HashSet<u32>>,
        old: &HashSet<u32>,
        cohort: Option<i64>,
    ) -> Vec<([i64; 2], [usize; 2])> {
        let mut found = Vec::new();
        for from in ids.keys().filter(|from| cohort.is_none() || cohort == Some(**from)) {
            let is_new = |id: &&u32| !old.contains(*id) && ids.iter().all(|(bin, at)| bin >= from || !at.contains(*id));
            let fresh: Vec<&u32> = ids[from].iter().filter(is_new).collect();
            for to in ids.keys().filter(|to| *to >= from && !fresh.is_empty()) {
                let here = fresh.iter().filter(|id| ids[to].contains(**id)).count();
                found.push(([*from, *to], [fresh.len(), here]));
            }
        }
        found
    }

    #[test]
    fn old_ids_are_not_new_and_a_cohort_is_one_window() {
        let ids = BTreeMap::from([(0, HashSet::from([1, 2, 3])), (7, HashSet::from([2, 4])), (14, HashSet::from([3]))]);
        let old = HashSet::from([3]);
        let expected = vec![([0, 0], [2, 2]), ([0, 7], [2, 1]), ([0, 14], [2, 0])];
        assert_eq!(retained(&ids, &old, Some(0)), expected);
        assert_eq!(retained(&ids, &old, Some(14)), vec![]);
    }

    proptest! {
        #[test]
        fn retained_is_what_pairs_of_windows_give(
            ids in proptest::collection::btree_map(0..6_i64, proptest::collection::hash_set(0..8_u32, 1..6), 0..6),
            old in proptest::collection::hash_set(0..8_u32, 0..3),
            cohort in proptest::option::of(0..6_i64),
        ) {
            prop_assert_eq!(retained(&ids, &old, cohort), slowly(&ids, &old, cohort));
        }
    }
}
