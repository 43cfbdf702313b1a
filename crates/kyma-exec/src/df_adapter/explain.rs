//! A physical plan in our words: what was pushed where, and what its scans would read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::physical_plan::ExecutionPlan;
use kyma_core::explain::{Explanation, PlannedOperator};

use crate::df_adapter::grouped::GroupedScan;
use crate::df_adapter::source::ExtentScan;
use crate::df_adapter::watch::{describe, walk};
use crate::explain::estimate;

/// Adds a plan to an explanation.
pub(crate) async fn explain(root: &Arc<dyn ExecutionPlan>, explanation: &mut Explanation) {
    let mut plans = Vec::new();
    walk(root, |plan, depth| plans.push((Arc::clone(plan), depth)));
    for (plan, depth) in plans {
        let (name, detail) = describe(&plan);
        let mut operator = PlannedOperator { name, detail, depth, scan: None };
        let grouped = plan.downcast_ref::<GroupedScan>().map(GroupedScan::scan);
        if let Some(scan) = ExtentScan::of(&plan).or(grouped) {
            let (mut plan, extents, partitions) = scan.explained();
            plan.estimate = estimate(scan.scope(), &extents, &scan.reads(), plan.limit, partitions).await;
            explanation.estimate.add(&plan.estimate);
            // It would be opened: it is no answer from metadata.
            scan.planned().opened.store(true, Ordering::Relaxed);
            operator.scan = Some(plan);
        }
        explanation.operators.push(operator);
    }
}
