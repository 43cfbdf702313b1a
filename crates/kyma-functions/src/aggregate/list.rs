//! `make_list` and `make_set`: JSON elements in order of arrival.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use kyma_core::{Error, Result, Type, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::Slot;
use super::simple::only;
use crate::limits::ARRAY_ELEMENTS_MAX;
use crate::value::json_at;
use crate::{Arg, build};

/// The size asked for as second argument, at most the limit.
pub(super) fn limit(constants: &[Option<Value>]) -> usize {
    let asked = match constants.get(1) {
        Some(Some(Value::Long(limit))) => *limit,
        Some(Some(Value::Int(limit))) => i64::from(*limit),
        _ => i64::MAX,
    };
    usize::try_from(asked).unwrap_or(0).min(ARRAY_ELEMENTS_MAX)
}

/// What goes in.
pub(super) struct Config {
    ty: Type,
    limit: usize,
    distinct: bool,
    nulls: bool,
}

impl Config {
    pub(super) fn new(ty: Type, constants: &[Option<Value>], distinct: bool, nulls: bool) -> Config {
        Config { ty, limit: limit(constants), distinct, nulls }
    }
}

/// Elements of one group; of sets also what is in already.
#[derive(Default)]
pub(super) struct List {
    items: Vec<String>,
    seen: HashSet<u128>,
}

impl List {
    fn push(&mut self, item: String, config: &Config) -> usize {
        if self.items.len() >= config.limit || (config.distinct && !self.seen.insert(xxh3_128(item.as_bytes()))) {
            return 0;
        }
        let bytes = item.capacity() + size_of::<String>() + if config.distinct { 24 } else { 0 };
        self.items.push(item);
        bytes
    }
}

impl Slot for List {
    type Config = Config;
    type Input<'a> = &'a ArrayRef;

    fn input<'a>(_: &Config, args: &'a [Arg]) -> Result<&'a ArrayRef> {
        match only(args)? {
            Arg::Array(array) => Ok(array),
            Arg::Scalar(_) => Err(Error::internal("an aggregate's argument is no array")),
        }
    }

    fn new(_: &Config) -> Self {
        List::default()
    }

    fn update(&mut self, input: &&ArrayRef, row: usize, config: &Config) -> usize {
        if input.is_null(row) && !config.nulls && config.ty != Type::String {
            return 0;
        }
        if self.items.len() >= config.limit {
            return 0;
        }
        let item = json_at(input.as_ref(), row, config.ty);
        // A list or set of arrays is the one of their elements.
        if config.ty == Type::Dynamic && item.starts_with('[') {
            let elements = sonic_rs::to_array_iter(item.as_str()).filter_map(std::result::Result::ok);
            let elements = elements.filter(|element| config.nulls || element.as_raw_str() != "null");
            return elements.map(|element| self.push(element.as_raw_str().to_owned(), config)).sum();
        }
        if item == "null" && !config.nulls { 0 } else { self.push(item, config) }
    }

    fn state_types(_: &Config) -> Vec<DataType> {
        vec![DataType::Utf8View]
    }

    fn save(slots: &[Self], _: &Config) -> Result<Vec<ArrayRef>> {
        Ok(vec![build::jsons(slots.len(), |group| Some(format!("[{}]", slots[group].items.join(","))))])
    }

    fn load(state: &[ArrayRef], row: usize, config: &Config) -> Result<Self> {
        let mut list = List::default();
        let Some(text) = super::bag::state_text(state, row)? else { return Ok(list) };
        let items = sonic_rs::to_array_iter(text);
        for item in items {
            let item = item.map_err(|error| Error::internal("an aggregate's state is damaged").because(error))?;
            list.push(item.as_raw_str().to_owned(), config);
        }
        Ok(list)
    }

    fn absorb(&mut self, other: Self, config: &Config) -> usize {
        other.items.into_iter().map(|item| self.push(item, config)).sum()
    }

    fn finish(slots: Vec<Self>, config: &Config) -> Result<Vec<ArrayRef>> {
        Self::save(&slots, config)
    }
}
