//! How many distinct values there are, from a sketch that merges.
//!
//! 1. Up to [`EXACT_MAX`] distinct hashes are kept as they are: the count is exact.
//! 2. Beyond, HyperLogLog with 2^[`PRECISION`] registers (Flajolet et al. 2007), read with the estimator of Ertl 2017,
//!    which has no bias at any size: the standard error is 1.04 / sqrt(2048) = 2.3 %.
//!
//! The state depends on the set of values only: the sketches of two sets merge to exactly the sketch of their union, in
//! whatever order. Values hash as `dcount` hashes them, and a register is named by a hash's highest bits, so that a
//! sketch of more registers can be folded into this one, and [`Sketch::hashes`] can be counted by it.
//!
//! ```text
//! bytes = EXACT 0, (hash u64)* ascending     or     REGISTERS 1, 2,048 registers of 6 bits, least significant first
//! ```

use arrow::array::{Array, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    Decimal128Type, DurationNanosecondType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::types::Type;

/// Registers are 2 to this power.
pub const PRECISION: u32 = 11;
/// Distinct values that are counted exactly.
pub const EXACT_MAX: usize = 128;

const REGISTERS: usize = 1 << PRECISION;
/// Bits of a register: the largest rank is 54.
const REGISTER_BITS: usize = 6;
const RANK_MAX: u8 = (64 - PRECISION + 1) as u8;
/// First bytes of the two forms.
const EXACT: u8 = 0;
const DENSE: u8 = 1;

/// A set of values, as far as their number goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// Ascending.
    Exact(Vec<u64>),
    Dense(Box<[u8; REGISTERS]>),
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch { form: Form::Exact(Vec::new()) }
    }
}

impl Sketch {
    /// Adds a value by its hash.
    pub fn insert(&mut self, hash: u64) {
        match &mut self.form {
            Form::Dense(registers) => record(registers, hash),
            Form::Exact(hashes) => {
                let Err(place) = hashes.binary_search(&hash) else { return };
                hashes.insert(place, hash);
                if hashes.len() > EXACT_MAX {
                    self.form = Form::Dense(registers_of(hashes));
                }
            }
        }
    }

    /// Adds the non-null values of `array`, which has the Arrow type of `ty`. Dynamics are not counted.
    pub fn add(&mut self, ty: Type, array: &dyn Array) {
        match ty {
            Type::Bool => {
                array.as_boolean().iter().flatten().for_each(|truth| self.insert(hash_of(&[u8::from(truth)])))
            }
            Type::Int => self.add_all(array.as_primitive::<Int32Type>(), |int| i64::from(int).to_le_bytes()),
            Type::Long => self.add_all(array.as_primitive::<Int64Type>(), i64::to_le_bytes),
            Type::Datetime => self.add_all(array.as_primitive::<TimestampNanosecondType>(), i64::to_le_bytes),
            Type::Timespan => self.add_all(array.as_primitive::<DurationNanosecondType>(), i64::to_le_bytes),
            Type::Decimal => self.add_all(array.as_primitive::<Decimal128Type>(), i128::to_le_bytes),
            // Adding zero makes -0.0 the 0.0 that it equals.
            Type::Real => {
                self.add_all(array.as_primitive::<Float64Type>(), |real| (real + 0.0).to_bits().to_le_bytes())
            }
            Type::Guid => {
                let guids = array.as_fixed_size_binary().iter().flatten();
                guids.for_each(|guid| {
                    let number = guid.iter().take(16).fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte));
                    self.insert(hash_of(&number.to_le_bytes()));
                });
            }
            Type::String => {
                array.as_string_view().iter().flatten().for_each(|text| self.insert(hash_of(text.as_bytes())));
            }
            Type::Dynamic => {}
        }
    }

    fn add_all<T: ArrowPrimitiveType, const N: usize>(
        &mut self,
        array: &PrimitiveArray<T>,
        bytes: impl Fn(T::Native) -> [u8; N],
    ) {
        array.iter().flatten().for_each(|value| self.insert(hash_of(&bytes(value))));
    }

    /// Adds what `other` has seen.
    pub fn merge(&mut self, other: &Sketch) {
        match (&mut self.form, &other.form) {
            (_, Form::Exact(hashes)) => hashes.iter().for_each(|&hash| self.insert(hash)),
            (Form::Dense(mine), Form::Dense(theirs)) => {
                mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
            }
            (Form::Exact(hashes), Form::Dense(theirs)) => {
                let mut registers = theirs.clone();
                hashes.iter().for_each(|&hash| record(&mut registers, hash));
                self.form = Form::Dense(registers);
            }
        }
    }

    /// How many distinct values were added: exactly when [`Sketch::hashes`] are known, else to about 2.3 %.
    pub fn estimate(&self) -> u64 {
        match &self.form {
            Form::Exact(hashes) => hashes.len() as u64,
            Form::Dense(registers) => estimate(registers.as_slice(), PRECISION).round() as u64,
        }
    }

    /// The hashes of all values, ascending, while these are few.
    pub fn hashes(&self) -> Option<&[u64]> {
        match &self.form {
            Form::Exact(hashes) => Some(hashes),
            Form::Dense(_) => None,
        }
    }

    /// The portable form.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.form {
            Form::Exact(hashes) => {
                let mut bytes = vec![EXACT];
                hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
                bytes
            }
            Form::Dense(registers) => {
                let mut bytes = vec![0; 1 + REGISTERS * REGISTER_BITS / 8];
                bytes[0] = DENSE;
                // Four registers take three bytes.
                for (four, three) in registers.chunks_exact(4).zip(bytes[1..].chunks_exact_mut(3)) {
                    let bits = (0..4).fold(0_u32, |bits, at| bits | u32::from(four[at]) << (REGISTER_BITS * at));
                    three.copy_from_slice(&bits.to_le_bytes()[..3]);
                }
                bytes
            }
        }
    }

    /// Reads the portable form; `None` when the bytes are not one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Sketch> {
        let form = match bytes.split_first()? {
            (&EXACT, rest) => {
                let (hashes, []) = rest.as_chunks::<8>() else { return None };
                let hashes: Vec<u64> = hashes.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
                let is_sound = hashes.len() <= EXACT_MAX && hashes.is_sorted_by(|a, b| a < b);
                is_sound.then_some(Form::Exact(hashes))?
            }
            (&DENSE, rest) if rest.len() == REGISTERS * REGISTER_BITS / 8 => {
                let mut registers = Box::new([0; REGISTERS]);
                for (four, three) in registers.chunks_exact_mut(4).zip(rest.chunks_exact(3)) {
                    let bits = three.iter().rev().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
                    for (at, register) in four.iter_mut().enumerate() {
                        *register = (bits >> (REGISTER_BITS * at)) as u8 & 0x3f;
                    }
                }
                registers.iter().all(|&rank| rank <= RANK_MAX).then_some(Form::Dense(registers))?
            }
            _ => return None,
        };
        Some(Sketch { form })
    }
}

/// The hash of a value: of its text, or of its bytes, the least significant first.
pub fn hash_of(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

fn registers_of(hashes: &[u64]) -> Box<[u8; REGISTERS]> {
    let mut registers = Box::new([0; REGISTERS]);
    hashes.iter().for_each(|&hash| record(&mut registers, hash));
    registers
}

/// The highest bits name the register, the zeros after them are its rank.
fn record(registers: &mut [u8; REGISTERS], hash: u64) {
    let register = (hash >> (64 - PRECISION)) as usize;
    let rank = (hash << PRECISION | 1 << (PRECISION - 1)).leading_zeros() as u8 + 1;
    registers[register] = registers[register].max(rank);
}

/// How many distinct values the ranks in 2^`precision` registers tell of: Otmar Ertl, "New cardinality estimation algorithms
/// for HyperLogLog sketches" (2017), algorithm 6. No bias at any size.
pub fn estimate(registers: &[u8], precision: u32) -> f64 {
    let m = registers.len() as f64;
    let mut counts = [0_u32; 64];
    registers.iter().for_each(|&rank| counts[usize::from(rank & 0x3f)] += 1);
    let last = (64 - precision + 1) as usize;
    let mut z = m * tau(1.0 - f64::from(counts[last]) / m);
    for rank in (1..last).rev() {
        z = 0.5 * (z + f64::from(counts[rank]));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int32Array, Int64Array};
    use proptest::prelude::*;

    use super::*;

    fn sketch_of(values: impl IntoIterator<Item = u64>) -> Sketch {
        let mut sketch = Sketch::default();
        values.into_iter().for_each(|value| sketch.insert(hash_of(&value.to_le_bytes())));
        sketch
    }

    /// Four standard errors hold for all but one of ten thousand sets.
    #[test]
    fn estimates_are_near() {
        for count in [0, 1, 100, 128, 129, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 1_000_000_u64] {
            let estimate = sketch_of(0..count).estimate();
            let error = (estimate as f64 - count as f64).abs() / (count.max(1) as f64);
            let bound = if count <= EXACT_MAX as u64 { 0.0 } else { 4.0 * 1.04 / (REGISTERS as f64).sqrt() };
            assert!(error <= bound, "{count}: {estimate}");
        }
    }

    #[test]
    fn types_that_promote_hash_alike() {
        let (mut ints, mut longs) = (Sketch::default(), Sketch::default());
        ints.add(Type::Int, &Int32Array::from(vec![Some(-7), None, Some(9)]));
        longs.add(Type::Long, &Int64Array::from(vec![-7, 9, -7]));
        assert_eq!(ints, longs);
        let mut zeros = Sketch::default();
        zeros.add(Type::Real, &Float64Array::from(vec![0.0, -0.0]));
        assert_eq!(zeros.estimate(), 1);
    }

    proptest! {
        #[test]
        fn merged_is_the_union(left in 0_u64..400, right in 0_u64..3_000, shared in 0_u64..300) {
            let (mine, theirs) = (sketch_of(0..left), sketch_of(left.saturating_sub(shared)..left + right));
            let union = sketch_of(0..left + right);
            let mut merged = mine.clone();
            merged.merge(&theirs);
            prop_assert_eq!(&merged, &union);
            let mut other_way = theirs;
            other_way.merge(&mine);
            prop_assert_eq!(&other_way, &union);
            let read = Sketch::from_bytes(&union.to_bytes());
            prop_assert_eq!(read.as_ref(), Some(&union));
        }

        #[test]
        fn any_bytes_are_a_sketch_or_none(mut bytes in proptest::collection::vec(any::<u8>(), 0..1_600), dense: bool) {
            if dense {
                bytes.resize(1 + REGISTERS * REGISTER_BITS / 8, 0x41);
                bytes[0] = DENSE;
            }
            if let Some(sketch) = Sketch::from_bytes(&bytes) {
                sketch.estimate();
                prop_assert_eq!(sketch.to_bytes(), bytes);
            }
        }
    }
}
