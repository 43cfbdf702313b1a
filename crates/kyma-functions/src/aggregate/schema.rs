//! `buildschema`: the smallest schema that admits every value.
//!
//! A node knows the scalar types seen, the members of objects, and the elements of arrays. One possibility prints alone,
//! several as an array of them; elements print under the key `` `indexer` ``.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use kyma_core::Result;
use serde_json::{Map, Value as Json, json};

use super::Slot;
use super::bag::state_text;
use super::simple::only;
use crate::view::Jsons;
use crate::{Arg, build, json as helpers};

/// What was seen at one place.
#[derive(Default, Clone, PartialEq, Debug)]
pub(super) struct Schema {
    scalars: Vec<String>,
    members: Option<Vec<(String, Schema)>>,
    elements: Option<Box<Schema>>,
}

impl Schema {
    fn add(&mut self, value: &Json) {
        match value {
            Json::Null => {}
            Json::Object(members) => {
                self.members.get_or_insert_default();
                members.iter().for_each(|(key, value)| self.member(key).add(value));
            }
            Json::Array(items) => {
                let elements = self.elements.get_or_insert_default();
                items.iter().for_each(|item| elements.add(item));
            }
            scalar => {
                let name = match scalar {
                    Json::Bool(_) => "bool",
                    Json::Number(number) if number.is_f64() => "double",
                    Json::Number(_) => "long",
                    _ => "string",
                };
                self.scalar(name);
            }
        }
    }

    fn scalar(&mut self, name: &str) {
        if !self.scalars.iter().any(|seen| seen == name) {
            self.scalars.push(name.to_owned());
            self.scalars.sort();
        }
    }

    fn member(&mut self, key: &str) -> &mut Schema {
        let members = self.members.get_or_insert_default();
        let at = members.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
            members.push((key.to_owned(), Schema::default()));
            members.len() - 1
        });
        &mut members[at].1
    }

    fn merge(&mut self, other: Schema) {
        other.scalars.iter().for_each(|name| self.scalar(name));
        if let Some(members) = other.members {
            self.members.get_or_insert_default();
            members.into_iter().for_each(|(key, schema)| self.member(&key).merge(schema));
        }
        if let Some(elements) = other.elements {
            self.elements.get_or_insert_default().merge(*elements);
        }
    }

    fn print(&self) -> Json {
        let mut forms: Vec<Json> = Vec::new();
        let mut object = Map::new();
        if let Some(elements) = &self.elements {
            object.insert(String::from("`indexer`"), elements.print());
        }
        for (key, schema) in self.members.iter().flatten() {
            object.insert(key.clone(), schema.print());
        }
        if self.members.is_some() || self.elements.is_some() {
            forms.push(Json::Object(object));
        }
        forms.extend(self.scalars.iter().map(|name| Json::from(name.as_str())));
        match forms.len() {
            0 => Json::from("null"),
            1 => forms.remove(0),
            _ => Json::Array(forms),
        }
    }

    fn to_state(&self) -> Json {
        let members = self
            .members
            .as_ref()
            .map(|members| members.iter().map(|(key, schema)| (key.clone(), schema.to_state())).collect::<Map<_, _>>());
        json!({"s": self.scalars, "m": members, "e": self.elements.as_ref().map(|elements| elements.to_state())})
    }

    fn of_state(state: &Json) -> Schema {
        let scalars = state["s"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned));
        let members = state["m"].as_object();
        Schema {
            scalars: scalars.collect(),
            members: members
                .map(|members| members.iter().map(|(key, state)| (key.clone(), Schema::of_state(state))).collect()),
            elements: (!state["e"].is_null()).then(|| Box::new(Schema::of_state(&state["e"]))),
        }
    }
}

impl Slot for Schema {
    type Config = ();
    type Input<'a> = Jsons<'a>;

    fn input<'a>(_: &(), args: &'a [Arg]) -> Result<Jsons<'a>> {
        Jsons::of(only(args)?)
    }

    fn new(_: &()) -> Self {
        Schema::default()
    }

    fn update(&mut self, input: &Jsons<'_>, row: usize, _: &()) -> usize {
        if let Some(value) = input.get(row).and_then(helpers::parse) {
            self.add(&value);
        }
        64
    }

    fn state_types(_: &()) -> Vec<DataType> {
        vec![DataType::Utf8View]
    }

    fn save(slots: &[Self], _: &()) -> Result<Vec<ArrayRef>> {
        Ok(vec![build::jsons(slots.len(), |group| Some(slots[group].to_state().to_string()))])
    }

    fn load(state: &[ArrayRef], row: usize, _: &()) -> Result<Self> {
        let state = state_text(state, row)?.and_then(|text| serde_json::from_str(text).ok());
        Ok(state.map(|state| Schema::of_state(&state)).unwrap_or_default())
    }

    fn absorb(&mut self, other: Self, _: &()) -> usize {
        self.merge(other);
        64
    }

    fn finish(slots: Vec<Self>, _: &()) -> Result<Vec<ArrayRef>> {
        Ok(vec![build::jsons(slots.len(), |group| {
            let schema = &slots[group];
            (*schema != Schema::default()).then(|| schema.print().to_string())
        })])
    }
}
