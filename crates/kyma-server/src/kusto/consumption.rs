//! What a query cost, in the words of Kusto's `QueryResourceConsumption`.
//!
//! Members are those that Kusto documents. kyma's caches are not told apart here: all hits are the memory cache's, and
//! every request to the store is a miss. `profile` is kyma's own, with everything.

use kyma_core::profile::Profile;
use kyma_core::time::{format_datetime, format_timespan};
use kyma_exec::{Answer, ResultTable};
use serde_json::{Value as Json, json};

/// Rows and bytes in memory of a result table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TableSize {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// The payload for `answer`.
pub(crate) fn consumption(answer: &Answer) -> Json {
    let sizes: Vec<TableSize> = answer.tables.iter().map(table_size).collect();
    consumption_of(&answer.profile, &sizes)
}

/// The payload for an answer of tables with these sizes.
pub(crate) fn consumption_of(profile: &Profile, sizes: &[TableSize]) -> Json {
    let statistics: Vec<Json> = sizes.iter().map(table_statistics).collect();
    json!({
        "ExecutionTime": profile.total_micros() as f64 / 1e6,
        "resource_usage": {
            "cache": cache(profile),
            "cpu": cpu(profile),
            "memory": { "peak_per_node": profile.memory_peak_bytes },
        },
        "input_dataset_statistics": {
            "extents": extents(profile),
            "rows": { "total": profile.rows_total, "scanned": profile.rows_scanned },
        },
        "dataset_statistics": statistics,
        "profile": profile,
    })
}

fn cache(profile: &Profile) -> Json {
    let (hits, misses) = (profile.cache_hits, profile.store_requests);
    let (hit_bytes, miss_bytes) = (profile.cache_bytes, profile.store_bytes);
    json!({
        "memory": { "hits": hits, "misses": misses, "total": hits + misses },
        "disk": { "hits": 0, "misses": 0, "total": 0 },
        "shards": { "hot": { "hitbytes": hit_bytes, "missbytes": miss_bytes, "retrievebytes": miss_bytes } },
    })
}

fn cpu(profile: &Profile) -> Json {
    let micros = profile.parse_micros + profile.plan_micros + profile.compute_micros();
    let total = timespan(micros);
    json!({ "user": total, "kernel": timespan(0), "total cpu": total })
}

/// A timespan of Kusto, which clients parse.
fn timespan(micros: u64) -> String {
    format_timespan(i64::try_from(micros).unwrap_or(i64::MAX).saturating_mul(1_000))
}

/// Extents that were opened count as scanned; their times are those of all that the catalog kept.
fn extents(profile: &Profile) -> Json {
    let time = profile.time_kept.filter(|time| time.start != i64::MIN && time.end != i64::MAX);
    json!({
        "total": profile.catalog.considered,
        "scanned": profile.extents.kept,
        "scanned_min_datetime": time.map(|time| format_datetime(time.start)),
        "scanned_max_datetime": time.map(|time| format_datetime(time.end)),
    })
}

fn table_size(table: &ResultTable) -> TableSize {
    TableSize { rows: table.rows(), bytes: table.batches.iter().map(kyma_exec::size::batch_bytes).sum() }
}

fn table_statistics(size: &TableSize) -> Json {
    json!({ "table_row_count": size.rows, "table_size": size.bytes })
}

#[cfg(test)]
mod tests {
    use kyma_core::time::TimeRange;

    use super::*;

    #[test]
    fn a_profile_in_the_words_of_kusto() {
        let mut profile = Profile {
            rows_total: 500,
            rows_scanned: 100,
            store_requests: 3,
            cache_hits: 2,
            parse_micros: 1_500_000,
            memory_peak_bytes: 64,
            time_kept: Some(TimeRange::new(0, 1_000_000_000)),
            ..Profile::default()
        };
        (profile.catalog.considered, profile.extents.kept) = (5, 1);
        let payload = consumption(&Answer { tables: vec![], profile, warnings: vec![] });
        assert_eq!(payload["ExecutionTime"], 1.5);
        assert_eq!(payload["resource_usage"]["cache"]["memory"], json!({ "hits": 2, "misses": 3, "total": 5 }));
        assert_eq!(
            payload["resource_usage"]["cpu"],
            json!({ "user": "00:00:01.5000000", "kernel": "00:00:00", "total cpu": "00:00:01.5000000" })
        );
        assert_eq!(payload["resource_usage"]["memory"]["peak_per_node"], 64);
        assert_eq!(
            payload["input_dataset_statistics"],
            json!({
                "extents": {
                    "total": 5,
                    "scanned": 1,
                    "scanned_min_datetime": "1970-01-01T00:00:00.0000000Z",
                    "scanned_max_datetime": "1970-01-01T00:00:01.0000000Z",
                },
                "rows": { "total": 500, "scanned": 100 },
            })
        );
    }
}
