//! A node's remembered lists are the catalog's lists, and are asked for once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use kyma_core::catalog::{Catalog, Commit, ExtentOrder, ExtentQuery, NewTable, Table};
use kyma_core::extent::{Extent, NewExtent, ObjectRange};
use kyma_core::time::TimeRange;
use kyma_core::{ExtentId, NodeId, Schema, Type};
use kyma_exec::manifest::{ListQuery, Manifests};
use kyma_exec::snapshot::{Snapshot, Snapshots};
use kyma_testkit::counted::CountedCatalog;
use kyma_testkit::postgres::{self, TestDatabase};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::world::DATABASE;

const SECOND: i64 = 1_000_000_000;
/// The clock of every query.
const NOW: i64 = 10_000 * SECOND;

/// One table in a catalog that is counted.
struct Listed {
    catalog: Arc<CountedCatalog>,
    snapshots: Snapshots,
    table: Table,
    _database: TestDatabase,
}

impl Listed {
    async fn start() -> Listed {
        let (catalog, _database) = postgres::catalog().await;
        let catalog = CountedCatalog::new(catalog);
        let database = catalog.inner().ensure_database(DATABASE).await.unwrap();
        let new = NewTable {
            schema: Schema::from([("Timestamp", Type::Datetime)]),
            time_column: "Timestamp".to_owned(),
            sort_key: Vec::new(),
            format: "tlm".to_owned(),
        };
        let table = catalog.inner().ensure_table(database.id, "T", &new).await.unwrap();
        let snapshots = Snapshots::new(Arc::clone(&catalog) as Arc<dyn Catalog>);
        Listed { catalog, snapshots, table, _database }
    }

    fn manifests(&self, bytes: u64) -> Manifests {
        Manifests::new(Arc::clone(&self.catalog) as Arc<dyn Catalog>, bytes)
    }

    async fn pinned(&self) -> Snapshot {
        self.snapshots.take(DATABASE, "").await.unwrap()
    }

    /// Adds extents over `times` and removes `sources`; the object's key.
    async fn change(&self, times: &[TimeRange], sources: &[ExtentId]) -> String {
        let id = ExtentId::generate();
        let reservation = self.catalog.inner().reserve(NodeId::generate(), &format!("data/{id}")).await.unwrap();
        let key = reservation.object_key.clone();
        let extents = times.iter().map(|time| extent(&self.table, &key, *time)).collect();
        let commit = Commit { reservation: Some(reservation), extents, receipts: Vec::new() };
        self.catalog.inner().replace(self.table.id, sources, &commit).await.unwrap();
        key
    }

    /// What the node lists; `removed` of visible extents is not part of the promise.
    async fn list(&self, manifests: &Manifests, snapshot: &Snapshot, time: TimeRange) -> Vec<Extent> {
        let (table, at) = snapshot.find(DATABASE, "T").unwrap();
        let query =
            ListQuery { table: table.id, at, change: snapshot.change(&table), time, now: NOW, ranges: Vec::new() };
        let listed = manifests.list(&query).await.unwrap();
        listed.map_ok(|extent| Extent { removed: None, ..(*extent).clone() }).try_collect().await.unwrap()
    }

    /// What the catalog lists.
    async fn plain(&self, snapshot: &Snapshot, time: TimeRange) -> Vec<Extent> {
        let (table, at) = snapshot.find(DATABASE, "T").unwrap();
        let query = ExtentQuery { table: table.id, at, time, order: ExtentOrder::NewestFirst, ranges: Vec::new() };
        let listed = self.catalog.inner().list(query);
        listed.map_ok(|extent| Extent { removed: None, ..extent }).try_collect().await.unwrap()
    }

    /// What was asked since this was last called, without what the tests ask themselves.
    fn asked(&self) -> Vec<(&'static str, usize)> {
        self.catalog.asked().into_iter().collect()
    }
}

fn extent(table: &Table, key: &str, time: TimeRange) -> NewExtent {
    NewExtent {
        id: ExtentId::generate(),
        database: table.database,
        table: table.id,
        format: "tlm".to_owned(),
        location: ObjectRange { key: key.to_owned(), offset: 0, length: 100 },
        footer_length: 20,
        rows: 10,
        blocks: 1,
        raw_bytes: 1_000,
        time,
        level: 0,
        sorted_by: Vec::new(),
        tags: Vec::new(),
        paths: None,
        columns: BTreeMap::new(),
    }
}

fn seconds(start: i64, end: i64) -> TimeRange {
    TimeRange::new(start * SECOND, end * SECOND)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_question_asks_the_catalog_one_thing() {
    let listed = Listed::start().await;
    let manifests = listed.manifests(64 << 20);
    listed.change(&[seconds(0, 9), seconds(10, 19)], &[]).await;
    for (window, expected) in [(seconds(0, 5), 1), (seconds(0, 5), 1), (TimeRange::ALL, 2), (seconds(15, 16), 1)] {
        let snapshot = listed.pinned().await;
        assert_eq!(listed.list(&manifests, &snapshot, window).await.len(), expected);
    }
    // The first query of a node learns of the database: one pin more, its tables, and the list.
    assert_eq!(listed.asked(), [("functions", 1), ("list", 1), ("pins", 5), ("policies", 1), ("tables", 1)]);
    listed.list(&manifests, &listed.pinned().await, seconds(0, 5)).await;
    assert_eq!(listed.asked(), [("pins", 1)]);

    listed.change(&[seconds(5, 6)], &[]).await;
    assert_eq!(listed.list(&manifests, &listed.pinned().await, seconds(0, 5)).await.len(), 2);
    assert_eq!(listed.asked(), [("changes", 1), ("pins", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_questions_share_one_list() {
    let listed = Listed::start().await;
    let manifests = listed.manifests(64 << 20);
    listed.change(&[seconds(0, 9); 300], &[]).await;
    let snapshot = listed.pinned().await;
    listed.asked();
    let all = (0..20).map(|_| listed.list(&manifests, &snapshot, TimeRange::ALL));
    assert!(futures::future::join_all(all).await.iter().all(|list| list.len() == 300));
    assert_eq!(listed.asked(), [("list", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_tried_once_and_a_window_of_it_is_kept() {
    let listed = Listed::start().await;
    let manifests = listed.manifests(256 << 10);
    let times: Vec<TimeRange> = (0..5_000).map(|at| seconds(at, at)).collect();
    listed.change(&times, &[]).await;
    let snapshot = listed.pinned().await;
    listed.asked();
    for (window, expected, lists) in [
        (TimeRange::ALL, 5_000, 1),
        (TimeRange::ALL, 5_000, 1),
        (seconds(0, 4_000), 4_001, 2), // Tried and given up, then streamed.
        (seconds(0, 4_000), 4_001, 1),
        (seconds(100, 120), 21, 1),
        (seconds(100, 120), 21, 0),
    ] {
        assert_eq!(listed.list(&manifests, &snapshot, window).await.len(), expected);
        let asked = listed.catalog.asked();
        assert_eq!(asked.get("list").copied().unwrap_or_default(), lists, "{window:?}: {asked:?}");
    }
    let off = listed.manifests(0);
    assert_eq!(listed.list(&off, &snapshot, seconds(100, 120)).await.len(), 21);
    assert_eq!(listed.asked(), [("list", 1)]);
}

/// Commits, removals, garbage, old pins and windows at random: at every pin the node lists what the catalog lists.
#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_list_is_the_catalogs() {
    let listed = Listed::start().await;
    let mut random = ChaCha8Rng::seed_from_u64(23);
    // Whole tables, windows, windows that do not fit, and lists that push each other out.
    let caches = [64 << 20, 512 << 10, 64 << 10, 16 << 10].map(|bytes| listed.manifests(bytes));
    let mut pins: Vec<Snapshot> = Vec::new();
    let mut any_window = {
        let mut random = ChaCha8Rng::seed_from_u64(29);
        move || match random.random_range(0..6) {
            0 => TimeRange::ALL,
            1 => TimeRange::new(random.random_range(-20..10_100) * SECOND, i64::MAX),
            2 => TimeRange::new(i64::MIN, random.random_range(-20..10_100) * SECOND),
            _ => {
                let start = random.random_range(-20..10_100);
                seconds(start, start + [0, 1, 30, 700, 9_000][random.random_range(0..5)])
            }
        }
    };
    for round in 0..150 {
        let now = listed.pinned().await;
        let there = listed.plain(&now, TimeRange::ALL).await;
        let sources: Vec<ExtentId> = there.iter().filter(|_| random.random_bool(0.1)).map(|extent| extent.id).collect();
        let any_time = |_| {
            let start = random.random_range(-20..10_000);
            match random.random_range(0..20) {
                0 => TimeRange::ALL,
                1 => seconds(start, start + 5_000),
                _ => seconds(start, start + random.random_range(0..20)),
            }
        };
        let times: Vec<TimeRange> = (0..1 + round % 7).map(any_time).collect();
        listed.change(&times, &sources).await;
        if random.random_bool(0.1) {
            forget_the_removed(&listed.catalog).await;
            pins.clear();
        }
        pins.push(listed.pinned().await);
        for _ in 0..6 {
            let back = [0, 0, 0, 1, 2, 100][random.random_range(0..6)].min(pins.len() - 1);
            let (snapshot, window) = (&pins[pins.len() - 1 - back], any_window());
            let expected = listed.plain(snapshot, window).await;
            for (place, cache) in caches.iter().enumerate() {
                let found = listed.list(cache, snapshot, window).await;
                assert!(found == expected, "round {round}, cache {place}, {back} pins back, {window:?}");
            }
        }
    }
    let asked = listed.catalog.asked();
    assert!(asked["changes"] > 50, "{asked:?}");
}

async fn forget_the_removed(catalog: &CountedCatalog) {
    let catalog = catalog.inner();
    for doomed in catalog.doom_removed(std::time::Duration::ZERO, 1_000).await.unwrap() {
        catalog.forget(&doomed.key).await.unwrap();
    }
}

/// Queries that pin and list while a writer commits: each sees its own snapshot, and its own writes.
#[tokio::test(flavor = "multi_thread")]
async fn lists_are_right_while_the_table_changes() {
    let listed = Arc::new(Listed::start().await);
    let manifests = Arc::new(listed.manifests(64 << 20));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4_i64 {
        let (listed, manifests) = (Arc::clone(&listed), Arc::clone(&manifests));
        writers.spawn(async move {
            for round in 0..25 {
                let own = seconds(writer * 100 + round, writer * 100 + round);
                listed.change(&[own], &[]).await;
                let snapshot = listed.pinned().await;
                let found = listed.list(&manifests, &snapshot, TimeRange::ALL).await;
                assert!(found.iter().any(|extent| extent.time == own), "an acked extent is seen");
                assert!(found == listed.plain(&snapshot, TimeRange::ALL).await, "writer {writer}, round {round}");
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
}
