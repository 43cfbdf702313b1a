//! One seed from beginning to end.
//!
//! 1. The plan is drawn, the world made: a catalog that is empty or has policies, over a bucket that holds objects which are
//!    not its own.
//! 2. Nodes start. Clients work and chaos strikes for the plan's horizon.
//! 3. Faults end: every node runs, the ways are sound. Clients go on until they are done.
//! 4. Background work goes on until nothing is left to be done, or a limit of time.
//! 5. The judge looks at the whole, and every table is read once more.
//!
//! The judge has an eye on every step; a run ends with the first thing that broke.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use kyma_core::catalog::Tables;
use kyma_core::format::Formats;
use kyma_core::time::TimeRange;
use kyma_testkit::toy_format::ToyFormat;
use tokio::time::{Instant, sleep, timeout};

use crate::backlog::drain;
use crate::chaos::{chaos, heal};
use crate::clients::{check_snapshot, reader, remover, rewriter, traveller, writer};
use crate::furnish::furnish;
use crate::journal::{auditor, judge_journal};
use crate::keepers::{dropper, holder};
use crate::oracle::Broken;
use crate::panics;
use crate::plan::Plan;
use crate::rebuild::judge_rebuild;
use crate::rng::{Rng, mix};
use crate::time::SimClock;
use crate::trace::Trace;
use crate::world::World;

/// Longest time that clients take to end when all is calm.
const CLIENTS_MAX: Duration = Duration::from_secs(3 * 3_600);
/// The sweep leaves alone what may be older than the catalog: nobody writes before.
const AGE_MIN: Duration = Duration::from_secs(2);

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Stands for everything that happened.
    pub hash: u64,
    /// How much happened.
    pub events: u64,
    /// Simulated time, in milliseconds.
    pub millis: u64,
    /// Writes that were acked, and all that were sent.
    pub writes: (usize, usize),
    /// What broke, if something did.
    pub broken: Option<Broken>,
    /// The last events, if they were wanted.
    pub log: Vec<String>,
}

/// Runs a seed. The log costs time.
pub fn run(seed: u64, has_log: bool) -> Outcome {
    panics::watch();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without threads can be had");
    runtime.block_on(run_world(seed, has_log))
}

async fn run_world(seed: u64, has_log: bool) -> Outcome {
    let start = Instant::now();
    let mut rng = Rng::new(seed);
    let plan = Plan::draw(&mut rng);
    let trace = Trace::new(has_log);
    trace.note("world", "plan", seed, || format!("{plan:#?}"));
    let formats = Formats::new(vec![Arc::new(ToyFormat), Arc::new(kyma_format_tlm::Tlm)]);
    let world = World::new(plan, rng, trace, SimClock::new(start, mix(seed)), formats);
    panics::forget();
    tokio::select! {
        biased;
        () = world.oracle.alarm.notified() => {}
        _ = AssertUnwindSafe(story(&world)).catch_unwind() => {}
    }
    if let Some(panic) = panics::last() {
        world.oracle.break_down("nothing panics", panic);
    }
    let (hash, events) = world.trace.hash();
    let millis = start.elapsed().as_millis() as u64;
    Outcome {
        hash,
        events,
        millis,
        writes: world.oracle.acked(),
        broken: world.oracle.broken(),
        log: world.trace.last(usize::MAX),
    }
}

async fn story(world: &Arc<World>) {
    if let Err(error) = furnish(world).await {
        world.oracle.break_down("a world can be made", error.chain());
        return;
    }
    for slot in 0..world.plan.nodes {
        let node = crate::node::SimNode::start(world, slot, 0).await;
        world.set_node(slot, Some(node));
    }
    sleep(AGE_MIN).await;
    let mut clients = tokio::task::JoinSet::new();
    (0..world.plan.writers).for_each(|place| drop(clients.spawn(writer(Arc::clone(world), place))));
    (0..world.plan.readers).for_each(|_| drop(clients.spawn(reader(Arc::clone(world)))));
    (0..world.plan.rewriters).for_each(|_| drop(clients.spawn(rewriter(Arc::clone(world)))));
    (0..world.plan.travellers).for_each(|_| drop(clients.spawn(traveller(Arc::clone(world)))));
    clients.spawn(remover(Arc::clone(world)));
    (0..world.plan.holders).for_each(|_| drop(clients.spawn(holder(Arc::clone(world)))));
    clients.spawn(dropper(Arc::clone(world)));
    if world.plan.has_journal {
        clients.spawn(auditor(Arc::clone(world)));
    }
    clients.spawn(chaos(Arc::clone(world)));
    sleep(world.plan.horizon).await;
    world.trace.note("world", "heals", 0, String::new);
    heal(world).await;
    let ended = timeout(CLIENTS_MAX, async { while clients.join_next().await.is_some() {} });
    if ended.await.is_err() {
        world.oracle.break_down("the backlog drains", "clients are not done");
        return;
    }
    // Chaos may have come after the healing.
    heal(world).await;
    drain(world).await;
    judge_journal(world).await;
    judge_rebuild(world, true).await;
    read_all(world).await;
}

async fn read_all(world: &Arc<World>) {
    let Some(node) = world.any_node() else { return };
    let tables = world.oracle.tables();
    let reads = tables.into_iter().map(|(database, id)| {
        let (own, node) = (Arc::clone(world), Arc::clone(&node));
        async move {
            let Ok(Some(table)) = own.model.table_by_id(id).await else { return };
            let at = own.model.state().databases.iter().find(|row| row.id == database).map(|row| row.sequence);
            let Some(at) = at else { return };
            let _ = check_snapshot(&own, &node, &table, at, TimeRange::ALL, None).await;
        }
    });
    join_all(reads).await;
}
