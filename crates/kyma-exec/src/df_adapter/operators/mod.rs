//! Operators that DataFusion lacks. One file each; an operator maps batches, one at a time or the whole input at once.
//!
//! An operator's input is planned and optimised on its own and hidden from the optimizer above: whatever order the input has,
//! the operator sees it, and nothing above can change it. Arguments that are expressions are computed by a projection
//! below, so that an operator only deals with columns.

pub(crate) mod first;
pub(crate) mod identity;
pub(crate) mod mv_expand;
pub(crate) mod parse;
pub(crate) mod range;
pub(crate) mod series;
pub(crate) mod table;
pub(crate) mod top_nested;
pub(crate) mod window;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, displayable, execute_stream,
};
use futures::{StreamExt, TryStreamExt};

use crate::df_adapter::error::to_df;
use crate::df_adapter::memory::too_much;
use crate::size::batch_bytes;

/// One operator over one input, or over several whole ones.
pub(crate) trait Operator: Send + Sync + fmt::Debug {
    /// Its name in explanations.
    fn name(&self) -> &'static str;

    /// Whether it must see all rows at once.
    fn whole(&self) -> bool;

    /// Maps a batch (all rows, when [`Operator::whole`]) to a batch of the output schema.
    fn apply(&self, batch: RecordBatch) -> kyma_core::Result<RecordBatch>;

    /// Maps all rows of every input to a batch of the output schema, when [`Operator::whole`].
    fn apply_all(&self, batches: Vec<RecordBatch>) -> kyma_core::Result<RecordBatch> {
        let one = batches.into_iter().next();
        self.apply(one.ok_or_else(|| kyma_core::Error::internal("an operator without an input"))?)
    }
}

/// An operator in a physical plan: a leaf, as far as the optimizer can see.
#[derive(Debug)]
pub(crate) struct OperatorExec {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    operator: Arc<dyn Operator>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl OperatorExec {
    /// `operator` over a finished plan, giving rows of `schema`.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, operator: Arc<dyn Operator>, schema: SchemaRef) -> Self {
        OperatorExec::over(vec![input], operator, schema)
    }

    /// `operator`, a whole one, over finished plans, giving rows of `schema`.
    pub(crate) fn over(inputs: Vec<Arc<dyn ExecutionPlan>>, operator: Arc<dyn Operator>, schema: SchemaRef) -> Self {
        let metrics = ExecutionPlanMetricsSet::new();
        // Rows of one partition keep their order; where the input's order is one over all rows, it has one partition.
        let partitions = match &inputs[..] {
            [input] if !operator.whole() => input.properties().output_partitioning().partition_count(),
            _ => 1,
        };
        OperatorExec { inputs, operator, properties: Arc::new(leaf(schema, partitions)), metrics }
    }

    /// The finished plans that it stands on.
    pub(crate) fn inputs(&self) -> &[Arc<dyn ExecutionPlan>] {
        &self.inputs
    }

    /// Its name in explanations.
    pub(crate) fn title(&self) -> &'static str {
        self.operator.name()
    }
}

/// Applies an operator; its time and rows are counted.
fn metered(metrics: &BaselineMetrics, apply: impl FnOnce() -> kyma_core::Result<RecordBatch>) -> Result<RecordBatch> {
    let timer = metrics.elapsed_compute().timer();
    let applied = apply().map_err(to_df);
    drop(timer);
    applied.map(|batch| batch.record_output(metrics))
}

/// Properties of a leaf.
fn leaf(schema: SchemaRef, partitions: usize) -> PlanProperties {
    PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    )
}

impl DisplayAs for OperatorExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |input: &Arc<dyn ExecutionPlan>| displayable(&**input).indent(false).to_string().trim().replace('\n', " <");
        let inner: Vec<String> = self.inputs.iter().map(shown).collect();
        write!(f, "OperatorExec: {} over [{}]", self.operator.name(), inner.join("; "))
    }
}

impl ExecutionPlan for OperatorExec {
    fn name(&self) -> &str {
        "OperatorExec"
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

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(self.operator.name()).register(context.memory_pool());
        let (operator, schema) = (Arc::clone(&self.operator), self.schema());
        let metrics = Arc::new(BaselineMetrics::new(&self.metrics, partition));
        if let [input] = &self.inputs[..]
            && !operator.whole()
        {
            let input = input.execute(partition, context)?;
            let rows = input.then(move |batch| {
                let (operator, metrics) = (Arc::clone(&operator), Arc::clone(&metrics));
                async move {
                    // However much work a batch is above, whoever cancels waits for one at most.
                    tokio::task::yield_now().await;
                    let batch = batch?;
                    metered(&metrics, || operator.apply(batch))
                }
            });
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)));
        }
        let inputs = self.inputs.iter().map(|input| execute_stream(Arc::clone(input), Arc::clone(&context)));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let whole = async move {
            let mut whole = Vec::with_capacity(inputs.len());
            for mut input in inputs {
                let (input_schema, mut batches) = (input.schema(), Vec::new());
                while let Some(batch) = input.try_next().await? {
                    consumer.try_grow(batch_bytes(&batch).saturating_mul(2))?;
                    batches.push(batch);
                }
                let batch = concat_batches(&input_schema, &batches);
                whole.push(batch.map_err(|_| too_much(operator.name(), consumer.size()))?);
            }
            metered(&metrics, || operator.apply_all(whole))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::once(whole))))
    }
}

/// A finished plan as a table.
#[derive(Debug)]
pub(crate) struct Finished(pub(crate) Arc<dyn ExecutionPlan>);

#[async_trait]
impl TableProvider for Finished {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(places) = projection.filter(|places| !places.iter().copied().eq(0..self.0.schema().fields().len()))
        else {
            return Ok(Arc::clone(&self.0));
        };
        let schema = self.0.schema();
        let column = |place: &usize| -> (Arc<dyn PhysicalExpr>, String) {
            let name = schema.field(*place).name();
            (Arc::new(Column::new(name, *place)), name.clone())
        };
        let columns: Vec<_> = places.iter().map(column).collect();
        Ok(Arc::new(ProjectionExec::try_new(columns, Arc::clone(&self.0))?))
    }
}
