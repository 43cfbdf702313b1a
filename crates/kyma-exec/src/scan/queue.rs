//! What the partitions of one execution of a scan share: extents not yet opened, open ones with blocks to read, rows given out.
//! Whoever is free takes the next block, whoever opened its extent.
//!
//! 1. Extents are opened by tasks of the queue's own, some ahead of what is read, so that no partition waits for another
//!    that nobody polls.
//! 2. A task ends with its extent's cursor in the queue, or its error. A partition that finds no block waits while some task
//!    is under way, and ends when none is and no extent is left.
//! 3. Dropping the queue, which the last partition does, ends the tasks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use arrow::buffer::BooleanBuffer;
use futures::FutureExt;
use kyma_core::extent::Extent;
use kyma_core::{Error, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::scan::footers::Opened;

/// Blocks of an open extent that are still to be read.
#[derive(Debug)]
pub struct Cursor {
    /// The extent's place in the list of the scan.
    pub extent: usize,
    /// It.
    pub opened: Opened,
    /// The blocks, ascending.
    pub blocks: VecDeque<u32>,
    /// Rows that may match, of the blocks where an index says.
    pub rows: BTreeMap<u32, BooleanBuffer>,
}

/// A block to read.
#[derive(Debug)]
pub struct NextBlock {
    /// Its extent.
    pub opened: Opened,
    /// That one's place in the list of the scan.
    pub extent: usize,
    /// Its number.
    pub block: u32,
    /// The rows that may match, when an index says.
    pub candidates: Option<BooleanBuffer>,
}

/// What a partition may do next.
#[derive(Debug)]
pub enum Next {
    /// Read a block.
    Block(NextBlock),
    /// Wait for an extent that is being opened.
    Wait,
    /// Have a further extent opened.
    Open,
    /// End.
    Done,
}

/// The queue.
#[derive(Debug, Default)]
pub struct ScanQueue {
    state: Mutex<State>,
    /// Those that open extents. Never locked together with the state, which an ending task locks.
    tasks: Mutex<JoinSet<()>>,
    changed: Notify,
    rows: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    extents: VecDeque<(usize, Arc<Extent>)>,
    open: VecDeque<Cursor>,
    /// How many extents are being opened.
    opening: usize,
    failed: Option<Error>,
    /// Whether nobody needs the rest.
    abandoned: bool,
}

impl ScanQueue {
    /// A queue of `extents`, in this order, each with its place in the list of the scan.
    pub fn new(extents: impl IntoIterator<Item = (usize, Arc<Extent>)>) -> Self {
        let state = State { extents: extents.into_iter().collect(), ..State::default() };
        ScanQueue { state: Mutex::new(state), ..ScanQueue::default() }
    }

    /// The next extent that nobody has opened.
    pub fn take(&self) -> Option<(usize, Arc<Extent>)> {
        self.state.lock().extents.pop_front()
    }

    /// Opens an extent beside what is read; `None` when it holds nothing to read.
    pub fn open(self: &Arc<Self>, opening: impl Future<Output = Result<Option<Cursor>>> + Send + 'static) {
        let under_way = UnderWay { queue: Arc::downgrade(self), found: None };
        self.state.lock().opening += 1;
        let mut opening = Box::pin(opening);
        // What is at hand needs no task.
        if let Some(found) = (&mut opening).now_or_never() {
            return under_way.end(found);
        }
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move { under_way.end(opening.await) });
    }

    /// How many extents are open or being opened.
    pub fn ahead(&self) -> usize {
        let state = self.state.lock();
        state.open.len() + state.opening
    }

    /// The next block of an open extent.
    ///
    /// # Errors
    /// Why an extent could not be opened.
    pub fn next(&self) -> Result<Next> {
        let mut state = self.state.lock();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        while let Some(cursor) = state.open.front_mut() {
            if let Some(block) = cursor.blocks.pop_front() {
                let candidates = cursor.rows.remove(&block);
                let (opened, extent) = (cursor.opened.clone(), cursor.extent);
                return Ok(Next::Block(NextBlock { opened, extent, block, candidates }));
            }
            state.open.pop_front();
        }
        Ok(match (state.opening, state.extents.is_empty()) {
            (0, true) => Next::Done,
            (0, false) => Next::Open,
            _ => Next::Wait,
        })
    }

    /// Wakes whoever waits when something changed since this was called.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Removes what nobody will need; gives how many extents were never opened.
    pub fn abandon(&self) -> usize {
        let mut state = self.state.lock();
        state.open.clear();
        state.abandoned = true;
        let rest = std::mem::take(&mut state.extents).len();
        drop(state);
        self.tasks.lock().abort_all();
        self.changed.notify_waiters();
        rest
    }

    /// Takes up to `wanted` of the rows that may still be given out, of `limit` in all; how many it got.
    pub fn claim(&self, wanted: usize, limit: usize) -> usize {
        let room = |given: usize| wanted.min(limit.saturating_sub(given));
        let claim = |given: usize| Some(given + room(given));
        self.rows.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).map_or(0, room)
    }

    /// Rows given out so far, of a scan with a limit.
    pub fn given(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }
}

/// An extent that is being opened. However the task ends, whoever waits hears of it.
struct UnderWay {
    queue: Weak<ScanQueue>,
    found: Option<Result<Option<Cursor>>>,
}

impl UnderWay {
    fn end(mut self, found: Result<Option<Cursor>>) {
        self.found = Some(found);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Some(queue) = self.queue.upgrade() else { return };
        let mut state = queue.state.lock();
        state.opening = state.opening.saturating_sub(1);
        match self.found.take() {
            Some(Ok(Some(cursor))) => state.open.push_back(cursor),
            Some(Err(error)) => state.failed = Some(error),
            Some(Ok(None)) => {}
            None if state.abandoned => {}
            None => state.failed = Some(Error::internal("the opening of an extent ended without a result")),
        }
        drop(state);
        queue.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_dies_is_an_error_and_an_abandoned_one_is_not() {
        let queue = Arc::new(ScanQueue::default());
        queue.open(async {
            tokio::task::yield_now().await;
            panic!("a broken footer")
        });
        let changed = queue.changed();
        if matches!(queue.next(), Ok(Next::Wait)) {
            changed.await;
        }
        assert!(queue.next().is_err());
        assert!(matches!(queue.next(), Ok(Next::Done)));

        queue.open(std::future::pending());
        assert!(matches!(queue.next(), Ok(Next::Wait)));
        let changed = queue.changed();
        queue.abandon();
        changed.await;
        while matches!(queue.next(), Ok(Next::Wait)) {
            tokio::task::yield_now().await;
        }
        assert!(matches!(queue.next(), Ok(Next::Done)));
    }
}
