//! Plugins with a window that reaches over several bins: `sliding_window_counts`, `activity_engagement`, `active_users_count`,
//! `rolling_percentile`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take;
use kyma_core::{Error, Result, Value};

use super::{Bins, Event, Events, Figure, Found, PluginCall, Window, optional_span, span};
use crate::Arg;
use crate::limits::PLUGIN_BINS_MAX;
use crate::view::Reals;

/// Moves a window over the events of a group: those in `from <= at < to` are in it. Ends may only grow.
struct Sweep<'e> {
    events: &'e [Event],
    entered: usize,
    left: usize,
    window: Window,
}

impl<'e> Sweep<'e> {
    fn over(events: &'e [Event]) -> Self {
        Sweep { events, entered: 0, left: 0, window: Window::default() }
    }

    fn to(&mut self, from: i64, to: i64) -> &Window {
        while let Some(event) = self.events.get(self.entered).filter(|event| event.at < to) {
            self.window.enter(event.id);
            self.entered += 1;
        }
        while let Some(event) = self.events[..self.entered].get(self.left).filter(|event| event.at < from) {
            self.window.leave(event.id);
            self.left += 1;
        }
        &self.window
    }
}

/// Every bin from the first to the last.
fn every(bins: Bins, from: i64, to: i64) -> Result<impl Iterator<Item = i64>> {
    let count = (i128::from(to) - i128::from(from)).div_euclid(bins.width) + 1;
    if count > PLUGIN_BINS_MAX as i128 {
        let message = format!("the range has too many bins: bins={count}, limit={PLUGIN_BINS_MAX}");
        return Err(Error::exhausted("query.plugin_bins", message).hint("use wider bins or a shorter range"));
    }
    Ok((0..count.max(0)).map(move |at| i64::try_from(i128::from(from) + at * bins.width).unwrap_or(i64::MAX)))
}

/// Visits the look-back that ends with each bin of a range, group by group.
fn look_backs(
    events: &Events,
    bins: Bins,
    (start, end): (i64, i64),
    look_back: i64,
    mut visit: impl FnMut(u32, i64, &Window),
) -> Result<()> {
    for group in events.groups() {
        let mut sweep = Sweep::over(group);
        for bin in every(bins, start, end)? {
            let to = i128::from(bin) + bins.width;
            visit(group[0].group, bin, sweep.to(narrowed(to - i128::from(look_back)), narrowed(to)));
        }
    }
    Ok(())
}

fn narrowed(at: i128) -> i64 {
    i64::try_from(at).unwrap_or(if at < 0 { i64::MIN } else { i64::MAX })
}

/// Constants: start, end, look-back, bin. Per bin: events and ids of the look-back that ends with it.
pub(in crate::table::plugin) fn sliding_window_counts(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let (start, end, look_back) = (span(call, 0)?, span(call, 1)?, span(call, 2)?);
    let bins = Bins::new(i128::from(start), span(call, 3)?)?;
    let events = Events::of(call, Some(narrowed(i128::from(start) - i128::from(look_back))), Some(end))?;
    let mut found = Found::default();
    look_backs(&events, bins, (start, end), look_back, |group, bin, window| {
        if window.events > 0 {
            found.push(group, [bin], [window.events, window.distinct()].map(Figure::Count));
        }
    })?;
    found.batch(call, &events)
}

/// Constants: start, end (may be null), inner and outer window. Per inner window: its ids, those of the outer window that ends
/// with it, and their ratio.
pub(in crate::table::plugin) fn activity_engagement(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let (start, end, outer) = (optional_span(call, 0)?, optional_span(call, 1)?, span(call, 3)?);
    let events = Events::of(call, start, end)?;
    let bins = Bins::new(start.map_or(events.origin(), i128::from), span(call, 2)?)?;
    let mut found = Found::default();
    for group in events.groups() {
        let mut sweep = Sweep::over(group);
        for bin in group.chunk_by(|a, b| bins.of(a.at) == bins.of(b.at)) {
            let from = bins.of(bin[0].at);
            let inner = bin.iter().map(|event| event.id).collect::<HashSet<u32>>().len();
            let to = i128::from(from) + bins.width;
            let outer = sweep.to(narrowed(to - i128::from(outer)), narrowed(to)).distinct();
            let ratio = Figure::Ratio(inner as f64 / outer as f64);
            found.push(bin[0].group, [from], [Figure::Count(inner), Figure::Count(outer), ratio]);
        }
    }
    found.batch(call, &events)
}

/// Constants: start, end, look-back, period, periods, bin. Per bin: ids that in the look-back which ends with it were there in at
/// least so many periods.
pub(in crate::table::plugin) fn active_users_count(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let (start, end, look_back) = (span(call, 0)?, span(call, 1)?, span(call, 2)?);
    let periods = Bins::new(i128::from(start), span(call, 3)?)?;
    let least = span(call, 4)?;
    let bins = Bins::new(i128::from(start), span(call, 5)?)?;
    let from = narrowed(i128::from(start) - i128::from(look_back));
    let mut events = Events::of(call, Some(from), Some(end))?;
    // However often an id was there in a period, it counts once.
    events.all.sort_unstable_by_key(|event| (event.group, event.id, event.at));
    events.all.dedup_by_key(|event| (event.group, event.id, periods.of(event.at)));
    events.all.sort_by_key(|event| (event.group, event.at));
    let mut found = Found::default();
    look_backs(&events, bins, (start, end), look_back, |group, bin, window| {
        let active = window.counts.values().filter(|count| **count as i64 >= least).count();
        if active > 0 {
            found.push(group, [bin], [Figure::Count(active)]);
        }
    })?;
    found.batch(call, &events)
}

/// Columns: the value, then the index; constants: percentage, bin, bins of a window. Per bin: the percentile of the values of
/// the window that ends with it.
pub(in crate::table::plugin) fn rolling_percentile(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let percent = match call.value(0)? {
        Value::Real(percent) => *percent,
        Value::Long(percent) => *percent as f64,
        Value::Int(percent) => f64::from(*percent),
        _ => return Err(Error::invalid("query.plugin_argument", "the percentage must be a number")),
    };
    let (width, count) = (span(call, 1)?, span(call, 2)?.max(1));
    let events = Events::of(call, None, None)?;
    let bins = Bins::new(events.origin(), width)?;
    let input = call.table.input(0)?;
    let values = Arg::Array(Arc::clone(&input.columns()[0]));
    let reals = Reals::of(&values)?;
    let mut found = Found::default();
    let mut rows: Vec<u32> = Vec::new();
    for group in events.groups() {
        let by_bin: HashMap<i64, &[Event]> =
            group.chunk_by(|a, b| bins.of(a.at) == bins.of(b.at)).map(|bin| (bins.of(bin[0].at), bin)).collect();
        for bin in group.chunk_by(|a, b| bins.of(a.at) == bins.of(b.at)) {
            let at = bins.of(bin[0].at);
            let window = (0..count).filter_map(|back| by_bin.get(&at.checked_sub(back.checked_mul(width)?)?));
            let mut sorted: Vec<(f64, u32)> = window
                .flat_map(|bin| bin.iter())
                .filter_map(|event| Some((reals.get(event.row as usize)?, event.row)))
                .collect();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
            // The smallest value that so many per cent are not above.
            let rank = (percent / 100.0 * sorted.len() as f64).ceil().max(1.0) as usize;
            if let Some((_, row)) = sorted.get(rank.min(sorted.len()).saturating_sub(1)) {
                rows.push(*row);
                found.push(group[0].group, [at], []);
            }
        }
    }
    let picked = take(&input.columns()[0], &UInt32Array::from(rows), None)?;
    found.batch_with(call, &events, Some(picked))
}
