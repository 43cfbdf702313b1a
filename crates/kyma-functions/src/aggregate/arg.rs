//! `arg_max`, `arg_min` and `take_any`: values of some row.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use kyma_core::{Error, Result, Type, Value};

use super::Slot;
use super::simple::{heap_bytes, order, save_values};
use crate::{Arg, array_value};

/// The compared argument's type first, then those of the carried ones.
pub(super) struct Config {
    types: Vec<Type>,
    wanted: Ordering,
}

impl Config {
    pub(super) fn new(types: &[Type], wanted: Ordering) -> Config {
        Config { types: types.to_vec(), wanted }
    }
}

fn arrays<'a>(args: &'a [Arg]) -> Result<Vec<&'a ArrayRef>> {
    let array = |arg: &'a Arg| match arg {
        Arg::Array(array) => Ok(array),
        Arg::Scalar(_) => Err(Error::internal("an aggregate's argument is no array")),
    };
    args.iter().map(array).collect()
}

/// The best row of one group: the compared value, then the carried ones. Empty before the first.
pub(super) struct Best(Vec<Value>);

impl Best {
    fn beats(&self, value: &Value, wanted: Ordering) -> bool {
        match self.0.first() {
            None => true,
            Some(best) if best.is_null() => !value.is_null(),
            Some(best) => !value.is_null() && order(value, best) == wanted,
        }
    }
}

impl Slot for Best {
    type Config = Config;
    type Input<'a> = Vec<&'a ArrayRef>;

    fn input<'a>(_: &Config, args: &'a [Arg]) -> Result<Vec<&'a ArrayRef>> {
        arrays(args)
    }

    fn new(_: &Config) -> Self {
        Best(Vec::new())
    }

    fn update(&mut self, input: &Vec<&ArrayRef>, row: usize, config: &Config) -> usize {
        let value = array_value(input[0].as_ref(), row, config.types[0]);
        if !self.beats(&value, config.wanted) {
            return 0;
        }
        let before: usize = self.0.iter().map(heap_bytes).sum();
        let first = self.0.is_empty();
        self.0.clear();
        self.0.push(value);
        let carried = input.iter().zip(&config.types).skip(1);
        self.0.extend(carried.map(|(array, ty)| array_value(array.as_ref(), row, *ty)));
        let after: usize = self.0.iter().map(heap_bytes).sum();
        after.saturating_sub(before) + if first { self.0.len() * size_of::<Value>() } else { 0 }
    }

    fn state_types(config: &Config) -> Vec<DataType> {
        std::iter::once(DataType::Boolean).chain(config.types.iter().map(|ty| ty.arrow())).collect()
    }

    fn save(slots: &[Self], config: &Config) -> Result<Vec<ArrayRef>> {
        let some = crate::build::flags(slots.len(), |group| !slots[group].0.is_empty());
        let column = |(at, ty): (usize, &Type)| save_values(slots.iter().map(|slot| slot.0.get(at)), *ty);
        std::iter::once(Ok(some)).chain(config.types.iter().enumerate().map(column)).collect()
    }

    fn load(state: &[ArrayRef], row: usize, config: &Config) -> Result<Self> {
        let some = state.first().map(|array| array_value(array.as_ref(), row, Type::Bool)) == Some(Value::Bool(true));
        let columns = state.iter().skip(1).zip(&config.types);
        Ok(Best(if some {
            columns.map(|(array, ty)| array_value(array.as_ref(), row, *ty)).collect()
        } else {
            Vec::new()
        }))
    }

    fn absorb(&mut self, other: Self, config: &Config) -> usize {
        match other.0.first() {
            Some(value) if self.beats(value, config.wanted) => {
                *self = other;
                self.0.iter().map(heap_bytes).sum()
            }
            _ => 0,
        }
    }

    fn finish(slots: Vec<Self>, config: &Config) -> Result<Vec<ArrayRef>> {
        let column = |(at, ty): (usize, &Type)| {
            let values: Vec<Value> =
                slots.iter().map(|slot| slot.0.get(at).cloned().unwrap_or(Value::Null(*ty))).collect();
            crate::value::values_to_array(&values, *ty)
        };
        config.types.iter().enumerate().map(column).collect()
    }
}

/// The first values of one group that are not null.
pub(super) struct Any(Vec<Option<Value>>);

impl Slot for Any {
    type Config = Vec<Type>;
    type Input<'a> = Vec<&'a ArrayRef>;

    fn input<'a>(_: &Vec<Type>, args: &'a [Arg]) -> Result<Vec<&'a ArrayRef>> {
        arrays(args)
    }

    fn new(types: &Vec<Type>) -> Self {
        Any(vec![None; types.len()])
    }

    fn update(&mut self, input: &Vec<&ArrayRef>, row: usize, types: &Vec<Type>) -> usize {
        let mut grown = 0;
        for (at, slot) in self.0.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
            let value = array_value(input[at].as_ref(), row, types[at]);
            if !value.is_null() && value != Value::String(String::new()) {
                grown += heap_bytes(&value);
                *slot = Some(value);
            }
        }
        grown
    }

    fn state_types(types: &Vec<Type>) -> Vec<DataType> {
        types.iter().map(|ty| ty.arrow()).collect()
    }

    fn save(slots: &[Self], types: &Vec<Type>) -> Result<Vec<ArrayRef>> {
        let column = |(at, ty): (usize, &Type)| save_values(slots.iter().map(|slot| slot.0[at].as_ref()), *ty);
        types.iter().enumerate().map(column).collect()
    }

    fn load(state: &[ArrayRef], row: usize, types: &Vec<Type>) -> Result<Self> {
        let value =
            |(array, ty): (&ArrayRef, &Type)| array.is_valid(row).then(|| array_value(array.as_ref(), row, *ty));
        Ok(Any(state.iter().zip(types).map(value).collect()))
    }

    fn absorb(&mut self, other: Self, _: &Vec<Type>) -> usize {
        let pairs = self.0.iter_mut().zip(other.0).filter(|(mine, _)| mine.is_none());
        pairs
            .map(|(mine, other)| {
                *mine = other;
                mine.as_ref().map_or(0, heap_bytes)
            })
            .sum()
    }

    fn finish(slots: Vec<Self>, types: &Vec<Type>) -> Result<Vec<ArrayRef>> {
        let column = |(at, ty): (usize, &Type)| {
            let values: Vec<Value> = slots.iter().map(|slot| slot.0[at].clone().unwrap_or(Value::Null(*ty))).collect();
            crate::value::values_to_array(&values, *ty)
        };
        types.iter().enumerate().map(column).collect()
    }
}
