//! What a query cost: filled in by every level, sent with an answer that asks for it.
//!
//! The names of members are a promise: clients, dashboards and other nodes read them. A member that a reader does not
//! find is zero or empty, so that nodes of two versions understand each other. Times are microseconds.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::prune::Reason;
use crate::time::TimeRange;

/// One level of the pruning cascade.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LevelProfile {
    /// Extents or blocks looked at.
    pub considered: u64,
    /// How many were pruned, by reason.
    pub pruned: BTreeMap<Reason, u64>,
    /// How many were read, or answered from metadata.
    pub kept: u64,
}

impl LevelProfile {
    /// How many were pruned for any reason.
    pub fn pruned_total(&self) -> u64 {
        self.pruned.values().sum()
    }

    /// Adds what another looked at.
    pub fn add(&mut self, other: &LevelProfile) {
        self.considered += other.considered;
        self.kept += other.kept;
        for (reason, count) in &other.pruned {
            *self.pruned.entry(*reason).or_default() += count;
        }
    }
}

impl fmt::Display for LevelProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "considered={}, kept={}", self.considered, self.kept)?;
        self.pruned.iter().try_for_each(|(reason, count)| write!(f, ", pruned by {}={count}", reason.as_str()))
    }
}

/// A part of a query's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// The snapshot is pinned.
    Snapshot,
    /// Text becomes a plan of ours.
    Parse,
    /// The catalog lists extents and their statistics exclude some. Lies within [`PhaseName::Plan`].
    Prune,
    /// The plan becomes operators; sub-queries that must be known before are run.
    Plan,
    /// Operators run.
    Execute,
}

impl PhaseName {
    /// Its name as it is serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            PhaseName::Snapshot => "snapshot",
            PhaseName::Parse => "parse",
            PhaseName::Prune => "prune",
            PhaseName::Plan => "plan",
            PhaseName::Execute => "execute",
        }
    }
}

/// When a phase ran. A query of several statements plans and executes once for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Which.
    pub name: PhaseName,
    /// From the query's arrival to the phase's start.
    pub start_micros: u64,
    /// How long it took, or has taken so far.
    pub micros: u64,
}

/// One operator of an executed plan, its partitions added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OperatorProfile {
    /// What it does: `scan`, `filter`, `sort`.
    pub name: String,
    /// To what, for people.
    pub detail: String,
    /// Operators above it; 0 starts the tree of a statement or of a sub-query.
    pub depth: u32,
    /// Rows that it gave, where it counts them.
    pub rows: Option<u64>,
    /// Batches that it gave, where it counts them.
    pub batches: Option<u64>,
    /// Time that it computed, without its inputs and without waiting, where it measures it.
    pub compute_micros: Option<u64>,
    /// Bytes of memory of the rows that it gave, where it counts them.
    pub output_bytes: Option<u64>,
    /// Bytes that it wrote to disk for want of memory.
    pub spilled_bytes: u64,
}

/// Where the time of scans went, added up over partitions and over blocks that are read at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScanProfile {
    /// Computing: footers.
    pub footer_micros: u64,
    /// Computing: which blocks may match.
    pub prune_micros: u64,
    /// Computing: decoding and filtering blocks.
    pub read_micros: u64,
    /// Waiting for bytes.
    pub wait_micros: u64,
}

/// The cost of one query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// The snapshot it read, by database name.
    pub snapshot: BTreeMap<String, i64>,
    /// Extents by the catalog's statistics.
    pub catalog: LevelProfile,
    /// Extents by their footers.
    pub extents: LevelProfile,
    /// Blocks by their statistics and indexes.
    pub blocks: LevelProfile,
    /// Extents answered from metadata without data.
    pub metadata_answers: u64,
    /// Rows of the extents that the catalog considered.
    pub rows_total: u64,
    /// Smallest range of event times that covers the extents the catalog kept.
    pub time_kept: Option<TimeRange>,
    /// Blocks answered from metadata, those of such extents included.
    pub metadata_blocks: u64,
    /// Rows whose filter columns were decoded.
    pub rows_scanned: u64,
    /// Rows that passed the scan's filter.
    pub rows_matched: u64,
    /// Rows of the answer.
    pub rows_returned: u64,
    /// Range requests sent to the store, repeated and hedged ones included.
    pub store_requests: u64,
    /// Of these, the second ones, asked because the first was slow.
    #[serde(default)]
    pub store_hedged_requests: u64,
    /// Bytes received from the store.
    pub store_bytes: u64,
    /// Ranges found in a cache.
    pub cache_hits: u64,
    /// Bytes found in a cache.
    pub cache_bytes: u64,
    /// What the requests cost by the price that the node is told, in US dollars. Transfer is not priced.
    pub store_dollars: f64,
    /// Highest memory of the query's pool, in bytes.
    pub memory_peak_bytes: u64,
    /// Bytes that operators wrote to disk for want of memory.
    pub spilled_bytes: u64,
    /// Microseconds of text to plan, the snapshot included.
    pub parse_micros: u64,
    /// Microseconds of plan to operators, catalog pruning included.
    pub plan_micros: u64,
    /// Microseconds of running.
    pub execute_micros: u64,
    /// When each phase ran, by start.
    pub phases: Vec<Phase>,
    /// Where the time of scans went.
    pub scan: ScanProfile,
    /// The operators that ran, each before its inputs; sub-queries before the statements they are part of.
    pub operators: Vec<OperatorProfile>,
}

impl Profile {
    /// Microseconds from the query's arrival to its last row.
    pub fn total_micros(&self) -> u64 {
        self.parse_micros + self.plan_micros + self.execute_micros
    }

    /// Microseconds that the operators computed.
    pub fn compute_micros(&self) -> u64 {
        self.operators.iter().filter_map(|operator| operator.compute_micros).sum()
    }

    /// The cascade's levels by name, in their order.
    pub fn levels(&self) -> [(&'static str, &LevelProfile); 3] {
        [("catalog", &self.catalog), ("extents", &self.extents), ("blocks", &self.blocks)]
    }

    /// Widens the times of the extents that the catalog kept.
    pub fn keep_time(&mut self, time: TimeRange) {
        let kept = self.time_kept.unwrap_or(time);
        self.time_kept = Some(TimeRange::new(kept.start.min(time.start), kept.end.max(time.end)));
    }
}

/// What `requests` reads of a store cost, in US dollars.
pub fn store_dollars(requests: u64, dollars_per_million: f64) -> f64 {
    requests as f64 * dollars_per_million / 1e6
}

/// Bytes for people.
pub fn bytes_text(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// IO counters shared by everything that reads for one query.
#[derive(Debug, Default)]
pub struct IoCounters {
    /// Range requests sent to the store, repeated and hedged ones included.
    pub store_requests: AtomicU64,
    /// Of these, the second ones, asked because the first was slow.
    pub store_hedged_requests: AtomicU64,
    /// Bytes received from the store.
    pub store_bytes: AtomicU64,
    /// Ranges found in a cache.
    pub cache_hits: AtomicU64,
    /// Bytes found in a cache.
    pub cache_bytes: AtomicU64,
    /// Time that reads waited for bytes.
    pub waiting: Stopwatch,
}

/// Time that many may add to.
#[derive(Debug, Default)]
pub struct Stopwatch(AtomicU64);

impl Stopwatch {
    /// Adds.
    pub fn add(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Microseconds so far.
    pub fn micros(&self) -> u64 {
        self.0.load(Ordering::Relaxed) / 1_000
    }

    /// Runs `work` and adds what it computes: the time of its polls, without what it waits for.
    pub async fn compute<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            let started = Instant::now();
            let polled = work.as_mut().poll(context);
            self.add(started.elapsed());
            polled
        })
        .await
    }
}

impl IoCounters {
    /// Counts one request to the store.
    pub fn requested(&self) {
        self.store_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request as one that was asked a second time; it is counted by [`Self::requested`], too.
    pub fn hedged(&self) {
        self.store_hedged_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts `bytes` received from the store.
    pub fn received(&self, bytes: u64) {
        self.store_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts one cache hit of `bytes`.
    pub fn cache(&self, bytes: u64) {
        self.cache_hits.fetch_add(1, Ordering::Relaxed);
        self.cache_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Copies the counters into a profile.
    pub fn fill(&self, profile: &mut Profile) {
        profile.store_requests = self.store_requests.load(Ordering::Relaxed);
        profile.store_hedged_requests = self.store_hedged_requests.load(Ordering::Relaxed);
        profile.store_bytes = self.store_bytes.load(Ordering::Relaxed);
        profile.cache_hits = self.cache_hits.load(Ordering::Relaxed);
        profile.cache_bytes = self.cache_bytes.load(Ordering::Relaxed);
        profile.scan.wait_micros = self.waiting.micros();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_members_are_a_promise() {
        let profile = Profile {
            phases: vec![Phase { name: PhaseName::Prune, start_micros: 1, micros: 2 }],
            operators: vec![OperatorProfile { name: "scan".to_owned(), rows: Some(3), ..Default::default() }],
            ..Profile::default()
        };
        let json = serde_json::to_value(&profile).unwrap();
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = vec![
            "snapshot",
            "catalog",
            "extents",
            "blocks",
            "metadata_answers",
            "metadata_blocks",
            "rows_total",
            "time_kept",
            "rows_scanned",
            "rows_matched",
            "rows_returned",
            "store_requests",
            "store_hedged_requests",
            "store_bytes",
            "cache_hits",
            "cache_bytes",
            "store_dollars",
            "memory_peak_bytes",
            "spilled_bytes",
            "parse_micros",
            "plan_micros",
            "execute_micros",
            "phases",
            "scan",
            "operators",
        ];
        expected.sort_unstable();
        let mut names = names;
        names.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(json["phases"][0], serde_json::json!({ "name": "prune", "start_micros": 1, "micros": 2 }));
        assert_eq!(serde_json::from_value::<Profile>(json).unwrap(), profile);
    }

    #[test]
    fn what_is_missing_is_zero() {
        let old = r#"{"catalog":{"considered":5,"pruned":{"time":5},"kept":0},"store_requests":2}"#;
        let profile: Profile = serde_json::from_str(old).unwrap();
        assert_eq!((profile.catalog.pruned_total(), profile.store_requests, profile.phases.len()), (5, 2, 0));
    }

    #[test]
    fn bytes_for_people() {
        assert_eq!((bytes_text(512), bytes_text(1_536)), ("512 B".to_owned(), "1.5 KiB".to_owned()));
    }

    #[test]
    fn requests_have_a_price() {
        assert_eq!(store_dollars(2_500_000, 0.4), 1.0);
    }
}
