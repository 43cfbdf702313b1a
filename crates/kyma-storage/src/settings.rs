//! How to reach a store and how much to cache of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

/// Settings of one store. Written down, durations are milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoreSettings {
    /// `file:///absolute/path`, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`; `memory:///` is
    /// for tests.
    pub url: Url,
    /// Handed to the client as they are: `endpoint`, `region`, `access_key_id`, `secret_access_key`, `allow_http`, ...
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// The longest that one call may take, retries included. A put may take a second more per MiB.
    #[serde(default = "request_timeout", rename = "request_timeout_millis", with = "millis")]
    pub request_timeout: Duration,
    /// The longest that one attempt may take before it is tried again. A put may take a second more per MiB.
    #[serde(default = "attempt_timeout", rename = "attempt_timeout_millis", with = "millis")]
    pub attempt_timeout: Duration,
    /// Attempts of one call; `request_timeout` may end them earlier.
    #[serde(default = "attempts_max")]
    pub attempts_max: u32,
    /// Bytes of ranges kept in memory. 0 turns the cache off.
    #[serde(default = "cache_memory_bytes")]
    pub cache_memory_bytes: u64,
    /// Folder of the disk cache; none without it. It may be deleted or fill up at any time.
    #[serde(default)]
    pub cache_dir: Option<PathBuf>,
    /// Bytes of ranges kept on disk.
    #[serde(default = "cache_disk_bytes")]
    pub cache_disk_bytes: u64,
    /// Range requests in flight at one time, over all queries. More wait, fairly among queries.
    #[serde(default = "requests_in_flight_max")]
    pub requests_in_flight_max: usize,
    /// Bytes asked for at one time by range requests, over all queries. A larger request goes alone.
    #[serde(default = "bytes_in_flight_max")]
    pub bytes_in_flight_max: u64,
    /// A range request is never asked a second time earlier than this.
    #[serde(default = "hedge_after", rename = "hedge_after_millis", with = "millis")]
    pub hedge_after: Duration,
    /// At most so many of a hundred range requests are asked a second time. 0 turns that off.
    #[serde(default = "hedge_percent_max")]
    pub hedge_percent_max: u32,
    /// US dollars for a million GETs. The default is the list price of S3 Standard in us-east-1
    /// (<https://aws.amazon.com/s3/pricing/>, "Requests & data retrievals").
    #[serde(default = "price_get_per_million")]
    pub price_get_per_million: f64,
    /// US dollars for a million PUTs or LISTs; the default is from the same page.
    #[serde(default = "price_put_per_million")]
    pub price_put_per_million: f64,
    /// Where the waits between attempts must be the same in every run, what they are drawn from. For the simulator.
    #[serde(skip)]
    pub jitter_seed: Option<u64>,
}

impl StoreSettings {
    /// Settings of a store that a test makes: a small memory cache, and every request counted by the test itself.
    pub(crate) fn for_tests() -> Self {
        let url = Url::parse("memory:///").unwrap_or_else(|_| unreachable!("it is a URL"));
        StoreSettings { cache_memory_bytes: 64 * 1024 * 1024, hedge_percent_max: 0, ..StoreSettings::new(url) }
    }

    /// Defaults over a URL.
    pub fn new(url: Url) -> Self {
        StoreSettings {
            url,
            options: BTreeMap::new(),
            request_timeout: request_timeout(),
            attempt_timeout: attempt_timeout(),
            attempts_max: attempts_max(),
            cache_memory_bytes: cache_memory_bytes(),
            cache_dir: None,
            cache_disk_bytes: cache_disk_bytes(),
            requests_in_flight_max: requests_in_flight_max(),
            bytes_in_flight_max: bytes_in_flight_max(),
            hedge_after: hedge_after(),
            hedge_percent_max: hedge_percent_max(),
            price_get_per_million: price_get_per_million(),
            price_put_per_million: price_put_per_million(),
            jitter_seed: None,
        }
    }
}

fn request_timeout() -> Duration {
    Duration::from_secs(30)
}

fn attempt_timeout() -> Duration {
    Duration::from_secs(10)
}

fn attempts_max() -> u32 {
    8
}

fn cache_memory_bytes() -> u64 {
    256 * 1024 * 1024
}

fn cache_disk_bytes() -> u64 {
    4 * 1024 * 1024 * 1024
}

fn requests_in_flight_max() -> usize {
    64
}

fn bytes_in_flight_max() -> u64 {
    128 * 1024 * 1024
}

fn hedge_after() -> Duration {
    Duration::from_millis(50)
}

fn hedge_percent_max() -> u32 {
    5
}

fn price_get_per_million() -> f64 {
    0.4
}

fn price_put_per_million() -> f64 {
    5.0
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
