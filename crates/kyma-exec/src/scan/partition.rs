//! One partition of a scan: takes blocks from the shared queue and gives batches.
//!
//! The number of blocks read ahead, and of extents opened ahead, starts at one and doubles with every block that is used up, so that
//! a query that stops early has not fetched what it never looked at.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, Stream};
use futures::{FutureExt, StreamExt};
use kyma_core::Result;
use kyma_core::prune::Reason;

use crate::scan::block::BlockRead;
use crate::scan::gate::Gate;
use crate::scan::queue::{Next, NextBlock, ScanQueue};
use crate::scan::{Budget, ScanSpec};

/// Extents that are decided about without reading before others get their turn.
const UNREAD_MAX: usize = 64;

type Reading = BoxFuture<'static, (u64, Result<Option<RecordBatch>>)>;

/// The state of a partition.
struct Partition {
    gate: Gate,
    queue: Arc<ScanQueue>,
    budget: Arc<dyn Budget>,
    flight: FuturesOrdered<Reading>,
    flight_bytes: u64,
    window: usize,
}

/// The rows of one partition.
pub fn run(
    spec: Arc<ScanSpec>,
    queue: Arc<ScanQueue>,
    budget: Arc<dyn Budget>,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    let gate = Gate::new(spec);
    let partition = Partition { gate, queue, budget, flight: FuturesOrdered::new(), flight_bytes: 0, window: 1 };
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
    fn spec(&self) -> &Arc<ScanSpec> {
        &self.gate.spec
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.spec().fetch.is_some_and(|fetch| self.queue.given() >= fetch) {
                self.stop_early();
                return Ok(None);
            }
            self.read_ahead().await?;
            let Some((bytes, batch)) = self.flight.next().await else { return Ok(None) };
            self.flight_bytes -= bytes;
            self.window = (self.window * 2).min(self.spec().scope.shared.settings.prefetch_blocks.max(1));
            // However much work a block is above, whoever cancels waits for one at most.
            tokio::task::yield_now().await;
            let Some(batch) = batch? else { continue };
            match self.spec().fetch.map(|fetch| self.queue.claim(batch.num_rows(), fetch)) {
                None => return Ok(Some(batch)),
                Some(0) => {}
                Some(rows) => return Ok(Some(batch.slice(0, rows))),
            }
        }
    }

    /// Fills the window; waits for a first block while there may be one.
    async fn read_ahead(&mut self) -> Result<()> {
        let bytes_max = self.spec().scope.shared.settings.prefetch_bytes;
        while self.flight.is_empty() || (self.flight.len() < self.window && self.flight_bytes < bytes_max) {
            let queue = Arc::clone(&self.queue);
            let changed = queue.changed();
            self.gate.refresh();
            self.open_ahead().await?;
            match queue.next()? {
                Next::Block(next) => self.start(next)?,
                Next::Open => {}
                Next::Wait if self.flight.is_empty() => changed.await,
                Next::Wait | Next::Done => return Ok(()),
            }
        }
        Ok(())
    }

    /// Starts to read a block, unless nothing of it is to be read.
    fn start(&mut self, next: NextBlock) -> Result<()> {
        if self.gate.takes_block(&next.opened, next.block)? {
            return Ok(());
        }
        if self.gate.excludes_block(&next.opened, next.block) {
            self.spec().scope.note(|profile| {
                profile.blocks.kept = profile.blocks.kept.saturating_sub(1);
                *profile.blocks.pruned.entry(Reason::Dynamic).or_default() += 1;
            });
            return Ok(());
        }
        let NextBlock { opened, extent, block, candidates } = next;
        let (spec, budget) = (Arc::clone(self.spec()), Arc::clone(&self.budget));
        let scope = Arc::clone(&spec.scope);
        let read = BlockRead { spec, opened, extent, block, candidates, budget };
        let bytes = read.bytes();
        self.flight_bytes += bytes;
        self.flight.push_back(async move { (bytes, scope.scan_times.read.compute(read.run()).await) }.boxed());
        Ok(())
    }

    /// Has as many extents opened as blocks are read ahead.
    async fn open_ahead(&mut self) -> Result<()> {
        let mut unread = 0_usize;
        while self.queue.ahead() < self.window {
            let Some((place, extent)) = self.queue.take() else { return Ok(()) };
            unread += 1;
            if unread.is_multiple_of(UNREAD_MAX) {
                tokio::task::yield_now().await;
            }
            if self.gate.excludes_extent(&extent) {
                self.gate.note_extent(Some(Reason::Dynamic), 1);
                continue;
            }
            if !self.gate.takes_extent(&extent)? {
                let gate = self.gate.clone();
                self.queue.open(async move { gate.open(place, &extent).await });
            }
        }
        Ok(())
    }

    /// Enough rows came out: nobody needs the rest.
    fn stop_early(&mut self) {
        self.flight = FuturesOrdered::new();
        let rest = self.queue.abandon() as u64;
        if rest > 0 {
            self.gate.note_extent(Some(Reason::Limit), rest);
        }
    }
}
