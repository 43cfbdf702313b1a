//! Cleans up after a test run, whatever became of it: a shell process that outlives the run and waits for its end.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// A test run: the processes that share a server.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Its name, unique on this machine.
    pub(crate) name: String,
    /// The process whose end ends the run.
    pid: u32,
}

impl Run {
    /// The nextest run that started this process, or else this process.
    pub(crate) fn current() -> Run {
        match std::env::var("NEXTEST_RUN_ID") {
            Ok(id) => Run { name: id, pid: std::os::unix::process::parent_id() },
            Err(_) => {
                let pid = std::process::id();
                Run { name: format!("{pid}-{}", uuid::Uuid::now_v7().simple()), pid }
            }
        }
    }
}

/// When the run ends, stops the server on `data` at once and removes `directory`.
pub(crate) fn stop_postgres(run: &Run, directory: &Path, data: &Path) -> Result<()> {
    let cleaning = "pid=$(head -n 1 \"$2/postmaster.pid\" 2>/dev/null); \
                    [ -n \"$pid\" ] && kill -QUIT \"$pid\" && \
                    for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 \"$pid\" 2>/dev/null || break; sleep 0.2; done; \
                    rm -rf \"$1\"";
    watch(run, cleaning, &[&directory.to_string_lossy(), &data.to_string_lossy()])
}

/// When the run ends, removes a container.
pub(crate) fn remove_container(run: &Run, id: &str) -> Result<()> {
    watch(run, "docker rm -f \"$1\"", &[id])
}

fn watch(run: &Run, cleaning: &str, arguments: &[&str]) -> Result<()> {
    let script = format!("while kill -0 \"$0\" 2>/dev/null; do sleep 0.5; done; {cleaning}");
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).arg(run.pid.to_string()).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/").process_group(0);
    command.spawn().context("start the watchdog").map(drop)
}
