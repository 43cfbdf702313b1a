//! A table of the snapshot: planning a scan prunes by the catalog.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, tree_node::TreeNode};
use datafusion::datasource::TableType;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use kyma_core::Schema;
use kyma_core::catalog::Table;
use kyma_core::format::ReadColumn;
use kyma_core::ids::Sequence;
use kyma_plan::node::Added;

use crate::df_adapter::error::to_df;
use crate::df_adapter::extract::Extractor;
use crate::df_adapter::source::ExtentScan;
use crate::prune::{TableQuery, survivors};
use crate::scope::QueryScope;

/// A table, or some columns of it and paths inside them.
#[derive(Debug)]
pub(crate) struct KymaTable {
    scope: Arc<QueryScope>,
    table: Arc<Table>,
    at: Sequence,
    columns: Vec<ReadColumn>,
    schema: SchemaRef,
    null_strings_are_empty: bool,
    added: Added,
}

impl KymaTable {
    /// The `columns` of a table of the snapshot, named as in `schema`.
    pub(crate) fn new(
        scope: &Arc<QueryScope>,
        table: Table,
        at: Sequence,
        columns: Vec<ReadColumn>,
        schema: &Schema,
        null_strings_are_empty: bool,
    ) -> Self {
        let (scope, table) = (Arc::clone(scope), Arc::new(table));
        let added = Added::default();
        KymaTable { scope, table, at, columns, schema: schema.arrow(), null_strings_are_empty, added }
    }

    /// Only the rows of some commits.
    pub(crate) fn of_commits(self, added: Added) -> Self {
        KymaTable { added, ..self }
    }

    /// All columns of a table, as SQL sees it.
    pub(crate) fn whole(scope: &Arc<QueryScope>, table: Table, at: Sequence) -> Self {
        let schema = table.schema.clone();
        let columns = schema.columns().iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
        KymaTable::new(scope, table, at, columns, &schema, false)
    }
}

#[async_trait]
impl TableProvider for KymaTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|filter| pushdown(filter)).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let named = DFSchema::try_from(Arc::clone(&self.schema))?;
        let filters = filters
            .iter()
            .map(|filter| state.create_physical_expr(filter.clone(), &named))
            .collect::<Result<Vec<_>>>()?;
        let null_strings_are_empty = self.null_strings_are_empty;
        let extractor = |facts: bool| Extractor { columns: &self.columns, null_strings_are_empty, facts };
        let query = TableQuery {
            table: Arc::clone(&self.table),
            at: self.at,
            schema: self.table.schema.clone(),
            predicate: extractor(false).all(&filters),
            facts: extractor(true).all(&filters),
            null_strings_are_empty: self.null_strings_are_empty,
            added: self.added,
        };
        let found = survivors(&self.scope, &query).await.map_err(to_df)?;
        let output = projection.cloned().unwrap_or_else(|| (0..self.columns.len()).collect());
        let partitions = state.config().target_partitions();
        let scan =
            ExtentScan::new(&self.scope, query, &self.columns, output, &self.schema, filters, found, partitions)?;
        Ok(DataSourceExec::from_data_source(scan.limited(limit)))
    }
}

/// Exact for whatever is a function of one row.
fn pushdown(filter: &Expr) -> TableProviderFilterPushDown {
    let foreign = |expr: &Expr| {
        Ok(matches!(
            expr,
            Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::ScalarSubquery(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
        ))
    };
    match filter.is_volatile() || filter.exists(foreign).unwrap_or(true) {
        true => TableProviderFilterPushDown::Unsupported,
        false => TableProviderFilterPushDown::Exact,
    }
}
