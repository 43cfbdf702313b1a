//! The range cache: bytes of immutable objects, in memory and, where a folder is given, on local disk.
//!
//! A cache is advice. Whatever happens to it (full, slow, broken, deleted), a lookup answers "not here" and the
//! reader asks the store. Keys are immutable: an object's bytes never change and keys are never reused, so nothing is
//! ever removed but by eviction.

mod disk;
mod memory;
mod tiered;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

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

/// Keeps ranges. Never fails: what cannot be found or kept is a miss.
#[async_trait]
pub trait BlockCache: Send + Sync + fmt::Debug {
    /// The bytes of a range, exactly as long as the range, if they are here.
    async fn get(&self, key: &RangeKey) -> Option<Bytes>;

    /// Offers the bytes of a range.
    fn put(&self, key: RangeKey, bytes: Bytes);
}
