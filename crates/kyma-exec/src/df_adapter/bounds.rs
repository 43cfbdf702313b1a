//! Bounds of a scan that its query does not spell as filters: the datetime scope of a query, as if the rows beyond were not
//! there in any table that has its column, and cursors, which ask for the rows of some commits.

use std::sync::Arc;

use datafusion::common::{Column as DfColumn, ScalarValue};
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlan, LogicalPlanBuilder, lit};
use kyma_core::catalog::Table;
use kyma_core::schema::SEQUENCE_COLUMN;
use kyma_core::{Column, Result, Schema, Sequence, Type};
use kyma_plan::node::{Added, Scan};

use crate::df_adapter::error::from_df;
use crate::df_adapter::lower::Lowering;
use crate::df_adapter::paths::{fact_column, read_column};
use crate::df_adapter::table::KymaTable;
use crate::request::TimeScope;

/// A condition on a column that every row of a scan must meet.
type Bound = (Column, DfExpr);

impl Lowering {
    /// The scan of a table: with the query's datetime scope, and of the commits that a cursor asks for.
    pub(super) fn scan(&self, scan: &Scan, schema: &Schema) -> Result<LogicalPlan> {
        let (table, at) = self.scope.snapshot.find(&scan.database, &scan.table)?;
        let scoped = self.scope.time_scope.get().and_then(|scope| of_scope(scope, &table));
        let bounds: Vec<Bound> = scoped.into_iter().chain(of_cursor(&scan.added)).collect();
        match bounds.is_empty() {
            true => self.read(scan, schema, (table, at)),
            false => self.bounded_scan(scan, schema, (table, at), bounds),
        }
    }

    fn read(&self, scan: &Scan, schema: &Schema, (table, at): (Table, Sequence)) -> Result<LogicalPlan> {
        let columns = schema.columns().iter().map(read_column).collect();
        let table =
            KymaTable::new(&self.scope, table, at, columns, schema, scan.null_strings_are_empty).of_commits(scan.added);
        self.provider(&scan.table, Arc::new(table))
    }

    /// Reads the bounded columns, too, filters by them, and leaves them out again.
    fn bounded_scan(
        &self,
        scan: &Scan,
        schema: &Schema,
        found: (Table, Sequence),
        bounds: Vec<Bound>,
    ) -> Result<LogicalPlan> {
        let mut columns = schema.columns().to_vec();
        for (column, _) in &bounds {
            if schema.column(&column.name).is_none() {
                columns.push(column.clone());
            }
        }
        let rows = self.read(scan, &Schema::new(columns), found)?;
        let wanted: Vec<DfExpr> = schema.columns().iter().map(|wanted| unqualified(&wanted.name)).collect();
        let within = bounds.into_iter().map(|(_, within)| within).reduce(DfExpr::and);
        let within = within.unwrap_or_else(|| lit(true));
        let bounded = LogicalPlanBuilder::from(rows).filter(within).and_then(|plan| plan.project(wanted)?.build());
        bounded.map_err(from_df)
    }
}

fn unqualified(name: &str) -> DfExpr {
    DfExpr::Column(DfColumn::new_unqualified(name))
}

fn of_scope(scope: &TimeScope, table: &Table) -> Option<Bound> {
    let name = column_of(scope, table)?;
    let at = |nanos: i64| lit(ScalarValue::TimestampNanosecond(Some(nanos), None));
    let within = unqualified(&name).gt_eq(at(scope.from)).and(unqualified(&name).lt_eq(at(scope.to)));
    Some((Column::new(name, Type::Datetime), within))
}

/// Rows of an extent that was merged came with several commits: each row is tested.
fn of_cursor(added: &Added) -> Option<Bound> {
    let column = fact_column(SEQUENCE_COLUMN, Type::Long);
    let sequence = || unqualified(&column.name);
    let after = added.after.map(|after| sequence().gt(lit(after.0)));
    let up_to = added.up_to.map(|up_to| sequence().lt_eq(lit(up_to.0)));
    let within = after.into_iter().chain(up_to).reduce(DfExpr::and)?;
    Some((column, within))
}

/// The column of a table that a scope bounds, if the table has it as a datetime.
fn column_of(scope: &TimeScope, table: &Table) -> Option<String> {
    let name = scope.column.as_deref().unwrap_or(&table.time_column);
    table.schema.column(name).filter(|column| column.ty == Type::Datetime).map(|column| column.name.clone())
}
