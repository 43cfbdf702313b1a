//! What a scan would read, estimated before it runs.
//!
//! For every extent that the scan would open:
//!
//! 1. its footer takes one request, unless it is open already;
//! 2. a filter may look into indexes: [`INDEX_READS`] reads (terms, paths);
//! 3. every block is read column by column: those of the filter's conditions, before each text among them the templates and
//!    the like that narrow it, and what comes out, texts of the filter once more. Thorough levels may keep dictionaries
//!    beside their blocks, which doubles these.
//!
//! A column takes as many requests as it has pieces that lie further apart than requests reach ([`REACH_BYTES`]): at
//! most one for each such stretch of the block, and at most [`PIECES`].
//!
//! With its footer open, an extent's bytes are those of the columns; otherwise they are all of its bytes, since the
//! catalog does not know the size of columns. Blocks that statistics or indexes exclude, rows that no filter passes,
//! tightening filters and caches make the truth smaller. A limit without a filter opens the extents that hold enough
//! rows by the catalog's count, and one more for each partition.

use std::sync::Arc;

use kyma_core::Type;
use kyma_core::explain::Estimate;
use kyma_core::extent::Extent;
use kyma_core::format::{ReadColumn, SegmentReader};
use kyma_core::profile::store_dollars;

use crate::scope::QueryScope;

/// Reads of an extent's indexes.
const INDEX_READS: u64 = 2;
/// Bytes that two ranges may lie apart and share a request.
const REACH_BYTES: u64 = 64 * 1024;
/// Pieces that a column of texts, or a dynamic one, is made of at most, as a rule; others are two (values, and a base).
const PIECES: u64 = 16;

/// What a scan reads of a block.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    /// The filter's columns, if it has a filter.
    pub tested: Option<Vec<ReadColumn>>,
    /// Those columns that come out and are not the filter's.
    pub rest: Vec<ReadColumn>,
}

impl Reads {
    fn all(&self) -> Vec<ReadColumn> {
        self.tested.iter().flatten().chain(&self.rest).cloned().collect()
    }

    /// Requests for one block of `block_bytes`.
    fn block_requests(&self, block_bytes: u64) -> u64 {
        let reach = 1 + block_bytes / REACH_BYTES;
        let read = |column: &ReadColumn| pieces(column).min(reach);
        let tested = self.tested.as_deref().unwrap_or_default();
        let texts = tested.iter().filter(|column| is_text(column)).map(read).sum::<u64>();
        let narrowed_and_again = 2 * texts;
        narrowed_and_again + tested.iter().chain(&self.rest).map(read).sum::<u64>()
    }

    fn extent_requests(&self, extent: &Extent, is_open: bool) -> u64 {
        let blocks = u64::from(extent.blocks);
        let block_bytes = extent.location.length.div_ceil(blocks.max(1));
        let thorough = if extent.level > 0 { 2 } else { 1 };
        let index = if self.tested.is_some() { INDEX_READS } else { 0 };
        u64::from(!is_open) + index + blocks * thorough * self.block_requests(block_bytes)
    }

    fn extent_bytes(&self, extent: &Extent, open: Option<&Arc<dyn SegmentReader>>) -> u64 {
        let Some(open) = open else { return extent.location.length };
        let columns = self.all();
        (0..extent.blocks).map(|block| open.read_bytes(block, &columns)).sum()
    }
}

fn is_text(column: &ReadColumn) -> bool {
    matches!(column.ty, Type::String | Type::Dynamic) || !column.source.path.is_empty()
}

fn pieces(column: &ReadColumn) -> u64 {
    if is_text(column) { PIECES } else { 2 }
}

/// What a scan of `extents`, in this order, would read.
pub async fn estimate(
    scope: &QueryScope,
    extents: &[Arc<Extent>],
    reads: &Reads,
    limit: Option<u64>,
    partitions: usize,
) -> Estimate {
    let most = match limit {
        Some(limit) if reads.tested.is_none() => holding(extents, limit) + partitions,
        _ => extents.len(),
    };
    let mut estimate = Estimate::default();
    for extent in extents.iter().take(most) {
        let open = scope.shared.footers.peek(extent.id).await;
        estimate.extents += 1;
        estimate.extents_known += u64::from(open.is_some());
        estimate.blocks += u64::from(extent.blocks);
        estimate.rows += extent.rows;
        estimate.bytes += reads.extent_bytes(extent, open.as_ref());
        estimate.requests += reads.extent_requests(extent, open.is_some());
    }
    estimate.dollars = store_dollars(estimate.requests, scope.shared.settings.dollars_per_million_gets);
    estimate
}

/// How many of the first extents hold so many rows.
pub(crate) fn holding<'a>(extents: impl IntoIterator<Item = &'a Arc<Extent>>, rows: u64) -> usize {
    let mut before = 0_u64;
    let needed = extents.into_iter().take_while(|extent| {
        let wanted = before < rows;
        before += extent.rows;
        wanted
    });
    needed.count()
}
