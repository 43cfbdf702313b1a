//! What this node was and is asked.

use kyma_core::{Error, Result, Type, Value};
use serde_json::json;

use super::table::{SmallTable, string};
use crate::queries::Entry;
use crate::state::Shared;

/// `.show queries`, `.show running queries`: of this node, those that run first, then the latest.
pub(super) fn show(state: &Shared, running: bool) -> SmallTable {
    let text = Type::String;
    let mut shown = SmallTable::new([
        ("ClientActivityId", text),
        ("Text", text),
        ("Database", text),
        ("StartedOn", Type::Datetime),
        ("LastUpdatedOn", Type::Datetime),
        ("Duration", Type::Timespan),
        ("State", text),
        ("RootActivityId", Type::Guid),
        ("User", text),
        ("FailureReason", text),
        ("TotalCpu", Type::Timespan),
        ("CacheStatistics", Type::Dynamic),
        ("Application", text),
        ("MemoryPeak", Type::Long),
        ("ScannedExtentsStatistics", Type::Dynamic),
        ("ResultSetStatistics", Type::Dynamic),
        ("NodeId", text),
    ]);
    let now = state.clock.now();
    for entry in state.queries.list(running) {
        add(&mut shown, &entry, now, &state.node.id.to_string());
    }
    shown
}

fn add(shown: &mut SmallTable, entry: &Entry, now: i64, node: &str) {
    let ended = entry.ended.unwrap_or(now);
    let cost = &entry.cost;
    let micros = |micros: u64| Value::Timespan(i64::try_from(micros).unwrap_or(i64::MAX).saturating_mul(1_000));
    let cache = json!({ "Hits": cost.cache_hits, "HitBytes": cost.cache_bytes, "StoreRequests": cost.store_requests, "StoreBytes": cost.store_bytes });
    let scanned = json!({ "ScannedRowsCount": cost.rows_scanned, "TotalRowsCount": cost.rows_total });
    let result = json!({ "TableCount": cost.tables, "RowCount": cost.rows });
    shown.row([
        string(&entry.client_request_id),
        string(&entry.text),
        string(&entry.database),
        Value::Datetime(entry.started),
        Value::Datetime(ended),
        Value::Timespan(ended.saturating_sub(entry.started)),
        string(entry.state.name()),
        Value::Guid(entry.activity.as_u128()),
        string(&entry.user),
        string(&entry.failure),
        micros(cost.compute_micros),
        Value::Dynamic(cache.to_string()),
        string(&entry.application),
        super::table::long(cost.memory_peak_bytes),
        Value::Dynamic(scanned.to_string()),
        Value::Dynamic(result.to_string()),
        string(node),
    ]);
}

/// `.cancel query "id"`: those of this client request id that run here.
pub(super) fn cancel(state: &Shared, id: &str) -> Result<SmallTable> {
    let cancelled = state.queries.cancel(id);
    if cancelled.is_empty() {
        let message = format!("no query of this client request id runs on this node: id={id}");
        return Err(Error::not_found("query.not_running", message).hint("`.show running queries` lists them"));
    }
    let mut shown =
        SmallTable::new([("ClientRequestId", Type::String), ("ReasonPhrase", Type::String), ("Text", Type::String)]);
    for text in cancelled {
        shown.row([string(id), string("the query was told to stop"), string(text)]);
    }
    Ok(shown)
}
