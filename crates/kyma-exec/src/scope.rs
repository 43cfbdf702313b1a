//! What one query shares among everything that works for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kyma_core::format::Formats;
use kyma_core::profile::{IoCounters, Profile};
use kyma_storage::Store;
use parking_lot::Mutex;

use crate::manifest::Manifests;
use crate::scan::footers::Footers;
use crate::settings::ExecSettings;
use crate::snapshot::Snapshot;

/// Parts that all queries of a node share.
#[derive(Debug)]
pub struct Shared {
    /// Lists of extents.
    pub manifests: Manifests,
    /// Where bytes are.
    pub store: Arc<Store>,
    /// How they are laid out.
    pub formats: Arc<Formats>,
    /// Open extents.
    pub footers: Footers,
    /// Settings.
    pub settings: ExecSettings,
    /// Bytes of memory that queries hold, of `settings.memory_bytes`.
    pub memory: Arc<AtomicUsize>,
}

/// One running query.
#[derive(Debug)]
pub struct QueryScope {
    /// Parts of the node.
    pub shared: Arc<Shared>,
    /// What it reads.
    pub snapshot: Snapshot,
    /// Its `now()`.
    pub now: i64,
    /// Its database.
    pub database: String,
    /// Where requests to the store run.
    pub io: tokio::runtime::Handle,
    /// What it asked the store for.
    pub counters: Arc<IoCounters>,
    /// Highest memory, in bytes.
    pub memory_peak: Arc<AtomicUsize>,
    profile: Mutex<Profile>,
    scans: Mutex<Vec<Arc<PlannedScan>>>,
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
    /// The scope of a query that reads `snapshot`.
    pub fn new(
        shared: Arc<Shared>,
        snapshot: Snapshot,
        now: i64,
        database: &str,
        io: tokio::runtime::Handle,
    ) -> Arc<Self> {
        let sequences = snapshot.databases.iter().map(|(name, one)| (name.clone(), one.sequence.0)).collect();
        Arc::new(QueryScope {
            shared,
            snapshot,
            now,
            database: database.to_owned(),
            io,
            counters: Arc::default(),
            memory_peak: Arc::default(),
            profile: Mutex::new(Profile { snapshot: sequences, ..Profile::default() }),
            scans: Mutex::default(),
        })
    }

    /// Adds to the profile.
    pub fn note(&self, note: impl FnOnce(&mut Profile)) {
        note(&mut self.profile.lock());
    }

    /// Remembers a scan whose number of rows is known exactly.
    pub fn planned(&self, scan: Arc<PlannedScan>) {
        self.scans.lock().push(scan);
    }

    /// The profile so far.
    pub fn profile(&self) -> Profile {
        let mut profile = self.profile.lock().clone();
        self.counters.fill(&mut profile);
        let unopened = |scan: &&Arc<PlannedScan>| !scan.opened.load(Ordering::Relaxed);
        profile.metadata_answers += self.scans.lock().iter().filter(unopened).map(|scan| scan.extents).sum::<u64>();
        profile.memory_peak_bytes = self.memory_peak.load(Ordering::Relaxed) as u64;
        profile
    }
}
