//! Settings of query execution.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Deepest nesting of a plan or expression; frontends bound the text's nesting, this bounds what they made of it.
pub const PLAN_DEPTH_MAX: usize = 2_000;
/// Rows that `in (tabular)` may hold.
pub const IN_ROWS_MAX: usize = 1_000_000;
/// Values of an `in` list that still become a list the pruners see.
pub const IN_LIST_MAX: usize = 1_000;
/// Rows of a batch.
pub const BATCH_ROWS: usize = 8_192;
/// Values that `range` may give.
pub const RANGE_ROWS_MAX: usize = 100_000_000;
/// Questions that the columns of one query may depend on.
pub const QUESTIONS_MAX: usize = 32;
/// Rows of the answer to such a question.
pub const ANSWER_ROWS_MAX: usize = 10_000;
/// Sub-queries that `partition` and `mv-apply` may run.
pub const BODIES_MAX: usize = 100_000;

/// How queries run on this node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecSettings {
    /// Threads that decode and compute; 0 is one per core.
    pub cpu_threads: usize,
    /// Partitions of a query; 0 is one per thread.
    pub partitions: usize,
    /// Memory of all queries together, in bytes.
    pub memory_bytes: usize,
    /// Memory of one query, in bytes.
    pub query_memory_bytes: usize,
    /// Memory of the cache of extent lists, in bytes; 0 lists afresh for every query.
    pub manifest_cache_bytes: u64,
    /// Memory of the cache of open footers, in bytes.
    pub footer_cache_bytes: u64,
    /// Compressed bytes that a partition may fetch ahead.
    pub prefetch_bytes: u64,
    /// Blocks that a partition may fetch ahead.
    pub prefetch_blocks: usize,
    /// Where sorts and aggregations spill; they do not spill when absent.
    pub spill_dir: Option<PathBuf>,
    /// Bytes of spilled data.
    pub spill_bytes: u64,
    /// US dollars that a million reads of the store cost, for profiles and estimates; the default is S3's list price.
    pub dollars_per_million_gets: f64,
    /// Whether blocks and extents are pruned; off only in tests that compare.
    pub prune: bool,
}

impl Default for ExecSettings {
    fn default() -> Self {
        ExecSettings {
            cpu_threads: 0,
            partitions: 0,
            memory_bytes: 2 << 30,
            query_memory_bytes: 1 << 30,
            manifest_cache_bytes: 64 << 20,
            footer_cache_bytes: 256 << 20,
            prefetch_bytes: 16 << 20,
            prefetch_blocks: 4,
            spill_dir: None,
            spill_bytes: 16 << 30,
            dollars_per_million_gets: 0.4,
            prune: true,
        }
    }
}

impl ExecSettings {
    /// Threads that compute.
    pub fn threads(&self) -> usize {
        match self.cpu_threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            threads => threads,
        }
    }

    /// Partitions of a query.
    pub fn query_partitions(&self) -> usize {
        if self.partitions == 0 { self.threads() } else { self.partitions }
    }
}
