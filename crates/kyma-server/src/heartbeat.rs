//! Tells the catalog that this node lives, until told to leave.

use std::sync::Arc;
use std::time::Duration;

use kyma_core::catalog::{Catalog, Node};
use tokio_util::sync::CancellationToken;

use crate::settings::LEAVE_TIME_MAX;

/// Renews the node's row every `period`; when `stop` is cancelled, removes it.
///
/// A failed heartbeat is tried again at the next period: a catalog that is away must not stop the node.
pub(crate) async fn run(catalog: Arc<dyn Catalog>, node: Node, period: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(period.max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        tokio::select! {
            _ = stop.cancelled() => break,
            beat = catalog.heartbeat(&node) => {
                if let Err(error) = beat {
                    tracing::warn!(code = error.code(), "heartbeat failed: {}", error.chain());
                }
            }
        }
    }
    let left = tokio::time::timeout(LEAVE_TIME_MAX, catalog.leave(node.id)).await;
    match left {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(code = error.code(), "the node's row stays until it expires: {}", error.chain())
        }
        Err(_) => tracing::warn!("the node's row stays until it expires: the catalog does not answer"),
    }
}
