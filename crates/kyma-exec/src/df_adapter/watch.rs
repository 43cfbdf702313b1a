//! What the operators of a physical plan are called and what they did.
//!
//! A plan that runs is watched: the query's scope can ask for its operators at any time, and gets the last word when
//! the watch ends, however the plan ended.

use std::pin::pin;
use std::sync::{Arc, Weak};

use arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::physical_plan::metrics::{BaselineMetrics, MetricValue, MetricsSet};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use futures::Stream;
use kyma_core::profile::OperatorProfile;

use crate::df_adapter::operators::OperatorExec;
use crate::df_adapter::words::without_places;
use crate::scope::QueryScope;

/// Most characters of an operator's detail.
const DETAIL_CHARS_MAX: usize = 300;

/// Keeps a plan until its operators are written down, which dropping this does.
pub(crate) struct Watched {
    scope: Arc<QueryScope>,
    _plan: Arc<dyn ExecutionPlan>,
}

/// Watches a plan that is about to run.
pub(crate) fn watch(scope: &Arc<QueryScope>, plan: &Arc<dyn ExecutionPlan>) -> Watched {
    let weak: Weak<dyn ExecutionPlan> = Arc::downgrade(plan);
    scope.watch(Box::new(move || weak.upgrade().map(|plan| operators(&plan)).unwrap_or_default()));
    Watched { scope: Arc::clone(scope), _plan: Arc::clone(plan) }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.scope.settle();
    }
}

/// The rows, counted, with the time that each poll computes.
pub(crate) fn metered(
    rows: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    metrics: BaselineMetrics,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    let mut rows = Box::pin(rows);
    futures::stream::poll_fn(move |context| {
        let timer = metrics.elapsed_compute().timer();
        let polled = pin!(&mut rows).poll_next(context);
        drop(timer);
        metrics.record_poll(polled)
    })
}

/// Every operator of a plan with its depth, each before its inputs.
pub(crate) fn walk(root: &Arc<dyn ExecutionPlan>, mut visit: impl FnMut(&Arc<dyn ExecutionPlan>, u32)) {
    let mut open = vec![(Arc::clone(root), 0)];
    while let Some((plan, depth)) = open.pop() {
        visit(&plan, depth);
        let hidden = plan.downcast_ref::<OperatorExec>().map(OperatorExec::inputs).unwrap_or_default();
        let inputs = plan.children().into_iter().chain(hidden).cloned().collect::<Vec<_>>();
        open.extend(inputs.into_iter().rev().map(|input| (input, depth + 1)));
    }
}

/// What the operators of a plan did so far.
fn operators(root: &Arc<dyn ExecutionPlan>) -> Vec<OperatorProfile> {
    let mut operators = Vec::new();
    walk(root, |plan, depth| operators.push(operator(plan, depth)));
    operators
}

fn operator(plan: &Arc<dyn ExecutionPlan>, depth: u32) -> OperatorProfile {
    let (name, detail) = describe(plan);
    let metrics = plan.metrics().unwrap_or_default();
    let count = |value: Option<usize>| value.map(|value| value as u64);
    let sum = |wanted: fn(&MetricValue) -> bool| sum(&metrics, wanted);
    OperatorProfile {
        name,
        detail,
        depth,
        rows: count(metrics.output_rows()),
        batches: sum(|value| matches!(value, MetricValue::OutputBatches(_))),
        compute_micros: count(metrics.elapsed_compute()).map(|nanos| nanos / 1_000),
        output_bytes: sum(|value| matches!(value, MetricValue::OutputBytes(_))),
        spilled_bytes: count(metrics.spilled_bytes()).unwrap_or_default(),
    }
}

fn sum(metrics: &MetricsSet, wanted: fn(&MetricValue) -> bool) -> Option<u64> {
    metrics.sum(|metric| wanted(metric.value())).map(|value| value.as_usize() as u64)
}

/// Name and detail of an operator, in our words.
pub(crate) fn describe(plan: &Arc<dyn ExecutionPlan>) -> (String, String) {
    if let Some(operator) = plan.downcast_ref::<OperatorExec>() {
        return (operator.title().to_owned(), String::new());
    }
    let line = displayable(&**plan).one_line().to_string();
    let detail = line.trim().strip_prefix(stem(plan.name())).unwrap_or(line.trim());
    (name_of(plan, detail), shortened(&without_places(detail.trim_start_matches([':', ' ']))))
}

/// `SortExec` of `SortExec(TopK)`.
fn stem(name: &str) -> &str {
    name.split('(').next().unwrap_or(name)
}

fn name_of(plan: &Arc<dyn ExecutionPlan>, detail: &str) -> String {
    let stem = stem(plan.name());
    let known = match stem {
        "DataSourceExec" if detail.contains("extents of ") => "scan",
        "DataSourceExec" => "values",
        "GroupedScan" => "grouped scan",
        "LateRead" => "read late",
        "FilterExec" => "filter",
        "ProjectionExec" => "project",
        "AggregateExec" => "aggregate",
        "SortExec" if plan.fetch().is_some() => "top",
        "SortExec" => "sort",
        "SortPreservingMergeExec" => "merge sorted",
        "GlobalLimitExec" | "LocalLimitExec" => "limit",
        "CoalescePartitionsExec" => "gather",
        "RepartitionExec" => "exchange",
        "HashJoinExec" => "hash join",
        "SortMergeJoinExec" => "merge join",
        "NestedLoopJoinExec" => "loop join",
        "CrossJoinExec" => "cross join",
        "UnionExec" | "InterleaveExec" => "union",
        "PlaceholderRowExec" => "one row",
        "EmptyExec" => "no rows",
        "WindowAggExec" | "BoundedWindowAggExec" => "window",
        _ => return stem.trim_end_matches("Exec").to_lowercase(),
    };
    known.to_owned()
}

/// The text without control characters, which our internal names begin with, cut where it gets long.
pub(crate) fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX + 1).collect();
    if let Some((end, _)) = shown.char_indices().nth(DETAIL_CHARS_MAX) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}
