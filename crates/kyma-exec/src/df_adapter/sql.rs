//! SQL over the same tables: databases are schemas, tables are planned as KQL's are.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;

use crate::df_adapter::error::from_df;
use crate::df_adapter::lower::Lowering;
use crate::df_adapter::session::CATALOG;
use crate::df_adapter::table::KymaTable;
use crate::scope::QueryScope;

impl Lowering {
    /// Plans a parsed statement.
    pub(crate) async fn sql(&self, statement: &ast::Statement) -> kyma_core::Result<LogicalPlan> {
        let statement = Statement::Statement(Box::new(statement.clone()));
        let plan = self.state.statement_to_plan(statement).await.map_err(from_df)?;
        match &plan {
            LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Copy(_) | LogicalPlan::Statement(_) => {
                Err(kyma_core::Error::invalid("sql.not_a_query", "this statement does not ask for rows"))
            }
            _ => Ok(plan),
        }
    }
}

/// The snapshot as DataFusion's catalogs see it.
#[derive(Clone)]
pub(crate) struct SnapshotCatalog(Arc<QueryScope>);

impl SnapshotCatalog {
    /// Of a query.
    pub(crate) fn new(scope: &Arc<QueryScope>) -> Self {
        SnapshotCatalog(Arc::clone(scope))
    }
}

impl fmt::Debug for SnapshotCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SnapshotCatalog").field(&self.0.snapshot.names).finish()
    }
}

impl CatalogProviderList for SnapshotCatalog {
    fn register_catalog(&self, _name: String, _catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(self.clone()) as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for SnapshotCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.0.snapshot.databases.keys().cloned().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let known = self.0.snapshot.databases.contains_key(name);
        known.then(|| {
            Arc::new(Database { scope: Arc::clone(&self.0), name: name.to_owned() }) as Arc<dyn SchemaProvider>
        })
    }
}

/// One database.
#[derive(Debug)]
struct Database {
    scope: Arc<QueryScope>,
    name: String,
}

#[async_trait]
impl SchemaProvider for Database {
    fn table_names(&self) -> Vec<String> {
        let found = self.scope.snapshot.databases.get(&self.name);
        found.map_or_else(Vec::new, |database| database.tables.keys().cloned().collect())
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Ok((table, at)) = self.scope.snapshot.find(&self.name, name) else { return Ok(None) };
        Ok(Some(Arc::new(KymaTable::whole(&self.scope, table, at))))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.scope.snapshot.find(&self.name, name).is_ok()
    }
}
