//! Runs the binary.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The binary with a clean environment: no variable of the machine is a setting.
pub(crate) fn kyma() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kyma"));
    command.env_clear();
    for kept in ["PATH", "HOME", "KYMA_POSTGRES_BIN"] {
        command.envs(std::env::var_os(kept).map(|value| (kept, value)));
    }
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    kyma().args(args).output().unwrap()
}

/// Runs with `input` on standard input.
pub(crate) fn run_with(args: &[&str], input: &[u8]) -> Output {
    let piped = || Stdio::piped();
    let mut child = kyma().args(args).stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A running node, killed when dropped.
pub(crate) struct Dev {
    child: Child,
    pub(crate) url: String,
    pub(crate) address: String,
    log: std::path::PathBuf,
}

impl Dev {
    /// Starts `kyma dev` on a free port and waits until it is ready.
    pub(crate) fn start(data_dir: &Path, more: &[&str]) -> Dev {
        Dev::start_on(&free_address(), data_dir, more)
    }

    /// The same on a given address.
    pub(crate) fn start_on(address: &str, data_dir: &Path, more: &[&str]) -> Dev {
        let mut command = kyma();
        command.arg("dev").arg("--data-dir").arg(data_dir).args(more);
        Dev::spawn(command, address, data_dir, "Ctrl-C stops")
    }

    /// Starts `kyma serve` with its objects in a folder and waits until it is ready.
    pub(crate) fn serve(catalog_url: &str, objects: &Path, variables: &[(&str, &str)]) -> Dev {
        let mut command = kyma();
        command.arg("serve").args(["--catalog-url", catalog_url]).envs(variables.iter().copied());
        command.arg("--store-url").arg(format!("file://{}", objects.display()));
        Dev::spawn(command, &free_address(), objects, "kyma listens on")
    }

    fn spawn(mut command: Command, address: &str, folder: &Path, ready: &str) -> Dev {
        let log = folder.with_extension("log");
        let output = std::fs::File::create(&log).unwrap();
        command.args(["--listen", address]).stdin(Stdio::null());
        let child = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        let mut dev = Dev { child, url: format!("http://{address}"), address: address.to_owned(), log };
        dev.wait_for(ready);
        dev
    }

    fn wait_for(&mut self, text: &str) {
        let began = Instant::now();
        while !self.output().contains(text) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("kyma ended with {status}:\n{}", self.output());
            }
            assert!(began.elapsed() < Duration::from_secs(180), "kyma does not start:\n{}", self.output());
            pause();
        }
    }

    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The rows of a KQL query, asked by the binary itself.
    pub(crate) fn rows(&self, query: &str) -> Value {
        let output = run(&["query", "--url", &self.url, "--format", "json", query]);
        assert!(output.status.success(), "{query}: {}\n{}", stderr(&output), self.output());
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["rows"].clone()
    }

    /// The most memory that the process ever had.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Stops it as a terminal or a supervisor does; it must end well.
    pub(crate) fn stop(self, signal: &str) {
        let log = self.log.clone();
        let status = self.end(signal);
        assert!(status.success(), "{status}:\n{}", std::fs::read_to_string(log).unwrap_or_default());
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Sends a signal; it must end soon.
    pub(crate) fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "kyma does not stop:\n{}", self.output());
            pause();
        }
    }

    /// `kill -9` of its PostgreSQL.
    pub(crate) fn kill_postgres(data_dir: &Path) {
        let note = std::fs::read_to_string(data_dir.join("postgres/postmaster.pid")).unwrap();
        let id = note.lines().next().unwrap();
        assert!(Command::new("kill").args(["-9", id]).status().unwrap().success());
    }

    /// `kill -9`: what it leaves, PostgreSQL above all, is for the next start.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether a PostgreSQL still runs on its data.
    pub(crate) fn postgres_runs(data_dir: &Path) -> bool {
        data_dir.join("postgres/postmaster.pid").exists()
    }

    pub(crate) fn ingest(&self, table: &str, rows: &[Value]) {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let output = run_with(&["ingest", "--url", &self.url, "--table", table, "-"], lines.as_bytes());
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> String {
    format!("127.0.0.1:{}", kyma_testkit::ports::free_port())
}

pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

pub(crate) fn row(n: i64) -> Value {
    json!({ "Timestamp": "2026-01-01T00:00:00Z", "n": n })
}
