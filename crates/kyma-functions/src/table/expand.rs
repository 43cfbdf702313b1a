//! `mv-expand`: a row per element of arrays or bags.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use kyma_core::dynamic::quote;
use kyma_core::{Error, Result, Type};
use kyma_plan::node::MvExpandColumn;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

use crate::limits::EXPANDED_ROWS_MAX;
use crate::{Arg, build, json};

/// The elements that a dynamic expands to, as JSON text. What is neither array nor bag stands for itself; nothing for null.
fn elements(text: &str, bags_as_arrays: bool) -> Vec<String> {
    match text.as_bytes().first() {
        Some(b'[') => {
            let items = sonic_rs::to_array_iter(text).map(|item| item.map(|item| item.as_raw_str().to_owned()));
            items.collect::<Result<_, _>>().unwrap_or_else(|_| vec![text.to_owned()])
        }
        Some(b'{') => {
            let member = |(key, value): (String, Json)| match bags_as_arrays {
                true => format!("[{},{value}]", quote(&key)),
                false => Json::Object(Map::from_iter([(key, value)])).to_string(),
            };
            json::bag(text).map_or_else(|| vec![text.to_owned()], |bag| bag.into_iter().map(member).collect())
        }
        _ => vec![text.to_owned()],
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
    let mut expanded: Vec<Vec<Option<String>>> = vec![Vec::new(); columns.len()];
    for row in 0..batch.num_rows() {
        let lists: Vec<Option<Vec<String>>> = columns
            .iter()
            .map(|column| {
                let array = batch.column(column.index);
                let text = text_at(array, row, input_types[column.index])?;
                Ok(text.map(|text| elements(&text, bags_as_arrays)))
            })
            .collect::<Result<_>>()?;
        let all_null = lists.iter().all(Option::is_none);
        let count = lists.iter().flatten().map(Vec::len).max().unwrap_or(usize::from(all_null)).min(limit);
        let source = u32::try_from(row).map_err(|_| Error::internal("a batch has too many rows"))?;
        sources.extend(std::iter::repeat_n(source, count));
        positions.extend(0..count as i64);
        for (column, list) in expanded.iter_mut().zip(lists) {
            let mut items = list.unwrap_or_default().into_iter();
            column.extend((0..count).map(|_| items.next()));
        }
    }
    let batch = assemble(batch, columns, &expanded, &sources, item_index.then_some(positions))?;
    Ok((batch, sources))
}

fn text_at(array: &ArrayRef, row: usize, ty: Type) -> Result<Option<String>> {
    if array.is_null(row) {
        return Ok(None);
    }
    match (ty, array.as_string_view_opt()) {
        (Type::Dynamic, Some(texts)) => Ok(Some(texts.value(row)).filter(|text| *text != "null").map(str::to_owned)),
        _ => Ok(Some(crate::value::json_at(array.as_ref(), row, ty))),
    }
}

fn assemble(
    batch: &RecordBatch,
    columns: &[MvExpandColumn],
    expanded: &[Vec<Option<String>>],
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
                let texts = &expanded[at];
                let items = Arg::Array(build::jsons(texts.len(), |row| texts[row].as_deref()));
                arrays.push(crate::convert(&items, Type::Dynamic, ty, texts.len())?);
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
