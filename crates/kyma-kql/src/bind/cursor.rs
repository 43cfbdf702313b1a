//! Database cursors: `where cursor_after('7')` reads only what was added after the commit 7.
//!
//! A cursor is the sequence number of a commit. It restricts which extents of a table a query sees, so it is part of the
//! scan: it must stand in a `where` over a table, joined with other conditions by `and`. Operators that keep or drop
//! rows one by one may stand between.

use kyma_core::error::Span;
use kyma_core::{Value, ids::Sequence};
use kyma_plan::node::Added;
use kyma_plan::{Node, Plan};

use super::{Bind, Binder, ScopeId, fail, fail_with_hint};
use crate::ast::{self, Call, ExprKind};

/// Functions that compare with a cursor.
pub(super) const CURSOR_TESTS: [&str; 2] = ["cursor_after", "cursor_before_or_at"];

impl Binder<'_> {
    /// Takes the conditions on cursors out of a predicate, and puts them into the scans of `input`. Gives the others.
    pub(super) fn take_cursors<'e>(
        &mut self,
        input: &mut Plan,
        predicate: &'e ast::Expr,
        scope: ScopeId,
    ) -> Bind<Vec<&'e ast::Expr>> {
        let mut rest = Vec::new();
        for part in conjuncts(predicate) {
            let ExprKind::Call(call) = &part.kind else {
                rest.push(part);
                continue;
            };
            if call.base.is_some() || !CURSOR_TESTS.contains(&call.name.text.as_str()) {
                rest.push(part);
                continue;
            }
            let Some(cursor) = self.cursor(call, scope, part.span)? else { continue };
            let restrict = |added: &mut Added| match call.name.text.as_str() {
                "cursor_after" => added.after = Some(added.after.map_or(cursor, |known| known.max(cursor))),
                _ => added.up_to = Some(added.up_to.map_or(cursor, |known| known.min(cursor))),
            };
            if !restrict_scans(input, &restrict) {
                return misplaced(&call.name.text, part.span);
            }
        }
        Ok(rest)
    }

    /// The cursor that a test compares with; the empty one restricts nothing.
    fn cursor(&mut self, call: &Call, scope: ScopeId, span: Span) -> Bind<Option<Sequence>> {
        let [arg] = call.args.as_slice() else {
            return fail("kql.arguments", format!("{}() takes one cursor", call.name.text), span);
        };
        let text = match self.constant(&arg.value, scope)? {
            Value::String(text) => text,
            Value::Long(number) => number.to_string(),
            _ => return fail("kql.type", "a cursor is a string", arg.value.span),
        };
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse() {
            Ok(sequence) => Ok(Some(Sequence(sequence))),
            Err(_) => {
                let hint = Some("take it from current_cursor()".to_owned());
                fail_with_hint("kql.cursor", format!("not a cursor of this database: '{text}'"), arg.value.span, hint)
            }
        }
    }
}

/// A cursor where it cannot reach a scan.
pub(super) fn misplaced<T>(name: &str, span: Span) -> Bind<T> {
    let hint = Some(format!("write it first: T | where {name}('1')"));
    let message = format!("{name}() must be a condition of a 'where' over a table, joined by 'and'");
    fail_with_hint("kql.cursor", message, span, hint)
}

/// The parts that must all hold.
fn conjuncts(expr: &ast::Expr) -> Vec<&ast::Expr> {
    match &expr.kind {
        ExprKind::And(parts) => parts.iter().flat_map(conjuncts).collect(),
        _ => vec![expr],
    }
}

/// Restricts every scan that the rows come from; whether that could be done.
fn restrict_scans(plan: &mut Plan, restrict: &impl Fn(&mut Added)) -> bool {
    match &mut plan.node {
        Node::Scan(scan) => {
            restrict(&mut scan.added);
            true
        }
        Node::Filter { input, .. } | Node::Project { input, .. } | Node::Sort { input, .. } => {
            restrict_scans(input, restrict)
        }
        Node::Union(inputs) => inputs.iter_mut().all(|input| restrict_scans(input, restrict)),
        _ => false,
    }
}
