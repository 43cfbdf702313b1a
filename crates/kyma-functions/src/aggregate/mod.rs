//! Aggregates, grouped from the start: each group has a slot, rows update slots, partial states merge into them.
//!
//! 1. [`aggregate`] resolves a name to a [`Grouped`] of some [`Slot`]; a trailing predicate (`countif`) becomes a filter
//!    in front of it.
//! 2. `update` feeds rows, `merge` feeds states of other runs; splitting the input changes nothing but, for estimates,
//!    their error.
//! 3. `state` and `finish` empty the first groups or all.
//!
//! Every slot is bounded: lists by elements, distinct values and percentiles by falling back to sketches.

mod arg;
mod bag;
pub(crate) mod digest;
mod distinct;
mod list;
mod moment;
mod percentile;
mod schema;
mod simple;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::DataType;
use kyma_core::{Error, Result, Type, Value};

use crate::Arg;

/// One aggregate over many groups.
pub trait Aggregate: Send {
    /// Feeds rows: row `i` belongs to group `groups[i]`, which is less than `total_groups`.
    fn update(&mut self, args: &[ArrayRef], groups: &[usize], total_groups: usize) -> Result<()>;
    /// Feeds partial states, one per row of the state columns.
    fn merge(&mut self, state: &[ArrayRef], groups: &[usize], total_groups: usize) -> Result<()>;
    /// Arrow types of the partial state's columns.
    fn state_types(&self) -> Vec<DataType>;
    /// Partial states, which leave.
    fn state(&mut self, emit: Emit) -> Result<Vec<ArrayRef>>;
    /// Results, one array per output type; the groups leave.
    fn finish(&mut self, emit: Emit) -> Result<Vec<ArrayRef>>;
    /// About how many bytes the groups take.
    fn bytes(&self) -> usize;
}

/// Which groups leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// All.
    All,
    /// The first so many; the rest moves down.
    First(usize),
}

/// The state of one group.
pub(crate) trait Slot: Send + Sized + 'static {
    /// What all groups share.
    type Config: Send;
    /// Arguments ready to be read by row.
    type Input<'a>;

    fn input<'a>(config: &Self::Config, args: &'a [Arg]) -> Result<Self::Input<'a>>;
    fn new(config: &Self::Config) -> Self;
    /// Takes a row in; gives the bytes by which the slot grew on the heap.
    fn update(&mut self, input: &Self::Input<'_>, row: usize, config: &Self::Config) -> usize;
    fn state_types(config: &Self::Config) -> Vec<DataType>;
    fn save(slots: &[Self], config: &Self::Config) -> Result<Vec<ArrayRef>>;
    fn load(state: &[ArrayRef], row: usize, config: &Self::Config) -> Result<Self>;
    /// Takes another slot in; gives the bytes by which this one grew.
    fn absorb(&mut self, other: Self, config: &Self::Config) -> usize;
    fn finish(slots: Vec<Self>, config: &Self::Config) -> Result<Vec<ArrayRef>>;
}

/// A slot per group.
struct Grouped<S: Slot> {
    config: S::Config,
    slots: Vec<S>,
    heap_bytes: usize,
}

impl<S: Slot> Grouped<S> {
    fn boxed(config: S::Config) -> Box<dyn Aggregate> {
        Box::new(Grouped::<S> { config, slots: Vec::new(), heap_bytes: 0 })
    }

    fn grow(&mut self, total: usize) {
        while self.slots.len() < total {
            self.slots.push(S::new(&self.config));
        }
    }

    fn leave(&mut self, emit: Emit) -> Vec<S> {
        match emit {
            Emit::All => {
                self.heap_bytes = 0;
                std::mem::take(&mut self.slots)
            }
            Emit::First(count) => {
                let (count, before) = (count.min(self.slots.len()), self.slots.len());
                let left: Vec<S> = self.slots.drain(..count).collect();
                self.heap_bytes = (self.heap_bytes as u128 * (before - count) as u128 / before.max(1) as u128) as usize;
                left
            }
        }
    }
}

impl<S: Slot> Aggregate for Grouped<S> {
    fn update(&mut self, args: &[ArrayRef], groups: &[usize], total_groups: usize) -> Result<()> {
        self.grow(total_groups);
        let args: Vec<Arg> = args.iter().cloned().map(Arg::Array).collect();
        let input = S::input(&self.config, &args)?;
        for (row, &group) in groups.iter().enumerate() {
            self.heap_bytes += self.slots[group].update(&input, row, &self.config);
        }
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[usize], total_groups: usize) -> Result<()> {
        self.grow(total_groups);
        for (row, &group) in groups.iter().enumerate() {
            let other = S::load(state, row, &self.config)?;
            self.heap_bytes += self.slots[group].absorb(other, &self.config);
        }
        Ok(())
    }

    fn state_types(&self) -> Vec<DataType> {
        S::state_types(&self.config)
    }

    fn state(&mut self, emit: Emit) -> Result<Vec<ArrayRef>> {
        let slots = self.leave(emit);
        S::save(&slots, &self.config)
    }

    fn finish(&mut self, emit: Emit) -> Result<Vec<ArrayRef>> {
        let slots = self.leave(emit);
        S::finish(slots, &self.config)
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<S>() + self.heap_bytes
    }
}

/// Feeds only rows whose argument at `predicate` is true, without that argument.
struct Filtered {
    inner: Box<dyn Aggregate>,
    predicate: usize,
}

impl Aggregate for Filtered {
    fn update(&mut self, args: &[ArrayRef], groups: &[usize], total_groups: usize) -> Result<()> {
        let flags = args.get(self.predicate).and_then(|array| array.as_boolean_opt());
        let flags = flags.ok_or_else(|| Error::internal("an aggregate's predicate is no truth value"))?;
        let keep = BooleanArray::from_iter((0..flags.len()).map(|row| Some(flags.is_valid(row) && flags.value(row))));
        let groups: Vec<usize> =
            groups.iter().enumerate().filter(|(row, _)| keep.value(*row)).map(|(_, &group)| group).collect();
        let others = args.iter().enumerate().filter(|(index, _)| *index != self.predicate);
        let args = others.map(|(_, array)| Ok(arrow::compute::filter(array, &keep)?)).collect::<Result<Vec<_>>>()?;
        self.inner.update(&args, &groups, total_groups)
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[usize], total_groups: usize) -> Result<()> {
        self.inner.merge(state, groups, total_groups)
    }

    fn state_types(&self) -> Vec<DataType> {
        self.inner.state_types()
    }

    fn state(&mut self, emit: Emit) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit)
    }

    fn finish(&mut self, emit: Emit) -> Result<Vec<ArrayRef>> {
        self.inner.finish(emit)
    }

    fn bytes(&self) -> usize {
        self.inner.bytes()
    }
}

/// The place of the predicate and the function behind it.
fn filtered(function: &str) -> Option<(&'static str, usize)> {
    Some(match function {
        "countif" => ("count", 0),
        "sumif" => ("sum", 1),
        "minif" => ("min", 1),
        "maxif" => ("max", 1),
        "avgif" => ("avg", 1),
        "dcountif" => ("dcount", 1),
        "count_distinctif" => ("count_distinct", 1),
        "make_list_if" => ("make_list", 1),
        "make_set_if" => ("make_set", 1),
        "make_bag_if" => ("make_bag", 1),
        "take_anyif" | "anyif" => ("take_any", 1),
        "hll_if" => ("hll", 1),
        "stdevif" => ("stdev", 1),
        "stdevpif" => ("stdevp", 1),
        "varianceif" => ("variance", 1),
        "variancepif" => ("variancep", 1),
        "covarianceif" => ("covariance", 2),
        "covariancepif" => ("covariancep", 2),
        _ => return None,
    })
}

/// The aggregate `function` (a canonical name of `kyma_plan::functions`).
///
/// `constants[i]` is the value of argument `i` if it is a literal; every argument is still passed to `update`. `out` are
/// the types of the results.
pub fn aggregate(
    function: &str,
    arg_types: &[Type],
    constants: &[Option<Value>],
    out: &[Type],
) -> Result<Box<dyn Aggregate>> {
    if let Some((inner, predicate)) = filtered(function) {
        let without = |index: &usize| *index != predicate;
        let types: Vec<Type> = (0..arg_types.len()).filter(without).map(|index| arg_types[index]).collect();
        let constants: Vec<Option<Value>> =
            (0..constants.len()).filter(without).map(|index| constants[index].clone()).collect();
        return Ok(Box::new(Filtered { inner: aggregate(inner, &types, &constants, out)?, predicate }));
    }
    let first = arg_types.first().copied().unwrap_or(Type::Long);
    let result = out.first().copied().unwrap_or(first);
    Ok(match function {
        "count" => Grouped::<simple::Count>::boxed(()),
        "sum" => simple::sum(result)?,
        "avg" => simple::average(first, result)?,
        "min" => simple::extreme(first, std::cmp::Ordering::Less),
        "max" => simple::extreme(first, std::cmp::Ordering::Greater),
        "binary_all_and" => Grouped::<simple::Bits>::boxed(simple::BitOp::And),
        "binary_all_or" => Grouped::<simple::Bits>::boxed(simple::BitOp::Or),
        "binary_all_xor" => Grouped::<simple::Bits>::boxed(simple::BitOp::Xor),
        "dcount" => Grouped::<distinct::Distinct>::boxed(distinct::Config { ty: first, exact: false }),
        "count_distinct" => Grouped::<distinct::Distinct>::boxed(distinct::Config { ty: first, exact: true }),
        "make_list" => Grouped::<list::List>::boxed(list::Config::new(first, constants, false, false)),
        "make_list_with_nulls" => Grouped::<list::List>::boxed(list::Config::new(first, &[], false, true)),
        "make_set" => Grouped::<list::List>::boxed(list::Config::new(first, constants, true, false)),
        "make_bag" => Grouped::<bag::Bag>::boxed(list::limit(constants)),
        "arg_max" => Grouped::<arg::Best>::boxed(arg::Config::new(arg_types, std::cmp::Ordering::Greater)),
        "arg_min" => Grouped::<arg::Best>::boxed(arg::Config::new(arg_types, std::cmp::Ordering::Less)),
        "take_any" | "any" => Grouped::<arg::Any>::boxed(arg_types.to_vec()),
        "percentile" | "percentiles" | "percentilew" | "percentilesw" | "percentiles_array" | "percentilesw_array" => {
            Grouped::<percentile::Percentiles>::boxed(percentile::Config::new(function, first, constants, out)?)
        }
        "stdev" | "stdevp" | "variance" | "variancep" | "covariance" | "covariancep" => {
            Grouped::<moment::Moments>::boxed(moment::Config::named(function))
        }
        "hll" => Grouped::<digest::Hll>::boxed(distinct::Config { ty: first, exact: false }),
        "hll_merge" => Grouped::<digest::HllMerge>::boxed(()),
        "tdigest" => Grouped::<digest::Tdigest>::boxed(percentile::Config::digest(first, arg_types.len() > 1)),
        "merge_tdigest" => Grouped::<digest::TdigestMerge>::boxed(()),
        "buildschema" => Grouped::<schema::Schema>::boxed(()),
        other => return Err(Error::internal(format!("an aggregate has no kernel: function={other}"))),
    })
}

#[cfg(test)]
mod tests;
