//! What metadata knows of the groups of an extent or block of which every row matches.
//!
//! 1. Without keys: counts, exact bounds and sums of whole numbers, from the manifest, the footer or a block's statistics.
//! 2. Keys that are functions of one column: the extent's tally of that column gives its values and their rows. Each value
//!    goes through the keys' expressions once; rows are added as counts, and aggregates that do not mind repeats take the
//!    value itself. A column of times is tallied by bins; keys that are `bin` of it see the starts of bins that divide theirs.
//!
//! Sums of reals are not answered: in another order they would round otherwise than the scan does.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, StringViewArray, TimestampNanosecondArray, UInt64Array, new_null_array,
};
use arrow::datatypes::DataType;
use datafusion::error::Result as DfResult;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use kyma_core::extent::Extent;
use kyma_core::format::{BlockStats, ReadColumn, SegmentReader};
use kyma_core::prune::StatsSource;
use kyma_core::stats::ColumnStats;
use kyma_core::{Result, Type, Value};
use parking_lot::Mutex;

use super::groups::Groups;
use super::{Aggregate, Grouping};
use crate::df_adapter::error::from_df;
use crate::df_adapter::filter::{places_of, renumber};
use crate::df_adapter::literal::{array_of, plain_value, scalar_of};
use crate::df_adapter::scalar::{Kernel, Op};
use crate::prune::TableQuery;
use crate::scan::Known;
use crate::scan::columns::batch_of;

const DAY_NANOS: i64 = 86_400_000_000_000;
/// Whole numbers up to here are reals without loss.
const REAL_EXACT_MAX: i128 = 1 << 53;

/// What is known for one aggregate.
#[derive(Debug)]
pub(super) enum Knowledge {
    /// Partial states, one for each row of the keys.
    State(Vec<ArrayRef>),
    /// Arguments, one for each row of the keys.
    Values(Vec<ArrayRef>),
}

/// Groups that were known.
#[derive(Debug)]
pub(super) struct KnownState {
    /// How many there are.
    pub(super) rows: usize,
    pub(super) keys: Vec<ArrayRef>,
    /// By aggregate.
    pub(super) states: Vec<Knowledge>,
}

/// Adds what is known to the groups of one partition.
pub(super) struct KnownStates {
    grouping: Arc<Grouping>,
    query: TableQuery,
    tallied: Option<Tallied>,
    groups: Arc<Mutex<Groups>>,
}

impl fmt::Debug for KnownStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownStates").field("tallied", &self.tallied).finish_non_exhaustive()
    }
}

/// The one column that keys and aggregates depend on.
#[derive(Debug)]
struct Tallied {
    column: ReadColumn,
    bin: Option<i64>,
}

impl KnownStates {
    pub(super) fn new(grouping: Arc<Grouping>, query: TableQuery, groups: Arc<Mutex<Groups>>) -> Self {
        let tallied = Tallied::of(&grouping);
        KnownStates { grouping, query, tallied, groups }
    }

    /// Takes `rows` rows that all are one group.
    fn take_ungrouped(&self, stats: &dyn StatsSource, rows: u64) -> Result<bool> {
        if !self.grouping.keys.is_empty() {
            return Ok(false);
        }
        let aggregates = self.grouping.aggregates.iter();
        let states = aggregates.map(|aggregate| self.state(aggregate, stats, rows)).collect::<Option<Vec<_>>>();
        let Some(states) = states else { return Ok(false) };
        let known = KnownState { rows: 1, keys: Vec::new(), states };
        self.groups.lock().merge(&known).map_err(from_df)?;
        Ok(true)
    }

    fn state(&self, aggregate: &Aggregate, stats: &dyn StatsSource, rows: u64) -> Option<Knowledge> {
        if aggregate.counts_rows() {
            return Some(Knowledge::State(vec![count_state(rows)]));
        }
        if aggregate.filter.is_some() {
            return None;
        }
        let [arg] = aggregate.args.as_slice() else { return None };
        let name = aggregate.call.fun().name();
        let column = self.plain_column(arg, name == "avg")?;
        let known = stats.stats(&column.source)?;
        let known = known.is_known().then_some(known)?;
        let state = match name {
            "min" => vec![bound(&known, column.ty, &known.min)?],
            "max" => vec![bound(&known, column.ty, &known.max)?],
            "sum" if column.ty == Type::Long => vec![sum(&known)?],
            "avg" if column.ty == Type::Long => average(&known)?,
            _ => return None,
        };
        Some(Knowledge::State(state))
    }

    /// The stored column that an argument is; with `is_mean`, also where it is cast to reals, as the mean of longs is.
    fn plain_column(&self, arg: &Arc<dyn PhysicalExpr>, is_mean: bool) -> Option<&ReadColumn> {
        let inner = match arg.downcast_ref::<CastExpr>() {
            Some(cast) if is_mean && *cast.cast_type() == DataType::Float64 => cast.expr(),
            Some(_) => return None,
            None => arg,
        };
        let column = self.grouping.columns.get(inner.downcast_ref::<Column>()?.index())?;
        column.source.path.is_empty().then_some(column)
    }

    /// Takes an extent by its tally.
    fn take_tallied(&self, reader: &dyn SegmentReader) -> Result<bool> {
        let Some(Tallied { column, bin }) = &self.tallied else { return Ok(false) };
        let Some(counts) = self.counts(reader, column, *bin) else { return Ok(false) };
        let values = values_of(&counts, column.ty)?;
        let rows: ArrayRef = Arc::new(counts.iter().map(|(_, rows)| *rows as i64).collect::<Int64Array>());
        let known = self.over_values(values, &rows).map_err(from_df)?;
        self.groups.lock().merge(&known).map_err(from_df)?;
        Ok(true)
    }

    fn counts(&self, reader: &dyn SegmentReader, column: &ReadColumn, bin: Option<i64>) -> Option<Vec<(Value, u64)>> {
        let mut counts = match reader.schema().index_of(&column.source.column) {
            None => vec![(Value::Null(column.ty), reader.rows())],
            Some(_) => reader.counts(&column.source, bin)?,
        };
        if counts.iter().any(|(value, _)| value.ty() != column.ty) {
            return None;
        }
        if column.ty == Type::String {
            // As a value, the null of a string is `""`: where it is not, nothing is said.
            let has_nulls = counts.iter().any(|(value, _)| value.is_null());
            if has_nulls && !self.query.null_strings_are_empty {
                return None;
            }
        }
        counts.retain(|(_, rows)| *rows > 0);
        Some(counts)
    }

    fn over_values(&self, values: ArrayRef, rows: &ArrayRef) -> DfResult<KnownState> {
        let count = values.len();
        let batch = batch_of(vec![values], count)?;
        let evaluate =
            |expr: &Arc<dyn PhysicalExpr>| renumber(Arc::clone(expr), |_| Some(0))?.evaluate(&batch)?.into_array(count);
        let keys = self.grouping.keys.iter().map(evaluate).collect::<DfResult<_>>()?;
        let state = |aggregate: &Aggregate| match aggregate.counts_rows() {
            true => Ok(Knowledge::State(vec![Arc::clone(rows)])),
            false => Ok(Knowledge::Values(aggregate.args.iter().map(evaluate).collect::<DfResult<_>>()?)),
        };
        let states = self.grouping.aggregates.iter().map(state).collect::<DfResult<_>>()?;
        Ok(KnownState { rows: count, keys, states })
    }
}

impl Known for KnownStates {
    fn extent(&self, extent: &Extent) -> Result<bool> {
        self.take_ungrouped(&self.query.stats(extent), extent.rows)
    }

    fn opened(&self, reader: &dyn SegmentReader) -> Result<bool> {
        self.take_tallied(reader)
    }

    fn block(&self, reader: &dyn SegmentReader, block: u32) -> Result<bool> {
        let request = self.query.prune_request(&self.query.predicate, &[]);
        let rows = reader.block_rows().get(block as usize).copied().unwrap_or_default();
        self.take_ungrouped(&BlockStats { reader, block, request: &request }, u64::from(rows))
    }
}

/// The values of counts as an array; times and texts, of which there are many, without a detour.
fn values_of(counts: &[(Value, u64)], ty: Type) -> Result<ArrayRef> {
    let values = counts.iter().map(|(value, _)| value);
    Ok(match ty {
        Type::Datetime => Arc::new(values.map(time_of).collect::<TimestampNanosecondArray>()),
        // Null reads as "": see `counts`.
        Type::String => Arc::new(values.map(|value| Some(text_of(value))).collect::<StringViewArray>()),
        ty => array_of(values, ty)?,
    })
}

fn time_of(value: &Value) -> Option<i64> {
    match value {
        Value::Datetime(time) => Some(*time),
        _ => None,
    }
}

fn text_of(value: &Value) -> &str {
    match value {
        Value::String(text) => text,
        _ => "",
    }
}

impl Tallied {
    fn of(grouping: &Grouping) -> Option<Self> {
        let is_answered = |aggregate: &&Aggregate| aggregate.counts_rows() || minds_no_repeats(aggregate);
        if grouping.keys.is_empty() || !grouping.aggregates.iter().all(|aggregate| is_answered(&aggregate)) {
            return None;
        }
        let args = grouping.aggregates.iter().filter(|aggregate| !aggregate.counts_rows());
        let args: Vec<&Arc<dyn PhysicalExpr>> = args.flat_map(|aggregate| &aggregate.args).collect();
        let places = places_of(grouping.keys.iter().chain(args.iter().copied()));
        let [place] = places.as_slice() else { return None };
        let column = grouping.columns.get(*place).filter(|column| column.source.path.is_empty())?.clone();
        let bin = match column.ty {
            Type::Datetime if args.is_empty() => {
                let widths = grouping.keys.iter().map(bin_width).collect::<Option<Vec<i64>>>()?;
                Some(widths.into_iter().fold(DAY_NANOS, divisor))
            }
            Type::Datetime => return None,
            _ => None,
        };
        Some(Tallied { column, bin })
    }
}

/// Whether an aggregate gives the same when each value comes once.
fn minds_no_repeats(aggregate: &Aggregate) -> bool {
    let name = aggregate.call.fun().name();
    let is_set = name.starts_with("kyma.dcount[") || name.starts_with("kyma.count_distinct[");
    aggregate.filter.is_none() && (is_set || matches!(name, "min" | "max"))
}

/// The width of a key that is `bin` of a column, in nanoseconds.
pub(super) fn bin_width(key: &Arc<dyn PhysicalExpr>) -> Option<i64> {
    let call = key.downcast_ref::<ScalarFunctionExpr>()?;
    let kernel = call.fun().inner().downcast_ref::<Kernel>()?;
    let (Op::Call { function: "bin" | "floor", .. }, [column, width]) = (&kernel.op, call.args()) else { return None };
    column.downcast_ref::<Column>()?;
    match plain_value(width.downcast_ref::<Literal>()?.value())? {
        Value::Timespan(width) if width > 0 => Some(width),
        _ => None,
    }
}

fn divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn count_state(rows: u64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![rows as i64]))
}

/// An exact bound; null when no row has a value.
fn bound(known: &ColumnStats, ty: Type, value: &Option<Value>) -> Option<ArrayRef> {
    if known.nulls == known.rows {
        return Some(new_null_array(&ty.arrow(), 1));
    }
    let is_zero = |value: &Value| matches!(value, Value::Real(real) if *real == 0.0);
    let ordered = matches!(ty, Type::Int | Type::Long | Type::Real | Type::Datetime | Type::Timespan);
    let value = value.as_ref().filter(|value| known.exact && ordered && value.ty() == ty && !is_zero(value))?;
    scalar_of(value).to_array_of_size(1).ok()
}

fn long_sum(known: &ColumnStats) -> Option<Option<i64>> {
    match (&known.sum, known.nulls == known.rows) {
        (_, true) => Some(None),
        (Some(Value::Long(sum)), false) => Some(Some(*sum)),
        _ => None,
    }
}

fn sum(known: &ColumnStats) -> Option<ArrayRef> {
    Some(Arc::new(Int64Array::from(vec![long_sum(known)?])))
}

/// Count and sum, where every partial sum is a real without loss.
fn average(known: &ColumnStats) -> Option<Vec<ArrayRef>> {
    let count = known.rows.checked_sub(known.nulls)?;
    let sum = long_sum(known)?;
    let magnitude = |value: &Option<Value>| match value {
        Some(Value::Long(value)) => Some(i128::from(*value).abs()),
        _ => None,
    };
    if sum.is_some() {
        let largest = magnitude(&known.min)?.max(magnitude(&known.max)?);
        (largest.checked_mul(i128::from(count))? < REAL_EXACT_MAX).then_some(())?;
    }
    let sum: ArrayRef = Arc::new(Float64Array::from(vec![sum.map(|sum| sum as f64)]));
    Some(vec![Arc::new(UInt64Array::from(vec![count])), sum])
}
