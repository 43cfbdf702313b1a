//! Plugins over who did something when: ids on a timeline, in groups.
//!
//! 1. [`Events::of`] reads the plugin's columns (id, timeline, then one per dimension), drops what lies outside the range, and
//!    orders by group and time. Ids and groups are small numbers from there on.
//! 2. Every plugin walks the events of a group once, with windows that move along; nothing is compared pairwise.
//! 3. [`Found`] collects the rows and lays them out: the bin, the dimensions, the figures.

mod cohorts;
mod counts;
mod windows;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use kyma_core::{Error, Result, Type, Value};

use super::PluginCall;
use crate::convert::EPOCH_TICKS;
use crate::table::groups::{Groups, groups};
use crate::view::Longs;
use crate::{Arg, build};

pub(super) use cohorts::{activity_metrics, new_activity_metrics};
pub(super) use counts::{activity_counts_metrics, session_count};
pub(super) use windows::{active_users_count, activity_engagement, rolling_percentile, sliding_window_counts};

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event {
    group: u32,
    at: i64,
    id: u32,
    /// Its row of the input.
    row: u32,
}

/// The events of a call.
struct Events {
    /// By group, then time.
    all: Vec<Event>,
    /// A row of each group, for its dimensions.
    rows: Vec<u32>,
    /// The type of the timeline.
    ty: Type,
    dimensions: Vec<ArrayRef>,
}

impl Events {
    /// Those from `from` to `to`, both inclusive, where given.
    fn of(call: &PluginCall<'_>, from: Option<i64>, to: Option<i64>) -> Result<Events> {
        Events::from_columns(call, call.table.input(0)?.columns(), from, to)
    }

    /// The same from some of the input's columns.
    fn from_columns(call: &PluginCall<'_>, columns: &[ArrayRef], from: Option<i64>, to: Option<i64>) -> Result<Events> {
        let input = call.table.input(0)?;
        let [id, timeline, dimensions @ ..] = columns else {
            return Err(Error::internal("a plugin lacks its columns"));
        };
        let ty = call.table.schemas.first().and_then(|schema| schema.columns().get(1)).map_or(Type::Long, |one| one.ty);
        let ids = groups(std::slice::from_ref(id), input.num_rows())?.of;
        let Groups { of: groups, first: rows } = groups(dimensions, input.num_rows())?;
        let timeline = Arg::Array(Arc::clone(timeline));
        let times = Longs::of(&timeline)?;
        let within = |at: i64| from.is_none_or(|from| at >= from) && to.is_none_or(|to| at <= to);
        let event = |row: usize| {
            let at = times.get(row).filter(|at| within(*at))?;
            Some(Event { group: groups[row], at, id: ids[row], row: row as u32 })
        };
        let mut all: Vec<Event> = (0..input.num_rows()).filter_map(event).collect();
        all.sort_by_key(|event| (event.group, event.at));
        Ok(Events { all, rows, ty, dimensions: dimensions.to_vec() })
    }

    /// The events of each group.
    fn groups(&self) -> impl Iterator<Item = &[Event]> {
        self.all.chunk_by(|a, b| a.group == b.group)
    }

    /// Where the multiples of a width begin: datetimes are counted from the year 1.
    fn origin(&self) -> i128 {
        if self.ty == Type::Datetime { -i128::from(EPOCH_TICKS) * 100 } else { 0 }
    }
}

/// Bins of one width on the timeline.
#[derive(Debug, Clone, Copy)]
struct Bins {
    origin: i128,
    width: i128,
}

impl Bins {
    fn new(origin: i128, width: i64) -> Result<Bins> {
        match width {
            1.. => Ok(Bins { origin, width: i128::from(width) }),
            _ => Err(Error::invalid("query.plugin_argument", "a window must be larger than zero")),
        }
    }

    /// The start of the bin that `at` lies in.
    fn of(&self, at: i64) -> i64 {
        let bin = (i128::from(at) - self.origin).div_euclid(self.width) * self.width + self.origin;
        i64::try_from(bin).unwrap_or(i64::MIN)
    }
}

/// A constant that lies on the timeline or spans a piece of it.
fn span(call: &PluginCall<'_>, at: usize) -> Result<i64> {
    match call.value(at)? {
        Value::Int(value) => Ok(i64::from(*value)),
        Value::Long(value) | Value::Datetime(value) | Value::Timespan(value) => Ok(*value),
        other => {
            Err(Error::invalid("query.plugin_argument", format!("argument {at} is of no use: type={}", other.ty())))
        }
    }
}

/// The same, where it may be left out.
fn optional_span(call: &PluginCall<'_>, at: usize) -> Result<Option<i64>> {
    if call.value(at)?.is_null() { Ok(None) } else { span(call, at).map(Some) }
}

/// A figure of an answer.
#[derive(Debug, Clone, Copy)]
enum Figure {
    Count(usize),
    Ratio(f64),
}

/// The rows of an answer.
#[derive(Default)]
struct Found {
    groups: Vec<u32>,
    bins: Vec<Vec<i64>>,
    figures: Vec<Vec<Figure>>,
}

impl Found {
    fn push<const B: usize, const F: usize>(&mut self, group: u32, bins: [i64; B], figures: [Figure; F]) {
        self.bins.resize_with(B, Vec::new);
        self.figures.resize_with(F, Vec::new);
        self.groups.push(group);
        self.bins.iter_mut().zip(bins).for_each(|(column, bin)| column.push(bin));
        self.figures.iter_mut().zip(figures).for_each(|(column, figure)| column.push(figure));
    }

    /// Columns: bins, dimensions, figures.
    fn batch(self, call: &PluginCall<'_>, events: &Events) -> Result<RecordBatch> {
        self.batch_with(call, events, None)
    }

    /// The same, with a column more.
    fn batch_with(self, call: &PluginCall<'_>, events: &Events, last: Option<ArrayRef>) -> Result<RecordBatch> {
        let width = call.table.out.len();
        let rows = self.groups.len();
        if rows == 0 {
            return Ok(RecordBatch::new_empty(call.table.out.arrow()));
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(width);
        for bins in &self.bins {
            columns.push(build::longs(events.ty, rows, |row| Some(bins[row]))?);
        }
        let sources = UInt32Array::from_iter_values(self.groups.iter().map(|group| events.rows[*group as usize]));
        for dimension in &events.dimensions {
            columns.push(take(dimension, &sources, None)?);
        }
        for figures in &self.figures {
            columns.push(match figures.first() {
                Some(Figure::Ratio(_)) => {
                    let real = |figure: &Figure| if let Figure::Ratio(ratio) = figure { *ratio } else { f64::NAN };
                    Arc::new(Float64Array::from_iter_values(figures.iter().map(real)))
                }
                _ => {
                    let count = |figure: &Figure| if let Figure::Count(count) = figure { *count as i64 } else { 0 };
                    Arc::new(Int64Array::from_iter_values(figures.iter().map(count)))
                }
            });
        }
        columns.extend(last);
        call.table.batch(columns)
    }
}

/// How often each id is in a window that moves.
#[derive(Default)]
struct Window {
    counts: HashMap<u32, usize>,
    events: usize,
}

impl Window {
    fn enter(&mut self, id: u32) {
        *self.counts.entry(id).or_default() += 1;
        self.events += 1;
    }

    fn leave(&mut self, id: u32) {
        self.events -= 1;
        if let Some(count) = self.counts.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&id);
            }
        }
    }

    fn distinct(&self) -> usize {
        self.counts.len()
    }
}
