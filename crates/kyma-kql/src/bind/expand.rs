//! `mv-expand`, `mv-apply`, `partition`, `parse`, `parse-kv`.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::node::{MvExpandColumn, ParseMode, ParsePart};
use kyma_plan::{ExprKind, Node, Plan};

use super::naming::{Names, name_of};
use super::operators::{Columns, add_columns, all_columns, keep_columns};
use super::{Bind, Binder, ScopeId, fail, fold};
use crate::ast::{self, Expand, PatternPart, Settings};

/// An input with the columns to expand in it.
struct Expandable {
    plan: Plan,
    columns: Vec<MvExpandColumn>,
    item_index: Option<String>,
    /// The schema after expanding.
    schema: Schema,
}

impl Binder<'_> {
    pub(super) fn mv_expand(&mut self, input: Plan, expand: &Expand, scope: ScopeId, span: Span) -> Bind<Plan> {
        let ready = self.expandable(input, expand, scope, span)?;
        let node = Node::MvExpand {
            input: Box::new(ready.plan),
            columns: ready.columns,
            item_index: ready.item_index,
            bags_as_arrays: expand.bags_as_arrays,
            row_limit: expand.limit,
        };
        Ok(Plan::new(node, ready.schema, span))
    }

    pub(super) fn mv_apply(
        &mut self,
        input: Plan,
        expand: &Expand,
        body: &[ast::Operator],
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let ready = self.expandable(input, expand, scope, span)?;
        let input_columns = ready.plan.schema.clone();
        let mut names = scope;
        let leaf = Plan::new(Node::Input, ready.schema.clone(), span);
        let body = self.pipeline_from(leaf, body, &mut names)?;
        let expanded: Vec<usize> = ready.columns.iter().map(|column| column.index).collect();
        // What the body passes on is not repeated.
        let keep: Vec<usize> = (0..ready.plan.schema.len())
            .filter(|at| !expanded.contains(at))
            .filter(|at| body.schema.index_of(&ready.plan.schema.columns()[*at].name).is_none())
            .collect();
        let kept = keep.iter().map(|at| ready.plan.schema.columns()[*at].clone());
        let schema: Schema = kept.chain(body.schema.columns().iter().cloned()).collect();
        let node = Node::MvApply {
            input: Box::new(ready.plan),
            columns: ready.columns,
            item_index: ready.item_index,
            row_limit: expand.limit,
            body: Box::new(body),
            keep,
        };
        let order = in_order_of(&input_columns, &schema);
        Ok(keep_columns(Plan::new(node, schema, span), &order, span))
    }

    fn expandable(&mut self, input: Plan, expand: &Expand, scope: ScopeId, span: Span) -> Bind<Expandable> {
        let mut row = self.row(input.schema.clone(), scope);
        let mut fresh: Columns = Vec::new();
        let mut targets: Vec<(String, Type)> = Vec::new();
        let taken = input.schema.columns().iter().map(|column| column.name.as_str());
        let mut numbers = Names::taken(taken);
        for item in &expand.items {
            let expr = self.scalar(&item.arg.value, &mut row)?;
            let name = match item.arg.names.first() {
                Some(name) => name.text.clone(),
                None => name_of(&item.arg.value, &input.schema).unwrap_or_else(|| numbers.number()),
            };
            let element = item.ty.unwrap_or(Type::Dynamic);
            let in_place = matches!(&expr.kind, ExprKind::Column(at) if input.schema.columns()[*at].name == name);
            if expr.ty != Type::Dynamic && expr.ty != Type::String {
                let message = format!("mv-expand needs a dynamic, not a {}", expr.ty);
                return fail("kql.type", message, item.arg.value.span);
            }
            if !in_place || expr.ty == Type::String {
                let expr =
                    if expr.ty == Type::String { super::expr::resolved("parse_json", vec![expr], span)? } else { expr };
                fresh.push((name.clone(), expr));
            }
            targets.push((name, element));
        }
        let plan = if fresh.is_empty() { input } else { add_columns(input, fresh, span) };
        let mut columns = Vec::new();
        let mut schema = plan.schema.columns().to_vec();
        for (name, ty) in targets {
            let Some(index) = plan.schema.index_of(&name) else { continue };
            schema[index].ty = ty;
            columns.push(MvExpandColumn { index, ty });
        }
        let mut names = Names::taken(plan.schema.columns().iter().map(|column| column.name.as_str()));
        let item_index = expand.item_index.as_ref().map(|name| names.unique(&name.text));
        schema.extend(item_index.iter().map(|name| Column::new(name, Type::Long)));
        Ok(Expandable { plan, columns, item_index, schema: Schema::new(schema) })
    }

    pub(super) fn partition(
        &mut self,
        input: Plan,
        key: &ast::Expr,
        body: &[ast::Operator],
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let mut row = self.row(input.schema.clone(), scope);
        let key = self.scalar(key, &mut row)?;
        let leaf = Plan::new(Node::Input, input.schema.clone(), span);
        let mut names = scope;
        let body = self.pipeline_from(leaf, body, &mut names)?;
        let schema = body.schema.clone();
        Ok(Plan::new(Node::Partition { input: Box::new(input), key, body: Box::new(body) }, schema, span))
    }

    #[allow(clippy::too_many_arguments)] // The parts of one operator.
    pub(super) fn parse_text(
        &mut self,
        input: Plan,
        text: &ast::Expr,
        kind: &str,
        flags: &str,
        pattern: &[PatternPart],
        only_matching: bool,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let mut row = self.row(input.schema.clone(), scope);
        let text = fold::convert(self.scalar(text, &mut row)?, Type::String);
        let mode = match kind {
            "simple" => ParseMode::Simple,
            "relaxed" => ParseMode::Relaxed,
            "regex" => ParseMode::Regex(flags.to_owned()),
            other => return fail("kql.syntax", format!("unknown kind of parse '{other}'"), span),
        };
        let mut columns = input.schema.columns().to_vec();
        let (mut parts, mut outputs) = (Vec::new(), Vec::new());
        for part in pattern {
            parts.push(match part {
                PatternPart::Skip => ParsePart::Skip,
                PatternPart::Text(text) => ParsePart::Text(text.clone()),
                PatternPart::Column(name, ty) => {
                    outputs.push(place_of(&mut columns, &name.text, *ty));
                    ParsePart::Capture(*ty)
                }
            });
        }
        let node = Node::Parse { input: Box::new(input), text, pattern: parts, mode, only_matching, outputs };
        Ok(Plan::new(node, Schema::new(columns), span))
    }

    pub(super) fn parse_kv(
        &mut self,
        input: Plan,
        text: &ast::Expr,
        columns: &[ast::Param],
        settings: &Settings,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let mut row = self.row(input.schema.clone(), scope);
        let text = fold::convert(self.scalar(text, &mut row)?, Type::String);
        let setting = |name: &str| {
            settings.iter().find(|(setting, _)| setting.text == name).and_then(|(_, value)| match &value.kind {
                ast::ExprKind::Literal(Value::String(text)) | ast::ExprKind::Name(text) => Some(text.clone()),
                ast::ExprKind::Literal(Value::Bool(truth)) => Some(truth.to_string()),
                _ => None,
            })
        };
        if let Some((name, _)) = settings.iter().find(|(setting, _)| setting.text == "regex") {
            return super::unsupported("parse-kv by a regular expression", name.span);
        }
        let keys: Vec<Column> =
            columns.iter().map(|param| Column::new(&param.name.text, param.ty.unwrap_or(Type::String))).collect();
        // A new column takes the place of one of the same name, which the text may still be read from.
        let hidden = |column: &Column| keys.iter().any(|key| key.name == column.name);
        let kept: Vec<usize> = (0..input.schema.len()).filter(|at| !hidden(&input.schema.columns()[*at])).collect();
        let width = input.schema.len();
        let input = if kept.len() < width { renamed(input, &kept, span) } else { input };
        let schema: Schema = input.schema.columns().iter().cloned().chain(keys.iter().cloned()).collect();
        let places: Vec<usize> = kept.iter().copied().chain(width..schema.len()).collect();
        let node = Node::ParseKv {
            input: Box::new(input),
            text,
            keys,
            pair_delimiter: setting("pair_delimiter"),
            kv_delimiter: setting("kv_delimiter"),
            quote: setting("quote"),
            escape: setting("escape"),
            greedy: setting("greedy").is_some_and(|greedy| greedy == "true"),
        };
        let parsed = Plan::new(node, schema, span);
        Ok(if kept.len() < width { keep_columns(parsed, &places, span) } else { parsed })
    }
}

/// The place of a new column: that of an existing one of its name, else at the end.
fn place_of(columns: &mut Vec<Column>, name: &str, ty: Type) -> usize {
    match columns.iter().position(|column| column.name == name) {
        Some(at) => {
            columns[at].ty = ty;
            at
        }
        None => {
            columns.push(Column::new(name, ty));
            columns.len() - 1
        }
    }
}

/// The places of `columns`: those that `first` has in its order, then the others.
fn in_order_of(first: &Schema, columns: &Schema) -> Vec<usize> {
    let mut order: Vec<usize> = first.columns().iter().filter_map(|column| columns.index_of(&column.name)).collect();
    let others: Vec<usize> = (0..columns.len()).filter(|at| !order.contains(at)).collect();
    order.extend(others);
    order
}

/// The same columns, where those that are not kept have names that no query gives.
fn renamed(input: Plan, kept: &[usize], span: Span) -> Plan {
    let mut columns = all_columns(&input.schema, span);
    let gone = (0..columns.len()).filter(|at| !kept.contains(at)).collect::<Vec<_>>();
    gone.into_iter().for_each(|at| columns[at].0 = format!("$hidden{at}"));
    Plan::project(input, columns, span)
}
