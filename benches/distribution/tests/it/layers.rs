//! The layer table of `ARCHITECTURE.md` is the dependency graph: every crate stands in it, and edges point strictly down.

use std::collections::BTreeMap;

use crate::tree;

/// The number of the dev layer.
const DEV: u32 = 9;

/// Layer by crate, read from rows like ``| 2 | `kyma-exec` | ...``; the dev layer stands above all.
fn layers() -> BTreeMap<String, u32> {
    let text = tree::read("ARCHITECTURE.md");
    let mut layers = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let layer = match cells.get(1) {
            Some(&"dev") => DEV,
            Some(cell) => match cell.parse() {
                Ok(layer) => layer,
                Err(_) => continue,
            },
            None => continue,
        };
        let names = cells.get(2).copied().unwrap_or_default();
        for name in names.split(',').map(|name| name.trim().trim_matches('`')).filter(|name| name.starts_with("kyma")) {
            layers.insert(name.to_owned(), layer);
        }
    }
    layers
}

#[test]
fn every_crate_has_a_layer_and_every_row_a_crate() {
    let layers: Vec<String> = layers().into_keys().collect();
    let members: Vec<String> = tree::members().into_iter().collect();
    assert_eq!(layers, members, "left: ARCHITECTURE.md, right: cargo metadata");
}

#[test]
fn edges_point_strictly_down() {
    let layers = layers();
    let upward: Vec<String> = tree::edges()
        .into_iter()
        .filter(|edge| !edge.dev_only)
        .filter_map(|edge| Some((*layers.get(&edge.from)?, *layers.get(&edge.to)?, edge)))
        // Nothing of the dev layer ships: its crates may build on each other.
        .filter(|(from, to, _)| from <= to && (*from, *to) != (DEV, DEV))
        .map(|(from, to, edge)| format!("{} (layer {from}) -> {} (layer {to})", edge.from, edge.to))
        .collect();
    assert!(upward.is_empty(), "edges that do not point down:\n{}", upward.join("\n"));
}

#[test]
fn only_the_dev_layer_depends_on_the_test_kit() {
    let layers = layers();
    let is_dev = |name: &str| layers.get(name) == Some(&DEV);
    let ships = |edge: &tree::Edge| edge.to == "kyma-testkit" && !edge.dev_only && !is_dev(&edge.from);
    let wrong: Vec<_> = tree::edges().into_iter().filter(ships).collect();
    assert!(wrong.is_empty(), "the test kit must not ship: {wrong:?}");
}

/// The simulation's catalog lives in memory and its bugs are planted: neither may ever be linked into the product.
#[test]
fn the_simulation_is_never_part_of_the_product() {
    let edges = tree::edges();
    let users: Vec<_> = edges.iter().filter(|edge| edge.to == "kyma-sim").collect();
    assert!(users.is_empty(), "nothing may depend on the simulation: {users:?}");
    let mut shipped = std::collections::BTreeSet::from(["kyma".to_owned()]);
    loop {
        let reached = edges.iter().filter(|edge| !edge.dev_only && shipped.contains(&edge.from));
        let before = shipped.len();
        let reached: Vec<String> = reached.map(|edge| edge.to.clone()).collect();
        shipped.extend(reached);
        if shipped.len() == before {
            break;
        }
    }
    assert!(shipped.contains("kyma-worker"), "the walk reaches what the product is made of: {shipped:?}");
    for kept_out in ["kyma-sim", "kyma-testkit"] {
        assert!(!shipped.contains(kept_out), "the product reaches {kept_out}");
    }
    let features = tree::features("kyma");
    assert!(features.contains("kyma-core feature \"default\""), "features are listed: {features}");
    assert!(!features.contains("planted-bugs"), "the product has planted bugs");
}
