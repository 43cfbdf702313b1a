//! Kernels of `evaluate`, one file each.

mod activity;
mod lookup;
mod narrow;
mod patterns;
mod rows_near;
mod schema_merge;
mod sequence;

use arrow::array::RecordBatch;
use kyma_core::{Error, Result, Value};
use kyma_plan::table::Plugin;

use super::function::TableCall;

/// A call of a plugin: columns it works on are those of its inputs, in the order it wants them; the rest are constants.
pub(crate) struct PluginCall<'a> {
    plugin: &'a Plugin,
    /// Inputs and result.
    pub(crate) table: &'a TableCall<'a>,
}

type Kernel = fn(&PluginCall<'_>) -> Result<RecordBatch>;

static KERNELS: &[(&str, Kernel)] = &[
    ("active_users_count", activity::active_users_count),
    ("activity_counts_metrics", activity::activity_counts_metrics),
    ("activity_engagement", activity::activity_engagement),
    ("activity_metrics", activity::activity_metrics),
    ("autocluster", patterns::autocluster),
    ("basket", patterns::basket),
    ("diffpatterns", patterns::diffpatterns),
    ("ip_lookup", lookup::ip_lookup),
    ("narrow", narrow::narrow),
    ("new_activity_metrics", activity::new_activity_metrics),
    ("rolling_percentile", activity::rolling_percentile),
    ("rows_near", rows_near::rows_near),
    ("schema_merge", schema_merge::schema_merge),
    ("sequence_detect", sequence::sequence_detect),
    ("session_count", activity::session_count),
    ("sliding_window_counts", activity::sliding_window_counts),
];

/// Computes a plugin.
pub(super) fn plugin(plugin: &Plugin, table: &TableCall<'_>) -> Result<RecordBatch> {
    let kernel = KERNELS.iter().find(|(name, _)| *name == plugin.name).map(|(_, kernel)| kernel);
    let kernel = kernel.ok_or_else(|| Error::internal(format!("the plugin has no kernel: {}", plugin.name)))?;
    kernel(&PluginCall { plugin, table })
}

impl PluginCall<'_> {
    /// A constant argument.
    pub(crate) fn value(&self, index: usize) -> Result<&Value> {
        let lacks = || Error::internal(format!("{}() lacks an argument: index={index}", self.plugin.name));
        self.plugin.args.get(index).ok_or_else(lacks)
    }
}

#[cfg(test)]
mod tests;
