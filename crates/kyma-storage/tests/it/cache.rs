//! The cache speeds up and says so.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use kyma_storage::fault::FaultyStore;
use kyma_storage::object_store::memory::InMemory;
use kyma_storage::{
    BlockCache, Cost, DiskCache, MemoryCache, RangeKey, Store, StoreSettings, TieredCache, Warmth, Worth,
};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use url::Url;

use crate::{counters, extent, sample};

pub(crate) const MIB: u64 = 1024 * 1024;

/// The content of every object here.
pub(crate) static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| sample(MIB as usize));

/// A store over memory whose cache is on disk, with `objects` objects of 1 MiB.
pub(crate) async fn store_with_disk(dir: &Path, objects: u64) -> (Arc<Store>, Arc<TieredCache>) {
    let disk = DiskCache::open(dir, 64 * MIB).await.unwrap();
    let cache = Arc::new(TieredCache::new(MemoryCache::new(64 * 1024), disk));
    let settings = StoreSettings::new(Url::parse("memory:///").unwrap());
    let store = Store::with_cache(Arc::new(InMemory::new()), &settings, Arc::clone(&cache) as _);
    for object in 0..objects {
        store.put(&format!("o/{object}"), Bytes::from_static(&CONTENT)).await.unwrap();
    }
    (store, cache)
}

/// Reads every object twice in small ranges and checks every byte.
pub(crate) async fn read_all(store: &Arc<Store>, objects: u64) {
    for object in (0..objects).chain(0..objects) {
        let ranges: Vec<_> = (0..8).map(|part| part * 100_000..part * 100_000 + 100_000).collect();
        let reader = store.reader(&extent(&format!("o/{object}"), 0, MIB), counters());
        for (bytes, range) in reader.read(&ranges).await.unwrap().iter().zip(&ranges) {
            assert!(bytes[..] == CONTENT[range.start as usize..range.end as usize]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_found_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let key = RangeKey { object: "o/1".into(), start: 0, end: 100_000 };
    {
        let disk = DiskCache::open(dir.path(), 64 * MIB).await.unwrap();
        disk.put(key.clone(), Bytes::from(sample(100_000)), Cost::RoundTrip.into());
        disk.close().await;
    }
    let disk = DiskCache::open(dir.path(), 64 * MIB).await.unwrap();
    assert_eq!(disk.get(&key).await.unwrap(), sample(100_000));
    let other = RangeKey { start: 1, ..key };
    assert_eq!(disk.get(&other).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_of_a_churning_disk_cache_get_right_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = store_with_disk(dir.path(), 16).await;
    let readers = (0..8).map(|_| {
        let store = Arc::clone(&store);
        async move { read_all(&store, 16).await }
    });
    futures::future::join_all(readers).await;
}

#[tokio::test]
async fn a_cache_hit_needs_no_store() {
    let (faulty, faults) = FaultyStore::new(Arc::new(InMemory::new()));
    let store = Store::from_object_store(faulty);
    store.put("a", Bytes::from(sample(100))).await.unwrap();
    let reader = store.reader(&extent("a", 0, 100), counters());
    reader.read(&[0..50]).await.unwrap();
    faults.set_down(true);
    let counted = counters();
    let reader = store.reader(&extent("a", 0, 100), Arc::clone(&counted));
    assert_eq!(reader.read(&[0..50]).await.unwrap()[0], sample(100)[..50]);
    assert_eq!(counted.cache_bytes.load(Ordering::Relaxed), 50);
}

/// What an owner says decides about the disk, not about memory.
#[tokio::test(flavor = "multi_thread")]
async fn cold_ranges_stay_off_the_disk_and_hot_ones_are_taken_at_first_sight() {
    let dir = tempfile::tempdir().unwrap();
    let disk = DiskCache::open(dir.path(), 64 * MIB).await.unwrap();
    let admitted = |disk: &DiskCache| disk.counts()[0].admitted;
    let piece = |at: u64| RangeKey { object: "scan".into(), start: at * MIB, end: (at + 1) * MIB };
    let put = |at: u64, cost: Cost, warmth: Warmth| {
        disk.put(piece(at), Bytes::from_static(&CONTENT), Worth { cost, warmth });
    };
    put(0, Cost::RoundTrip, Warmth::Cold);
    put(0, Cost::RoundTrip, Warmth::Cold);
    assert_eq!(admitted(&disk), 0, "cold at first and at second sight");
    // Half of the disk: from here on a scan goes past it.
    (0..40).for_each(|at| put(at, Cost::Transfer, Warmth::ByUse));
    let by_use = admitted(&disk);
    assert!(by_use < 40, "{by_use}");
    (100..140).for_each(|at| put(at, Cost::Transfer, Warmth::Hot));
    assert_eq!(admitted(&disk), by_use + 40);

    let dir = tempfile::tempdir().unwrap();
    let (store, cache) = store_with_disk(dir.path(), 1).await;
    let mut taken = Vec::new();
    for (at, warmth) in [Warmth::Cold, Warmth::ByUse, Warmth::Hot].into_iter().enumerate() {
        let at = at as u64;
        let reader = store.reader_of(&extent("o/0", 0, MIB), counters(), warmth);
        reader.read(&[at * 10..at * 10 + 10]).await.unwrap();
        taken.push(cache.counts().into_iter().map(|tier| (tier.tier, tier.admitted)).collect::<Vec<_>>());
    }
    assert_eq!(taken, [[("memory", 1), ("disk", 0)], [("memory", 2), ("disk", 1)], [("memory", 3), ("disk", 2)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_over_more_than_the_disk_leaves_small_ranges_there() {
    let dir = tempfile::tempdir().unwrap();
    let disk = DiskCache::open(dir.path(), 64 * MIB).await.unwrap();
    let footer = |extent: u64| RangeKey { object: format!("extent/{extent}").into(), start: 0, end: 20_000 };
    let piece = |at: u64| RangeKey { object: "scan".into(), start: at * MIB, end: (at + 1) * MIB };
    for extent in 0..100 {
        disk.put(footer(extent), Bytes::from(sample(20_000)), Cost::RoundTrip.into());
    }
    for at in 0..256 {
        disk.put(piece(at), Bytes::from_static(&CONTENT), Cost::Transfer.into());
        // The scan is as fast as the disk: what foyer's queue drops is not what is tested.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut found = 0;
    for extent in 0..100 {
        found += u64::from(disk.get(&footer(extent)).await.is_some());
    }
    let counts = disk.counts().remove(0);
    assert!(found >= 90 && counts.rejected >= 200, "{found} {counts:?}");
    assert_eq!((counts.hits, counts.hit_bytes, counts.misses), (found, found * 20_000, 100 - found));
    let before = counts.admitted;
    disk.put(piece(255), Bytes::from_static(&CONTENT), Cost::Transfer.into());
    assert_eq!(disk.counts()[0].admitted, before + 1, "at second sight");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tier_says_what_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let (store, cache) = store_with_disk(dir.path(), 1).await;
    let reader = store.reader(&extent("o/0", 0, MIB), counters());
    for _ in 0..3 {
        reader.read(&[0..10_000]).await.unwrap();
    }
    reader.read(&[20_000..50_000]).await.unwrap();
    reader.read(&[20_000..50_000]).await.unwrap();
    let counts = cache.counts();
    let told: Vec<_> =
        counts.iter().map(|counts| (counts.tier, counts.hits, counts.hit_bytes, counts.misses)).collect();
    // 30,000 bytes are more than a quarter of this memory.
    assert_eq!(told, [("memory", 2, 20_000, 3), ("disk", 1, 30_000, 2)]);
    assert_eq!(counts[0].hit_rate(), 0.4);

    let (mut registry, mut text) = (Registry::default(), String::new());
    store.register(&mut registry);
    encode(&mut text, &registry).unwrap();
    for line in [
        "kyma_store_cache_hits_total{tier=\"memory\"} 2",
        "kyma_store_cache_hits_total{tier=\"disk\"} 1",
        "kyma_store_cache_hit_bytes_total{tier=\"disk\"} 30000",
        "kyma_store_cache_misses_total{tier=\"disk\"} 2",
        "kyma_store_cache_admitted_total{tier=\"disk\"} 2",
        "kyma_store_cache_rejected_total{tier=\"memory\"} 2",
        "kyma_store_cache_evicted_total{tier=\"memory\"} 0",
        "kyma_store_cache_held_bytes{tier=\"memory\"} 10160",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}
