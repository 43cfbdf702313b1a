//! A small table made of values: the answer of a command.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DurationNanosecondArray, FixedSizeBinaryBuilder, Int32Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringViewArray, TimestampNanosecondArray,
};
use kyma_core::{Column, Error, Result, Schema, Type, Value};
use kyma_exec::{Answer, ResultTable};

/// Columns, and rows of one value per column.
pub(super) struct SmallTable {
    columns: Vec<(&'static str, Type)>,
    rows: Vec<Vec<Value>>,
}

impl SmallTable {
    pub(super) fn new<const N: usize>(columns: [(&'static str, Type); N]) -> Self {
        SmallTable { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row: one value per column, of its type.
    pub(super) fn row<const N: usize>(&mut self, values: [Value; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(values.into());
    }

    pub(super) fn into_answer(self) -> Result<Answer> {
        let schema: Schema = self.columns.iter().map(|(name, ty)| Column::new(*name, *ty)).collect();
        let arrays: Vec<ArrayRef> = (0..self.columns.len()).map(|nth| self.array(nth)).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        let batch = RecordBatch::try_new_with_options(schema.arrow(), arrays, &options)?;
        let table = ResultTable { name: None, schema, batches: vec![batch], visualization: None };
        Ok(Answer { tables: vec![table], profile: Default::default(), warnings: Vec::new() })
    }

    /// The rows for which `is_kept`.
    pub(super) fn filtered(mut self, is_kept: impl Fn(&[Value]) -> bool) -> Self {
        self.rows.retain(|row| is_kept(row));
        self
    }

    /// Columns and rows, for a query over them.
    pub(super) fn into_rows(self) -> (Schema, Vec<Vec<Value>>) {
        (self.columns.into_iter().map(|(name, ty)| Column::new(name, ty)).collect(), self.rows)
    }

    fn array(&self, nth: usize) -> Result<ArrayRef> {
        let values = self.rows.iter().map(|row| &row[nth]);
        let (name, ty) = self.columns[nth];
        Ok(match ty {
            Type::Bool => Arc::new(
                values
                    .map(|value| if let Value::Bool(it) = value { Some(*it) } else { None })
                    .collect::<BooleanArray>(),
            ),
            Type::Int => Arc::new(
                values.map(|value| if let Value::Int(it) = value { Some(*it) } else { None }).collect::<Int32Array>(),
            ),
            Type::Long => Arc::new(
                values.map(|value| if let Value::Long(it) = value { Some(*it) } else { None }).collect::<Int64Array>(),
            ),
            Type::Datetime => Arc::new(
                values
                    .map(|value| if let Value::Datetime(it) = value { Some(*it) } else { None })
                    .collect::<TimestampNanosecondArray>(),
            ),
            Type::Guid => {
                let mut builder = FixedSizeBinaryBuilder::with_capacity(self.rows.len(), 16);
                for value in values {
                    match value {
                        Value::Guid(it) => builder.append_value(it.to_be_bytes())?,
                        _ => builder.append_null(),
                    }
                }
                Arc::new(builder.finish())
            }
            Type::Timespan => Arc::new(
                values
                    .map(|value| if let Value::Timespan(it) = value { Some(*it) } else { None })
                    .collect::<DurationNanosecondArray>(),
            ),
            Type::String | Type::Dynamic => Arc::new(values.map(text).collect::<StringViewArray>()),
            Type::Real | Type::Decimal => {
                return Err(Error::internal(format!("a command's column has no array: column={name}, type={ty}")));
            }
        })
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) | Value::Dynamic(text) => Some(text),
        _ => None,
    }
}

/// A string value.
pub(super) fn string(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

/// A long value; counts beyond 2^63 do not occur.
pub(super) fn long(count: u64) -> Value {
    Value::Long(i64::try_from(count).unwrap_or(i64::MAX))
}
