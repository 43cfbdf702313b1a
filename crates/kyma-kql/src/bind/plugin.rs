//! `evaluate`: plugins whose columns are known while planning.

use kyma_core::error::Span;
use kyma_core::{Schema, Type, Value};
use kyma_plan::{Expr, Node, Plan};

use super::operators::Columns;
use super::{Bind, Binder, ScopeId, fold, unsupported};
use crate::ast::Call;

impl Binder<'_> {
    pub(super) fn evaluate(&mut self, input: Plan, call: &Call, _scope: ScopeId, span: Span) -> Bind<Plan> {
        match call.name.text.as_str() {
            "narrow" => Ok(narrow(input, span)),
            other => unsupported(&format!("the plugin '{other}'"), span),
        }
    }
}

/// One row per cell: row number, column name, value as text.
fn narrow(input: Plan, span: Span) -> Plan {
    let number = kyma_plan::WindowCall { function: "row_number", args: Vec::new(), ty: Type::Long, span };
    let width = input.schema.len();
    let columns = input.schema.columns().to_vec();
    let numbered = super::operators::with_windows(input, vec![number]);
    let schema = Schema::from([("Row", Type::Long), ("Column", Type::String), ("Value", Type::String)]);
    let parts = columns.iter().enumerate().map(|(at, column)| {
        let row = super::expr::binary(
            kyma_plan::BinaryOp::Subtract,
            Expr::column(width, Type::Long, span),
            Expr::literal(Value::Long(1), span),
        );
        let row = row.unwrap_or_else(|_| Expr::column(width, Type::Long, span));
        let value = fold::convert(Expr::column(at, column.ty, span), Type::String);
        let cells: Columns = vec![
            ("Row".to_owned(), row),
            ("Column".to_owned(), Expr::literal(Value::String(column.name.clone()), span)),
            ("Value".to_owned(), value),
        ];
        Plan::project(numbered.clone(), cells, span)
    });
    Plan::new(Node::Union(parts.collect()), schema, span)
}
