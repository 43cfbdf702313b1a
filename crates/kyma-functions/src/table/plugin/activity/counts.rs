//! `activity_counts_metrics` and `session_count`.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::RecordBatch;
use kyma_core::Result;

use super::{Bins, Event, Events, Figure, Found, PluginCall, optional_span, span};

/// Constants: start, end, window. Per window: events, ids, ids that were not there before, and all ids so far.
pub(in crate::table::plugin) fn activity_counts_metrics(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let (start, end) = (span(call, 0)?, span(call, 1)?);
    let bins = Bins::new(i128::from(start), span(call, 2)?)?;
    let events = Events::of(call, Some(start), Some(end))?;
    let mut found = Found::default();
    for group in events.groups() {
        let mut known = HashSet::new();
        for bin in group.chunk_by(|a, b| bins.of(a.at) == bins.of(b.at)) {
            let ids: HashSet<u32> = bin.iter().map(|event| event.id).collect();
            let fresh = ids.iter().filter(|id| known.insert(**id)).count();
            let figures = [bin.len(), ids.len(), fresh, known.len()].map(Figure::Count);
            found.push(bin[0].group, [bins.of(bin[0].at)], figures);
        }
    }
    found.batch(call, &events)
}

/// Constants: start, end, bin, look-back. A session begins where an id was not seen for the look-back; sessions are
/// counted in the bin that they begin in.
pub(in crate::table::plugin) fn session_count(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let events = Events::of(call, optional_span(call, 0)?, optional_span(call, 1)?)?;
    let bins = Bins::new(events.origin(), span(call, 2)?)?;
    let look_back = span(call, 3)?;
    let mut found = Found::default();
    for group in events.groups() {
        let mut begun: BTreeMap<i64, usize> = BTreeMap::new();
        let mut last: HashMap<u32, i64> = HashMap::new();
        for Event { at, id, .. } in group {
            let before = last.insert(*id, *at);
            if before.is_none_or(|before| at.saturating_sub(before) >= look_back) {
                *begun.entry(bins.of(*at)).or_default() += 1;
            }
        }
        for (bin, sessions) in begun {
            found.push(group[0].group, [bin], [Figure::Count(sessions)]);
        }
    }
    found.batch(call, &events)
}
