//! Operators that end a query with several results, or that say what rows there must be: `facet`, `assert-schema`, `reduce`.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::table::{Reduce, TableFunction};
use kyma_plan::{Node, Plan, Statement as PlanStatement};

use super::naming::name_of;
use super::{Bind, Binder, ScopeId, fail, fail_with_hint, fold};
use crate::ast::{self, ExprKind, Param, Settings};

/// Share of the rows that a pattern of `reduce` stands for, unless asked otherwise.
const REDUCE_THRESHOLD: f64 = 0.1;

impl Binder<'_> {
    /// A table of counts per column, then the rows of the pipeline after `with`.
    pub(super) fn facet(
        &mut self,
        input: Plan,
        columns: &[ast::Expr],
        with: Option<&[ast::Operator]>,
        scope: &mut ScopeId,
        span: Span,
    ) -> Bind<Vec<PlanStatement>> {
        let shared = self.materialize(input);
        let mut results = Vec::new();
        for column in columns {
            self.count_plan(&shared)?;
            let mut row = self.row(shared.schema.clone(), *scope);
            let key = self.scalar(column, &mut row)?;
            let name = name_of(column, &shared.schema).unwrap_or_else(|| "Column1".to_owned());
            let count = self.aggregate_of("count", Vec::new(), span)?;
            let schema =
                Schema::new(vec![Column::new(&name, key.ty), Column::new(format!("count_{name}"), Type::Long)]);
            let node = Node::Aggregate { input: Box::new(shared.clone()), keys: vec![key], aggregates: vec![count] };
            results.push(PlanStatement { name: None, plan: Plan::new(node, schema, span), visualization: None });
        }
        if let Some(operators) = with {
            self.count_plan(&shared)?;
            self.visualization = None;
            let plan = self.pipeline_from(shared, operators, scope)?;
            results.push(PlanStatement { name: None, plan, visualization: self.visualization.take() });
        }
        Ok(results)
    }

    /// The rows as they are, if their columns are those that were written down.
    pub(super) fn assert_schema(&self, input: Plan, params: &[Param], span: Span) -> Bind<Plan> {
        let wanted: Schema =
            params.iter().map(|param| Column::new(&param.name.text, param.ty.unwrap_or(Type::Dynamic))).collect();
        let same = wanted.len() == input.schema.len()
            && wanted.columns().iter().zip(input.schema.columns()).all(|(a, b)| a.name == b.name && a.ty == b.ty);
        if same {
            return Ok(input);
        }
        let columns = |schema: &Schema| {
            let columns = schema.columns().iter().map(|column| format!("{}: {}", column.name, column.ty));
            columns.collect::<Vec<_>>().join(", ")
        };
        let hint = Some(format!("the columns here are ({})", columns(&input.schema)));
        fail_with_hint("kql.schema", format!("the columns are not ({})", columns(&wanted)), span, hint)
    }

    /// `reduce by`: patterns of texts, with how many rows each stands for and one of them.
    pub(super) fn reduce(
        &mut self,
        input: Plan,
        text: &ast::Expr,
        settings: &Settings,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let mut reduce = Reduce { threshold: REDUCE_THRESHOLD, characters: String::new() };
        for (name, value) in settings {
            match name.text.as_str() {
                "threshold" => reduce.threshold = self.threshold(value, scope)?,
                "characters" => match self.constant(value, scope)? {
                    Value::String(characters) => reduce.characters = characters,
                    _ => return fail("kql.type", "the characters are a string", value.span),
                },
                "kind" => {}
                other => {
                    let hint = Some("reduce knows threshold and characters".to_owned());
                    return fail_with_hint("kql.syntax", format!("unknown setting '{other}'"), name.span, hint);
                }
            }
        }
        let mut row = self.row(input.schema.clone(), scope);
        let text = fold::convert(self.scalar(text, &mut row)?, Type::String);
        let texts = Plan::project(input, vec![("text".to_owned(), text)], span);
        let schema = Schema::from([("Pattern", Type::String), ("Count", Type::Long), ("Representative", Type::String)]);
        let function = Box::new(TableFunction::Reduce(reduce));
        Ok(Plan::new(Node::Table { function, inputs: vec![texts] }, schema, span))
    }

    fn threshold(&mut self, value: &ast::Expr, scope: ScopeId) -> Bind<f64> {
        let threshold = match self.constant(value, scope)? {
            Value::Real(share) => share,
            Value::Long(share) => share as f64,
            Value::Int(share) => f64::from(share),
            _ => f64::NAN,
        };
        if (0.0..=1.0).contains(&threshold) {
            return Ok(threshold);
        }
        fail("kql.type", "the threshold is a number between 0 and 1", value.span)
    }

    /// `macro-expand`: the body once per database of the group, all rows together.
    pub(super) fn macro_expand(
        &mut self,
        settings: &Settings,
        group: &ast::Expr,
        name: &ast::Name,
        body: &[ast::Statement],
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let members = match &group.kind {
            ExprKind::EntityGroup(members) => members.clone(),
            ExprKind::Name(known) => match self.lookup(known, scope) {
                Some(super::Binding::Group(members)) => members.as_ref().clone(),
                _ => return fail("kql.unknown_name", format!("unknown entity group '{known}'"), group.span),
            },
            _ => return fail("kql.syntax", "expected an entity group", group.span),
        };
        let fuzzy = settings.iter().any(|(setting, value)| {
            setting.text.eq_ignore_ascii_case("isfuzzy")
                && matches!(&value.kind, ExprKind::Name(word) if word.eq_ignore_ascii_case("true"))
        });
        let mut plans = Vec::new();
        for member in members {
            self.entities.push((name.text.clone(), member));
            let plan = self.expanded(body, scope, span);
            self.entities.pop();
            match plan {
                Ok(plan) => plans.push((String::new(), plan)),
                Err(error) if fuzzy && error.code.starts_with("kql.unknown_") => {
                    self.warnings.push(kyma_plan::Diagnostic { severity: kyma_plan::Severity::Warning, ..*error });
                }
                Err(error) => return Err(error),
            }
        }
        if plans.is_empty() {
            return fail("kql.unknown_table", "macro-expand has no table", span);
        }
        Ok(super::sources::united(plans, None, false, span))
    }

    fn expanded(&mut self, body: &[ast::Statement], scope: ScopeId, span: Span) -> Bind<Plan> {
        let mut scope = scope;
        let Some((last, before)) = body.split_last() else {
            return fail("kql.syntax", "macro-expand needs a query", span);
        };
        for statement in before {
            self.declaration(&statement.kind, statement.span, &mut scope)?;
        }
        match &last.kind {
            ast::StatementKind::Query(expr) => self.table(expr, scope),
            _ => fail("kql.syntax", "macro-expand needs a query", last.span),
        }
    }

    /// What the name of a `macro-expand` stands for.
    pub(super) fn entity(&self, name: &str) -> Option<&ast::Expr> {
        self.entities.iter().rev().find(|(known, _)| known == name).map(|(_, entity)| entity)
    }
}
