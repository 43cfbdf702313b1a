//! Tells the catalog that this node lives, and which snapshots its queries read, until told to leave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kyma_core::catalog::{Catalog, Node};
use kyma_core::{DatabaseId, Result, Sequence};
use tokio_util::sync::CancellationToken;

use crate::settings::LEAVE_TIME_MAX;

/// Heartbeats that may be missed at least before what a node's queries read is not held any more.
const HELD_PERIODS: u32 = 6;

/// Renews the node's row every `period`, and holds what its queries read for `hold_time` each time; when `stop` is cancelled,
/// removes both.
///
/// A failed heartbeat is tried again at the next period: a catalog that is away must not stop the node.
pub(crate) async fn run(
    catalog: Arc<dyn Catalog>,
    node: Node,
    held: impl Fn() -> BTreeMap<DatabaseId, Sequence> + Send,
    period: Duration,
    hold_time: Duration,
    stop: CancellationToken,
) {
    // A beat may be missed.
    let hold_time = hold_time.max(period * HELD_PERIODS);
    let mut ticks = tokio::time::interval(period.max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        tokio::select! {
            _ = stop.cancelled() => break,
            beat = beat(&*catalog, &node, held(), hold_time) => {
                if let Err(error) = beat {
                    tracing::warn!(code = error.code(), "heartbeat failed: {}", error.chain());
                }
            }
        }
    }
    let leaving = async {
        catalog.hold(node.id, &BTreeMap::new(), Duration::ZERO).await?;
        catalog.leave(node.id).await
    };
    let left = tokio::time::timeout(LEAVE_TIME_MAX, leaving).await;
    match left {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(code = error.code(), "the node's row stays until it expires: {}", error.chain())
        }
        Err(_) => tracing::warn!("the node's row stays until it expires: the catalog does not answer"),
    }
}

async fn beat(
    catalog: &dyn Catalog,
    node: &Node,
    held: BTreeMap<DatabaseId, Sequence>,
    hold_time: Duration,
) -> Result<()> {
    catalog.heartbeat(node).await?;
    catalog.hold(node.id, &held, hold_time).await
}
