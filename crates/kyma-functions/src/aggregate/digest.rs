//! Sketches as values: `hll` and `tdigest` give what `dcount` and `percentile` collect, for later merging and reading.
//!
//! ```text
//! hll     = ["hll", base64 of the state of `dcount`]
//! tdigest = ["tdigest", type, [key, ...], [weight, ...]]   keys ascending, ordered as the values are
//! ```

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kyma_core::{Result, Type, Value};
use serde_json::{Value as Json, json};

use super::Slot;
use super::distinct::{self, Distinct};
use super::percentile::{self, Percentiles};
use crate::view::Jsons;
use crate::{Arg, build, json as helpers};

const HLL: &str = "hll";
const TDIGEST: &str = "tdigest";

/// How distinct values are merged: never exactly without a limit.
const MERGED: distinct::Config = distinct::Config { ty: Type::Dynamic, exact: false };

/// The distinct values that `hll` has seen.
pub(crate) struct Sketch(Distinct);

impl Sketch {
    /// The sketch of a dynamic that `hll` gave.
    pub(crate) fn of(json: &str) -> Option<Sketch> {
        let items = helpers::array(json)?;
        let [Json::String(kind), Json::String(state)] = items.as_slice() else { return None };
        (kind == HLL).then(|| Distinct::from_bytes(&STANDARD.decode(state).ok()?).map(Sketch)).flatten()
    }

    /// As a dynamic; `None` of an empty one.
    pub(crate) fn json(&self) -> Option<String> {
        sketch_json(&self.0)
    }

    /// How many distinct values there are, or about how many.
    pub(crate) fn count(&self) -> i64 {
        self.0.count()
    }

    /// Takes `other` in.
    pub(crate) fn merge(&mut self, other: Sketch) -> Option<usize> {
        Some(self.0.absorb(other.0, &MERGED))
    }
}

fn sketch_json(sketch: &Distinct) -> Option<String> {
    (sketch.count() > 0).then(|| json!([HLL, STANDARD.encode(sketch.to_bytes())]).to_string())
}

/// Samples of values of one type.
pub(crate) struct Digest {
    pub(crate) ty: Type,
    samples: Percentiles,
}

impl Digest {
    /// The digest of a dynamic that `tdigest` gave.
    pub(crate) fn of(json: &str) -> Option<Digest> {
        let items = helpers::array(json)?;
        let [Json::String(kind), Json::String(ty), Json::Array(keys), Json::Array(weights)] = items.as_slice() else {
            return None;
        };
        let pair = |(key, weight): (&Json, &Json)| Some((key.as_i64()?, weight.as_u64().filter(|weight| *weight > 0)?));
        let samples: Vec<(i64, u64)> = keys.iter().zip(weights).map(pair).collect::<Option<_>>()?;
        (kind == TDIGEST && keys.len() == weights.len())
            .then(|| Some(Digest { ty: ty.parse().ok()?, samples: Percentiles::of(samples)? }))
            .flatten()
    }

    /// As a dynamic; `None` of an empty one.
    pub(crate) fn json(&mut self) -> Option<String> {
        let samples = self.samples.sorted();
        let keys: Vec<i64> = samples.iter().map(|(key, _)| *key).collect();
        let weights: Vec<u64> = samples.iter().map(|(_, weight)| *weight).collect();
        (!samples.is_empty()).then(|| json!([TDIGEST, self.ty.name(), keys, weights]).to_string())
    }

    /// Takes `other` in, if it is of the same type.
    pub(crate) fn merge(&mut self, other: Digest) -> Option<usize> {
        let config = percentile::Config::digest(self.ty, false);
        (self.ty == other.ty).then(|| self.samples.absorb(other.samples, &config))
    }

    /// The value at a percentage.
    pub(crate) fn value_at(&mut self, percent: f64) -> Value {
        let config = percentile::Config::digest(self.ty, false);
        self.samples.at(percent).map_or(Value::Null(self.ty), |key| config.value(key))
    }

    /// How many values are at most `value`, which is of the digest's type, and how many there are.
    pub(crate) fn rank(&mut self, value: &Value) -> Option<(u64, u64)> {
        let key = percentile::key_of_value(value)?;
        let samples = self.samples.sorted();
        let below = samples.partition_point(|(at, _)| *at <= key);
        Some((percentile::total_of(&samples[..below]), percentile::total_of(samples)))
    }
}

/// `hll`: what `dcount` collects, as a value.
pub(super) struct Hll(Distinct);

impl Slot for Hll {
    type Config = distinct::Config;
    type Input<'a> = distinct::Hashes<'a>;

    fn input<'a>(config: &Self::Config, args: &'a [Arg]) -> Result<Self::Input<'a>> {
        Distinct::input(config, args)
    }

    fn new(config: &Self::Config) -> Self {
        Hll(Distinct::new(config))
    }

    fn update(&mut self, input: &Self::Input<'_>, row: usize, config: &Self::Config) -> usize {
        self.0.update(input, row, config)
    }

    fn state_types(config: &Self::Config) -> Vec<DataType> {
        Distinct::state_types(config)
    }

    fn save(slots: &[Self], _: &Self::Config) -> Result<Vec<ArrayRef>> {
        Distinct::save_each(slots.iter().map(|slot| &slot.0))
    }

    fn load(state: &[ArrayRef], row: usize, config: &Self::Config) -> Result<Self> {
        Distinct::load(state, row, config).map(Hll)
    }

    fn absorb(&mut self, other: Self, config: &Self::Config) -> usize {
        self.0.absorb(other.0, config)
    }

    fn finish(slots: Vec<Self>, _: &Self::Config) -> Result<Vec<ArrayRef>> {
        Ok(vec![build::jsons(slots.len(), |group| sketch_json(&slots[group].0))])
    }
}

/// `hll_merge`: over dynamics that `hll` gave; others are skipped.
pub(super) struct HllMerge(Hll);

impl Slot for HllMerge {
    type Config = ();
    type Input<'a> = Jsons<'a>;

    fn input<'a>(_: &(), args: &'a [Arg]) -> Result<Jsons<'a>> {
        Jsons::of(super::simple::only(args)?)
    }

    fn new(_: &()) -> Self {
        HllMerge(Hll::new(&MERGED))
    }

    fn update(&mut self, input: &Jsons<'_>, row: usize, _: &()) -> usize {
        input.get(row).and_then(Sketch::of).map_or(0, |sketch| self.0.0.absorb(sketch.0, &MERGED))
    }

    fn state_types(_: &()) -> Vec<DataType> {
        Hll::state_types(&MERGED)
    }

    fn save(slots: &[Self], _: &()) -> Result<Vec<ArrayRef>> {
        Distinct::save_each(slots.iter().map(|slot| &slot.0.0))
    }

    fn load(state: &[ArrayRef], row: usize, _: &()) -> Result<Self> {
        Hll::load(state, row, &MERGED).map(HllMerge)
    }

    fn absorb(&mut self, other: Self, _: &()) -> usize {
        self.0.absorb(other.0, &MERGED)
    }

    fn finish(slots: Vec<Self>, _: &()) -> Result<Vec<ArrayRef>> {
        Hll::finish(slots.into_iter().map(|slot| slot.0).collect(), &MERGED)
    }
}

/// `tdigest`: what `percentile` collects, as a value.
pub(super) struct Tdigest(Percentiles);

impl Slot for Tdigest {
    type Config = percentile::Config;
    type Input<'a> = percentile::Samples<'a>;

    fn input<'a>(config: &Self::Config, args: &'a [Arg]) -> Result<Self::Input<'a>> {
        Percentiles::input(config, args)
    }

    fn new(config: &Self::Config) -> Self {
        Tdigest(Percentiles::new(config))
    }

    fn update(&mut self, input: &Self::Input<'_>, row: usize, config: &Self::Config) -> usize {
        self.0.update(input, row, config)
    }

    fn state_types(config: &Self::Config) -> Vec<DataType> {
        Percentiles::state_types(config)
    }

    fn save(slots: &[Self], _: &Self::Config) -> Result<Vec<ArrayRef>> {
        Percentiles::save_each(slots.iter().map(|slot| &slot.0))
    }

    fn load(state: &[ArrayRef], row: usize, config: &Self::Config) -> Result<Self> {
        Percentiles::load(state, row, config).map(Tdigest)
    }

    fn absorb(&mut self, other: Self, config: &Self::Config) -> usize {
        self.0.absorb(other.0, config)
    }

    fn finish(slots: Vec<Self>, config: &Self::Config) -> Result<Vec<ArrayRef>> {
        let mut digests = slots.into_iter().map(|slot| Digest { ty: config.ty(), samples: slot.0 });
        let count = digests.len();
        Ok(vec![build::jsons(count, |_| digests.next()?.json())])
    }
}

/// `merge_tdigest`: over dynamics that `tdigest` gave. The first one says the type; others of another type are skipped.
#[derive(Default)]
pub(super) struct TdigestMerge(Option<Digest>);

impl TdigestMerge {
    fn take_in(&mut self, other: Digest) -> usize {
        match &mut self.0 {
            Some(digest) => digest.merge(other).unwrap_or(0),
            None => {
                let bytes = other.samples.bytes();
                self.0 = Some(other);
                bytes
            }
        }
    }
}

impl Slot for TdigestMerge {
    type Config = ();
    type Input<'a> = Jsons<'a>;

    fn input<'a>(_: &(), args: &'a [Arg]) -> Result<Jsons<'a>> {
        Jsons::of(super::simple::only(args)?)
    }

    fn new(_: &()) -> Self {
        TdigestMerge::default()
    }

    fn update(&mut self, input: &Jsons<'_>, row: usize, _: &()) -> usize {
        input.get(row).and_then(Digest::of).map_or(0, |digest| self.take_in(digest))
    }

    fn state_types(_: &()) -> Vec<DataType> {
        vec![DataType::Utf8View]
    }

    /// The state is the result.
    fn save(slots: &[Self], _: &()) -> Result<Vec<ArrayRef>> {
        Ok(vec![build::jsons(slots.len(), |group| slots[group].0.as_ref()?.copy().json())])
    }

    fn load(state: &[ArrayRef], row: usize, _: &()) -> Result<Self> {
        Ok(TdigestMerge(super::bag::state_text(state, row)?.and_then(Digest::of)))
    }

    fn absorb(&mut self, other: Self, _: &()) -> usize {
        other.0.map_or(0, |digest| self.take_in(digest))
    }

    fn finish(slots: Vec<Self>, config: &()) -> Result<Vec<ArrayRef>> {
        Self::save(&slots, config)
    }
}

impl Digest {
    fn copy(&self) -> Digest {
        Digest { ty: self.ty, samples: self.samples.copy() }
    }
}
