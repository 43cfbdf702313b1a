//! The disk cache speeds up and never gets in the way.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use kyma_storage::fault::FaultyStore;
use kyma_storage::object_store::memory::InMemory;
use kyma_storage::{BlockCache, DiskCache, MemoryCache, RangeKey, Store, StoreSettings, TieredCache};
use url::Url;

use crate::{counters, extent, sample};

const MIB: u64 = 1024 * 1024;

/// The content of every object here.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| sample(MIB as usize));

/// A store over memory whose cache is on disk, with `objects` objects of 1 MiB.
async fn store_with_disk(dir: &Path, objects: u64) -> Arc<Store> {
    let disk = DiskCache::open(dir, 64 * MIB).await.unwrap();
    let cache = TieredCache::new(MemoryCache::new(64 * 1024), disk);
    let store = Store::with_cache(Arc::new(InMemory::new()), Arc::new(cache));
    for object in 0..objects {
        store.put(&format!("o/{object}"), Bytes::from_static(&CONTENT)).await.unwrap();
    }
    store
}

/// Reads every object twice in small ranges and checks every byte.
async fn read_all(store: &Arc<Store>, objects: u64) {
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
        disk.put(key.clone(), Bytes::from(sample(100_000)));
        disk.close().await;
    }
    let disk = DiskCache::open(dir.path(), 64 * MIB).await.unwrap();
    assert_eq!(disk.get(&key).await.unwrap(), sample(100_000));
    let other = RangeKey { start: 1, ..key };
    assert_eq!(disk.get(&other).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_folder_that_is_deleted_while_in_use_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_with_disk(dir.path(), 4).await;
    read_all(&store, 4).await;
    std::fs::remove_dir_all(dir.path()).unwrap();
    read_all(&store, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_folder_that_cannot_be_made_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
    let mut settings = StoreSettings::new(Url::parse("memory:///").unwrap());
    settings.cache_dir = Some(file.path().join("below-a-file"));
    let store = kyma_storage::open(&settings).await.unwrap();
    store.put("a", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(store.reader(&extent("a", 0, 1), counters()).read(&[0..1]).await.unwrap()[0], b"x"[..]);
}

/// A tiny file system for the cache; unmounted when dropped.
struct TinyDisk(tempfile::TempDir);

impl TinyDisk {
    /// Mounts 1 MiB, where this process may mount at all.
    fn mount() -> Option<TinyDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| TinyDisk(dir))
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

/// A disk that is full. Where this process may not mount one, the smaller claim is tested, and said so: a folder that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_cache_changes_nothing() {
    let fallback = tempfile::tempdir().unwrap();
    let tiny = TinyDisk::mount();
    let dir = tiny.as_ref().map_or(fallback.path(), |tiny| tiny.0.path());
    let mut settings = StoreSettings::new(Url::parse("memory:///").unwrap());
    settings.cache_dir = Some(dir.join("cache"));
    settings.cache_memory_bytes = 64 * 1024;
    let store = kyma_storage::open(&settings).await.unwrap();
    for object in 0..6 {
        store.put(&format!("o/{object}"), Bytes::from_static(&CONTENT)).await.unwrap();
    }
    if tiny.is_none() {
        eprintln!("no tiny file system can be mounted here: testing a removed folder instead");
        std::fs::remove_dir_all(dir.join("cache")).unwrap();
    }
    tokio::time::timeout(Duration::from_secs(60), read_all(&store, 6)).await.expect("nothing hangs");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_of_a_churning_disk_cache_get_right_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_with_disk(dir.path(), 16).await;
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
