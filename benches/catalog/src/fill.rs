//! Rows as commits would have written them, made by PostgreSQL itself.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kyma_core::catalog::{Catalog, NewTable, Table};
use kyma_core::{Schema, Type};

use crate::explain;

/// The start of the first extent: 2024-01-01T00:00:00Z.
pub(crate) const FIRST: i64 = 1_704_067_200_000_000_000;
/// From the start of the first extent to that of the last: 30 days.
pub(crate) const SPAN: i64 = 30 * 24 * HOUR;
/// Nanoseconds.
pub(crate) const HOUR: i64 = 3_600_000_000_000;

/// `n` rises with the extents, a thousand in each; `Service` and `Level` are the same everywhere; `Attributes` has no bounds.
/// Keys as the catalog stores them, of `n` in its slot: the upper half of a positive double's bits. The other slots say
/// nothing, or exclude; no question is about them.
const ROWS: &str = "
SET synchronous_commit = off;
CREATE FUNCTION pg_temp.key(number bigint) RETURNS integer LANGUAGE sql IMMUTABLE AS
    $$ SELECT ('x' || substr(encode(float8send(number), 'hex'), 1, 8))::bit(32)::integer $$;
UPDATE databases SET sequence = 1000 WHERE id = DATABASE;
INSERT INTO extents (id, database_id, table_id, added_seq, time_start, time_end, level, format, object_key, object_offset,
    object_length, footer_length, row_count, block_count, raw_bytes, sorted_by, tags, paths, bounds, lows, highs)
SELECT md5(i::text)::uuid, DATABASE, TABLE_ID, 1 + i * 1000 / EXTENTS, t, t + d, 0, 'tlm', 'extents/' || md5(i::text), 0,
    1000000, 20000, 50000, 1, 10000000, '{Service,Timestamp}', '{}',
    '[\"Attributes.http.status\",\"Attributes.k8s.pod.name\"]',
    format('{\"Timestamp\":[\"datetime\",\"t%s\",\"t%s\",true,0,50000,49000,null],' ||
           '\"n\":[\"long\",\"l%s\",\"l%s\",true,0,50000,1000,\"l12345\"],' ||
           '\"Service\":[\"string\",\"sapi\",\"sweb\",true,0,50000,12,null],' ||
           '\"Level\":[\"string\",\"sDEBUG\",\"sWARN\",true,0,50000,4,null],' ||
           '\"Message\":[\"string\",\"sAccepted connection from 10.0.0.\",\"suser logged out after 12 minute\",false,0,50000,40000,null],' ||
           '\"Attributes\":[\"dynamic\",null,null,false,0,50000,null,null]}', t, t + d, i * 1000, i * 1000 + 999)::json,
    array_fill(2147483647, ARRAY[12]) || pg_temp.key(i * 1000) || array_fill(-2147483648, ARRAY[19]),
    array_fill(-2147483648, ARRAY[12]) || pg_temp.key(i * 1000 + 999) || array_fill(2147483647, ARRAY[19])
FROM (SELECT i, FIRST + i * (SPAN / EXTENTS) AS t,
             CASE WHEN i % 100 = 0 THEN 3600000000000 WHEN i % 10 = 0 THEN 60000000000
                  ELSE 2000000000 + (i % 7) * 300000000 END AS d
      FROM generate_series(0::bigint, EXTENTS - 1) i) made;
";

/// Makes the table and its extents, as old as a vacuum that came by.
pub(crate) async fn fill(catalog: &dyn Catalog, url: &str, extents: u64) -> Result<Table> {
    let database = catalog.ensure_database("bench").await.map_err(explain)?;
    let columns = [
        ("Timestamp", Type::Datetime),
        ("n", Type::Long),
        ("Service", Type::String),
        ("Level", Type::String),
        ("Message", Type::String),
        ("Attributes", Type::Dynamic),
    ];
    let new = NewTable {
        schema: Schema::from(columns),
        time_column: "Timestamp".to_owned(),
        sort_key: vec!["Service".to_owned()],
        format: "tlm".to_owned(),
    };
    let table = catalog.ensure_table(database.id, "Logs", &new).await.map_err(explain)?;
    let places = [
        ("TABLE_ID", table.id.0),
        ("DATABASE", database.id.0),
        ("EXTENTS", i64::try_from(extents)?),
        ("FIRST", FIRST),
        ("SPAN", SPAN),
    ];
    let sql = places.iter().fold(ROWS.to_owned(), |sql, (place, value)| sql.replace(place, &value.to_string()));
    psql(url, &sql)?;
    psql(url, "VACUUM ANALYZE")?;
    Ok(table)
}

/// Runs statements, their output thrown away; how long the process took.
pub(crate) fn psql(url: &str, sql: &str) -> Result<Duration> {
    let begun = Instant::now();
    let status = Command::new("psql")
        .args(["-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "psql failed");
    Ok(begun.elapsed())
}
