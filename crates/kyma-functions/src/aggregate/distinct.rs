//! Distinct counts: hashes of values, exactly up to a number of them, then HyperLogLog (Flajolet et al. 2007), read by
//! [`kyma_core::sketch::estimate`].

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::datatypes::DataType;
use kyma_core::sketch::estimate;
use kyma_core::{Error, Result, Type};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

use super::Slot;
use super::simple::only;
use crate::limits::DISTINCT_EXACT_MAX;
use crate::view::{Bools, Decimals, Guids, Jsons, Longs, Reals, Texts};
use crate::{Arg, build};

/// Registers are 2 to this power: a standard error of 0.8 %.
const PRECISION: u32 = 14;

/// What is counted.
pub(super) struct Config {
    pub(super) ty: Type,
    /// Never falls back to an estimate.
    pub(super) exact: bool,
}

/// Hashes of values by row; nulls have none, except that an empty string is a value.
pub(super) enum Hashes<'a> {
    Text(Texts<'a>),
    Json(Jsons<'a>),
    Long(Longs<'a>),
    Real(Reals<'a>),
    Bool(Bools<'a>),
    Guid(Guids<'a>),
    Decimal(Decimals<'a>),
}

impl<'a> Hashes<'a> {
    fn of(arg: &'a Arg, ty: Type) -> Result<Hashes<'a>> {
        Ok(match ty {
            Type::String => Hashes::Text(Texts::of(arg)?),
            Type::Dynamic => Hashes::Json(Jsons::of(arg)?),
            Type::Int | Type::Long | Type::Datetime | Type::Timespan => Hashes::Long(Longs::of(arg)?),
            Type::Real => Hashes::Real(Reals::of(arg)?),
            Type::Bool => Hashes::Bool(Bools::of(arg)?),
            Type::Guid => Hashes::Guid(Guids::of(arg)?),
            Type::Decimal => Hashes::Decimal(Decimals::of(arg)?),
        })
    }

    fn get(&self, row: usize) -> Option<u64> {
        Some(match self {
            Hashes::Text(texts) => xxh3_64(texts.get(row).as_bytes()),
            Hashes::Json(jsons) => xxh3_64(jsons.get(row)?.as_bytes()),
            Hashes::Long(longs) => xxh3_64(&longs.get(row)?.to_le_bytes()),
            Hashes::Real(reals) => xxh3_64(&(reals.get(row)? + 0.0).to_bits().to_le_bytes()),
            Hashes::Bool(bools) => xxh3_64(&[u8::from(bools.get(row)?)]),
            Hashes::Guid(guids) => xxh3_64(&guids.get(row)?.to_le_bytes()),
            Hashes::Decimal(decimals) => xxh3_64(&decimals.get(row)?.to_le_bytes()),
        })
    }
}

/// Hashes of values are hashes already.
#[derive(Debug, Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Set = HashSet<u64, BuildHasherDefault<Hashed>>;

/// Distinct hashes of one group.
pub(super) enum Distinct {
    Exact(Set),
    Sketch(Box<[u8]>),
}

impl Distinct {
    fn insert(&mut self, hash: u64, exact: bool) -> usize {
        match self {
            Distinct::Exact(set) => {
                let before = set.capacity();
                set.insert(hash);
                let grown = (set.capacity() - before) * 9;
                if !exact && set.len() > DISTINCT_EXACT_MAX {
                    let mut registers = vec![0; 1 << PRECISION].into_boxed_slice();
                    set.iter().for_each(|&hash| record(&mut registers, hash));
                    *self = Distinct::Sketch(registers);
                }
                grown
            }
            Distinct::Sketch(registers) => {
                record(registers, hash);
                0
            }
        }
    }

    /// How many there are, or about how many.
    pub(super) fn count(&self) -> i64 {
        match self {
            Distinct::Exact(set) => set.len() as i64,
            Distinct::Sketch(registers) => estimate(registers, PRECISION).round() as i64,
        }
    }
}

impl Distinct {
    /// The portable form: a byte that says which, then hashes ascending, or registers.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Distinct::Exact(set) => {
                let mut hashes: Vec<u64> = set.iter().copied().collect();
                hashes.sort_unstable();
                let mut bytes = vec![EXACT];
                hashes.iter().for_each(|hash| bytes.extend(hash.to_le_bytes()));
                bytes
            }
            Distinct::Sketch(registers) => [&[SKETCH], registers.as_ref()].concat(),
        }
    }

    /// Reads the portable form; `None` when the bytes are not one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Distinct> {
        match bytes {
            [EXACT, hashes @ ..] => {
                let hashes = hashes.chunks_exact(8).map(|bytes| bytes.try_into().map(u64::from_le_bytes).ok());
                Some(Distinct::Exact(hashes.collect::<Option<_>>()?))
            }
            [SKETCH, registers @ ..] if registers.len() == 1 << PRECISION => Some(Distinct::Sketch(registers.into())),
            _ => None,
        }
    }

    pub(super) fn save_each<'s>(slots: impl Iterator<Item = &'s Distinct>) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(BinaryArray::from_iter_values(slots.map(Distinct::to_bytes)))])
    }
}

fn record(registers: &mut [u8], hash: u64) {
    let register = (hash >> (64 - PRECISION)) as usize;
    let rank = (hash << PRECISION | 1 << (PRECISION - 1)).leading_zeros() as u8 + 1;
    registers[register] = registers[register].max(rank);
}

/// First byte of a state.
const EXACT: u8 = 0;
const SKETCH: u8 = 1;

impl Slot for Distinct {
    type Config = Config;
    type Input<'a> = Hashes<'a>;

    fn input<'a>(config: &Config, args: &'a [Arg]) -> Result<Hashes<'a>> {
        Hashes::of(only(args)?, config.ty)
    }

    fn new(_: &Config) -> Self {
        Distinct::Exact(Set::default())
    }

    fn update(&mut self, input: &Hashes<'_>, row: usize, config: &Config) -> usize {
        input.get(row).map_or(0, |hash| self.insert(hash, config.exact))
    }

    fn state_types(_: &Config) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn save(slots: &[Self], _: &Config) -> Result<Vec<ArrayRef>> {
        Distinct::save_each(slots.iter())
    }

    fn load(state: &[ArrayRef], row: usize, _: &Config) -> Result<Self> {
        let damaged = || Error::internal("an aggregate's state is damaged");
        let array = state.first().and_then(|array| array.as_binary_opt::<i32>()).ok_or_else(damaged)?;
        Distinct::from_bytes(if array.is_null(row) { &[EXACT] } else { array.value(row) }).ok_or_else(damaged)
    }

    fn absorb(&mut self, other: Self, config: &Config) -> usize {
        match other {
            Distinct::Exact(hashes) => hashes.into_iter().map(|hash| self.insert(hash, config.exact)).sum(),
            Distinct::Sketch(mut registers) => {
                match self {
                    Distinct::Exact(set) => set.iter().for_each(|&hash| record(&mut registers, hash)),
                    Distinct::Sketch(mine) => {
                        registers.iter_mut().zip(mine.iter()).for_each(|(other, mine)| *other = (*other).max(*mine));
                    }
                }
                *self = Distinct::Sketch(registers);
                1 << PRECISION
            }
        }
    }

    fn finish(slots: Vec<Self>, _: &Config) -> Result<Vec<ArrayRef>> {
        Ok(vec![build::longs(Type::Long, slots.len(), |group| Some(slots[group].count()))?])
    }
}
