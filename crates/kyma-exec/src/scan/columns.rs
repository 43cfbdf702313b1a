//! Columns as formats give them: batches of them, nulls of strings as they read, strings without codes.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringViewArray, StringViewBuilder, new_null_array,
};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use kyma_core::Type;
use kyma_core::format::ReadColumn;

/// A batch of columns, named by place.
pub fn batch_of(columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
    let field = |(at, array): (usize, &ArrayRef)| Field::new(format!("c{at}"), array.data_type().clone(), true);
    let schema = Arc::new(Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
}

/// The columns of a batch; with `fill`, null strings are filled. Codes keep their nulls.
pub fn with_filled(batch: &RecordBatch, columns: &[ReadColumn], fill: bool) -> Vec<ArrayRef> {
    let columns = batch.columns().iter().zip(columns).map(|(array, column)| match fill && column.ty == Type::String {
        true => filled(array),
        false => Arc::clone(array),
    });
    columns.collect()
}

/// A column without codes; with `fill`, nulls among these are filled.
pub fn decoded(array: &ArrayRef, fill: bool) -> Result<ArrayRef, ArrowError> {
    let DataType::Dictionary(_, values) = array.data_type() else { return Ok(Arc::clone(array)) };
    let texts = cast(array, values)?;
    Ok(if fill { filled(&texts) } else { texts })
}

/// The values of a dictionary of strings, and after them what null reads as.
pub fn with_null(values: &ArrayRef, fill: bool) -> Result<ArrayRef, ArrowError> {
    let null: ArrayRef = match fill {
        true => Arc::new(StringViewArray::from(vec![Some("")])),
        false => new_null_array(values.data_type(), 1),
    };
    concat(&[&**values, &*null])
}

/// The texts with `""` for null.
fn filled(array: &ArrayRef) -> ArrayRef {
    let (true, Some(texts)) = (array.null_count() > 0, array.as_string_view_opt()) else { return Arc::clone(array) };
    let mut builder = StringViewBuilder::with_capacity(texts.len());
    texts.iter().for_each(|text| builder.append_value(text.unwrap_or("")));
    Arc::new(builder.finish())
}
