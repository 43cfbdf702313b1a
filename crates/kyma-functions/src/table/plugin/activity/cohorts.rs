//! `activity_metrics` and `new_activity_metrics`: who comes back.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::RecordBatch;
use kyma_core::Result;

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

/// Constants: start, end, window. For every window and each later one: the ids that were new in the first, how many of them are
/// there in the second, how many are not, and both as shares.
pub(in crate::table::plugin) fn new_activity_metrics(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let (start, end, width) = (optional_span(call, 0)?, optional_span(call, 1)?, span(call, 2)?);
    let events = Events::of(call, start, end)?;
    let bins = Bins::new(start.map_or(events.origin(), i128::from), width)?;
    let mut found = Found::default();
    for group in events.groups() {
        let ids = ids_by_bin(group, bins);
        let mut first: HashMap<u32, i64> = HashMap::new();
        let mut fresh: BTreeMap<i64, usize> = BTreeMap::new();
        let mut again: HashMap<(i64, i64), usize> = HashMap::new();
        for (bin, here) in &ids {
            for id in here {
                let from = *first.entry(*id).or_insert(*bin);
                *fresh.entry(from).or_default() += usize::from(from == *bin);
                *again.entry((from, *bin)).or_default() += 1;
            }
        }
        for (from, fresh) in fresh.into_iter().filter(|(_, fresh)| *fresh > 0) {
            for to in ids.keys().filter(|to| **to >= from) {
                let here = again.get(&(from, *to)).copied().unwrap_or_default();
                let counts = [fresh, here, fresh - here].map(Figure::Count);
                let figures = [counts[0], counts[1], counts[2], share(here, fresh), share(fresh - here, fresh)];
                found.push(group[0].group, [from, *to], figures);
            }
        }
    }
    found.batch(call, &events)
}
