//! A folder as an object store, with puts that survive a power cut.
//!
//! `object_store` writes a staged file and renames it, which is atomic but not durable. After each put, in order: the
//! object's file is synced, then the folders above it up to the root. Only then does the put succeed.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// The durable folder.
#[derive(Debug)]
pub(crate) struct DurableFolder {
    inner: LocalFileSystem,
    root: PathBuf,
}

impl DurableFolder {
    /// Opens `root`, creating it if need be.
    pub(crate) fn open(root: &FilePath) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let root = std::fs::canonicalize(root)?;
        let inner = LocalFileSystem::new_with_prefix(&root).map_err(io::Error::other)?;
        Ok(DurableFolder { inner, root })
    }

    async fn sync(&self, location: &Path) -> Result<()> {
        let (file, root) = (self.inner.path_to_filesystem(location)?, self.root.clone());
        let synced = tokio::task::spawn_blocking(move || sync_up_to(&file, &root)).await?;
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
        let result = self.inner.put_opts(location, payload, options).await?;
        self.sync(location).await?;
        Ok(result)
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
