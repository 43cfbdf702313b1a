//! From the cells of a chunk to the columns a table should have.
//!
//! | all values of a new key are | type |
//! |---|---|
//! | `true`, `false` | bool |
//! | integers of 64 bits | long |
//! | numbers | real |
//! | strings that are all ISO datetimes | datetime |
//! | strings | string |
//! | anything else: objects, arrays, mixtures, larger integers | dynamic |
//!
//! A key with one of [`TIME_COLUMN_NAMES`] is the new table's event time when most of its strings are datetimes, or
//! all of its numbers are plausible epochs. CSV fields are read as the narrowest type that holds all of them.

use std::collections::HashSet;

use kyma_core::catalog::{NewTable, Table};
use kyma_core::limits::TABLE_COLUMNS_MAX;
use kyma_core::schema::{INGESTION_TIME_COLUMN, TIME_COLUMN_NAMES};
use kyma_core::time::parse_iso;
use kyma_core::{Column, Schema, Type, dynamic};

use super::build::{epoch_nanos, field_is_long, field_is_real};
use super::cells::{CellColumn, Cells, Shape, Text};

/// Names of columns that say where a row came from, the most telling first. Rows sort by them, so that like rows lie
/// together. Compared without case.
const IDENTITY_NAMES: [&str; 20] = [
    "service",
    "service_name",
    "service.name",
    "servicename",
    "app",
    "application",
    "pod",
    "pod_name",
    "podname",
    "container",
    "container_name",
    "host",
    "hostname",
    "host_name",
    "host.name",
    "node",
    "namespace",
    "source",
    "system",
    "stream",
];
/// Columns of a guessed sort key.
const SORT_COLUMNS_MAX: usize = 3;
/// Values of a dynamic column that are searched for identities.
const IDENTITY_SAMPLE: usize = 64;

/// Columns that `table` needs for these cells: new ones, and wider types of known ones.
pub(crate) fn growth(cells: &Cells, table: &Table) -> Vec<Column> {
    let text = cells.text();
    // The last place is kept for the bag.
    let mut room = (TABLE_COLUMNS_MAX - 1).saturating_sub(table.schema.len());
    let known: std::collections::HashMap<&str, Type> =
        table.schema.columns().iter().map(|column| (column.name.as_str(), column.ty)).collect();
    let mut wanted = Vec::new();
    for column in cells.columns.iter().filter(|column| !column.cells.is_empty()) {
        match known.get(column.name.as_str()) {
            Some(&ty) => {
                let is_time = column.name == table.time_column;
                wanted.extend(wider(column, text, ty, is_time).map(|ty| Column::new(&column.name, ty)));
            }
            None if room > 0 => {
                room -= 1;
                wanted.push(Column::new(&column.name, infer(column, text)));
            }
            None => {}
        }
    }
    wanted
}

/// The wider type that a known column needs, if it needs one.
fn wider(column: &CellColumn, text: Text<'_>, ty: Type, is_time: bool) -> Option<Type> {
    if is_time || !ty.is_integral() {
        return None;
    }
    let shapes = column.shapes;
    let has_real = shapes.has(Shape::Real)
        || (shapes.has(Shape::Field)
            && column.cells.iter().any(|cell| !field_is_long(text.of(cell)) && field_is_real(text.of(cell))));
    if has_real {
        return Some(Type::Real);
    }
    let too_wide = |cell| text.of(cell).parse::<i64>().is_ok_and(|long| i32::try_from(long).is_err());
    (ty == Type::Int && column.cells.iter().any(too_wide)).then_some(Type::Long)
}

/// The table that these cells call for.
pub(crate) fn new_table(cells: &Cells, format: &str) -> NewTable {
    let text = cells.text();
    let used: Vec<&CellColumn> = cells.columns.iter().filter(|column| !column.cells.is_empty()).collect();
    let time = time_column(&used, text);
    let mut columns = Vec::new();
    if time.is_none() {
        columns.push(Column::new(INGESTION_TIME_COLUMN, Type::Datetime));
    }
    let time_column = time.map_or(INGESTION_TIME_COLUMN, |column| column.name.as_str());
    // The last place is kept for the bag, and the event time always has one.
    let room = TABLE_COLUMNS_MAX - 2;
    for column in &used {
        let is_time = column.name == time_column;
        if is_time || (columns.len() < room && column.name != INGESTION_TIME_COLUMN) {
            let ty = if is_time { Type::Datetime } else { infer(column, text) };
            columns.push(Column::new(&column.name, ty));
        }
    }
    let schema = Schema::new(columns);
    NewTable {
        sort_key: sort_key(&schema, &used, text),
        time_column: time_column.to_owned(),
        format: format.to_owned(),
        schema,
    }
}

fn time_column<'a>(columns: &[&'a CellColumn], text: Text<'_>) -> Option<&'a CellColumn> {
    let named = |name: &str| {
        columns.iter().copied().find(|column| column.name.eq_ignore_ascii_case(name) && is_event_time(column, text))
    };
    let own =
        columns.iter().copied().find(|column| column.name == INGESTION_TIME_COLUMN && is_event_time(column, text));
    TIME_COLUMN_NAMES.iter().find_map(|name| named(name)).or(own)
}

/// Whether the values are event times: numbers all, strings mostly.
fn is_event_time(column: &CellColumn, text: Text<'_>) -> bool {
    let numbers = [Shape::Integer, Shape::Real];
    if column.shapes.only(&numbers) {
        return column.cells.iter().all(|cell| epoch_nanos(text.of(cell)).is_some());
    }
    let is_time = |value: &str| parse_iso(value).is_some() || epoch_nanos(value).is_some();
    let times = match () {
        () if column.shapes.only(&[Shape::String]) => {
            column.cells.iter().filter(|cell| parse_iso(text.of(cell)).is_some()).count()
        }
        () if column.shapes.only(&[Shape::Field]) => column.cells.iter().filter(|cell| is_time(text.of(cell))).count(),
        () => 0,
    };
    times * 2 >= column.cells.len().max(1)
}

/// The type of a new column.
pub(crate) fn infer(column: &CellColumn, text: Text<'_>) -> Type {
    let shapes = column.shapes;
    let all = |test: fn(&str) -> bool| column.cells.iter().all(|cell| test(text.of(cell)));
    let is_datetime = |value: &str| parse_iso(value).is_some();
    match () {
        () if shapes.only(&[Shape::True, Shape::False]) => Type::Bool,
        () if shapes.only(&[Shape::Integer]) => Type::Long,
        () if shapes.only(&[Shape::Integer, Shape::Real]) => Type::Real,
        () if shapes.only(&[Shape::String]) => {
            if all(is_datetime) {
                Type::Datetime
            } else {
                Type::String
            }
        }
        () if shapes.only(&[Shape::Field]) => match () {
            () if all(|field| field.eq_ignore_ascii_case("true") || field.eq_ignore_ascii_case("false")) => Type::Bool,
            () if all(field_is_long) => Type::Long,
            () if all(field_is_real) => Type::Real,
            () if all(is_datetime) => Type::Datetime,
            () => Type::String,
        },
        () => Type::Dynamic,
    }
}

/// Columns, and paths one step into dynamic columns, that say where rows came from.
fn sort_key(schema: &Schema, columns: &[&CellColumn], text: Text<'_>) -> Vec<String> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for column in schema.columns() {
        match column.ty {
            Type::String => found.extend(identity_rank(&column.name).map(|rank| (rank, column.name.clone()))),
            Type::Dynamic => {
                let cells = columns.iter().find(|cells| cells.name == column.name);
                let paths = cells.map(|cells| identity_paths(cells, text)).unwrap_or_default();
                found.extend(paths.into_iter().map(|(rank, path)| (rank, format!("{}.{path}", column.name))));
            }
            _ => {}
        }
    }
    found.sort();
    found.into_iter().take(SORT_COLUMNS_MAX).map(|(_, name)| name).collect()
}

fn identity_rank(name: &str) -> Option<usize> {
    IDENTITY_NAMES.iter().position(|known| name.eq_ignore_ascii_case(known))
}

/// Keys of the sampled objects that name an identity and hold a string. A key with a dot is no step of a path.
fn identity_paths(column: &CellColumn, text: Text<'_>) -> HashSet<(usize, String)> {
    let mut paths = HashSet::new();
    for cell in column.cells.iter().filter(|cell| cell.shape == Shape::Nested).take(IDENTITY_SAMPLE) {
        let json = text.of(cell);
        if dynamic::kind(json) != "dictionary" {
            continue;
        }
        for (key, value) in sonic_rs::to_object_iter(json).flatten() {
            let rank = identity_rank(&key).filter(|_| !key.contains('.') && value.as_raw_str().starts_with('"'));
            paths.extend(rank.map(|rank| (rank, key.into_owned())));
        }
    }
    paths
}

/// The table for rows that have types already.
pub(crate) fn new_table_of(schema: &Schema, format: &str) -> NewTable {
    let time = TIME_COLUMN_NAMES.iter().find_map(|name| {
        schema.columns().iter().find(|column| column.ty == Type::Datetime && column.name.eq_ignore_ascii_case(name))
    });
    let mut columns = schema.columns().to_vec();
    if time.is_none() && schema.column(INGESTION_TIME_COLUMN).is_none() {
        columns.insert(0, Column::new(INGESTION_TIME_COLUMN, Type::Datetime));
    }
    let schema = Schema::new(columns);
    NewTable {
        time_column: time.map_or(INGESTION_TIME_COLUMN, |column| column.name.as_str()).to_owned(),
        sort_key: sort_key(&schema, &[], Text::EMPTY),
        format: format.to_owned(),
        schema: schema.clone(),
    }
}
