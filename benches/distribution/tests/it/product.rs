//! What must not be in the product, however the workspace is built.

use std::process::Command;

use crate::tree;

/// The features of a package in the graph of the binary alone, as `cargo build -p kyma` builds it.
fn product_features(package: &str) -> Vec<String> {
    let out = Command::new(env!("CARGO"))
        .args(["tree", "-p", "kyma", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"])
        .args(["--format", "{p} [{f}]"])
        .current_dir(tree::root())
        .output()
        .expect("cargo tree runs");
    assert!(out.status.success(), "cargo tree: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with(&format!("{package} "))).expect("the package is in the graph");
    let features = line.rsplit_once('[').and_then(|(_, rest)| rest.split(']').next()).expect("its features");
    features.split(',').filter(|feature| !feature.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_product_has_no_failpoints() {
    let features = product_features("kyma-core");
    assert!(!features.iter().any(|feature| feature == "failpoints"), "{features:?}");
    let manifest = tree::read("crates/kyma-core/Cargo.toml");
    assert!(manifest.contains("\nfailpoints = []\n"), "the feature that must be off is there, under this name");
}
