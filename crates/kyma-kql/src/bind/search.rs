//! `search`: rows of tables in which some column has a term.

use kyma_core::error::Span;
use kyma_core::{Type, Value};
use kyma_plan::{Expr, ExprKind, Node, Plan};

use super::expr::{any_of, resolved, truth};
use super::sources::united;
use super::{Bind, Binder, Row, ScopeId, fail};
use crate::ast;

/// Column that says where a row was found.
const SOURCE_COLUMN: &str = "$table";

impl Binder<'_> {
    /// `search "x"`, `search in (T1, T2) "x"`.
    pub(super) fn search(
        &mut self,
        predicate: &ast::Expr,
        tables: &[ast::Expr],
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let everything = [ast::Expr { kind: ast::ExprKind::Star, span }];
        let tables = if tables.is_empty() { &everything } else { tables };
        let (mut plans, mut others) = (Vec::new(), Vec::new());
        for table in tables {
            let name = match &table.kind {
                ast::ExprKind::Name(name) => Some(name.clone()),
                _ => None,
            };
            let found = match &table.kind {
                ast::ExprKind::Star | ast::ExprKind::Wildcard(_) => self.all_tables(table, scope)?,
                _ => vec![(name.unwrap_or_else(|| format!("union_arg{}", plans.len())), self.table(table, scope)?)],
            };
            for (name, plan) in found {
                // A table without the columns that the predicate names has no such rows.
                let empty = no_rows_of(&plan);
                match self.searched(plan, predicate, scope, span)? {
                    Some(filtered) => plans.push((name, filtered)),
                    None => others.push((name, empty)),
                }
            }
        }
        // Columns of tables none of which has a row.
        if plans.is_empty() {
            plans = others;
        }
        if plans.is_empty() {
            return fail("kql.unknown_table", "no table can have such rows", span);
        }
        Ok(united(plans, Some(SOURCE_COLUMN), false, span))
    }

    /// `T | search "x"`.
    pub(super) fn search_in(&mut self, input: Plan, predicate: &ast::Expr, scope: ScopeId, span: Span) -> Bind<Plan> {
        let mut row = self.row(input.schema.clone(), scope);
        let predicate = self.search_predicate(predicate, &mut row)?;
        let name = match &input.node {
            kyma_plan::Node::Scan(scan) => scan.table.clone(),
            _ => "union_arg0".to_owned(),
        };
        let filtered = Plan::filter(input, predicate);
        Ok(united(vec![(name, filtered)], Some(SOURCE_COLUMN), false, span))
    }

    fn all_tables(&mut self, table: &ast::Expr, scope: ScopeId) -> Bind<Vec<(String, Plan)>> {
        let pattern = match &table.kind {
            ast::ExprKind::Wildcard(pattern) => pattern.as_str(),
            _ => "*",
        };
        self.tables_like(pattern, table.span, scope)
    }

    fn searched(&mut self, plan: Plan, predicate: &ast::Expr, scope: ScopeId, span: Span) -> Bind<Option<Plan>> {
        let mut row = self.row(plan.schema.clone(), scope);
        match self.attempt(|binder| binder.search_predicate(predicate, &mut row)) {
            Ok(predicate) => Ok(Some(Plan::filter(plan, Expr { span, ..predicate }))),
            Err(errors) if errors.iter().all(|error| error.code == "kql.unknown_column") => Ok(None),
            Err(errors) => self.give_up(errors, span),
        }
    }

    /// A text alone is looked for in every column.
    fn search_predicate(&mut self, expr: &ast::Expr, row: &mut Row) -> Bind<Expr> {
        let span = expr.span;
        match &expr.kind {
            ast::ExprKind::Literal(Value::String(text)) => search_text(text, row, span),
            ast::ExprKind::Star => Ok(Expr::literal(Value::Bool(true), span)),
            ast::ExprKind::And(parts) => {
                let parts = parts.iter().map(|part| self.search_predicate(part, row)).collect::<Bind<Vec<_>>>()?;
                Ok(Expr { kind: ExprKind::And(parts), ty: Type::Bool, span })
            }
            ast::ExprKind::Or(parts) => {
                let parts = parts.iter().map(|part| self.search_predicate(part, row)).collect::<Bind<Vec<_>>>()?;
                Ok(any_of(parts, span))
            }
            _ => truth(self.scalar(expr, row)?),
        }
    }
}

/// A table of no rows with the columns of another.
fn no_rows_of(plan: &Plan) -> Plan {
    Plan::new(Node::Values(Vec::new()), plan.schema.clone(), plan.span)
}

fn search_text(text: &str, row: &Row, span: Span) -> Bind<Expr> {
    let stars = (text.starts_with('*'), text.ends_with('*'));
    let inner = text.trim_matches('*').to_owned();
    let function = match stars {
        (false, false) => "has",
        (false, true) => "hasprefix",
        (true, false) => "hassuffix",
        (true, true) => "contains",
    };
    if inner.is_empty() {
        return Ok(Expr::literal(Value::Bool(true), span));
    }
    let mut parts = Vec::new();
    for (index, column) in row.schema.columns().iter().enumerate() {
        if !matches!(column.ty, Type::String | Type::Dynamic | Type::Guid) {
            continue;
        }
        let wanted = Expr::literal(Value::String(inner.clone()), span);
        parts.push(resolved(function, vec![Expr::column(index, column.ty, span), wanted], span)?);
    }
    Ok(any_of(parts, span))
}
