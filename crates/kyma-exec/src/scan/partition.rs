//! One partition of a scan: takes extents from the shared queue and gives batches.
//!
//! The number of blocks read ahead starts at one and doubles with every block that is used up, so that a query that stops
//! early has not fetched what it never looked at.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, Stream};
use futures::{FutureExt, StreamExt};
use kyma_core::Result;
use kyma_core::extent::Extent;
use kyma_core::format::{BlockStats, Pruned};
use kyma_core::predicate::Predicate;
use kyma_core::prune::{Reason, StatsSource, evaluate};

use crate::scan::block::BlockRead;
use crate::scan::footers::Opened;
use crate::scan::queue::ScanQueue;
use crate::scan::{Budget, Known, ScanSpec};

/// Blocks of an open extent that are still to be read.
struct Cursor {
    /// The extent's place in the list of the scan.
    extent: usize,
    opened: Opened,
    blocks: VecDeque<u32>,
    /// Rows that may match, of the blocks where an index says.
    rows: BTreeMap<u32, BooleanBuffer>,
}

/// A block to read: its extent and that one's place, its number, and the rows that may match when an index says.
type NextBlock = (Opened, usize, u32, Option<BooleanBuffer>);

type Reading = BoxFuture<'static, (u64, Result<Option<RecordBatch>>)>;

/// The state of a partition.
struct Partition {
    spec: Arc<ScanSpec>,
    queue: Arc<ScanQueue>,
    budget: Arc<dyn Budget>,
    cursor: Option<Cursor>,
    flight: FuturesOrdered<Reading>,
    flight_bytes: u64,
    window: usize,
    live: Option<(u64, Predicate)>,
}

/// The rows of one partition.
pub fn run(
    spec: Arc<ScanSpec>,
    queue: Arc<ScanQueue>,
    budget: Arc<dyn Budget>,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    let partition = Partition {
        spec,
        queue,
        budget,
        cursor: None,
        flight: FuturesOrdered::new(),
        flight_bytes: 0,
        window: 1,
        live: None,
    };
    futures::stream::unfold(Some(partition), |state| async move {
        let mut partition = state?;
        match partition.next().await {
            Ok(Some(batch)) => Some((Ok(batch), Some(partition))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

impl Partition {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.spec.fetch.is_some_and(|fetch| self.queue.given() >= fetch) {
                self.stop_early();
                return Ok(None);
            }
            self.read_ahead().await?;
            let Some((bytes, batch)) = self.flight.next().await else { return Ok(None) };
            self.flight_bytes -= bytes;
            self.window = (self.window * 2).min(self.spec.scope.shared.settings.prefetch_blocks.max(1));
            // However much work a block is above, whoever cancels waits for one at most.
            tokio::task::yield_now().await;
            let Some(batch) = batch? else { continue };
            match self.spec.fetch.map(|fetch| self.queue.claim(batch.num_rows(), fetch)) {
                None => return Ok(Some(batch)),
                Some(0) => {}
                Some(rows) => return Ok(Some(batch.slice(0, rows))),
            }
        }
    }

    async fn read_ahead(&mut self) -> Result<()> {
        let bytes_max = self.spec.scope.shared.settings.prefetch_bytes;
        while self.flight.is_empty() || (self.flight.len() < self.window && self.flight_bytes < bytes_max) {
            let Some((opened, extent, block, candidates)) = self.next_block().await? else { return Ok(()) };
            let (spec, budget) = (Arc::clone(&self.spec), Arc::clone(&self.budget));
            let read = BlockRead { spec, opened, extent, block, candidates, budget };
            let bytes = read.bytes();
            self.flight_bytes += bytes;
            let scope = Arc::clone(&self.spec.scope);
            self.flight.push_back(async move { (bytes, scope.scan_times.read.compute(read.run()).await) }.boxed());
        }
        Ok(())
    }

    async fn next_block(&mut self) -> Result<Option<NextBlock>> {
        loop {
            self.refresh();
            if let Some(cursor) = &mut self.cursor {
                let (opened, extent) = (cursor.opened.clone(), cursor.extent);
                let Some(block) = cursor.blocks.pop_front() else {
                    self.cursor = None;
                    continue;
                };
                let candidates = cursor.rows.remove(&block);
                if self.takes_block(&opened, block)? {
                    continue;
                }
                if self.excludes_block(&opened, block) {
                    self.spec.scope.note(|profile| {
                        profile.blocks.kept = profile.blocks.kept.saturating_sub(1);
                        *profile.blocks.pruned.entry(Reason::Dynamic).or_default() += 1;
                    });
                    continue;
                }
                return Ok(Some((opened, extent, block, candidates)));
            }
            let Some((place, extent)) = self.queue.take() else { return Ok(None) };
            if self.excludes_extent(&extent) {
                self.note_extent(Some(Reason::Dynamic), 1);
                continue;
            }
            if !self.takes_extent(&extent)? {
                self.cursor = self.open(place, &extent).await?;
            }
        }
    }

    /// Who takes what need not be read, where every row of what `stats` describe matches.
    fn taker(&self, stats: &dyn StatsSource) -> Option<&dyn Known> {
        let spec = &self.spec;
        let known = spec.known.as_deref().filter(|_| spec.is_exact() && spec.scope.shared.settings.prune)?;
        evaluate(&spec.query.predicate, stats).is_all().then_some(known)
    }

    fn takes_extent(&self, extent: &Extent) -> Result<bool> {
        let taken = match self.taker(&self.spec.query.stats(extent)) {
            Some(known) => known.extent(extent)?,
            None => false,
        };
        if taken {
            self.note_answered(u64::from(extent.blocks), true);
        }
        Ok(taken)
    }

    fn takes_opened(&self, extent: &Extent, opened: &Opened) -> Result<bool> {
        let taken = match self.taker(&self.spec.query.stats(extent)) {
            Some(known) => known.opened(&*opened.reader)?,
            None => false,
        };
        if taken {
            self.note_answered(opened.reader.block_rows().len() as u64, true);
        }
        Ok(taken)
    }

    fn takes_block(&self, opened: &Opened, block: u32) -> Result<bool> {
        let request = self.spec.query.prune_request(&self.spec.query.predicate, &[]);
        let taken = match self.taker(&BlockStats { reader: &*opened.reader, block, request: &request }) {
            Some(known) => known.block(&*opened.reader, block)?,
            None => false,
        };
        if taken {
            self.note_answered(1, false);
        }
        Ok(taken)
    }

    /// Counts blocks that were answered from metadata: of a whole extent, or one of an open extent, counted already.
    fn note_answered(&self, blocks: u64, is_extent: bool) {
        if is_extent {
            self.note_extent(None, 1);
        }
        self.spec.scope.note(|profile| {
            profile.metadata_answers += u64::from(is_extent);
            profile.metadata_blocks += blocks;
            if is_extent {
                profile.blocks.considered += blocks;
                profile.blocks.kept += blocks;
            }
        });
    }

    /// Opens an extent and prunes its blocks; `None` when its rows were taken by the footer.
    async fn open(&mut self, place: usize, extent: &Extent) -> Result<Option<Cursor>> {
        let spec = Arc::clone(&self.spec);
        let scope = &spec.scope;
        let opened = scope.shared.footers.open(scope, extent).await?;
        if self.takes_opened(extent, &opened)? {
            return Ok(None);
        }
        let candidates: Vec<u32> = (0..opened.reader.block_rows().len() as u32).collect();
        let pruned = match scope.shared.settings.prune && spec.query.predicate != Predicate::True {
            true => {
                let request = spec.query.prune_request(&spec.query.predicate, &candidates);
                scope.scan_times.prune.compute(opened.reader.prune(&*opened.source, &request)).await?
            }
            false => Pruned { blocks: candidates.clone(), ..Pruned::default() },
        };
        let kept = pruned.blocks.len() as u64;
        let reason = pruned.reasons.iter().max_by_key(|(_, count)| **count).map(|(reason, _)| *reason);
        let lost = kept == 0 && !candidates.is_empty();
        self.note_extent(lost.then(|| reason.unwrap_or(Reason::Bounds)), 1);
        scope.note(|profile| {
            profile.blocks.considered += candidates.len() as u64;
            profile.blocks.kept += kept;
            for (reason, count) in &pruned.reasons {
                *profile.blocks.pruned.entry(*reason).or_default() += count;
            }
        });
        Ok(Some(Cursor { extent: place, opened, blocks: pruned.blocks.into(), rows: pruned.rows }))
    }

    fn note_extent(&self, pruned: Option<Reason>, count: u64) {
        self.spec.scope.note(|profile| {
            profile.extents.considered += count;
            match pruned {
                Some(reason) => *profile.extents.pruned.entry(reason).or_default() += count,
                None => profile.extents.kept += count,
            }
        });
    }

    /// Looks whether the filter tightened.
    fn refresh(&mut self) {
        if !self.spec.scope.shared.settings.prune {
            return;
        }
        if let Some(live) = self.spec.live()
            && self.live.as_ref().is_none_or(|(generation, _)| *generation != live.0)
        {
            self.live = Some(live);
        }
    }

    fn excludes_extent(&self, extent: &Extent) -> bool {
        self.live.as_ref().is_some_and(|(_, predicate)| self.spec.query.evaluate(predicate, extent).is_none())
    }

    fn excludes_block(&self, opened: &Opened, block: u32) -> bool {
        let Some((_, predicate)) = &self.live else { return false };
        let request = self.spec.query.prune_request(predicate, &[]);
        evaluate(predicate, &BlockStats { reader: &*opened.reader, block, request: &request }).is_none()
    }

    /// Enough rows came out: nobody needs the rest.
    fn stop_early(&mut self) {
        self.cursor = None;
        self.flight = FuturesOrdered::new();
        let rest = self.queue.abandon() as u64;
        if rest > 0 {
            self.note_extent(Some(Reason::Limit), rest);
        }
    }
}
