//! What a scan knows of its rows before it runs: exact numbers where the filter is true of every row.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use kyma_core::extent::Extent;
use kyma_core::format::ReadColumn;
use kyma_core::prune::StatsSource;
use kyma_core::stats::ColumnStats;
use kyma_core::{Type, Value};

use crate::df_adapter::literal::scalar_of;
use crate::prune::TableQuery;

/// The statistics of the `output` columns over `extents`.
pub(crate) fn statistics(
    query: &TableQuery,
    columns: &[ReadColumn],
    output: &[usize],
    extents: &[Arc<Extent>],
    exact: bool,
    schema: &Schema,
) -> Statistics {
    let rows: u64 = extents.iter().map(|extent| extent.rows).sum();
    let mut statistics = Statistics::new_unknown(schema);
    if !exact {
        statistics.num_rows = Precision::Inexact(rows as usize);
        return statistics;
    }
    statistics.num_rows = Precision::Exact(rows as usize);
    for (place, slot) in output.iter().zip(&mut statistics.column_statistics) {
        if let Some(column) = columns.get(*place) {
            *slot = of_column(query, column, extents).unwrap_or_else(ColumnStatistics::new_unknown);
        }
    }
    statistics
}

/// Exact bounds of a plain, ordered column; texts are left out (their bounds may be shortened, their nulls read `""`).
fn of_column(query: &TableQuery, column: &ReadColumn, extents: &[Arc<Extent>]) -> Option<ColumnStatistics> {
    if !column.source.path.is_empty() || matches!(column.ty, Type::String | Type::Dynamic | Type::Guid) {
        return None;
    }
    let mut merged: Option<ColumnStats> = None;
    for extent in extents {
        let stats = query.stats(extent).stats(&column.source)?;
        let all_null = stats.nulls == stats.rows;
        if !stats.exact || (!all_null && (stats.min.is_none() || stats.max.is_none())) {
            return None;
        }
        merged = Some(merged.map_or(stats.clone(), |merged| merged.merge(&stats)));
    }
    let merged = merged?;
    let bound = |value: &Option<Value>| -> Option<Precision<ScalarValue>> {
        let value = value.as_ref().filter(|value| value.ty() == column.ty)?;
        Some(Precision::Exact(scalar_of(value)))
    };
    let zero = |value: &Option<Value>| matches!(value, Some(Value::Real(real)) if *real == 0.0);
    if zero(&merged.min) || zero(&merged.max) {
        return None;
    }
    Some(ColumnStatistics {
        null_count: Precision::Exact(merged.nulls as usize),
        min_value: bound(&merged.min)?,
        max_value: bound(&merged.max)?,
        ..ColumnStatistics::new_unknown()
    })
}
