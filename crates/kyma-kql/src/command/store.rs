//! Commands that store rows: inline, or of a query. And those that delete rows, and stop a query.

use kyma_plan::{Command, Diagnostic, StoreMode};

use super::{Parsed, define, texts_of};
use crate::ast::{ExprKind, OperatorKind, StatementKind};
use crate::parse::Parser;

/// `.set-or-append [async] T [with (...)] <| query`
pub(super) fn store(parser: &mut Parser<'_>, verb: &str, data: Option<&str>) -> Parsed<Command> {
    let mode = match verb {
        "set" => StoreMode::Set,
        "append" => StoreMode::Append,
        "set-or-replace" => StoreMode::SetOrReplace,
        _ => StoreMode::SetOrAppend,
    };
    let is_async = parser.eat_word("async");
    parser.eat_word("table");
    let table = parser.name()?.text;
    let texts = texts_of(&parser.with_properties()?);
    let query = data.map(str::trim).filter(|query| !query.is_empty());
    let Some(query) = query else { return missing(parser, &format!("the query is missing: .{verb} T <| query")) };
    Ok(Command::Store { table, mode, is_async, texts, query: query.to_owned() })
}

/// `.ingest inline into table T <| csv`
pub(super) fn ingest(parser: &mut Parser<'_>, data: Option<&str>) -> Parsed<Option<Command>> {
    parser.expect_word("inline")?;
    parser.expect_word("into")?;
    parser.expect_word("table")?;
    let table = parser.name()?.text;
    let Some(data) = data else { return missing(parser, "the data is missing: .ingest inline into table T <| a,b") };
    let data = data.trim_start_matches([' ', '\t']).trim_start_matches(['\r', '\n']).to_owned();
    Ok(Some(Command::IngestInline { table, data }))
}

/// `.delete [async] table T records <| T | where ...`, and policies.
pub(super) fn delete(parser: &mut Parser<'_>, data: Option<&str>) -> Parsed<Option<Command>> {
    let is_async = parser.eat_word("async");
    let Some(noun) = parser.eat_hyphenated(&["table", "database", "cluster"]) else { return Ok(None) };
    let Some(query) = data else { return define::delete_policy(parser, noun) };
    let table = parser.name()?.text;
    parser.expect_word("records")?;
    let properties = parser.with_properties()?;
    // A property that is not understood may say that nothing is to be deleted.
    if let Some((name, value)) = properties.iter().find(|(name, value)| name != "whatif" || value != "false") {
        let message = format!("a deletion does not know this property: {name}={value}");
        let refused = Diagnostic::error("kql.delete_property", message, parser.span());
        return Err(Box::new(refused.hint("count the rows before: T | where ... | count")));
    }
    let query = what_goes(&table, query).ok_or_else(|| {
        let message = "the rows to delete must be said by 'where' alone";
        Diagnostic::error("kql.delete_predicate", message, parser.span())
            .hint(".delete table T records <| T | where a == 1")
    })?;
    Ok(Some(Command::DeleteRecords { table, is_async, query }))
}

/// `query` with each condition in brackets, so that more can be piped. `None` unless it is the table and nothing but `where`.
fn what_goes(table: &str, query: &str) -> Option<String> {
    let (statements, errors) = crate::parse::parse(query);
    let ([statement], true) = (statements.as_slice(), errors.is_empty()) else { return None };
    let StatementKind::Query(expr) = &statement.kind else { return None };
    let ExprKind::Pipeline(pipeline) = &expr.kind else { return None };
    let is_table = matches!(&pipeline.source.kind, ExprKind::Name(name) if name == table);
    let condition = |operator: &crate::ast::Operator| match &operator.kind {
        OperatorKind::Where(condition) => {
            query.get(condition.span.start..condition.span.end).map(|text| format!("\n| where ({text}\n)"))
        }
        _ => None,
    };
    let conditions = pipeline.operators.iter().map(condition).collect::<Option<Vec<_>>>()?;
    (is_table && !conditions.is_empty()).then(|| format!("['{}']{}", quoted(table), conditions.concat()))
}

/// A name between single quotes.
fn quoted(name: &str) -> String {
    name.replace('\\', "\\\\").replace('\'', "\\'")
}

/// `.retry task 7`
pub(super) fn retry(parser: &mut Parser<'_>) -> Parsed<Option<Command>> {
    parser.expect_word("task")?;
    Ok(Some(Command::RetryTask { id: parser.raw_word()?.to_owned() }))
}

/// `.cancel query "id"`
pub(super) fn cancel(parser: &mut Parser<'_>) -> Parsed<Option<Command>> {
    parser.expect_word("query")?;
    Ok(Some(Command::CancelQuery { id: parser.text()? }))
}

fn missing<T>(parser: &Parser<'_>, message: &str) -> Parsed<T> {
    Err(Box::new(Diagnostic::error("kql.syntax", message, parser.span())))
}
