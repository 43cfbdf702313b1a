//! One kind of background work.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use kyma_core::Result;
use kyma_core::catalog::ClaimedTask;
use tokio_util::sync::CancellationToken;

/// Runs the tasks of one kind.
///
/// 1. A task may run more than once, and by two workers for a moment when one stalls past its lease: whatever a handler
///    changes must be safe to repeat.
/// 2. When `stop` is cancelled the handler returns soon, with an error if work is left; later it is dropped.
#[async_trait]
pub trait TaskHandler: Send + Sync + fmt::Debug {
    /// The kind of task.
    fn kind(&self) -> &'static str;

    /// How often the task is enqueued over all nodes; `None` when others enqueue it.
    fn period(&self) -> Option<Duration> {
        None
    }

    /// Does the work. An error gives the task back, to be tried again later.
    async fn run(&self, task: &ClaimedTask, stop: &CancellationToken) -> Result<()>;
}
