//! The repository and its dependency graph, as the tests read them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders up is the root").to_owned()
}

/// A file of the repository, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust source below `folder`, by path from the root.
pub(crate) fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut |path| {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            found.push((name, std::fs::read_to_string(path).expect("a readable source")));
        }
    });
    assert!(!found.is_empty(), "no sources below {folder}");
    found
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder entry").path();
        match path.is_dir() {
            true if path.file_name().is_some_and(|name| name == "target") => {}
            true => walk(&path, visit),
            false => visit(&path),
        }
    }
}

static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &host()])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("cargo metadata gives JSON")
});

/// The platform this runs on: crates of other platforms need not be at hand.
fn host() -> String {
    let out = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

/// A dependency edge of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) dev_only: bool,
}

/// Every edge of what is really built here, by package name. (`cargo metadata` also lists optional crates that nothing turns on.)
pub(crate) fn edges() -> BTreeSet<Edge> {
    let shipped = pairs("normal,build");
    let all = pairs("normal,build,dev").into_iter();
    all.map(|pair| Edge { dev_only: !shipped.contains(&pair), from: pair.0, to: pair.1 }).collect()
}

/// Pairs of user and used, from the indented tree that `cargo tree` prints.
fn pairs(kinds: &str) -> BTreeSet<(String, String)> {
    let out = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--locked",
            "--offline",
            "--prefix",
            "depth",
            "--edges",
            kinds,
            "--format",
            " {p}",
        ])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(out.status.success(), "cargo tree: {}", String::from_utf8_lossy(&out.stderr));
    let mut above: Vec<String> = Vec::new();
    let mut pairs = BTreeSet::new();
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        let mut words = line.split_whitespace();
        let (Some(depth), Some(name)) = (words.next(), words.next()) else { continue };
        let depth: usize = depth.parse().expect("a depth");
        above.truncate(depth);
        if let Some(user) = above.last() {
            pairs.insert((user.clone(), name.to_owned()));
        }
        above.push(name.to_owned());
    }
    assert!(pairs.len() > 500, "cargo tree printed too little");
    pairs
}

/// The features that a package is built with, and all that it builds on.
pub(crate) fn features(package: &str) -> String {
    let edges = "normal,build,features";
    let out = Command::new(env!("CARGO"))
        .args(["tree", "--package", package, "--locked", "--offline", "--prefix", "none", "--edges", edges])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(out.status.success(), "cargo tree: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Every version in the graph, by package name.
pub(crate) fn versions() -> BTreeMap<String, BTreeSet<String>> {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in array(&METADATA["packages"]) {
        versions.entry(text(&package["name"]).to_owned()).or_default().insert(text(&package["version"]).to_owned());
    }
    versions
}

/// Names of the workspace's own packages.
pub(crate) fn members() -> BTreeSet<String> {
    let ids: BTreeSet<&str> = array(&METADATA["workspace_members"]).map(text).collect();
    array(&METADATA["packages"]).filter(|p| ids.contains(text(&p["id"]))).map(|p| text(&p["name"]).to_owned()).collect()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string of cargo metadata")
}
