//! The layer table of `ARCHITECTURE.md` is the dependency graph: every crate stands in it, and edges point strictly down.

use std::collections::BTreeMap;

use crate::tree;

/// Layer by crate, read from rows like ``| 2 | `kyma-exec` | ...``; the dev layer stands above all.
fn layers() -> BTreeMap<String, u32> {
    let text = tree::read("ARCHITECTURE.md");
    let mut layers = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let layer = match cells.get(1) {
            Some(&"dev") => 9,
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
        .filter(|(from, to, _)| from <= to)
        .map(|(from, to, edge)| format!("{} (layer {from}) -> {} (layer {to})", edge.from, edge.to))
        .collect();
    assert!(upward.is_empty(), "edges that do not point down:\n{}", upward.join("\n"));
}

#[test]
fn only_the_dev_layer_depends_on_the_test_kit() {
    let wrong: Vec<_> = tree::edges().into_iter().filter(|edge| edge.to == "kyma-testkit" && !edge.dev_only).collect();
    assert!(wrong.is_empty(), "the test kit must not ship: {wrong:?}");
}
