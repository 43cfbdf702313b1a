//! Every path that `ARCHITECTURE.md` and the README name exists.

use crate::tree;

/// Words in backticks that look like a path of this repository.
fn named_paths(text: &str) -> Vec<String> {
    let roots = ["crates/", "migrations/", "proto/", "benches/", "docs/", ".ci/", "examples/"];
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|word| roots.iter().any(|root| word.starts_with(root)) && !word.contains(['*', '<', ' ', '{']))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_named_path_exists() {
    let mut missing = Vec::new();
    for document in ["ARCHITECTURE.md", "README.md", "docs/glossary.md", "docs/cookbook.md", "docs/benchmarks.md"] {
        let paths = named_paths(&tree::read(document));
        missing.extend(
            paths
                .into_iter()
                .filter(|path| !tree::root().join(path).exists())
                .map(|path| format!("{document}: {path}")),
        );
    }
    assert!(missing.is_empty(), "paths that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn the_architecture_names_enough_paths_to_be_a_map() {
    assert!(named_paths(&tree::read("ARCHITECTURE.md")).len() >= 20);
}
