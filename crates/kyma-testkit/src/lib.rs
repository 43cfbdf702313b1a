//! Builders, conformance suites, throw-away Postgres and S3, faulty stores.

pub mod catalog;
pub mod counted;
pub mod format;
pub mod ports;
#[cfg(feature = "servers")]
pub mod postgres;
#[cfg(feature = "servers")]
pub mod proxy;
#[cfg(feature = "servers")]
pub mod s3;
pub mod toy_format;
#[cfg(feature = "servers")]
mod watchdog;

#[cfg(feature = "servers")]
/// Whether servers run in containers instead of private processes.
fn use_containers() -> bool {
    std::env::var("KYMA_TEST_CONTAINERS").is_ok_and(|value| value == "1")
}
