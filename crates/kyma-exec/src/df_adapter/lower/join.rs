//! Joins and unions.

use std::sync::Arc;

use datafusion::common::{Column, JoinType, NullEquality};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlan, LogicalPlanBuilder, Projection, Union};
use kyma_core::{Result, Schema, Type, Value};
use kyma_plan::{Expr, JoinKind, Plan};

use super::{Lowering, Place, columns_of, project};
use crate::df_adapter::error::from_df;
use crate::df_adapter::expr::literal;
use crate::df_adapter::operators::first::FirstOfKey;
use crate::df_adapter::scalar::{Kernel, Op};

impl Lowering {
    pub(super) async fn union(&self, inputs: &[Plan], schema: &Schema, place: Place<'_>) -> Result<LogicalPlan> {
        let mut lowered = Vec::with_capacity(inputs.len());
        for input in inputs {
            let input = self.lower(input, place).await?;
            let columns = columns_of(&input).into_iter().map(DfExpr::Column).collect();
            lowered.push(Arc::new(project(input, columns, schema)?));
        }
        match lowered.len() {
            0 => self.values(&[], schema),
            1 => Ok(Arc::unwrap_or_clone(lowered.remove(0))),
            _ => Union::try_new(lowered).map(LogicalPlan::Union).map_err(from_df),
        }
    }

    pub(super) async fn join(
        &self,
        left: &Plan,
        right: &Plan,
        kind: JoinKind,
        on: &[(Expr, Expr)],
        schema: &Schema,
        place: Place<'_>,
    ) -> Result<LogicalPlan> {
        let mut left_rows = self.lower(left, place).await?;
        let right_rows = self.lower(right, place).await?;
        let mut on_left = Vec::with_capacity(on.len());
        let mut on_right = Vec::with_capacity(on.len());
        for (a, b) in on {
            on_left.push(self.resolve(a.clone(), place).await?);
            on_right.push(self.resolve(b.clone(), place).await?);
        }
        if kind == JoinKind::InnerUnique {
            left_rows = self.first_of_key(left_rows, left, &on_left).await?;
        }
        let left_rows = renamed(left_rows, "l")?;
        let right_rows = renamed(right_rows, "r")?;
        let (left_columns, right_columns) = (columns_of(&left_rows), columns_of(&right_rows));
        let on_left = self.join_keys(&left_columns, &on_left)?;
        let on_right = self.join_keys(&right_columns, &on_right)?;
        let builder = LogicalPlanBuilder::from(left_rows);
        let joined = match on_left.is_empty() {
            true => builder.cross_join(right_rows),
            false => builder.join_with_expr_keys(right_rows, join_type(kind), (on_left, on_right), None),
        };
        let mut joined = joined.and_then(LogicalPlanBuilder::build).map_err(from_df)?;
        // Null keys match each other, unlike in a comparison.
        if let LogicalPlan::Join(join) = &mut joined {
            join.null_equality = NullEquality::NullEqualsNull;
        }
        let (left_missing, right_missing) = match kind {
            JoinKind::LeftOuter => (false, true),
            JoinKind::RightOuter => (true, false),
            JoinKind::FullOuter => (true, true),
            _ => (false, false),
        };
        let fill = |(at, column): (usize, Column)| {
            let missing = if at < left_columns.len() { left_missing } else { right_missing };
            let is_text = schema.columns().get(at).is_some_and(|column| column.ty == Type::String);
            match missing && is_text {
                true => coalesce(vec![DfExpr::Column(column), literal(&Value::String(String::new()))]),
                false => DfExpr::Column(column),
            }
        };
        let columns = columns_of(&joined).into_iter().enumerate().map(fill).collect();
        project(joined, columns, schema)
    }

    /// Keys that are equal where ours are: reals go as whole numbers, so that both zeros meet, and NaNs.
    fn join_keys(&self, columns: &[Column], keys: &[Expr]) -> Result<Vec<DfExpr>> {
        let key = |key: &Expr| {
            let value = self.exprs(columns).value(key)?;
            Ok(match key.ty {
                Type::Real => Kernel::call(Op::RealBits, Type::Long, self.context(), vec![value]),
                _ => value,
            })
        };
        keys.iter().map(key).collect()
    }

    async fn first_of_key(&self, rows: LogicalPlan, plan: &Plan, keys: &[Expr]) -> Result<LogicalPlan> {
        let columns = columns_of(&rows);
        let width = columns.len();
        let schema = Arc::clone(rows.schema().inner());
        let keyed = self.with_columns(rows, keys)?;
        debug_assert!(plan.schema.len() <= width);
        self.operator(keyed, Arc::new(FirstOfKey { width }), schema).await
    }
}

fn renamed(input: LogicalPlan, prefix: &str) -> Result<LogicalPlan> {
    let columns = columns_of(&input).into_iter().enumerate();
    let named = columns.map(|(at, column)| DfExpr::Column(column).alias(format!("{prefix}{at}"))).collect();
    Projection::try_new(named, Arc::new(input)).map(LogicalPlan::Projection).map_err(from_df)
}

fn join_type(kind: JoinKind) -> JoinType {
    match kind {
        JoinKind::Inner | JoinKind::InnerUnique => JoinType::Inner,
        JoinKind::LeftOuter => JoinType::Left,
        JoinKind::RightOuter => JoinType::Right,
        JoinKind::FullOuter => JoinType::Full,
        JoinKind::LeftSemi => JoinType::LeftSemi,
        JoinKind::RightSemi => JoinType::RightSemi,
        JoinKind::LeftAnti => JoinType::LeftAnti,
        JoinKind::RightAnti => JoinType::RightAnti,
    }
}
