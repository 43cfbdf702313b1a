use foyer::LruConfig;

use super::*;

/// Bytes of a cache, of a footer and of a piece of a scan.
const CACHE: u64 = 8 << 20;
const FOOTER: u64 = 16 << 10;
const PIECE: u64 = 256 << 10;

fn key(object: &str, start: u64, bytes: u64) -> RangeKey {
    RangeKey { object: object.into(), start, end: start + bytes }
}

/// The footers of 100 extents: a fifth of the cache.
fn footers() -> Vec<RangeKey> {
    (0..100).map(|extent| key(&format!("extent/{extent}"), 0, FOOTER)).collect()
}

/// Pieces of a scan over four times the cache.
fn scan(piece: u64) -> Vec<RangeKey> {
    (0..4 * CACHE / piece).map(|at| key("scan", at * piece, piece)).collect()
}

fn zeros(key: &RangeKey) -> Bytes {
    Bytes::from(vec![0; key.bytes() as usize])
}

/// Reads every range and offers what was not there, as a reader does; how many were there.
async fn read(cache: &MemoryCache, ranges: &[RangeKey], cost: Cost) -> usize {
    let mut found = 0;
    for key in ranges {
        match cache.get(key).await {
            Some(bytes) => found += usize::from(bytes == zeros(key)),
            None => cache.put(key.clone(), zeros(key), cost.into()),
        }
    }
    found
}

/// The cache under test, and one that keeps whatever came last.
fn ours_and_lru() -> [MemoryCache; 2] {
    [MemoryCache::new(CACHE), MemoryCache::with_eviction(CACHE, LruConfig::default())]
}

/// Of 100 footers in use: found before a scan, and after it.
async fn before_and_after(cache: &MemoryCache, scan: &[RangeKey], cost: Cost) -> (usize, usize) {
    read(cache, &footers(), Cost::RoundTrip).await;
    read(cache, &footers(), Cost::RoundTrip).await;
    let before = read(cache, &footers(), Cost::RoundTrip).await;
    read(cache, scan, cost).await;
    (before, read(cache, &footers(), Cost::RoundTrip).await)
}

#[tokio::test]
async fn a_scan_does_not_push_out_hot_footers() {
    let [ours, lru] = ours_and_lru();
    assert_eq!(before_and_after(&ours, &scan(PIECE), Cost::Transfer).await, (100, 100));
    // Plain LRU takes everything at first sight.
    assert_eq!(before_and_after(&lru, &scan(PIECE), Cost::RoundTrip).await, (100, 0));
}

#[tokio::test]
async fn a_scan_by_small_requests_does_not_push_them_out_either() {
    let [ours, lru] = ours_and_lru();
    assert_eq!(before_and_after(&ours, &scan(FOOTER), Cost::RoundTrip).await, (100, 100));
    assert_eq!(before_and_after(&lru, &scan(FOOTER), Cost::RoundTrip).await, (100, 0));
}

#[tokio::test]
async fn footers_are_kept_at_first_sight_after_a_scan() {
    let cache = MemoryCache::new(CACHE);
    read(&cache, &scan(PIECE), Cost::Transfer).await;
    read(&cache, &footers(), Cost::RoundTrip).await;
    assert_eq!(read(&cache, &footers(), Cost::RoundTrip).await, 100);
}

#[tokio::test]
async fn pieces_of_scans_are_kept_at_first_sight_in_half_of_the_room_and_at_second_in_all() {
    let cache = MemoryCache::new(CACHE);
    let small = &scan(PIECE)[..24];
    let mut found = Vec::new();
    for _ in 0..3 {
        found.push(read(&cache, small, Cost::Transfer).await);
    }
    assert_eq!(found, [0, 15, 24]);
    let counts = cache.counts().remove(0);
    assert_eq!((counts.hits, counts.misses, counts.admitted, counts.rejected), (39, 33, 24, 9));
    assert_eq!(counts.held_bytes, Some(24 * (PIECE + ENTRY_OVERHEAD_BYTES as u64)));
}

#[tokio::test]
async fn stays_within_its_bytes() {
    let cache = MemoryCache::new(100_000);
    for start in 0..1_000_u64 {
        let range = key("o", start, 1_000);
        cache.put(range.clone(), zeros(&range), Cost::RoundTrip.into());
    }
    assert!(cache.bytes() <= 100_000, "{}", cache.bytes());
    let counts = cache.counts().remove(0);
    assert!(counts.admitted == 1_000 && counts.evicted.is_some_and(|evicted| evicted >= 900), "{counts:?}");
    let large = key("o", 0, 50_000);
    cache.put(large.clone(), zeros(&large), Cost::RoundTrip.into());
    assert_eq!(cache.get(&large).await, None);
    assert_eq!(cache.counts()[0].rejected, 1);
}

#[tokio::test]
async fn without_bytes_it_holds_nothing() {
    let cache = MemoryCache::new(0);
    assert_eq!(before_and_after(&cache, &[], Cost::RoundTrip).await, (0, 0));
    assert_eq!(cache.bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_threads_get_what_they_put() {
    let cache = Arc::new(MemoryCache::new(64 * FOOTER));
    let work = (0..4).map(|thread: u64| {
        let cache = Arc::clone(&cache);
        tokio::task::spawn_blocking(move || {
            for at in 0..50_000_u64 {
                let start = (at * 7 + thread) % 200;
                let (key, bytes) = (key("o", start, FOOTER), Bytes::from(vec![start as u8; 64]));
                match futures::executor::block_on(cache.get(&key)) {
                    Some(found) => assert_eq!(found, bytes),
                    None => cache.put(key, bytes, Cost::RoundTrip.into()),
                }
            }
        })
    });
    for worked in futures::future::join_all(work).await {
        worked.unwrap();
    }
    assert!(cache.bytes() <= 64 * FOOTER);
}
