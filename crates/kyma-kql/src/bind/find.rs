//! `find`: rows of several tables, with the columns that matter and the rest in a bag.
//!
//! Columns: where a row was found; then those that are asked for, or else those that the condition names and those that
//! all tables have; then `pack_`, a bag of the others.

use kyma_core::error::Span;
use kyma_core::{Type, Value};
use kyma_plan::{Expr, Plan};

use super::expr::{named_columns, resolved};
use super::operators::{Columns, keep_columns};
use super::sources::united;
use super::{Bind, Binder, ScopeId, fail, fold};
use crate::ast::{self, ExprKind, FindClause, FindColumn};

/// Column that says where a row was found, unless it is named.
const SOURCE_COLUMN: &str = "source_";
/// Column of the bag.
const PACK_COLUMN: &str = "pack_";

type Found = Vec<(String, Plan)>;

impl Binder<'_> {
    pub(super) fn find(&mut self, clause: &FindClause, scope: ScopeId, span: Span) -> Bind<Plan> {
        let found = self.found_in(&clause.predicate, &clause.tables, false, scope, span)?;
        let projected = match &clause.project {
            Some(columns) => asked_for(found, columns, span)?,
            None => chosen(found, &clause.predicate, span)?,
        };
        let source = clause.source.as_ref().map_or(SOURCE_COLUMN, |name| name.text.as_str());
        let all = united(projected, Some(source), false, span);
        if clause.away.is_empty() {
            return Ok(all);
        }
        let away = self.matching(&all.schema, &clause.away)?;
        let kept: Vec<usize> = (0..all.schema.len()).filter(|at| *at == 0 || !away.contains(at)).collect();
        Ok(keep_columns(all, &kept, span))
    }
}

/// `project-smart`.
fn chosen(found: Found, predicate: &ast::Expr, span: Span) -> Bind<Found> {
    let mut wanted = Vec::new();
    names_in(predicate, &mut wanted);
    wanted.retain(|name| found.iter().any(|(_, plan)| plan.schema.index_of(name).is_some()));
    if let Some((_, first)) = found.first() {
        let common = first.schema.columns().iter().filter(|column| {
            found.iter().all(|(_, plan)| plan.schema.column(&column.name).is_some_and(|other| other.ty == column.ty))
        });
        let common: Vec<String> = common.map(|column| column.name.clone()).collect();
        wanted.extend(common.into_iter().filter(|name| !wanted.contains(name)).collect::<Vec<_>>());
    }
    let packs = found.iter().any(|(_, plan)| plan.schema.columns().iter().any(|c| !wanted.contains(&c.name)));
    let mut projected = Vec::with_capacity(found.len());
    for (label, plan) in found {
        let mut columns: Columns = Vec::new();
        for name in &wanted {
            if let Some(at) = plan.schema.index_of(name) {
                columns.push((name.clone(), Expr::column(at, plan.schema.columns()[at].ty, span)));
            }
        }
        if packs {
            columns.push((PACK_COLUMN.to_owned(), packed(&plan, &wanted, span)?));
        }
        projected.push((label, Plan::project(plan, columns, span)));
    }
    Ok(projected)
}

/// `project a, b: long, pack(*)`.
fn asked_for(found: Found, asked: &[FindColumn], span: Span) -> Bind<Found> {
    let names: Vec<String> = asked
        .iter()
        .filter_map(|column| match column {
            FindColumn::Column(name, _) => Some(name.text.clone()),
            FindColumn::Pack => None,
        })
        .collect();
    let mut types = Vec::with_capacity(asked.len());
    for column in asked {
        types.push(match column {
            FindColumn::Pack | FindColumn::Column(_, Some(_)) => None,
            FindColumn::Column(name, None) => {
                let known = found.iter().find_map(|(_, plan)| plan.schema.column(&name.text).map(|column| column.ty));
                match known {
                    Some(ty) => Some(ty),
                    None => return fail("kql.unknown_column", format!("unknown column '{}'", name.text), name.span),
                }
            }
        });
    }
    let mut projected = Vec::with_capacity(found.len());
    for (label, plan) in found {
        let mut columns: Columns = Vec::new();
        for (column, known) in asked.iter().zip(&types) {
            match column {
                FindColumn::Pack => columns.push((PACK_COLUMN.to_owned(), packed(&plan, &names, span)?)),
                FindColumn::Column(name, ty) => {
                    let ty = ty.or(*known).unwrap_or(Type::Dynamic);
                    let value = match plan.schema.index_of(&name.text) {
                        Some(at) => fold::convert(Expr::column(at, plan.schema.columns()[at].ty, span), ty),
                        None if ty == Type::String => Expr::literal(Value::String(String::new()), span),
                        None => Expr::literal(Value::Null(ty), span),
                    };
                    columns.push((name.text.clone(), value));
                }
            }
        }
        projected.push((label, Plan::project(plan, columns, span)));
    }
    Ok(projected)
}

/// The columns that are not in `others`, as a bag.
fn packed(plan: &Plan, others: &[String], span: Span) -> Bind<Expr> {
    let args = named_columns(&plan.schema, |column| !others.contains(&column.name), span);
    if args.is_empty() {
        return Ok(Expr::literal(Value::Dynamic("{}".to_owned()), span));
    }
    resolved("pack_all", args, span)
}

/// Names that stand in an expression, each once.
fn names_in(expr: &ast::Expr, names: &mut Vec<String>) {
    let parts: Vec<&ast::Expr> = match &expr.kind {
        ExprKind::Name(name) if !names.contains(name) => {
            names.push(name.clone());
            return;
        }
        ExprKind::Member(base, _) | ExprKind::Negative(base) => vec![base],
        ExprKind::Index(a, b) | ExprKind::Binary(_, a, b) => vec![a, b],
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().collect(),
        ExprKind::Text { left, right, .. } => std::iter::once(&**left).chain(right).collect(),
        ExprKind::In { left, list, .. } => std::iter::once(&**left).chain(list).collect(),
        ExprKind::Between { left, from, to, .. } => vec![left, from, to],
        ExprKind::Call(call) => call.args.iter().map(|arg| &arg.value).collect(),
        _ => return,
    };
    parts.into_iter().for_each(|part| names_in(part, names));
}
