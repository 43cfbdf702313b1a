//! Who owns a private server's files, and where they may be.
//!
//! PostgreSQL refuses to run as root, so root's servers run as [`NOBODY`]. That user must be able to reach the data
//! directory; where it cannot (below `/root`, for example) the directory moves to [`FALLBACK`] and a link is left in its
//! place, so that removing what the user sees also loses the catalog, as they would expect.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kyma_core::{Error, Result};

/// User and group of servers that root starts.
pub(crate) const NOBODY: u32 = 65_534;
/// Where data goes that [`NOBODY`] could not reach where it was asked for.
const FALLBACK: &str = "/var/lib/kyma";

/// Whether this process runs as root.
pub(crate) fn am_root() -> bool {
    // The owner of a new process's own directory is its effective user; elsewhere ask `id`.
    use std::os::unix::fs::MetadataExt;
    if let Ok(own) = std::fs::metadata("/proc/self") {
        return own.uid() == 0;
    }
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// A command that runs as the server's user.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if am_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    // A directory that the other user cannot enter makes some programs fail.
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Makes `wanted` a directory that the server's user owns and can reach, or a link to one; returns its real path.
pub(crate) fn prepare(wanted: &Path) -> Result<PathBuf> {
    let real = prepare_reachable(wanted).map_err(|error| {
        Error::unavailable(
            "local.directory",
            format!("the data directory cannot be made: directory={}", wanted.display()),
        )
        .hint("choose a directory that you may write to")
        .because(error)
    })?;
    Ok(real)
}

fn prepare_reachable(wanted: &Path) -> std::io::Result<PathBuf> {
    if wanted.is_symlink() && !wanted.exists() {
        std::fs::remove_file(wanted)?;
    }
    std::fs::create_dir_all(wanted)?;
    let real = wanted.canonicalize()?;
    own(&real)?;
    if !am_root() || reachable(&real) {
        return Ok(real);
    }
    let is_empty = std::fs::read_dir(&real)?.next().is_none();
    if !is_empty {
        return Err(std::io::Error::other("the user that PostgreSQL runs as cannot reach the directory"));
    }
    let moved = Path::new(FALLBACK).join(format!("postgres-{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir_all(&moved)?;
    own(&moved)?;
    if !reachable(&moved) {
        return Err(std::io::Error::other(format!("the user that PostgreSQL runs as cannot reach {FALLBACK}")));
    }
    std::fs::remove_dir(&real)?;
    symlink(&moved, &real)?;
    tracing::info!(asked = %wanted.display(), used = %moved.display(), "the catalog's data is kept elsewhere: PostgreSQL cannot run as root");
    Ok(moved)
}

/// Gives a directory to the server's user alone.
pub(crate) fn own(directory: &Path) -> std::io::Result<()> {
    if am_root() {
        chown(directory, Some(NOBODY), Some(NOBODY))?;
    }
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
}

fn reachable(directory: &Path) -> bool {
    let mut test = command("/bin/sh");
    test.args(["-c", "cd \"$0\" && test -w ."]).arg(directory).stdout(Stdio::null()).stderr(Stdio::null());
    test.status().is_ok_and(|status| status.success())
}
