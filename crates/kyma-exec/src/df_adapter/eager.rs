//! Sub-queries that must be known before the query around them: `toscalar`, `in (tabular)`, `materialize`.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use kyma_core::{Error, Result, Type, Value};
use kyma_plan::{Expr, ExprKind, Plan};

use crate::df_adapter::error::from_df;
use crate::df_adapter::expr::IN_SET;
use crate::df_adapter::literal::{as_type, value_of};
use crate::df_adapter::lower::{Lowering, Place, limit};
use crate::df_adapter::narrow::prepared;
use crate::df_adapter::paths::map_children;
use crate::df_adapter::scalar::ValueSet;
use crate::df_adapter::watch::watch;
use crate::settings::{IN_LIST_MAX, IN_ROWS_MAX};
use crate::size::batch_bytes;

impl Lowering {
    /// The expressions without sub-queries.
    pub(crate) async fn resolve_all(&self, exprs: &[Expr], place: Place<'_>) -> Result<Vec<Expr>> {
        let mut resolved = Vec::with_capacity(exprs.len());
        for expr in exprs {
            resolved.push(self.resolve(expr.clone(), place).await?);
        }
        Ok(resolved)
    }

    /// The expression without sub-queries: each is run now.
    pub(crate) async fn resolve(&self, expr: Expr, place: Place<'_>) -> Result<Expr> {
        self.resolve_as(expr, IN_LIST_MAX, place).await
    }

    /// As [`Lowering::resolve`], for expressions that a kernel computes: the values of `in (tabular)` stay a list,
    /// however many they are, for only the engine knows sets.
    pub(crate) async fn resolve_for_kernel(&self, expr: Expr, place: Place<'_>) -> Result<Expr> {
        self.resolve_as(expr, IN_ROWS_MAX, place).await
    }

    async fn resolve_as(&self, expr: Expr, list_max: usize, place: Place<'_>) -> Result<Expr> {
        let mut found = Vec::new();
        collect(&expr, &mut found);
        if found.is_empty() {
            return Ok(expr);
        }
        let mut answers = Vec::with_capacity(found.len());
        for sub_query in found {
            answers.push(self.answer(&sub_query, list_max, place).await?);
        }
        let mut answers = answers.into_iter();
        let expr = put(expr, &mut answers);
        // The left side of an `in` may hold a sub-query of its own.
        self.again(expr, list_max, place).await
    }

    fn again<'a>(&'a self, expr: Expr, list_max: usize, place: Place<'a>) -> BoxFuture<'a, Result<Expr>> {
        self.resolve_as(expr, list_max, place).boxed()
    }

    /// What stands for a sub-query, once it is known.
    fn answer<'a>(&'a self, expr: &'a Expr, list_max: usize, place: Place<'a>) -> BoxFuture<'a, Result<Expr>> {
        async move {
            match &expr.kind {
                ExprKind::Scalar(plan) => {
                    let value = self.scalar(plan, expr.ty, place).await?;
                    if self.explained.is_some() {
                        return Ok(unknown(expr));
                    }
                    Ok(Expr { kind: ExprKind::Literal(value), ty: expr.ty, span: expr.span })
                }
                ExprKind::InPlan { expr: value, plan, ignore_case } => {
                    self.in_plan(expr, (value, *ignore_case), plan, list_max, place).await
                }
                _ => Ok(expr.clone()),
            }
        }
        .boxed()
    }

    async fn scalar(&self, plan: &Plan, ty: Type, place: Place<'_>) -> Result<Value> {
        let plan = prepared(plan.clone());
        let lowered = self.lower(&plan, place).await?;
        let batches = self.collect(&limit(lowered, 1), 1).await?;
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(Value::Null(ty)) };
        let scalar = ScalarValue::try_from_array(batch.column(0), 0).map_err(from_df)?;
        value_of(&scalar, ty).map_err(from_df)
    }

    async fn in_plan(
        &self,
        whole: &Expr,
        (value, ignore_case): (&Expr, bool),
        plan: &Plan,
        list_max: usize,
        place: Place<'_>,
    ) -> Result<Expr> {
        let plan = prepared(plan.clone());
        let lowered = self.lower(&plan, place).await?;
        let batches = self.collect(&lowered, IN_ROWS_MAX).await?;
        if self.explained.is_some() {
            return Ok(unknown(whole));
        }
        let column = |batch: &RecordBatch| as_type(Arc::clone(batch.column(0)), value.ty).map_err(from_df);
        let arrays = batches.iter().map(column).collect::<Result<Vec<_>>>()?;
        let rows: usize = arrays.iter().map(|array| array.len()).sum();
        let span = whole.span;
        if rows <= list_max {
            let values = arrays
                .iter()
                .flat_map(|array| (0..array.len()).map(|row| kyma_functions::array_value(&**array, row, value.ty)));
            let values = values.filter(|item| !item.is_null());
            let list = values.map(|item| Expr { kind: ExprKind::Literal(item), ty: value.ty, span }).collect();
            let kind = ExprKind::In { expr: Box::new(value.clone()), list, ignore_case };
            return Ok(Expr { kind, ty: Type::Bool, span });
        }
        let mut sets = self.sets.lock();
        let id = sets.len();
        sets.push(Arc::new(ValueSet::new(id, value.ty, ignore_case, &arrays)?));
        let id = Expr::literal(Value::Long(id as i64), span);
        Ok(Expr::call(IN_SET, vec![value.clone(), id], Type::Bool, span))
    }

    /// The rows of a `materialize`, computed the first time.
    pub(crate) async fn materialize(&self, id: usize, input: &Plan, place: Place<'_>) -> Result<LogicalPlan> {
        let known = self.materialized.lock().get(&id).cloned();
        let batches = match known {
            Some(batches) => batches,
            None => {
                let lowered = self.lower(input, place).await?;
                let batches = self.collect(&lowered, usize::MAX).await?;
                self.materialized.lock().insert(id, batches.clone());
                batches
            }
        };
        let schema = batches.first().map_or_else(|| input.schema.arrow(), RecordBatch::schema);
        self.rows(batches, schema)
    }

    /// The rows of a sub-query; none when the query is only explained.
    pub(crate) async fn collect(&self, plan: &LogicalPlan, rows_max: usize) -> Result<Vec<RecordBatch>> {
        let plan = self.state.create_physical_plan(plan).await.map_err(from_df)?;
        if let Some(explained) = &self.explained {
            explained.lock().push(plan);
            return Ok(Vec::new());
        }
        let _watched = watch(&self.scope, &plan);
        self.run(plan, rows_max).await
    }

    /// The rows of a plan, at most `rows_max`. They count against the query's memory until it ends.
    pub(crate) async fn run(&self, plan: Arc<dyn ExecutionPlan>, rows_max: usize) -> Result<Vec<RecordBatch>> {
        let held = MemoryConsumer::new("sub-query").register(&self.state.runtime_env().memory_pool);
        let mut rows = execute_stream(plan, self.state.task_ctx()).map_err(from_df)?;
        let (mut batches, mut count) = (Vec::new(), 0);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(from_df)?;
            count += batch.num_rows();
            if count > rows_max {
                let text = format!("a sub-query gives too many rows: rows={count}, limit={rows_max}");
                return Err(
                    Error::exhausted("query.subquery_too_large", text).hint("summarize or filter in the sub-query")
                );
            }
            held.try_grow(batch_bytes(&batch)).map_err(from_df)?;
            batches.push(batch);
        }
        self.held.lock().push(held);
        Ok(batches)
    }
}

/// Stands for a sub-query that is not run: no pruner understands it, and nothing can compute it.
fn unknown(sub_query: &Expr) -> Expr {
    Expr::call("(sub-query)", Vec::new(), sub_query.ty, sub_query.span)
}

/// Whether this is a sub-query.
fn is_sub_query(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Scalar(_) | ExprKind::InPlan { .. })
}

/// The outermost sub-queries, in the order that [`put`] meets them.
fn collect(expr: &Expr, found: &mut Vec<Expr>) {
    stacker::maybe_grow(128 * 1024, 4 * 1024 * 1024, || match is_sub_query(expr) {
        true => found.push(expr.clone()),
        false => expr.children().into_iter().for_each(|child| collect(child, found)),
    });
}

fn put(expr: Expr, answers: &mut dyn Iterator<Item = Expr>) -> Expr {
    match is_sub_query(&expr) {
        true => answers.next().unwrap_or(expr),
        false => {
            stacker::maybe_grow(128 * 1024, 4 * 1024 * 1024, || map_children(expr, &mut |child| put(child, answers)))
        }
    }
}
