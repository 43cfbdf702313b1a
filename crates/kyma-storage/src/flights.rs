//! Ranges that are being read, so that readers of one range share its request.
//!
//! 1. The first who claims a range gets a [`Flight`], the right and duty to read it; others get [`Theirs`], to follow.
//! 2. The flight waits for its turn at the `gate`, says that its request is under way, and hands out what arrives.
//! 3. A flight that is dropped without an answer leaves nothing: who followed it reads by itself.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cache::RangeKey;

/// How far a flight is.
#[derive(Debug)]
enum Progress {
    Waiting,
    UnderWay,
    Here(Bytes),
    /// It ended without an answer.
    Gone,
}

/// A flight, as its reader and those who follow it share it. They are woken in the order in which they came.
#[derive(Debug)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Notify,
}

impl Shared {
    fn set(&self, progress: Progress) {
        let mut now = self.progress.lock();
        if !matches!(*now, Progress::Here(_)) {
            *now = progress;
            self.changed.notify_waiters();
        }
    }

    /// Waits until `answer` has one.
    async fn wait_for<T>(&self, answer: impl Fn(&Progress) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(answer) = answer(&self.progress.lock()) {
                return answer;
            }
            changed.await;
        }
    }
}

/// The ranges being read; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flights(Arc<Mutex<HashMap<RangeKey, Arc<Shared>>>>);

/// The right and duty to read one range.
pub(crate) struct Flight {
    flights: Flights,
    pub(crate) key: RangeKey,
    shared: Arc<Shared>,
}

/// Another reader's flight.
pub(crate) struct Theirs(Arc<Shared>);

/// Whose it is to read a range.
pub(crate) enum Claim {
    Ours(Flight),
    Theirs(Theirs),
}

impl Flights {
    /// Claims a range, or follows whoever did.
    pub(crate) fn claim(&self, key: &RangeKey) -> Claim {
        let mut flights = self.0.lock();
        if let Some(theirs) = flights.get(key) {
            return Claim::Theirs(Theirs(Arc::clone(theirs)));
        }
        let shared = Arc::new(Shared { progress: Mutex::new(Progress::Waiting), changed: Notify::new() });
        flights.insert(key.clone(), Arc::clone(&shared));
        Claim::Ours(Flight { flights: self.clone(), key: key.clone(), shared })
    }
}

impl Flight {
    /// Says that the request is under way.
    pub(crate) fn start(&self) {
        self.shared.set(Progress::UnderWay);
    }

    /// Hands out what came.
    pub(crate) fn arrive(self, bytes: &Bytes) {
        self.shared.set(Progress::Here(bytes.clone()));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.0.lock().remove(&self.key);
        self.shared.set(Progress::Gone);
    }
}

impl Theirs {
    /// Waits until the request is under way; false when it never will be.
    pub(crate) async fn started(&mut self) -> bool {
        let started = |progress: &Progress| match progress {
            Progress::Waiting => None,
            Progress::UnderWay | Progress::Here(_) => Some(true),
            Progress::Gone => Some(false),
        };
        self.0.wait_for(started).await
    }

    /// Waits for what it brings; `None` when it brings nothing.
    pub(crate) async fn arrival(&mut self) -> Option<Bytes> {
        let arrived = |progress: &Progress| match progress {
            Progress::Waiting | Progress::UnderWay => None,
            Progress::Here(bytes) => Some(Some(bytes.clone())),
            Progress::Gone => Some(None),
        };
        self.0.wait_for(arrived).await
    }
}
