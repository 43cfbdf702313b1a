//! Idempotency keys that are being stored by this node right now.

use std::collections::HashMap;
use std::sync::Arc;

use kyma_core::DatabaseId;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::answer::IngestAnswer;

type Key = (DatabaseId, String);
type Answer = watch::Receiver<Option<IngestAnswer>>;

/// The claimed keys; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Once(Arc<Mutex<HashMap<Key, Answer>>>);

/// The right to store under a key, until dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    once: Once,
    key: Key,
    answer: watch::Sender<Option<IngestAnswer>>,
}

impl Once {
    /// Claims a key, or waits for whoever has it: its answer, if it got one. Without an answer the key is claimed anew.
    pub(crate) async fn claim(&self, database: DatabaseId, key: &str) -> Result<Claim, IngestAnswer> {
        let key = (database, key.to_owned());
        loop {
            let mut waiting = match self.try_claim(&key) {
                Ok(claim) => return Ok(claim),
                Err(waiting) => waiting,
            };
            // An error says that the other one failed without an answer: then it is our turn.
            if let Ok(answer) = waiting.wait_for(Option::is_some).await
                && let Some(answer) = answer.clone()
            {
                return Err(answer);
            }
        }
    }

    fn try_claim(&self, key: &Key) -> Result<Claim, Answer> {
        let mut claimed = self.0.lock();
        if let Some(waiting) = claimed.get(key) {
            return Err(waiting.clone());
        }
        let (answer, waiting) = watch::channel(None);
        claimed.insert(key.clone(), waiting);
        Ok(Claim { once: self.clone(), key: key.clone(), answer })
    }
}

impl Claim {
    /// Gives the answer to everybody who waits.
    pub(crate) fn answer(self, answer: &IngestAnswer) {
        self.answer.send_replace(Some(answer.clone()));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.once.0.lock().remove(&self.key);
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
