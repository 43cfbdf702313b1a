//! Calls of stored functions: text of the catalog, bound where it is called.
//!
//! A stored function sees its parameters and what its own database stores, nothing of the caller's `let`. Its text is
//! another one than the query's: what is wrong in it is told at the call, with the function's name.

use std::rc::Rc;

use kyma_core::error::Span;
use kyma_core::{Schema, Type, Value};
use kyma_plan::{Diagnostic, Diagnostics, Expr, Node, Plan, PlanContext, StoredFunction};

use super::{Bind, Binder, Binding, Bound, ROOT, Row, fail, fail_with_hint};
use crate::ast::{Arg, Lambda};
use crate::limits::CALL_DEPTH_MAX;
use crate::parse::function::{Shape, Signature};

/// Stands for the value of a string parameter while a function is checked.
const ANY_TEXT: &str = "a parameter's value";

impl Binder<'_> {
    /// The database that unqualified names are looked up in: the query's, or the called function's.
    pub(super) fn database(&self) -> &str {
        self.calling.last().map_or(self.context.database, |(database, _)| database)
    }

    /// Calls a stored function; `None` when there is none of this name.
    pub(super) fn invoke_stored(
        &mut self,
        name: &str,
        database: Option<&str>,
        args: &[Arg],
        piped: Option<Plan>,
        span: Span,
        row: &mut Row,
    ) -> Bind<Option<Bound>> {
        let place = (database.unwrap_or(self.database()).to_owned(), name.to_owned());
        let Some(function) = self.context.schemas.function(&place.0, name) else { return Ok(None) };
        self.check_access(name, span)?;
        if self.calling.contains(&place) {
            let hint = Some("a function may not call itself, also not by way of others".to_owned());
            return fail_with_hint("kql.recursive_function", format!("'{name}' calls itself"), span, hint);
        }
        if self.calling.len() >= CALL_DEPTH_MAX {
            let message = format!("stored functions nest deeper than the limit: limit={CALL_DEPTH_MAX}");
            return fail("kql.too_deep", message, span);
        }
        let lambda = self.lambda_of(&place, &function, span)?;
        let inner = self.bind_arguments(name, &lambda, ROOT, args, piped, span, row)?;
        self.calling.push(place);
        let (errors, warnings) = (self.errors.len(), self.warnings.len());
        // Who may call it may read what it reads.
        let restricted = self.restricted.take();
        let bound = self.body(&lambda, inner, span, row);
        self.restricted = restricted;
        self.calling.pop();
        for remark in self.errors.iter_mut().skip(errors).chain(self.warnings.iter_mut().skip(warnings)) {
            blame(remark, name, span);
        }
        match bound {
            Ok(Bound::Table(plan)) => Ok(Some(Bound::Table(Plan { span, ..plan }))),
            Ok(scalar) => Ok(Some(scalar)),
            Err(mut error) => {
                blame(&mut error, name, span);
                Err(error)
            }
        }
    }

    /// The parsed text, read once per query.
    fn lambda_of(&mut self, place: &(String, String), function: &StoredFunction, span: Span) -> Bind<Rc<Lambda>> {
        if let Some(known) = self.functions.get(place) {
            return Ok(Rc::clone(known));
        }
        match crate::parse::function::lambda(&function.parameters, &function.body) {
            Ok(lambda) => {
                let lambda = Rc::new(lambda);
                self.functions.insert(place.clone(), Rc::clone(&lambda));
                Ok(lambda)
            }
            Err(errors) => {
                let mut errors = errors.into_iter().map(|mut error| {
                    blame(&mut error, &place.1, span);
                    error
                });
                let first = errors.next();
                errors.for_each(|error| self.report(error));
                Err(Box::new(first.unwrap_or_else(|| Diagnostic::error("kql.syntax", "the function is empty", span))))
            }
        }
    }
}

/// Says which function is wrong, and points at its call.
fn blame(remark: &mut Diagnostic, name: &str, span: Span) {
    remark.message = format!("in the stored function '{name}': {}", remark.message);
    remark.span = span;
}

/// Whether a function can be bound at all: with some value of every parameter.
///
/// What depends on the values is let through: tables named by a parameter, columns of a table of any columns.
pub(crate) fn check(function: &StoredFunction, context: &PlanContext<'_>) -> Result<(), Diagnostics> {
    let lambda = crate::parse::function::lambda(&function.parameters, &function.body).map_err(Diagnostics)?;
    let signature = crate::parse::function::signature(&function.parameters).map_err(Diagnostics)?;
    let mut binder = Binder::new(context, Vec::new());
    binder.calling.push((context.database.to_owned(), function.name.clone()));
    let mut scope = ROOT;
    for (name, shape) in &signature.0 {
        scope = binder.declare(name, any(shape, context.now), scope);
    }
    let mut row = binder.constant_row(scope);
    if let Err(error) = binder.body(&lambda, scope, Span::default(), &mut row) {
        binder.report(*error);
    }
    // What stands after columns that depend on rows cannot be known before a call.
    if binder.question.is_some() {
        return Ok(());
    }
    let is_open = |signature: &Signature| signature.0.iter().any(|(_, shape)| matches!(shape, Shape::AnyTable));
    let depends = |error: &Diagnostic| {
        (error.code == "kql.unknown_table" && error.message.contains(ANY_TEXT))
            || (error.code == "kql.unknown_column" && is_open(&signature))
    };
    binder.errors.retain(|error| !depends(error));
    if binder.errors.is_empty() { Ok(()) } else { Err(Diagnostics(binder.errors)) }
}

/// Some value of a parameter.
fn any(shape: &Shape, now: i64) -> Binding {
    let table = |schema: &Schema| {
        let plan = Plan::new(Node::Values(Vec::new()), schema.clone(), Span::default());
        Binding::Table { plan, label: None }
    };
    match shape {
        Shape::AnyTable => table(&Schema::default()),
        Shape::Table(columns) => table(&Schema::new(columns.clone())),
        Shape::Scalar(ty) => {
            let value = match ty {
                Type::Bool => Value::Bool(true),
                Type::Int => Value::Int(1),
                Type::Long => Value::Long(1),
                Type::Real => Value::Real(1.0),
                Type::Datetime => Value::Datetime(now),
                Type::Timespan => Value::Timespan(kyma_core::time::SECOND),
                Type::String => Value::String(ANY_TEXT.to_owned()),
                Type::Dynamic => Value::Dynamic("[]".to_owned()),
                Type::Decimal | Type::Guid => Value::Null(*ty),
            };
            Binding::Scalar { expr: Expr::literal(value, Span::default()), row: 0 }
        }
    }
}
