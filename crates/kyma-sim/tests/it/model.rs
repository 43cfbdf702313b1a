//! The model of the catalog keeps every promise that PostgreSQL's catalog keeps.

use std::sync::Arc;

use kyma_core::clock::SystemClock;
use kyma_sim::model::Model;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_keeps_every_promise() {
    kyma_testkit::catalog::catalog_suite(Model::new(Arc::new(SystemClock))).await;
}

#[tokio::test]
async fn the_model_keeps_the_promises_to_a_journal() {
    let model = Model::new(Arc::new(SystemClock));
    kyma_testkit::catalog::journal_suite(&(model.clone(), model)).await;
}
