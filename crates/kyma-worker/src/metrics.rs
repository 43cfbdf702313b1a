//! What a worker counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::retention::RetentionMetrics;

#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) completed: Counter,
    pub(crate) failed: Counter,
    pub(crate) lost: Counter,
    pub(crate) objects_deleted: Counter,
    pub(crate) retention: RetentionMetrics,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.retention.register(registry);
        registry.register("kyma_worker_tasks_completed", "Tasks that ended well", self.completed.clone());
        registry.register("kyma_worker_tasks_failed", "Attempts that ended with an error", self.failed.clone());
        registry.register("kyma_worker_tasks_lost", "Tasks whose lease was lost while they ran", self.lost.clone());
        registry.register(
            "kyma_worker_objects_deleted",
            "Objects deleted from the store",
            self.objects_deleted.clone(),
        );
    }
}
