//! KQL: text to AST to typed plan, with diagnostics that carry places and hints.
//!
//! Start with [`Kql`]. A text goes through `lex` (tokens), `parse` (syntax tree), `bind` (names, types, plan);
//! management commands (`.show tables`) through `command`. [`reference`] says what there is. Limits are in [`limits`].
//!
//! This crate must not know about storage, DataFusion or any clock but the one in the `PlanContext`.

mod ast;
mod bind;
mod command;
mod lex;
pub mod limits;
mod parse;
pub mod reference;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use kyma_core::Value;
use kyma_core::error::Span;
use kyma_core::limits::QUERY_TEXT_BYTES_MAX;
use kyma_plan::{Command, Diagnostic, Diagnostics, Parameter, PlanContext, Planned, QueryFrontend, StoredFunction};

use crate::limits::{PLAN_STACK, PLAN_STACK_MIN};

/// The Kusto query language.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kql;

impl QueryFrontend for Kql {
    fn language(&self) -> &'static str {
        "kql"
    }

    fn plan(&self, text: &str, context: &PlanContext<'_>) -> Result<Planned, Diagnostics> {
        check_length(text)?;
        with_stack(|| {
            let (statements, errors) = parse::parse(text);
            bind::bind(&statements, errors, context)
        })
    }

    fn options(&self, text: &str, context: &PlanContext<'_>) -> BTreeMap<String, Value> {
        if check_length(text).is_err() {
            return BTreeMap::new();
        }
        with_stack(|| bind::options(&parse::parse(text).0, context))
    }

    fn reference(&self) -> serde_json::Value {
        serde_json::to_value(reference::entries()).unwrap_or_default()
    }

    fn check_function(&self, function: &StoredFunction, context: &PlanContext<'_>) -> Result<(), Diagnostics> {
        check_length(&function.body)?;
        with_stack(|| bind::check(function, context))
    }

    fn parameters(&self, function: &StoredFunction) -> Option<Vec<Parameter>> {
        parse::function::signature(&function.parameters).ok().map(parse::function::Signature::into_parameters)
    }

    fn command(&self, text: &str) -> Option<Result<Command, Diagnostics>> {
        command::command(text)
    }
}

/// Copying, comparing and dropping a plan recurses as deep as it is tall: planning gets a stack for the tallest there may be.
fn with_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(PLAN_STACK_MIN, PLAN_STACK, work)
}

fn check_length(text: &str) -> Result<(), Diagnostics> {
    if text.len() <= QUERY_TEXT_BYTES_MAX {
        return Ok(());
    }
    let message =
        format!("the query text is longer than the limit: bytes={}, limit={QUERY_TEXT_BYTES_MAX}", text.len());
    Err(Diagnostic::error("kql.too_long", message, Span::new(0, 0)).into())
}
