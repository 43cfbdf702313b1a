//! Range reads.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use kyma_core::Kind;
use kyma_storage::Store;
use kyma_storage::fault::{Call, Fault, FaultyStore};
use kyma_storage::object_store::memory::InMemory;
use proptest::prelude::*;

use crate::{counters, extent, sample};

#[tokio::test]
async fn near_ranges_share_a_request_and_come_from_the_cache_next_time() {
    let store = Store::from_object_store(Arc::new(InMemory::new()));
    let data = sample(1_000_000);
    store.put("x/one", Bytes::from(data.clone())).await.unwrap();
    let first = counters();
    let reader = store.reader(&extent("x/one", 100, 900_000), Arc::clone(&first));
    let ranges = [10..20, 700_000..700_100, 500..600, 10..20, 5..5];
    let read = reader.read(&ranges).await.unwrap();
    assert_eq!(read[0], data[110..120]);
    assert_eq!(read[1], data[700_100..700_200]);
    assert_eq!(read[2], data[600..700]);
    assert_eq!((read[3].len(), read[4].len()), (10, 0));
    assert_eq!(first.store_requests.load(Ordering::Relaxed), 2);

    let second = counters();
    store.reader(&extent("x/one", 100, 900_000), Arc::clone(&second)).read(&ranges).await.unwrap();
    assert_eq!(second.store_requests.load(Ordering::Relaxed), 0);
    assert_eq!(second.cache_hits.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_reader_that_is_not_polled_holds_up_nobody() {
    let (faulty, faults) = FaultyStore::new(Arc::new(InMemory::new()));
    let store = Store::with_deadlines(faulty, Duration::from_secs(2), Duration::from_millis(100));
    store.put("x/one", Bytes::from(sample(1_000))).await.unwrap();
    faults.set_latency(Duration::from_millis(10));
    let readers: Vec<_> = (0..2).map(|_| store.reader(&extent("x/one", 0, 1_000), counters())).collect();
    let ranges = [0..100];
    let mut paused = readers[0].read(&ranges);
    assert!(futures::poll!(&mut paused).is_pending());
    let read = tokio::time::timeout(Duration::from_secs(2), readers[1].read(&ranges)).await.expect("hangs");
    assert_eq!(read.unwrap()[0], sample(1_000)[..100]);
    assert_eq!(paused.await.unwrap()[0], sample(1_000)[..100]);
}

#[tokio::test]
async fn readers_of_one_range_share_its_request_and_survive_a_cancelled_one() {
    let (faulty, faults) = FaultyStore::new(Arc::new(InMemory::new()));
    let store = Store::from_object_store(faulty);
    store.put("x/one", Bytes::from(sample(1_000))).await.unwrap();
    faults.set_latency(Duration::from_millis(50));
    let readers: Vec<_> = (0..8).map(|_| store.reader(&extent("x/one", 0, 1_000), counters())).collect();
    let ranges = [0..100, 900..1_000];
    let reads = readers.iter().map(|reader| reader.read(&ranges));
    for read in futures::future::join_all(reads).await {
        assert_eq!(read.unwrap()[1], sample(1_000)[900..]);
    }
    assert_eq!(faults.gets(), 1);

    let other = [200..300];
    let cancelled = readers[0].read(&other);
    let (timed_out, answered) = tokio::join!(tokio::time::timeout(Duration::from_millis(10), cancelled), async {
        tokio::task::yield_now().await;
        readers[1].read(&other).await
    });
    assert!(timed_out.is_err());
    assert_eq!(answered.unwrap()[0], sample(1_000)[200..300]);
}

#[tokio::test]
async fn ranges_outside_and_missing_or_short_objects_are_told_apart() {
    let store =
        Store::with_deadlines(Arc::new(InMemory::new()), Duration::from_millis(200), Duration::from_millis(100));
    store.put("x/one", Bytes::from(sample(100))).await.unwrap();
    let kind = async |key: &str, offset, length, range: Range<u64>| {
        let error = store.reader(&extent(key, offset, length), counters()).read(&[range]).await.unwrap_err();
        (error.kind(), error.code())
    };
    assert_eq!(kind("x/one", 0, 100, 90..101).await.0, Kind::Corrupt);
    #[allow(clippy::reversed_empty_ranges)] // A format misled by a corrupt footer may ask for this.
    let reversed = 9..3;
    assert_eq!(kind("x/one", 0, 100, reversed).await.0, Kind::Corrupt);
    assert_eq!(kind("x/one", u64::MAX, 100, 9..10).await.0, Kind::Corrupt);
    assert_eq!(kind("x/one", 0, 200, 90..110).await.0, Kind::Corrupt, "the object ends within the range");
    assert_eq!(kind("x/one", 0, 200, 150..160).await.0, Kind::Corrupt, "the object ends before the range");
    assert_eq!(kind("x/two", 0, 100, 0..10).await, (Kind::Unavailable, "store.object_missing"));
}

#[tokio::test]
async fn a_failed_fetch_leaves_nothing_behind() {
    let (faulty, faults) = FaultyStore::new(Arc::new(InMemory::new()));
    let store = Store::with_deadlines(faulty, Duration::from_millis(300), Duration::from_millis(100));
    store.put("x/one", Bytes::from(sample(100))).await.unwrap();
    let reader = store.reader(&extent("x/one", 0, 100), counters());
    faults.set_down(true);
    assert_eq!(reader.read(&[0..10]).await.unwrap_err().code(), "store.unavailable");
    faults.set_down(false);
    faults.plan(Call::Get, Fault::Error);
    assert_eq!(reader.read(&[0..10]).await.unwrap()[0], sample(100)[..10], "retried");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_ranges_read_what_is_there(ranges in proptest::collection::vec((0_u64..300_000, 0_u64..90_000), 0..20), offset in 0_u64..50) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let data = sample(400_000);
            let store = Store::from_object_store(Arc::new(InMemory::new()));
            store.put("x", Bytes::from(data.clone())).await.unwrap();
            let ranges: Vec<_> = ranges.iter().map(|(start, length)| *start..start + length).collect();
            let reader = store.reader(&extent("x", offset, 390_000), counters());
            for _ in 0..2 {
                let read = reader.read(&ranges).await.unwrap();
                for (bytes, range) in read.iter().zip(&ranges) {
                    assert_eq!(bytes[..], data[(offset + range.start) as usize..(offset + range.end) as usize]);
                }
            }
        });
    }
}
