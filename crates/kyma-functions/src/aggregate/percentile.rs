//! Percentiles by nearest rank: exact up to a number of samples, then over a t-digest-like sketch (Dunning 2019).
//!
//! A sample is an order-preserving 64-bit key with a weight. When a group has too many, neighbours merge into clusters whose
//! weight is small at the tails; a cluster is represented by its middle sample.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::datatypes::DataType;
use kyma_core::{Error, Result, Type, Value};

use super::Slot;
use crate::limits::PERCENTILE_EXACT_MAX;
use crate::value::{to_json, values_to_array};
use crate::view::{Decimals, Longs, Reals};
use crate::{Arg, build};

/// Clusters of a sketch, about.
const CLUSTERS: f64 = 1_000.0;

/// So many percentiles are found one by one; more are found in sorted samples.
const SELECTED_MAX: usize = 4;

/// Which percentiles of what, and whether they leave as one array.
pub(super) struct Config {
    ty: Type,
    percents: Vec<f64>,
    weighted: bool,
    as_array: bool,
}

impl Config {
    pub(super) fn new(function: &str, ty: Type, constants: &[Option<Value>], out: &[Type]) -> Result<Config> {
        let weighted = function.contains("lew") || function.contains("lesw");
        let mut percents = Vec::new();
        for constant in constants.iter().skip(1 + usize::from(weighted)) {
            match constant {
                Some(Value::Dynamic(json)) => {
                    percents.extend(crate::json::array(json).unwrap_or_default().iter().filter_map(crate::json::real));
                }
                Some(value) => percents.push(crate::convert::constant_real(value)?),
                None => return Err(Error::invalid("function.argument", "a percentage must be a constant")),
            }
        }
        if percents.iter().any(|percent| !(0.0..=100.0).contains(percent)) {
            return Err(Error::invalid("function.argument", "a percentage must lie between 0 and 100"));
        }
        let as_array = function.ends_with("_array");
        if !as_array && out.len() != percents.len() {
            return Err(Error::internal("percentiles need one result per percentage"));
        }
        Ok(Config { ty, percents, weighted, as_array })
    }

    /// For samples that leave as they are.
    pub(super) fn digest(ty: Type, weighted: bool) -> Config {
        Config { ty, percents: Vec::new(), weighted, as_array: false }
    }

    /// The type of the values.
    pub(super) fn ty(&self) -> Type {
        self.ty
    }

    /// The value of a key.
    pub(super) fn value(&self, key: i64) -> Value {
        match self.ty {
            Type::Int => Value::Int(key as i32),
            Type::Long => Value::Long(key),
            Type::Datetime => Value::Datetime(key),
            Type::Timespan => Value::Timespan(key),
            Type::Decimal => {
                crate::view::real_to_decimal(real_of(key)).map_or(Value::Null(Type::Decimal), Value::Decimal)
            }
            _ => Value::Real(real_of(key)),
        }
    }
}

/// A key that orders like the float.
fn key_of(real: f64) -> i64 {
    let bits = (real + 0.0).to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn real_of(key: i64) -> f64 {
    f64::from_bits((key ^ (((key >> 63) as u64) >> 1) as i64) as u64)
}

/// The key of a value; nulls, NaN and what has no percentiles have none.
pub(super) fn key_of_value(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => Some(i64::from(*value)),
        Value::Long(value) | Value::Datetime(value) | Value::Timespan(value) => Some(*value),
        Value::Real(value) if !value.is_nan() => Some(key_of(*value)),
        Value::Decimal(value) => Some(key_of(crate::view::decimal_to_real(*value))),
        _ => None,
    }
}

/// Samples of one group.
#[derive(Default)]
pub(super) struct Percentiles {
    samples: Vec<(i64, u64)>,
}

/// Values and weights by row.
pub(super) struct Samples<'a> {
    values: Keys<'a>,
    weights: Option<Longs<'a>>,
}

enum Keys<'a> {
    Long(Longs<'a>),
    Real(Reals<'a>),
    Decimal(Decimals<'a>),
}

impl Percentiles {
    /// From samples; `None` of too many to be from here.
    pub(super) fn of(samples: Vec<(i64, u64)>) -> Option<Percentiles> {
        (samples.len() <= 2 * PERCENTILE_EXACT_MAX).then_some(Percentiles { samples })
    }

    /// The samples in the order of their keys.
    pub(super) fn sorted(&mut self) -> &[(i64, u64)] {
        self.samples.sort_unstable();
        &self.samples
    }

    /// The key at a percentage.
    pub(super) fn at(&mut self, percent: f64) -> Option<i64> {
        let samples = self.sorted();
        at_rank(samples, rank_of(percent, total_of(samples)))
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.samples.capacity() * size_of::<(i64, u64)>()
    }

    pub(super) fn copy(&self) -> Percentiles {
        Percentiles { samples: self.samples.clone() }
    }

    pub(super) fn save_each<'s>(slots: impl Iterator<Item = &'s Percentiles>) -> Result<Vec<ArrayRef>> {
        let bytes = slots.map(|slot| {
            let pairs = slot.samples.iter().flat_map(|(key, weight)| [key.to_le_bytes(), weight.to_le_bytes()]);
            pairs.flatten().collect::<Vec<u8>>()
        });
        Ok(vec![Arc::new(BinaryArray::from_iter_values(bytes))])
    }

    fn push(&mut self, key: i64, weight: u64) -> usize {
        let before = self.samples.capacity();
        self.samples.push((key, weight));
        let grown = (self.samples.capacity() - before) * size_of::<(i64, u64)>();
        if self.samples.len() > 2 * PERCENTILE_EXACT_MAX {
            self.compress();
        }
        grown
    }

    /// Merges neighbours while the cluster's share of all stays below `4 q (1 - q) / CLUSTERS`.
    fn compress(&mut self) {
        self.samples.sort_unstable();
        let total = total_of(&self.samples);
        let mut merged: Vec<(i64, u64)> = Vec::with_capacity(PERCENTILE_EXACT_MAX);
        let (mut cluster, mut weight, mut before) = (Vec::new(), 0_u64, 0_u64);
        let close = |cluster: &mut Vec<(i64, u64)>, weight: u64, merged: &mut Vec<(i64, u64)>| {
            if let Some(key) = at_rank(cluster, weight.div_ceil(2)) {
                merged.push((key, weight));
            }
            cluster.clear();
        };
        for &(key, more) in &self.samples {
            let both = weight.saturating_add(more);
            let q = (before as f64 + both as f64 / 2.0) / total as f64;
            let room = 4.0 * q * (1.0 - q) / CLUSTERS * total as f64;
            if weight > 0 && both as f64 > room {
                close(&mut cluster, weight, &mut merged);
                before = before.saturating_add(weight);
                weight = 0;
            }
            cluster.push((key, more));
            weight = weight.saturating_add(more);
        }
        close(&mut cluster, weight, &mut merged);
        self.samples = merged;
    }
}

/// The weight of all samples, saturated.
pub(super) fn total_of(samples: &[(i64, u64)]) -> u64 {
    samples.iter().fold(0, |sum, (_, weight)| sum.saturating_add(*weight))
}

/// The rank, from 1, of a percentage of all weight.
fn rank_of(percent: f64, total: u64) -> u64 {
    (percent / 100.0 * total as f64 - 1e-9).ceil().max(1.0) as u64
}

/// The key of the sample at `rank`, from 1, of samples in any order.
fn nth(samples: &mut [(i64, u64)], rank: u64) -> Option<i64> {
    let at = usize::try_from(rank).ok()?.checked_sub(1).filter(|at| *at < samples.len())?;
    Some(samples.select_nth_unstable(at).1.0)
}

/// The key whose cumulative weight reaches `rank`.
fn at_rank(sorted: &[(i64, u64)], rank: u64) -> Option<i64> {
    let mut reached = 0_u64;
    sorted
        .iter()
        .find(|(_, weight)| {
            reached = weight.saturating_add(reached);
            reached >= rank
        })
        .map(|(key, _)| *key)
}

impl Slot for Percentiles {
    type Config = Config;
    type Input<'a> = Samples<'a>;

    fn input<'a>(config: &Config, args: &'a [Arg]) -> Result<Samples<'a>> {
        let arg = super::simple::only(args)?;
        let values = match config.ty {
            Type::Int | Type::Long | Type::Datetime | Type::Timespan => Keys::Long(Longs::of(arg)?),
            Type::Decimal => Keys::Decimal(Decimals::of(arg)?),
            _ => Keys::Real(Reals::of(arg)?),
        };
        let weights = if config.weighted { args.get(1).map(Longs::of).transpose()? } else { None };
        Ok(Samples { values, weights })
    }

    fn new(_: &Config) -> Self {
        Percentiles::default()
    }

    fn update(&mut self, input: &Samples<'_>, row: usize, _: &Config) -> usize {
        let key = match &input.values {
            Keys::Long(longs) => longs.get(row),
            Keys::Real(reals) => reals.get(row).filter(|real| !real.is_nan()).map(key_of),
            Keys::Decimal(decimals) => decimals.get(row).map(|decimal| key_of(crate::view::decimal_to_real(decimal))),
        };
        let weight = input.weights.map_or(Some(1), |weights| weights.get(row));
        match (key, weight.and_then(|weight| u64::try_from(weight).ok())) {
            (Some(key), Some(weight)) if weight > 0 => self.push(key, weight),
            _ => 0,
        }
    }

    fn state_types(_: &Config) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn save(slots: &[Self], _: &Config) -> Result<Vec<ArrayRef>> {
        Percentiles::save_each(slots.iter())
    }

    fn load(state: &[ArrayRef], row: usize, _: &Config) -> Result<Self> {
        let damaged = || Error::internal("an aggregate's state is damaged");
        let array = state.first().and_then(|array| array.as_binary_opt::<i32>()).ok_or_else(damaged)?;
        let bytes: &[u8] = if array.is_null(row) { &[] } else { array.value(row) };
        let pair = |pair: &[u8]| {
            Some((i64::from_le_bytes(pair[..8].try_into().ok()?), u64::from_le_bytes(pair[8..].try_into().ok()?)))
        };
        let samples: Option<Vec<(i64, u64)>> = bytes.chunks_exact(16).map(pair).collect();
        Ok(Percentiles { samples: samples.ok_or_else(damaged)? })
    }

    fn absorb(&mut self, other: Self, _: &Config) -> usize {
        other.samples.into_iter().map(|(key, weight)| self.push(key, weight)).sum()
    }

    fn finish(mut slots: Vec<Self>, config: &Config) -> Result<Vec<ArrayRef>> {
        let mut columns: Vec<Vec<Value>> = config.percents.iter().map(|_| Vec::with_capacity(slots.len())).collect();
        for slot in &mut slots {
            let total = total_of(&slot.samples);
            // Few ranks of single samples are found without an order of all.
            let is_selected = total == slot.samples.len() as u64 && config.percents.len() <= SELECTED_MAX;
            if !is_selected {
                slot.samples.sort_unstable();
            }
            for (column, percent) in columns.iter_mut().zip(&config.percents) {
                let rank = rank_of(*percent, total);
                let key = match is_selected {
                    true => nth(&mut slot.samples, rank),
                    false => at_rank(&slot.samples, rank),
                };
                column.push(key.map_or(Value::Null(config.ty), |key| config.value(key)));
            }
        }
        if !config.as_array {
            return columns.iter().map(|column| values_to_array(column, config.ty)).collect();
        }
        let texts = |group: usize| columns.iter().map(|column| to_json(&column[group])).collect::<Vec<_>>();
        Ok(vec![build::jsons(slots.len(), |group| {
            (!slots[group].samples.is_empty()).then(|| format!("[{}]", texts(group).join(",")))
        })])
    }
}
