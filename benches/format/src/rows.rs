//! NDJSON to typed columns, by the rules of ingest.
//!
//! | all values of a key are | type |
//! |---|---|
//! | `true`, `false` | bool |
//! | integers of 64 bits | long |
//! | numbers | real |
//! | strings that are all ISO datetimes | datetime |
//! | strings | string |
//! | anything else | dynamic |
//!
//! JSON null is absence; of duplicate keys the first that is not null counts. Values come twice: once to find the types, once
//! to build the columns.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{
    ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringArray,
    StringViewBuilder, TimestampNanosecondBuilder, UInt32Array,
};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::Schema as ArrowSchema;
use kyma_core::time::parse_iso;
use kyma_core::{Type, dynamic};

/// A table in order of arrival.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) time_column: String,
    pub(crate) sort_key: Vec<String>,
    pub(crate) rows: RecordBatch,
    /// Bytes of each line, its line break included.
    pub(crate) line_bytes: Vec<u32>,
}

impl Table {
    pub(crate) fn new(name: &str, time_column: &str, sort_key: &[String], lines: &[&str]) -> Result<Self> {
        let mut walk = |row: usize, visit: &mut dyn FnMut(&str, &str)| members(lines[row], visit);
        let rows = build(lines.len(), &mut walk, Mixed::Dynamic).with_context(|| format!("table {name}"))?;
        let line_bytes = lines.iter().map(|line| line.len() as u32 + 1).collect();
        let (name, time_column) = (name.to_owned(), time_column.to_owned());
        Ok(Table { name, time_column, sort_key: sort_key.to_vec(), rows, line_bytes })
    }

    /// The sort key and the event time: what extents are sorted by.
    pub(crate) fn sorted_by(&self) -> Vec<String> {
        let mut columns = self.sort_key.clone();
        if !columns.contains(&self.time_column) {
            columns.push(self.time_column.clone());
        }
        columns
    }

    /// `rows` in order of the sort key, then time, then arrival.
    pub(crate) fn sort(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<SortColumn> = Vec::new();
        for key in self.sorted_by() {
            let values = key_values(rows, &key);
            columns.extend(values.map(|values| SortColumn { values, options: None }));
        }
        let arrival = Arc::new(UInt32Array::from_iter_values(0..rows.num_rows() as u32));
        columns.push(SortColumn { values: arrival, options: None });
        let order = lexsort_to_indices(&columns, None)?;
        Ok(take_record_batch(rows, &order)?)
    }
}

/// The values of a sort column, or the texts of a path.
fn key_values(rows: &RecordBatch, key: &str) -> Option<ArrayRef> {
    if let Some(column) = rows.column_by_name(key) {
        return Some(column.clone());
    }
    let (name, path) = key.split_once('.')?;
    let column = rows.column_by_name(name)?.as_string_view_opt()?;
    let path: Vec<&str> = path.split('.').collect();
    let text = |json: Option<&str>| dynamic::get(json?, &path).map(|value| dynamic::to_text(&value).into_owned());
    Some(Arc::new(column.iter().map(text).collect::<StringArray>()))
}

/// Calls `visit` with each key and raw value of an object.
pub(crate) fn members(object: &str, visit: &mut dyn FnMut(&str, &str)) -> Result<()> {
    for entry in sonic_rs::to_object_iter(object) {
        let (key, value) = entry?;
        visit(&key, value.as_raw_str());
    }
    Ok(())
}

/// What becomes of a column whose values have several types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mixed {
    /// JSON text in a dynamic column.
    Dynamic,
    /// Plain text, arrays as JSON.
    Text,
}

const BOOL: u8 = 1;
const INTEGER: u8 = 2;
const REAL: u8 = 4;
const TIME: u8 = 8;
const TEXT: u8 = 16;
const NESTED: u8 = 32;

/// Calls its second argument with every name and raw value of a row.
pub(crate) type Walk<'a> = dyn FnMut(usize, &mut dyn FnMut(&str, &str)) -> Result<()> + 'a;

/// Columns of `rows` rows whose values `walk` tells.
pub(crate) fn build(rows: usize, walk: &mut Walk<'_>, mixed: Mixed) -> Result<RecordBatch> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut names: Vec<(String, u8)> = Vec::new();
    for row in 0..rows {
        walk(row, &mut |name, raw| {
            if raw == "null" {
                return;
            }
            let place = places.get(name).copied().unwrap_or_else(|| {
                places.insert(name.to_owned(), names.len());
                names.push((name.to_owned(), 0));
                names.len() - 1
            });
            names[place].1 |= kind(raw, names[place].1 & TEXT != 0);
        })?;
    }
    let mut columns: Vec<Builder> = names.iter().map(|(_, kinds)| Builder::new(type_of(*kinds, mixed))).collect();
    for row in 0..rows {
        walk(row, &mut |name, raw| {
            if raw != "null" {
                columns[places[name]].append(row, raw);
            }
        })?;
    }
    let mut fields = Vec::with_capacity(names.len());
    let mut arrays = Vec::with_capacity(names.len());
    for ((name, kinds), column) in names.iter().zip(columns) {
        fields.push(type_of(*kinds, mixed).field(name));
        arrays.push(column.finish(rows));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &options)?)
}

/// What a raw value looks like. Times are not looked for where texts were met already.
fn kind(raw: &str, is_text: bool) -> u8 {
    match raw.as_bytes().first() {
        Some(b't' | b'f') => BOOL,
        Some(b'"') if is_text => TEXT,
        Some(b'"') => {
            if parse_iso(raw.trim_matches('"')).is_some() {
                TIME
            } else {
                TEXT
            }
        }
        Some(b'{' | b'[') => NESTED,
        _ if raw.contains(['.', 'e', 'E']) => REAL,
        _ => {
            if raw.parse::<i64>().is_ok() {
                INTEGER
            } else {
                NESTED
            }
        }
    }
}

fn type_of(kinds: u8, mixed: Mixed) -> Type {
    match kinds {
        BOOL => Type::Bool,
        INTEGER => Type::Long,
        _ if kinds & !(INTEGER | REAL) == 0 => Type::Real,
        TIME => Type::Datetime,
        _ if kinds & !(TIME | TEXT) == 0 => Type::String,
        _ if mixed == Mixed::Text => Type::String,
        _ => Type::Dynamic,
    }
}

enum Builder {
    Bool(BooleanBuilder),
    Long(Int64Builder),
    Real(Float64Builder),
    Datetime(TimestampNanosecondBuilder),
    String(StringViewBuilder),
    Dynamic(StringViewBuilder),
}

impl Builder {
    fn new(ty: Type) -> Self {
        match ty {
            Type::Bool => Builder::Bool(BooleanBuilder::new()),
            Type::Long => Builder::Long(Int64Builder::new()),
            Type::Real => Builder::Real(Float64Builder::new()),
            Type::Datetime => Builder::Datetime(TimestampNanosecondBuilder::new()),
            Type::String => Builder::String(StringViewBuilder::new()),
            _ => Builder::Dynamic(StringViewBuilder::new()),
        }
    }

    fn rows(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match self {
            Builder::Bool(builder) => builder.len(),
            Builder::Long(builder) => builder.len(),
            Builder::Real(builder) => builder.len(),
            Builder::Datetime(builder) => builder.len(),
            Builder::String(builder) | Builder::Dynamic(builder) => builder.len(),
        }
    }

    /// Nulls up to `row`.
    fn pad(&mut self, row: usize) {
        let missing = row.saturating_sub(self.rows());
        match self {
            Builder::Bool(builder) => builder.append_nulls(missing),
            Builder::Long(builder) => builder.append_nulls(missing),
            Builder::Real(builder) => builder.append_nulls(missing),
            Builder::Datetime(builder) => builder.append_nulls(missing),
            Builder::String(builder) | Builder::Dynamic(builder) => (0..missing).for_each(|_| builder.append_null()),
        }
    }

    /// The value of `row`, unless it has one.
    fn append(&mut self, row: usize, raw: &str) {
        if self.rows() > row {
            return;
        }
        self.pad(row);
        match self {
            Builder::Bool(builder) => builder.append_value(raw == "true"),
            Builder::Long(builder) => builder.append_option(raw.parse().ok()),
            Builder::Real(builder) => builder.append_option(raw.parse().ok()),
            Builder::Datetime(builder) => builder.append_option(parse_iso(raw.trim_matches('"'))),
            Builder::String(builder) => builder.append_value(dynamic::to_text(raw)),
            Builder::Dynamic(builder) => builder.append_value(compact(raw)),
        }
    }

    fn finish(mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        match self {
            Builder::Bool(mut builder) => Arc::new(builder.finish()),
            Builder::Long(mut builder) => Arc::new(builder.finish()),
            Builder::Real(mut builder) => Arc::new(builder.finish()),
            Builder::Datetime(mut builder) => Arc::new(builder.finish()),
            Builder::String(mut builder) | Builder::Dynamic(mut builder) => Arc::new(builder.finish()),
        }
    }
}

/// JSON without white space outside strings.
fn compact(json: &str) -> std::borrow::Cow<'_, str> {
    match json.contains([' ', '\t', '\n', '\r']) {
        true => dynamic::parse(json).map_or(json.into(), Into::into),
        false => json.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_types_of_ingest() {
        let lines = [
            r#"{"t":"2026-01-01T00:00:01Z","n":1,"r":1,"s":"b","d":{"a": 1}}"#,
            r#"{"t":"2026-01-01T00:00:00Z","n":2,"r":1.5,"s":"2026-01-01","d":7,"late":true}"#,
        ];
        let table = Table::new("x", "t", &["d.a".to_owned()], &lines).unwrap();
        let types: Vec<Type> = table.rows.schema().fields().iter().map(|field| Type::of_field(field)).collect();
        assert_eq!(types, [Type::Datetime, Type::Long, Type::Real, Type::String, Type::Dynamic, Type::Bool]);
        let sorted = table.sort(&table.rows).unwrap();
        assert_eq!(sorted.column(4).as_string_view().iter().collect::<Vec<_>>(), [Some("7"), Some(r#"{"a":1}"#)]);
    }
}
