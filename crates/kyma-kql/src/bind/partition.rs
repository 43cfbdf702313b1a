//! `partition by key { table | ... }`: the pipeline runs over a table of its own for each key, which it knows as a value.
//!
//! The key goes along as the last column of that table's rows, and goes away at the end where it is still there.

use kyma_core::error::Span;
use kyma_plan::{Node, Plan};

use super::operators::keep_columns;
use super::plugin::cross;
use super::{Bind, Binder, ScopeId, fail};
use crate::ast::{self, ExprKind};

impl Binder<'_> {
    pub(super) fn partition_of(
        &mut self,
        input: Plan,
        key: &ast::Expr,
        body: &ast::Expr,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let ExprKind::Name(name) = &key.kind else {
            return fail("kql.syntax", "expected the name of a column", key.span);
        };
        let row = self.row(input.schema.clone(), scope);
        let place = self.column_index(name, key.span, &row)?;
        let key = kyma_plan::Expr::column(place, input.schema.columns()[place].ty, key.span);
        let leaf = Plan::new(Node::Input, input.schema.clone(), span);
        let one = Plan::limit(keep_columns(leaf, &[place], span), 1, span);
        let (source, operators) = match &body.kind {
            ExprKind::Pipeline(pipeline) => (&pipeline.source, pipeline.operators.as_slice()),
            _ => (body, &[][..]),
        };
        let fed = cross(self.table(source, scope)?, one, span);
        let Some(value) = fed.schema.columns().last().map(|column| column.name.clone()) else {
            return fail("kql.type", "the table has no columns", span);
        };
        let mut names = scope;
        let body = self.pipeline_from(fed, operators, &mut names)?;
        let kept: Vec<usize> = (0..body.schema.len()).filter(|at| body.schema.columns()[*at].name != value).collect();
        let body = keep_columns(body, &kept, span);
        let schema = body.schema.clone();
        Ok(Plan::new(Node::Partition { input: Box::new(input), key, body: Box::new(body) }, schema, span))
    }
}
