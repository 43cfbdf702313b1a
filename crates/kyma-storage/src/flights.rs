//! Ranges that are being read, so that readers of one range share its request.
//!
//! 1. The first who claims a range gets a [`Flight`], the right and duty to read it; others get [`Theirs`], to follow.
//! 2. The flight waits for its turn at the `gate`, says that its request is under way, and hands out what arrives.
//! 3. A flight that is dropped without an answer leaves nothing: who followed it reads by itself.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::cache::RangeKey;

/// How far a flight is.
#[derive(Debug)]
enum Progress {
    Waiting,
    UnderWay,
    Here(Bytes),
}

/// The ranges being read; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flights(Arc<Mutex<HashMap<RangeKey, watch::Receiver<Progress>>>>);

/// The right and duty to read one range.
pub(crate) struct Flight {
    flights: Flights,
    pub(crate) key: RangeKey,
    progress: watch::Sender<Progress>,
}

/// Another reader's flight.
pub(crate) struct Theirs(watch::Receiver<Progress>);

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
            return Claim::Theirs(Theirs(theirs.clone()));
        }
        let (progress, theirs) = watch::channel(Progress::Waiting);
        flights.insert(key.clone(), theirs);
        Claim::Ours(Flight { flights: self.clone(), key: key.clone(), progress })
    }
}

impl Flight {
    /// Says that the request is under way.
    pub(crate) fn start(&self) {
        self.progress.send_replace(Progress::UnderWay);
    }

    /// Hands out what came.
    pub(crate) fn arrive(self, bytes: &Bytes) {
        self.progress.send_replace(Progress::Here(bytes.clone()));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.0.lock().remove(&self.key);
    }
}

impl Theirs {
    /// Waits until the request is under way; false when it never will be.
    pub(crate) async fn started(&mut self) -> bool {
        self.0.wait_for(|progress| !matches!(progress, Progress::Waiting)).await.is_ok()
    }

    /// Waits for what it brings; `None` when it brings nothing.
    pub(crate) async fn arrival(&mut self) -> Option<Bytes> {
        match &*self.0.wait_for(|progress| matches!(progress, Progress::Here(_))).await.ok()? {
            Progress::Here(bytes) => Some(bytes.clone()),
            Progress::Waiting | Progress::UnderWay => None,
        }
    }
}
