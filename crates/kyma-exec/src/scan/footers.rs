//! Open extents, kept by the bytes they hold. A footer never changes, so nothing is ever invalidated.

use std::sync::Arc;

use kyma_core::extent::Extent;
use kyma_core::format::{OpenOptions, RangeReader, SegmentReader};
use kyma_core::ids::ExtentId;
use kyma_core::{Error, Kind, Result};

use crate::scan::facts::ExtentFacts;
use crate::scan::io::IoReader;
use crate::scope::QueryScope;

/// The cache of open extents. Concurrent opens of one extent read its footer once.
#[derive(Debug, Clone)]
pub struct Footers {
    cache: moka::future::Cache<ExtentId, Arc<dyn SegmentReader>>,
}

/// An open extent with the way to its bytes.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its footer.
    pub reader: Arc<dyn SegmentReader>,
    /// Its bytes.
    pub source: Arc<dyn RangeReader>,
    /// What the catalog knows of it.
    pub facts: ExtentFacts,
}

impl Footers {
    /// A cache of at most `bytes`.
    pub fn new(bytes: u64) -> Self {
        let weigh = |_: &ExtentId, reader: &Arc<dyn SegmentReader>| -> u32 {
            u32::try_from(reader.memory_bytes()).unwrap_or(u32::MAX).max(1)
        };
        Footers { cache: moka::future::Cache::builder().max_capacity(bytes).weigher(weigh).build() }
    }

    /// The extent, opened.
    pub async fn open(&self, scope: &QueryScope, extent: &Extent) -> Result<Opened> {
        let warmth = scope.snapshot.warmth(extent, scope.now);
        let inner = scope.shared.store.reader_of(&extent.location, Arc::clone(&scope.counters), warmth);
        let source: Arc<dyn RangeReader> =
            Arc::new(IoReader { inner, runtime: scope.io.clone(), counters: Arc::clone(&scope.counters) });
        let format = scope.shared.formats.get(&extent.format)?;
        let options = OpenOptions::of(extent);
        let opening = async {
            match format.open(Arc::clone(&source), &options).await {
                // A bit may have flipped on the way here, and be kept: the store is asked once more.
                Err(error) if error.kind() == Kind::Corrupt => {
                    source.distrust();
                    format.open(Arc::clone(&source), &options).await
                }
                opened => opened,
            }
        };
        let opened = scope.scan_times.footer.compute(self.cache.try_get_with(extent.id, opening)).await;
        let reader = opened.map_err(shared_error)?;
        Ok(Opened { reader, source, facts: ExtentFacts::of(extent) })
    }

    /// Bytes that the cached footers hold, about.
    pub fn held_bytes(&self) -> u64 {
        self.cache.weighted_size()
    }

    /// The open extent, if it is at hand.
    pub async fn peek(&self, extent: ExtentId) -> Option<Arc<dyn SegmentReader>> {
        self.cache.get(&extent).await
    }
}

/// The error of a read that several queries waited for.
pub(crate) fn shared_error(error: Arc<Error>) -> Error {
    Error::new(error.kind(), error.code(), error.message()).because(error)
}
