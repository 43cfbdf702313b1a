//! The scan as DataFusion runs it: a data source that filters, projects, stops early and takes filters while it runs.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::datasource::source::{DataSource, DataSourceExec, OpenArgs};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::sort_pushdown::SortOrderPushdownResult;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};
use futures::StreamExt;
use futures::stream::BoxStream;
use kyma_core::explain::ScanPlan;
use kyma_core::extent::Extent;
use kyma_core::format::ReadColumn;
use kyma_core::profile::LevelProfile;
use kyma_core::prune::StatsSource;

use crate::df_adapter::error::to_df;
use crate::df_adapter::filter::{conditions, places_of, renumber};
use crate::df_adapter::memory::ScanBudget;
use crate::df_adapter::statistics::statistics;
use crate::df_adapter::watch::{metered, shortened};
use crate::df_adapter::words::words;
use crate::explain::{Reads, holding};
use crate::prune::{Survivors, TableQuery};
use crate::scan::queue::ScanQueue;
use crate::scan::{Budget, Known, ScanSpec, partition};
use crate::scope::{PlannedScan, QueryScope};

/// Name of the column of places.
const ROW_PLACE: &str = "\u{1}row";

/// A planned scan.
#[derive(Debug, Clone)]
pub(crate) struct ExtentScan {
    scope: Arc<QueryScope>,
    query: TableQuery,
    columns: Arc<Vec<ReadColumn>>,
    output: Vec<usize>,
    schema: SchemaRef,
    filters: Vec<Arc<dyn PhysicalExpr>>,
    /// How many of `filters` were there when the scan was planned: `query.predicate` is a weakening of these.
    planned_filters: usize,
    extents: Arc<Vec<Arc<Extent>>>,
    statistics: Arc<Statistics>,
    planned: Arc<PlannedScan>,
    level: LevelProfile,
    metrics: ExecutionPlanMetricsSet,
    fetch: Option<usize>,
    /// Places in `output` of columns that are read later.
    deferred: Vec<usize>,
    oldest_first: bool,
    partitions: usize,
}

impl ExtentScan {
    /// A scan of what survived the catalog's level.
    #[allow(clippy::too_many_arguments)] // One call, where all of these are made.
    pub(crate) fn new(
        scope: &Arc<QueryScope>,
        query: TableQuery,
        columns: &[ReadColumn],
        output: Vec<usize>,
        schema: &SchemaRef,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        found: Survivors,
        partitions: usize,
    ) -> Result<Self> {
        let schema = Arc::new(schema.project(&output)?);
        let exact = filters.is_empty() || found.all_match;
        let statistics = statistics(&query, columns, &output, &found.extents, exact, &schema);
        let planned = Arc::new(PlannedScan { extents: found.extents.len() as u64, ..PlannedScan::default() });
        if exact {
            scope.planned(Arc::clone(&planned));
        }
        Ok(ExtentScan {
            scope: Arc::clone(scope),
            planned_filters: filters.len(),
            query,
            columns: Arc::new(columns.to_vec()),
            output,
            schema,
            filters,
            partitions: partitions.min(blocks_of(&found.extents)).max(1),
            extents: Arc::new(found.extents),
            statistics: Arc::new(statistics),
            planned,
            level: found.level,
            metrics: ExecutionPlanMetricsSet::new(),
            fetch: None,
            deferred: Vec::new(),
            oldest_first: false,
        })
    }

    /// The scan that a plan is, if it is one.
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<&Self> {
        plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref()
    }

    /// With at most so many rows.
    ///
    /// Without a filter, the manifest says how many extents that takes: no more are opened at a time.
    pub(crate) fn limited(self, fetch: Option<usize>) -> Self {
        let partitions = match fetch {
            Some(fetch) if self.filters.is_empty() => {
                let ordered = self.ordered();
                self.partitions.min(holding(ordered.iter().map(|(_, extent)| extent), fetch as u64).max(1))
            }
            _ => self.partitions,
        };
        ExtentScan { fetch, partitions, ..self }
    }

    /// The extents in the order in which they are read, with their places in `extents`.
    fn ordered(&self) -> Vec<(usize, Arc<Extent>)> {
        let mut extents: Vec<(usize, Arc<Extent>)> = self.extents.iter().cloned().enumerate().collect();
        match self.oldest_first {
            true => extents.sort_by_key(|(_, extent)| extent.time.start),
            false => extents.sort_by_key(|(_, extent)| std::cmp::Reverse(extent.time.end)),
        }
        extents
    }

    /// The extents that partitions share, in the order in which they are read.
    pub(crate) fn queue(&self) -> ScanQueue {
        ScanQueue::new(self.ordered())
    }

    /// Whether it stops after a number of rows.
    pub(crate) fn is_limited(&self) -> bool {
        self.fetch.is_some()
    }

    /// Its filters, over all columns that it may read.
    pub(crate) fn filters(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.filters
    }

    /// How many partitions it has.
    pub(crate) fn partitions(&self) -> usize {
        self.partitions
    }

    /// What it reads.
    pub(crate) fn query(&self) -> &TableQuery {
        &self.query
    }

    /// The columns that come out.
    pub(crate) fn read_columns(&self) -> Vec<ReadColumn> {
        self.output.iter().filter_map(|place| self.columns.get(*place).cloned()).collect()
    }

    /// The scan with only the output columns at `places`.
    pub(crate) fn narrowed(&self, places: &[usize]) -> Result<Self> {
        let output = places.iter().filter_map(|place| self.output.get(*place).copied()).collect();
        Ok(ExtentScan { output, schema: Arc::new(self.schema.project(places)?), ..self.clone() })
    }

    /// The scan with nulls at the `deferred` places of its output, and each row's place after its columns.
    pub(crate) fn deferring(&self, deferred: Vec<usize>) -> Result<Self> {
        let place = Arc::new(Field::new(ROW_PLACE, DataType::UInt64, false));
        let fields: Vec<_> = self.schema.fields().iter().cloned().chain([place]).collect();
        let schema = Arc::new(Schema::new(fields));
        let statistics = Arc::new(Statistics::new_unknown(&schema));
        Ok(ExtentScan { deferred, schema, statistics, ..self.clone() })
    }

    /// The places of the output that are read later.
    pub(crate) fn deferred(&self) -> &[usize] {
        &self.deferred
    }

    /// The deferred columns of rows of a block, which `selection` gives for its number of rows.
    pub(crate) async fn read_late(
        &self,
        extent: usize,
        block: u32,
        selection: impl FnOnce(usize) -> BooleanBuffer,
        budget: &dyn Budget,
    ) -> kyma_core::Result<Vec<ArrayRef>> {
        let extent = self.extents.get(extent);
        let extent = extent.ok_or_else(|| kyma_core::Error::internal("a row's extent is not in its scan"))?;
        let opened = self.scope.shared.footers.open(&self.scope, extent).await?;
        let rows = opened.reader.block_rows().get(block as usize).copied().unwrap_or_default() as usize;
        let places: Vec<usize> = self.deferred.iter().filter_map(|at| self.output.get(*at).copied()).collect();
        let wanted: Vec<ReadColumn> = places.iter().filter_map(|place| self.columns.get(*place).cloned()).collect();
        let selection = selection(rows);
        let bytes = opened.reader.read_bytes(block, &wanted) as usize;
        budget.take(bytes)?;
        let read = opened.read(block, &wanted, Some(&selection), false, self.query.null_strings_are_empty).await;
        budget.give(bytes);
        read
    }

    /// Most distinct values that one extent has in an output column, as far as the manifest knows that of all.
    pub(crate) fn distinct_max(&self, place: usize) -> Option<u64> {
        let column = self.columns.get(*self.output.get(place)?)?;
        let of = |extent: &Arc<Extent>| self.query.stats(extent).stats(&column.source)?.distinct;
        self.extents.iter().map(of).try_fold(0, |most, found| Some(found?.max(most)))
    }

    /// The rows of one partition, from a queue that partitions share. With `known`, rows that need no reading go there, and
    /// strings may come as codes.
    pub(crate) fn rows(
        &self,
        context: &TaskContext,
        queue: Arc<ScanQueue>,
        known: Option<Arc<dyn Known>>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        self.planned.opened.store(true, Ordering::Relaxed);
        let consumer = MemoryConsumer::new(format!("scan of {}", self.query.table.name));
        let budget = ScanBudget(consumer.register(context.memory_pool()));
        let spec = ScanSpec { coded: known.is_some(), known, ..self.spec()? };
        let rows = partition::run(Arc::new(spec), queue, Arc::new(budget));
        Ok(rows.map(|batch| batch.map_err(to_df)).boxed())
    }

    fn spec(&self) -> Result<ScanSpec> {
        let fill = self.query.null_strings_are_empty;
        Ok(ScanSpec {
            scope: Arc::clone(&self.scope),
            query: self.query.clone(),
            columns: self.columns.to_vec(),
            output: self.output.clone(),
            schema: Arc::clone(&self.schema),
            conditions: conditions(&self.filters, self.planned_filters, &self.columns, fill)?,
            fetch: self.fetch,
            known: None,
            deferred: self.deferred.clone(),
            coded: false,
        })
    }

    /// Says what is read.
    pub(crate) fn fmt_scan(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.query.table;
        write!(f, "extents of {}.{}: {}", table.database_name, table.name, self.extents.len())?;
        let filters: Vec<String> = self.filters.iter().map(|filter| self.shown(filter)).collect();
        if !filters.is_empty() {
            write!(f, ", filter=[{}]", filters.join(" and "))?;
        }
        let output: Vec<String> = self.output.iter().map(|at| self.columns[*at].source.to_string()).collect();
        write!(f, ", columns=[{}]", output.join(", "))?;
        self.fetch.map_or(Ok(()), |fetch| write!(f, ", fetch={fetch}"))
    }

    /// The filter as people read it, paths by their keys.
    fn shown(&self, filter: &Arc<dyn PhysicalExpr>) -> String {
        let named = Arc::clone(filter).transform_up(|node| {
            let renamed = node.downcast_ref::<Column>().and_then(|column| {
                let name = self.columns.get(column.index())?.source.to_string();
                Some(Arc::new(Column::new(&name, column.index())) as Arc<dyn PhysicalExpr>)
            });
            Ok(renamed.map_or_else(|| Transformed::no(Arc::clone(&node)), Transformed::yes))
        });
        named.map_or_else(|_| words(filter), |named| words(&named.data))
    }

    /// The query that it is part of.
    pub(crate) fn scope(&self) -> &QueryScope {
        &self.scope
    }

    /// Whether it was opened.
    pub(crate) fn planned(&self) -> &PlannedScan {
        &self.planned
    }

    /// What was pushed into it; the extents it would open, in order; and its partitions.
    pub(crate) fn explained(&self) -> (ScanPlan, Vec<Arc<Extent>>, usize) {
        let name = |column: &ReadColumn| column.source.to_string();
        let reads = self.reads();
        let plan = ScanPlan {
            database: self.query.table.database_name.clone(),
            table: self.query.table.name.clone(),
            filters: self.filters.iter().map(|filter| shortened(&self.shown(filter))).collect(),
            filter_columns: reads.tested.iter().flatten().map(name).collect(),
            columns: self.output.iter().map(|at| name(&self.columns[*at])).collect(),
            limit: self.fetch.map(|fetch| fetch as u64),
            order: if self.oldest_first { "oldest first" } else { "newest first" }.to_owned(),
            catalog: self.level.clone(),
            ..ScanPlan::default()
        };
        (plan, self.ordered().into_iter().map(|(_, extent)| extent).collect(), self.partitions)
    }

    /// What it reads of a block.
    pub(crate) fn reads(&self) -> Reads {
        let tested = places_of(&self.filters);
        let rest = self.output.iter().filter(|place| !tested.contains(place));
        let column = |place: &usize| self.columns[*place].clone();
        Reads {
            tested: (!self.filters.is_empty()).then(|| tested.iter().map(column).collect()),
            rest: rest.map(column).collect(),
        }
    }

    /// The column of the table that an output expression is.
    fn source_of(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<&ReadColumn> {
        let place = self.output.get(expr.downcast_ref::<Column>()?.index())?;
        self.columns.get(*place)
    }
}

/// Blocks of all extents together, as far as that is a small number.
fn blocks_of(extents: &[Arc<Extent>]) -> usize {
    extents.iter().map(|extent| extent.blocks as usize).fold(0, usize::saturating_add)
}

impl DataSource for ExtentScan {
    fn open(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.open_with_args(OpenArgs::new(partition, context))
    }

    fn open_with_args(&self, args: OpenArgs) -> Result<SendableRecordBatchStream> {
        let shared = args.sibling_state.and_then(|state| state.downcast::<ScanQueue>().ok());
        let queue = shared.unwrap_or_else(|| match args.partition {
            0 => Arc::new(self.queue()),
            _ => Arc::new(ScanQueue::default()),
        });
        let rows = self.rows(&args.context, queue, None)?;
        let rows = metered(rows, BaselineMetrics::new(&self.metrics, args.partition));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }

    fn create_sibling_state(&self, _config: &ConfigOptions) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(Arc::new(self.queue()))
    }

    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_scan(f)
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.partitions)
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new(Arc::clone(&self.schema))
    }

    fn scheduling_type(&self) -> SchedulingType {
        SchedulingType::NonCooperative
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        match partition {
            None => Ok(Arc::clone(&self.statistics)),
            Some(_) => Ok(Arc::new(Statistics::new_unknown(&self.schema))),
        }
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        Some(Arc::new(self.clone().limited(limit)))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.metrics.clone()
    }

    fn try_swapping_with_projection(&self, _projection: &ProjectionExprs) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(None)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        let mut scan = self.clone();
        let answers = vec![PushedDown::Yes; filters.len()];
        for filter in filters {
            scan.filters.push(renumber(filter, |place| self.output.get(place).copied())?);
        }
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = match self.statistics.num_rows {
            Precision::Exact(rows) | Precision::Inexact(rows) => Precision::Inexact(rows),
            Precision::Absent => Precision::Absent,
        };
        scan.statistics = Arc::new(statistics);
        let scan: Arc<dyn DataSource> = Arc::new(scan);
        Ok(FilterPushdownPropagation::with_parent_pushdown_result(answers).with_updated_node(scan))
    }

    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn DataSource>>> {
        let Some(first) = order.first() else { return Ok(SortOrderPushdownResult::Unsupported) };
        let time = &self.query.table.time_column;
        let by_time = self.source_of(&first.expr);
        if !by_time.is_some_and(|column| column.source.path.is_empty() && column.source.column == *time) {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        let scan = ExtentScan { oldest_first: !first.options.descending, ..self.clone() };
        Ok(SortOrderPushdownResult::Inexact { inner: Arc::new(scan) })
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for filter in &self.filters {
            if f(filter)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
}
