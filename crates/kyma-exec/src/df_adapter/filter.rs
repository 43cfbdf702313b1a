//! A filter of a scan, evaluated by DataFusion's expressions.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::expressions::DynamicFilterTracking;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_expr_common::physical_expr::{snapshot_generation, snapshot_physical_expr};
use kyma_core::Result as KymaResult;
use kyma_core::format::ReadColumn;
use kyma_core::predicate::Predicate;

use crate::df_adapter::error::from_df;
use crate::df_adapter::extract::Extractor;
use crate::scan::RowFilter;

/// Conjuncts over the columns of a scan.
#[derive(Debug)]
pub(crate) struct ExprFilter {
    places: Vec<usize>,
    /// Over the batch of the columns at `places`.
    local: Arc<dyn PhysicalExpr>,
    /// Over all columns of the scan, where it changes.
    moving: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<ReadColumn>,
    null_strings_are_empty: bool,
}

impl ExprFilter {
    /// The conjunction of `filters`, whose columns are places in `columns`.
    pub(crate) fn new(
        filters: &[Arc<dyn PhysicalExpr>],
        columns: &[ReadColumn],
        null_strings_are_empty: bool,
    ) -> Result<Option<Self>> {
        if filters.is_empty() {
            return Ok(None);
        }
        let whole = conjunction(filters.iter().cloned());
        let mut places: Vec<usize> = collect_columns(&whole).iter().map(Column::index).collect();
        places.sort_unstable();
        places.dedup();
        let local = renumber(Arc::clone(&whole), |place| places.iter().position(|one| *one == place))?;
        let moving = DynamicFilterTracking::classify(&whole).contains_dynamic_filter().then_some(whole);
        Ok(Some(ExprFilter { places, local, moving, columns: columns.to_vec(), null_strings_are_empty }))
    }
}

/// The expression with every column's place changed; columns without a new place stay.
pub(crate) fn renumber(
    expr: Arc<dyn PhysicalExpr>,
    place: impl Fn(usize) -> Option<usize>,
) -> Result<Arc<dyn PhysicalExpr>> {
    let changed = expr.transform_up(|node| {
        let moved = node.downcast_ref::<Column>().and_then(|column| {
            let to = place(column.index())?;
            Some(Arc::new(Column::new(column.name(), to)) as Arc<dyn PhysicalExpr>)
        });
        Ok(moved.map_or_else(|| Transformed::no(Arc::clone(&node)), Transformed::yes))
    })?;
    Ok(changed.data)
}

impl RowFilter for ExprFilter {
    fn columns(&self) -> &[usize] {
        &self.places
    }

    fn evaluate(&self, batch: &RecordBatch) -> KymaResult<BooleanBuffer> {
        let rows = batch.num_rows();
        let value = self.local.evaluate(batch).and_then(|value| value.into_array(rows)).map_err(from_df)?;
        let passed: &BooleanArray = value
            .as_boolean_opt()
            .ok_or_else(|| kyma_core::Error::internal("a filter gave something else than truth values"))?;
        Ok(match passed.nulls() {
            Some(valid) => passed.values() & valid.inner(),
            None => passed.values().clone(),
        })
    }

    fn live(&self) -> Option<(u64, Predicate)> {
        let moving = self.moving.as_ref()?;
        let generation = snapshot_generation(moving);
        let current = snapshot_physical_expr(Arc::clone(moving)).ok()?;
        let extractor = Extractor { columns: &self.columns, null_strings_are_empty: self.null_strings_are_empty };
        Some((generation, extractor.predicate(&current)))
    }
}
