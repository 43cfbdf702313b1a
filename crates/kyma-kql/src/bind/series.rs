//! `make-series`.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::{AggregateCall, Expr, Node, Plan};

use super::naming::Names;
use super::operators::explicit;
use super::{Bind, Binder, Row, ScopeId, fail, fold};
use crate::ast::{self, Arg, ExprKind, SeriesItem};

impl Binder<'_> {
    #[allow(clippy::too_many_arguments)] // The parts of one operator.
    pub(super) fn make_series(
        &mut self,
        input: Plan,
        items: &[SeriesItem],
        axis: &Arg,
        from: Option<&ast::Expr>,
        to: Option<&ast::Expr>,
        step: &ast::Expr,
        by: &[Arg],
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let item_names = items.iter().flat_map(|item| item.arg.names.iter().map(|name| name.text.as_str()));
        let mut names =
            Names::declaring(explicit(by).chain(item_names).chain(axis.names.iter().map(|n| n.text.as_str())));
        let mut row = self.row(input.schema.clone(), scope);
        let keys = self.keys(by, &mut names, &mut row)?;
        let mut columns: Vec<Column> = keys.iter().map(|(name, key)| Column::new(name, key.ty)).collect();
        let mut aggregates = Vec::new();
        for item in items {
            let call = self.bare_aggregate(&item.arg.value, &mut row)?;
            let empty = self.empty_value(item, &call, scope)?;
            let name = names.of(item.arg.names.first(), &item.arg.value, &input.schema);
            columns.push(Column::new(name, Type::Dynamic));
            aggregates.push((call, empty));
        }
        let axis_name = names.of(axis.names.first(), &axis.value, &input.schema);
        columns.push(Column::new(axis_name, Type::Dynamic));
        let axis = self.scalar(&axis.value, &mut row)?;
        let mut constants = self.constant_row(scope);
        let mut bound = |binder: &mut Self, expr: Option<&ast::Expr>| -> Bind<Option<Expr>> {
            let Some(expr) = expr else { return Ok(None) };
            let bound = binder.scalar(expr, &mut constants)?;
            Ok(Some(fold::convert(bound, axis.ty)))
        };
        let (from, to) = (bound(self, from)?, bound(self, to)?);
        let mut constants = self.constant_row(scope);
        let step = self.scalar(step, &mut constants)?;
        let step = match axis.ty {
            Type::Datetime | Type::Timespan => fold::convert(step, Type::Timespan),
            ty => fold::convert(step, ty),
        };
        let keys = keys.into_iter().map(|(_, key)| key).collect();
        let node = Node::MakeSeries { input: Box::new(input), keys, aggregates, axis, from, to, step };
        Ok(Plan::new(node, Schema::new(columns), span))
    }

    /// A call of an aggregate and nothing around it.
    pub(super) fn bare_aggregate(&mut self, expr: &ast::Expr, row: &mut Row) -> Bind<AggregateCall> {
        match &expr.kind {
            ExprKind::Call(call) => {
                let bound = self.aggregate_call(&call.name.text, call, expr.span, row)?;
                Ok(AggregateCall { types: vec![bound.types[0]], ..bound })
            }
            _ => fail("kql.aggregate", "expected an aggregate", expr.span),
        }
    }

    fn empty_value(&mut self, item: &SeriesItem, call: &AggregateCall, scope: ScopeId) -> Bind<Value> {
        let ty = call.types[0];
        let given = match &item.default {
            Some(default) => self.constant(default, scope)?,
            None => Value::Long(0),
        };
        Ok(fold::cell(&given, ty).unwrap_or(match (ty, given) {
            (Type::Timespan, _) => Value::Timespan(0),
            (ty, _) => Value::Null(ty),
        }))
    }
}
