//! What is removed because of its age, and what stays.

use std::sync::Arc;

use kyma_core::catalog::{Commit, Definitions, ExtentOrder, ExtentQuery, Extents, History, Policy, Table, Tables};
use kyma_core::clock::{Clock, ManualClock, SystemClock};
use kyma_core::time::{HOUR, TimeRange};
use kyma_core::{ExtentId, Sequence, TableId};

use crate::support::{Bench, eager, patient, system_clock, until};

impl Bench {
    async fn keep(&self, table: Option<TableId>, json: &str) {
        let policy =
            Policy { database: self.table.database, table, kind: "retention".to_owned(), json: json.to_owned() };
        self.catalog.put_policy(&policy).await.unwrap();
    }

    /// An extent of rows between two times.
    async fn add(&self, table: &Table, start: i64, end: i64) -> ExtentId {
        let reservation = self.reserve().await;
        let mut extent = self.extent(&reservation.object_key);
        (extent.table, extent.time) = (table.id, TimeRange::new(start, end));
        let id = extent.id;
        let commit = Commit { reservation: Some(reservation), extents: vec![extent], receipts: vec![] };
        self.catalog.commit(&commit).await.unwrap();
        id
    }

    async fn ids(&self, table: &Table, at: Sequence) -> Vec<ExtentId> {
        let (time, order) = (TimeRange::ALL, ExtentOrder::OldestFirst);
        let listed = self.catalog.list(ExtentQuery { table: table.id, at, time, order, ranges: Vec::new() });
        futures::TryStreamExt::try_collect::<Vec<_>>(listed).await.unwrap().iter().map(|extent| extent.id).collect()
    }

    async fn now_visible(&self, table: &Table) -> Vec<ExtentId> {
        self.ids(table, self.catalog.pin(table.database).await.unwrap()).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_past_their_time_go_and_no_others() {
    let bench = Bench::new().await;
    let now = SystemClock.now();
    let other = {
        let new = kyma_core::catalog::NewTable {
            schema: bench.table.schema.clone(),
            time_column: bench.table.time_column.clone(),
            sort_key: vec![],
            format: "tlm".to_owned(),
        };
        bench.catalog.ensure_table(bench.table.database, "Other", &new).await.unwrap()
    };
    // More than one batch of them.
    for hours in 5..12 {
        bench.add(&bench.table, now - hours * HOUR - 9, now - hours * HOUR).await;
    }
    let young = bench.add(&bench.table, now - 9 * HOUR, now - HOUR).await;
    let unknown = bench.add(&bench.table, i64::MIN, i64::MAX).await;
    let elsewhere = bench.add(&other, now - 9 * HOUR, now - 5 * HOUR).await;
    let before = bench.catalog.pin(bench.table.database).await.unwrap();
    bench.keep(None, r#"{"SoftDeletePeriod":"07:00:00"}"#).await;
    bench.keep(Some(bench.table.id), r#"{"SoftDeletePeriod":"03:00:00"}"#).await;
    let workers = [bench.worker(patient(), system_clock()), bench.worker(patient(), system_clock())];
    let two_left = || async { bench.now_visible(&bench.table).await.len() == 2 };
    bench.run_until(&workers, until(two_left)).await;
    assert_eq!(bench.now_visible(&bench.table).await, [unknown, young]);
    assert_eq!(bench.now_visible(&other).await, [elsewhere], "its database's policy counts for it");
    assert_eq!(bench.ids(&bench.table, before).await.len(), 9, "what was pinned before is complete");

    bench.keep(None, r#"{"SoftDeletePeriod":"04:00:00"}"#).await;
    bench.run_until(&workers, until(|| async { bench.now_visible(&other).await.is_empty() })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_or_a_clock_that_is_not_understood_removes_nothing() {
    let bench = Bench::new().await;
    let now = SystemClock.now();
    bench.add(&bench.table, now - 5 * HOUR, now - 2 * HOUR).await;
    let expired = bench.add(&bench.table, now - 9 * HOUR, now - 8 * HOUR).await;
    bench.keep(None, r#"{"SoftDeletePeriod":"03:00:00"}"#).await;
    bench.keep(Some(bench.table.id), r#"{"SoftDeletePeriod":"soon"}"#).await;
    // A year ahead.
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now + 8_766 * HOUR));
    let failed = || async {
        let recent = kyma_core::catalog::Tasks::recent(&*bench.catalog, 100).await.unwrap();
        recent.iter().any(|task| task.kind == "retention" && task.error.is_some())
    };
    bench.run_until(&[bench.worker(patient(), Arc::clone(&clock))], until(failed)).await;
    assert_eq!(bench.now_visible(&bench.table).await.len(), 2);
    bench.keep(Some(bench.table.id), "{}").await;
    let one_left = || async { bench.now_visible(&bench.table).await.len() == 1 };
    bench.run_until(&[bench.worker(patient(), clock)], until(one_left)).await;
    assert!(!bench.now_visible(&bench.table).await.contains(&expired), "the catalog's clock counts");
}

/// To the end: the drop is given up, the objects are deleted, the catalog keeps nothing of the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_table_leaves_nothing_behind() {
    let bench = Bench::new().await;
    let before = bench.catalog.pin(bench.table.database).await.unwrap();
    bench.write().await.unwrap();
    bench.catalog.drop_table(bench.table.id).await.unwrap();
    let dropped = async || bench.catalog.dropped_tables(bench.table.database).await.unwrap().len();
    assert_eq!(dropped().await, 1);
    let is_gone = || async {
        let tables = bench.catalog.tables_at(bench.table.database, before).await.unwrap();
        bench.stored().await.is_empty() && tables.is_empty()
    };
    bench.run_until(&[bench.worker(eager(), system_clock())], until(is_gone)).await;
    assert_eq!(dropped().await, 0);
    let oldest = bench.catalog.oldest(bench.table.database).await.unwrap();
    assert!(oldest > before, "sequences that saw it are known to be incomplete");
}
