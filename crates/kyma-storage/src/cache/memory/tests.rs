use std::collections::HashSet;

use moka::policy::EvictionPolicy;

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
fn scan(name: &str) -> Vec<RangeKey> {
    (0..4 * CACHE / PIECE).map(|piece| key(name, piece * PIECE, PIECE)).collect()
}

/// What a trace runs against: a cache under test, or what it is compared with.
trait Trace {
    /// Reads every range and keeps what was not there; how many were there.
    async fn read(&self, ranges: &[RangeKey], cost: Cost) -> usize;
}

impl Trace for MemoryCache {
    async fn read(&self, ranges: &[RangeKey], cost: Cost) -> usize {
        let mut found = 0;
        for key in ranges {
            match self.get(key).await {
                Some(bytes) => found += usize::from(bytes.len() as u64 == key.bytes()),
                None => self.put(key.clone(), Bytes::from(vec![0; key.bytes() as usize]), cost),
            }
            self.ranges.run_pending_tasks();
        }
        found
    }
}

/// moka by itself.
struct Plain(Cache<RangeKey, Bytes>);

impl Plain {
    fn new(policy: EvictionPolicy) -> Self {
        let weigh = |_: &RangeKey, value: &Bytes| (value.len() + ENTRY_OVERHEAD_BYTES) as u32;
        Plain(Cache::builder().max_capacity(CACHE).weigher(weigh).eviction_policy(policy).build())
    }
}

impl Trace for Plain {
    async fn read(&self, ranges: &[RangeKey], _cost: Cost) -> usize {
        let mut found = 0;
        for key in ranges {
            match self.0.get(key) {
                Some(_) => found += 1,
                None => self.0.insert(key.clone(), Bytes::from(vec![0; key.bytes() as usize])),
            }
            self.0.run_pending_tasks();
        }
        found
    }
}

/// Of 100 footers in use: found before a scan over more than the cache, and after it.
async fn hot_set_and_scan(cache: &impl Trace) -> (usize, usize) {
    for _ in 0..3 {
        cache.read(&footers(), Cost::RoundTrip).await;
    }
    let before = cache.read(&footers(), Cost::RoundTrip).await;
    cache.read(&scan("big"), Cost::Transfer).await;
    (before, cache.read(&footers(), Cost::RoundTrip).await)
}

#[tokio::test]
async fn a_scan_does_not_push_out_hot_footers() {
    assert_eq!(hot_set_and_scan(&MemoryCache::new(CACHE)).await, (100, 100));
    assert_eq!(hot_set_and_scan(&Plain::new(EvictionPolicy::lru())).await, (100, 0));
    eprintln!("TinyLFU alone: {:?}", hot_set_and_scan(&Plain::new(EvictionPolicy::tiny_lfu())).await);
}

/// Of 100 footers read once after a scan filled the cache: found when they are read again.
async fn scan_then_footers(cache: &impl Trace) -> usize {
    cache.read(&scan("big"), Cost::Transfer).await;
    cache.read(&footers(), Cost::RoundTrip).await;
    cache.read(&footers(), Cost::RoundTrip).await
}

#[tokio::test]
async fn footers_are_kept_at_first_sight_after_a_scan() {
    assert_eq!(scan_then_footers(&MemoryCache::new(CACHE)).await, 100);
    eprintln!("TinyLFU alone: {}", scan_then_footers(&Plain::new(EvictionPolicy::tiny_lfu())).await);
    eprintln!("LRU: {}", scan_then_footers(&Plain::new(EvictionPolicy::lru())).await);
}

#[tokio::test]
async fn footers_that_came_once_give_way_to_no_scan_and_to_newer_footers() {
    let cache = MemoryCache::new(CACHE);
    let many: Vec<_> = (0..2_000).map(|extent| key(&format!("old/{extent}"), 0, FOOTER)).collect();
    cache.read(&many, Cost::RoundTrip).await;
    let held = cache.read(&many, Cost::RoundTrip).await;
    cache.read(&scan("big"), Cost::Transfer).await;
    eprintln!(
        "of 2000 footers in room for 500, found {held}, and after a scan {}",
        cache.read(&many, Cost::RoundTrip).await
    );
    for _ in 0..3 {
        cache.read(&footers(), Cost::RoundTrip).await;
    }
    let found = cache.read(&footers(), Cost::RoundTrip).await;
    assert!(found >= 90, "{found}");
}

#[tokio::test]
async fn a_scan_that_is_repeated_is_kept_at_second_sight() {
    let cache = MemoryCache::new(CACHE);
    let small: Vec<_> = scan("small").into_iter().take(24).collect();
    let mut found = Vec::new();
    for _ in 0..3 {
        found.push(cache.read(&small, Cost::Transfer).await);
    }
    assert!(found[1] >= 14 && found[2] >= 23, "half of the cache at first sight, the rest at second: {found:?}");
    let counts = cache.counts().remove(0);
    assert_eq!(counts.hits, found.iter().sum::<usize>() as u64);
    assert_eq!(counts.hits + counts.misses, 72);
    assert!(counts.rejected > 0 && counts.held_bytes.unwrap() <= CACHE);
}

#[tokio::test]
async fn stays_within_its_bytes() {
    let cache = MemoryCache::new(100_000);
    let ranges: HashSet<_> = (0..1_000_u64).map(|start| key("o", start, 1_000)).collect();
    for range in ranges {
        cache.put(range, Bytes::from(vec![7; 1_000]), Cost::RoundTrip);
    }
    assert!(cache.bytes() <= 100_000, "{}", cache.bytes());
    let counts = cache.counts().remove(0);
    assert!(counts.admitted == 1_000 && counts.evicted.unwrap() >= 900, "{counts:?}");
    let whole = key("o", 0, 50_000);
    cache.put(whole.clone(), Bytes::from(vec![7; 50_000]), Cost::RoundTrip);
    assert_eq!(cache.get(&whole).await, None);
    assert_eq!(cache.counts().remove(0).rejected, 1);
}
