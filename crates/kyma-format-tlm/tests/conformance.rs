//! TLM keeps the promises of a segment format.

use std::sync::Arc;

#[tokio::test]
async fn tlm_keeps_every_promise() {
    kyma_testkit::format::format_suite(Arc::new(kyma_format_tlm::Tlm)).await;
}
