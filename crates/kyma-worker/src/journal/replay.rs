//! From the parts of a journal to the database that they tell of.
//!
//! 1. Parts are grouped by entry; an entry whose parts are not all there is passed over.
//! 2. Begin with the full entry of the latest sequence and version that can be read. Every entry that is whole is true, counted by
//!    a mark or not; revisions tell in which order writers began, not which of them saw more.
//! 3. Apply deltas that lead further, in order of sequence and version. One that begins after the sequence that is reached
//!    is a gap: what comes after it is not applied. One that begins before is applied all the same: it says what is known. One
//!    that leads no further is not: an extent that it adds may have been removed and forgotten since.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyma_core::catalog::{DatabaseDefinition, NumberedReceipt};
use kyma_core::extent::Extent;
use kyma_core::planted::{self, Bug};
use kyma_core::{ExtentId, Result, Sequence};
use kyma_storage::Store;
use uuid::Uuid;

use super::entry::{PART_BYTES_MAX, Part, PartKey};
use super::{ListedParts, read_object};

/// What is wrong with a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// A part cannot be read.
    Corrupt(String),
    /// Parts of an entry are missing; the writer crashed, or they were deleted.
    Incomplete(PartKey),
    /// An entry begins after the sequence that the ones before it lead to.
    Gap(PartKey, Sequence),
    /// There is no full entry that can be read.
    NoFull,
}

/// A database as its journal tells it.
#[derive(Debug, Default)]
pub struct Replayed {
    /// All but extents and receipts; `None` when nothing can be told.
    pub definition: Option<DatabaseDefinition>,
    /// Visible extents, also those of tables that were dropped.
    pub extents: BTreeMap<ExtentId, Extent>,
    /// Extents that were removed, with their objects.
    pub removed: BTreeMap<ExtentId, String>,
    /// Receipts by key.
    pub receipts: BTreeMap<String, NumberedReceipt>,
    /// The catalog that this one was made again from.
    pub rebuilt_from: Option<Uuid>,
    /// The last revision that was applied.
    pub revision: i64,
    /// When the last applied entry was written: by the store's clock, or its writer's where that was behind. A writer's clock
    /// that ran ahead must not make objects look old that came after.
    pub written_at: i64,
    /// Entries applied.
    pub entries: usize,
    /// What is wrong.
    pub flaws: Vec<Flaw>,
}

/// Reads the journal of one database.
///
/// # Errors
/// The store's; what is wrong with the journal is among the flaws.
pub async fn replay(store: &Arc<Store>, parts: &ListedParts) -> Result<Replayed> {
    let mut entries: BTreeMap<PartKey, Vec<(PartKey, i64)>> = BTreeMap::new();
    for (key, put_at) in parts {
        entries.entry(key.entry()).or_default().push((*key, *put_at));
    }
    let mut replayed = Replayed::default();
    let mut entries: Vec<(PartKey, Vec<(PartKey, i64)>)> = entries.into_iter().collect();
    entries.sort_by_key(|(entry, _)| (state_of(entry), entry.revision));
    let mut begun = None;
    for (entry, parts) in entries.iter().rev().filter(|(entry, _)| entry.full) {
        if let Some(parts) = read_entry(store, entry, parts, &mut replayed.flaws).await? {
            replayed.apply(parts);
            begun = Some(state_of(entry));
            break;
        }
    }
    let Some(mut reached_state) = begun else {
        replayed.flaws.push(Flaw::NoFull);
        return Ok(replayed);
    };
    for (entry, parts) in entries.iter().filter(|(entry, _)| !entry.full) {
        if state_of(entry) <= reached_state {
            continue;
        }
        let Some(parts) = read_entry(store, entry, parts, &mut replayed.flaws).await? else { continue };
        let reached = replayed.sequence();
        let previous = parts.first().map_or(Sequence(0), |part| part.previous);
        if previous > reached {
            replayed.flaws.push(Flaw::Gap(*entry, reached));
            break;
        }
        replayed.apply(parts);
        reached_state = state_of(entry);
    }
    Ok(replayed)
}

/// Which state of its database an entry leads to, in the order of states.
fn state_of(entry: &PartKey) -> (Sequence, i64) {
    (entry.sequence, entry.definitions_version)
}

/// The parts of an entry, if all are there and can be read.
async fn read_entry(
    store: &Arc<Store>,
    entry: &PartKey,
    keys: &[(PartKey, i64)],
    flaws: &mut Vec<Flaw>,
) -> Result<Option<Vec<Part>>> {
    let mut parts = Vec::with_capacity(keys.len());
    for (number, (key, put_at)) in keys.iter().enumerate() {
        if key.part as usize != number {
            break;
        }
        let bytes = match read_object(store, &key.to_string(), PART_BYTES_MAX).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == kyma_core::Kind::NotFound => break,
            Err(error) => return Err(error),
        };
        match Part::decode(key, &bytes) {
            Ok(part) if planted::is(Bug::RebuildTrustsWriters) => parts.push(part),
            Ok(part) => parts.push(Part { written_at: part.written_at.min(*put_at), ..part }),
            Err(error) => {
                flaws.push(Flaw::Corrupt(error.chain()));
                return Ok(None);
            }
        }
    }
    let is_whole = parts.last().is_some_and(|part| part.is_last)
        && parts.first().is_some_and(|part| part.definition.is_some())
        && parts.len() == keys.len();
    if is_whole {
        return Ok(Some(parts));
    }
    flaws.push(Flaw::Incomplete(*entry));
    Ok(None)
}

impl Replayed {
    /// The sequence that is reached.
    pub fn sequence(&self) -> Sequence {
        self.definition.as_ref().map_or(Sequence(0), |definition| definition.sequence)
    }

    fn apply(&mut self, parts: Vec<Part>) {
        self.entries += 1;
        for part in parts {
            self.revision = part.key.revision;
            self.written_at = self.written_at.max(part.written_at);
            self.rebuilt_from = part.rebuilt_from;
            let is_newer = |known: &DatabaseDefinition| {
                part.key.sequence >= known.sequence && part.key.definitions_version >= known.definitions_version
            };
            if part.definition.is_some() && self.definition.as_ref().is_none_or(is_newer) {
                self.definition = part.definition;
            }
            for extent in part.extents {
                if !self.removed.contains_key(&extent.id) {
                    self.extents.insert(extent.id, extent);
                }
            }
            for (extent, _, key) in part.removed {
                self.extents.remove(&extent);
                self.removed.insert(extent, key);
            }
            for receipt in part.receipts {
                self.receipts.insert(receipt.receipt.key.clone(), receipt);
            }
        }
    }
}
