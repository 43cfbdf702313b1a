//! `summarize` directly over a scan: partial aggregation that groups by codes and takes what metadata knows.
//!
//! 1. [`FuseGroupedScan`] finds a partial aggregation whose input is a scan, and whose keys have few distinct values as far as
//!    the manifest tells, and puts a [`GroupedScan`] in its place. The final aggregation above stays DataFusion's.
//! 2. Each partition takes extents from the scan's queue. Extents and blocks of which every row matches are asked what they
//!    know ([`known`]): counts, bounds, sums and tallies become partial states without any data.
//! 3. Of all others the rows are read, strings as codes of dictionaries where they are stored so. Keys become codes per batch
//!    ([`codes`]), so that only distinct combinations are looked up ([`groups`]).
//! 4. Groups that grow too many leave as partial states early; the final aggregation merges them.

mod codes;
mod groups;
mod known;
mod rule;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use kyma_core::format::ReadColumn;
use parking_lot::Mutex;

use crate::df_adapter::source::ExtentScan;
use crate::scan::Known;
use crate::scan::queue::ScanQueue;
use crate::settings::BATCH_ROWS;
use groups::Groups;
use known::KnownStates;

pub(crate) use rule::FuseGroupedScan;

/// What is grouped by what; expressions are over the scan's output columns.
#[derive(Debug)]
pub(crate) struct Grouping {
    /// The keys.
    keys: Vec<Arc<dyn PhysicalExpr>>,
    /// The Arrow schema of the keys.
    key_schema: SchemaRef,
    /// The aggregates.
    aggregates: Vec<Aggregate>,
    /// Keys, then the states of each aggregate.
    schema: SchemaRef,
    /// What the scan's output columns are.
    columns: Vec<ReadColumn>,
    /// Whether null strings read as `""`.
    null_strings_are_empty: bool,
}

/// One aggregate.
#[derive(Debug)]
struct Aggregate {
    call: Arc<AggregateFunctionExpr>,
    args: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
}

impl Aggregate {
    fn exprs(&self) -> impl Iterator<Item = &Arc<dyn PhysicalExpr>> {
        self.args.iter().chain(&self.filter)
    }
}

/// A scan that gives partial states of groups.
#[derive(Debug)]
pub(crate) struct GroupedScan {
    scan: ExtentScan,
    grouping: Arc<Grouping>,
    properties: Arc<PlanProperties>,
    /// The extents that the partitions of one execution share, until each has them.
    queue: Mutex<(usize, Option<Arc<ScanQueue>>)>,
    metrics: ExecutionPlanMetricsSet,
}

impl GroupedScan {
    /// `grouping` of the rows of `scan`.
    fn new(scan: ExtentScan, grouping: Grouping) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&grouping.schema)),
            Partitioning::UnknownPartitioning(scan.partitions()),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let (grouping, properties) = (Arc::new(grouping), Arc::new(properties));
        GroupedScan { scan, grouping, properties, queue: Mutex::default(), metrics: Default::default() }
    }

    /// What it reads.
    pub(crate) fn scan(&self) -> &ExtentScan {
        &self.scan
    }

    fn queue(&self) -> Arc<ScanQueue> {
        let (started, queue) = &mut *self.queue.lock();
        let shared = Arc::clone(queue.get_or_insert_with(|| Arc::new(self.scan.queue())));
        *started += 1;
        if *started >= self.scan.partitions() {
            (*started, *queue) = (0, None);
        }
        shared
    }
}

impl DisplayAs for GroupedScan {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.grouping.keys.iter().map(ToString::to_string).collect();
        let names: Vec<&str> = self.grouping.aggregates.iter().map(|aggregate| aggregate.call.name()).collect();
        write!(f, "GroupedScan: by=[{}], aggregates=[{}], ", keys.join(", "), names.join(", "))?;
        self.scan.fmt_scan(f)
    }
}

impl ExecutionPlan for GroupedScan {
    fn name(&self) -> &str {
        "GroupedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let (scan, grouping) = (self.scan.clone(), Arc::clone(&self.grouping));
        let (properties, metrics) = (Arc::clone(&self.properties), ExecutionPlanMetricsSet::new());
        Ok(Arc::new(GroupedScan { scan, grouping, properties, queue: Mutex::default(), metrics }))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let inner = self.grouping.aggregates.iter().flat_map(Aggregate::exprs);
        for expr in self.grouping.keys.iter().chain(inner).chain(self.scan.filters()) {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(format!("groups of {}", self.scan.query().table.name));
        let groups = Groups::new(Arc::clone(&self.grouping), consumer.register(context.memory_pool()))?;
        let groups = Arc::new(Mutex::new(groups));
        let query = self.scan.query().clone();
        let known: Arc<dyn Known> = Arc::new(KnownStates::new(Arc::clone(&self.grouping), query, Arc::clone(&groups)));
        let rows = self.scan.rows(&context, self.queue(), Some(known))?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let work = Work { rows: rows.boxed(), groups, ready: VecDeque::new(), ended: false, metrics };
        let states = futures::stream::try_unfold(work, |mut work| async move {
            let batch = work.next().await?;
            Ok(batch.map(|batch| (batch, work)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.grouping.schema), states)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, _partition: Option<usize>) -> Result<Arc<Statistics>> {
        Ok(Arc::new(Statistics::new_unknown(&self.grouping.schema)))
    }
}

/// One partition at work.
struct Work {
    rows: BoxStream<'static, Result<RecordBatch>>,
    /// Metadata adds to them, too.
    groups: Arc<Mutex<Groups>>,
    ready: VecDeque<RecordBatch>,
    ended: bool,
    metrics: BaselineMetrics,
}

impl Work {
    /// The next states.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.ready.is_empty() && !self.ended {
            match self.rows.try_next().await? {
                Some(batch) => self.add(&batch)?,
                None => self.end()?,
            }
        }
        let batch = self.ready.pop_front();
        self.metrics.record_output(batch.as_ref().map_or(0, RecordBatch::num_rows));
        Ok(batch)
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let _timer = self.metrics.elapsed_compute().timer();
        let left = {
            let mut groups = self.groups.lock();
            groups.add(batch)?;
            groups.leave_if_many()?
        };
        self.ready.extend(left.iter().flat_map(pieces));
        Ok(())
    }

    /// All rows are read: everything leaves.
    fn end(&mut self) -> Result<()> {
        self.ended = true;
        let left = self.groups.lock().leave()?;
        self.ready.extend(left.iter().flat_map(pieces));
        Ok(())
    }
}

/// A batch in pieces of the usual size.
fn pieces(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    let starts = (0..batch.num_rows()).step_by(BATCH_ROWS);
    starts.map(|start| batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start)))
}
