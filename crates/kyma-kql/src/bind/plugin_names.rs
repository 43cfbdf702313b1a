//! Names of plugins, to tell a misspelt one from one that is not there.

use kyma_core::error::Span;
use kyma_plan::functions::nearest;

use super::{Bind, fail_with_hint, unsupported};

const NAMES: [&str; 36] = [
    "active_users_count",
    "activity_counts_metrics",
    "activity_engagement",
    "activity_metrics",
    "ai_embeddings",
    "autocluster",
    "azure_digital_twins_query_request",
    "bag_unpack",
    "basket",
    "cosmosdb_sql_request",
    "dcount_intersect",
    "diffpatterns",
    "diffpatterns_text",
    "funnel_sequence",
    "funnel_sequence_completion",
    "http_request",
    "http_request_post",
    "infer_storage_schema",
    "ipv4_lookup",
    "ipv6_lookup",
    "mysql_request",
    "narrow",
    "new_activity_metrics",
    "pivot",
    "postgresql_request",
    "preview",
    "python",
    "r",
    "rolling_percentile",
    "rows_near",
    "schema_merge",
    "sequence_detect",
    "session_count",
    "sliding_window_counts",
    "sql_request",
    "user_cohort",
];

/// Refuses a plugin: one that exists elsewhere, or a name that is none.
pub(super) fn unknown_plugin<T>(name: &str, span: Span) -> Bind<T> {
    if NAMES.contains(&name) {
        return unsupported(&format!("the plugin '{name}'"), span);
    }
    let near = nearest(name, NAMES.into_iter()).map(|near| format!("did you mean '{near}'?"));
    fail_with_hint("kql.unknown_plugin", format!("unknown plugin '{name}'"), span, near)
}
