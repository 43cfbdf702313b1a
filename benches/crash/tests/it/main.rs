//! Some cells of the crash matrix, and nodes behind proxies that break what passes.

mod proxies;
mod sample;

use std::path::PathBuf;

/// The binary that this run built: `cargo test --workspace` builds it, with failpoints, because this package is built, too.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    let path = test.ancestors().nth(2).expect("target/<profile>").join("kyma");
    assert!(
        path.exists(),
        "{} is missing: run `cargo test --workspace`, or `cargo build -p kyma -p kyma-crash` first",
        path.display()
    );
    path
}
