//! The private server: starts, restarts, recovers, and refuses.

use std::path::Path;

use kyma_catalog_postgres::local::{Options, Server, find_binaries};
use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
use kyma_core::catalog::Tables;

async fn catalog(server: &Server) -> std::sync::Arc<PostgresCatalog> {
    let catalog = PostgresCatalog::connect(&server.url(), &CatalogSettings::default()).await.unwrap();
    catalog.migrate().await.unwrap();
    catalog
}

/// A directory that the server's user may enter.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// A process that has ended but was not collected by its parent has no command line.
fn is_alive(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn data_outlives_a_stop_and_a_lost_owner() {
    find_binaries().expect("PostgreSQL 15 or newer is installed");
    let directory = directory();
    let data = directory.path().join("catalog");
    let server = Server::start(Options::durable(&data)).await.unwrap();
    let made = catalog(&server).await.ensure_database("logs").await.unwrap();
    let taken = Server::start(Options::durable(&data)).await.unwrap_err();
    assert_eq!(taken.code(), "local.in_use");
    let pid = server.pid();
    server.stop().await.unwrap();
    assert!(!is_alive(pid), "a stopped server is gone");

    let server = Server::start(Options::durable(&data)).await.unwrap();
    assert_eq!(catalog(&server).await.database("logs").await.unwrap().as_ref(), Some(&made));
    // The server itself is killed, and its parent has not noticed.
    kill(server.pid(), "-KILL");
    drop(server);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let server = Server::start(Options::durable(&data)).await.unwrap();
    assert_eq!(catalog(&server).await.database("logs").await.unwrap().as_ref(), Some(&made));
    server.stop().await.unwrap();

    // The owner was killed and its server stayed: it is stopped, and a new one started.
    let left_behind = run_without_owner(&data);
    let server = Server::start(Options::durable(&data)).await.unwrap();
    assert_ne!(server.pid(), left_behind);
    assert!(!is_alive(left_behind));
    assert_eq!(catalog(&server).await.database("logs").await.unwrap(), Some(made));
    server.stop().await.unwrap();
}

/// Runs a server on `data` as a killed kyma leaves it; returns its process id.
fn run_without_owner(data: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    let owner = std::fs::metadata(data).unwrap();
    let mut command = std::process::Command::new(find_binaries().unwrap().program("pg_ctl"));
    command.args(["start", "-w", "-l", "/dev/null", "-o", "-h ''", "-o"]).arg(format!("-k {}", data.display()));
    command.arg("-D").arg(data).current_dir("/");
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(owner.uid()).gid(owner.gid());
    }
    assert!(command.status().unwrap().success());
    let pid_file = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    pid_file.lines().next().unwrap().parse().unwrap()
}

/// A `postmaster.pid` may name a process that has nothing to do with PostgreSQL: pids are used again.
#[tokio::test]
async fn a_stale_pid_file_does_not_block_the_start() {
    let directory = directory();
    let data = directory.path().join("catalog");
    Server::start(Options::throw_away(&data)).await.unwrap().stop().await.unwrap();
    let own = std::process::id();
    write(&data.join("postmaster.pid"), &format!("{own}\n{}\n0\n5432\n\n\n\nready\n", data.display()));
    let server = Server::start(Options::throw_away(&data)).await.unwrap();
    catalog(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_foreign_directory_is_refused_untouched() {
    let directory = directory();
    write(&directory.path().join("thesis.txt"), "years of work");
    let error = Server::start(Options::durable(directory.path())).await.unwrap_err();
    assert_eq!(error.code(), "local.directory_foreign");
    assert!(directory.path().join("thesis.txt").exists());
}

#[tokio::test]
async fn a_long_path_gets_a_short_socket_and_a_failed_start_says_why() {
    let directory = directory();
    let data = directory.path().join("long".repeat(30));
    let server = Server::start(Options::throw_away(&data)).await.unwrap();
    catalog(&server).await;
    server.stop().await.unwrap();
    write(&data.join("postgresql.conf"), "no_such_setting = 1\n");
    let error = Server::start(Options::throw_away(&data)).await.unwrap_err();
    assert!(error.message().contains("no_such_setting"), "{error:?}");
}

/// Root's server runs as another user, who cannot enter a private folder of root's.
#[tokio::test]
async fn a_private_folder_of_root_works_too() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let data = directory.path().join("catalog");
    let server = Server::start(Options::durable(&data)).await.unwrap();
    catalog(&server).await;
    let real = server.data_dir().to_owned();
    server.stop().await.unwrap();
    let server = Server::start(Options::durable(&data)).await.unwrap();
    assert_eq!(server.data_dir(), real, "it is found again");
    assert_eq!(data.canonicalize().unwrap(), real, "what was asked for leads there");
    server.stop().await.unwrap();
    std::fs::remove_dir_all(real).unwrap();
}

fn kill(pid: u32, signal: &str) {
    std::process::Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
}

#[allow(clippy::disallowed_methods)] // A test's own files.
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
