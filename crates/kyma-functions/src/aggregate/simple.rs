//! Counts, sums, means, extremes and bits: one or two numbers per group.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use kyma_core::types::{DECIMAL_PRECISION, DECIMAL_SCALE};
use kyma_core::{Error, Result, Type, Value};

use super::{Aggregate, Grouped, Slot};
use crate::view::{DECIMAL_ONE, Decimals, Longs, Reals};
use crate::{Arg, array_value, build};

fn longs(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn long_at(state: &[ArrayRef], column: usize, row: usize) -> Result<i64> {
    let array = state.get(column).and_then(|array| array.as_primitive_opt::<Int64Type>());
    array.map(|array| array.value(row)).ok_or_else(|| Error::internal("an aggregate's state has another type"))
}

/// The only argument.
pub(super) fn only(args: &[Arg]) -> Result<&Arg> {
    args.first().ok_or_else(|| Error::internal("an aggregate lacks its argument"))
}

/// `count`.
pub(super) struct Count(i64);

impl Slot for Count {
    type Config = ();
    type Input<'a> = ();

    fn input(_: &(), _: &[Arg]) -> Result<()> {
        Ok(())
    }

    fn new(_: &()) -> Self {
        Count(0)
    }

    fn update(&mut self, _: &(), _: usize, _: &()) -> usize {
        self.0 += 1;
        0
    }

    fn state_types(_: &()) -> Vec<DataType> {
        vec![DataType::Int64]
    }

    fn save(slots: &[Self], _: &()) -> Result<Vec<ArrayRef>> {
        Ok(vec![longs(slots.iter().map(|slot| slot.0))])
    }

    fn load(state: &[ArrayRef], row: usize, _: &()) -> Result<Self> {
        long_at(state, 0, row).map(Count)
    }

    fn absorb(&mut self, other: Self, _: &()) -> usize {
        self.0 += other.0;
        0
    }

    fn finish(slots: Vec<Self>, config: &()) -> Result<Vec<ArrayRef>> {
        Self::save(&slots, config)
    }
}

/// `sum` in the type of the result: 0 over no values, wrapping for integers.
pub(super) fn sum(out: Type) -> Result<Box<dyn Aggregate>> {
    Ok(match out {
        Type::Long | Type::Int | Type::Datetime | Type::Timespan => Grouped::<SumLong>::boxed(out),
        Type::Real => Grouped::<Mean>::boxed(MeanConfig { out: Type::Real, mean: false }),
        Type::Decimal => Grouped::<SumDecimal>::boxed(()),
        other => return Err(Error::internal(format!("values of this type have no sum: type={other}"))),
    })
}

struct SumLong(i64);

impl Slot for SumLong {
    type Config = Type;
    type Input<'a> = Longs<'a>;

    fn input<'a>(_: &Type, args: &'a [Arg]) -> Result<Longs<'a>> {
        Longs::of(only(args)?)
    }

    fn new(_: &Type) -> Self {
        SumLong(0)
    }

    fn update(&mut self, input: &Longs<'_>, row: usize, _: &Type) -> usize {
        self.0 = self.0.wrapping_add(input.get(row).unwrap_or(0));
        0
    }

    fn state_types(_: &Type) -> Vec<DataType> {
        vec![DataType::Int64]
    }

    fn save(slots: &[Self], _: &Type) -> Result<Vec<ArrayRef>> {
        Ok(vec![longs(slots.iter().map(|slot| slot.0))])
    }

    fn load(state: &[ArrayRef], row: usize, _: &Type) -> Result<Self> {
        long_at(state, 0, row).map(SumLong)
    }

    fn absorb(&mut self, other: Self, _: &Type) -> usize {
        self.0 = self.0.wrapping_add(other.0);
        0
    }

    fn finish(slots: Vec<Self>, out: &Type) -> Result<Vec<ArrayRef>> {
        Ok(vec![build::longs(*out, slots.len(), |group| Some(slots[group].0))?])
    }
}

struct SumDecimal {
    sum: i128,
    count: i64,
}

impl Slot for SumDecimal {
    type Config = ();
    type Input<'a> = Decimals<'a>;

    fn input<'a>(_: &(), args: &'a [Arg]) -> Result<Decimals<'a>> {
        Decimals::of(only(args)?)
    }

    fn new(_: &()) -> Self {
        SumDecimal { sum: 0, count: 0 }
    }

    fn update(&mut self, input: &Decimals<'_>, row: usize, _: &()) -> usize {
        if let Some(value) = input.get(row) {
            self.sum = self.sum.wrapping_add(value);
            self.count += 1;
        }
        0
    }

    fn state_types(_: &()) -> Vec<DataType> {
        vec![DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE)]
    }

    fn save(slots: &[Self], _: &()) -> Result<Vec<ArrayRef>> {
        Ok(vec![build::decimals(slots.len(), |group| Some(slots[group].sum))?])
    }

    fn load(state: &[ArrayRef], row: usize, _: &()) -> Result<Self> {
        let array = state.first().and_then(|array| array.as_primitive_opt::<Decimal128Type>());
        let array = array.ok_or_else(|| Error::internal("an aggregate's state has another type"))?;
        Ok(SumDecimal { sum: array.value(row), count: 0 })
    }

    fn absorb(&mut self, other: Self, _: &()) -> usize {
        self.sum = self.sum.wrapping_add(other.sum);
        0
    }

    fn finish(slots: Vec<Self>, config: &()) -> Result<Vec<ArrayRef>> {
        Self::save(&slots, config)
    }
}

/// `avg`: real over numbers (NaN over no values); in their type over times and decimals (null over no values).
pub(super) fn average(first: Type, out: Type) -> Result<Box<dyn Aggregate>> {
    Ok(match first {
        Type::Datetime | Type::Timespan | Type::Decimal => Grouped::<MeanWhole>::boxed(out),
        _ => Grouped::<Mean>::boxed(MeanConfig { out: Type::Real, mean: true }),
    })
}

/// What `Mean` gives.
pub(super) struct MeanConfig {
    out: Type,
    mean: bool,
}

/// A sum of floats and their number.
struct Mean {
    sum: f64,
    count: i64,
}

impl Slot for Mean {
    type Config = MeanConfig;
    type Input<'a> = Reals<'a>;

    fn input<'a>(_: &MeanConfig, args: &'a [Arg]) -> Result<Reals<'a>> {
        Reals::of(only(args)?)
    }

    fn new(_: &MeanConfig) -> Self {
        Mean { sum: 0.0, count: 0 }
    }

    fn update(&mut self, input: &Reals<'_>, row: usize, _: &MeanConfig) -> usize {
        if let Some(value) = input.get(row) {
            self.sum += value;
            self.count += 1;
        }
        0
    }

    fn state_types(_: &MeanConfig) -> Vec<DataType> {
        vec![DataType::Float64, DataType::Int64]
    }

    fn save(slots: &[Self], _: &MeanConfig) -> Result<Vec<ArrayRef>> {
        let sums = build::reals(slots.len(), |group| Some(slots[group].sum));
        Ok(vec![sums, longs(slots.iter().map(|slot| slot.count))])
    }

    fn load(state: &[ArrayRef], row: usize, _: &MeanConfig) -> Result<Self> {
        let sums = state.first().and_then(|array| array.as_primitive_opt::<Float64Type>());
        let sums = sums.ok_or_else(|| Error::internal("an aggregate's state has another type"))?;
        Ok(Mean { sum: sums.value(row), count: long_at(state, 1, row)? })
    }

    fn absorb(&mut self, other: Self, _: &MeanConfig) -> usize {
        self.sum += other.sum;
        self.count += other.count;
        0
    }

    fn finish(slots: Vec<Self>, config: &MeanConfig) -> Result<Vec<ArrayRef>> {
        debug_assert_eq!(config.out, Type::Real);
        Ok(vec![build::reals(slots.len(), |group| {
            let Mean { sum, count } = slots[group];
            Some(if config.mean { sum / count as f64 } else { sum })
        })])
    }
}

/// A wide sum of whole numbers (nanoseconds, unscaled decimals) and their number.
struct MeanWhole {
    sum: i128,
    count: i64,
}

/// Longs or decimals as wide integers.
pub(super) enum Wide<'a> {
    Long(Longs<'a>),
    Decimal(Decimals<'a>),
}

impl Slot for MeanWhole {
    type Config = Type;
    type Input<'a> = Wide<'a>;

    fn input<'a>(out: &Type, args: &'a [Arg]) -> Result<Wide<'a>> {
        let arg = only(args)?;
        Ok(if *out == Type::Decimal { Wide::Decimal(Decimals::of(arg)?) } else { Wide::Long(Longs::of(arg)?) })
    }

    fn new(_: &Type) -> Self {
        MeanWhole { sum: 0, count: 0 }
    }

    fn update(&mut self, input: &Wide<'_>, row: usize, _: &Type) -> usize {
        let value = match input {
            Wide::Long(longs) => longs.get(row).map(i128::from),
            Wide::Decimal(decimals) => decimals.get(row),
        };
        if let Some(value) = value {
            self.sum = self.sum.wrapping_add(value);
            self.count += 1;
        }
        0
    }

    fn state_types(_: &Type) -> Vec<DataType> {
        vec![DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE), DataType::Int64]
    }

    fn save(slots: &[Self], _: &Type) -> Result<Vec<ArrayRef>> {
        let sums = build::decimals(slots.len(), |group| Some(slots[group].sum))?;
        Ok(vec![sums, longs(slots.iter().map(|slot| slot.count))])
    }

    fn load(state: &[ArrayRef], row: usize, _: &Type) -> Result<Self> {
        let sums = state.first().and_then(|array| array.as_primitive_opt::<Decimal128Type>());
        let sums = sums.ok_or_else(|| Error::internal("an aggregate's state has another type"))?;
        Ok(MeanWhole { sum: sums.value(row), count: long_at(state, 1, row)? })
    }

    fn absorb(&mut self, other: Self, _: &Type) -> usize {
        self.sum = self.sum.wrapping_add(other.sum);
        self.count += other.count;
        0
    }

    fn finish(slots: Vec<Self>, out: &Type) -> Result<Vec<ArrayRef>> {
        let mean = |group: usize| {
            let MeanWhole { sum, count } = slots[group];
            (count > 0).then(|| sum / i128::from(count))
        };
        Ok(vec![match out {
            Type::Decimal => build::decimals(slots.len(), mean)?,
            Type::Real => build::reals(slots.len(), |group| mean(group).map(|mean| mean as f64 / DECIMAL_ONE as f64)),
            out => build::longs(*out, slots.len(), |group| mean(group).map(|mean| mean as i64))?,
        }])
    }
}

/// `min` and `max`.
pub(super) fn extreme(ty: Type, wanted: Ordering) -> Box<dyn Aggregate> {
    let config = ExtremeConfig { ty, wanted };
    match ty {
        Type::Int | Type::Long | Type::Datetime | Type::Timespan => Grouped::<ExtremeLong>::boxed(config),
        _ => Grouped::<Extreme>::boxed(config),
    }
}

/// What is compared, and which order wins.
pub(super) struct ExtremeConfig {
    ty: Type,
    wanted: Ordering,
}

struct ExtremeLong(Option<i64>);

impl ExtremeLong {
    fn offer(&mut self, value: Option<i64>, wanted: Ordering) {
        let Some(value) = value else { return };
        if self.0.is_none_or(|best| value.cmp(&best) == wanted) {
            self.0 = Some(value);
        }
    }
}

impl Slot for ExtremeLong {
    type Config = ExtremeConfig;
    type Input<'a> = Longs<'a>;

    fn input<'a>(_: &ExtremeConfig, args: &'a [Arg]) -> Result<Longs<'a>> {
        Longs::of(only(args)?)
    }

    fn new(_: &ExtremeConfig) -> Self {
        ExtremeLong(None)
    }

    fn update(&mut self, input: &Longs<'_>, row: usize, config: &ExtremeConfig) -> usize {
        self.offer(input.get(row), config.wanted);
        0
    }

    fn state_types(config: &ExtremeConfig) -> Vec<DataType> {
        vec![config.ty.arrow()]
    }

    fn save(slots: &[Self], config: &ExtremeConfig) -> Result<Vec<ArrayRef>> {
        Ok(vec![build::longs(config.ty, slots.len(), |group| slots[group].0)?])
    }

    fn load(state: &[ArrayRef], row: usize, _: &ExtremeConfig) -> Result<Self> {
        let array = state.first().ok_or_else(|| Error::internal("an aggregate lacks its state"))?;
        let arg = Arg::Array(array.slice(row, 1));
        Ok(ExtremeLong(Longs::of(&arg)?.get(0)))
    }

    fn absorb(&mut self, other: Self, config: &ExtremeConfig) -> usize {
        self.offer(other.0, config.wanted);
        0
    }

    fn finish(slots: Vec<Self>, config: &ExtremeConfig) -> Result<Vec<ArrayRef>> {
        Self::save(&slots, config)
    }
}

/// Extremes of any other type; empty strings and NaN count as values, nulls do not.
struct Extreme(Option<Value>);

/// The order that sorts values of one type: NaN below all numbers, dynamics by content.
pub(super) fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Real(a), Value::Real(b)) => a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())),
        (Value::Dynamic(a), Value::Dynamic(b)) => match (crate::json::parse(a), crate::json::parse(b)) {
            (Some(a), Some(b)) => crate::json::compare(&a, &b),
            _ => a.cmp(b),
        },
        _ => a.partial_compare(b).unwrap_or(Ordering::Equal),
    }
}

impl Extreme {
    fn offer(&mut self, value: Value, wanted: Ordering) -> usize {
        if value.is_null() || self.0.as_ref().is_some_and(|best| order(&value, best) != wanted) {
            return 0;
        }
        let grown = heap_bytes(&value).saturating_sub(self.0.as_ref().map_or(0, heap_bytes));
        self.0 = Some(value);
        grown
    }
}

/// Bytes of a value outside of itself.
pub(super) fn heap_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) | Value::Dynamic(text) => text.capacity(),
        _ => 0,
    }
}

impl Slot for Extreme {
    type Config = ExtremeConfig;
    type Input<'a> = &'a ArrayRef;

    fn input<'a>(_: &ExtremeConfig, args: &'a [Arg]) -> Result<&'a ArrayRef> {
        match only(args)? {
            Arg::Array(array) => Ok(array),
            Arg::Scalar(_) => Err(Error::internal("an aggregate's argument is no array")),
        }
    }

    fn new(_: &ExtremeConfig) -> Self {
        Extreme(None)
    }

    fn update(&mut self, input: &&ArrayRef, row: usize, config: &ExtremeConfig) -> usize {
        self.offer(array_value(input.as_ref(), row, config.ty), config.wanted)
    }

    fn state_types(config: &ExtremeConfig) -> Vec<DataType> {
        vec![config.ty.arrow()]
    }

    fn save(slots: &[Self], config: &ExtremeConfig) -> Result<Vec<ArrayRef>> {
        save_values(slots.iter().map(|slot| slot.0.as_ref()), config.ty).map(|array| vec![array])
    }

    fn load(state: &[ArrayRef], row: usize, config: &ExtremeConfig) -> Result<Self> {
        let array = state.first().ok_or_else(|| Error::internal("an aggregate lacks its state"))?;
        Ok(Extreme(array.is_valid(row).then(|| array_value(array.as_ref(), row, config.ty))))
    }

    fn absorb(&mut self, other: Self, config: &ExtremeConfig) -> usize {
        other.0.map_or(0, |value| self.offer(value, config.wanted))
    }

    fn finish(slots: Vec<Self>, config: &ExtremeConfig) -> Result<Vec<ArrayRef>> {
        let values: Vec<Value> = slots.into_iter().map(|slot| slot.0.unwrap_or(Value::Null(config.ty))).collect();
        Ok(vec![crate::value::values_to_array(&values, config.ty)?])
    }
}

/// Values or Arrow nulls; unlike results, a missing string stays an Arrow null.
pub(super) fn save_values<'v>(values: impl Iterator<Item = Option<&'v Value>>, ty: Type) -> Result<ArrayRef> {
    if ty == Type::String {
        let texts = values.map(|value| match value {
            Some(Value::String(text)) => Some(text.as_str()),
            _ => None,
        });
        return Ok(Arc::new(texts.collect::<arrow::array::StringViewArray>()));
    }
    let values: Vec<Value> = values.map(|value| value.cloned().unwrap_or(Value::Null(ty))).collect();
    crate::value::values_to_array(&values, ty)
}

/// Which bits survive.
#[derive(Debug, Clone, Copy)]
pub(super) enum BitOp {
    And,
    Or,
    Xor,
}

pub(super) struct Bits(Option<i64>);

impl Bits {
    fn offer(&mut self, value: Option<i64>, op: BitOp) {
        let Some(value) = value else { return };
        self.0 = Some(match (self.0, op) {
            (None, _) => value,
            (Some(before), BitOp::And) => before & value,
            (Some(before), BitOp::Or) => before | value,
            (Some(before), BitOp::Xor) => before ^ value,
        });
    }
}

impl Slot for Bits {
    type Config = BitOp;
    type Input<'a> = Longs<'a>;

    fn input<'a>(_: &BitOp, args: &'a [Arg]) -> Result<Longs<'a>> {
        Longs::of(only(args)?)
    }

    fn new(_: &BitOp) -> Self {
        Bits(None)
    }

    fn update(&mut self, input: &Longs<'_>, row: usize, op: &BitOp) -> usize {
        self.offer(input.get(row), *op);
        0
    }

    fn state_types(_: &BitOp) -> Vec<DataType> {
        vec![DataType::Int64]
    }

    fn save(slots: &[Self], _: &BitOp) -> Result<Vec<ArrayRef>> {
        Ok(vec![build::longs(Type::Long, slots.len(), |group| slots[group].0)?])
    }

    fn load(state: &[ArrayRef], row: usize, _: &BitOp) -> Result<Self> {
        let is_null = state.first().is_some_and(|array| array.is_null(row));
        Ok(Bits(if is_null { None } else { Some(long_at(state, 0, row)?) }))
    }

    fn absorb(&mut self, other: Self, op: &BitOp) -> usize {
        self.offer(other.0, *op);
        0
    }

    fn finish(slots: Vec<Self>, op: &BitOp) -> Result<Vec<ArrayRef>> {
        Self::save(&slots, op)
    }
}
