//! Builders, conformance suites, throw-away Postgres and S3, faulty stores.

pub mod catalog;
pub mod counted;
pub mod format;
pub mod postgres;
pub mod proxy;
pub mod s3;
pub mod toy_format;
mod watchdog;

/// Whether servers run in containers instead of private processes.
fn use_containers() -> bool {
    std::env::var("KYMA_TEST_CONTAINERS").is_ok_and(|value| value == "1")
}
