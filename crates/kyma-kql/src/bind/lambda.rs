//! Calls of functions that the query defines: the body is bound anew with the arguments as names.

use std::rc::Rc;

use kyma_core::error::Span;
use kyma_core::{Schema, Type};
use kyma_plan::Plan;
use kyma_plan::functions::nearest;

use super::{Bind, Binder, Binding, Bound, Row, ScopeId, fail, fail_with_hint, fold};
use crate::ast::{Arg, Lambda, Param, StatementKind};
use crate::limits::CALL_DEPTH_MAX;

impl Binder<'_> {
    /// Calls `lambda`; `piped` is the table of `| invoke`, its first argument.
    #[allow(clippy::too_many_arguments)] // One call's whole context, used once by three callers.
    pub(super) fn invoke(
        &mut self,
        name: &str,
        lambda: &Rc<Lambda>,
        scope: ScopeId,
        args: &[Arg],
        piped: Option<Plan>,
        span: Span,
        row: &mut Row,
    ) -> Bind<Bound> {
        if self.call_depth >= CALL_DEPTH_MAX {
            let message = format!("calls of '{name}' nest deeper than the limit: limit={CALL_DEPTH_MAX}");
            return fail("kql.too_deep", message, span);
        }
        let inner = self.bind_arguments(name, lambda, scope, args, piped, span, row)?;
        self.call_depth += 1;
        let result = self.body(lambda, inner, span, row);
        self.call_depth -= 1;
        result
    }

    #[allow(clippy::too_many_arguments)] // As `invoke`.
    pub(super) fn bind_arguments(
        &mut self,
        name: &str,
        lambda: &Lambda,
        scope: ScopeId,
        args: &[Arg],
        piped: Option<Plan>,
        span: Span,
        row: &mut Row,
    ) -> Bind<ScopeId> {
        let mut inner = scope;
        let mut piped = piped;
        let mut positional = args.iter().filter(|arg| arg.names.is_empty());
        for param in &lambda.params {
            let binding = if let Some(plan) = piped.take() {
                Binding::Table { plan, label: None }
            } else {
                let named = args.iter().find(|arg| arg.names.first().is_some_and(|name| name.text == param.name.text));
                match (named.or_else(|| positional.next()), &param.default) {
                    (Some(arg), _) => self.argument(param, &arg.value, row)?,
                    (None, Some(default)) => {
                        let mut constants = self.row(Schema::default(), scope);
                        self.argument(param, default, &mut constants)?
                    }
                    (None, None) => {
                        let message = format!("{name}() needs the argument '{}'", param.name.text);
                        return fail("kql.arguments", message, span);
                    }
                }
            };
            inner = self.declare(&param.name.text, binding, inner);
        }
        let known = |name: &str| lambda.params.iter().any(|param| param.name.text == name);
        if let Some(unknown) = args.iter().filter_map(|arg| arg.names.first()).find(|given| !known(&given.text)) {
            let names = lambda.params.iter().map(|param| param.name.text.as_str());
            let hint = nearest(&unknown.text, names).map(|near| format!("did you mean '{near}'?"));
            let message = format!("{name}() has no parameter '{}'", unknown.text);
            return fail_with_hint("kql.unknown_parameter", message, unknown.span, hint);
        }
        match positional.next() {
            Some(extra) => fail("kql.arguments", format!("{name}() has too many arguments"), extra.value.span),
            None => Ok(inner),
        }
    }

    fn argument(&mut self, param: &Param, value: &crate::ast::Expr, row: &mut Row) -> Bind<Binding> {
        let Some(ty) = param.ty else {
            return self.table(value, row.scope).map(|plan| Binding::Table { plan, label: None });
        };
        // Inside 'summarize' an argument is bound like any expression there.
        let expr = self.scalar(value, row)?;
        super::check_height(&expr)?;
        if compatible(expr.ty, ty) {
            return Ok(Binding::Scalar { expr: fold::convert(expr, ty), row: row.id });
        }
        let message = format!("the argument '{}' is converted from {} to {ty}", param.name.text, expr.ty);
        self.warn("kql.converted_argument", message, value.span);
        let expr = fold::convert(fold::convert(expr, Type::String), ty);
        Ok(Binding::Scalar { expr, row: row.id })
    }

    pub(super) fn body(&mut self, lambda: &Lambda, scope: ScopeId, span: Span, row: &mut Row) -> Bind<Bound> {
        let Some((last, before)) = lambda.body.split_last() else {
            return fail("kql.syntax", "the function has no result", span);
        };
        let mut scope = scope;
        for statement in before {
            self.local(&statement.kind, statement.span, &mut scope, row)?;
        }
        let StatementKind::Query(expr) = &last.kind else {
            return fail("kql.syntax", "the function has no result", last.span);
        };
        Ok(match self.within(scope, row, |binder, inner| binder.value(expr, inner))? {
            Bound::Scalar(expr) => Bound::Scalar(kyma_plan::Expr { span, ..expr }),
            table => table,
        })
    }

    /// Binds in a function's scope, where columns have no names; the caller's row is there through the arguments.
    fn within<T>(
        &mut self,
        scope: ScopeId,
        row: &mut Row,
        bind: impl FnOnce(&mut Self, &mut Row) -> Bind<T>,
    ) -> Bind<T> {
        let mut inner = Row {
            schema: Schema::default(),
            width: row.width,
            id: row.id,
            scope,
            side: None,
            steps: Vec::new(),
            aggregates: None,
            windows: row.windows.take(),
            graph: None,
        };
        let bound = bind(self, &mut inner);
        row.windows = inner.windows;
        bound
    }

    /// A `let` inside a function may use the row through the arguments.
    fn local(&mut self, kind: &StatementKind, span: Span, scope: &mut ScopeId, row: &mut Row) -> Bind<()> {
        let StatementKind::Let(name, value) = kind else { return self.declaration(kind, span, scope) };
        if matches!(value.kind, crate::ast::ExprKind::Lambda(_)) {
            return self.declaration(kind, span, scope);
        }
        if self.gives_graph(value, *scope) {
            let binding = self.graph_binding(value, *scope)?;
            *scope = self.declare(&name.text, binding, *scope);
            return Ok(());
        }
        let binding = match self.within(*scope, row, |binder, inner| binder.value(value, inner))? {
            Bound::Scalar(expr) => {
                super::check_height(&expr)?;
                Binding::Scalar { expr, row: row.id }
            }
            Bound::Table(plan) => Binding::Table { plan, label: None },
        };
        *scope = self.declare(&name.text, binding, *scope);
        Ok(())
    }
}

fn compatible(given: Type, wanted: Type) -> bool {
    given == wanted
        || given == Type::Dynamic
        || wanted == Type::Dynamic
        || wanted == Type::String
        || given == Type::String
        || (given.is_numeric() && wanted.is_numeric())
}
