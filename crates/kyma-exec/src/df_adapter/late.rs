//! Late materialisation: `top N` reads the columns that it does not sort by for the N rows only.
//!
//! 1. [`ReadLate`] finds a sort that keeps few rows directly over a scan. The scan then gives null for the wide columns that
//!    the sort does not look at, and at its end each row's place: extent, block, row.
//! 2. Above the sort, a [`LateRead`] reads these columns at the places of the rows that are left, and puts them back in order.
//!
//! Columns keep their numbers, so that the sort and the filter that tightens with it stay as they are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder, RecordBatch, UInt32Array, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{concat, concat_batches, take};
use arrow::datatypes::{SchemaRef, UInt64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt};
use kyma_core::Type;

use crate::df_adapter::error::to_df;
use crate::df_adapter::memory::ScanBudget;
use crate::df_adapter::source::ExtentScan;
use crate::scan::RowPlace;
use crate::size::batch_bytes;

/// More rows than this are read with their columns at once.
const ROWS_MAX: usize = 10_000;
/// Blocks that are read at the same time.
const READS_MAX: usize = 8;

/// The rule.
#[derive(Debug)]
pub(crate) struct ReadLate;

impl PhysicalOptimizerRule for ReadLate {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let rewritten = plan.transform_down(|node| match late(&node)? {
            Some(late) => Ok(Transformed::new(late, true, TreeNodeRecursion::Jump)),
            None => Ok(Transformed::no(node)),
        });
        rewritten.map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "read_late"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The sort over a scan, with its wide columns read after it.
fn late(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() {
        let Some(sort) = merge.input().downcast_ref::<SortExec>() else { return Ok(None) };
        let Some((sorted, scan)) = deferring(sort)? else { return Ok(None) };
        let merged = SortPreservingMergeExec::new(merge.expr().clone(), sorted).with_fetch(merge.fetch());
        return Ok(Some(Arc::new(LateRead::new(Arc::new(merged), scan, node))));
    }
    match node.downcast_ref::<SortExec>().filter(|sort| !sort.preserve_partitioning()) {
        Some(sort) => {
            let found = deferring(sort)?;
            Ok(found.map(|(sorted, scan)| Arc::new(LateRead::new(sorted, scan, node)) as _))
        }
        None => Ok(None),
    }
}

/// The sort over a scan that gives places instead of wide columns, and that scan.
fn deferring(sort: &SortExec) -> Result<Option<(Arc<dyn ExecutionPlan>, ExtentScan)>> {
    if sort.fetch().is_none_or(|fetch| fetch > ROWS_MAX) {
        return Ok(None);
    }
    let (input, is_wrapped) = match sort.input().downcast_ref::<CooperativeExec>() {
        Some(cooperative) => (cooperative.children().first().map(|child| Arc::clone(child)), true),
        None => (Some(Arc::clone(sort.input())), false),
    };
    let scan = input.as_ref().and_then(ExtentScan::of);
    let Some(scan) = scan.filter(|scan| !scan.is_limited()) else { return Ok(None) };
    let sorted: Vec<usize> = sort
        .expr()
        .iter()
        .flat_map(|key| collect_columns(&key.expr).into_iter().map(|column| column.index()))
        .collect();
    let is_wide = |(place, column): (usize, &kyma_core::format::ReadColumn)| {
        (!sorted.contains(&place) && matches!(column.ty, Type::String | Type::Dynamic)).then_some(place)
    };
    let deferred: Vec<usize> = scan.read_columns().iter().enumerate().filter_map(is_wide).collect();
    if deferred.is_empty() {
        return Ok(None);
    }
    let scan = scan.deferring(deferred)?;
    let mut source: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan.clone());
    if is_wrapped {
        source = Arc::new(CooperativeExec::new(source));
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    let sorted = Arc::new(sort.clone()).replace_children(vec![source], options)?;
    Ok(Some((sorted, scan)))
}

/// Reads the wide columns of few rows.
#[derive(Debug)]
struct LateRead {
    input: Arc<dyn ExecutionPlan>,
    scan: ExtentScan,
    properties: Arc<PlanProperties>,
}

impl LateRead {
    /// In the place of `replaced`, whose columns and order it gives.
    fn new(input: Arc<dyn ExecutionPlan>, scan: ExtentScan, replaced: &Arc<dyn ExecutionPlan>) -> Self {
        LateRead { input, scan, properties: Arc::clone(replaced.properties()) }
    }
}

impl DisplayAs for LateRead {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.scan.read_columns();
        let names = self.scan.deferred().iter().filter_map(|place| columns.get(*place));
        write!(
            f,
            "LateRead: columns=[{}]",
            names.map(|column| column.source.to_string()).collect::<Vec<_>>().join(", ")
        )
    }
}

impl ExecutionPlan for LateRead {
    fn name(&self) -> &str {
        "LateRead"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else { return Ok(self) };
        Ok(Arc::new(LateRead { input, scan: self.scan.clone(), properties: Arc::clone(&self.properties) }))
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new("rows read late").register(context.memory_pool());
        let mut input = self.input.execute(partition, context)?;
        let (scan, schema) = (self.scan.clone(), self.schema());
        let rows = async move {
            let mut batches = Vec::new();
            while let Some(batch) = input.try_next().await? {
                memory.try_grow(batch_bytes(&batch))?;
                batches.push(batch);
            }
            let rows = concat_batches(&input.schema(), &batches)?;
            memory.try_grow(batch_bytes(&rows))?;
            let budget = ScanBudget(memory);
            let batch = with_columns(&scan, &rows, &schema, &budget).await?;
            budget.0.try_grow(batch_bytes(&batch))?;
            Ok(batch)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), futures::stream::once(rows))))
    }
}

/// Rows of a block, each with its place among all, and their deferred columns.
type BlockRows = (Vec<(u32, u32)>, Vec<ArrayRef>);

/// The rows with their deferred columns, without their places.
async fn with_columns(
    scan: &ExtentScan,
    rows: &RecordBatch,
    schema: &SchemaRef,
    budget: &ScanBudget,
) -> Result<RecordBatch> {
    let width = schema.fields().len();
    let places: &UInt64Array = rows.column(width).as_primitive::<UInt64Type>();
    let mut blocks: BTreeMap<(usize, u32), Vec<(u32, u32)>> = BTreeMap::new();
    for (at, place) in places.values().iter().enumerate() {
        let place = RowPlace::of(*place);
        blocks.entry((place.extent, place.block)).or_default().push((place.row, at as u32));
    }
    let reads = blocks.into_iter().map(|((extent, block), mut wanted)| async move {
        wanted.sort_unstable();
        let rows: Vec<u32> = wanted.iter().map(|(row, _)| *row).collect();
        let arrays = scan.read_late(extent, block, |count| selection(&rows, count), budget).await.map_err(to_df)?;
        Ok::<_, datafusion::error::DataFusionError>((wanted, arrays))
    });
    let read: Vec<BlockRows> = futures::stream::iter(reads).buffered(READS_MAX).try_collect().await?;
    // Rows come in the order of their places; where each belongs says `order`.
    let mut order = vec![0_u32; rows.num_rows()];
    read.iter()
        .flat_map(|(wanted, _)| wanted)
        .enumerate()
        .for_each(|(from, (_, to))| order[*to as usize] = from as u32);
    let order = UInt32Array::from(order);
    let mut columns = rows.columns()[..width].to_vec();
    for (at, place) in scan.deferred().iter().enumerate() {
        let parts: Vec<&dyn Array> = read.iter().filter_map(|(_, arrays)| arrays.get(at).map(AsRef::as_ref)).collect();
        if !parts.is_empty() {
            columns[*place] = take(&concat(&parts)?, &order, None)?;
        }
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The rows, ascending, as bits of a block of `count` rows.
fn selection(rows: &[u32], count: usize) -> BooleanBuffer {
    let mut bits = BooleanBufferBuilder::new(count);
    bits.append_n(count, false);
    rows.iter().filter(|row| (**row as usize) < count).for_each(|row| bits.set_bit(*row as usize, true));
    bits.finish()
}
