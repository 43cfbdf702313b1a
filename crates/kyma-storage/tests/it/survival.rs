//! The disk cache never gets in the way: whatever happens to its folder, every byte read is the store's.

#![allow(clippy::disallowed_methods)] // These tests damage files on purpose.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kyma_storage::{BlockCache, Cost, DiskCache, RangeKey, Store, StoreSettings, TieredCache};
use url::Url;

use crate::cache::{CONTENT, MIB, read_all, store_with_disk};
use crate::{counters, extent, sample};

/// Objects of 1 MiB that are more than what is on its way to the disk, and less than the disk.
const OBJECTS: u64 = 32;

/// Files of the cache.
fn files(dir: &Path) -> Vec<PathBuf> {
    let files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "the cache has files");
    files
}

fn for_writing(file: &Path) -> File {
    OpenOptions::new().write(true).open(file).unwrap()
}

/// A store whose disk cache is in use: it has answered from disk.
async fn serving(dir: &Path) -> (Arc<Store>, Arc<TieredCache>) {
    let (store, cache) = store_with_disk(dir, OBJECTS).await;
    read_all(&store, OBJECTS).await;
    assert!(cache.counts()[1].hits > 0, "nothing came from disk: {:?}", cache.counts());
    (store, cache)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_deleted_while_serving() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = serving(dir.path()).await;
    std::fs::remove_dir_all(dir.path()).unwrap();
    read_all(&store, OBJECTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_truncated_while_serving() {
    for left in [0, 5 * MIB] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = serving(dir.path()).await;
        for file in files(dir.path()) {
            for_writing(&file).set_len(left).unwrap();
        }
        read_all(&store, OBJECTS).await;
    }
}

/// Flips bytes at random places, about one in 2 KiB, so that nearly every entry is hit.
fn damage(dir: &Path) {
    for file in files(dir) {
        let (length, file) = (std::fs::metadata(&file).unwrap().len(), for_writing(&file));
        for _ in 0..length / 2_048 {
            file.write_at(&[rand::random()], rand::random_range(0..length)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_flip_while_serving_and_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, cache) = serving(dir.path()).await;
    for _ in 0..3 {
        damage(dir.path());
        read_all(&store, OBJECTS).await;
    }
    drop((store, cache));
    damage(dir.path());
    let (store, _) = store_with_disk(dir.path(), OBJECTS).await;
    read_all(&store, OBJECTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_flip_while_many_read() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = serving(dir.path()).await;
    let folder = dir.path().to_owned();
    let damaging = tokio::task::spawn_blocking(move || (0..5).for_each(|_| damage(&folder)));
    let readers = (0..4).map(|_| read_all(&store, OBJECTS));
    futures::future::join_all(readers).await;
    damaging.await.unwrap();
}

/// Reads objects through a cache folder that may be of no use.
async fn read_through(cache_dir: &Path) {
    let mut settings = StoreSettings::new(Url::parse("memory:///").unwrap());
    settings.cache_dir = Some(cache_dir.to_owned());
    settings.cache_memory_bytes = 64 * 1024;
    let store = kyma_storage::open(&settings).await.unwrap();
    for object in 0..6 {
        store.put(&format!("o/{object}"), Bytes::from_static(&CONTENT)).await.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(60), read_all(&store, 6)).await.expect("nothing hangs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_made() {
    let file = tempfile::NamedTempFile::new().unwrap();
    read_through(&file.path().join("below-a-file")).await;
}

/// Who is root may write into a folder without write permission. So the names of the cache's files are taken by
/// folders, too, which nobody can write.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let made = tempfile::tempdir().unwrap();
    drop(DiskCache::open(made.path(), 64 * MIB).await.unwrap());
    for file in files(made.path()) {
        std::fs::create_dir(dir.path().join(file.file_name().unwrap())).unwrap();
    }
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    assert!(DiskCache::open(dir.path(), 64 * MIB).await.is_err());
    read_through(dir.path()).await;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Tells a child process which folder to use.
const FOLDER: &str = "KYMA_TEST_FULL_DISK";

/// Runs the test of this name in a child process, below `shell`, over the cache folder `dir`; whether it succeeded.
fn in_child(test: &str, shell: &[&str], dir: &Path) -> bool {
    let this = std::env::current_exe().unwrap();
    let child = Command::new(shell[0]).args(&shell[1..]).arg(this).args(["--exact", test]).env(FOLDER, dir).output();
    let Ok(output) = child else { return false };
    eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

/// A disk that takes no byte more. A limit on files' sizes makes each write fail, needs no privilege and bears on a
/// child process only; the kernel's answer is `EFBIG` and not `ENOSPC`, which is the same to whoever writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refuses_each_write() {
    if let Some(dir) = std::env::var_os(FOLDER).map(PathBuf::from) {
        assert!(std::fs::write(dir.join("probe"), "x").is_err(), "the limit is in force");
        return read_through(&dir).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings::new(Url::parse("memory:///").unwrap());
    drop(DiskCache::open(dir.path(), settings.cache_disk_bytes).await.unwrap());
    let limit = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
    assert!(in_child("survival::a_disk_that_refuses_each_write", &["sh", "-c", limit], dir.path()));
}

/// A file system of 1 MiB. It is mounted in a namespace of the child's own; where not even that is allowed, this test
/// says so and leaves the claim to [`a_disk_that_refuses_each_write`].
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full() {
    if let Some(dir) = std::env::var_os(FOLDER).map(PathBuf::from) {
        let error = std::fs::write(dir.join("probe"), sample(2 * MIB as usize)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        std::fs::remove_file(dir.join("probe")).unwrap();
        return read_through(&dir.join("cache")).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size=1m tmpfs \"${FOLDER}\"");
    let shell = |then: &str| ["unshare".into(), "-rm".into(), "sh".into(), "-c".into(), format!("{mount} && {then}")];
    let allowed = Command::new("unshare").args(&shell("true")[1..]).env(FOLDER, dir.path()).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("no file system can be mounted here, not even in a namespace: only refused writes are tested");
        return;
    }
    let shell = shell("exec \"$0\" \"$@\"");
    let shell: Vec<_> = shell.iter().map(String::as_str).collect();
    assert!(in_child("survival::a_disk_that_is_full", &shell, dir.path()));
}

fn key(at: u64) -> RangeKey {
    RangeKey { object: "o".into(), start: at * 100_000, end: (at + 1) * 100_000 }
}

#[tokio::test]
async fn a_disk_that_fails_is_left_alone_and_tried_again_later() {
    let dir = tempfile::tempdir().unwrap();
    {
        let disk = DiskCache::open(dir.path(), 64 * MIB).await.unwrap();
        for at in 0..40 {
            disk.put(key(at), Bytes::from(sample(100_000)), Cost::RoundTrip.into());
        }
        disk.close().await;
    }
    let disk = DiskCache::open(dir.path(), 64 * MIB).await.unwrap();
    let saved: Vec<_> = files(dir.path()).into_iter().map(|file| (std::fs::read(&file).unwrap(), file)).collect();
    let admits = || {
        let before = disk.counts()[0].admitted;
        disk.put(key(1_000), Bytes::from(sample(100_000)), Cost::RoundTrip.into());
        disk.counts()[0].admitted > before
    };
    assert_eq!(disk.get(&key(0)).await.unwrap(), sample(100_000));
    saved.iter().for_each(|(_, file)| for_writing(file).set_len(0).unwrap());
    for at in 1..17 {
        assert!(disk.counts()[0].rejected == 0 && disk.get(&key(at)).await.is_none());
    }
    assert!(!admits(), "16 failures in a row");
    saved.iter().for_each(|(bytes, file)| for_writing(file).write_all_at(bytes, 0).unwrap());
    assert_eq!(disk.get(&key(20)).await, None, "not even tried");

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    assert_eq!(disk.get(&key(21)).await.unwrap(), sample(100_000));
    assert!(admits());
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_were_read_before_a_folder_was_lost_are_read_after() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = serving(dir.path()).await;
    std::fs::rename(dir.path(), dir.path().with_extension("moved")).unwrap();
    let reader = store.reader(&extent("o/1", 0, MIB), counters());
    assert_eq!(reader.read(&[0..MIB]).await.unwrap()[0], CONTENT[..]);
    std::fs::remove_dir_all(dir.path().with_extension("moved")).unwrap();
}
