//! Clients that write until they are acknowledged, readers that look meanwhile, and chores that make garbage.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kyma_testkit::postgres::TestDatabase;
use kyma_testkit::s3::TestS3;
use object_store::{ObjectStoreExt, PutPayload};
use parking_lot::RwLock;
use rand::Rng;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::deletions::{Deletions, ERASE, KEEP};
use crate::ledger::Ledger;

/// The table that is counted.
pub const TABLE: &str = "T";
/// A table whose rows are replaced again and again.
pub const REPLACED: &str = "G";
/// Rows of the replaced table.
pub const REPLACED_ROWS: usize = 5;
/// A table whose rows are older than its retention when they come.
pub const EXPIRED: &str = "Old";
/// A table that rows are deleted from.
pub const DELETED: &str = "Erased";
/// Rows of one write.
const BATCH_ROWS: i64 = 20;
/// How long a client waits for an answer before it sends again.
const PATIENCE: Duration = Duration::from_secs(4);
/// Ids of one client.
const CLIENT_IDS: i64 = 1_000_000_000;

/// Where the nodes are; the first is the one that fails.
#[derive(Debug, Default)]
pub struct Targets(RwLock<Vec<String>>);

impl Targets {
    /// Says where the nodes are now.
    pub fn set(&self, urls: Vec<String>) {
        *self.0.write() = urls;
    }

    fn at(&self, attempt: usize) -> String {
        let urls = self.0.read();
        urls.get(attempt % urls.len().max(1)).cloned().unwrap_or_default()
    }
}

/// What everybody who sends requests shares.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where to.
    pub targets: Arc<Targets>,
    /// What must be there.
    pub ledger: Arc<Ledger>,
    /// The HTTP client.
    pub client: reqwest::Client,
    /// What is deleted on purpose.
    pub deletions: Arc<Deletions>,
    /// Which failures may be, besides those that ask to try again.
    pub expected: Expected,
}

/// Failures that are right for what was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// None: only answers that ask to try again.
    Transient,
    /// A panic in a request is an answer 500 `internal`.
    Panics,
    /// Bytes that changed under way are an answer 500 `storage.corrupt`.
    Corruption,
}

impl Expected {
    fn allows(self, status: u16, code: &str) -> bool {
        match (status, code) {
            (408 | 409 | 429 | 503 | 504, _) => true,
            (500, "internal") => self == Expected::Panics,
            (500, "storage.corrupt") => self == Expected::Corruption,
            _ => false,
        }
    }
}

/// One writer.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    /// Its number; its ids follow from it.
    pub number: i64,
    /// Whether it sends idempotency keys. One that does not relies on resending the same bytes.
    pub keyed: bool,
}

impl Load {
    /// Writes batch after batch until told to stop, each until it is acknowledged.
    pub async fn write(self, writer: Writer, stop: CancellationToken) {
        for batch in 0.. {
            let first = writer.number * CLIENT_IDS + batch * BATCH_ROWS;
            let ids: Vec<i64> = (first..first + BATCH_ROWS).collect();
            self.ledger.sent(&ids);
            let key = writer.keyed.then(|| format!("{}-{batch}", writer.number));
            self.write_until_acked(key.as_deref(), &body(&ids, batch), ids.len()).await;
            self.ledger.acked(&ids);
            let pause = between(20, 60);
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    async fn write_until_acked(&self, key: Option<&str>, body: &str, rows: usize) {
        for attempt in 0.. {
            match self.write_once(attempt, key, body).await {
                Ok(answer) if answer["rows"] == json!(rows) => return,
                Ok(answer) => return self.ledger.violated(format!("a write of {rows} rows was answered {answer}")),
                Err(error) => self.ledger.failed(&error.to_string()),
            }
            let backoff = 40_u64.saturating_mul(1 << attempt.min(4));
            sleep(between(backoff / 2, backoff)).await;
        }
    }

    async fn write_once(&self, attempt: usize, key: Option<&str>, body: &str) -> Result<Value> {
        let url = format!("{}/v1/ingest/default/{TABLE}", self.targets.at(attempt));
        let mut request = self.client.post(url).timeout(PATIENCE).body(body.to_owned());
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = self.answer(request).await?;
        Ok(answer)
    }

    /// The answer of a request that may fail in ways that a client repeats; any other failure is a violation, too.
    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let reply = request.send().await.map_err(|error| match error.is_timeout() {
            true => anyhow::anyhow!("no answer in time"),
            false => anyhow::anyhow!("no connection"),
        })?;
        let status = reply.status();
        let answer: Value = reply.json().await.map_err(|_| anyhow::anyhow!("a broken answer"))?;
        if status.is_success() {
            return Ok(answer);
        }
        let code = answer["error"]["code"].as_str().unwrap_or("?").to_owned();
        if !self.expected.allows(status.as_u16(), &code) {
            self.ledger.violated(format!("a sound request was refused for good: {status} {answer}"));
        }
        bail!("{} {code}", status.as_u16())
    }

    /// The rows of a query, or of a command.
    pub async fn query(&self, url: &str, text: &str) -> Result<Vec<Value>> {
        let body = json!({"query": text, "language": "kql", "database": "default"});
        let request = self.client.post(format!("{url}/v1/query")).timeout(PATIENCE * 3).json(&body);
        let answer = self.answer(request).await?;
        answer["rows"].as_array().cloned().context("an answer without rows")
    }

    /// Every id of the counted table, as often as it is there.
    pub async fn ids(&self, url: &str) -> Result<Vec<i64>> {
        let rows = self.query(url, &format!("{TABLE} | project id")).await?;
        rows.iter().map(|row| row[0].as_i64().context("an id")).collect()
    }

    /// Compares what any node answers with the ledger, again and again.
    pub async fn read(self, stop: CancellationToken) {
        for turn in 0.. {
            let acked = self.ledger.acked_now();
            let url = self.targets.at(turn);
            if !acked.is_empty() {
                match self.ids(&url).await {
                    Ok(ids) => self.ledger.compare(&acked, &ids, "while it ran"),
                    Err(error) => self.ledger.failed(&format!("read: {error}")),
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(Duration::from_millis(400)) => {}
            }
        }
    }

    /// Makes the tables: the counted one recognises writes that are sent again, the one of old rows keeps none.
    pub async fn make_tables(&self, url: &str, database: &TestDatabase) -> Result<()> {
        for table in [TABLE, EXPIRED, REPLACED, DELETED] {
            self.query(url, &format!(".create table {table} (Timestamp: datetime, id: long, message: string)")).await?;
        }
        self.query(url, &format!(".alter table {EXPIRED} policy retention softdelete = 365d")).await?;
        let recognise = format!("UPDATE tables SET deduplication_seconds = 3600 WHERE name = '{TABLE}'");
        database.execute(&recognise).await;
        Ok(())
    }

    /// Writes a row that stays and one that goes, and deletes the rows that go. Without a key and unanswered they may be there
    /// or not, and count for nothing.
    async fn write_and_erase(&self, turn: usize) -> Result<()> {
        let (url, id) = (self.targets.at(turn), turn as i64);
        let row = |text: &str| json!({"Timestamp": "2026-01-01T00:00:00Z", "id": id, "message": text});
        let body = format!("{}\n{}\n", row(KEEP), row(ERASE));
        let request = self.client.post(format!("{url}/v1/ingest/default/{DELETED}")).timeout(PATIENCE);
        self.answer(request.header("Idempotency-Key", format!("erase-{id}")).body(body)).await?;
        self.deletions.acked(id);
        let erase =
            format!(".delete async table {DELETED} records <| {DELETED} | where message == '{ERASE}' and id <= {id}");
        self.query(&url, &erase).await?;
        self.deletions.accepted(id);
        Ok(())
    }

    /// Makes garbage of every kind: writes rows that are past their time, replaces and deletes rows, and puts objects that
    /// nobody knows.
    pub async fn make_garbage(self, s3: Arc<dyn object_store::ObjectStore>, stop: CancellationToken) {
        for turn in 0.. {
            let replace = format!(".set-or-replace {REPLACED} <| {TABLE} | project id | take {REPLACED_ROWS}");
            let replacing = async {
                if self.ledger.acks() > 0
                    && let Err(error) = self.query(&self.targets.at(turn), &replace).await
                {
                    self.ledger.failed(&format!("replace: {error}"));
                }
            };
            let expiring = async {
                let url = format!("{}/v1/ingest/default/{EXPIRED}", self.targets.at(turn));
                let body = json!({"Timestamp": "2020-01-01T00:00:00Z", "id": turn, "message": "old"}).to_string();
                if let Err(error) = self.answer(self.client.post(url).timeout(PATIENCE).body(body)).await {
                    self.ledger.failed(&format!("old row: {error}"));
                }
            };
            let path = object_store::path::Path::from(format!("extents/2020/01/01/{}.kyma", uuid::Uuid::now_v7()));
            let putting = s3.put(&path, PutPayload::from_static(b"nobody knows this"));
            let erasing = async {
                if let Err(error) = self.write_and_erase(turn).await {
                    self.ledger.failed(&format!("delete: {error}"));
                }
            };
            let (put, (), (), ()) = tokio::join!(putting, replacing, expiring, erasing);
            if let Err(error) = put {
                self.ledger.failed(&format!("put: {error}"));
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(Duration::from_millis(300)) => {}
            }
        }
    }
}

fn between(least_millis: u64, most_millis: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(least_millis..most_millis))
}

/// Rows as NDJSON. Later batches bring columns that earlier ones lack, so that the table grows under way.
fn body(ids: &[i64], batch: i64) -> String {
    let line = |id: &i64| {
        let mut row = json!({
            "Timestamp": format!("2026-01-01T{:02}:{:02}:{:02}Z", id / 3600 % 24, id / 60 % 60, id % 60),
            "id": id,
            "message": format!("request {id} of batch {batch}"),
        });
        row[format!("extra{}", batch / 4 % 3)] = json!(id % 7);
        format!("{row}\n")
    };
    ids.iter().map(line).collect()
}

/// Keys of kyma's extents in the bucket.
pub async fn stored_keys(s3: &TestS3) -> Result<BTreeSet<String>> {
    use futures::TryStreamExt;
    let store = s3.object_store();
    let prefix = object_store::path::Path::from("extents");
    let listed: Vec<_> = store.list(Some(&prefix)).try_collect().await?;
    Ok(listed.into_iter().map(|object| object.location.to_string()).collect())
}
