//! A folder as an object store, with puts that survive a power cut.
//!
//! `object_store` writes a staged file and renames it, which is atomic but not durable. After each put, in order: the
//! object's file is synced, then the folders above it up to the root. Only then does the put succeed.
//!
//! A put that finds its object there already may be the second attempt of a put that was given up before it was synced.
//! Therefore it syncs, too, before it says so: whoever then finds its own bytes may count on them. An object whose
//! sync failed is written anew by the next attempt, because a kernel that reported lost pages once takes
//! them for clean and lets the next sync succeed.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

/// The durable folder.
#[derive(Debug)]
pub(crate) struct DurableFolder {
    inner: LocalFileSystem,
    root: PathBuf,
    /// Objects whose sync failed and was not repeated over new bytes.
    unsynced: Arc<Mutex<HashSet<Path>>>,
    sync: fn(&FilePath, &FilePath) -> io::Result<()>,
}

impl DurableFolder {
    /// Opens `root`, creating it if need be.
    pub(crate) fn open(root: &FilePath) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let root = std::fs::canonicalize(root)?;
        let inner = LocalFileSystem::new_with_prefix(&root).map_err(io::Error::other)?;
        Ok(DurableFolder { inner, root, unsynced: Arc::default(), sync: sync_up_to })
    }

    async fn sync(&self, location: &Path) -> Result<()> {
        let (file, root) = (self.inner.path_to_filesystem(location)?, self.root.clone());
        let (sync, unsynced, location) = (self.sync, Arc::clone(&self.unsynced), location.clone());
        // The note is made by the task itself: the caller may be gone when the sync fails.
        let task = move || match sync(&file, &root) {
            Ok(()) => Ok(()),
            Err(error) => {
                unsynced.lock().insert(location);
                Err(error)
            }
        };
        let synced = tokio::task::spawn_blocking(task).await?;
        synced.map_err(|source| Error::Generic { store: "local", source: Box::new(source) })
    }
}

fn sync_up_to(file: &FilePath, root: &FilePath) -> io::Result<()> {
    for path in file.ancestors() {
        File::open(path)?.sync_all()?;
        if path == root {
            break;
        }
    }
    Ok(())
}

impl fmt::Display for DurableFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableFolder({})", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for DurableFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let anew = self.unsynced.lock().contains(location);
        let options = if anew { PutOptions { mode: PutMode::Overwrite, ..options } } else { options };
        let result = self.inner.put_opts(location, payload, options).await;
        if matches!(result, Ok(_) | Err(Error::AlreadyExists { .. })) {
            self.sync(location).await?;
        }
        if anew && result.is_ok() {
            self.unsynced.lock().remove(location);
        }
        result
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::Store;

    fn store(sync: fn(&FilePath, &FilePath) -> io::Result<()>) -> (tempfile::TempDir, Arc<Store>) {
        let folder = tempfile::tempdir().unwrap();
        let durable = DurableFolder { sync, ..DurableFolder::open(folder.path()).unwrap() };
        let (total, attempt) = (Duration::from_secs(5), Duration::from_millis(200));
        (folder, Store::with_deadlines(Arc::new(durable), total, attempt))
    }

    #[tokio::test]
    async fn a_put_whose_sync_failed_is_written_anew() {
        static SYNCS: AtomicU32 = AtomicU32::new(0);
        static INODES: Mutex<Vec<u64>> = Mutex::new(Vec::new());
        fn first_fails(file: &FilePath, root: &FilePath) -> io::Result<()> {
            use std::os::unix::fs::MetadataExt;
            INODES.lock().push(std::fs::metadata(file)?.ino());
            if SYNCS.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err(io::Error::other("the disk lost a page"));
            }
            sync_up_to(file, root)
        }
        let (_folder, store) = store(first_fails);
        store.put("a/b.kyma", Bytes::from_static(b"rows")).await.unwrap();
        let inodes = INODES.lock().clone();
        assert!(inodes.len() == 2 && inodes[0] != inodes[1], "a new file: {inodes:?}");
    }

    #[tokio::test]
    async fn a_put_that_was_given_up_is_synced_before_it_counts() {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        static ENDED: AtomicU32 = AtomicU32::new(0);
        #[allow(clippy::disallowed_methods)] // It stands for a slow disk, on a blocking thread.
        fn first_is_slow(file: &FilePath, root: &FilePath) -> io::Result<()> {
            if STARTED.fetch_add(1, Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_secs(2));
            }
            sync_up_to(file, root)?;
            ENDED.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        let (_folder, store) = store(first_is_slow);
        store.put("a/b.kyma", Bytes::from_static(b"rows")).await.unwrap();
        assert!(ENDED.load(Ordering::SeqCst) >= 1, "no sync had ended");
        assert_eq!(
            store.put("a/b.kyma", Bytes::from_static(b"other")).await.unwrap_err().code(),
            "store.object_exists"
        );
    }
}
