//! Real kyma processes over a real PostgreSQL and a real S3 server.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use kyma_testkit::ports::free_port;
use kyma_testkit::postgres::TestDatabase;
use kyma_testkit::s3::TestS3;
use serde_json::{Value, json};

/// The binary that this run built: `cargo test --workspace` builds it because its package has integration tests.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    let path = test.ancestors().nth(2).expect("target/<profile>").join("kyma");
    assert!(
        path.exists(),
        "{} is missing: run `cargo test --workspace`, or `cargo build -p kyma` first",
        path.display()
    );
    path
}

/// Runs the binary to its end with a clean environment.
pub(crate) fn run(args: &[&str]) -> Output {
    Command::new(binary())
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .expect("kyma starts")
}

/// What nodes share: a catalog and a bucket.
pub(crate) struct Cluster {
    database: TestDatabase,
    s3: TestS3,
}

impl Cluster {
    pub(crate) async fn start() -> Cluster {
        let database = kyma_testkit::postgres::empty_database().await;
        let s3 = kyma_testkit::s3::server().await;
        let cluster = Cluster { database, s3 };
        let out = cluster.command("migrate", Path::new("/nonexistent")).output().expect("kyma migrate starts");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        cluster
    }

    /// The catalog is gone; a new one is made from the bucket alone.
    pub(crate) async fn rebuilt(self) -> Cluster {
        let Cluster { database, s3 } = self;
        drop(database);
        let cluster = Cluster { database: kyma_testkit::postgres::empty_database().await, s3 };
        for verb in ["migrate", "rebuild-catalog"] {
            cluster.succeed(verb);
        }
        cluster
    }

    /// Runs a command that must end well, and gives what it printed.
    pub(crate) fn succeed(&self, verb: &str) -> String {
        let mut words = verb.split(' ');
        let mut command = self.command(words.next().unwrap_or_default(), Path::new("/nonexistent"));
        let out = command.args(words).output().expect("kyma starts");
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "kyma {verb}: {said}");
        said
    }

    fn command(&self, verb: &str, cache: &Path) -> Command {
        let mut command = Command::new(binary());
        command.arg(verb);
        self.configure(&mut command, verb, cache);
        command
    }

    fn configure(&self, command: &mut Command, verb: &str, cache: &Path) {
        command.env("KYMA_CATALOG_URL", &self.database.url).env("KYMA_STORE_URL", self.s3.url.as_str());
        for (key, value) in &self.s3.options {
            command.env(format!("KYMA_STORE_OPTIONS__{}", key.to_uppercase()), value);
        }
        if verb == "serve" {
            command.env("KYMA_CACHE_DIR", cache);
        }
    }

    /// Starts a node and waits until it is ready.
    pub(crate) async fn node(&self) -> Node {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let command = self.command("serve", &cache.path().join("cache"));
        self.start_node(command, cache, free_port()).await
    }

    /// Starts a node at this port, with more variables, and waits until it is ready.
    pub(crate) async fn node_at(&self, port: u16, variables: &[(&str, &str)]) -> Node {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let mut command = self.command("serve", &cache.path().join("cache"));
        command.envs(variables.iter().copied());
        self.start_node(command, cache, port).await
    }

    /// Starts a node that cannot write any file: in a mount namespace of its own, whose root is mounted read-only.
    pub(crate) async fn node_on_read_only_root(&self) -> Node {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("unshare");
        let lock_then_run = "mount -o remount,bind,ro / && ! touch /tmp/kyma-writes 2>/dev/null && exec \"$0\" \"$@\"";
        if std::fs::metadata("/proc/self").expect("a Linux /proc").uid() != 0 {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "sh", "-c", lock_then_run]).arg(binary()).arg("serve");
        self.configure(&mut command, "serve", &cache.path().join("cache"));
        self.start_node(command, cache, free_port()).await
    }

    async fn start_node(&self, mut command: Command, cache: tempfile::TempDir, port: u16) -> Node {
        let log = cache.path().with_extension("log");
        let output = || std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        let child = command
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn()
            .expect("kyma serve starts");
        let node = Node { child, url: format!("http://127.0.0.1:{port}"), cache, log, client: reqwest::Client::new() };
        node.ready().await
    }
}

/// One running kyma process, killed when dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) url: String,
    cache: tempfile::TempDir,
    log: PathBuf,
    client: reqwest::Client,
}

impl Node {
    async fn ready(mut self) -> Node {
        for _ in 0..600 {
            if let Ok(reply) = self.client.get(format!("{}/readyz", self.url)).send().await
                && reply.status().is_success()
            {
                return self;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("kyma serve ended with {status}:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("kyma serve was not ready within a minute:\n{}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The node's cache folder.
    pub(crate) fn cache(&self) -> PathBuf {
        self.cache.path().join("cache")
    }

    /// `kill -9`, and its disk is gone.
    pub(crate) fn kill_and_wipe(mut self) {
        self.child.kill().expect("the process is killed");
        self.child.wait().expect("the process is reaped");
    }

    /// SIGTERM, as a supervisor sends it; how long the node took to end. It must end well.
    pub(crate) async fn terminate(mut self) -> Duration {
        let began = std::time::Instant::now();
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "the node was gone");
        loop {
            if let Some(status) = self.child.try_wait().expect("the process is there") {
                assert!(status.success(), "the node ended with {status}:\n{}", self.log());
                return began.elapsed();
            }
            assert!(began.elapsed() < Duration::from_secs(60), "the node does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends rows as NDJSON under an idempotency key; the acknowledgement, if there was one.
    pub(crate) async fn ingest(&self, table: &str, key: &str, rows: &[Value]) -> Option<Value> {
        let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let request = self
            .client
            .post(format!("{}/v1/ingest/default/{table}", self.url))
            .header("Idempotency-Key", key)
            .body(body);
        let reply = request.send().await.ok()?;
        match reply.status().is_success() {
            true => reply.json().await.ok(),
            false => None,
        }
    }

    /// The rows of a query's answer.
    pub(crate) async fn query(&self, text: &str) -> Vec<Value> {
        let body = json!({"query": text, "language": "kql", "database": "default"});
        let reply = self.client.post(format!("{}/v1/query", self.url)).json(&body).send().await.expect("an answer");
        let status = reply.status();
        let answer: Value = reply.json().await.expect("a JSON answer");
        assert!(status.is_success(), "{text}: {answer}\n{}", self.log());
        answer["rows"].as_array().cloned().expect("rows")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}
