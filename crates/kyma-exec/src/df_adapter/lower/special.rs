//! Operators that stand on a finished plan: `parse`, window functions, `top-nested`, `make-series`, `mv-expand`, table functions.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use kyma_core::{Result, Schema, Type, Value};
use kyma_plan::node::{MvExpandColumn, TopNestedLevel};
use kyma_plan::table::TableFunction;
use kyma_plan::{AggregateCall, Expr, Plan, WindowCall};

use super::{Lowering, Place, columns_of};
use crate::df_adapter::error::from_df;
use crate::df_adapter::operators::OperatorExec;
use crate::df_adapter::operators::identity::Identity;
use crate::df_adapter::operators::mv_expand::MvExpand;
use crate::df_adapter::operators::parse::Parse;
use crate::df_adapter::operators::series::{Axis, Bins, LayOut};
use crate::df_adapter::operators::table::Table;
use crate::df_adapter::operators::top_nested::{Level, TopNested};
use crate::df_adapter::operators::window::{Call, Window};
use crate::df_adapter::summarize;

impl Lowering {
    pub(super) async fn parse(&self, input: &Plan, text: &Expr, parse: Parse, place: Place<'_>) -> Result<LogicalPlan> {
        let rows = self.lower(input, place).await?;
        let text = self.resolve(text.clone(), place).await?;
        let rows = self.with_columns(rows, &[text])?;
        let schema = Arc::clone(&parse.schema);
        self.operator(rows, Arc::new(parse), schema).await
    }

    pub(super) async fn window(
        &self,
        input: &Plan,
        calls: &[WindowCall],
        schema: &Schema,
        place: Place<'_>,
    ) -> Result<LogicalPlan> {
        let rows = self.lower(input, place).await?;
        let width = columns_of(&rows).len();
        let (mut extra, mut windows) = (Vec::new(), Vec::new());
        for call in calls {
            let mut args = Vec::with_capacity(call.args.len());
            for arg in &call.args {
                let arg = self.resolve(arg.clone(), place).await?;
                let ty = arg.ty;
                args.push(match arg.as_literal() {
                    Some(value) => (Err(value.clone()), ty),
                    None => {
                        extra.push(arg);
                        (Ok(width + extra.len() - 1), ty)
                    }
                });
            }
            windows.push(Call { function: call.function, args, ty: call.ty });
        }
        if calls.is_empty() {
            let schema = Arc::clone(rows.schema().inner());
            return self.operator(rows, Arc::new(Identity), schema).await;
        }
        let rows = self.with_columns(rows, &extra)?;
        let window = Window { width, calls: windows, schema: schema.arrow() };
        self.operator(rows, Arc::new(window), schema.arrow()).await
    }

    pub(super) async fn top_nested(
        &self,
        input: &Plan,
        levels: &[TopNestedLevel],
        schema: &Schema,
        place: Place<'_>,
    ) -> Result<LogicalPlan> {
        let rows = self.lower(input, place).await?;
        let mut extra: Vec<Expr> = Vec::new();
        let width = columns_of(&rows).len();
        let mut nested = Vec::with_capacity(levels.len());
        for level in levels {
            let args = self.resolve_all(&level.by.args, place).await?;
            let mut column = |expr: Expr| {
                extra.push(expr);
                width + extra.len() - 1
            };
            let key = self.resolve(level.key.clone(), place).await?;
            let key = (key.ty, column(key));
            let arg = |arg: Expr| (arg.ty, arg.as_literal().cloned(), column(arg));
            let args = args.into_iter().map(arg).map(|(ty, value, place)| (place, ty, value)).collect();
            nested.push(Level {
                count: level.count,
                key: (key.1, key.0),
                function: level.by.function,
                args,
                ty: level.by.types.first().copied().unwrap_or(Type::Long),
                ascending: level.ascending,
                others: level.others.clone(),
            });
        }
        let rows = self.with_columns(rows, &extra)?;
        let operator = TopNested { levels: nested, schema: schema.arrow() };
        self.operator(rows, Arc::new(operator), schema.arrow()).await
    }

    pub(super) async fn table(
        &self,
        function: &TableFunction,
        inputs: &[Plan],
        out: &Schema,
        place: Place<'_>,
    ) -> Result<LogicalPlan> {
        let mut finished = Vec::with_capacity(inputs.len());
        for input in inputs {
            let rows = self.lower(input, place).await?;
            finished.push(self.state.create_physical_plan(&rows).await.map_err(from_df)?);
        }
        let mut function = function.clone();
        for expr in function.exprs_mut() {
            *expr = self.resolve_for_kernel(expr.clone(), place).await?;
        }
        let inputs = inputs.iter().map(|input| input.schema.clone()).collect();
        let operator = Table { function, inputs, out: out.clone(), context: self.context() };
        self.finished(OperatorExec::over(finished, Arc::new(operator), out.arrow()))
    }

    #[allow(clippy::too_many_arguments)] // The parts of one node.
    pub(super) async fn series(
        &self,
        input: &Plan,
        keys: &[Expr],
        aggregates: &[(AggregateCall, Value)],
        axis: &Expr,
        ends: Axis,
        schema: &Schema,
        place: Place<'_>,
    ) -> Result<LogicalPlan> {
        let rows = self.lower(input, place).await?;
        let width = columns_of(&rows).len();
        let rows = self.with_columns(rows, std::slice::from_ref(axis))?;
        let binned_schema = Arc::clone(rows.schema().inner());
        let binned = self.operator(rows, Arc::new(Bins(ends.clone())), binned_schema).await?;
        let mut by = keys.to_vec();
        by.push(Expr::column(width, axis.ty, axis.span));
        let calls: Vec<AggregateCall> = aggregates.iter().map(|(call, _)| call.clone()).collect();
        let named = |at: usize, ty: Type| kyma_core::Column::new(format!("s{at}"), ty);
        let mut columns: Vec<_> = by.iter().enumerate().map(|(at, key)| named(at, key.ty)).collect();
        for call in &calls {
            let ty = call.types.first().copied().unwrap_or(Type::Real);
            columns.push(named(columns.len(), ty));
        }
        let grouped = summarize::aggregate(self, binned, &by, &calls, &Schema::new(columns))?;
        let value = |(call, default): &(AggregateCall, Value)| {
            (call.types.first().copied().unwrap_or(Type::Real), default.clone())
        };
        let lay_out = LayOut {
            axis: ends,
            keys: keys.len(),
            values: aggregates.iter().map(value).collect(),
            schema: schema.arrow(),
        };
        self.operator(grouped, Arc::new(lay_out), schema.arrow()).await
    }
}

/// The operator that expands.
pub(crate) fn mv_expand(
    input: &Schema,
    output: &Schema,
    columns: &[MvExpandColumn],
    item_index: bool,
    bags_as_arrays: bool,
    row_limit: Option<u64>,
) -> MvExpand {
    let types = input.columns().iter().map(|column| column.ty).collect();
    MvExpand { types, columns: columns.to_vec(), item_index, bags_as_arrays, row_limit, schema: output.arrow() }
}
