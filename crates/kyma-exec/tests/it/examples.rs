//! The examples of the language's reference run.

use kyma_kql::reference::entries;

use crate::world::{World, run, settings};

#[tokio::test(flavor = "multi_thread")]
async fn every_example_runs() {
    let world = World::start().await;
    let engine = world.engine(settings());
    let mut failed = Vec::new();
    for entry in entries().into_iter().filter(|entry| !entry.example.is_empty()) {
        if let Err(error) = run(&engine, "kql", entry.example).await {
            failed.push(format!("{}: {}: {error:?}", entry.name, entry.example));
        }
    }
    assert!(failed.is_empty(), "{} examples fail:\n{}", failed.len(), failed.join("\n"));
}
