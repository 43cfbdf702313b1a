//! What must be true when everything is healed and quiet.
//!
//! 1. The backlog drains: no reservation, no doomed object, no object without visible extents, no lease that ran out.
//! 2. No merge waits or runs, no task is parked that nothing would run again, and every kind of periodic work was done
//!    after the heal. (A periodic task that is parked is enqueued anew with its next period.)
//! 3. The bucket holds the registered objects, all of them and nothing else.
//! 4. Each acknowledged row is there once, no row is there twice, and each says what was sent.
//! 5. The table that is replaced as a whole holds one replacement, and the table of old rows holds none. Of the table that
//!    rows are deleted from, all are gone that an accepted deletion named, and no other that was acknowledged.
//! 6. `kyma verify --full` finds no problem.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use kyma_testkit::postgres::TestDatabase;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, Node};
use crate::load::{DELETED, EXPIRED, Load, REPLACED, REPLACED_ROWS, TABLE, stored_keys};

/// How long the backlog may take to drain.
const DRAIN_MAX: Duration = Duration::from_secs(150);
/// Kinds of periodic work.
const KINDS: [&str; 6] = ["garbage", "sweep", "plan-merges", "retention", "give_up", "journal"];

/// Tasks that were given up and are not enqueued again by themselves.
const PARKED: &str = "SELECT kind, error FROM tasks WHERE state = 'parked' AND dedup_key <> 'periodic'";

/// The catalog's clock.
pub async fn now(database: &TestDatabase) -> String {
    one(database, "SELECT clock_timestamp()::text").await
}

async fn one(database: &TestDatabase, sql: &str) -> String {
    database.query(sql).await.into_iter().flatten().next().unwrap_or_default()
}

async fn count(database: &TestDatabase, from: &str) -> u64 {
    one(database, &format!("SELECT count(*) FROM {from}")).await.parse().unwrap_or(u64::MAX)
}

/// What keeps the backlog from being drained, if anything does.
async fn undrained(cluster: &Cluster, healed_at: &str) -> Result<Vec<String>> {
    let database = &cluster.database;
    let mut left = Vec::new();
    let mut expect_none = |count: u64, what: &str| {
        if count > 0 {
            left.push(format!("{count} {what}"));
        }
    };
    expect_none(count(database, "objects WHERE state = 'reserved'").await, "reservations are left");
    expect_none(count(database, "objects WHERE state IN ('revoked', 'doomed')").await, "doomed objects are left");
    let old =
        format!("extents e JOIN tables t ON t.id = e.table_id WHERE t.name = '{EXPIRED}' AND e.removed_at IS NULL");
    expect_none(count(database, &old).await, "extents are past their time and visible");
    let dead = "objects o WHERE state = 'registered' AND NOT EXISTS \
                (SELECT 1 FROM extents e WHERE e.object_key = o.key AND e.removed_at IS NULL)";
    expect_none(count(database, dead).await, "objects without visible extents are left");
    let stuck = "tasks WHERE state = 'running' AND lease_until < now()";
    expect_none(count(database, stuck).await, "leases ran out and nobody took over");
    for kind in ["merge", "delete"] {
        let open = format!("tasks WHERE kind = '{kind}' AND state IN ('queued', 'running')");
        expect_none(count(database, &open).await, &format!("tasks are not done: {kind}"));
    }
    for kind in KINDS {
        let done = format!("tasks WHERE kind = '{kind}' AND state = 'done' AND changed_at > '{healed_at}'");
        expect_none(u64::from(count(database, &done).await == 0), &format!("kind of task was not done: {kind}"));
    }
    let registered: BTreeSet<String> =
        database.query("SELECT key FROM objects WHERE state = 'registered'").await.into_iter().flatten().collect();
    let stored = stored_keys(&cluster.s3).await?;
    expect_none(registered.difference(&stored).count() as u64, "registered objects are not in the bucket");
    expect_none(stored.difference(&registered).count() as u64, "objects in the bucket are known to nobody");
    Ok(left)
}

/// Rows whose text or time does not go with their id.
fn falsified() -> String {
    format!(
        "{TABLE} | where message !startswith strcat('request ', tostring(id), ' of batch ') \
         or Timestamp != datetime(2026-01-01) + 1s * (id % 86400)"
    )
}

/// Checks everything. The load has ended, and only `node` runs.
pub async fn check(cluster: &Cluster, load: &Load, node: &Node, healed_at: &str) -> Result<()> {
    let ledger = &load.ledger;
    let deadline = Instant::now() + DRAIN_MAX;
    loop {
        let left = undrained(cluster, healed_at).await?;
        if left.is_empty() {
            break;
        }
        if Instant::now() >= deadline {
            left.into_iter().for_each(|left| ledger.violated(format!("the backlog did not drain: {left}")));
            break;
        }
        sleep(Duration::from_millis(200)).await;
    }
    for row in cluster.database.query(PARKED).await {
        ledger.violated(format!("a task is parked: {}", row.join(": ")));
    }
    match load.ids(&node.url).await {
        Ok(ids) => ledger.compare(&ledger.acked_now(), &ids, "at the end"),
        Err(error) => ledger.violated(format!("the rows cannot be counted: {error:#}")),
    }
    match load.query(&node.url, &falsified()).await {
        Ok(rows) if rows.is_empty() => {}
        Ok(rows) => ledger.violated(format!("{} rows are not what was sent, such as {}", rows.len(), rows[0])),
        Err(error) => ledger.violated(format!("the rows cannot be compared: {error:#}")),
    }
    match load.query(&node.url, &format!("{REPLACED} | project id")).await {
        Ok(rows) if rows.len() == REPLACED_ROWS || rows.is_empty() => {}
        Ok(rows) => ledger.violated(format!("a replaced table has {} rows instead of {REPLACED_ROWS}", rows.len())),
        Err(error) => ledger.violated(format!("the replaced table cannot be read: {error:#}")),
    }
    match load.query(&node.url, EXPIRED).await {
        Ok(rows) if rows.is_empty() => {}
        Ok(rows) => ledger.violated(format!("{} rows are past their time and there", rows.len())),
        Err(error) => ledger.violated(format!("the table of old rows cannot be read: {error:#}")),
    }
    match load.query(&node.url, &format!("{DELETED} | project id, message")).await {
        Ok(rows) => load.deletions.check(&rows).into_iter().for_each(|wrong| ledger.violated(wrong)),
        Err(error) => ledger.violated(format!("the table of deleted rows cannot be read: {error:#}")),
    }
    if let Err(error) = cluster.run(&["verify", "--full", "--orphan-hours", "0"]).await {
        ledger.violated(format!("{error:#}"));
    }
    Ok(())
}
