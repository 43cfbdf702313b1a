//! The toy format keeps the promises of a segment format: the suite does not lean on TLM.

use std::sync::Arc;

#[tokio::test]
async fn the_toy_format_keeps_every_promise() {
    kyma_testkit::format::format_suite(Arc::new(kyma_testkit::toy_format::ToyFormat)).await;
}
