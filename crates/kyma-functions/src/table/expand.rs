//! `mv-expand`: a row per element of arrays or bags.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringViewBuilder, UInt32Array};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use kyma_core::dynamic::quote;
use kyma_core::{Error, Result, Type};
use kyma_plan::node::MvExpandColumn;
use serde_json::{Map, Value as Json};

use crate::limits::EXPANDED_ROWS_MAX;
use crate::{Arg, json};

/// The elements of one value, as JSON text, each borrowed where it stands in the value as it is.
type Elements<'a> = Vec<Cow<'a, str>>;

/// Puts the elements that a dynamic expands to into `found`. What is neither array nor bag stands for itself.
fn elements<'a>(text: &'a str, bags_as_arrays: bool, found: &mut Elements<'a>) {
    let whole = match text.as_bytes().first() {
        Some(b'[') => {
            let items = sonic_rs::to_array_iter(text);
            items.into_iter().try_for_each(|item| item.map(|item| found.push(item.as_raw_cow()))).is_err()
        }
        Some(b'{') => {
            let member = |(key, value): (String, Json)| match bags_as_arrays {
                true => format!("[{},{value}]", quote(&key)),
                false => Json::Object(Map::from_iter([(key, value)])).to_string(),
            };
            let bag = json::bag(text);
            let whole = bag.is_none();
            found.extend(bag.into_iter().flatten().map(member).map(Cow::Owned));
            whole
        }
        _ => true,
    };
    if whole {
        found.clear();
        found.push(Cow::Borrowed(text));
    }
}

/// Expands `columns` of `batch` in parallel: the longest decides, shorter ones give null. A row whose columns all are null
/// or empty gives one row of nulls if they are null, none if an empty array.
///
/// Gives the batch with the expanded columns replaced in place (and a last `long` column of positions, if asked for) and, for
/// each output row, its input row.
pub fn mv_expand(
    batch: &RecordBatch,
    input_types: &[Type],
    columns: &[MvExpandColumn],
    item_index: bool,
    bags_as_arrays: bool,
    row_limit: Option<u64>,
) -> Result<(RecordBatch, Vec<u32>)> {
    let limit = row_limit.map_or(EXPANDED_ROWS_MAX, |limit| usize::try_from(limit).unwrap_or(EXPANDED_ROWS_MAX));
    let mut sources: Vec<u32> = Vec::new();
    let mut positions: Vec<i64> = Vec::new();
    let values: Vec<ArrayRef> = columns
        .iter()
        .map(|column| {
            let array = Arg::Array(Arc::clone(batch.column(column.index)));
            crate::convert(&array, input_types[column.index], Type::Dynamic, batch.num_rows())
        })
        .collect::<Result<_>>()?;
    let texts = values.iter().map(|array| crate::view::strings(&**array)).collect::<Result<Vec<_>>>()?;
    let mut lists: Vec<Elements<'_>> = vec![Vec::new(); columns.len()];
    let mut expanded: Vec<StringViewBuilder> = columns.iter().map(|_| StringViewBuilder::new()).collect();
    for row in 0..batch.num_rows() {
        let mut all_null = true;
        for (list, texts) in lists.iter_mut().zip(&texts) {
            list.clear();
            if texts.is_valid(row) && texts.value(row) != "null" {
                all_null = false;
                elements(texts.value(row), bags_as_arrays, list);
            }
        }
        let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
        let count = if all_null { 1 } else { longest }.min(limit);
        let source = u32::try_from(row).map_err(|_| Error::internal("a batch has too many rows"))?;
        sources.extend(std::iter::repeat_n(source, count));
        positions.extend(0..count as i64);
        for (column, list) in expanded.iter_mut().zip(&lists) {
            for at in 0..count {
                let element = list.get(at).filter(|element| *element != "null");
                column.append_option(element.map(Cow::as_ref));
            }
        }
    }
    let expanded: Vec<ArrayRef> =
        expanded.into_iter().map(|mut column| Arc::new(column.finish()) as ArrayRef).collect();
    let batch = assemble(batch, columns, &expanded, &sources, item_index.then_some(positions))?;
    Ok((batch, sources))
}

fn assemble(
    batch: &RecordBatch,
    columns: &[MvExpandColumn],
    expanded: &[ArrayRef],
    sources: &[u32],
    positions: Option<Vec<i64>>,
) -> Result<RecordBatch> {
    let indices = UInt32Array::from(sources.to_vec());
    let mut fields: Vec<Arc<Field>> = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (index, field) in batch.schema().fields().iter().enumerate() {
        match columns.iter().position(|column| column.index == index) {
            Some(at) => {
                let ty = columns[at].ty;
                let items = Arg::Array(Arc::clone(&expanded[at]));
                arrays.push(crate::convert(&items, Type::Dynamic, ty, sources.len())?);
                fields.push(Arc::new(ty.field(field.name())));
            }
            None => {
                arrays.push(arrow::compute::take(batch.column(index), &indices, None)?);
                fields.push(Arc::clone(field));
            }
        }
    }
    if let Some(positions) = positions {
        fields.push(Arc::new(Type::Long.field("item_index")));
        arrays.push(Arc::new(arrow::array::Int64Array::from(positions)));
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(sources.len()));
    Ok(RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build;

    #[test]
    fn expands_in_parallel() {
        let schema = kyma_core::Schema::from([("k", Type::Long), ("d", Type::Dynamic)]);
        let dynamics = build::jsons(4, |row| [Some("[1,2]"), Some(r#"{"a":3}"#), None, Some("[]")][row]);
        let keys = Arc::new(arrow::array::Int64Array::from(vec![10, 20, 30, 40]));
        let batch = RecordBatch::try_new(schema.arrow(), vec![keys, dynamics]).unwrap();
        let columns = [MvExpandColumn { index: 1, ty: Type::Dynamic }];
        let (out, sources) = mv_expand(&batch, &[Type::Long, Type::Dynamic], &columns, true, false, None).unwrap();
        assert_eq!(sources, [0, 0, 1, 2]);
        let texts: Vec<String> =
            (0..4).map(|row| crate::value::json_at(out.column(1).as_ref(), row, Type::Dynamic)).collect();
        assert_eq!(texts, ["1", "2", r#"{"a":3}"#, "null"]);
        assert_eq!(out.num_columns(), 3);
    }
}
