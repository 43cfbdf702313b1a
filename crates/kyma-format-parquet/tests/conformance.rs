//! Parquet keeps the promises of a segment format.

use std::sync::Arc;

use kyma_format_parquet::Parquet;

#[tokio::test]
async fn parquet_keeps_every_promise() {
    kyma_testkit::format::format_suite(Arc::new(Parquet)).await;
}
