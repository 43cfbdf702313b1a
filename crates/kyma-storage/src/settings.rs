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
}

impl StoreSettings {
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
