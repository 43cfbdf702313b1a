//! `rows_near`: the rows that meet a condition, and those up to some rows before and after them.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use kyma_core::{Error, Result, Value};

use super::PluginCall;

/// The condition is the last column; constants: rows before, rows after.
pub(super) fn rows_near(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let count = |at: usize| match call.value(at)? {
        Value::Long(count) => Ok(usize::try_from(*count).unwrap_or_default()),
        Value::Int(count) => Ok(usize::try_from(*count).unwrap_or_default()),
        _ => Err(Error::invalid("query.plugin_argument", "rows_near() needs numbers of rows")),
    };
    let (before, after) = (count(0)?, count(1)?);
    let input = call.table.input(0)?;
    let flags = input.columns().last().and_then(|column| column.as_boolean_opt());
    let flags = flags.ok_or_else(|| Error::internal("rows_near() without a condition"))?;
    let rows = input.num_rows();
    let mut near = vec![false; rows];
    // The first row that is not decided yet: marking is linear however close the hits stand.
    let mut decided = 0;
    for hit in (0..rows).filter(|row| flags.is_valid(*row) && flags.value(*row)) {
        let to = hit.saturating_add(after).saturating_add(1).min(rows);
        let from = hit.saturating_sub(before).max(decided).min(to);
        near[from..to].fill(true);
        decided = to;
    }
    let kept = filter_record_batch(input, &BooleanArray::from(near))?;
    call.table.batch(kept.columns()[..input.num_columns() - 1].to_vec())
}
