//! What binding goes on with after an error, so that one text reports every error that does not follow from another.
//!
//! 1. A broken operator gives the columns that are still known and, where others may be missing, a column that stands
//!    for all of them; it flows through later operators like any other. Over such a row a name is not called unknown.
//! 2. A broken item of `extend`, `project` and their like gives its column, whose uses are not reported.
//! 3. What is tried and may fail (`isfuzzy`, `search` over many tables) is tried through [`Binder::attempt`], which
//!    takes back what was reported.
//!
//! None of it is ever part of a plan that is returned: a text with an error has no plan.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::{Diagnostic, Expr, Node, Plan};

use super::operators::Columns;
use super::{Bind, Binder, fail};
use crate::ast::{Name, Operator, OperatorKind};
use crate::limits::ERRORS_MAX;

/// Code of errors that follow from one already reported.
pub(super) const FOLLOWS: &str = "kql.follows";
/// Name of the column that stands for columns that nobody knows.
const UNKNOWN: &str = "$unknown";

pub(super) fn follows<T>(span: Span) -> Bind<T> {
    fail(FOLLOWS, "follows from an earlier error", span)
}

impl Binder<'_> {
    pub(super) fn report(&mut self, error: Diagnostic) {
        self.failed = true;
        if error.code != FOLLOWS && !self.has_enough_errors() && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// Whether no more errors are shown: what follows is not looked into, nor are hints looked for.
    pub(super) fn has_enough_errors(&self) -> bool {
        self.errors.len() >= ERRORS_MAX
    }

    /// Whether a row may have columns that are not known because of an error.
    pub(super) fn is_open(&self, schema: &Schema) -> bool {
        self.failed && schema.index_of(UNKNOWN).is_some()
    }

    /// Whether a column exists but its value is an error.
    pub(super) fn is_poisoned(&self, name: &str) -> bool {
        self.failed && self.poisoned.contains(name)
    }

    /// Whether the first column of a table is not known because of an error.
    pub(super) fn is_first_unknown(&self, schema: &Schema) -> bool {
        self.is_open(schema) || schema.columns().first().is_some_and(|first| self.is_poisoned(&first.name))
    }

    /// Rows of an unknown table.
    pub(super) fn open_table(&self, span: Span) -> Plan {
        Plan::new(Node::Unit, Schema::from([(UNKNOWN, Type::Dynamic)]), span)
    }

    /// The table, or an unknown one after an error that is reported.
    pub(super) fn table_or_open(&mut self, table: Bind<Plan>, span: Span) -> Bind<Plan> {
        match table {
            Err(error) if !is_limit(&error) => {
                self.report(*error);
                Ok(self.open_table(span))
            }
            other => other,
        }
    }

    /// What a broken operator gives over `input`.
    pub(super) fn after_error(&mut self, input: Schema, operator: &Operator, error: Diagnostic) -> Plan {
        self.report(error);
        let schema = match &operator.kind {
            OperatorKind::Where(_)
            | OperatorKind::Sort(_)
            | OperatorKind::Top { .. }
            | OperatorKind::Take(_)
            | OperatorKind::Sample(_)
            | OperatorKind::ProjectAway(_)
            | OperatorKind::ProjectReorder(_)
            | OperatorKind::Render { .. } => input,
            _ => opened(&input),
        };
        Plan::new(Node::Unit, schema, operator.span)
    }

    /// The value of the column `name`, or a null in its place after an error that is reported.
    pub(super) fn value_or_poison(&mut self, value: Bind<Expr>, name: &str, span: Span) -> Bind<Expr> {
        match value {
            Err(error) if !is_limit(&error) => {
                self.meant.extend(error.hint.as_deref().and_then(meant_by));
                self.report(*error);
                self.poisoned.insert(name.to_owned());
                Ok(Expr::literal(Value::Null(Type::Dynamic), span))
            }
            other => other,
        }
    }

    /// Columns that were meant by unknown names since this was last asked: later operators name them rightly.
    pub(super) fn meant_columns(&mut self, span: Span) -> Columns {
        let meant = std::mem::take(&mut self.meant);
        self.poisoned.extend(meant.iter().cloned());
        meant.into_iter().map(|name| (name, Expr::literal(Value::Null(Type::Dynamic), span))).collect()
    }

    /// As [`Binder::value_or_poison`], of several columns.
    pub(super) fn value_or_poisons(&mut self, value: Bind<Expr>, names: &[Name], span: Span) -> Bind<Expr> {
        if value.is_err() {
            self.poisoned.extend(names.iter().map(|name| name.text.clone()));
        }
        self.value_or_poison(value, "", span)
    }

    /// Binds every item; errors but the last are reported, that one is returned.
    pub(super) fn every<I, T>(
        &mut self,
        items: impl IntoIterator<Item = I>,
        mut bind: impl FnMut(&mut Self, I) -> Bind<T>,
    ) -> Bind<Vec<T>> {
        let mut bound = Vec::new();
        let mut last = None;
        for item in items {
            match bind(self, item) {
                Ok(value) => bound.push(value),
                Err(error) if is_limit(&error) => return Err(error),
                Err(error) => {
                    if let Some(before) = last.replace(error) {
                        self.report(*before);
                    }
                }
            }
        }
        last.map_or(Ok(bound), Err)
    }

    /// Binds what may fail: its errors are returned, not reported.
    pub(super) fn attempt<T>(&mut self, bind: impl FnOnce(&mut Self) -> Bind<T>) -> Result<T, Vec<Diagnostic>> {
        let (before, failed) = (self.errors.len(), self.failed);
        let bound = bind(self);
        let mut errors = self.errors.split_off(before);
        self.failed = failed;
        match bound {
            Ok(value) if errors.is_empty() => Ok(value),
            Ok(_) => Err(errors),
            Err(error) => {
                errors.push(*error);
                Err(errors)
            }
        }
    }

    /// Errors of an attempt after all: reported but for the last.
    pub(super) fn give_up<T>(&mut self, mut errors: Vec<Diagnostic>, span: Span) -> Bind<T> {
        let last = errors.pop();
        errors.into_iter().for_each(|error| self.report(error));
        match last {
            Some(error) => Err(Box::new(error)),
            None => follows(span),
        }
    }
}

/// The name in `did you mean 'name'?`.
fn meant_by(hint: &str) -> Option<String> {
    let name = hint.strip_prefix("did you mean '")?.strip_suffix("'?")?;
    Some(name.to_owned())
}

/// Errors after which going on could take too long.
pub(super) fn is_limit(error: &Diagnostic) -> bool {
    matches!(error.code.as_str(), "kql.too_long" | "kql.too_deep")
}

fn opened(schema: &Schema) -> Schema {
    let mut columns = schema.columns().to_vec();
    if schema.index_of(UNKNOWN).is_none() {
        columns.push(Column::new(UNKNOWN, Type::Dynamic));
    }
    Schema::new(columns)
}
