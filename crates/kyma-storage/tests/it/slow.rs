//! Slow stores: hedged requests, the bound of what is in flight, and reads that are dropped. All in paused time: what
//! takes seconds here takes none.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use kyma_core::format::RangeReader;
use kyma_core::profile::IoCounters;
use kyma_storage::fault::{Call, Fault, Faults, FaultyStore};
use kyma_storage::object_store::memory::InMemory;
use kyma_storage::{Store, StoreSettings};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::{counters, extent, sample};

/// The content of the object that is read here.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| sample(10_000_000));
/// Distance of ranges that share no request.
const APART: u64 = 100_000;
/// What a GET usually takes here, and what a slow one does.
const USUAL: Duration = Duration::from_millis(10);
const SLOW: Duration = Duration::from_millis(500);

fn settings() -> StoreSettings {
    let url = Url::parse("memory:///").unwrap();
    StoreSettings { cache_memory_bytes: 0, hedge_after: Duration::from_millis(20), ..StoreSettings::new(url) }
}

/// A store of one object `x`, and its switches.
async fn slow_store(settings: &StoreSettings) -> (Arc<Store>, Faults) {
    let (faulty, faults) = FaultyStore::new(Arc::new(InMemory::new()));
    let store = Store::decorate(faulty, settings);
    store.put("x", Bytes::from_static(&CONTENT)).await.unwrap();
    faults.set_latency(USUAL);
    (store, faults)
}

fn reader(store: &Arc<Store>, counters: &Arc<IoCounters>) -> Arc<dyn RangeReader> {
    store.reader(&extent("x", 0, 10_000_000), Arc::clone(counters))
}

/// Reads the `at`th range, checks it, and tells how long it took.
async fn read(reader: &Arc<dyn RangeReader>, at: u64) -> Duration {
    let (started, start) = (Instant::now(), at % 100 * APART);
    let read = reader.read(&[start..start + 100]).await.unwrap();
    assert_eq!(read[0], CONTENT[start as usize..start as usize + 100]);
    started.elapsed()
}

/// The value of a metric.
fn metric(store: &Store, name: &str) -> u64 {
    let (mut registry, mut text) = (Registry::default(), String::new());
    store.register(&mut registry);
    encode(&mut text, &registry).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_slow_get_is_asked_a_second_time_and_the_first_is_dropped() {
    let (store, faults) = slow_store(&settings()).await;
    let counters = counters();
    let reader = reader(&store, &counters);
    for at in 0..50 {
        assert!(read(&reader, at).await < 2 * USUAL);
    }
    faults.plan(Call::Get, Fault::Hang);
    let took = read(&reader, 50).await;
    assert!(took >= Duration::from_millis(30) && took < Duration::from_millis(40), "20 ms, then a GET: {took:?}");
    assert_eq!(faults.gets_in_flight(), 0, "the one that hangs was dropped");
    assert_eq!(counters.store_requests.load(Ordering::Relaxed), 52);
    assert_eq!(counters.store_hedged_requests.load(Ordering::Relaxed), 1);
    assert_eq!(metric(&store, "kyma_store_hedged_requests_total"), 1);
    assert_eq!(metric(&store, "kyma_store_hedges_won_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_wins_even_when_it_is_the_first_request_s() {
    let (store, faults) = slow_store(&settings()).await;
    let counters = counters();
    let reader = reader(&store, &counters);
    for at in 0..50 {
        read(&reader, at).await;
    }
    faults.plan(Call::Get, Fault::Delay(Duration::from_millis(15)));
    faults.plan(Call::Get, Fault::Error);
    let took = read(&reader, 50).await;
    assert!(took < Duration::from_millis(30), "{took:?}");
    faults.plan(Call::Get, Fault::Delay(SLOW));
    faults.plan(Call::Get, Fault::Error);
    let took = read(&reader, 51).await;
    assert!(took >= SLOW, "a second request that fails does not end the first: {took:?}");
    assert_eq!(counters.store_hedged_requests.load(Ordering::Relaxed), 2);
    assert_eq!(metric(&store, "kyma_store_hedges_won_total"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_as_a_whole_is_asked_at_most_a_twentieth_more() {
    let (store, faults) = slow_store(&settings()).await;
    let counters = counters();
    let reader = reader(&store, &counters);
    for at in 0..100 {
        read(&reader, at).await;
    }
    faults.set_latency(SLOW);
    for at in 0..400 {
        read(&reader, at).await;
    }
    let hedged = counters.store_hedged_requests.load(Ordering::Relaxed);
    assert!((1..=25).contains(&hedged), "{hedged}");
    assert_eq!(faults.gets(), 500 + hedged);
    let before = hedged;
    for at in 0..400 {
        read(&reader, at).await;
    }
    let hedged = counters.store_hedged_requests.load(Ordering::Relaxed);
    assert_eq!(hedged, before, "slow is usual now");
}

/// The times of 5,000 GETs, one in fifty of them slow, in order; and how many requests that took.
async fn tail(hedge_percent_max: u32) -> (Vec<Duration>, u64) {
    let (store, faults) = slow_store(&StoreSettings { hedge_percent_max, ..settings() }).await;
    faults.set_tail(50, SLOW);
    let counters = counters();
    let reader = reader(&store, &counters);
    let mut times = Vec::new();
    for at in 0..5_000 {
        times.push(read(&reader, at).await);
    }
    times.sort();
    (times, faults.gets())
}

#[tokio::test(start_paused = true)]
async fn hedges_cut_the_tail_for_few_requests() {
    let (plain, requests) = tail(0).await;
    assert!(plain[4_950] >= SLOW, "{:?}", plain[4_950]);
    assert_eq!(requests, 5_000, "none when it is off");
    let (hedged, requests) = tail(5).await;
    assert!(hedged[4_950] <= Duration::from_millis(40), "{:?}", hedged[4_950]);
    assert!(requests <= 5_000 * 105 / 100, "{requests}");
    eprintln!(
        "p99 without {:?}, with {:?}; p99.9 with {:?}; requests {requests}",
        plain[4_950], hedged[4_950], hedged[4_995]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_bounded_over_all_queries() {
    let limits = StoreSettings { requests_in_flight_max: 4, hedge_percent_max: 0, ..settings() };
    let (store, faults) = slow_store(&limits).await;
    let queries: Vec<_> = (0..5).map(|_| reader(&store, &counters())).collect();
    let ranges: Vec<_> = (0..20).map(|at| at * APART..at * APART + 100).collect();
    let reads = queries.iter().map(|query| query.read(&ranges));
    assert!(futures::future::join_all(reads).await.iter().all(Result::is_ok));
    assert_eq!(faults.gets_in_flight_max(), 4);

    let (store, faults) = slow_store(&StoreSettings { bytes_in_flight_max: 350, ..settings() }).await;
    reader(&store, &counters()).read(&ranges).await.unwrap();
    assert_eq!(faults.gets_in_flight_max(), 3, "of 100 bytes each");
    reader(&store, &counters()).read(&[0..1_000_000]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_huge_scan_does_not_starve_a_small_query() {
    let (store, _) = slow_store(&StoreSettings { requests_in_flight_max: 4, ..settings() }).await;
    let scan = counters();
    let partitions: Vec<_> = (0..16).map(|_| reader(&store, &scan)).collect();
    let scanning = partitions.iter().enumerate().map(|(partition, reader)| async move {
        for at in 0..20 {
            let start = (partition as u64 * 20 + at) * 25_000;
            reader.read(&[start..start + 20_000]).await.unwrap();
        }
    });
    let small = async {
        let small = counters();
        tokio::time::sleep(5 * USUAL).await;
        read(&reader(&store, &small), 0).await;
        scan.store_requests.load(Ordering::Relaxed)
    };
    let (_, requests) = tokio::join!(futures::future::join_all(scanning), small);
    assert_eq!(scan.store_requests.load(Ordering::Relaxed), 320);
    assert!(requests <= 4 * 8, "the small query was answered after {requests} of the scan's requests");
}

#[tokio::test(start_paused = true)]
async fn a_small_query_does_not_wait_for_the_place_of_its_range_in_the_line_of_another() {
    let (store, faults) = slow_store(&StoreSettings { requests_in_flight_max: 1, ..settings() }).await;
    let ranges: Vec<_> = (0..90).map(|at| at * APART..at * APART + 100).collect();
    let scan = reader(&store, &counters());
    let small = async {
        tokio::time::sleep(USUAL / 2).await;
        read(&reader(&store, &counters()), 89).await;
        faults.gets()
    };
    let (scanned, gets) = tokio::join!(scan.read(&ranges), small);
    assert!(scanned.is_ok());
    assert!(gets <= 3, "the small query was answered after {gets} requests");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_not_polled_keeps_no_place() {
    let (store, faults) = slow_store(&StoreSettings { requests_in_flight_max: 1, ..settings() }).await;
    let stalled = reader(&store, &counters());
    let ranges: Vec<_> = (0..20).map(|at| at * APART..at * APART + 100).collect();
    let mut stalled = stalled.read(&ranges);
    assert!(futures::poll!(&mut stalled).is_pending());
    let other = reader(&store, &counters());
    for at in [3, 50, 60, 70] {
        timeout(20 * USUAL, read(&other, at)).await.expect("hangs");
    }
    tokio::time::sleep(SLOW).await;
    assert_eq!(faults.gets_in_flight(), 0);
    assert!(stalled.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_dropped_drops_its_gets_and_its_place() {
    let (store, faults) = slow_store(&StoreSettings { requests_in_flight_max: 2, ..settings() }).await;
    let reader = reader(&store, &counters());
    faults.set_hang(true);
    let ranges: Vec<_> = (0..6).map(|at| at * APART..at * APART + 100).collect();
    assert!(timeout(SLOW, reader.read(&ranges)).await.is_err());
    tokio::task::yield_now().await;
    assert_eq!((faults.gets_in_flight(), faults.gets()), (0, 2));
    assert_eq!(metric(&store, "kyma_store_get_in_flight_requests"), 0);
    assert_eq!(metric(&store, "kyma_store_get_in_flight_bytes"), 0);
    faults.set_hang(false);
    assert!(read(&reader, 7).await < 2 * USUAL);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_takes_what_comes_first() {
    let (store, faults) = slow_store(&StoreSettings { hedge_percent_max: 0, ..settings() }).await;
    let (first, second) = (counters(), counters());
    // Slower than an attempt may be: the waiter asks by itself, but the first is retried and comes earlier.
    faults.plan(Call::Get, Fault::Hang);
    faults.plan(Call::Get, Fault::Delay(Duration::from_secs(5)));
    faults.plan(Call::Get, Fault::Delay(Duration::from_secs(1)));
    let readers = (reader(&store, &first), reader(&store, &second));
    tokio::join!(read(&readers.0, 1), read(&readers.1, 1));
    assert_eq!(first.store_bytes.load(Ordering::Relaxed) + second.store_bytes.load(Ordering::Relaxed), 100);
    assert_eq!(faults.gets_in_flight(), 0);
    assert_eq!(metric(&store, "kyma_store_shared_reads_total"), 1);
}

#[tokio::test]
async fn requests_in_dollars() {
    let settings = StoreSettings { price_put_per_million: 10.0, ..settings() };
    let store = Store::decorate(Arc::new(InMemory::new()), &settings);
    assert_eq!(store.dollars(1_000_000, 100_000), 0.4 + 1.0);
}
