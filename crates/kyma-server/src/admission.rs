//! How many queries run at once, and how many may wait: past both a query is refused with 429, at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kyma_core::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::drain::draining;

/// The door that queries pass.
#[derive(Debug)]
pub(crate) struct Admission {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    running_max: usize,
    waiting_max: usize,
}

/// The right to run; ends when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Self {
        let running_max = running_max.max(1);
        Admission {
            running: Arc::new(Semaphore::new(running_max)),
            waiting: AtomicUsize::new(0),
            running_max,
            waiting_max,
        }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// `Exhausted` with code `query.too_many` when too many wait already; `Unavailable` when the node leaves.
    pub(crate) async fn enter(&self) -> Result<Ticket> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Ok(Ticket { _permit: permit });
        }
        let _place = self.take_place()?;
        let permit = self.running.clone().acquire_owned().await;
        permit.map(|permit| Ticket { _permit: permit }).map_err(|_| draining())
    }

    /// Gives no more turns; those that wait for one are refused.
    pub(crate) fn close(&self) {
        self.running.close();
    }

    /// Queries that run now.
    pub(crate) fn running(&self) -> usize {
        self.running_max - self.running.available_permits()
    }

    /// Queries that wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn take_place(&self) -> Result<Place<'_>> {
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= self.waiting_max {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::exhausted(
                "query.too_many",
                format!("too many queries: running={}, waiting={}", self.running_max, self.waiting_max),
            )
            .hint("try again in a moment, or raise server.queries_max"));
        }
        Ok(Place(&self.waiting))
    }
}

/// A place in the queue, given back also when the client leaves it.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_queue_is_bounded_and_leaving_it_frees_a_place() {
        let door = Admission::new(1, 1);
        let first = door.enter().await.unwrap();
        {
            let mut second = Box::pin(door.enter());
            assert!(second.as_mut().now_or_never().is_none());
            assert_eq!(door.enter().await.unwrap_err().code(), "query.too_many");
        }
        assert_eq!(door.waiting(), 0);
        drop(first);
        assert!(door.enter().await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_when_the_door_closes_is_refused() {
        let door = Admission::new(1, 1);
        let running = door.enter().await.unwrap();
        let mut waiting = Box::pin(door.enter());
        assert!(waiting.as_mut().now_or_never().is_none());
        door.close();
        assert_eq!(waiting.await.unwrap_err().code(), "server.draining");
        drop(running);
        assert_eq!(door.enter().await.unwrap_err().code(), "server.draining");
    }
}
