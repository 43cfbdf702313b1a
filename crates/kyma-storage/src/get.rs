//! One range request.
//!
//! 1. It waits for its turn at the node's `gate`; attempts and pauses between them keep the place.
//! 2. It is attempted until it succeeds or its deadline comes, see `retry`.
//! 3. An attempt that is slow, as `hedge` says, is asked a second time if the gate has room: a busy node never hedges.
//! 4. The first answer that settles it wins; the other request is dropped with its connection. An error that may pass
//!    settles nothing while the other request is under way.
//! 5. An answer with less than was asked for is such an error, unless the object ends there.
//!
//! Dropping the call drops its requests and gives its place back.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{Either, select};
use kyma_core::profile::IoCounters;
use object_store::{ObjectStoreExt, Result, path::Path};
use tokio::time::{Instant, timeout};

use crate::error::{is_transient, short};
use crate::gate::{Permit, QueryId};
use crate::retry::{Failure, call};
use crate::store::Store;

/// A range to be read for a query.
pub(crate) struct Get<'a> {
    pub(crate) store: &'a Store,
    pub(crate) path: &'a Path,
    pub(crate) range: Range<u64>,
    /// The counters of the query, which tell it from others.
    pub(crate) counters: &'a Arc<IoCounters>,
}

impl Get<'_> {
    /// Waits for its turn.
    pub(crate) async fn enter(&self) -> Permit {
        self.store.gate.enter(self.query(), self.bytes()).await
    }

    /// What the store has of the range: all of it, or less where the object ends before. The permit is held meanwhile.
    pub(crate) async fn run(&self, _permit: &Permit) -> Result<Bytes, Failure> {
        let whole = || async {
            let found = self.attempt().await?;
            let settled = found.len() as u64 == self.bytes() || self.ends_early().await;
            if settled { Ok(found) } else { Err(short(found.len(), self.bytes())) }
        };
        let (found, _) = call(self.store.policy, &self.store.budget, whole).await?;
        self.counters.received(found.len() as u64);
        self.store.metrics.get_bytes.inc_by(found.len() as u64);
        Ok(found)
    }

    /// How many bytes are asked for.
    pub(crate) fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether the store says that the object ends before the range does.
    async fn ends_early(&self) -> bool {
        self.store.inner.head(self.path).await.is_ok_and(|meta| meta.size < self.range.end)
    }

    fn query(&self) -> QueryId {
        Arc::as_ptr(self.counters).addr()
    }

    async fn attempt(&self) -> Result<Bytes> {
        let started = Instant::now();
        let mut first = Box::pin(self.request());
        let answer = match self.store.hedges.start(self.bytes()) {
            None => first.await,
            Some(usual) => match timeout(usual, &mut first).await {
                Ok(answer) => answer,
                Err(_slow) => self.hedge(first).await,
            },
        };
        if answer.is_ok() {
            self.store.hedges.finish(self.bytes(), started.elapsed());
        }
        answer
    }

    fn request(&self) -> impl Future<Output = Result<Bytes>> + Send {
        self.counters.requested();
        self.store.inner.get_range(self.path, self.range.clone())
    }

    /// Asks a second time, if that is allowed, while `first` goes on.
    async fn hedge<F: Future<Output = Result<Bytes>> + Send>(&self, first: Pin<Box<F>>) -> Result<Bytes> {
        let Some(_permit) = self.store.gate.try_enter(self.query(), self.bytes()) else { return first.await };
        if !self.store.hedges.take() {
            return first.await;
        }
        self.store.metrics.hedged_requests.inc();
        self.counters.hedged();
        match select(first, Box::pin(self.request())).await {
            Either::Left((Err(error), second)) if is_transient(&error) => second.await,
            Either::Right((Err(error), first)) if is_transient(&error) => first.await,
            Either::Left((answer, _)) => answer,
            Either::Right((answer, _)) => {
                self.store.metrics.hedges_won.inc();
                answer
            }
        }
    }
}
