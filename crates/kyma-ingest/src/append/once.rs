//! Idempotency keys that are being stored by this node right now.

use std::collections::HashMap;
use std::sync::Arc;

use kyma_core::DatabaseId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::answer::IngestAnswer;

type Key = (DatabaseId, String);

/// The claimed keys; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Once(Arc<Mutex<HashMap<Key, Arc<Turn>>>>);

/// One claim, as those see it who wait for it. They are woken in the order in which they came.
#[derive(Debug, Default)]
struct Turn {
    /// Once it is over: the answer, if it got one.
    end: Mutex<Option<Option<IngestAnswer>>>,
    over: Notify,
}

impl Turn {
    fn end(&self, answer: Option<IngestAnswer>) {
        self.end.lock().get_or_insert(answer);
        self.over.notify_waiters();
    }

    async fn answer(&self) -> Option<IngestAnswer> {
        let over = self.over.notified();
        tokio::pin!(over);
        over.as_mut().enable();
        if let Some(answer) = &*self.end.lock() {
            return answer.clone();
        }
        over.await;
        self.end.lock().clone().flatten()
    }
}

/// The right to store under a key, until dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    once: Once,
    key: Key,
    turn: Arc<Turn>,
}

impl Once {
    /// Claims a key, or waits for whoever has it: its answer, if it got one. Without an answer the key is claimed anew.
    pub(crate) async fn claim(&self, database: DatabaseId, key: &str) -> Result<Claim, IngestAnswer> {
        let key = (database, key.to_owned());
        loop {
            let theirs = match self.try_claim(&key) {
                Ok(claim) => return Ok(claim),
                Err(theirs) => theirs,
            };
            // Without an answer the other one failed: then it may be our turn.
            if let Some(answer) = theirs.answer().await {
                return Err(answer);
            }
        }
    }

    fn try_claim(&self, key: &Key) -> Result<Claim, Arc<Turn>> {
        let mut claimed = self.0.lock();
        if let Some(theirs) = claimed.get(key) {
            return Err(Arc::clone(theirs));
        }
        let turn = Arc::new(Turn::default());
        claimed.insert(key.clone(), Arc::clone(&turn));
        Ok(Claim { once: self.clone(), key: key.clone(), turn })
    }
}

impl Claim {
    /// Gives the answer to everybody who waits.
    pub(crate) fn answer(self, answer: &IngestAnswer) {
        self.turn.end(Some(answer.clone()));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.once.0.lock().remove(&self.key);
        self.turn.end(None);
    }
}

#[cfg(test)]
mod tests {
    use kyma_core::Sequence;

    use super::*;

    fn answer(rows: u64) -> IngestAnswer {
        IngestAnswer { rows, rejected: 0, unmapped: 0, extents: Vec::new(), sequence: Sequence(1) }
    }

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let once = Once::default();
        let first = once.claim(DatabaseId(1), "k").await.unwrap();
        assert!(once.claim(DatabaseId(2), "k").await.is_ok(), "another database");
        let (second, ()) = tokio::join!(once.claim(DatabaseId(1), "k"), async {
            tokio::task::yield_now().await;
            first.answer(&answer(7));
        });
        assert_eq!(second.unwrap_err(), answer(7));
    }

    #[tokio::test]
    async fn a_failed_first_leaves_its_turn() {
        let once = Once::default();
        let first = once.claim(DatabaseId(1), "k").await.unwrap();
        let (second, ()) = tokio::join!(once.claim(DatabaseId(1), "k"), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert!(second.is_ok());
    }
}
