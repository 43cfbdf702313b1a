//! Real queries from public collections, all accepted by Microsoft's grammar: all must parse.

use std::path::PathBuf;

/// Share that must parse; raise it, never lower it.
const RATCHET_PERCENT: f64 = 99.85;

/// A file of the shared conformance cases, or `None`, said loudly, where they are absent.
pub(super) fn shared(path: &str) -> Option<String> {
    let root = std::env::var_os("KYMA_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let file = root.join(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("NOT RUN: {} is absent ({error}); set KYMA_SHARED to the shared folder", file.display());
            None
        }
    }
}

#[test]
fn real_queries_parse() {
    let Some(cases) = shared("conformance/kql/realworld.jsonl") else { return };
    let (mut total, mut parsed) = (0, 0);
    for line in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let query = case["query"].as_str().unwrap();
        let (_, errors) = crate::parse::parse(query);
        total += 1;
        parsed += usize::from(errors.is_empty());
        if let Some(error) = errors.first() {
            eprintln!("{}: {}", case["id"], error.render(query));
        }
    }
    let percent = 100.0 * parsed as f64 / total as f64;
    eprintln!("real queries: {parsed}/{total} parse ({percent:.2} %)");
    assert!(percent >= RATCHET_PERCENT, "{percent}");
}
