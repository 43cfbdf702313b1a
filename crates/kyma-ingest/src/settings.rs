//! Settings and limits of ingest.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest NDJSON line, JSON array element or CSV record, in bytes; a longer one is rejected without being held.
pub const LINE_BYTES_MAX: usize = kyma_core::limits::STRING_BYTES_MAX;
/// Bytes of a rejected row that are kept.
pub const RAW_BYTES_MAX: usize = 64 * 1024;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// Decompressed input that is decoded as one piece, in bytes.
pub(crate) const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// Rows of one decoded batch.
pub(crate) const BATCH_ROWS_MAX: usize = 16_384;
/// Rows times columns of one decoded batch; a sparser batch is cut.
pub(crate) const BATCH_CELLS_MAX: usize = 2 * 1024 * 1024;
/// Rows times columns of one extent; a sparser extent is cut.
pub(crate) const EXTENT_CELLS_MAX: usize = 64 * 1024 * 1024;
/// Distinct keys of one chunk that are looked at as columns; further ones go to `_unmapped`.
pub(crate) const CHUNK_COLUMNS_MAX: usize = 2 * kyma_core::limits::TABLE_COLUMNS_MAX;
/// Chunks of one request that are decoded at a time.
pub(crate) const CHUNKS_IN_FLIGHT: usize = 3;
/// Largest message of the append call, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Seals of one flush beyond one per unit: each but the first follows a unit that had to be taken out.
pub(crate) const SEALS_MAX: usize = 16;
/// Puts of one sealed object: each but the first follows a revoked reservation.
pub(crate) const PUTS_MAX: usize = 3;

/// Settings of ingest. Written down, durations are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSettings {
    /// Whether a write creates a database or table that does not exist.
    pub create_on_write: bool,
    /// Name of the `SegmentFormat` of new tables.
    pub format: String,
    /// Bytes of one body after decompression.
    pub body_bytes_max: u64,
    /// Longest wait for the next piece of a body.
    #[serde(rename = "body_idle_timeout_millis", with = "millis")]
    pub body_idle_timeout: Duration,
    /// Raw input that triggers a flush, in bytes.
    pub flush_bytes: u64,
    /// Age of the oldest waiting write that triggers a flush.
    #[serde(rename = "flush_interval_millis", with = "millis")]
    pub flush_interval: Duration,
    /// Flushes at a time.
    pub flushes_in_flight: usize,
    /// Raw input of one extent, roughly; a larger flush of a table becomes several extents.
    pub extent_bytes: u64,
    /// Bytes of decoded rows that wait or are being flushed, over all tables.
    pub buffer_bytes_max: u64,
    /// Bytes of decoded rows of one table that wait or are being flushed.
    pub table_buffer_bytes_max: u64,
    /// Writes being accepted at a time.
    pub requests_max: usize,
    /// What a refused client is told to wait.
    #[serde(rename = "retry_after_millis", with = "millis")]
    pub retry_after: Duration,
    /// Longest wait for one call to the catalog.
    #[serde(rename = "catalog_timeout_millis", with = "millis")]
    pub catalog_timeout: Duration,
    /// How long an unknown commit outcome is asked for before the write fails.
    #[serde(rename = "outcome_timeout_millis", with = "millis")]
    pub outcome_timeout: Duration,
    /// How long a node trusts what it knows of a table before it asks the catalog again.
    #[serde(rename = "table_age_max_millis", with = "millis")]
    pub table_age_max: Duration,
    /// Decoding, sorting and encoding threads; 0 for one per core.
    pub cpu_threads: usize,
    /// Computes where the work is asked for instead of on threads of its own, so that every run is the same. For the simulator.
    #[serde(skip)]
    pub cpu_inline: bool,
}

impl Default for IngestSettings {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        IngestSettings {
            create_on_write: true,
            format: "tlm".to_owned(),
            body_bytes_max: 256 * MIB,
            body_idle_timeout: Duration::from_secs(60),
            flush_bytes: 32 * MIB,
            flush_interval: Duration::from_millis(250),
            flushes_in_flight: 4,
            extent_bytes: 48 * MIB,
            buffer_bytes_max: 1024 * MIB,
            table_buffer_bytes_max: 768 * MIB,
            requests_max: 256,
            retry_after: Duration::from_secs(1),
            catalog_timeout: Duration::from_secs(30),
            outcome_timeout: Duration::from_secs(30),
            table_age_max: Duration::from_secs(2),
            cpu_threads: 0,
            cpu_inline: false,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_in_milliseconds_and_unknown_ones_are_refused() {
        let read = |text: &str| serde_json::from_str::<IngestSettings>(text);
        let settings = read(r#"{"flush_interval_millis":100}"#).unwrap();
        assert_eq!(
            settings,
            IngestSettings { flush_interval: Duration::from_millis(100), ..IngestSettings::default() }
        );
        assert_eq!(read(&serde_json::to_string(&settings).unwrap()).unwrap(), settings);
        assert!(read(r#"{"flush_interval":1}"#).is_err());
    }
}
