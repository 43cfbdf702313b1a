//! `.delete table T records` and `.undo drop table T`.

use kyma_core::catalog::DroppedTable;
use kyma_core::{Error, Result, Type, Value, time};

use super::table::{SmallTable, long};
use super::{existing_database, find_table, show};
use crate::delete::{self, Receipt};
use crate::failure::Outcome;
use crate::state::Shared;

/// The rows for which the conditions of `query` are true: their deletion's receipt, or its operation.
pub(super) async fn records(
    state: &Shared,
    database: &str,
    table: &str,
    query: String,
    is_async: bool,
) -> Outcome<SmallTable> {
    let table = find_table(state, database, table).await?;
    let operation = delete::ask(state, database, &table, query).await?;
    let id = Value::Guid(operation.as_u128());
    if is_async {
        let mut shown = SmallTable::new([("OperationId", Type::Guid)]);
        shown.row([id]);
        return Ok(shown);
    }
    let ended = delete::wait(state, operation).await?;
    let receipt: Receipt = serde_json::from_str(&ended.details)
        .map_err(|error| Error::internal("a receipt is not understood").because(error))?;
    let mut shown = SmallTable::new([
        ("OperationId", Type::Guid),
        ("RowsRemoved", Type::Long),
        ("ExtentsRewritten", Type::Long),
        ("ExtentsRemoved", Type::Long),
        ("ExtentsUntouched", Type::Long),
        ("BytesRemoved", Type::Long),
        ("BytesWritten", Type::Long),
        ("Sequence", Type::Long),
        ("StartedOn", Type::Datetime),
        ("FinishedOn", Type::Datetime),
    ]);
    shown.row([
        id,
        long(receipt.rows_removed),
        long(receipt.extents_rewritten),
        long(receipt.extents_removed),
        long(receipt.extents_untouched),
        long(receipt.bytes_removed),
        long(receipt.bytes_written),
        Value::Long(receipt.sequence),
        Value::Datetime(ended.started),
        Value::Datetime(ended.changed),
    ]);
    Ok(shown)
}

/// Undoes the last drop of a table of this name. Answers as `.show table T details` does.
pub(super) async fn undo_drop(state: &Shared, database: &str, table: &str, name: Option<&str>) -> Result<SmallTable> {
    let found = existing_database(state, database).await?;
    let dropped = state.catalog.dropped_tables(found.id).await?;
    let Some(last) = dropped.iter().find(|dropped| dropped.table.name == table) else {
        return Err(nothing_to_undo(table, &dropped));
    };
    let name = name.unwrap_or(table);
    let restored = state.catalog.undrop_table(last.table.id, name).await.map_err(|error| match error.code() {
        "catalog.table_exists" => error.hint(format!(".undo drop table {table} as AnotherName")),
        "catalog.drop_final" => nothing_to_undo(table, &[]),
        _ => error,
    })?;
    state.ingester.forget_table(database, &restored.name);
    show::details(state, database, &[restored.name]).await
}

fn nothing_to_undo(table: &str, dropped: &[DroppedTable]) -> Error {
    let message = format!("no drop of this table can be undone: table={table}");
    let error = Error::not_found("table.drop_final", message);
    let said = |it: &DroppedTable| format!("{} (dropped {})", it.table.name, time::format_datetime(it.dropped_at));
    let known: Vec<String> = dropped.iter().take(10).map(said).collect();
    match known.is_empty() {
        true => error.hint("a drop can be undone for the grace period, `worker.garbage.removed_grace_millis`"),
        false => error.hint(format!("these can be undone: {}", known.join(", "))),
    }
}
