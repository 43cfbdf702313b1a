//! Our plan becomes DataFusion's, node by node.
//!
//! Columns are addressed by place; every projection names its columns as our schema does, so that explanations read well.
//! Operators that DataFusion lacks stand on a finished plan of their own (see [`operators`]); so does the input of an
//! aggregate for which order matters.

mod join;
mod special;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::{
    Aggregate, Expr as DfExpr, Filter, Limit, LogicalPlan, LogicalPlanBuilder, Projection, Sort, SortExpr, lit,
};
use datafusion::physical_plan::ExecutionPlan;
use futures::FutureExt;
use futures::future::BoxFuture;
use kyma_core::{Error, Result, Schema, Type, Value};
use kyma_functions::EvalContext;
use kyma_functions::table::KeyValueOptions;
use kyma_plan::{AggregateCall, Expr, Node, Plan, SortKey};
use parking_lot::Mutex;

use crate::df_adapter::error::from_df;
use crate::df_adapter::expr::Exprs;
use crate::df_adapter::literal::{array_of, value_of};
use crate::df_adapter::operators::identity::Identity;
use crate::df_adapter::operators::parse::{Parse, Reading};
use crate::df_adapter::operators::range::range;
use crate::df_adapter::operators::series::Axis;
use crate::df_adapter::operators::{Finished, Operator, OperatorExec};
use crate::df_adapter::scalar::{Kernel, Op, ValueSet};
use crate::df_adapter::summarize;
use crate::scope::QueryScope;
use crate::settings::PLAN_DEPTH_MAX;

pub(crate) use special::mv_expand;

/// Lowers the plans of one query.
pub(crate) struct Lowering {
    /// The query.
    pub(crate) scope: Arc<QueryScope>,
    /// DataFusion's part of it.
    pub(crate) state: SessionState,
    /// Rows of `materialize`, by id.
    pub(crate) materialized: Mutex<HashMap<usize, Vec<RecordBatch>>>,
    /// Sets of `in (tabular)`.
    pub(crate) sets: Mutex<Vec<Arc<ValueSet>>>,
    /// Memory of the rows of sub-queries.
    pub(crate) held: Mutex<Vec<MemoryReservation>>,
    /// The plans of sub-queries, where a query is only explained; they are not run then.
    pub(crate) explained: Option<Mutex<Vec<Arc<dyn ExecutionPlan>>>>,
    names: Mutex<usize>,
}

/// The rows that `Input` stands for, in the body of an operator.
#[derive(Debug, Clone)]
pub(crate) struct InputRows {
    /// Their schema.
    pub(crate) schema: SchemaRef,
    /// They.
    pub(crate) batches: Vec<RecordBatch>,
}

/// Where a plan stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// What `Input` is.
    pub(crate) input: Option<&'a InputRows>,
    /// Nodes above.
    pub(crate) depth: usize,
}

impl Place<'_> {
    fn below(self) -> Self {
        Place { depth: self.depth + 1, ..self }
    }
}

impl Lowering {
    /// For one query.
    pub(crate) fn new(scope: Arc<QueryScope>, state: SessionState) -> Self {
        Lowering {
            scope,
            state,
            materialized: Mutex::default(),
            sets: Mutex::default(),
            held: Mutex::default(),
            explained: None,
            names: Mutex::default(),
        }
    }

    /// What functions may know.
    pub(crate) fn context(&self) -> EvalContext {
        EvalContext { now: self.scope.now }
    }

    /// Lowers a plan.
    pub(crate) fn lower<'a>(&'a self, plan: &'a Plan, place: Place<'a>) -> BoxFuture<'a, Result<LogicalPlan>> {
        async move {
            if place.depth > PLAN_DEPTH_MAX {
                return Err(Error::exhausted("query.too_deep", "the query nests too deeply").at(plan.span));
            }
            self.node(plan, place.below()).await
        }
        .boxed()
    }

    async fn node(&self, plan: &Plan, place: Place<'_>) -> Result<LogicalPlan> {
        match &plan.node {
            Node::Scan(scan) => self.scan(scan, &plan.schema),
            Node::Values(rows) => self.values(rows, &plan.schema),
            Node::Unit => LogicalPlanBuilder::empty(true).build().map_err(from_df),
            Node::Range { from, to, step } => {
                let ends = [self.constant(from).await?, self.constant(to).await?, self.constant(step).await?];
                let ty = plan.schema.columns().first().map_or(Type::Long, |column| column.ty);
                let schema = plan.schema.arrow();
                let exec = OperatorExec::new(range(ends, ty, &schema)?, Arc::new(Identity), schema);
                self.provider("range", Arc::new(Finished(Arc::new(exec))))
            }
            Node::Filter { input, predicate } => {
                let input = self.lower(input, place).await?;
                let predicate = self.resolve(predicate.clone(), place).await?;
                let columns = columns_of(&input);
                let condition = self.exprs(&columns).condition(&predicate)?;
                Filter::try_new(condition, Arc::new(input)).map(LogicalPlan::Filter).map_err(from_df)
            }
            Node::Project { input, exprs } => {
                let input = self.lower(input, place).await?;
                let exprs = self.resolve_all(exprs, place).await?;
                let lowered = self.exprs(&columns_of(&input)).values(&exprs)?;
                project(input, lowered, &plan.schema)
            }
            Node::Aggregate { input, keys, aggregates } => {
                self.aggregate(input, keys, aggregates, &plan.schema, place).await
            }
            Node::Sort { input, keys } => {
                let input = self.lower(input, place).await?;
                self.sort(input, keys, place).await
            }
            Node::Limit { input, count } | Node::Sample { input, count } => {
                let input = self.lower(input, place).await?;
                Ok(limit(input, *count))
            }
            Node::Join { left, right, kind, on } => self.join(left, right, *kind, on, &plan.schema, place).await,
            Node::Union(inputs) => self.union(inputs, &plan.schema, place).await,
            Node::MvExpand { input, columns, item_index, bags_as_arrays, row_limit } => {
                let source = self.lower(input, place).await?;
                let expand =
                    mv_expand(&input.schema, &plan.schema, columns, item_index.is_some(), *bags_as_arrays, *row_limit);
                self.operator(source, Arc::new(expand), plan.schema.arrow()).await
            }
            Node::MvApply { .. } | Node::Partition { .. } => self.bodies(plan, place).await,
            Node::Input => match place.input {
                Some(rows) => self.rows(rows.batches.clone(), Arc::clone(&rows.schema)),
                None => Err(Error::internal("an input outside of a body").at(plan.span)),
            },
            Node::Parse { input, text, pattern, mode, only_matching, outputs } => {
                let reading =
                    Reading::Pattern { pattern: pattern.clone(), mode: mode.clone(), only_matching: *only_matching };
                self.parse(input, text, Parse { reading, outputs: outputs.clone(), schema: plan.schema.arrow() }, place)
                    .await
            }
            Node::ParseKv { input, text, keys, pair_delimiter, kv_delimiter, quote, escape, greedy } => {
                let options = KeyValueOptions {
                    pair_delimiter: pair_delimiter.clone(),
                    kv_delimiter: kv_delimiter.clone(),
                    quote: quote.clone(),
                    escape: escape.clone(),
                    greedy: *greedy,
                };
                let outputs = (plan.schema.len().saturating_sub(keys.len())..plan.schema.len()).collect();
                let reading = Reading::Pairs { keys: keys.clone(), options };
                self.parse(input, text, Parse { reading, outputs, schema: plan.schema.arrow() }, place).await
            }
            Node::Window { input, calls } => self.window(input, calls, &plan.schema, place).await,
            Node::MakeSeries { input, keys, aggregates, axis, from, to, step } => {
                let ends = [self.optional(from.as_ref()).await?, self.optional(to.as_ref()).await?];
                let [from, to] = ends;
                let axis_of = Axis { ty: axis.ty, from, to, step: self.constant(step).await? };
                self.series(input, keys, aggregates, axis, axis_of, &plan.schema, place).await
            }
            Node::TopNested { input, levels } => self.top_nested(input, levels, &plan.schema, place).await,
            Node::Table { function, inputs } => self.table(function, inputs, &plan.schema, place).await,
            Node::Materialize { id, input } => self.materialize(*id, input, place).await,
            Node::Sql(statement) => self.sql(statement).await,
        }
    }

    /// The lowering of expressions over `columns`.
    pub(crate) fn exprs<'a>(&self, columns: &'a [Column]) -> Exprs<'a> {
        Exprs { columns, context: self.context(), sets: self.sets.lock().clone().into() }
    }

    fn values(&self, rows: &[Vec<Value>], schema: &Schema) -> Result<LogicalPlan> {
        let column = |(at, column): (usize, &kyma_core::Column)| {
            let null = Value::Null(column.ty);
            array_of(rows.iter().map(|row| row.get(at).unwrap_or(&null)), column.ty)
        };
        let columns = schema.columns().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(schema.arrow(), columns, &options)?;
        self.rows(vec![batch], schema.arrow())
    }

    /// Rows at hand as a plan.
    pub(crate) fn rows(&self, batches: Vec<RecordBatch>, schema: SchemaRef) -> Result<LogicalPlan> {
        let table = MemTable::try_new(schema, vec![batches]).map_err(from_df)?;
        self.provider("rows", Arc::new(table))
    }

    pub(super) fn provider(&self, name: &str, provider: Arc<dyn TableProvider>) -> Result<LogicalPlan> {
        let mut names = self.names.lock();
        *names += 1;
        let name = TableReference::bare(format!("{name}#{names}"));
        LogicalPlanBuilder::scan(name, provider_as_source(provider), None)
            .and_then(|plan| plan.build())
            .map_err(from_df)
    }

    /// An operator over a plan, which is finished here.
    pub(crate) async fn operator(
        &self,
        input: LogicalPlan,
        operator: Arc<dyn Operator>,
        schema: SchemaRef,
    ) -> Result<LogicalPlan> {
        let input = self.state.create_physical_plan(&input).await.map_err(from_df)?;
        self.finished(OperatorExec::new(input, operator, schema))
    }

    /// A finished operator as a plan.
    fn finished(&self, exec: OperatorExec) -> Result<LogicalPlan> {
        self.provider("operator", Arc::new(Finished(Arc::new(exec))))
    }

    async fn aggregate(
        &self,
        input: &Plan,
        keys: &[Expr],
        aggregates: &[AggregateCall],
        schema: &Schema,
        place: Place<'_>,
    ) -> Result<LogicalPlan> {
        let mut source = self.lower(input, place).await?;
        if is_ordered(input) && aggregates.iter().any(|call| summarize::minds_order(call.function)) {
            let schema = Arc::clone(source.schema().inner());
            source = self.operator(source, Arc::new(Identity), schema).await?;
        }
        let keys = self.resolve_all(keys, place).await?;
        let mut calls = aggregates.to_vec();
        for call in &mut calls {
            call.args = self.resolve_all(&call.args, place).await?;
        }
        summarize::aggregate(self, source, &keys, &calls, schema)
    }

    async fn sort(&self, input: LogicalPlan, keys: &[SortKey], place: Place<'_>) -> Result<LogicalPlan> {
        let columns = columns_of(&input);
        let mut expr = Vec::with_capacity(keys.len());
        for key in keys {
            let value = self.resolve(key.expr.clone(), place).await?;
            let mut lowered = self.exprs(&columns).value(&value)?;
            if value.ty == Type::Real {
                // NaN stands beside null.
                let nan_low = key.nulls_first != key.descending;
                lowered = Kernel::call(Op::RealOrder { nan_low }, Type::Real, self.context(), vec![lowered]);
            }
            expr.push(SortExpr::new(lowered, !key.descending, key.nulls_first));
        }
        Ok(LogicalPlan::Sort(Sort { expr, input: Arc::new(input), fetch: None }))
    }

    /// The rows with further columns, named `\u{3}0`, `\u{3}1`, ...
    pub(crate) fn with_columns(&self, rows: LogicalPlan, exprs: &[Expr]) -> Result<LogicalPlan> {
        let columns = columns_of(&rows);
        let mut all: Vec<DfExpr> =
            columns.iter().map(|column| DfExpr::Column(column.clone()).alias(column.name())).collect();
        for (at, expr) in self.exprs(&columns).values(exprs)?.into_iter().enumerate() {
            all.push(expr.alias(format!("\u{3}{at}")));
        }
        Projection::try_new(all, Arc::new(rows)).map(LogicalPlan::Projection).map_err(from_df)
    }

    async fn optional(&self, expr: Option<&Expr>) -> Result<Option<Value>> {
        match expr {
            Some(expr) => self.constant(expr).await.map(Some),
            None => Ok(None),
        }
    }

    /// The value of an expression over no columns.
    pub(crate) async fn constant(&self, expr: &Expr) -> Result<Value> {
        let expr = self.resolve(expr.clone(), Place { input: None, depth: 0 }).await?;
        if let Some(value) = expr.as_literal() {
            return Ok(value.clone());
        }
        let lowered = self.exprs(&[]).value(&expr)?;
        let unit = LogicalPlanBuilder::empty(true).project(vec![lowered.alias("value")]);
        let unit = unit.and_then(LogicalPlanBuilder::build).map_err(from_df)?;
        let unit = self.state.create_physical_plan(&unit).await.map_err(from_df)?;
        let batches = self.run(unit, 1).await?;
        let column = batches.iter().find(|batch| batch.num_rows() > 0).map(|batch| Arc::clone(batch.column(0)));
        let Some(column) = column else { return Ok(Value::Null(expr.ty)) };
        let scalar = ScalarValue::try_from_array(&column, 0).map_err(from_df)?;
        value_of(&scalar, expr.ty).map_err(from_df)
    }
}

/// One field of a struct that an aggregate gave.
pub(crate) fn field_of(whole: DfExpr, at: usize, ty: Type, context: EvalContext) -> DfExpr {
    Kernel::call(Op::Field(at), ty, context, vec![whole])
}

/// The columns that a plan gives, by place.
pub(crate) fn columns_of(plan: &LogicalPlan) -> Vec<Column> {
    plan.schema().iter().map(Column::from).collect()
}

/// A projection named as in `schema`.
pub(crate) fn project(input: LogicalPlan, exprs: Vec<DfExpr>, schema: &Schema) -> Result<LogicalPlan> {
    if exprs.len() < schema.len() {
        return Err(Error::internal(format!("a projection lacks columns: {} of {}", exprs.len(), schema.len())));
    }
    let named = exprs.into_iter().zip(schema.columns()).map(|(expr, column)| expr.alias(&column.name)).collect();
    Projection::try_new(named, Arc::new(input)).map(LogicalPlan::Projection).map_err(from_df)
}

/// At most `count` rows.
pub(crate) fn limit(input: LogicalPlan, count: u64) -> LogicalPlan {
    let fetch = lit(i64::try_from(count).unwrap_or(i64::MAX));
    LogicalPlan::Limit(Limit { skip: None, fetch: Some(Box::new(fetch)), input: Arc::new(input) })
}

/// Whether the rows of a plan have an order that a Kusto pipeline keeps.
pub(crate) fn is_ordered(plan: &Plan) -> bool {
    match &plan.node {
        Node::Sort { .. } | Node::Values(_) | Node::Range { .. } | Node::Input => true,
        Node::Filter { input, .. }
        | Node::Project { input, .. }
        | Node::Limit { input, .. }
        | Node::MvExpand { input, .. }
        | Node::MvApply { input, .. }
        | Node::Parse { input, .. }
        | Node::ParseKv { input, .. }
        | Node::Window { input, .. }
        | Node::Materialize { input, .. } => is_ordered(input),
        _ => false,
    }
}

/// An aggregation in DataFusion's form.
pub(crate) fn aggregation(input: LogicalPlan, keys: Vec<DfExpr>, calls: Vec<DfExpr>) -> Result<LogicalPlan> {
    Aggregate::try_new(Arc::new(input), keys, calls).map(LogicalPlan::Aggregate).map_err(from_df)
}
