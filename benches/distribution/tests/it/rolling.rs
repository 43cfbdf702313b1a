//! A rolling restart of three nodes under load: no client sees anything but answers and invitations to ask again.
//!
//! The client goes round robin over the nodes, as through a balancer that notices nothing. It asks again only after a
//! refused connection or an answer that says so (429 and 503 with `Retry-After`): a connection that breaks under a
//! request is an error that the test counts, and so is any other answer. It uses no connection that was idle for as long as
//! a node says that it leaves: one that a server closes while a request is on its way cannot be told from one that broke.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use kyma_testkit::ports::free_port;
use serde_json::{Value, json};

use crate::process::Cluster;

const WRITERS: u64 = 6;
const READERS: usize = 2;
const LAME_DUCK: Duration = Duration::from_millis(500);
/// From SIGTERM to the end of the process.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

struct Client {
    http: reqwest::Client,
    urls: Vec<String>,
    next: AtomicUsize,
    over: AtomicBool,
    acked: AtomicU64,
    /// Invitations to ask again, by what they were.
    again: parking_lot::Mutex<BTreeMap<String, u64>>,
}

impl Client {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Asks nodes in turn until one answers; or what went wrong for good.
    async fn ask(&self, path: &str, key: Option<&str>, body: String) -> Result<Value, String> {
        loop {
            let url = &self.urls[self.next.fetch_add(1, Ordering::SeqCst) % self.urls.len()];
            let mut request = self.http.post(format!("{url}{path}")).body(body.clone());
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            match request.send().await {
                Ok(reply) if reply.status().is_success() => {
                    return reply.json().await.map_err(|error| format!("an answer broke off: {error:?}"));
                }
                Ok(reply) if matches!(reply.status().as_u16(), 429 | 503) => {
                    if !reply.headers().contains_key("retry-after") {
                        return Err(format!("an answer does not say when: {reply:?}"));
                    }
                    let answer: Value =
                        reply.json().await.map_err(|error| format!("an answer broke off: {error:?}"))?;
                    self.count(answer["error"]["code"].as_str().unwrap_or("no code"));
                }
                Ok(reply) => return Err(format!("{} {}", reply.status(), reply.text().await.unwrap_or_default())),
                Err(error) if error.is_connect() => self.count("not connected"),
                Err(error) => return Err(format!("a connection broke: {error:?}")),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn count(&self, why: &str) {
        *self.again.lock().entry(why.to_owned()).or_default() += 1;
    }

    /// Writes one row at a time; how many were acknowledged.
    async fn write(&self, writer: u64) -> Result<u64, String> {
        let mut rows = 0;
        while !self.is_over() {
            let id = rows * WRITERS + writer;
            let body = format!("{{\"id\":{id},\"text\":\"row {id} of writer {writer}\"}}\n");
            let answer = self.ask("/v1/ingest/default/T", Some(&format!("row-{id}")), body).await?;
            if answer["rows"] != 1 {
                return Err(format!("one row is not one row: {answer}"));
            }
            self.acked.fetch_add(1, Ordering::SeqCst);
            rows += 1;
        }
        Ok(rows)
    }

    /// Counts rows again and again: what was acknowledged before is there. How often it was answered.
    async fn read(&self) -> Result<u64, String> {
        let mut answers = 0;
        while !self.is_over() {
            let acked = self.acked.load(Ordering::SeqCst);
            let body = json!({ "query": "T | summarize count(), countif(text has 'row')" }).to_string();
            let answer = self.ask("/v1/query", None, body).await?;
            let found = answer["rows"][0][0].as_u64().unwrap_or(0);
            if found < acked || answer["rows"][0][1] != found {
                return Err(format!("{acked} rows were acknowledged, {answer}"));
            }
            answers += 1;
        }
        Ok(answers)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_nothing_and_breaks_no_request() {
    let cluster = Cluster::start().await;
    let lame_duck = LAME_DUCK.as_millis().to_string();
    let variables = [("KYMA_SERVER__LAME_DUCK_MILLIS", &*lame_duck), ("KYMA_INGEST__FLUSH_INTERVAL_MILLIS", "100")];
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let port = free_port();
        nodes.push((port, cluster.node_at(port, &variables).await));
    }
    nodes[0].1.ingest("T", "first", &[json!({ "id": -1, "text": "row" })]).await.expect("the table is made");
    let client = Client {
        http: reqwest::Client::builder().pool_idle_timeout(LAME_DUCK / 2).build().expect("a client can be made"),
        urls: nodes.iter().map(|(_, node)| node.url.clone()).collect(),
        next: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        acked: AtomicU64::new(1),
        again: parking_lot::Mutex::default(),
    };
    let restarts = async {
        let mut again = Vec::new();
        for (port, node) in nodes {
            let took = node.terminate().await;
            assert!(took < DRAIN_TIME_MAX, "{took:?}");
            again.push(cluster.node_at(port, &variables).await);
        }
        client.over.store(true, Ordering::SeqCst);
        again
    };
    let writers = futures::future::join_all((0..WRITERS).map(|writer| client.write(writer)));
    let readers = futures::future::join_all((0..READERS).map(|_| client.read()));
    let (nodes, written, read) = tokio::join!(restarts, writers, readers);

    let written = written.into_iter().collect::<Result<Vec<u64>, String>>().expect("every write ends with an ack");
    let read = read.into_iter().collect::<Result<Vec<u64>, String>>().expect("every query ends with an answer");
    let again = client.again.lock().clone();
    assert!(written.iter().chain(&read).all(|count| *count > 0), "{written:?} {read:?}");
    // Otherwise the restart was not noticed, and nothing was tested.
    assert!(again.keys().any(|why| why == "server.draining" || why == "not connected"), "{again:?}");
    let acked: u64 = written.iter().sum();
    for node in &nodes {
        let answer =
            node.query("T | where id >= 0 | summarize n = count() by id | summarize sum(n), max(n), count()").await;
        assert_eq!(answer, [json!([acked, 1, acked])], "asked again: {again:?}");
    }
}
