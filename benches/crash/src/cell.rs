//! One cell of the matrix.
//!
//! 1. Two nodes start over a fresh catalog and bucket. The first has the cell's failpoint armed.
//! 2. Writers send rows with ids of their own, each batch until it is acknowledged, first to the first node, then to the
//!    other; a reader compares every answer with what was acknowledged before it asked; chores make garbage.
//! 3. The point is reached: the node says so. A cell whose point is not reached has failed.
//! 4. The mode takes its course: a dead node is started again without failpoints, a stopped one is continued after a
//!    minute, in which the other node works on and takes over what the stopped one had.
//! 5. Some more writes are acknowledged, then the load ends.
//! 6. The second node is told to end, and must end well. The node that failed must drain the backlog alone, and is asked
//!    for every row (`check`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kyma_core::failpoint::REACHED;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::check;
use crate::cluster::{Cluster, Node};
use crate::ledger::Ledger;
use crate::load::{Expected, Load, Targets, Writer};
use crate::plan::{Cell, Mode};

/// How long the load may take to reach a point.
const REACH_MAX: Duration = Duration::from_secs(60);
/// How long a killed process may take to be gone, and a told one to end.
const END_MAX: Duration = Duration::from_secs(30);
/// Acknowledgements after the heal.
const MORE_ACKS: u64 = 9;
/// How long these may take.
const MORE_ACKS_MAX: Duration = Duration::from_secs(90);
/// Writers, and which of them send idempotency keys.
const WRITERS: [bool; 3] = [true, true, false];

/// How a cell went.
#[derive(Debug)]
pub struct Report {
    /// Which.
    pub cell: Cell,
    /// What was wrong; nothing when it went well.
    pub violations: Vec<String>,
    /// How requests failed, and how often.
    pub failures: BTreeMap<String, u64>,
    /// Rows that were acknowledged and counted.
    pub rows: usize,
    /// How long it took.
    pub took: Duration,
    /// The end of the failing node's log, when something was wrong.
    pub log: String,
}

/// Runs a cell to its end.
pub async fn run(binary: &Path, cell: Cell, stop_time: Duration) -> Report {
    let started = Instant::now();
    let ledger = Arc::new(Ledger::default());
    let mut log = String::new();
    match Cluster::start(binary).await {
        Ok(cluster) => {
            if let Err(error) = run_inner(&cluster, cell, stop_time, &ledger, &mut log).await {
                ledger.violated(format!("{error:#}"));
            }
            // PostgreSQL drops a database when every backend has heard of it. One that copies from a stopped node, of another
            // cell perhaps, hears nothing until the node is continued: who would do that must not wait.
            tokio::task::spawn_blocking(move || drop(cluster));
        }
        Err(error) => ledger.violated(format!("{error:#}")),
    }
    let violations = ledger.violations();
    let rows = ledger.acked_now().len();
    Report { cell, failures: ledger.failures(), rows, took: started.elapsed(), log, violations }
}

async fn run_inner(
    cluster: &Cluster,
    cell: Cell,
    stop_time: Duration,
    ledger: &Arc<Ledger>,
    log: &mut String,
) -> Result<()> {
    let mut other = cluster.spawn("other", "")?;
    other.ready().await?;
    let targets = Arc::new(Targets::default());
    let expected = if cell.mode == Mode::Panic { Expected::Panics } else { Expected::Transient };
    let (ledger_too, client) = (Arc::clone(ledger), cluster.client().clone());
    let load = Load { targets: Arc::clone(&targets), ledger: ledger_too, client, deletions: Arc::default(), expected };
    load.make_tables(&other.url, &cluster.database).await?;
    let mut failing = cluster.spawn("failing", &cell.failpoints())?;
    targets.set(vec![failing.url.clone(), other.url.clone()]);

    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for (number, keyed) in (1..).zip(WRITERS) {
        tasks.spawn(load.clone().write(Writer { number, keyed }, stop.clone()));
    }
    tasks.spawn(load.clone().read(stop.clone()));
    tasks.spawn(load.clone().make_garbage(cluster.s3.object_store(), stop.clone()));

    let reached = async {
        wait_until_reached(&mut failing, cell).await?;
        heal(cluster, cell, &mut failing, stop_time).await
    };
    if let Err(error) = reached.await {
        *log = failing.log();
        return Err(error);
    }
    targets.set(vec![failing.url.clone(), other.url.clone()]);
    let healed_at = check::now(&cluster.database).await;
    let ended = finish(&mut tasks, ledger, &stop).await;
    if ended.is_ok() {
        end_well(&mut other).await?;
        check::check(cluster, &load, &failing, &healed_at).await?;
    }
    if ended.is_err() || !ledger.violations().is_empty() {
        *log = failing.log();
    }
    ended
}

/// Step 3.
async fn wait_until_reached(node: &mut Node, cell: Cell) -> Result<()> {
    let said = format!("{REACHED}{} {:?}", cell.point.name(), cell.mode);
    let deadline = Instant::now() + REACH_MAX;
    while Instant::now() < deadline {
        if node.log().contains(&said) {
            return Ok(());
        }
        if let Some(status) = node.ended()? {
            bail!("the node ended with {status} before the point was reached:\n{}", node.tail());
        }
        sleep(Duration::from_millis(50)).await;
    }
    bail!("the point was not reached in {REACH_MAX:?}")
}

/// Step 4.
async fn heal(cluster: &Cluster, cell: Cell, node: &mut Node, stop_time: Duration) -> Result<()> {
    match cell.mode {
        Mode::Kill => {
            node.ends_within(END_MAX).await?.context("the killed node lives")?;
        }
        Mode::Stop => {
            let deadline = Instant::now() + END_MAX;
            while !node.is_stopped() && Instant::now() < deadline {
                sleep(Duration::from_millis(10)).await;
            }
            if !node.is_stopped() {
                bail!("the node did not stop");
            }
            sleep(stop_time).await;
            node.signal("CONT")?;
        }
        // Whatever follows from it follows soon: a node may end for it, but must not hang.
        Mode::Panic | Mode::Error => sleep(Duration::from_millis(500)).await,
    }
    if node.ended()?.is_some() {
        *node = cluster.spawn("failing", "")?;
    }
    node.ready().await
}

/// Step 5.
async fn finish(tasks: &mut JoinSet<()>, ledger: &Ledger, stop: &CancellationToken) -> Result<()> {
    let enough = ledger.acks() + MORE_ACKS;
    let deadline = Instant::now() + MORE_ACKS_MAX;
    while ledger.acks() < enough && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    let ending = async {
        while let Some(ended) = tasks.join_next().await {
            ended.context("a part of the load broke")?;
        }
        Ok(())
    };
    tokio::time::timeout_at(deadline, ending).await.context("writes are not acknowledged after the heal")?
}

/// Step 6, of the second node.
async fn end_well(node: &mut Node) -> Result<()> {
    node.signal("TERM")?;
    match node.ends_within(END_MAX).await? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("a node that was told to end ended with {status}:\n{}", node.tail()),
        None => bail!("a node that was told to end did not:\n{}", node.tail()),
    }
}
