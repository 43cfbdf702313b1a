//! Extents made of stored ones: the same rows, in order, each with where it came from.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use kyma_core::catalog::Table;
use kyma_core::extent::Extent;
use kyma_core::schema::{INGESTED_COLUMN, SEQUENCE_COLUMN};
use kyma_ingest::Rewrite;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::node::World;

type Row = BTreeMap<String, String>;

async fn table(world: &World) -> Arc<Table> {
    let database = world.catalog.database("d").await.unwrap().unwrap();
    Arc::new(world.catalog.table(database.id, "t").await.unwrap().unwrap())
}

/// The rows that users see, in an order of their own.
fn seen(rows: &[Row]) -> Vec<Row> {
    let mut rows: Vec<Row> = rows.to_vec();
    rows.iter_mut().for_each(|row| row.retain(|name, _| !name.starts_with('\u{1}')));
    rows.sort();
    rows
}

async fn all_of(world: &World, level: u8) -> Rewrite {
    let sources = world.extents("t").await.into_iter().map(Arc::new).collect();
    Rewrite { table: table(world).await, sources, kept: vec![], level, format: None }
}

/// What each row's commit and time of ingestion are, by `n`.
async fn origins(world: &World) -> BTreeMap<String, (String, Option<String>)> {
    let mut origins = BTreeMap::new();
    for extent in world.extents("t").await {
        for row in world.rows_of(&extent).await {
            let own = || (extent.added.to_string(), extent.id.made_at().map(|made| made.to_string()));
            let origin = match row.get(SEQUENCE_COLUMN) {
                Some(sequence) => (sequence.clone(), row.get(INGESTED_COLUMN).map(|shown| nanos(shown))),
                None => own(),
            };
            origins.insert(row["n"].clone(), origin);
        }
    }
    origins
}

fn nanos(shown: &str) -> String {
    let time: chrono::NaiveDateTime = shown.trim_end_matches('Z').parse().unwrap();
    time.and_utc().timestamp_nanos_opt().unwrap().to_string()
}

/// A line of some shape: keys come and go, types widen, values do not fit, times are in no order.
fn line(random: &mut StdRng, n: usize) -> String {
    let second = random.random_range(0..3_600);
    let mut line =
        format!(r#"{{"ts":"2026-01-01T{:02}:{:02}:{:02}Z","n":{n}"#, second / 3600, second / 60 % 60, second % 60);
    line += &format!(r#","service":"s{}""#, random.random_range(0..4));
    match random.random_range(0..4) {
        0 => line += r#","size":7"#,
        1 => line += r#","size":7.25"#,
        2 => line += r#","size":"much""#,
        _ => {}
    }
    if random.random_bool(0.5) {
        line += &format!(r#","http":{{"status":{},"path":["/a","/b"]}}"#, random.random_range(200..600));
    }
    if random.random_bool(0.2) {
        line += &format!(r#","rare{}":"x""#, n % 7);
    }
    line + "}\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_stay_what_they_are_however_often_they_are_merged() {
    for seed in 0..6 {
        let world = World::new().await;
        let node = world.node().await;
        let mut random = StdRng::seed_from_u64(seed);
        let mut n = 0;
        for _ in 0..random.random_range(2..9) {
            let lines = random.random_range(1..200);
            let body: String = (n..n + lines).map(|n| line(&mut random, n)).collect();
            n += lines;
            node.write("t", &body).await.unwrap();
        }
        let (before, origins_before) = (seen(&world.rows("t").await), origins(&world).await);
        let sources = world.extents("t").await;
        let rewriter = node.ingester.rewriter(1);
        // Some are merged first, then all: an extent with hidden columns meets extents without.
        let mut half = all_of(&world, 1).await;
        half.sources.truncate(sources.len().div_ceil(2));
        rewriter.rewrite(half).await.unwrap();
        assert_eq!(origins(&world).await, origins_before, "seed {seed}");
        let done = rewriter.rewrite(all_of(&world, 2).await).await.unwrap();
        assert_eq!((done.rows_read, done.rows), (n as u64, n as u64));

        let merged = world.extents("t").await;
        let [whole] = &merged[..] else { panic!("one extent is left: {}", merged.len()) };
        assert_eq!((Some(whole.id), whole.level, whole.rows), (done.extent, 2, n as u64));
        assert_eq!(whole.raw_bytes, sources.iter().map(|source| source.raw_bytes).sum::<u64>());
        let commits = sources.iter().map(|source| source.added);
        assert_eq!(whole.commits(), (commits.clone().min().unwrap(), commits.max().unwrap()));
        assert_eq!(seen(&world.rows("t").await), before, "seed {seed}");
        assert_eq!(origins(&world).await, origins_before, "seed {seed}");
        let table = table(&world).await;
        assert!(is_sorted(&world.rows_of(whole).await, &table), "seed {seed}");
    }
}

fn is_sorted(rows: &[Row], table: &Table) -> bool {
    let keys = table.sort_key.iter().chain([&table.time_column]);
    let key = |row: &Row| keys.clone().map(|key| row.get(key).cloned().unwrap_or_default()).collect::<Vec<_>>();
    rows.is_sorted_by_key(key)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_kept_go() {
    let world = World::new().await;
    let node = world.node().await;
    for n in 0..3 {
        node.write("t", &format!("{{\"n\":{n}}}\n{{\"n\":{}}}\n", n + 10)).await.unwrap();
    }
    let rewriter = node.ingester.rewriter(1);
    let keep = |bits: [bool; 2]| vec![Some(BooleanBuffer::from(bits.to_vec()))];
    let kept = vec![keep([true, false]), vec![None], keep([false, false])];
    let done = rewriter.rewrite(Rewrite { kept, ..all_of(&world, 0).await }).await.unwrap();
    assert_eq!((done.rows_read, done.rows), (6, 3));
    assert_eq!(world.column("t", "n").await, ["0", "1", "11"]);
    let kept = vec![vec![Some(BooleanBuffer::new_unset(3))]];
    let done = rewriter.rewrite(Rewrite { kept, ..all_of(&world, 0).await }).await.unwrap();
    assert_eq!((done.extent, done.rows), (None, 0));
    assert!(world.extents("t").await.is_empty());
}

/// Of two that rewrite the same extents one wins; what the other made is never visible.
#[tokio::test(flavor = "multi_thread")]
async fn sources_are_swapped_once() {
    let world = World::new().await;
    let (one, two) = (world.node().await, world.node().await);
    for n in 0..4 {
        one.write("t", &format!("{{\"n\":{n}}}")).await.unwrap();
    }
    let rewrite = all_of(&world, 1).await;
    let both = [one.ingester.rewriter(1), two.ingester.rewriter(1)];
    let (first, second) = tokio::join!(both[0].rewrite(rewrite.clone()), both[1].rewrite(rewrite.clone()));
    let codes = [&first, &second].map(|done| done.as_ref().err().map(|error| error.code()));
    assert!(
        codes == [None, Some("catalog.sources_changed")] || codes == [Some("catalog.sources_changed"), None],
        "{codes:?}"
    );
    assert_eq!(world.column("t", "n").await, ["0", "1", "2", "3"]);
    let visible: Vec<Extent> = world.extents("t").await;
    assert_eq!(visible.len(), 1);
    assert_eq!(one.ingester.rewriter(1).rewrite(rewrite).await.unwrap_err().code(), "catalog.sources_changed");
}
