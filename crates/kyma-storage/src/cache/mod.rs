//! The range cache: bytes of immutable objects, in memory and, where a folder is given, on local disk.
//!
//! A cache is advice. Whatever happens to it (full, slow, broken, deleted), a lookup answers "not here" and the
//! reader asks the store. Keys are immutable: an object's bytes never change and keys are never reused, so nothing is
//! ever removed but by eviction.
//!
//! What is worth keeping is what is dear to get again, for each byte of room. A request takes a round trip and the time
//! of its bytes; a footer, a section of an index or a lone page is nearly all round trip, a piece of a scan nearly all
//! bytes ([`Cost`]). So each tier takes
//! 1. what came by a small request, at first sight;
//! 2. pieces of large requests at first sight only while there is much room, and later when they are offered again
//!    (`sightings`), so that one scan over more than the cache does not push out what everybody needs.
//!
//! Memory has S3-FIFO besides, which keeps what is asked for again (`memory`).
//!
//! Who owns the data may say what the disk is for ([`Warmth`]): what is hot is taken at first sight, what is cold is not
//! taken. Memory goes by use alone.

mod breaker;
mod counts;
mod disk;
mod memory;
mod sightings;
mod tiered;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use counts::CacheCounts;
pub use disk::DiskCache;
pub use memory::MemoryCache;
pub use tiered::TieredCache;

/// An absolute byte range of one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RangeKey {
    /// The object.
    pub object: Arc<str>,
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl RangeKey {
    /// The range as the object counts it.
    pub fn range(&self) -> Range<u64> {
        self.start..self.end
    }

    /// How many bytes the range has.
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// Requests up to these bytes cost a round trip rather than their bytes: at 20 ms and 50 MB/s, 1 MiB takes as long to
/// arrive as it takes to be asked for.
const ROUND_TRIP_BYTES_MAX: u64 = 1 << 20;

/// What it took to get a range, and would take again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// A round trip for few bytes.
    RoundTrip,
    /// The transfer of many bytes, of which the range may be one piece.
    Transfer,
}

impl Cost {
    /// The cost of a range that came by a request of `bytes`.
    pub fn of_request(bytes: u64) -> Cost {
        if bytes <= ROUND_TRIP_BYTES_MAX { Cost::RoundTrip } else { Cost::Transfer }
    }
}

/// What the owner of the data said about keeping it near.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Warmth {
    /// Nothing: its use decides.
    #[default]
    ByUse,
    /// It is to be near.
    Hot,
    /// It may be far: the room is for others.
    Cold,
}

/// Why a range may be worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worth {
    /// What it took to get it.
    pub cost: Cost,
    /// What its owner said.
    pub warmth: Warmth,
}

impl From<Cost> for Worth {
    fn from(cost: Cost) -> Worth {
        Worth { cost, warmth: Warmth::ByUse }
    }
}

/// Keeps ranges. Never fails: what cannot be found or kept is a miss.
#[async_trait]
pub trait BlockCache: Send + Sync + fmt::Debug {
    /// The bytes of a range, exactly as long as the range, if they are here.
    async fn get(&self, key: &RangeKey) -> Option<Bytes>;

    /// Offers the bytes of a range, which the cache may not take.
    fn put(&self, key: RangeKey, bytes: Bytes, worth: Worth);

    /// What each tier counted since the start, the one that is asked first before the others.
    fn counts(&self) -> Vec<CacheCounts>;
}
