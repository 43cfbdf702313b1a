//! A real store over the wire, with a proxy between that breaks what passes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use kyma_core::Kind;
use kyma_storage::object_store::ObjectStoreExt;
use kyma_storage::{Store, StoreSettings};
use kyma_testkit::proxy::s3::{Fault, Rule, S3Proxy};
use kyma_testkit::s3::TestS3;
use reqwest::Method;

use crate::{counters, extent, sample};

struct World {
    s3: TestS3,
    proxy: S3Proxy,
    store: Arc<Store>,
}

impl World {
    async fn new(request_millis: u64) -> World {
        let s3 = kyma_testkit::s3::server().await;
        let proxy = S3Proxy::before(&s3, 7).await;
        let mut settings = StoreSettings::new(s3.url.clone());
        settings.options = proxy.options().clone();
        settings.request_timeout = Duration::from_millis(request_millis);
        settings.attempt_timeout = Duration::from_millis(400);
        settings.attempts_max = 100;
        settings.hedge_percent_max = 0;
        settings.cache_memory_bytes = 0;
        let store = kyma_storage::open(&settings).await.unwrap();
        World { s3, proxy, store }
    }

    /// What the server really has under a key.
    async fn stored(&self, key: &str) -> Bytes {
        self.s3.object_store().get(&key.into()).await.unwrap().bytes().await.unwrap()
    }

    async fn read(&self, key: &str, range: std::ops::Range<u64>) -> kyma_core::Result<Bytes> {
        let reader = self.store.reader(&extent(key, 0, 10_000), counters());
        Ok(reader.read(&[range]).await?.remove(0))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_succeeds_is_there_byte_for_byte() {
    let world = World::new(60_000).await;
    let faults = [
        Fault::Status(500),
        Fault::Status(503),
        Fault::SlowDown(0),
        Fault::Hang,
        Fault::Refuse,
        Fault::LoseAnswer,
        Fault::Swallow,
        Fault::FlipRequest,
    ];
    for (at, fault) in faults.into_iter().enumerate() {
        world.proxy.set(&[Rule::new(&[Method::PUT], fault).percent(60)]);
        let keys: Vec<String> = (0..6).map(|number| format!("extents/{at}/{number}")).collect();
        let puts = keys.iter().map(|key| world.store.put(key, Bytes::from(sample(10_000))));
        for result in join_all(puts).await {
            result.unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
        }
        world.proxy.heal();
        for key in &keys {
            assert_eq!(world.stored(key).await, sample(10_000), "{fault:?} {key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_cannot_succeed_says_so_and_recovers() {
    let world = World::new(600).await;
    for fault in [Fault::Status(500), Fault::Hang, Fault::Refuse, Fault::Swallow, Fault::FlipRequest] {
        world.proxy.set(&[Rule::new(&[Method::PUT], fault)]);
        let key = format!("extents/{fault:?}").to_lowercase().replace(['(', ')'], "-");
        let error = world.store.put(&key, Bytes::from(sample(100))).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "store.unavailable"), "{fault:?}: {error:?}");
        world.proxy.heal();
        world.store.put(&format!("{key}-again"), Bytes::from(sample(100))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_right_or_says_that_it_cannot_be() {
    let world = World::new(60_000).await;
    world.store.put("extents/a", Bytes::from(sample(10_000))).await.unwrap();
    let want = Bytes::from(sample(10_000)).slice(1_000..3_000);
    for fault in [
        Fault::Status(500),
        Fault::SlowDown(0),
        Fault::Hang,
        Fault::Refuse,
        Fault::LoseAnswer,
        Fault::Truncate,
        Fault::Shorten,
        Fault::Relabel,
        Fault::Slow(Duration::from_millis(20)),
    ] {
        world.proxy.set(&[Rule::new(&[Method::GET], fault).percent(50)]);
        for result in join_all((0..6).map(|_| world.read("extents/a", 1_000..3_000))).await {
            assert_eq!(result.unwrap_or_else(|error| panic!("{fault:?}: {error:?}")), want, "{fault:?}");
        }
    }
    world.proxy.set(&[Rule::new(&[Method::GET], Fault::Shorten).times(8)]);
    assert_eq!(world.read("extents/a", 1_000..3_000).await.unwrap(), want, "eight short answers in a row");
    world.proxy.set(&[Rule::new(&[Method::GET], Fault::NotFound)]);
    let error = world.read("extents/a", 0..10).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "store.object_missing"));
    assert!(error.hint_text().is_some());

    let quick = World::new(600).await;
    quick.store.put("extents/a", Bytes::from(sample(10_000))).await.unwrap();
    for fault in [Fault::Status(503), Fault::Hang, Fault::Truncate, Fault::Shorten, Fault::Relabel] {
        quick.proxy.set(&[Rule::new(&[Method::GET], fault)]);
        let error = quick.read("extents/a", 1_000..3_000).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "store.unavailable"), "{fault:?}: {error:?}");
        quick.proxy.heal();
        assert_eq!(quick.read("extents/a", 1_000..3_000).await.unwrap(), want, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_not_hammered() {
    let world = World::new(2_000).await;
    world.store.put("extents/a", Bytes::from(sample(10_000))).await.unwrap();
    world.proxy.set(&[Rule::new(&[], Fault::Status(503))]);
    let before = world.proxy.arrivals().len();
    let reads = (0..300).map(|at| world.read("extents/a", at..at + 100));
    assert!(join_all(reads).await.iter().all(Result::is_err));
    let requests = world.proxy.arrivals().len() - before;
    // 300 first attempts, 128 retries at once, 16 a second, and the look at the object's size of each failed read.
    assert!(requests < 300 + 300 + 128 + 16 * 10, "{requests} requests");
    world.proxy.heal();
    assert_eq!(world.read("extents/a", 0..10).await.unwrap(), sample(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_asks_for_peace_gets_it() {
    let world = World::new(10_000).await;
    world.store.put("extents/a", Bytes::from(sample(10_000))).await.unwrap();
    let before = world.proxy.arrivals().len();
    world.proxy.set(&[Rule::new(&[Method::GET], Fault::SlowDown(1)).times(1)]);
    assert_eq!(world.read("extents/a", 0..10).await.unwrap(), sample(10));
    let arrivals = world.proxy.arrivals().split_off(before);
    assert_eq!(arrivals.len(), 2);
    assert!(arrivals[1] - arrivals[0] >= Duration::from_secs(1), "{arrivals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_wrong_is_not_kept() {
    let s3 = kyma_testkit::s3::server().await;
    let proxy = S3Proxy::before(&s3, 7).await;
    let mut settings = StoreSettings::new(s3.url.clone());
    settings.options = proxy.options().clone();
    let store = kyma_storage::open(&settings).await.unwrap();
    store.put("extents/a", Bytes::from(sample(100))).await.unwrap();
    proxy.set(&[Rule::new(&[Method::GET], Fault::FlipAnswer).times(1)]);
    let reader = store.reader(&extent("extents/a", 0, 100), counters());
    let read = || async { reader.read(&[0..100]).await.unwrap().remove(0) };
    assert_ne!(read().await, sample(100), "nothing here knows the right bytes");
    assert_ne!(read().await, sample(100), "it is kept");
    reader.distrust();
    assert_eq!(read().await, sample(100), "until somebody who knows says so");
    assert_eq!(read().await, sample(100));
}
