//! `scan`: steps whose conditions speak of the row at hand and, as `step.column`, of rows that matched before.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::functions::common_type;
use kyma_plan::table::{Scan, ScanColumn, ScanStep, StepOutput, TableFunction};
use kyma_plan::{Expr, Node, Plan};

use super::{Bind, Binder, Row, ScopeId, fail, fail_with_hint, fold, unsupported};
use crate::ast::{self, ScanClause};

impl Binder<'_> {
    pub(super) fn scan(&mut self, input: Plan, clause: &ScanClause, scope: ScopeId, span: Span) -> Bind<Plan> {
        let input = if clause.order.is_empty() { input } else { self.sort(input, &clause.order, scope, span)? };
        let declared = self.declared_columns(&input.schema, clause, scope)?;
        let row_schema: Schema =
            input.schema.columns().iter().chain(declared.iter().map(|declared| &declared.column)).cloned().collect();
        let mut row = self.row(row_schema.clone(), scope);
        row.steps = step_names(&clause.steps)?;
        let width = input.schema.len();
        let mut steps = Vec::with_capacity(clause.steps.len());
        for step in &clause.steps {
            steps.push(self.scan_step(step, &declared, &mut row)?);
        }
        let mut partition = Vec::with_capacity(clause.partition.len());
        for name in &clause.partition {
            match input.schema.index_of(&name.text) {
                Some(at) => partition.push(at),
                None => partition.push(self.column_index(&name.text, name.span, &row)?),
            }
        }
        if let Some(name) = clause.partition.iter().zip(&partition).find(|(_, at)| **at >= width).map(|(name, _)| name)
        {
            return fail("kql.unknown_column", format!("unknown column '{}'", name.text), name.span);
        }
        let mut columns = row_schema.columns().to_vec();
        if let Some(name) = &clause.match_id {
            if row_schema.index_of(&name.text).is_some() {
                return duplicate(name);
            }
            columns.push(Column::new(&name.text, Type::Long));
        }
        let scan = Scan { partition, declared, match_id: clause.match_id.is_some(), steps };
        let function = Box::new(TableFunction::Scan(Box::new(scan)));
        Ok(Plan::new(Node::Table { function, inputs: vec![input] }, Schema::new(columns), span))
    }

    fn declared_columns(&mut self, input: &Schema, clause: &ScanClause, scope: ScopeId) -> Bind<Vec<ScanColumn>> {
        let mut declared: Vec<ScanColumn> = Vec::with_capacity(clause.declared.len());
        for param in &clause.declared {
            let name = &param.name;
            let taken = declared.iter().any(|declared| declared.column.name == name.text);
            if taken || input.index_of(&name.text).is_some() {
                return duplicate(name);
            }
            let ty = param.ty.unwrap_or(Type::Dynamic);
            let default = match &param.default {
                Some(default) => {
                    let value = self.constant(default, scope)?;
                    match fold::cell(&value, ty) {
                        Some(value) => value,
                        None => return fail("kql.type", format!("the default is not a {ty}"), default.span),
                    }
                }
                None if ty == Type::String => Value::String(String::new()),
                None => Value::Null(ty),
            };
            declared.push(ScanColumn { column: Column::new(&name.text, ty), default });
        }
        Ok(declared)
    }

    fn scan_step(&mut self, step: &ast::ScanStep, declared: &[ScanColumn], row: &mut Row) -> Bind<ScanStep> {
        if let Some(span) = step.optional {
            return unsupported("an optional step of 'scan'", span);
        }
        let output = match step.output.as_ref().map(|output| (output.text.as_str(), output.span)) {
            None | Some(("all", _)) => StepOutput::All,
            Some(("last", _)) => StepOutput::Last,
            Some(("none", _)) => StepOutput::None,
            Some((other, span)) => {
                let hint = Some("it is all, last or none".to_owned());
                return fail_with_hint("kql.syntax", format!("unknown output '{other}' of a step"), span, hint);
            }
        };
        let condition = self.predicate(&step.condition, row)?;
        let mut assignments = Vec::with_capacity(step.assignments.len());
        for (name, value) in &step.assignments {
            let Some(at) = declared.iter().position(|declared| declared.column.name == name.text) else {
                let hint = Some(format!("declare it: scan declare ({}: long) with (...)", name.text));
                let message = format!("a step assigns '{}', which is not declared", name.text);
                return fail_with_hint("kql.unknown_column", message, name.span, hint);
            };
            let value = self.scalar(value, row)?;
            assignments.push((at, assigned(value, declared[at].column.ty)?));
        }
        Ok(ScanStep { name: step.name.text.clone(), output, condition, assignments })
    }
}

/// The value as the type that its column was declared with.
fn assigned(value: Expr, ty: Type) -> Bind<Expr> {
    let fits = value.ty == Type::Dynamic
        || ty == Type::Dynamic
        || common_type(value.ty, ty).is_some()
        || value.as_literal().is_some_and(Value::is_null);
    if fits {
        return Ok(fold::convert(value, ty));
    }
    let hint = Some(format!("convert it with to{ty}()"));
    fail_with_hint("kql.type", format!("a {} is assigned to a column of type {ty}", value.ty), value.span, hint)
}

fn step_names(steps: &[ast::ScanStep]) -> Bind<Vec<String>> {
    let mut names: Vec<String> = Vec::with_capacity(steps.len());
    for step in steps {
        if names.contains(&step.name.text) {
            return fail("kql.duplicate_name", format!("two steps are called '{}'", step.name.text), step.name.span);
        }
        names.push(step.name.text.clone());
    }
    Ok(names)
}

fn duplicate<T>(name: &ast::Name) -> Bind<T> {
    fail("kql.duplicate_column", format!("the column '{}' exists", name.text), name.span)
}
