//! `schema_merge`: the schemas of several tables, as `getschema` gives them, as one.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringViewArray};
use kyma_core::{Error, Result, Value};

use super::PluginCall;
use crate::Arg;
use crate::view::Longs;

/// What is known of one column.
struct Merged<'a> {
    name: &'a str,
    first: i64,
    last: i64,
    data_type: &'a str,
    ty: &'a str,
    conflicts: bool,
}

/// Columns of the input: name, ordinal, .NET type, type; constant: whether columns must stand at the same place everywhere.
pub(super) fn schema_merge(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let in_place = !matches!(call.value(0)?, Value::Bool(false));
    let input = call.table.input(0)?;
    let [names, ordinals, data_types, types] = input.columns() else {
        return Err(Error::internal("schema_merge() lacks its columns"));
    };
    let ordinals = Arg::Array(Arc::clone(ordinals));
    let (ordinals, names) = (Longs::of(&ordinals)?, names.as_string_view());
    let (data_types, types) = (data_types.as_string_view(), types.as_string_view());
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut all: Vec<Merged<'_>> = Vec::new();
    for row in 0..input.num_rows() {
        let (name, ordinal) = (names.value(row), ordinals.get(row).unwrap_or_default());
        let (data_type, ty) = (data_types.value(row), types.value(row));
        let place = *places.entry(name).or_insert(all.len());
        if place == all.len() {
            all.push(Merged { name, first: ordinal, last: ordinal, data_type, ty, conflicts: false });
        }
        let merged = &mut all[place];
        merged.first = merged.first.min(ordinal);
        merged.last = merged.last.max(ordinal);
        merged.conflicts |= merged.ty != ty;
    }
    let problem = |merged: &Merged<'_>| match merged {
        Merged { conflicts: true, .. } => Some("ERROR(columns have different types)"),
        Merged { first, last, .. } if in_place && first != last => Some("ERROR(columns are out of order)"),
        _ => None,
    };
    all.sort_by_key(|merged| (problem(merged).is_some(), merged.last));
    let texts = |text: &dyn Fn(&Merged<'_>) -> String| -> arrow::array::ArrayRef {
        Arc::new(StringViewArray::from_iter_values(all.iter().map(text)))
    };
    let numbers = all.iter().map(|merged| if problem(merged).is_some() { -1 } else { merged.last });
    call.table.batch(vec![
        texts(&|merged| merged.name.to_owned()),
        Arc::new(Int64Array::from_iter_values(numbers)),
        texts(&|merged| match problem(merged) {
            Some(problem) => format!("ERROR(unknown CSL type:{problem})"),
            None => merged.data_type.to_owned(),
        }),
        texts(&|merged| problem(merged).map_or_else(|| merged.ty.to_owned(), str::to_owned)),
    ])
}
