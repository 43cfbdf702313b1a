//! Databases, tables and columns.

mod change;

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Transaction};
use kyma_core::catalog::{Database, NewTable, Table, TableTotals, Tables};
use kyma_core::ids::check_name;
use kyma_core::limits::TABLE_COLUMNS_MAX;
use kyma_core::schema::UNMAPPED_COLUMN;
use kyma_core::stats::can_promote;
use kyma_core::{Column, DatabaseId, Error, Result, Schema, Sequence, TableId, Type};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Json;

use crate::commit::{database_unknown, next_sequence, table_unknown};
use crate::error;
use crate::pool::{PostgresCatalog, execute, get, query, transact};

/// How often a table is looked for that is created and dropped by others at the same time.
const ENSURE_ATTEMPTS_MAX: usize = 5;

/// The columns that [`read_table`] expects, in order.
macro_rules! table_columns {
    () => {
        "t.id, t.database_id, d.name, t.name, t.columns, t.schema_version, t.time_column, t.sort_key, t.format, \
         t.deduplication_seconds"
    };
}
pub(crate) use table_columns;

/// How many they are.
pub(crate) const COLUMNS: usize = 10;

macro_rules! select_table {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            table_columns!(),
            " FROM tables t JOIN databases d ON d.id = t.database_id WHERE t.dropped_at IS NULL AND ",
            $rest
        )
    };
}

/// What is visible now, less what was added since and is still visible, plus what was visible then and was removed since.
/// Nothing is later than the table's sequence; the planner walks an index only when told so.
const TOTALS: &str = "SELECT (m.extent_count + coalesce(sum(d.sign), 0))::bigint, \
        (m.row_count + coalesce(sum(d.sign * d.row_count), 0))::bigint, \
        (m.stored_bytes + coalesce(sum(d.sign * d.object_length), 0))::bigint, \
        (m.raw_bytes + coalesce(sum(d.sign * d.raw_bytes), 0))::bigint \
    FROM manifests m LEFT JOIN LATERAL ( \
        SELECT -1 AS sign, row_count, object_length, raw_bytes FROM extents \
        WHERE table_id = $1 AND added_seq > $2 AND added_seq <= m.sequence AND removed_seq IS NULL \
        UNION ALL \
        SELECT 1, row_count, object_length, raw_bytes FROM extents \
        WHERE table_id = $1 AND removed_seq > $2 AND removed_seq <= m.sequence AND added_seq <= $2) d ON true \
    WHERE m.table_id = $1 GROUP BY m.table_id";

pub(crate) const TABLE_BY_ID: &str = select_table!("t.id = $1");
const TABLE_BY_NAME: &str = select_table!("t.database_id = $1 AND t.name = $2");
pub(crate) const TABLES: &str = select_table!("t.database_id = $1 ORDER BY t.name");
const TABLE_LOCKED: &str = select_table!("t.id = $1 FOR NO KEY UPDATE OF t");

#[async_trait]
impl Tables for PostgresCatalog {
    async fn ensure_database(&self, name: &str) -> Result<Database> {
        check_name("database", name)?;
        if let Some(database) = self.database(name).await? {
            return Ok(database);
        }
        let sql = "INSERT INTO databases (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
        self.change("ensure database", sql, &[&name]).await?;
        let created = self.database(name).await?;
        created.ok_or_else(|| Error::internal(format!("a database vanished: name={name}")))
    }

    async fn database(&self, name: &str) -> Result<Option<Database>> {
        let rows = self.rows("database", "SELECT id, name FROM databases WHERE name = $1", &[&name]).await?;
        rows.first().map(read_database).transpose()
    }

    async fn databases(&self) -> Result<Vec<Database>> {
        let rows = self.rows("databases", "SELECT id, name FROM databases ORDER BY name", &[]).await?;
        rows.iter().map(read_database).collect()
    }

    async fn ensure_table(&self, database: DatabaseId, name: &str, new: &NewTable) -> Result<Table> {
        check_new_table(name, new)?;
        for _ in 0..ENSURE_ATTEMPTS_MAX {
            if let Some(table) = self.table(database, name).await? {
                return Ok(table);
            }
            let insert = || async { insert_table(&self.client().await?, database, name, new).await };
            self.retrying(|| self.bounded("ensure table", insert())).await?;
        }
        Err(Error::conflict("catalog.table_unstable", format!("the table is created and dropped at once: name={name}")))
    }

    async fn table(&self, database: DatabaseId, name: &str) -> Result<Option<Table>> {
        let rows = self.rows("table", TABLE_BY_NAME, &[&database.0, &name]).await?;
        rows.first().map(read_table).transpose()
    }

    async fn table_by_id(&self, table: TableId) -> Result<Option<Table>> {
        let rows = self.rows("table", TABLE_BY_ID, &[&table.0]).await?;
        rows.first().map(read_table).transpose()
    }

    async fn tables(&self, database: DatabaseId) -> Result<Vec<Table>> {
        let rows = self.rows("tables", TABLES, &[&database.0]).await?;
        rows.iter().map(read_table).collect()
    }

    async fn grow_table(&self, table: TableId, columns: &[Column]) -> Result<Table> {
        transact!(self, "grow table", |transaction| grow_in_transaction(transaction, table, columns).await)
    }

    async fn set_format(&self, table: TableId, format: &str) -> Result<Table> {
        let sql = "UPDATE tables SET format = $2, schema_version = schema_version + 1 \
                   WHERE id = $1 AND dropped_at IS NULL AND format <> $2";
        self.change("set format", sql, &[&table.0, &format]).await?;
        self.table_by_id(table).await?.ok_or_else(|| table_unknown(table))
    }

    async fn set_deduplication(&self, table: TableId, seconds: u32) -> Result<Table> {
        let sql = "UPDATE tables SET deduplication_seconds = $2, schema_version = schema_version + 1 \
                   WHERE id = $1 AND dropped_at IS NULL AND deduplication_seconds <> $2";
        self.change("set deduplication", sql, &[&table.0, &i64::from(seconds)]).await?;
        self.table_by_id(table).await?.ok_or_else(|| table_unknown(table))
    }

    async fn set_columns(&self, table: TableId, version: i64, columns: &[Column]) -> Result<Table> {
        transact!(self, "set columns", |transaction| {
            change::set_columns_in_transaction(transaction, table, version, columns).await
        })
    }

    async fn rename_tables(&self, database: DatabaseId, names: &[(String, String)]) -> Result<()> {
        transact!(self, "rename tables", |transaction| {
            change::rename_in_transaction(transaction, database, names).await
        })
    }

    async fn drop_table(&self, table: TableId) -> Result<()> {
        transact!(self, "drop table", |transaction| drop_in_transaction(transaction, table).await)
    }

    async fn totals(&self, table: TableId, at: Sequence) -> Result<TableTotals> {
        let rows = self.rows("totals", TOTALS, &[&table.0, &at.0]).await?;
        let Some(row) = rows.first() else { return Ok(TableTotals::default()) };
        let sum = |place| get::<i64>(row, place).map(i64::unsigned_abs);
        Ok(TableTotals { extents: sum(0)?, rows: sum(1)?, bytes: sum(2)?, raw_bytes: sum(3)? })
    }
}

pub(crate) fn read_database(row: &Row) -> Result<Database> {
    Ok(Database { id: DatabaseId(get(row, 0)?), name: get(row, 1)? })
}

pub(crate) fn read_table(row: &Row) -> Result<Table> {
    let Json(columns): Json<Vec<Column>> = get(row, 4)?;
    Ok(Table {
        id: TableId(get(row, 0)?),
        database: DatabaseId(get(row, 1)?),
        database_name: get(row, 2)?,
        name: get(row, 3)?,
        schema: Schema::new(columns),
        schema_version: get(row, 5)?,
        time_column: get(row, 6)?,
        sort_key: get(row, 7)?,
        format: get(row, 8)?,
        deduplication_seconds: u32::try_from(get::<i64>(row, 9)?).unwrap_or(u32::MAX),
    })
}

fn check_new_table(name: &str, new: &NewTable) -> Result<()> {
    check_name("table", name)?;
    let is_datetime = new.schema.column(&new.time_column).is_some_and(|column| column.ty == Type::Datetime);
    if !is_datetime {
        let message =
            format!("the event-time column is not a datetime column of the table: column={}", new.time_column);
        return Err(Error::invalid("catalog.time_column_missing", message));
    }
    if new.schema.len() > TABLE_COLUMNS_MAX {
        let message = format!("a table may have {TABLE_COLUMNS_MAX} columns: columns={}", new.schema.len());
        return Err(Error::exhausted("catalog.columns", message));
    }
    Ok(())
}

/// Adds the table unless one of its name exists.
async fn insert_table(client: &impl GenericClient, database: DatabaseId, name: &str, new: &NewTable) -> Result<()> {
    let doing = error::statement("ensure table");
    let sql = "INSERT INTO tables (database_id, name, columns, time_column, sort_key, format) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (database_id, name) WHERE dropped_at IS NULL DO NOTHING";
    let prepared = client.prepare_cached(sql).await.map_err(&doing)?;
    let columns = Json(new.schema.columns());
    client
        .execute(&prepared, &[&database.0, &name, &columns, &new.time_column, &new.sort_key, &new.format])
        .await
        .map(drop)
        .map_err(|error| match error.code() {
            Some(&SqlState::FOREIGN_KEY_VIOLATION) => database_unknown(database),
            _ => doing(error),
        })
}

/// Widens and adds under the row's lock, so that concurrent calls agree.
async fn grow_in_transaction(transaction: &Transaction<'_>, id: TableId, columns: &[Column]) -> Result<Table> {
    let doing = "grow table";
    let rows = query(transaction, doing, TABLE_LOCKED, &[&id.0]).await?;
    let mut table = rows.first().map(read_table).transpose()?.ok_or_else(|| table_unknown(id))?;
    let grown = grow(table.schema.columns(), columns);
    if grown == table.schema.columns() {
        return Ok(table);
    }
    let sql = "UPDATE tables SET columns = $2, schema_version = schema_version + 1 WHERE id = $1";
    execute(transaction, doing, sql, &[&id.0, &Json(&grown)]).await?;
    table.schema = Schema::new(grown);
    table.schema_version += 1;
    Ok(table)
}

/// The bag has a place beyond the limit: what finds no place goes there, so a full table must be able to get it.
fn grow(current: &[Column], wanted: &[Column]) -> Vec<Column> {
    let mut grown = current.to_vec();
    let mut places: std::collections::HashMap<String, usize> =
        grown.iter().enumerate().map(|(place, column)| (column.name.clone(), place)).collect();
    for column in wanted {
        match places.get(&column.name) {
            Some(&place) if can_promote(grown[place].ty, column.ty) => grown[place].ty = column.ty,
            Some(_) => {}
            None if grown.len() < TABLE_COLUMNS_MAX || column.name == UNMAPPED_COLUMN => {
                places.insert(column.name.clone(), grown.len());
                grown.push(column.clone());
            }
            None => {}
        }
    }
    grown
}

/// The lock on the table's row waits for commits that hold it, and no later commit finds the table. Its extents stay as they
/// are until the drop is given up (`history.rs`).
async fn drop_in_transaction(transaction: &Transaction<'_>, table: TableId) -> Result<()> {
    let doing = "drop table";
    let lock = "SELECT database_id FROM tables WHERE id = $1 AND dropped_at IS NULL FOR UPDATE";
    let rows = query(transaction, doing, lock, &[&table.0]).await?;
    let database = DatabaseId(rows.first().map(|row| get(row, 0)).transpose()?.ok_or_else(|| table_unknown(table))?);
    let sequence = next_sequence(transaction, database).await?;
    let mark = "UPDATE tables SET dropped_at = clock_timestamp(), dropped_seq = $2 WHERE id = $1";
    execute(transaction, doing, mark, &[&table.0, &sequence.0]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_widen_and_are_capped() {
        let current = [Column::new("a", Type::Int), Column::new("s", Type::String)];
        let wanted = [Column::new("a", Type::Real), Column::new("s", Type::Long), Column::new("b", Type::Bool)];
        let expected = [Column::new("a", Type::Real), Column::new("s", Type::String), Column::new("b", Type::Bool)];
        assert_eq!(grow(&current, &wanted), expected);
        let many: Vec<Column> = (0..2 * TABLE_COLUMNS_MAX).map(|i| Column::new(format!("c{i}"), Type::Int)).collect();
        let full = grow(&current, &many);
        assert_eq!(full.len(), TABLE_COLUMNS_MAX);
        let with_bag = grow(&full, &[Column::new("more", Type::Int), Column::new(UNMAPPED_COLUMN, Type::Dynamic)]);
        assert_eq!(with_bag.len(), TABLE_COLUMNS_MAX + 1);
        assert_eq!(with_bag.last().unwrap().name, UNMAPPED_COLUMN);
    }
}
