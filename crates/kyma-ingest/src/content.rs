//! Recognising writes by what is in them.
//!
//! Clients without idempotency keys send a body again after a time-out, byte for byte. Where a table's policy says so, the
//! digest of a body and of how it is read stands for a key, for as long as the policy's window: the first such write is
//! stored, the others get its answer. The receipt is committed with the rows, as that of a key is.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use kyma_core::catalog::Table;
use kyma_core::planted::{self, Bug};
use kyma_core::{Result, TableId};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::answer::{IngestOptions, IngestRequest};

/// Begins keys that stand for contents; no client can send such a key in a header.
const MARK: char = '\u{1}';

/// What makes a write recognisable: a client's key, or a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WriteKey {
    pub(crate) text: String,
    /// For how long a content is recognised; a client's key is for as long as its receipt is kept.
    pub(crate) window_seconds: Option<u32>,
}

impl WriteKey {
    /// The key that a client gave, unless it is empty.
    pub(crate) fn of_client(key: &str) -> Option<WriteKey> {
        (!key.is_empty()).then(|| WriteKey { text: key.to_owned(), window_seconds: None })
    }

    /// The content of a write to `table`, if its policy wants that.
    pub(crate) fn of_content(content: &str, table: &Table) -> Option<WriteKey> {
        let window = table.deduplication_seconds;
        (window > 0 && !content.is_empty())
            .then(|| WriteKey { text: key_text(table.id, content), window_seconds: Some(window) })
    }
}

fn key_text(table: TableId, content: &str) -> String {
    match planted::is(Bug::ContentIgnoresTable) {
        true => format!("{MARK}content:{content}"),
        false => format!("{MARK}content:{table}:{content}"),
    }
}

/// The digest of a body while it is read.
#[derive(Debug, Clone)]
pub(crate) struct ContentDigest(Arc<Mutex<Sha256>>);

impl ContentDigest {
    /// Begins with what the same bytes may be read as.
    pub(crate) fn new(request: &IngestRequest, options: &IngestOptions) -> Self {
        let mut digest = Sha256::new();
        digest.update(format!("{:?} {options:?}\0", request.format));
        ContentDigest(Arc::new(Mutex::new(digest)))
    }

    /// The body, looked at as it goes by.
    pub(crate) fn watch<'a>(&self, body: BoxStream<'a, Result<Bytes>>) -> BoxStream<'a, Result<Bytes>> {
        let digest = self.clone();
        body.inspect(move |piece| {
            if let Ok(piece) = piece {
                digest.0.lock().update(piece);
            }
        })
        .boxed()
    }

    /// The digest of what went by, in hexadecimal.
    pub(crate) fn text(&self) -> String {
        let digest = self.0.lock().clone().finalize();
        digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
