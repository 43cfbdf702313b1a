//! Old snapshots, dropped tables, and rows past their time.
//!
//! A drop marks the table's row and nothing else, so that it can be undone. Giving it up, later:
//!
//! 1. Under the lock of the table's row its extents are removed, as of the sequence and the time of the drop: no sequence
//!    sees other extents than before, and garbage collection need not wait for another grace.
//! 2. When no extent has a row any more, the rows of the table go. Sequences that saw it are incomplete from then on, which
//!    its database's row keeps.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use kyma_core::catalog::{DroppedTable, ExpiryQuery, GivenUp, History, Table};
use kyma_core::extent::Extent;
use kyma_core::ids::check_name;
use kyma_core::{DatabaseId, Error, Result, Sequence, TableId, time};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::commit::{database_unknown, next_sequence};
use crate::error;
use crate::pool::{PostgresCatalog, execute, get, query, transact};
use crate::rows;
use crate::tables::{self, read_table, table_columns};

/// The largest span: any length, so that extents without a known time are among them.
const SPAN_MAX: u32 = 16;

/// $1 table, $2 now, $3 the period, $4 the limit. One walk per span, as in `list.rs`; the limit of each keeps the planner from
/// sorting all of it.
static EXPIRED: LazyLock<String> = LazyLock::new(|| {
    let walk = |span: u32| {
        format!(
            "(SELECT {columns}, removed_seq FROM extents WHERE table_id = $1 AND span = {span} AND time_end < {before} \
             AND removed_seq IS NULL ORDER BY time_end, id LIMIT $4)",
            columns = rows::columns!(),
            before = "(SELECT least($2, clock) - $3 FROM clock)",
        )
    };
    let walks: Vec<String> = (1..=SPAN_MAX).map(walk).collect();
    format!(
        "WITH clock AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000 AS clock) \
         SELECT * FROM ({walks} UNION ALL \
            (SELECT {columns}, removed_seq FROM extents WHERE table_id = $1 AND span = {SPAN_MAX} \
             AND time_end = 9223372036854775807 AND time_start = -9223372036854775808 AND removed_seq IS NULL \
             AND (extract(epoch FROM added_at) * 1000000)::bigint * 1000 < (SELECT least($2, clock) - $3 FROM clock) \
             LIMIT $4)) walks ORDER BY time_end, id LIMIT $4",
        walks = walks.join(" UNION ALL "),
        columns = rows::columns!(),
    )
});

/// What is doomed counts before it is forgotten: its objects may be gone.
const OLDEST: &str = "SELECT greatest(d.complete_from, \
        coalesce((SELECT max(forgotten_seq) FROM manifests WHERE database_id = d.id), 0), \
        coalesce((SELECT max(e.removed_seq) FROM objects o JOIN extents e ON e.object_key = o.key \
            WHERE o.state IN ('revoked', 'doomed') AND e.database_id = d.id), 0)) \
    FROM databases d WHERE d.id = $1";

/// Of one name the table that was dropped first after the sequence: a later one did not exist yet.
const TABLES_AT: &str = concat!(
    "SELECT DISTINCT ON (t.name) ",
    table_columns!(),
    " FROM tables t JOIN databases d ON d.id = t.database_id WHERE t.database_id = $1 \
      AND (t.dropped_at IS NULL OR t.dropped_seq > $2) \
      AND NOT EXISTS (SELECT 1 FROM table_gaps g \
          WHERE g.table_id = t.id AND g.dropped_seq <= $2 AND g.restored_seq > $2) \
      ORDER BY t.name, t.dropped_seq NULLS LAST"
);

const DROPPED: &str = concat!(
    "SELECT ",
    table_columns!(),
    ", t.dropped_seq, (extract(epoch FROM t.dropped_at) * 1000000)::bigint * 1000 \
      FROM tables t JOIN databases d ON d.id = t.database_id WHERE t.database_id = $1 \
      AND t.dropped_at IS NOT NULL AND t.dropped_seq IS NOT NULL AND NOT t.given_up ORDER BY t.dropped_seq DESC"
);

/// The rows that speak of a table, in an order that their references allow.
const FORGET_TABLE: [&str; 6] = [
    "DELETE FROM ingestion_mappings WHERE table_id = $1",
    "DELETE FROM table_texts WHERE table_id = $1",
    "DELETE FROM policies WHERE table_id = $1",
    "DELETE FROM table_gaps WHERE table_id = $1",
    "DELETE FROM manifests WHERE table_id = $1",
    "DELETE FROM tables WHERE id = $1",
];

#[async_trait]
impl History for PostgresCatalog {
    async fn expired(&self, query: &ExpiryQuery) -> Result<Vec<Extent>> {
        let limit = bounded(query.limit);
        let rows = self.rows("expired", &EXPIRED, &[&query.table.0, &query.now, &query.period, &limit]).await?;
        rows.iter().map(rows::read).collect()
    }

    /// The lock of the database's row waits for commits that took their sequence already: those that come later are of a
    /// later second, or of one that is not asked for.
    async fn sequence_at(&self, database: DatabaseId, time: i64) -> Result<Sequence> {
        let doing = "sequence at";
        let second = time.div_euclid(time::SECOND);
        transact!(self, doing, |transaction| {
            let lock =
                "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint FROM databases WHERE id = $1 FOR SHARE";
            let locked = query(transaction, doing, lock, &[&database.0]).await?;
            let now: i64 =
                locked.first().map(|row| get(row, 0)).transpose()?.ok_or_else(|| database_unknown(database))?;
            if second > now {
                return Err(ahead(time));
            }
            let find = "SELECT sequence FROM sequence_times WHERE database_id = $1 AND second < $2 \
                        ORDER BY second DESC LIMIT 1";
            let found = query(transaction, doing, find, &[&database.0, &second]).await?;
            match found.first() {
                Some(row) => Ok(Sequence(get(row, 0)?)),
                None => Err(forgotten(transaction, database, time).await?),
            }
        })
    }

    async fn oldest(&self, database: DatabaseId) -> Result<Sequence> {
        let rows = self.rows("oldest", OLDEST, &[&database.0]).await?;
        rows.first().map(|row| get(row, 0).map(Sequence)).transpose()?.ok_or_else(|| database_unknown(database))
    }

    async fn tables_at(&self, database: DatabaseId, at: Sequence) -> Result<Vec<Table>> {
        let rows = self.rows("tables at", TABLES_AT, &[&database.0, &at.0]).await?;
        rows.iter().map(read_table).collect()
    }

    async fn dropped_tables(&self, database: DatabaseId) -> Result<Vec<DroppedTable>> {
        let rows = self.rows("dropped tables", DROPPED, &[&database.0]).await?;
        let read = |row: &Row| {
            let (table, dropped) = (read_table(row)?, Sequence(get(row, tables::COLUMNS)?));
            Ok(DroppedTable { table, dropped, dropped_at: get(row, tables::COLUMNS + 1)? })
        };
        rows.iter().map(read).collect()
    }

    async fn undrop_table(&self, table: TableId, name: &str) -> Result<Table> {
        check_name("table", name)?;
        transact!(self, "undrop table", |transaction| undrop_in_transaction(transaction, table, name).await)
    }

    async fn give_up_dropped(&self, grace: Duration, limit: usize) -> Result<GivenUp> {
        let due = "SELECT id FROM tables WHERE dropped_at < clock_timestamp() - make_interval(secs => $1) AND NOT given_up \
                   ORDER BY dropped_at LIMIT $2";
        let empty = "SELECT t.id FROM tables t WHERE t.dropped_at IS NOT NULL AND t.given_up \
                     AND NOT EXISTS (SELECT 1 FROM extents e WHERE e.table_id = t.id) LIMIT $1";
        let mut given_up = GivenUp::default();
        for row in self.rows("give up", due, &[&grace.as_secs_f64(), &bounded(limit)]).await? {
            if let Some(extents) = self.give_up(get(&row, 0)?).await? {
                given_up.tables += 1;
                given_up.extents += extents;
            }
        }
        for row in self.rows("give up", empty, &[&bounded(limit)]).await? {
            given_up.forgotten += self.forget_table(get(&row, 0)?).await?;
        }
        Ok(given_up)
    }

    /// The last row of what is forgotten stays: it tells of the times up to the first row that is kept.
    async fn forget_times(&self, grace: Duration) -> Result<u64> {
        let sql = "DELETE FROM sequence_times t USING databases d, LATERAL (\
                       SELECT s.second FROM sequence_times s WHERE s.database_id = d.id \
                       AND s.second < floor(extract(epoch FROM clock_timestamp())::float8 - $1)::bigint \
                       ORDER BY s.second DESC LIMIT 1) last \
                   WHERE t.database_id = d.id AND t.second < last.second";
        self.change("forget times", sql, &[&grace.as_secs_f64()]).await
    }
}

impl PostgresCatalog {
    /// Removes the extents of one dropped table, unless it is given up or was undropped meanwhile; how many.
    async fn give_up(&self, table: i64) -> Result<Option<u64>> {
        let doing = "give up";
        let mark = "UPDATE tables SET given_up = true WHERE id = $1 AND dropped_at IS NOT NULL AND NOT given_up";
        let remove = "UPDATE extents e SET removed_seq = t.dropped_seq, removed_at = t.dropped_at FROM tables t \
                      WHERE t.id = $1 AND e.table_id = t.id AND e.removed_seq IS NULL AND t.dropped_seq IS NOT NULL";
        transact!(self, doing, |transaction| {
            if execute(transaction, doing, mark, &[&table]).await? == 0 {
                return Ok(None);
            }
            let removed = execute(transaction, doing, remove, &[&table]).await?;
            Ok(Some(removed))
        })
    }

    /// Deletes the rows of a table that nothing is left of; how many tables.
    async fn forget_table(&self, table: i64) -> Result<u64> {
        let doing = "forget table";
        let note = "UPDATE databases d SET complete_from = greatest(d.complete_from, t.dropped_seq) FROM tables t \
                    WHERE t.id = $1 AND d.id = t.database_id AND t.given_up";
        transact!(self, doing, |transaction| {
            if execute(transaction, doing, note, &[&table]).await? == 0 {
                return Ok(0);
            }
            for sql in FORGET_TABLE {
                execute(transaction, doing, sql, &[&table]).await?;
            }
            Ok(1)
        })
    }
}

/// The lock of the table's row keeps it from being given up meanwhile.
async fn undrop_in_transaction(transaction: &Transaction<'_>, table: TableId, name: &str) -> Result<Table> {
    let doing = "undrop table";
    let lock = "SELECT database_id, dropped_seq FROM tables WHERE id = $1 AND dropped_at IS NOT NULL \
                AND dropped_seq IS NOT NULL AND NOT given_up FOR UPDATE";
    let locked = query(transaction, doing, lock, &[&table.0]).await?;
    let Some(row) = locked.first() else { return Err(drop_is_final(table)) };
    let (database, dropped): (i64, i64) = (get(row, 0)?, get(row, 1)?);
    let restored = next_sequence(transaction, DatabaseId(database)).await?;
    let gap = "INSERT INTO table_gaps (table_id, dropped_seq, restored_seq) VALUES ($1, $2, $3)";
    execute(transaction, doing, gap, &[&table.0, &dropped, &restored.0]).await?;
    let failed = error::statement(doing);
    let restore = "UPDATE tables SET dropped_at = NULL, dropped_seq = NULL, name = $2, \
                   schema_version = schema_version + 1 WHERE id = $1";
    let prepared = transaction.prepare_cached(restore).await.map_err(&failed)?;
    transaction.execute(&prepared, &[&table.0, &name]).await.map_err(|error| match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => {
            Error::conflict("catalog.table_exists", format!("a table of that name exists: table={name}"))
        }
        _ => failed(error),
    })?;
    let found = query(transaction, doing, tables::TABLE_BY_ID, &[&table.0]).await?;
    found.first().map(read_table).transpose()?.ok_or_else(|| drop_is_final(table))
}

fn drop_is_final(table: TableId) -> Error {
    Error::not_found("catalog.drop_final", format!("the table is not dropped, or its drop is final: table={table}"))
}

fn ahead(time: i64) -> Error {
    let message = format!("the time has not come yet: time={}", time::format_datetime(time));
    Error::invalid("catalog.time_ahead", message).hint("the catalog's clock counts")
}

/// What is remembered begins later than `time`.
async fn forgotten(transaction: &Transaction<'_>, database: DatabaseId, time: i64) -> Result<Error> {
    let sql = "SELECT min(second) FROM sequence_times WHERE database_id = $1";
    let rows = query(transaction, "sequence at", sql, &[&database.0]).await?;
    let first: Option<i64> = rows.first().map(|row| get(row, 0)).transpose()?.flatten();
    let message = format!("what a database was then is not remembered: time={}", time::format_datetime(time));
    let error = Error::not_found("catalog.time_forgotten", message);
    Ok(match first.and_then(|second| (second + 1).checked_mul(time::SECOND)) {
        Some(first) => error.hint(format!("the earliest time is {}", time::format_datetime(first))),
        None => error,
    })
}

fn bounded(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
