//! Rows that come with a mapping: its fields, and nothing else, become cells.
//!
//! What a JSON value becomes depends on the column's type, as in Kusto: a string column takes any value as its text, other
//! columns read strings as a CSV field is read. Absent values, JSON null and empty fields are null.

use std::borrow::Cow;
use std::sync::Arc;

use kyma_core::{Type, time};
use serde_json::{Map, Value as Json};

use super::cells::{Cells, Place, Shape};
use super::json::{add_string, add_value, escapes_are_sound, for_each_member, offset};
use crate::mapping::{Field, Source, Step, Transform};

/// The fields of a mapping, with the table's types.
#[derive(Debug, Clone)]
pub(crate) struct Fields(Arc<Vec<Field>>);

impl Fields {
    pub(crate) fn new(fields: Vec<Field>) -> Self {
        Fields(Arc::new(fields))
    }
}

/// Adds a record, of which `get` gives the fields by their places.
pub(super) fn add_record<'a>(cells: &mut Cells, fields: &Fields, get: impl Fn(usize) -> Option<Cow<'a, str>>) {
    for (position, field) in fields.0.iter().enumerate() {
        let value = match &field.source {
            Source::Constant(constant) => Some(Cow::Borrowed(constant.as_str())),
            Source::Ordinal(place) => get(*place),
            Source::Path(_) => None,
        };
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        let changed = field.transform.and_then(|transform| changed(transform, &value, field, fields));
        match changed {
            Some((shape, text)) => cells.add(position, &field.column, shape, Place::Copy(&text)),
            None => cells.add(position, &field.column, Shape::Field, Place::Copy(&value)),
        }
    }
}

/// Adds the object `line`, a part of `whole`, or says why it is no row.
pub(super) fn add_object(cells: &mut Cells, whole: &str, line: &str, fields: &Fields) -> Result<(), String> {
    let mut members: Vec<(String, &str)> = Vec::new();
    for_each_member(line, |_, key, raw| {
        let at = offset(raw, line);
        members.push((key.to_owned(), line.get(at..at + raw.len()).unwrap_or_default()));
        Ok(())
    })?;
    for (position, field) in fields.0.iter().enumerate() {
        match &field.source {
            Source::Constant(constant) => cells.add(position, &field.column, Shape::Field, Place::Copy(constant)),
            Source::Path(steps) => {
                if let Some(raw) = follow(line, &members, steps) {
                    add_part(cells, position, field, fields, raw, offset(raw, whole))?;
                }
            }
            Source::Ordinal(_) => {}
        }
    }
    Ok(())
}

/// The part of an object that the steps lead to; null counts as nothing. Of duplicate keys the first non-null counts.
fn follow<'a>(line: &'a str, members: &[(String, &'a str)], steps: &[Step]) -> Option<&'a str> {
    let Some((first, rest)) = steps.split_first() else { return Some(line) };
    let Step::Key(key) = first else { return None };
    let mut at = members.iter().find(|(name, raw)| name == key && *raw != "null")?.1;
    for step in rest {
        at = match (step, at.as_bytes().first()?) {
            (Step::Key(key), b'{') => raw_of(sonic_rs::get_from_str(at, [key.as_str()]).ok()?)?,
            (Step::Index(index), b'[') => raw_of(sonic_rs::get_from_str(at, [*index]).ok()?)?,
            _ => return None,
        };
    }
    (at != "null").then_some(at)
}

fn raw_of(value: sonic_rs::LazyValue<'_>) -> Option<&str> {
    match value.as_raw_cow() {
        Cow::Borrowed(raw) => Some(raw),
        // A value found in a borrowed text is borrowed.
        Cow::Owned(_) => None,
    }
}

/// Adds the JSON `raw`, which stands at `at` of the chunk's text.
fn add_part(
    cells: &mut Cells,
    position: usize,
    field: &Field,
    fields: &Fields,
    raw: &str,
    at: usize,
) -> Result<(), String> {
    let column = field.column.as_str();
    let is_string = raw.starts_with('"');
    if let Some(transform) = field.transform {
        let content = if is_string { kyma_core::dynamic::to_text(raw) } else { Cow::Borrowed(raw) };
        if let Some((shape, text)) = changed(transform, &content, field, fields) {
            cells.add(position, column, shape, Place::Copy(&text));
            return Ok(());
        }
    }
    match field.ty {
        Some(Type::String) if !is_string => {
            if !escapes_are_sound(raw) {
                return Err("broken json: an escape is not a character".to_owned());
            }
            cells.add(position, column, Shape::String, Place::Chunk(at, raw.len()));
            Ok(())
        }
        None | Some(Type::String | Type::Dynamic) => add_value(cells, position, column, raw, at),
        Some(_) if raw == "\"\"" => Ok(()),
        Some(_) if is_string => add_string(cells, position, column, Shape::Field, raw, at),
        Some(_) => add_value(cells, position, column, raw, at),
    }
}

/// The value after its transform; `None` when it is nothing that the transform can read, and stays as it is.
fn changed(transform: Transform, text: &str, field: &Field, fields: &Fields) -> Option<(Shape, String)> {
    match transform {
        Transform::Unix(unit) => Some((Shape::String, datetime(unix_nanos(text, unit)?))),
        Transform::MergeBags => Some((Shape::Nested, merged(text)?)),
        Transform::DropMapped => Some((Shape::Nested, without_mapped(text, field, fields)?)),
    }
}

/// The nanoseconds of a number of units since 1970; `None` when they do not fit. Digits below the nanosecond fall away.
fn unix_nanos(number: &str, unit: i64) -> Option<i64> {
    let number = number.trim();
    if number.contains(['e', 'E']) {
        let nanos = number.parse::<f64>().ok()? * unit as f64;
        return (nanos.abs() < i64::MAX as f64).then_some(nanos as i64);
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (negative, whole) = whole.strip_prefix('-').map_or((false, whole), |whole| (true, whole));
    let mut nanos = whole.parse::<u64>().ok().and_then(|whole| i64::try_from(whole).ok())?.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        nanos = nanos.checked_add(place * i64::from(char::from(digit).to_digit(10)?))?;
    }
    Some(if negative { -nanos } else { nanos })
}

/// A datetime with all its nanoseconds.
fn datetime(nanos: i64) -> String {
    let ticks = time::format_datetime(nanos);
    format!("{}{:02}Z", ticks.trim_end_matches('Z'), nanos.rem_euclid(100))
}

fn merged(list: &str) -> Option<String> {
    let bags: Vec<Map<String, Json>> = serde_json::from_str(list).ok()?;
    let merged: Map<String, Json> = bags.into_iter().flatten().collect();
    Some(Json::Object(merged).to_string())
}

/// An object without the members that other fields took.
fn without_mapped(object: &str, field: &Field, fields: &Fields) -> Option<String> {
    let Source::Path(here) = &field.source else { return None };
    let mut rest: Json = serde_json::from_str(object).ok().filter(Json::is_object)?;
    for other in fields.0.iter() {
        if let Source::Path(there) = &other.source
            && let Some(below) = there.strip_prefix(here.as_slice())
        {
            remove(&mut rest, below);
        }
    }
    Some(rest.to_string())
}

fn remove(value: &mut Json, steps: &[Step]) {
    let Some((last, way)) = steps.split_last() else { return };
    let mut at = value;
    for step in way {
        let next = match step {
            Step::Key(key) => at.get_mut(key),
            Step::Index(index) => at.get_mut(index),
        };
        let Some(next) = next else { return };
        at = next;
    }
    if let (Step::Key(key), Json::Object(object)) = (last, at) {
        object.shift_remove(key);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            prop::sample::select(vec!["a", "b", "c d"]).prop_map(|key| Step::Key(key.to_owned())),
            (0..3_usize).prop_map(Step::Index),
        ]
    }

    fn json() -> impl Strategy<Value = Json> {
        let leaf =
            prop_oneof![Just(Json::Null), any::<i16>().prop_map(Json::from), "[a-z\\\\\"]{0,3}".prop_map(Json::from)];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
                prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c d"]), inner, 0..3)
                    .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        /// Against walking the parsed value.
        #[test]
        fn steps_lead_where_a_parsed_value_has_it(root in json(), steps in prop::collection::vec(step(), 0..4)) {
            prop_assume!(root.is_object());
            let line = root.to_string();
            let mut members = Vec::new();
            for_each_member(&line, |_, key, raw| {
                let at = offset(raw, &line);
                members.push((key.to_owned(), &line[at..at + raw.len()]));
                Ok(())
            }).unwrap();
            let slow = steps.iter().try_fold(&root, |at, step| match step {
                Step::Key(key) => at.get(key),
                Step::Index(index) => at.get(index),
            });
            let found = follow(&line, &members, &steps).map(|raw| serde_json::from_str::<Json>(raw).unwrap());
            prop_assert_eq!(found.as_ref(), slow.filter(|value| !value.is_null()));
        }
    }

    #[test]
    fn epochs_of_every_unit() {
        let shown = |number: &str, unit: i64| unix_nanos(number, unit).map(datetime);
        let at = Some("2023-11-14T22:13:20.123000000Z".to_owned());
        assert_eq!(shown("1700000000123", 1_000_000), at);
        assert_eq!(shown("1700000000.123", 1_000_000_000), at);
        assert_eq!(shown("1700000000123000", 1_000), at);
        assert_eq!(shown("1700000000123000001", 1).as_deref(), Some("2023-11-14T22:13:20.123000001Z"));
        assert_eq!(shown("-1", 1_000_000_000).as_deref(), Some("1969-12-31T23:59:59.000000000Z"));
        assert_eq!(shown("1.7e9", 1_000_000_000).as_deref(), Some("2023-11-14T22:13:20.000000000Z"));
        for bad in ["", "x", "true", "99999999999999999999", "9223372036854775807", "1.x"] {
            assert_eq!(unix_nanos(bad, 1_000_000_000), None, "{bad}");
        }
    }
}
