//! The rules of `deny.toml`, checked without cargo-deny, and the bans that are about words in sources.

use std::collections::BTreeSet;

use crate::tree;

struct Ban {
    name: String,
    wrappers: BTreeSet<String>,
}

fn bans() -> Vec<Ban> {
    let document: toml::Table = tree::read("deny.toml").parse().expect("deny.toml is TOML");
    let rows = document["bans"]["deny"].as_array().expect("bans.deny is a list");
    let strings = |value: Option<&toml::Value>| -> BTreeSet<String> {
        value
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    rows.iter()
        .map(|row| Ban {
            name: row["crate"].as_str().expect("a crate name").to_owned(),
            wrappers: strings(row.get("wrappers")),
        })
        .collect()
}

#[test]
fn only_sole_owners_depend_on_what_they_own() {
    let edges = tree::edges();
    let mut broken = Vec::new();
    for ban in bans() {
        let users = edges.iter().filter(|edge| edge.to == ban.name && !ban.wrappers.contains(&edge.from));
        broken.extend(users.map(|edge| format!("{} must not depend on {}", edge.from, ban.name)));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn one_version_each_of_what_crosses_crates() {
    let versions = tree::versions();
    for name in [
        "arrow",
        "arrow-array",
        "datafusion",
        "object_store",
        "tonic",
        "prost",
        "axum",
        "hyper",
        "rustls",
        "tokio",
        "zstd-sys",
    ] {
        let found = versions.get(name).cloned().unwrap_or_default();
        assert_eq!(found.len(), 1, "{name} resolves to {found:?}");
    }
}

#[test]
fn the_engine_is_named_only_by_its_adapter() {
    let home = "crates/kyma-exec/src/df_adapter";
    let elsewhere: Vec<String> = tree::sources("crates")
        .into_iter()
        .filter(|(path, text)| !path.starts_with(home) && text.to_lowercase().contains("datafusion::"))
        .map(|(path, _)| path)
        .collect();
    assert!(elsewhere.is_empty(), "the engine is used outside {home}: {elsewhere:?}");
}

#[test]
fn implementations_are_named_only_by_the_composition_root() {
    let implementations = ["kyma_format_parquet::", "kyma_format_tlm::", "kyma_kql::", "kyma_sql::", "PostgresCatalog"];
    let home = "crates/kyma/src/components.rs";
    let own = [
        "crates/kyma-format-parquet/",
        "crates/kyma-format-tlm/",
        "crates/kyma-kql/",
        "crates/kyma-sql/",
        "crates/kyma-catalog-postgres/",
        "crates/kyma-testkit/",
        "crates/kyma-sim/",
    ];
    let mut wrong = Vec::new();
    for (path, text) in tree::sources("crates") {
        let is_test = path.contains("/tests/") || path.ends_with("/tests.rs") || path.contains("/examples/");
        if path == home || is_test || own.iter().any(|own| path.starts_with(own)) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let named = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .any(|line| implementations.iter().any(|name| line.contains(name)));
        if named {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "only {home} may name implementations, but these do: {wrong:?}");
}

#[test]
fn no_local_file_is_written_but_by_those_who_may() {
    // The bans live in clippy.toml; an `allow` lifts one. Each place that does is listed here with its reason.
    let may = [
        ("crates/kyma-storage/", "the disk cache, and the file store's folder"),
        ("crates/kyma-catalog-postgres/src/local", "the private PostgreSQL's own data directory"),
        ("crates/kyma/src/", "the client's commands and `dev`'s lock file: no node writes there"),
        ("crates/kyma-testkit/", "tests only"),
        ("crates/kyma-core/src/clock.rs", "reads the wall clock, writes nothing"),
    ];
    let writers = ["fs::write(", "File::create(", "OpenOptions::new(", "fs::create_dir"];
    let wrong: Vec<String> = tree::sources("crates")
        .into_iter()
        .filter(|(path, _)| !path.contains("/tests/") && !path.ends_with("tests.rs") && !path.contains("/examples/"))
        .filter(|(path, _)| !may.iter().any(|(prefix, _)| path.starts_with(prefix)))
        .filter(|(_, text)| {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            writers.iter().any(|writer| code.contains(writer))
        })
        .map(|(path, _)| path)
        .collect();
    assert!(wrong.is_empty(), "object storage is the only source of truth; these write files: {wrong:?}");
}
