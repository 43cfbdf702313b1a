//! SQL: text to a plan that carries the parsed statement.
//!
//! The dialect is the engine's own, so the statement travels as it was parsed and the engine's adapter gives it its
//! meaning over the same tables and functions that KQL sees. What this crate owns is the edge: one statement, only
//! questions (nothing that writes), bounded size and nesting, and errors with their place.
//!
//! Start at [`Sql`]. This crate must not know about tables, the catalog or the engine.

use std::collections::BTreeMap;

use kyma_core::Schema;
use kyma_core::error::Span;
use kyma_core::limits::QUERY_TEXT_BYTES_MAX;
use kyma_plan::{Diagnostic, Diagnostics, Node, Plan, PlanContext, Planned, Query, QueryFrontend, Statement};
use sqlparser::ast::{SetExpr, Statement as Ast};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Location;

/// Deepest nesting of expressions and sub-queries.
pub const DEPTH_MAX: usize = 64;

/// The SQL frontend.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sql;

impl QueryFrontend for Sql {
    fn language(&self) -> &'static str {
        "sql"
    }

    fn plan(&self, text: &str, _context: &PlanContext<'_>) -> Result<Planned, Diagnostics> {
        let whole = Span::new(0, text.len());
        if text.len() > QUERY_TEXT_BYTES_MAX {
            let message = format!("query text is too long: bytes={}, limit={QUERY_TEXT_BYTES_MAX}", text.len());
            return Err(Diagnostic::error("sql.too_long", message, Span::new(0, 0)).into());
        }
        let mut statements = parse(text).map_err(|error| diagnostic(text, &error))?;
        if statements.len() > 1 {
            let hint = "send one statement per request";
            return Err(Diagnostic::error("sql.many_statements", "more than one statement", whole).hint(hint).into());
        }
        let Some(statement) = statements.pop() else {
            return Err(Diagnostic::error("sql.empty", "the query is empty", Span::new(0, 0)).into());
        };
        if !is_question(&statement) {
            let hint = "kyma answers SELECT, WITH, VALUES and EXPLAIN; data comes in through /v1/ingest";
            return Err(Diagnostic::error("sql.not_a_query", "this statement does not ask for rows", whole)
                .hint(hint)
                .into());
        }
        let plan = Plan::new(Node::Sql(Box::new(statement)), Schema::default(), whole);
        let statement = Statement { name: None, plan, visualization: None };
        let query = Query { statements: vec![statement], options: BTreeMap::new(), warnings: Vec::new() };
        Ok(Planned::Query(query))
    }
}

fn parse(text: &str) -> Result<Vec<Ast>, ParserError> {
    let dialect = GenericDialect {};
    Parser::new(&dialect).with_recursion_limit(DEPTH_MAX).try_with_sql(text)?.parse_statements()
}

/// Whether the statement only reads. A query's body may hide a write (`WITH ... INSERT`), so the body is looked at.
fn is_question(statement: &Ast) -> bool {
    match statement {
        Ast::Query(query) => body_reads(&query.body),
        Ast::Explain { statement, .. } => is_question(statement),
        _ => false,
    }
}

fn body_reads(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.into.is_none(),
        SetExpr::Values(_) => true,
        SetExpr::Query(query) => body_reads(&query.body),
        SetExpr::SetOperation { left, right, .. } => body_reads(left) && body_reads(right),
        _ => false,
    }
}

/// The parser puts the place into its message: ` at Line: 1, Column: 15`.
fn diagnostic(text: &str, error: &ParserError) -> Diagnostics {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.clone(),
        ParserError::RecursionLimitExceeded => {
            let message = format!("the query nests too deeply: limit={DEPTH_MAX}");
            return Diagnostic::error("sql.too_deep", message, Span::new(0, 0)).hint("split it with WITH").into();
        }
    };
    let (sentence, place) = match message.rsplit_once(" at Line: ") {
        Some((sentence, place)) => (sentence.to_owned(), location(place)),
        None => (message, None),
    };
    let start = place.map_or(text.len(), |place| offset(text, place));
    let end = text[start..].find(|c: char| c.is_whitespace()).map_or(text.len(), |width| start + width.max(1));
    Diagnostic::error("sql.syntax", lower_first(&sentence), Span::new(start, end.min(text.len()))).into()
}

fn location(place: &str) -> Option<Location> {
    let (line, column) = place.split_once(", Column: ")?;
    Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
}

/// The byte at which a 1-based line and column (in characters) starts, never past the end.
fn offset(text: &str, place: Location) -> usize {
    let line_index = usize::try_from(place.line.saturating_sub(1)).unwrap_or(usize::MAX);
    let column_index = usize::try_from(place.column.saturating_sub(1)).unwrap_or(usize::MAX);
    let line_start = match line_index {
        0 => 0,
        nth => text.match_indices('\n').nth(nth - 1).map_or(text.len(), |(at, _)| at + 1),
    };
    text[line_start..].char_indices().nth(column_index).map_or(text.len(), |(at, _)| line_start + at)
}

fn lower_first(sentence: &str) -> String {
    let mut chars = sentence.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use kyma_plan::{SchemaSource, TableSchema};

    use super::*;

    struct NoTables;

    impl SchemaSource for NoTables {
        fn table(&self, _database: &str, _name: &str) -> Option<TableSchema> {
            None
        }

        fn tables(&self, _database: &str) -> Vec<String> {
            Vec::new()
        }

        fn databases(&self) -> Vec<String> {
            Vec::new()
        }
    }

    fn plan(text: &str) -> Result<Planned, Diagnostics> {
        let parameters = BTreeMap::new();
        let context =
            PlanContext { schemas: &NoTables, database: "default", now: 0, parameters: &parameters, answers: &[] };
        Sql.plan(text, &context)
    }

    fn check(text: &str, code: &str, place: &str) {
        let Diagnostics(found) = plan(text).expect_err(text);
        assert_eq!(found[0].code, code, "{text}");
        assert_eq!(&text[found[0].span.start..found[0].span.end], place, "{text}");
    }

    #[test]
    fn questions_are_carried() {
        for text in [
            "select 1",
            "with a as (select 1 as x) select x from a;",
            "values (1, 2)",
            "explain select 1",
            "select 1 union all select 2",
        ] {
            assert!(plan(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let hint = |text: &str| plan(text).expect_err(text).0[0].code.clone();
        for text in [
            "drop table t",
            "insert into t values (1)",
            "create table t (a int)",
            "with a as (select 1) insert into t select * from a",
            "select 1 into t",
        ] {
            assert_eq!(hint(text), "sql.not_a_query", "{text}");
        }
        assert_eq!(hint(""), "sql.empty");
        assert_eq!(hint("select 1; select 2"), "sql.many_statements");
    }

    #[test]
    fn errors_have_their_place() {
        check("select * form t", "sql.syntax", "form");
        check("select 1\n  from t where\n  ) x", "sql.syntax", ")");
        check("select 'open", "sql.syntax", "'open");
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("select {}1{}", "(".repeat(50_000), ")".repeat(50_000));
        assert_eq!(plan(&deep).expect_err("too deep").0[0].code, "sql.too_deep");
    }
}
