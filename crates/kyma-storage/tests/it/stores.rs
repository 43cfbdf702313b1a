//! The same calls on a memory and a folder store.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use kyma_core::Kind;
use kyma_storage::{Store, StoreSettings, StoredObject};
use url::Url;

use crate::{counters, extent, sample};

async fn exercise(store: &Arc<Store>) {
    store.ping().await.unwrap();
    for key in ["extents/1/a.kyma", "extents/1/b.kyma", "extents/10/c.kyma"] {
        store.put(key, Bytes::from(sample(1_000))).await.unwrap();
    }
    assert_eq!(store.put("extents/1/a.kyma", Bytes::new()).await.unwrap_err().kind(), Kind::Conflict);
    let mut listed: Vec<StoredObject> = store.list("extents/1").try_collect().await.unwrap();
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    let keys: Vec<_> = listed.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["extents/1/a.kyma", "extents/1/b.kyma"]);
    assert_eq!(listed[0].bytes, 1_000);
    assert!(listed[0].modified_nanos > 1_600_000_000_000_000_000);

    let read = store.reader(&extent("extents/1/a.kyma", 500, 500), counters()).read(&[0..10, 490..500]).await.unwrap();
    assert_eq!((&read[0][..], &read[1][..]), (&sample(1_000)[500..510], &sample(1_000)[990..]));

    assert!(store.exists("extents/1/a.kyma").await.unwrap());
    store.delete("extents/1/a.kyma").await.unwrap();
    store.delete("extents/1/a.kyma").await.unwrap();
    assert!(!store.exists("extents/1/a.kyma").await.unwrap());
    for bad in ["../a", "/etc/passwd", "a//b", "extents/../../x"] {
        assert_eq!(store.put(bad, Bytes::new()).await.unwrap_err().code(), "store.key_invalid");
        assert_eq!(store.delete(bad).await.unwrap_err().code(), "store.key_invalid");
    }
}

#[tokio::test]
async fn memory() {
    let settings = StoreSettings::new(Url::parse("memory:///").unwrap());
    exercise(&kyma_storage::open(&settings).await.unwrap()).await;
}

#[tokio::test]
async fn folder() {
    let folder = tempfile::tempdir().unwrap();
    let url = Url::from_file_path(folder.path().join("new folder/objects")).unwrap();
    let settings = StoreSettings::new(url);
    exercise(&kyma_storage::open(&settings).await.unwrap()).await;
    let again = kyma_storage::open(&settings).await.unwrap();
    assert!(again.exists("extents/10/c.kyma").await.unwrap(), "a second start finds the objects");
}

#[tokio::test(flavor = "multi_thread")]
async fn s3() {
    let s3 = kyma_testkit::s3::server().await;
    let mut settings = StoreSettings::new(s3.url.clone());
    settings.options = s3.options.clone();
    settings.request_timeout = std::time::Duration::from_secs(2);
    let store = kyma_storage::open(&settings).await.unwrap();
    exercise(&store).await;
    let puts = (0..8).map(|at| store.put("race", Bytes::from(vec![at; 10])));
    let won = futures::future::join_all(puts).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1, "one of racing puts");
    drop(s3);
    let started = std::time::Instant::now();
    assert_eq!(store.put("after", Bytes::new()).await.unwrap_err().code(), "store.unavailable");
    assert_eq!(store.ping().await.unwrap_err().kind(), Kind::Unavailable);
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
}

#[tokio::test]
async fn urls_that_are_not_understood() {
    for bad in ["ftp://x/y", "s3://", "nonsense:///"] {
        let settings = StoreSettings::new(Url::parse(bad).unwrap());
        let error = kyma_storage::open(&settings).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "store.url_invalid"), "{bad}");
        assert!(error.hint_text().is_some());
    }
    let mut settings = StoreSettings::new(Url::parse("s3://bucket/prefix").unwrap());
    settings.options.insert("no_such_option".into(), "1".into());
    assert_eq!(kyma_storage::open(&settings).await.unwrap_err().code(), "store.url_invalid");
}

#[test]
fn settings_have_defaults() {
    let settings: StoreSettings = serde_json::from_str(r#"{"url":"s3://bucket/prefix"}"#).unwrap();
    assert_eq!(settings, StoreSettings::new(Url::parse("s3://bucket/prefix").unwrap()));
}
