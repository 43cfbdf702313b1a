//! The key-value metadata: what Parquet has no place for.
//!
//! ```text
//! kyma.identity        = JSON: version, extent, database, table, event time, sort key, level, rows, rows of a
//!                        block, columns; since 1.1 also input bytes, what it replaces, its writes, a checksum of
//!                        all pages together, and where the footer begins
//! kyma.statistics      = base64 of zstd of JSON: statistics per block and column, key paths, distinct values and sketches
//! kyma.checksums       = base64 of one CRC-32C u32 (little-endian) per page, in file order: of each row group, each
//!                        column's dictionary page, if it has one, and data pages; then per filter
//! kyma.footer_checksum = CRC-32C of the footer as eight hexadecimal digits, taken while these are zeros
//! ```
//!
//! A page's checksum covers its header; that of the first page also the magic before it.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kyma_core::error::{Error, Result};
use kyma_core::format::{DataChecksum, EncodeOptions};
use kyma_core::ids::{DatabaseId, ExtentId, TableId};
use kyma_core::schema::Schema;
use kyma_core::sketch::Sketch;
use kyma_core::stats::ColumnStats;
use parquet::file::metadata::KeyValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::constants::{
    FOOTER_CHECKSUM_BLANK, FOOTER_CHECKSUM_GLUE, KEY_CHECKSUMS, KEY_FOOTER_CHECKSUM, KEY_IDENTITY, KEY_STATISTICS,
    VERSION_MAJOR, VERSION_MINOR,
};
use crate::limits::FOOTER_BYTES_MAX;

/// Bytes of a sketch in memory, at most.
const SKETCH_BYTES: usize = 2_048;
/// zstd level of the statistics.
const ZSTD_LEVEL: i32 = 9;

/// Who the extent is: enough to rebuild the catalog's row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Major and minor version of the layout.
    pub(crate) version: (u16, u16),
    pub(crate) extent: ExtentId,
    pub(crate) database: DatabaseId,
    pub(crate) database_name: String,
    pub(crate) table: TableId,
    pub(crate) table_name: String,
    pub(crate) time_column: String,
    pub(crate) sorted_by: Vec<String>,
    pub(crate) level: u8,
    pub(crate) block_rows: usize,
    pub(crate) rows: u64,
    pub(crate) columns: Schema,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) raw_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaces: Vec<ExtentId>,
    /// As UUIDs: JSON's numbers are shorter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) writes: Vec<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<DataChecksum>,
    /// Where the footer begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) footer_start: Option<u64>,
}

impl Identity {
    /// The identity of an extent of `options` with `rows` rows of `schema`; the checksum is still to come.
    pub(crate) fn new(options: &EncodeOptions, schema: &Schema, rows: u64) -> Self {
        Identity {
            version: (VERSION_MAJOR, VERSION_MINOR),
            extent: options.extent,
            database: options.database,
            database_name: options.database_name.clone(),
            table: options.table,
            table_name: options.table_name.clone(),
            time_column: options.time_column.clone(),
            sorted_by: options.sorted_by.clone(),
            level: options.level,
            block_rows: options.block_rows,
            rows,
            columns: schema.clone(),
            raw_bytes: Some(options.raw_bytes),
            replaces: options.replaces.clone(),
            writes: options.writes.iter().copied().map(Uuid::from_u128).collect(),
            checksum: None,
            footer_start: None,
        }
    }
}

/// What is known of the rows without reading them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Statistics {
    /// Per block and column.
    pub(crate) blocks: Vec<Vec<ColumnStats>>,
    /// Key paths of dynamic columns, `column.key.key`, ascending; `None` when not every path is known.
    pub(crate) paths: Option<Vec<String>>,
    /// Distinct values per column; nothing for dynamics.
    pub(crate) distinct: Vec<Option<u64>>,
    /// Sketches of distinct values per column, where they cost little.
    pub(crate) sketches: Vec<Option<StoredSketch>>,
}

/// A sketch as base64 of its portable bytes.
#[derive(Debug, Clone)]
pub(crate) struct StoredSketch(pub(crate) Sketch);

impl Serialize for StoredSketch {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for StoredSketch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let sketch = STANDARD.decode(text).ok().and_then(|bytes| Sketch::from_bytes(&bytes));
        sketch.map(StoredSketch).ok_or_else(|| serde::de::Error::custom("a sketch is not understood"))
    }
}

impl Statistics {
    /// Statistics of a column over the whole extent.
    pub(crate) fn of_column(&self, at: usize) -> ColumnStats {
        let mut blocks = self.blocks.iter().filter_map(|block| block.get(at));
        let first = blocks.next().cloned().unwrap_or_else(|| ColumnStats::all_null(0));
        let merged = blocks.fold(first, |merged, block| merged.merge(block));
        let distinct = self.distinct.get(at).copied().flatten();
        ColumnStats { distinct: distinct.or(merged.distinct), ..merged }
    }

    /// Roughly how much memory these take.
    pub(crate) fn memory_bytes(&self) -> usize {
        let stats: usize = self.blocks.iter().map(|block| block.len() * (size_of::<ColumnStats>() + 64)).sum();
        let paths: usize = self.paths.iter().flatten().map(|path| path.len() + size_of::<String>()).sum();
        stats + paths + self.sketches.iter().flatten().count() * SKETCH_BYTES
    }
}

/// The identity among the entries, if it is one.
pub(crate) fn identity(entries: &[KeyValue]) -> Option<Identity> {
    let entry = entries.iter().find(|entry| entry.key == KEY_IDENTITY)?;
    serde_json::from_str(entry.value.as_deref()?).ok()
}

/// The entries to write, the footer's checksum blank.
pub(crate) fn write(identity: &Identity, statistics: &Statistics, checksums: &[u32]) -> Result<Vec<KeyValue>> {
    let failed = |error: serde_json::Error| Error::internal("the footer cannot be written").because(error);
    let json = serde_json::to_vec(statistics).map_err(failed)?;
    if json.len() > FOOTER_BYTES_MAX {
        return Err(Error::exhausted("format.footer_too_large", "the statistics of an extent are too large"));
    }
    let packed = zstd::bulk::compress(&json, ZSTD_LEVEL)
        .map_err(|error| Error::internal("the statistics cannot be compressed").because(error))?;
    let checksums: Vec<u8> = checksums.iter().flat_map(|crc| crc.to_le_bytes()).collect();
    let entry = |key: &str, value: String| KeyValue { key: key.to_owned(), value: Some(value) };
    Ok(vec![
        entry(KEY_IDENTITY, serde_json::to_string(identity).map_err(failed)?),
        entry(KEY_STATISTICS, STANDARD.encode(packed)),
        entry(KEY_CHECKSUMS, STANDARD.encode(checksums)),
        entry(KEY_FOOTER_CHECKSUM, String::from_utf8_lossy(FOOTER_CHECKSUM_BLANK).into_owned()),
    ])
}

/// Reads what [`write`] wrote.
pub(crate) fn read(entries: &[KeyValue]) -> Result<(Identity, Statistics, Vec<u32>)> {
    let value = |key: &str| {
        let found = entries.iter().find(|entry| entry.key == key).and_then(|entry| entry.value.as_deref());
        found.ok_or_else(|| Error::corrupt(format!("the metadata lacks an entry: key={key}")))
    };
    let not_json =
        |error: serde_json::Error| Error::corrupt("an entry of the metadata is not understood").because(error);
    let decoded = |key: &str| {
        let bytes = STANDARD.decode(value(key)?);
        bytes.map_err(|error| Error::corrupt(format!("an entry is not base64: key={key}")).because(error))
    };
    let identity: Identity = serde_json::from_str(value(KEY_IDENTITY)?).map_err(not_json)?;
    if identity.version.0 != VERSION_MAJOR {
        let (major, minor) = identity.version;
        return Err(Error::corrupt(format!("the version is not known: version={major}.{minor}")));
    }
    let statistics = unpack(&decoded(KEY_STATISTICS)?)?;
    let statistics = serde_json::from_slice(&statistics).map_err(not_json)?;
    let checksums = decoded(KEY_CHECKSUMS)?;
    let (words, rest) = checksums.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Error::corrupt("the checksums have an odd length"));
    }
    Ok((identity, statistics, words.iter().map(|word| u32::from_le_bytes(*word)).collect()))
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let corrupt = |error: std::io::Error| Error::corrupt("the statistics cannot be decompressed").because(error);
    let decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(corrupt)?;
    let mut bytes = Vec::new();
    decoder.take(FOOTER_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(corrupt)?;
    if bytes.len() > FOOTER_BYTES_MAX {
        return Err(Error::corrupt("the statistics are too large"));
    }
    Ok(bytes)
}

/// Where the digits of the footer's checksum are in `footer`: after the last occurrence of their key.
fn checksum_place(footer: &[u8]) -> Option<std::ops::Range<usize>> {
    let marker = [KEY_FOOTER_CHECKSUM.as_bytes(), FOOTER_CHECKSUM_GLUE].concat();
    let start = memchr::memmem::rfind(footer, &marker)? + marker.len();
    let end = start + FOOTER_CHECKSUM_BLANK.len();
    (end <= footer.len()).then_some(start..end)
}

fn footer_checksum(before: &[u8], after: &[u8]) -> String {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    [before, FOOTER_CHECKSUM_BLANK, after].iter().for_each(|part| digest.update(part));
    format!("{:08x}", digest.finalize() as u32)
}

/// Writes the footer's checksum into it; false when there is no place for it.
pub(crate) fn seal(footer: &mut [u8]) -> bool {
    let Some(place) = checksum_place(footer) else { return false };
    let digits = footer_checksum(&footer[..place.start], &footer[place.end..]);
    footer[place].copy_from_slice(digits.as_bytes());
    true
}

/// Compares the footer with its checksum.
pub(crate) fn check_seal(footer: &[u8]) -> Result<()> {
    let place = checksum_place(footer).ok_or_else(|| Error::corrupt("the checksum is missing"))?;
    let digits = footer_checksum(&footer[..place.start], &footer[place.end..]);
    if footer[place] == *digits.as_bytes() { Ok(()) } else { Err(Error::corrupt("the checksum does not match")) }
}

/// CRC-32C.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}
