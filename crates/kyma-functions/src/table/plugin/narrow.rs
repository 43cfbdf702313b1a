//! `narrow`: one row per cell, with the number of its row, the name of its column, and its value as text.

use arrow::array::AsArray;
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringViewArray, StringViewBuilder};
use kyma_core::{Error, Result, Type};
use std::sync::Arc;

use super::PluginCall;
use crate::{Arg, convert};

pub(super) fn narrow(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let table = call.table;
    let (input, rows) = (table.input(0)?, table.input(0)?.num_rows());
    let schema = table.schemas.first().ok_or_else(|| Error::internal("narrow() without an input"))?;
    let texts = input.columns().iter().zip(schema.columns());
    let texts = texts.map(|(array, column)| convert(&Arg::Array(Arc::clone(array)), column.ty, Type::String, rows));
    let texts = texts.collect::<Result<Vec<ArrayRef>>>()?;
    let width = schema.len();
    let numbers = Int64Array::from_iter_values((0..rows).flat_map(|row| std::iter::repeat_n(row as i64, width)));
    let names = (0..rows).flat_map(|_| schema.columns().iter().map(|column| column.name.as_str()));
    let names = StringViewArray::from_iter_values(names);
    let mut values = StringViewBuilder::with_capacity(rows * width);
    for row in 0..rows {
        for text in &texts {
            let text = text.as_string_view();
            values.append_value(if text.is_valid(row) { text.value(row) } else { "" });
        }
    }
    table.batch(vec![Arc::new(numbers), Arc::new(names), Arc::new(values.finish())])
}
