//! What a seed is made of: which faults there are and how many, how patient everybody is, who does what.
//!
//! Each seed has some kinds of faults and not others (swarm testing: Groce et al., ISSTA 2012): a world in which everything
//! fails all the time hides what only shows when one thing fails and the rest goes on.

use std::time::Duration;

use kyma_ingest::IngestSettings;
use kyma_storage::StoreSettings;
use kyma_worker::{CompactSettings, GarbageSettings, JournalSettings, RetentionSettings, WorkerSettings};
use url::Url;

use crate::rng::Rng;

/// How unreliable a way is, in cases of a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The request is lost.
    pub request_lost: u32,
    /// It is done, and the reply is lost.
    pub reply_lost: u32,
    /// It is done after the sender gave up.
    pub late: u32,
    /// It is refused: a 5xx, a throttle, a serialization failure.
    pub refused: u32,
    /// It is done twice.
    pub twice: u32,
    /// It takes seconds.
    pub slow: u32,
    /// Of lost ones, how many hang instead of failing at once.
    pub hangs: u32,
}

/// Which policy of retention there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// The database's.
    OfDatabase,
    /// The first table's.
    OfTable,
}

/// How long rows are kept where a policy says so: most runs are over before that, so that only rows that are sent late
/// are past it.
pub const KEPT: Duration = Duration::from_secs(2 * 3_600);

/// A seed's world.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Nodes at a time.
    pub nodes: usize,
    /// The format of extents.
    pub format: &'static str,
    /// Tables that are written.
    pub tables: usize,
    /// How long faults and clients go on.
    pub horizon: Duration,
    /// Clients that write, and how often each does.
    pub writers: usize,
    /// Writes of one client.
    pub writes_each: usize,
    /// Writes with an idempotency key, of a thousand.
    pub keyed: u32,
    /// Bodies that break off, of a thousand.
    pub bodies_broken: u32,
    /// Clients that read.
    pub readers: usize,
    /// Clients that look at what was.
    pub travellers: usize,
    /// Clients that rewrite extents.
    pub rewriters: usize,
    /// Removals of extents.
    pub removals: usize,
    /// Drops of tables, most of which are undone.
    pub drops: usize,
    /// Queries that run for longer than the grace period.
    pub holders: usize,
    /// Time between heartbeats, which tell what a node's queries read.
    pub beat: Duration,
    /// Whether workers write the catalog down in the bucket.
    pub has_journal: bool,
    /// Extents and receipts of one part of that.
    pub journal_page: usize,
    /// How long rows are kept, if a policy says so: the database's, or the first table's.
    pub retention: Option<Retention>,
    /// For how many seconds every table recognises writes without a key by their content; 0 is not at all.
    pub deduplication: u32,
    /// Ways between clients and nodes.
    pub client_faults: Faults,
    /// Ways between nodes.
    pub peer_faults: Faults,
    /// Ways from nodes to the catalog.
    pub catalog_faults: Faults,
    /// Ways from nodes to the store.
    pub store_faults: Faults,
    /// Bodies of the store that come short, broken or with a changed bit, of a thousand.
    pub bodies_torn: u32,
    /// Listings that show the past, of a thousand.
    pub stale_lists: u32,
    /// How far back they show it.
    pub stale: Duration,
    /// Whether the store knows conditional puts.
    pub conditional_puts: bool,
    /// Events of chaos, each of a kind with so much weight: crash, stall, drain, jump of a clock, restart of the catalog,
    /// outage of the store.
    pub chaos: usize,
    /// Weights of the kinds.
    pub chaos_weights: [u32; 6],
    /// Settings of ingest.
    pub ingest: IngestSettings,
    /// Settings of the store.
    pub store: StoreSettings,
    /// Settings of the worker.
    pub worker: WorkerSettings,
}

impl Plan {
    /// The plan that a seed's first draws make.
    pub fn draw(rng: &mut Rng) -> Plan {
        let nodes = rng.between(1, 3) as usize;
        let horizon = Duration::from_secs(rng.pick(&[20, 60, 180, 600]));
        let deduplication = rng.pick(&[0, 0, 0, 60, 600, 3_600]);
        Plan {
            nodes,
            format: if rng.chance(60) { "tlm" } else { "toy" },
            tables: rng.between(1, 3) as usize,
            horizon,
            writers: rng.between(1, 4) as usize,
            writes_each: rng.between(1, 5) as usize,
            keyed: rng.pick(&[0, 500, 1_000]),
            bodies_broken: rng.pick(&[0, 0, 100]),
            readers: rng.between(0, 2) as usize,
            travellers: rng.pick(&[0, 0, 1, 2]),
            rewriters: rng.between(0, 2) as usize,
            removals: rng.pick(&[0, 0, 1, 3]),
            // A table that comes after a dropped one has no policy: contents would not be recognised.
            drops: if deduplication > 0 { 0 } else { rng.pick(&[0, 0, 1, 4]) },
            holders: rng.pick(&[0, 0, 0, 1, 2]),
            beat: Duration::from_secs(rng.pick(&[5, 15])),
            retention: rng.pick(&[None, None, Some(Retention::OfDatabase), Some(Retention::OfTable)]),
            deduplication,
            has_journal: rng.chance(250),
            journal_page: rng.pick(&[1, 3, 2_000]),
            client_faults: faults(rng),
            peer_faults: faults(rng),
            catalog_faults: Faults { twice: 0, ..faults(rng) },
            store_faults: faults(rng),
            bodies_torn: rng.pick(&[0, 0, 30, 200]),
            stale_lists: rng.pick(&[0, 0, 300, 1_000]),
            stale: Duration::from_secs(rng.pick(&[2, 20, 90])),
            conditional_puts: rng.chance(800),
            chaos: rng.pick(&[0, 1, 3, 8]),
            chaos_weights: std::array::from_fn(|_| rng.pick(&[0, 1, 3])),
            ingest: ingest(rng),
            store: store(rng),
            worker: worker(rng),
        }
    }
}

fn faults(rng: &mut Rng) -> Faults {
    if rng.chance(350) {
        return Faults::default();
    }
    let scale = rng.pick(&[5, 20, 60, 150]);
    let mut some = || if rng.chance(500) { scale } else { 0 };
    let (request_lost, reply_lost, late, refused, twice, slow) = (some(), some(), some(), some(), some(), some());
    Faults { request_lost, reply_lost, late, refused, twice, slow, hangs: rng.pick(&[0, 300, 1_000]) }
}

fn ingest(rng: &mut Rng) -> IngestSettings {
    IngestSettings {
        flush_interval: Duration::from_millis(rng.pick(&[20, 250, 2_000])),
        catalog_timeout: Duration::from_secs(rng.pick(&[3, 10, 30])),
        outcome_timeout: Duration::from_secs(rng.pick(&[5, 30])),
        table_age_max: Duration::from_secs(2),
        body_idle_timeout: Duration::from_secs(20),
        cpu_threads: 1,
        cpu_inline: true,
        ..IngestSettings::default()
    }
}

fn store(rng: &mut Rng) -> StoreSettings {
    let url = Url::parse("memory:///").expect("it is a URL");
    StoreSettings {
        request_timeout: Duration::from_secs(rng.pick(&[6, 30])),
        attempt_timeout: Duration::from_secs(rng.pick(&[2, 10])),
        attempts_max: rng.between(2, 8) as u32,
        jitter_seed: Some(rng.draw()),
        ..StoreSettings::new(url)
    }
}

/// Everything is garbage soon, and looked for often.
fn worker(rng: &mut Rng) -> WorkerSettings {
    WorkerSettings {
        tasks_at_once: rng.between(1, 2) as usize,
        poll_millis: rng.pick(&[5_000, 10_000]),
        lease_millis: rng.pick(&[15_000, 40_000]),
        stop_grace_millis: 2_000,
        garbage: GarbageSettings {
            period_millis: rng.pick(&[20_000, 40_000]),
            reservation_age_millis: rng.pick(&[0, 5_000, 60_000]),
            removed_grace_millis: rng.pick(&[20_000, 60_000, 180_000]),
            sweep_period_millis: rng.pick(&[30_000, 90_000]),
            unknown_age_millis: rng.pick(&[5_000, 60_000]),
            clock_difference_millis: 1_000,
            batch: rng.pick(&[2, 1_000]),
            deletes_at_once: rng.between(1, 4) as usize,
        },
        compact: CompactSettings {
            enabled: rng.chance(600),
            period_millis: rng.pick(&[20_000, 40_000]),
            merges_at_once: 1,
            target_raw_bytes: rng.pick(&[500, 4_000]),
            sources_max: rng.between(2, 6) as usize,
            gather_extents: rng.between(2, 4) as usize,
            gather_age_millis: rng.pick(&[1_000, 10_000]),
            tier_extents: rng.between(2, 3) as usize,
            partition_seconds: rng.pick(&[900, 86_400]),
            quiet_millis: rng.pick(&[30_000, 120_000]),
            ..CompactSettings::default()
        },
        retention: RetentionSettings { period_millis: 40_000, batch: rng.pick(&[1, 100]) },
        journal: JournalSettings {
            period_millis: rng.pick(&[10_000, 40_000]),
            deltas_max: rng.pick(&[2, 1_000]),
            kept_millis: rng.pick(&[0, 60_000]),
        },
    }
}
