//! The datetime scope of a query: every table that has its column is read as if its rows beyond the bounds were not there.

use std::sync::Arc;

use datafusion::common::{Column as DfColumn, ScalarValue};
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlan, LogicalPlanBuilder, lit};
use kyma_core::catalog::Table;
use kyma_core::{Column, Result, Schema, Sequence, Type};
use kyma_plan::node::Scan;

use crate::df_adapter::error::from_df;
use crate::df_adapter::lower::Lowering;
use crate::df_adapter::paths::read_column;
use crate::df_adapter::table::KymaTable;
use crate::request::TimeScope;

impl Lowering {
    /// The scan of a table.
    pub(super) fn scan(&self, scan: &Scan, schema: &Schema) -> Result<LogicalPlan> {
        let (table, at) = self.scope.snapshot.find(&scan.database, &scan.table)?;
        let scoped = self.scope.time_scope.get();
        let scoped = scoped.and_then(|scope| Some((scope, column_of(scope, &table)?)));
        match scoped {
            Some((scope, column)) => self.scoped_scan(scan, schema, (table, at), scope, &column),
            None => self.read(scan, schema, (table, at)),
        }
    }

    fn read(&self, scan: &Scan, schema: &Schema, (table, at): (Table, Sequence)) -> Result<LogicalPlan> {
        let columns = schema.columns().iter().map(read_column).collect();
        let table = KymaTable::new(&self.scope, table, at, columns, schema, scan.null_strings_are_empty);
        self.provider(&scan.table, Arc::new(table))
    }

    /// Reads the scope's column, too, filters by it, and leaves it out again.
    fn scoped_scan(
        &self,
        scan: &Scan,
        schema: &Schema,
        found: (Table, Sequence),
        scope: &TimeScope,
        column: &str,
    ) -> Result<LogicalPlan> {
        let mut columns = schema.columns().to_vec();
        if schema.column(column).is_none() {
            columns.push(Column::new(column, Type::Datetime));
        }
        let rows = self.read(scan, &Schema::new(columns), found)?;
        let unqualified = |name: &str| DfExpr::Column(DfColumn::new_unqualified(name));
        let at = |nanos: i64| lit(ScalarValue::TimestampNanosecond(Some(nanos), None));
        let within = unqualified(column).gt_eq(at(scope.from)).and(unqualified(column).lt_eq(at(scope.to)));
        let wanted: Vec<DfExpr> = schema.columns().iter().map(|wanted| unqualified(&wanted.name)).collect();
        let scoped = LogicalPlanBuilder::from(rows).filter(within).and_then(|plan| plan.project(wanted)?.build());
        scoped.map_err(from_df)
    }
}

/// The column of a table that a scope bounds, if the table has it as a datetime.
fn column_of(scope: &TimeScope, table: &Table) -> Option<String> {
    let name = scope.column.as_deref().unwrap_or(&table.time_column);
    table.schema.column(name).filter(|column| column.ty == Type::Datetime).map(|column| column.name.clone())
}
