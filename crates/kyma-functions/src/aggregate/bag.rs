//! `make_bag`: the members of all bags, the first value of a key counts.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use kyma_core::{Error, Result};
use serde_json::{Map, Value as Json};

use super::Slot;
use super::simple::only;
use crate::view::Jsons;
use crate::{Arg, build, json};

/// The text of a state column.
pub(super) fn state_text(state: &[ArrayRef], row: usize) -> Result<Option<&str>> {
    let array = state.first().and_then(|array| array.as_string_view_opt());
    let array = array.ok_or_else(|| Error::internal("an aggregate's state has another type"))?;
    Ok(array.is_valid(row).then(|| array.value(row)))
}

/// Members of one group.
#[derive(Default)]
pub(super) struct Bag(Map<String, Json>);

impl Bag {
    fn insert(&mut self, members: Map<String, Json>, limit: usize) -> usize {
        let mut grown = 0;
        for (key, value) in members {
            if self.0.len() >= limit {
                break;
            }
            if !self.0.contains_key(&key) {
                grown += key.len() + 64;
                self.0.insert(key, value);
            }
        }
        grown
    }
}

impl Slot for Bag {
    type Config = usize;
    type Input<'a> = Jsons<'a>;

    fn input<'a>(_: &usize, args: &'a [Arg]) -> Result<Jsons<'a>> {
        Jsons::of(only(args)?)
    }

    fn new(_: &usize) -> Self {
        Bag::default()
    }

    fn update(&mut self, input: &Jsons<'_>, row: usize, limit: &usize) -> usize {
        let members = input.get(row).and_then(json::bag);
        members.map_or(0, |members| self.insert(members, *limit))
    }

    fn state_types(_: &usize) -> Vec<DataType> {
        vec![DataType::Utf8View]
    }

    fn save(slots: &[Self], _: &usize) -> Result<Vec<ArrayRef>> {
        let text = |group: usize| serde_json::to_string(&slots[group].0).ok();
        Ok(vec![build::jsons(slots.len(), text)])
    }

    fn load(state: &[ArrayRef], row: usize, _: &usize) -> Result<Self> {
        Ok(Bag(state_text(state, row)?.and_then(json::bag).unwrap_or_default()))
    }

    fn absorb(&mut self, other: Self, limit: &usize) -> usize {
        self.insert(other.0, *limit)
    }

    fn finish(slots: Vec<Self>, limit: &usize) -> Result<Vec<ArrayRef>> {
        Self::save(&slots, limit)
    }
}
