//! `parse` and `parse-kv`: columns taken from the text in the input's last column.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use kyma_core::{Column, Error, Result};
use kyma_functions::Arg;
use kyma_functions::table::KeyValueOptions;
use kyma_plan::node::{ParseMode, ParsePart};

use crate::df_adapter::operators::Operator;

/// How the text is read.
#[derive(Debug)]
pub(crate) enum Reading {
    /// By a pattern.
    Pattern { pattern: Vec<ParsePart>, mode: ParseMode, only_matching: bool },
    /// As pairs.
    Pairs { keys: Vec<Column>, options: KeyValueOptions },
}

/// The operator.
#[derive(Debug)]
pub(crate) struct Parse {
    /// How.
    pub(crate) reading: Reading,
    /// Places in the output of what is taken; the other columns come from the input by name.
    pub(crate) outputs: Vec<usize>,
    /// What comes out.
    pub(crate) schema: SchemaRef,
}

impl Operator for Parse {
    fn name(&self) -> &'static str {
        "parse"
    }

    fn whole(&self) -> bool {
        false
    }

    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let text = batch.columns().last().ok_or_else(|| Error::internal("nothing to parse"))?;
        let text = Arg::Array(Arc::clone(text));
        let (taken, matched) = match &self.reading {
            Reading::Pattern { pattern, mode, only_matching } => {
                let (taken, matched) = kyma_functions::table::parse(&text, rows, pattern, mode)?;
                (taken, only_matching.then_some(matched))
            }
            Reading::Pairs { keys, options } => (kyma_functions::table::parse_kv(&text, rows, keys, options)?, None),
        };
        let column = |(place, field): (usize, &arrow::datatypes::FieldRef)| -> Result<ArrayRef> {
            if let Some(at) = self.outputs.iter().rposition(|output| *output == place) {
                return taken.get(at).cloned().ok_or_else(|| Error::internal("a capture is missing"));
            }
            let found = batch.column_by_name(field.name()).cloned();
            found.ok_or_else(|| Error::internal(format!("parse lost a column: {}", field.name())))
        };
        let columns = self.schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let parsed = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        match matched {
            Some(matched) => Ok(filter_record_batch(&parsed, &BooleanArray::new(matched, None))?),
            None => Ok(parsed),
        }
    }
}
