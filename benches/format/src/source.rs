//! An extent in memory that counts what a store would be asked for.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use kyma_core::Error;
use kyma_core::error::Result;
use kyma_core::format::RangeReader;

/// Ranges at most this far apart share a request, as `kyma-storage` joins them.
const GAP_BYTES_MAX: u64 = 64 * 1024;

/// Requests and bytes since the last [`Counted::take`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
}

/// The bytes of an extent.
#[derive(Debug)]
pub(crate) struct Counted {
    bytes: Bytes,
    requests: AtomicU64,
    fetched: AtomicU64,
}

impl Counted {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Counted { bytes, requests: AtomicU64::new(0), fetched: AtomicU64::new(0) }
    }

    /// What was read since the last call.
    pub(crate) fn take(&self) -> Cost {
        let requests = self.requests.swap(0, Ordering::Relaxed);
        Cost { requests, bytes: self.fetched.swap(0, Ordering::Relaxed) }
    }

    /// Adds the requests that `ranges` make, with the gaps that are fetched along.
    fn count(&self, ranges: &[Range<u64>]) {
        let mut sorted: Vec<&Range<u64>> = ranges.iter().filter(|range| !range.is_empty()).collect();
        sorted.sort_unstable_by_key(|range| (range.start, range.end));
        let mut end = None;
        for range in sorted {
            let joined = end.filter(|&end| range.start <= end + GAP_BYTES_MAX);
            let from = joined.unwrap_or(range.start);
            self.requests.fetch_add(u64::from(joined.is_none()), Ordering::Relaxed);
            self.fetched.fetch_add(range.end.saturating_sub(from), Ordering::Relaxed);
            end = Some(range.end.max(from));
        }
    }
}

#[async_trait]
impl RangeReader for Counted {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.count(ranges);
        let slice = |range: &Range<u64>| match range.end <= self.bytes.len() as u64 && range.start <= range.end {
            true => Ok(self.bytes.slice(range.start as usize..range.end as usize)),
            false => Err(Error::internal(format!("a range lies outside the extent: range={range:?}"))),
        };
        ranges.iter().map(slice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_request() {
        let source = Counted::new(Bytes::new());
        source.count(&[300_000..300_010, 0..10, 20..30]);
        assert_eq!(source.take(), Cost { requests: 2, bytes: 40 });
        assert_eq!(source.take(), Cost::default());
    }
}
