//! Real `kyma serve` processes over a real PostgreSQL and a real server of S3's protocol.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kyma_testkit::postgres::TestDatabase;
use kyma_testkit::s3::TestS3;
use tokio::time::{Instant, sleep};

/// How long a node may take to be ready: debug builds on a busy machine.
const READY_MAX: Duration = Duration::from_secs(90);
/// Wait between two looks at a process.
const LOOK: Duration = Duration::from_millis(50);

/// Settings that make background work eager and waits short, so that a cell takes seconds. Each relation of the defaults
/// is kept: a lease is longer than a poll, what is called stale is older than a flush takes, and a stop of a minute is
/// longer than all of them.
pub const SETTINGS: [(&str, &str); 25] = [
    ("LOG", "info"),
    ("CACHE_MEMORY_BYTES", "16777216"),
    ("STORE_SECONDS", "10"),
    ("SERVER__HEARTBEAT_SECONDS", "1"),
    ("SERVER__HOLD_SECONDS", "6"),
    ("SERVER__DRAIN_SECONDS", "10"),
    ("INGEST__FLUSH_INTERVAL_MILLIS", "50"),
    ("INGEST__CATALOG_TIMEOUT_MILLIS", "8000"),
    ("INGEST__OUTCOME_TIMEOUT_MILLIS", "8000"),
    ("INGEST__TABLE_AGE_MAX_MILLIS", "200"),
    ("WORKER__COMPACT__PERIOD_MILLIS", "500"),
    ("WORKER__COMPACT__GATHER_EXTENTS", "4"),
    ("WORKER__COMPACT__GATHER_AGE_MILLIS", "1500"),
    ("WORKER__COMPACT__QUIET_MILLIS", "2000"),
    ("WORKER__RETENTION__PERIOD_MILLIS", "500"),
    ("WORKER__JOURNAL__PERIOD_MILLIS", "500"),
    ("WORKER__POLL_MILLIS", "100"),
    ("WORKER__LEASE_MILLIS", "4000"),
    ("WORKER__STOP_GRACE_MILLIS", "2000"),
    ("WORKER__GARBAGE__PERIOD_MILLIS", "300"),
    ("WORKER__GARBAGE__RESERVATION_AGE_MILLIS", "6000"),
    ("WORKER__GARBAGE__REMOVED_GRACE_MILLIS", "3000"),
    ("WORKER__GARBAGE__SWEEP_PERIOD_MILLIS", "1000"),
    ("WORKER__GARBAGE__UNKNOWN_AGE_MILLIS", "3000"),
    ("WORKER__GARBAGE__CLOCK_DIFFERENCE_MILLIS", "0"),
];

/// What the nodes of a cell share.
#[derive(Debug)]
pub struct Cluster {
    /// The catalog's database.
    pub database: TestDatabase,
    /// The bucket, served outside the nodes' processes.
    pub s3: TestS3,
    /// What every node's environment says; keys without `KYMA_`.
    pub settings: BTreeMap<String, String>,
    binary: PathBuf,
    folder: tempfile::TempDir,
    client: reqwest::Client,
}

impl Cluster {
    /// A fresh catalog and bucket, and no node.
    pub async fn start(binary: &Path) -> Result<Cluster> {
        let (database, s3) = tokio::join!(kyma_testkit::postgres::database(), kyma_testkit::s3::server());
        let mut settings: BTreeMap<String, String> =
            SETTINGS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        settings.insert("CATALOG_URL".to_owned(), database.url.clone());
        settings.insert("STORE_URL".to_owned(), s3.url.to_string());
        for (key, value) in &s3.options {
            settings.insert(format!("STORE_OPTIONS__{}", key.to_uppercase()), value.clone());
        }
        let folder = tempfile::tempdir().context("a temporary folder")?;
        // A connection that is kept is no new process's: each request makes its own.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build()?;
        Ok(Cluster { database, s3, settings, binary: binary.to_owned(), folder, client })
    }

    /// Starts a node with these failpoints, without waiting until it is ready.
    pub fn spawn(&self, name: &str, failpoints: &str) -> Result<Node> {
        let port = kyma_testkit::ports::free_port();
        let log = self.folder.path().join(format!("{name}.log"));
        let mut command = self.command();
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
        if !failpoints.is_empty() {
            command.env(kyma_core::failpoint::VARIABLE, failpoints);
        }
        command.stdin(Stdio::null()).stdout(appended(&log)?).stderr(appended(&log)?);
        let child = command.spawn().with_context(|| format!("start {}", self.binary.display()))?;
        Ok(Node { child, url: format!("http://127.0.0.1:{port}"), log, client: self.client.clone() })
    }

    /// Runs a command of the binary over the catalog and the bucket; what it printed, or why it failed.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = tokio::process::Command::from(self.command());
        let output = command.args(args).stdin(Stdio::null()).kill_on_drop(true).output().await.context("run it")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{}: {said}{}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(said)
    }

    /// The binary with the settings in its environment.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(self.folder.path());
        for (key, value) in &self.settings {
            command.env(format!("KYMA_{key}"), value);
        }
        command
    }

    /// The client for requests to nodes.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }
}

#[allow(clippy::disallowed_methods)] // A log of a test.
fn appended(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).context("open a log")
}

/// One process; killed when dropped.
#[derive(Debug)]
pub struct Node {
    child: Child,
    /// Where it answers.
    pub url: String,
    log: PathBuf,
    client: reqwest::Client,
}

impl Node {
    /// Waits until it is ready. An error when it ends instead.
    pub async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_MAX;
        while Instant::now() < deadline {
            let asked = self.client.get(format!("{}/readyz", self.url)).timeout(Duration::from_secs(5)).send().await;
            if asked.is_ok_and(|reply| reply.status().is_success()) {
                return Ok(());
            }
            if let Some(status) = self.ended()? {
                bail!("a node ended with {status} before it was ready:\n{}", self.tail());
            }
            sleep(LOOK).await;
        }
        bail!("a node was not ready within {READY_MAX:?}:\n{}", self.tail())
    }

    /// How the process ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for the end of the process, if it comes in time.
    pub async fn ends_within(&mut self, time: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + time;
        loop {
            let ended = self.ended()?;
            if ended.is_some() || Instant::now() >= deadline {
                return Ok(ended);
            }
            sleep(LOOK).await;
        }
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("/bin/sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status()?;
        if sent.success() { Ok(()) } else { bail!("SIG{name} could not be sent: {sent}") }
    }

    /// Whether the process is stopped by a signal.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // The state follows the name, which stands in parentheses and may hold any character.
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    }

    /// What it logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of what it logged.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
