//! Where PostgreSQL's programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

use kyma_core::{Error, Result};

/// Names a directory with PostgreSQL's programs that goes before every other.
pub(crate) const DIRECTORY_VARIABLE: &str = "KYMA_POSTGRES_BIN";
/// The oldest PostgreSQL that kyma is tested on.
const MAJOR_MIN: u32 = 15;
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// A directory with `postgres`, `initdb` and `pg_ctl` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The directory.
    pub directory: PathBuf,
    /// PostgreSQL's major version.
    pub major: u32,
}

impl Binaries {
    /// The path of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The programs in `directory`, if all are there and new enough.
    pub fn at(directory: &Path) -> Option<Binaries> {
        if !PROGRAMS.iter().all(|name| directory.join(name).is_file()) {
            return None;
        }
        // A link leads to the directory whose neighbours hold PostgreSQL's own files.
        let postgres = directory.join("postgres").canonicalize().ok()?;
        let directory = postgres.parent()?.to_owned();
        let output = Command::new(&postgres).arg("--version").output().ok()?;
        let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
        (major >= MAJOR_MIN).then_some(Binaries { directory, major })
    }
}

/// Finds PostgreSQL 15 or newer: in `KYMA_POSTGRES_BIN`, on the PATH, and where packages put it, newest first.
///
/// Does not fetch anything; see [`crate::local::provide`].
pub fn find_binaries() -> Result<Binaries> {
    candidates(None).next().ok_or_else(missing)
}

/// As [`find_binaries`], of one major version if given: a data directory opens only with the version that made it.
pub(crate) fn find_version(major: Option<u32>) -> Result<Binaries> {
    candidates(major).next().ok_or_else(|| match major {
        None => missing(),
        Some(major) => missing().hint(format!("install PostgreSQL {major}, which made the data directory")),
    })
}

fn candidates(major: Option<u32>) -> impl Iterator<Item = Binaries> {
    let usable = move |binaries: &Binaries| major.is_none_or(|major| binaries.major == major);
    directories().into_iter().filter_map(|directory| Binaries::at(&directory)).filter(usable)
}

fn missing() -> Error {
    Error::not_found("local.postgres_missing", "PostgreSQL 15 or newer is not installed").hint(format!(
        "install it (`apt-get install postgresql`, `brew install postgresql@17`), or python3 with pip so that kyma can \
         fetch it, or name its program directory in {DIRECTORY_VARIABLE}, or give the URL of a running server"
    ))
}

fn directories() -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from).into_iter().collect();
    if let Some(path) = std::env::var_os("PATH") {
        directories.extend(std::env::split_paths(&path));
    }
    let versioned = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ];
    for (parent, prefix, below) in versioned {
        directories.extend(newest_first(Path::new(parent), prefix).into_iter().map(|found| found.join(below)));
    }
    directories.push("/usr/local/pgsql/bin".into());
    directories.extend(super::provide::provided());
    directories
}

fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let named = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(prefix);
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter(named)
        .map(|entry| (trailing_number(&entry.file_name().to_string_lossy()), entry.path()))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

fn trailing_number(name: &str) -> u32 {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The major version of `postgres (PostgreSQL) 15.18 (Debian ...)`.
fn parse_major(version: &str) -> Option<u32> {
    version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(trailing_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("nonsense"), None);
        assert_eq!(trailing_number("postgresql@17"), 17);
    }
}
