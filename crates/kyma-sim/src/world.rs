//! What all parts of one run share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kyma_core::format::Formats;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::bucket::Bucket;
use crate::model::Model;
use crate::node::SimNode;
use crate::oracle::Oracle;
use crate::plan::{Faults, Plan};
use crate::rng::Rng;
use crate::time::SimClock;
use crate::trace::Trace;

/// The world of one run.
pub struct World {
    /// What it is made of.
    pub plan: Plan,
    /// What happens.
    pub trace: Arc<Trace>,
    /// The objects.
    pub bucket: Arc<Bucket>,
    /// The catalog.
    pub model: Arc<Model>,
    /// Who judges.
    pub oracle: Arc<Oracle>,
    /// The formats.
    pub formats: Arc<Formats>,
    /// The right time.
    pub clock: Arc<SimClock>,
    /// What runs on its own.
    pub tasks: TaskTracker,
    rng: Mutex<Rng>,
    calm: AtomicBool,
    catalog: Outage,
    store: Outage,
    nodes: Mutex<Vec<Option<Arc<SimNode>>>>,
    start: Instant,
}

/// When something is away, and how often it was.
#[derive(Default)]
struct Outage {
    until: Mutex<Option<Instant>>,
    count: AtomicU64,
}

impl Outage {
    fn begin(&self, length: Duration) {
        *self.until.lock() = Some(Instant::now() + length);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.until.lock().is_some_and(|until| Instant::now() < until)
    }
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// It is done, after one wait and before another.
    Done {
        /// The request's way.
        before: Duration,
        /// The reply's way.
        after: Duration,
    },
    /// It is not done; the sender learns nothing for so long.
    RequestLost(Duration),
    /// It is done at once; the sender learns nothing for so long.
    ReplyLost(Duration),
    /// It is done after the first wait, the sender learns nothing and gives up after the second.
    Late(Duration, Duration),
    /// It is not done, and the sender is told.
    Refused(Duration),
    /// It is done now and again after this wait; the sender gets the first reply.
    Twice(Duration),
}

impl World {
    /// A world that begins now: an empty catalog, an empty bucket, no node.
    pub fn new(plan: Plan, rng: Rng, trace: Trace, clock: SimClock, formats: Formats) -> Arc<World> {
        let (clock, formats) = (Arc::new(clock), Arc::new(formats));
        let bucket = Bucket::new(Arc::clone(&clock));
        let grace = Duration::from_millis(plan.worker.garbage.removed_grace_millis);
        let oracle = Oracle::new(Arc::clone(&clock), Arc::clone(&bucket), Arc::clone(&formats), grace);
        let model = Model::new(clock.clone());
        model.observe(oracle.clone());
        let nodes = Mutex::new((0..plan.nodes).map(|_| None).collect());
        Arc::new(World {
            plan,
            trace: Arc::new(trace),
            bucket,
            model,
            oracle,
            formats,
            clock,
            tasks: TaskTracker::new(),
            rng: Mutex::new(rng),
            calm: AtomicBool::new(false),
            catalog: Outage::default(),
            store: Outage::default(),
            nodes,
            start: Instant::now(),
        })
    }

    /// When it began.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Draws from the world's chance.
    pub fn draw<T>(&self, with: impl FnOnce(&mut Rng) -> T) -> T {
        with(&mut self.rng.lock())
    }

    /// Ends all faults.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
        *self.catalog.until.lock() = None;
        *self.store.until.lock() = None;
    }

    /// Whether faults have ended.
    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Takes the catalog away for some time. What it was doing is not answered.
    pub fn restart_catalog(&self, length: Duration) {
        self.catalog.begin(length);
    }

    /// Takes the store away for some time.
    pub fn break_store(&self, length: Duration) {
        self.store.begin(length);
    }

    /// Whether the catalog is away.
    pub fn is_catalog_away(&self) -> bool {
        self.catalog.is_on()
    }

    /// How often the catalog went away.
    pub fn catalog_restarts(&self) -> u64 {
        self.catalog.count.load(Ordering::Relaxed)
    }

    /// Whether the store is away.
    pub fn is_store_away(&self) -> bool {
        self.store.is_on()
    }

    /// What becomes of a request on a way of these faults.
    pub fn fate(&self, faults: &Faults) -> Fate {
        let is_calm = self.is_calm();
        self.draw(|rng| draw_fate(rng, faults, is_calm))
    }

    /// Whether so many of a thousand hit now. Nothing does when it is calm.
    pub fn strikes(&self, per_mille: u32) -> bool {
        !self.is_calm() && per_mille > 0 && self.draw(|rng| rng.chance(per_mille))
    }

    /// The node at a place, if it is up.
    pub fn node(&self, slot: usize) -> Option<Arc<SimNode>> {
        self.nodes.lock().get(slot)?.clone()
    }

    /// Waits for a while: a part of the run at most, as one of so many things that are spread over it.
    pub async fn gap(&self, parts: usize) {
        let horizon = self.plan.horizon.as_millis() as u64;
        sleep(Duration::from_millis(self.draw(|rng| rng.below(horizon / parts.max(1) as u64 + 1)))).await;
    }

    /// Any node that is up.
    pub fn any_node(&self) -> Option<Arc<SimNode>> {
        let nodes = self.nodes.lock();
        let up: Vec<&Arc<SimNode>> = nodes.iter().flatten().collect();
        let place = self.draw(|rng| rng.below(up.len() as u64)) as usize;
        up.get(place).map(|node| Arc::clone(node))
    }

    /// Puts a node at a place, or nothing.
    pub fn set_node(&self, slot: usize, node: Option<Arc<SimNode>>) -> Option<Arc<SimNode>> {
        std::mem::replace(&mut self.nodes.lock()[slot], node)
    }
}

fn draw_fate(rng: &mut Rng, faults: &Faults, is_calm: bool) -> Fate {
    let dice = rng.below(1_000) as u32;
    let wait = Duration::from_millis(rng.between(1, 12));
    let is_before = rng.chance(500);
    let done = move |wait| match is_before {
        true => Fate::Done { before: wait, after: Duration::ZERO },
        false => Fate::Done { before: Duration::ZERO, after: wait },
    };
    if is_calm {
        return done(wait);
    }
    let mut edge = 0;
    let mut falls = |part: u32| {
        edge += part;
        dice < edge
    };
    let silence = |rng: &mut Rng| match rng.chance(faults.hangs) {
        true => Duration::from_secs(rng.between(10, 60)),
        false => Duration::from_millis(rng.between(1, 400)),
    };
    if falls(faults.request_lost) {
        return Fate::RequestLost(silence(rng));
    }
    if falls(faults.reply_lost) {
        return Fate::ReplyLost(silence(rng));
    }
    if falls(faults.late) {
        let give_up = silence(rng);
        return Fate::Late(give_up + Duration::from_millis(rng.pick(&[1, 300, 5_000, 40_000])), give_up);
    }
    if falls(faults.refused) {
        return Fate::Refused(wait);
    }
    if falls(faults.twice) {
        return Fate::Twice(Duration::from_millis(rng.pick(&[2, 500, 20_000, 90_000])));
    }
    if falls(faults.slow) {
        return done(Duration::from_millis(rng.between(200, 15_000)));
    }
    done(wait)
}
