//! Commands that store rows: inline, or of a query. And the one that stops a query.

use kyma_plan::{Command, Diagnostic, StoreMode};

use super::{Parsed, texts_of};
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

/// `.cancel query "id"`
pub(super) fn cancel(parser: &mut Parser<'_>) -> Parsed<Option<Command>> {
    parser.expect_word("query")?;
    Ok(Some(Command::CancelQuery { id: parser.text()? }))
}

fn missing<T>(parser: &Parser<'_>, message: &str) -> Parsed<T> {
    Err(Box::new(Diagnostic::error("kql.syntax", message, parser.span())))
}
