//! Parts of entries: keys and bytes.
//!
//! ```text
//! key  = journal/<catalog>/<database>/<revision>-<sequence>-<version of the definition>-<part>.<full|delta>.json.zst
//! part = one zstd frame with its checksum, of one JSON object: [`Part`]
//! ```
//!
//! Numbers in keys have 20 digits (parts 6), so that keys are in order. `zstd -dc | jq` shows a part. The first part of an entry
//! has the definition; the last one says that it is the last. Fields that are not known are passed over; a format
//! that is not known is refused.

use std::fmt;
use std::io::{Read, Write};

use kyma_core::catalog::{DatabaseDefinition, NumberedReceipt};
use kyma_core::extent::Extent;
use kyma_core::{DatabaseId, Error, ExtentId, Result, Sequence};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The folder of journals.
pub const PREFIX: &str = "journal";
/// What is written; a reader refuses a higher one.
pub const FORMAT: u32 = 1;
/// Bytes of a part, as stored.
pub const PART_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of a part after decompression.
const JSON_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const ZSTD_LEVEL: i32 = 3;

/// What the key of a part says. In order: by revision, then sequence, version and part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartKey {
    /// The catalog that is written down.
    pub catalog: Uuid,
    /// The database.
    pub database: DatabaseId,
    /// Number of the entry; alternatives of one number may exist.
    pub revision: i64,
    /// The sequence up to which it goes.
    pub sequence: Sequence,
    /// The version of the definition in it.
    pub definitions_version: i64,
    /// Whether the entry is complete in itself.
    pub full: bool,
    /// Number of the part in the entry, from 0.
    pub part: u32,
}

impl fmt::Display for PartKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PartKey { catalog, database, revision, sequence, definitions_version, full, part } = self;
        let kind = if *full { "full" } else { "delta" };
        write!(f, "{PREFIX}/{catalog}/{database}/")?;
        write!(f, "{revision:020}-{:020}-{definitions_version:020}-{part:06}.{kind}.json.zst", sequence.0)
    }
}

impl PartKey {
    /// Reads a key; `None` for one that this module did not make.
    pub fn parse(key: &str) -> Option<PartKey> {
        let mut segments = key.strip_prefix(PREFIX)?.strip_prefix('/')?.split('/');
        let (catalog, database, name) = (segments.next()?, segments.next()?, segments.next()?);
        let (numbers, kind) = name.strip_suffix(".json.zst")?.split_once('.')?;
        let mut numbers = numbers.split('-').map(|number| number.parse::<i64>().ok());
        let parsed = PartKey {
            catalog: catalog.parse().ok()?,
            database: DatabaseId(database.parse().ok()?),
            revision: numbers.next()??,
            sequence: Sequence(numbers.next()??),
            definitions_version: numbers.next()??,
            part: u32::try_from(numbers.next()??).ok()?,
            full: kind == "full",
        };
        (parsed.to_string() == key).then_some(parsed)
    }

    /// The entry that it belongs to: the key of its first part.
    pub fn entry(&self) -> PartKey {
        PartKey { part: 0, ..*self }
    }
}

/// One part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// [`FORMAT`].
    pub format: u32,
    /// What its key says, too.
    pub key: PartKey,
    /// The catalog that this one was made again from.
    pub rebuilt_from: Option<Uuid>,
    /// Of a delta: it tells changes after this sequence.
    pub previous: Sequence,
    /// When, by the writer's clock.
    pub written_at: i64,
    /// Whether it ends the entry.
    pub is_last: bool,
    /// All of the database but extents and receipts.
    pub definition: Option<DatabaseDefinition>,
    /// Extents that were added and are visible at the entry's sequence.
    pub extents: Vec<Extent>,
    /// Extents that were removed, with the keys of their objects, which may still be there.
    pub removed: Vec<(ExtentId, Sequence, String)>,
    /// Receipts that were added.
    pub receipts: Vec<NumberedReceipt>,
}

impl Part {
    /// Its bytes.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| Error::internal("a journal cannot be written").because(error);
        let json =
            serde_json::to_vec(self).map_err(|error| Error::internal("a journal cannot be written").because(error))?;
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(failed)?;
        encoder.include_checksum(true).map_err(failed)?;
        encoder.write_all(&json).map_err(failed)?;
        encoder.finish().map_err(failed)
    }

    /// Reads what [`Part::encode`] wrote under `key`.
    ///
    /// # Errors
    /// `Corrupt` when it is anything else, or was written by a newer kyma.
    pub fn decode(key: &PartKey, bytes: &[u8]) -> Result<Part> {
        let corrupt = |why: &str| Error::corrupt(format!("a part of the journal is corrupt: key={key}: {why}"));
        let decoder = zstd::stream::read::Decoder::with_buffer(bytes)
            .map_err(|error| corrupt("it cannot be decompressed").because(error))?;
        let mut json = Vec::new();
        let read = decoder.take(JSON_BYTES_MAX + 1).read_to_end(&mut json);
        read.map_err(|error| corrupt("it cannot be decompressed").because(error))?;
        if json.len() as u64 > JSON_BYTES_MAX {
            return Err(corrupt("it is too large"));
        }
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format } =
            serde_json::from_slice(&json).map_err(|error| corrupt("it is not understood").because(error))?;
        if format > FORMAT {
            return Err(corrupt("it was written by a newer kyma"));
        }
        let part: Part =
            serde_json::from_slice(&json).map_err(|error| corrupt("it is not understood").because(error))?;
        if part.key == *key { Ok(part) } else { Err(corrupt("it lies under a key that is not its own")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PartKey {
        PartKey {
            catalog: Uuid::from_u128(1),
            database: DatabaseId(7),
            revision: 12,
            sequence: Sequence(345),
            definitions_version: 6,
            full: false,
            part: 2,
        }
    }

    #[test]
    fn keys_are_in_order_and_read_back() {
        let text = key().to_string();
        assert_eq!(
            text,
            "journal/00000000-0000-0000-0000-000000000001/7/\
             00000000000000000012-00000000000000000345-00000000000000000006-000002.delta.json.zst"
        );
        assert_eq!(PartKey::parse(&text), Some(key()));
        assert!(PartKey { revision: 9, ..key() }.to_string() < text);
        for other in
            ["journal/x", "journal/a/b/c", "extents/1", &text[..text.len() - 1], &text.replace("-0000", "-000")]
        {
            assert_eq!(PartKey::parse(other), None, "{other}");
        }
    }

    #[test]
    fn any_changed_byte_is_found() {
        let part = Part {
            format: FORMAT,
            key: key(),
            rebuilt_from: None,
            previous: Sequence(344),
            written_at: 5,
            is_last: true,
            definition: None,
            extents: Vec::new(),
            removed: vec![(ExtentId(Uuid::from_u128(3)), Sequence(345), "extents/a.kyma".to_owned())],
            receipts: Vec::new(),
        };
        let bytes = part.encode().unwrap();
        assert_eq!(Part::decode(&key(), &bytes).unwrap(), part);
        assert!(Part::decode(&PartKey { part: 0, ..key() }, &bytes).is_err(), "under another key");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok(read) = Part::decode(&key(), &changed) {
                assert_eq!(read, part, "byte {at} changed what is read");
            }
        }
    }
}
