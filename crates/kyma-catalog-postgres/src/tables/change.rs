//! Changes of a table that people ask for: its columns, its name.
//!
//! Extents know columns by name. A column that went and came again would show what old extents hold under its name, one of
//! another type would show nothing of it: both are refused while extents are visible.

use std::collections::BTreeSet;

use deadpool_postgres::Transaction;
use kyma_core::catalog::Table;
use kyma_core::ids::check_name;
use kyma_core::limits::TABLE_COLUMNS_MAX;
use kyma_core::stats::can_promote;
use kyma_core::{Column, DatabaseId, Error, Result, Schema, TableId, Type};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Json;

use super::{TABLE_LOCKED, read_table};
use crate::commit::table_unknown;
use crate::error;
use crate::pool::{execute, get, query};

const COLUMNS_HINT: &str = "extents know columns by name: write the rows anew with .set-or-replace, or empty the table with \
                            .clear table T data first";

/// The lock waits for commits that hold the table, so that what they add counts.
pub(super) async fn set_columns_in_transaction(
    transaction: &Transaction<'_>,
    id: TableId,
    version: i64,
    columns: &[Column],
) -> Result<Table> {
    let doing = "set columns";
    let exclusive = "SELECT id FROM tables WHERE id = $1 AND dropped_at IS NULL FOR UPDATE";
    query(transaction, doing, exclusive, &[&id.0]).await?;
    let rows = query(transaction, doing, TABLE_LOCKED, &[&id.0]).await?;
    let mut table = rows.first().map(read_table).transpose()?.ok_or_else(|| table_unknown(id))?;
    if table.schema_version != version {
        let message = format!("the table's schema changed meanwhile: table={}", table.name);
        return Err(Error::conflict("catalog.schema_changed", message));
    }
    check_columns(&table, columns)?;
    if let Some(lost) = lost(&table.schema, columns)
        && has_extents(transaction, id).await?
    {
        let message =
            format!("a column that extents hold cannot go or change its type: table={}, column={lost}", table.name);
        return Err(Error::invalid("catalog.columns_in_use", message).hint(COLUMNS_HINT));
    }
    let sql = "UPDATE tables SET columns = $2, schema_version = schema_version + 1 WHERE id = $1";
    execute(transaction, doing, sql, &[&id.0, &Json(columns)]).await?;
    table.schema = Schema::new(columns.to_vec());
    table.schema_version += 1;
    Ok(table)
}

fn check_columns(table: &Table, columns: &[Column]) -> Result<()> {
    let is_time = |column: &Column| column.name == table.time_column && column.ty == Type::Datetime;
    if !columns.iter().any(is_time) {
        let message = format!("the event-time column must stay, a datetime: column={}", table.time_column);
        return Err(Error::invalid("catalog.time_column_missing", message));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = columns.iter().find(|column| !names.insert(&column.name)) {
        return Err(Error::invalid("catalog.column_twice", format!("a column is named twice: column={}", twice.name)));
    }
    if columns.len() > TABLE_COLUMNS_MAX {
        let message = format!("a table may have {TABLE_COLUMNS_MAX} columns: columns={}", columns.len());
        return Err(Error::exhausted("catalog.columns", message));
    }
    Ok(())
}

/// A column that is not there any more, or of a type that old values do not widen to.
fn lost<'a>(schema: &'a Schema, columns: &[Column]) -> Option<&'a str> {
    let stays = |old: &Column| columns.iter().any(|new| new.name == old.name && can_promote(old.ty, new.ty));
    schema.columns().iter().find(|old| !stays(old)).map(|old| old.name.as_str())
}

async fn has_extents(transaction: &Transaction<'_>, table: TableId) -> Result<bool> {
    let sql = "SELECT 1 FROM extents WHERE table_id = $1 AND removed_seq IS NULL LIMIT 1";
    Ok(!query(transaction, "set columns", sql, &[&table.0]).await?.is_empty())
}

/// Through names that no table can have, so that two tables may swap theirs. Locks are taken in the order of ids.
pub(super) async fn rename_in_transaction(
    transaction: &Transaction<'_>,
    database: DatabaseId,
    names: &[(String, String)],
) -> Result<()> {
    let doing = "rename tables";
    let (from, to): (Vec<&str>, Vec<&str>) = names.iter().map(|(from, to)| (from.as_str(), to.as_str())).unzip();
    to.iter().try_for_each(|name| check_name("table", name))?;
    let lock = "SELECT id, name FROM tables WHERE database_id = $1 AND name = ANY($2) AND dropped_at IS NULL \
                ORDER BY id FOR UPDATE";
    let rows = query(transaction, doing, lock, &[&database.0, &from]).await?;
    let found: Vec<String> = rows.iter().map(|row| get(row, 1)).collect::<Result<_>>()?;
    if let Some(absent) = from.iter().find(|name| !found.iter().any(|found| found == *name)) {
        let message = format!("the table does not exist: table={absent}");
        return Err(Error::not_found("catalog.table_unknown", message));
    }
    let aside = "UPDATE tables SET name = '/' || id WHERE database_id = $1 AND name = ANY($2) AND dropped_at IS NULL";
    execute(transaction, doing, aside, &[&database.0, &from]).await?;
    for row in &rows {
        let (id, old): (i64, String) = (get(row, 0)?, get(row, 1)?);
        let Some((_, new)) = names.iter().find(|(from, _)| *from == old) else { continue };
        rename_one(transaction, id, new).await?;
    }
    Ok(())
}

async fn rename_one(transaction: &Transaction<'_>, id: i64, name: &str) -> Result<()> {
    let doing = error::statement("rename tables");
    let sql = "UPDATE tables SET name = $2, schema_version = schema_version + 1 WHERE id = $1";
    let prepared = transaction.prepare_cached(sql).await.map_err(&doing)?;
    transaction.execute(&prepared, &[&id, &name]).await.map(drop).map_err(|error| match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => {
            Error::conflict("catalog.table_exists", format!("a table of that name exists: table={name}"))
        }
        _ => doing(error),
    })
}
