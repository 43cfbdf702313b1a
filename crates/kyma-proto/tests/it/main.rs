//! The checked-in generated code is what the `.proto` files give.

use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn generated_code_is_current() {
    let out = tempfile::tempdir().unwrap();
    let files = protox::compile(["kyma/v1/ingest.proto"], [repository().join("proto")]).unwrap();
    tonic_prost_build::configure().out_dir(out.path()).bytes(".").compile_fds(files).unwrap();

    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    let update = std::env::var_os("UPDATE").is_some();
    for entry in std::fs::read_dir(out.path()).unwrap() {
        let fresh = entry.unwrap();
        let expected = std::fs::read_to_string(fresh.path()).unwrap();
        let target = checked_in.join(fresh.file_name());
        if update {
            std::fs::copy(fresh.path(), &target).unwrap();
        }
        let found = std::fs::read_to_string(&target).unwrap_or_default();
        assert!(found == expected, "{} is stale: run UPDATE=1 cargo test -p kyma-proto", target.display());
    }
}
