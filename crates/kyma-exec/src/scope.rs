//! What one query shares among everything that works for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use kyma_core::format::Formats;
use kyma_core::profile::{IoCounters, OperatorProfile, PhaseName, Profile, Stopwatch, store_dollars};
use kyma_storage::{ExternalFiles, Store};
use parking_lot::Mutex;

use crate::holds::{Hold, Holds};
use crate::manifest::Manifests;
use crate::request::TimeScope;
use crate::scan::footers::Footers;
use crate::settings::ExecSettings;
use crate::snapshot::Snapshot;
use crate::timeline::{Running, Timeline};

/// Operators that a profile lists at most: a query may run thousands of sub-queries.
const OPERATORS_MAX: usize = 256;

/// Parts that all queries of a node share.
#[derive(Debug)]
pub struct Shared {
    /// Lists of extents.
    pub manifests: Manifests,
    /// Where bytes are.
    pub store: Arc<Store>,
    /// Files elsewhere that queries may name.
    pub external: ExternalFiles,
    /// How they are laid out.
    pub formats: Arc<Formats>,
    /// Open extents.
    pub footers: Footers,
    /// Settings.
    pub settings: ExecSettings,
    /// Bytes of memory that queries hold, of `settings.memory_bytes`.
    pub memory: Arc<AtomicUsize>,
    /// Snapshots that queries read.
    pub holds: Holds,
}

/// What the operators of a running plan have done so far; nothing once the plan is gone.
pub type OperatorSource = Box<dyn Fn() -> Vec<OperatorProfile> + Send + Sync>;

/// Computing that scans did.
#[derive(Debug, Default)]
pub struct ScanTimes {
    /// Opening extents.
    pub footer: Stopwatch,
    /// Excluding blocks.
    pub prune: Stopwatch,
    /// Decoding and filtering blocks.
    pub read: Stopwatch,
}

/// One running query.
pub struct QueryScope {
    /// Parts of the node.
    pub shared: Arc<Shared>,
    /// What it reads.
    pub snapshot: Snapshot,
    /// Its `now()`.
    pub now: i64,
    /// Its database.
    pub database: String,
    /// The rows that it may see, if not all.
    pub time_scope: OnceLock<TimeScope>,
    /// Where requests to the store run.
    pub io: tokio::runtime::Handle,
    /// What it asked the store for.
    pub counters: Arc<IoCounters>,
    /// Highest memory, in bytes.
    pub memory_peak: Arc<AtomicUsize>,
    /// Where the time of its scans goes.
    pub scan_times: ScanTimes,
    timeline: Timeline,
    profile: Mutex<Profile>,
    scans: Mutex<Vec<Arc<PlannedScan>>>,
    running: Mutex<Vec<OperatorSource>>,
    _hold: Hold,
}

impl std::fmt::Debug for QueryScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryScope").field("database", &self.database).finish_non_exhaustive()
    }
}

/// A scan that was planned; one that never opens was answered from metadata.
#[derive(Debug, Default)]
pub struct PlannedScan {
    /// Extents that it would read.
    pub extents: u64,
    /// Whether some partition of it ran.
    pub opened: std::sync::atomic::AtomicBool,
}

impl QueryScope {
    /// The scope of a query that reads `snapshot` and came when `timeline` began.
    pub fn new(
        shared: Arc<Shared>,
        snapshot: Snapshot,
        now: i64,
        database: &str,
        io: tokio::runtime::Handle,
        timeline: Timeline,
    ) -> Arc<Self> {
        let sequences = snapshot.databases.iter().map(|(name, one)| (name.clone(), one.sequence.0)).collect();
        let hold = shared.holds.take(&snapshot);
        Arc::new(QueryScope {
            shared,
            snapshot,
            now,
            database: database.to_owned(),
            time_scope: OnceLock::new(),
            io,
            counters: Arc::default(),
            memory_peak: Arc::default(),
            scan_times: ScanTimes::default(),
            timeline,
            profile: Mutex::new(Profile { snapshot: sequences, ..Profile::default() }),
            scans: Mutex::default(),
            running: Mutex::default(),
            _hold: hold,
        })
    }

    /// Begins a phase.
    pub fn enter(&self, phase: PhaseName) -> Running {
        self.timeline.enter(phase)
    }

    /// Adds to the profile.
    pub fn note(&self, note: impl FnOnce(&mut Profile)) {
        note(&mut self.profile.lock());
    }

    /// Remembers a scan whose number of rows is known exactly.
    pub fn planned(&self, scan: Arc<PlannedScan>) {
        self.scans.lock().push(scan);
    }

    /// Asks `source` for the operators of a plan that starts, until [`QueryScope::settle`]. It must not keep the plan
    /// alive: the plan's scans hold this scope.
    pub fn watch(&self, source: OperatorSource) {
        self.running.lock().push(source);
    }

    /// Writes down what the watched plans did: they may go.
    pub fn settle(&self) {
        let mut running = self.running.lock();
        let operators: Vec<OperatorProfile> = running.drain(..).flat_map(|source| source()).collect();
        self.note(|profile| add_operators(profile, operators));
    }

    /// The profile so far.
    pub fn profile(&self) -> Profile {
        // Held until the end: a plan that settles meanwhile would be counted twice, or not at all.
        let running = self.running.lock();
        let mut profile = self.profile.lock().clone();
        self.counters.fill(&mut profile);
        let unopened = |scan: &&Arc<PlannedScan>| !scan.opened.load(Ordering::Relaxed);
        profile.metadata_answers += self.scans.lock().iter().filter(unopened).map(|scan| scan.extents).sum::<u64>();
        profile.memory_peak_bytes = self.memory_peak.load(Ordering::Relaxed) as u64;
        profile.store_dollars = store_dollars(profile.store_requests, self.shared.settings.dollars_per_million_gets);
        profile.phases = self.timeline.phases();
        profile.scan.footer_micros = self.scan_times.footer.micros();
        profile.scan.prune_micros = self.scan_times.prune.micros();
        profile.scan.read_micros = self.scan_times.read.micros();
        add_operators(&mut profile, running.iter().flat_map(|source| source()).collect());
        profile.spilled_bytes = profile.operators.iter().map(|operator| operator.spilled_bytes).sum();
        profile
    }
}

fn add_operators(profile: &mut Profile, operators: Vec<OperatorProfile>) {
    let room = OPERATORS_MAX.saturating_sub(profile.operators.len());
    profile.operators.extend(operators.into_iter().take(room));
}
