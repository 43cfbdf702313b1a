//! Many writes to one table: several in flight, each retried under its own idempotency key.
//!
//! A part is sent again only when its outcome is unknown or the node says "later" (429, 503, a broken connection); its
//! key makes sure that it is stored once. The first part that is refused for good ends the upload.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Client, Refused, refusal};

/// Waits between attempts, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// The level of zstd for parts that leave this machine.
const ZSTD_LEVEL: i32 = 1;

/// One request's worth of rows.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) body: Bytes,
    /// `ndjson`, `json` or `csv`.
    pub(crate) format: &'static str,
    /// How `body` is compressed, when it is.
    pub(crate) encoding: Option<&'static str>,
    pub(crate) key: String,
    /// What the progress bar moves by when the part is stored.
    pub(crate) progress: u64,
}

/// Where to, and how patiently.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) client: Client,
    pub(crate) database: String,
    pub(crate) table: String,
    pub(crate) parallel: usize,
    pub(crate) retry: Duration,
}

/// What the node stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Stored {
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) unmapped: u64,
}

enum Attempt {
    Stored(Stored),
    /// Try again, after this long if the node said so.
    Later(anyhow::Error, Option<Duration>),
    Refused(Refused),
}

impl Upload {
    /// Sends every part; `stored` hears of each one's progress.
    pub(crate) async fn run(
        &self,
        parts: mpsc::Receiver<anyhow::Result<Part>>,
        stored: impl Fn(u64),
    ) -> anyhow::Result<Stored> {
        let parts = stream::unfold(parts, |mut parts| async move { parts.recv().await.map(|part| (part, parts)) });
        let answers = parts
            .map(|part| async {
                let part = part?;
                let answer = self.send(&part).await?;
                stored(part.progress);
                anyhow::Ok(answer)
            })
            .buffer_unordered(self.parallel.max(1));
        let add = |sum: Stored, answer: Stored| async move {
            Ok(Stored {
                rows: sum.rows + answer.rows,
                rejected: sum.rejected + answer.rejected,
                unmapped: sum.unmapped + answer.unmapped,
            })
        };
        answers.try_fold(Stored::default(), add).await
    }

    async fn send(&self, part: &Part) -> anyhow::Result<Stored> {
        let part = self.packed(part)?;
        let deadline = Instant::now() + self.retry;
        let mut wait = BACKOFF.0;
        loop {
            match self.attempt(&part).await? {
                Attempt::Stored(answer) => return Ok(answer),
                Attempt::Refused(refused) => return Err(refused.into()),
                Attempt::Later(error, asked) => {
                    let pause = asked.unwrap_or(wait);
                    if Instant::now() + pause > deadline {
                        return Err(error.context("the node did not take the rows in time; parts before it are stored"));
                    }
                    tokio::time::sleep(pause).await;
                    wait = (wait * 2).min(BACKOFF.1);
                }
            }
        }
    }

    /// The part as it travels: compressed when it leaves this machine.
    fn packed(&self, part: &Part) -> anyhow::Result<Part> {
        if part.encoding.is_some() || self.client.is_local() {
            return Ok(part.clone());
        }
        let packed = zstd::encode_all(&part.body[..], ZSTD_LEVEL).context("the rows cannot be compressed")?;
        Ok(Part { body: Bytes::from(packed), encoding: Some("zstd"), ..part.clone() })
    }

    async fn attempt(&self, part: &Part) -> anyhow::Result<Attempt> {
        let url = self.client.at(&["v1", "ingest", &self.database, &self.table])?;
        let mut request = self.client.http.post(url).query(&[("format", part.format)]);
        request = request.header("Idempotency-Key", &part.key).body(part.body.clone());
        if let Some(encoding) = part.encoding {
            request = request.header("Content-Encoding", encoding);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Attempt::Later(self.client.unreachable(error), None)),
        };
        if response.status().is_success() {
            return Ok(match response.json().await {
                Ok(stored) => Attempt::Stored(stored),
                Err(error) => Attempt::Later(self.client.unreachable(error), None),
            });
        }
        let asked = response.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse().ok());
        let refused = refusal(response).await;
        Ok(match refused.status {
            429 | 502 | 503 | 504 => Attempt::Later(refused.into(), asked.map(Duration::from_secs)),
            _ => Attempt::Refused(refused),
        })
    }
}
