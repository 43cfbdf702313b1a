//! One PostgreSQL process on one data directory.
//!
//! Steps of a start:
//!
//! 1. Prepare the directory, and take the lock beside it: the kernel frees it when its holder dies, so whoever has it
//!    is the only owner.
//! 2. A `postmaster.pid` is then a leftover. A server that still runs on the directory is stopped; files that name
//!    another process, or none, are removed with the socket's lock beside them.
//! 3. `initdb` into an empty directory. It is run in a directory below, whose entries move up when complete, so that an
//!    interrupted one is never mistaken for data. A directory that holds anything else is refused.
//! 4. Start `postgres` in a process group of its own: Ctrl-C in a terminal must reach kyma first, which flushes and then
//!    stops the server.
//! 5. Wait until `postmaster.pid` says `ready`, or the process ends, or the time is up. A failure carries the log's tail.
//!
//! If this process is killed, the server stays until the next start finds it (step 2).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kyma_core::{Error, Result};
use tokio_postgres::NoTls;

use super::binaries::{Binaries, find_version};
use super::{place, provide};

/// Longest wait for a server to accept connections; a crashed one replays its log first.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for a server to stop by itself.
const STOP_TIMEOUT_SECS: u32 = 20;
/// Longest path of a unix socket, without the ending zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Name of the socket in its directory.
const SOCKET_NAME: &str = ".s.PGSQL.5432";
/// The only user of a private server.
const USER: &str = "kyma";
/// Where `initdb` works until it is complete.
const UNFINISHED: &str = "kyma-initdb-unfinished";
/// Bytes of the log that an error shows.
const LOG_TAIL_BYTES: usize = 2_000;

/// How a private server runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its data is. Its parent also gets a log and a lock file named after it.
    pub data_dir: PathBuf,
    /// Whether data survives a crash of the machine. `false` is for tests.
    pub durable: bool,
    /// Where the socket goes; the data directory by default.
    pub socket_dir: Option<PathBuf>,
    /// Most connections.
    pub connections_max: u32,
    /// The programs to use; found, or fetched, by default.
    pub binaries: Option<Binaries>,
}

impl Options {
    /// A durable server on `data_dir`.
    pub fn durable(data_dir: impl Into<PathBuf>) -> Options {
        Options { data_dir: data_dir.into(), durable: true, socket_dir: None, connections_max: 100, binaries: None }
    }

    /// A server on `data_dir` that is fast and forgetful: a crash of the machine loses data.
    pub fn throw_away(data_dir: impl Into<PathBuf>) -> Options {
        Options { durable: false, connections_max: 500, ..Options::durable(data_dir) }
    }
}

/// A running private server. Dropping it asks the server to stop, without waiting; prefer [`Server::stop`].
#[derive(Debug)]
pub struct Server {
    child: Child,
    binaries: Binaries,
    data_dir: PathBuf,
    socket_dir: PathBuf,
    log: PathBuf,
    /// A socket directory that this server made and removes.
    own_socket_dir: bool,
    /// Held for as long as the server is ours.
    _lock: DirectoryLock,
    stopped: bool,
}

impl Server {
    /// Starts a server, and creates the database `kyma` unless it exists.
    pub async fn start(options: Options) -> Result<Server> {
        let started = tokio::task::spawn_blocking(move || start_blocking(&options));
        let server = started
            .await
            .map_err(|error| Error::internal("the start of PostgreSQL was interrupted").because(error))??;
        server.ensure_database("kyma").await?;
        Ok(server)
    }

    /// The URL of the database `kyma`.
    pub fn url(&self) -> String {
        self.url_of("kyma")
    }

    /// The URL of a database.
    pub fn url_of(&self, database: &str) -> String {
        let socket =
            url::form_urlencoded::byte_serialize(self.socket_dir.as_os_str().as_encoded_bytes()).collect::<String>();
        format!("postgres:///{database}?host={socket}&user={USER}")
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its data really is.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The programs it runs from.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Ends sessions, writes everything down and stops.
    pub async fn stop(mut self) -> Result<()> {
        let stopping = tokio::task::spawn_blocking(move || {
            self.stopped = true;
            let stopped = stop_at(&self.binaries, &self.data_dir);
            let _ = self.child.wait();
            self.remove_socket_dir();
            stopped
        });
        stopping.await.map_err(|error| Error::internal("the stop of PostgreSQL was interrupted").because(error))?
    }

    async fn ensure_database(&self, name: &str) -> Result<()> {
        let failed = crate::error::statement("create database");
        let (client, connection) = tokio_postgres::connect(&self.url_of("postgres"), NoTls).await.map_err(&failed)?;
        let work = async {
            let exists =
                client.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.map_err(&failed)?;
            if exists.is_empty() {
                client.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await.map_err(&failed)?;
            }
            Ok(())
        };
        tokio::select! {
            done = work => done,
            closed = connection => Err(crate::error::down("create database", format!("{closed:?}"))),
        }
    }

    fn remove_socket_dir(&self) {
        if self.own_socket_dir {
            let _ = std::fs::remove_dir_all(&self.socket_dir);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.stopped {
            let _ = pg_ctl(&self.binaries, &self.data_dir).args(["stop", "-m", "fast", "-W"]).status();
            self.remove_socket_dir();
        }
    }
}

/// The steps at the top of the file.
fn start_blocking(options: &Options) -> Result<Server> {
    let wanted = absolute(&options.data_dir)?;
    let lock = lock_beside(&wanted)?;
    refuse_foreign(&wanted)?;
    let data_dir = place::prepare(&wanted)?;
    let binaries = choose_binaries(options, &data_dir)?;
    clear_leftover(&binaries, &data_dir)?;
    if !data_dir.join("PG_VERSION").exists() {
        initialise(&binaries, &data_dir, options.durable)?;
    }
    let (socket_dir, own_socket_dir) = socket_directory(options, &data_dir)?;
    let log = beside(&wanted, "log");
    let child = spawn(&binaries, &data_dir, &socket_dir, &log, options)?;
    let mut server = Server { child, binaries, data_dir, socket_dir, log, own_socket_dir, _lock: lock, stopped: false };
    wait_until_ready(&mut server)?;
    Ok(server)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| start_failed("the data directory has no absolute path").because(error))
}

fn start_failed(what: impl Into<String>) -> Error {
    Error::unavailable("local.start_failed", what)
}

/// `data` becomes `data.log`, beside it.
fn beside(data_dir: &Path, extension: &str) -> PathBuf {
    let mut name = data_dir.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    data_dir.with_file_name(name)
}

/// The lock on a data directory. It belongs to the open file and goes with the process, but a child between fork and
/// exec has the file open too: closing it would leave the lock to that child for a moment, so it is given back by name.
#[derive(Debug)]
struct DirectoryLock(File);

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Step 1.
#[allow(clippy::disallowed_methods)] // A lock and a log of a local process: not data of kyma.
fn lock_beside(data_dir: &Path) -> Result<DirectoryLock> {
    let path = beside(data_dir, "lock");
    let failed = |error| start_failed(format!("the lock cannot be opened: file={}", path.display())).because(error);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(DirectoryLock(file)),
        Err(TryLockError::WouldBlock) => {
            let message = format!("another process runs on the data directory: directory={}", data_dir.display());
            Err(Error::conflict("local.in_use", message).hint("stop the other `kyma dev`, or choose another directory"))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Step 1, before anything is touched: empty, ours, or an `initdb` that was interrupted.
fn refuse_foreign(data_dir: &Path) -> Result<()> {
    let is_ours = data_dir.join("PG_VERSION").exists() || data_dir.join(UNFINISHED).exists();
    let is_empty = std::fs::read_dir(data_dir).map_or(true, |mut entries| entries.next().is_none());
    if is_ours || is_empty {
        return Ok(());
    }
    let message = format!("the data directory holds other files: directory={}", data_dir.display());
    Err(Error::invalid("local.directory_foreign", message)
        .hint("choose an empty directory, or one that does not exist"))
}

fn choose_binaries(options: &Options, data_dir: &Path) -> Result<Binaries> {
    if let Some(binaries) = &options.binaries {
        return Ok(binaries.clone());
    }
    let version = std::fs::read_to_string(data_dir.join("PG_VERSION")).ok();
    let major = version.and_then(|version| version.trim().parse().ok());
    find_version(major).or_else(|missing| match provide() {
        Ok(provided) if major.is_none_or(|major| provided.major == major) => Ok(provided),
        Ok(_) => Err(missing),
        Err(not_provided) => Err(missing.because(not_provided)),
    })
}

/// Step 2.
fn clear_leftover(binaries: &Binaries, data_dir: &Path) -> Result<()> {
    let pid_file = data_dir.join("postmaster.pid");
    let Ok(text) = std::fs::read_to_string(&pid_file) else { return Ok(()) };
    let pid: Option<u32> = text.lines().next().and_then(|line| line.trim().parse().ok());
    if pid.is_some_and(|pid| is_postgres_on(pid, data_dir)) {
        tracing::info!(pid, "stopping the PostgreSQL that a killed kyma left behind");
        return stop_at(binaries, data_dir);
    }
    for stale in [pid_file, data_dir.join(SOCKET_NAME), data_dir.join(format!("{SOCKET_NAME}.lock"))] {
        match std::fs::remove_file(&stale) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let message = format!("a stale file cannot be removed: file={}", stale.display());
                return Err(start_failed(message).because(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the process is a PostgreSQL that was started on this directory: pids are used again.
fn is_postgres_on(pid: u32, data_dir: &Path) -> bool {
    let command_line = match std::fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).replace('\0', " "),
        Err(_) if Path::new("/proc/self").exists() => return false,
        Err(_) => match Command::new("ps").args(["-p", &pid.to_string(), "-o", "args="]).output() {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(_) => return false,
        },
    };
    command_line.contains("postgres") && command_line.contains(&*data_dir.to_string_lossy())
}

/// Fast first, then at once; both leave data that the next start recovers.
fn stop_at(binaries: &Binaries, data_dir: &Path) -> Result<()> {
    let seconds = STOP_TIMEOUT_SECS.to_string();
    for mode in ["fast", "immediate"] {
        let status = pg_ctl(binaries, data_dir).args(["stop", "-w", "-t", &seconds, "-m", mode]).status();
        if status.is_ok_and(|status| status.success()) || !data_dir.join("postmaster.pid").exists() {
            return Ok(());
        }
    }
    Err(Error::unavailable("local.stop_failed", format!("PostgreSQL does not stop: directory={}", data_dir.display())))
}

fn pg_ctl(binaries: &Binaries, data_dir: &Path) -> Command {
    let mut command = place::command(binaries.program("pg_ctl"));
    command.arg("-D").arg(data_dir).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Step 3. `initdb` wants an empty directory; what it left unfinished is thrown away.
fn initialise(binaries: &Binaries, data_dir: &Path, durable: bool) -> Result<()> {
    let unfinished = data_dir.join(UNFINISHED);
    let _ = std::fs::remove_dir_all(&unfinished);
    let mut command = place::command(binaries.program("initdb"));
    command.arg("-D").arg(&unfinished).args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C"]);
    if !durable {
        command.arg("--no-sync");
    }
    let output = command.output().map_err(|error| start_failed("initdb does not run").because(error))?;
    if !output.status.success() {
        return Err(start_failed(format!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    promote(&unfinished, data_dir).map_err(|error| start_failed("initdb's files cannot be moved").because(error))
}

/// Moves every entry up, `PG_VERSION` last: with it the directory counts as initialised.
fn promote(unfinished: &Path, data_dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(data_dir)? {
        let entry = entry?;
        if entry.path() != unfinished {
            remove(&entry.path())?;
        }
    }
    for entry in std::fs::read_dir(unfinished)? {
        let entry = entry?;
        if entry.file_name() != "PG_VERSION" {
            std::fs::rename(entry.path(), data_dir.join(entry.file_name()))?;
        }
    }
    std::fs::rename(unfinished.join("PG_VERSION"), data_dir.join("PG_VERSION"))?;
    std::fs::remove_dir(unfinished)
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() && !path.is_symlink() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

/// The first directory whose socket path is short enough: as asked, the data directory, a new one below /tmp.
fn socket_directory(options: &Options, data_dir: &Path) -> Result<(PathBuf, bool)> {
    let fits = |directory: &Path| directory.join(SOCKET_NAME).as_os_str().len() <= SOCKET_PATH_BYTES_MAX;
    let failed = |error| start_failed("the socket's directory cannot be made").because(error);
    if let Some(asked) = &options.socket_dir {
        let asked = absolute(asked)?;
        if !asked.is_dir() {
            std::fs::create_dir_all(&asked).and_then(|()| place::own(&asked)).map_err(failed)?;
        }
        if fits(&asked) {
            return Ok((asked, false));
        }
    }
    if fits(data_dir) {
        return Ok((data_dir.to_owned(), false));
    }
    let short = Path::new("/tmp").join(format!("kyma-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&short).and_then(|()| place::own(&short)).map_err(failed)?;
    Ok((short, true))
}

/// Step 4.
#[allow(clippy::disallowed_methods)] // A lock and a log of a local process: not data of kyma.
fn spawn(binaries: &Binaries, data_dir: &Path, socket_dir: &Path, log: &Path, options: &Options) -> Result<Child> {
    let opened = OpenOptions::new().create(true).append(true).open(log);
    let stderr = opened
        .map_err(|error| start_failed(format!("the log cannot be opened: file={}", log.display())).because(error))?;
    let mut command = place::command(binaries.program("postgres"));
    command.arg("-D").arg(data_dir).arg("-k").arg(socket_dir).args(["-h", "", "-p", "5432"]);
    let mut set = |setting: &str| {
        command.args(["-c", setting]);
    };
    set(&format!("max_connections={}", options.connections_max));
    set("shared_buffers=32MB");
    set("logging_collector=off");
    if !options.durable {
        for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum_naptime=1h"] {
            set(setting);
        }
    }
    command.stdout(Stdio::null()).stderr(stderr).process_group(0);
    command.spawn().map_err(|error| start_failed("postgres does not run").because(error))
}

/// Step 5. The eighth line of `postmaster.pid` is the server's status.
fn wait_until_ready(server: &mut Server) -> Result<()> {
    let pid_file = server.data_dir.join("postmaster.pid");
    let pid = server.child.id().to_string();
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(&pid_file).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        if lines.first() == Some(&pid.as_str()) && lines.get(7) == Some(&"ready") {
            return Ok(());
        }
        if let Ok(Some(status)) = server.child.try_wait() {
            server.stopped = true;
            server.remove_socket_dir();
            return Err(start_failed(format!("PostgreSQL ended at its start: {status}: {}", log_tail(&server.log))));
        }
        if begun.elapsed() > START_TIMEOUT {
            return Err(start_failed(format!("PostgreSQL is not ready in time: {}", log_tail(&server.log))));
        }
        pause();
    }
}

#[allow(clippy::disallowed_methods)] // On a blocking thread, waiting for another process.
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

fn log_tail(log: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| file.read_to_end(&mut bytes));
    if read.is_err() {
        return String::new();
    }
    let start = bytes.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(&bytes[start..]).trim().to_owned()
}
