//! Management commands: `.show tables`, `.create table T (...)`, `.ingest inline into table T <| ...`.

use kyma_core::Column;
use kyma_core::error::Span;
use kyma_core::limits::QUERY_TEXT_BYTES_MAX;
use kyma_plan::{Command, Diagnostic, Diagnostics};

use crate::parse::Parser;

type Parsed<T> = Result<T, Box<Diagnostic>>;

/// Reads a command; `None` when the text does not begin with a dot.
pub(crate) fn command(text: &str) -> Option<Result<Command, Diagnostics>> {
    let start = skip_comments(text);
    if !text[start..].starts_with('.') {
        return None;
    }
    if text.len() > QUERY_TEXT_BYTES_MAX && !text[start..].starts_with(".ingest") {
        let message = format!("the command is longer than the limit: limit={QUERY_TEXT_BYTES_MAX}");
        return Some(Err(Diagnostic::error("kql.too_long", message, Span::default()).into()));
    }
    // Inline data is not tokens.
    let (head, data) = match text.find("<|") {
        Some(at) => (&text[..at], Some(&text[at + 2..])),
        None => (text, None),
    };
    let mut parser = Parser::new(head);
    Some(read(&mut parser, data).map_err(|error| Diagnostics(vec![*error])))
}

fn skip_comments(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = text[at..].trim_start();
        at = text.len() - rest.len();
        if !rest.starts_with("//") {
            return at;
        }
        at += rest.find('\n').unwrap_or(rest.len());
    }
}

fn read(parser: &mut Parser<'_>, data: Option<&str>) -> Parsed<Command> {
    parser.expect(".")?;
    let command = if parser.eat_word("show") {
        show(parser)?
    } else if parser.eat_word("create") {
        create(parser)?
    } else if parser.eat_word("alter") {
        alter(parser)?
    } else if parser.eat_word("drop") {
        parser.expect_word("table")?;
        let table = parser.name()?.text;
        Command::DropTable { table, if_exists: parser.eat_word("ifexists") }
    } else if parser.eat_word("ingest") {
        ingest(parser, data)?
    } else {
        return unknown(parser);
    };
    // Options that do not change the meaning, and the pipeline that some clients append.
    if parser.at_end() || parser.is_punct("|") || parser.is_word("with") || parser.is_punct(";") {
        return Ok(command);
    }
    unknown(parser)
}

fn unknown<T>(parser: &Parser<'_>) -> Parsed<T> {
    let message = "the command is not supported";
    let hint = "known: .show tables|databases|extents|version|cluster|database schema, .show table T \
                details|schema as json|cslschema|extents, .create table, .create-merge table, .alter table T policy format, .drop table, .ingest inline";
    Err(Box::new(Diagnostic::error("kql.unknown_command", message, parser.span()).hint(hint)))
}

fn show(parser: &mut Parser<'_>) -> Parsed<Command> {
    if parser.eat_word("version") {
        return Ok(Command::ShowVersion);
    }
    if parser.eat_word("cluster") {
        if parser.eat_word("extents") {
            return Ok(Command::ShowExtents { table: None });
        }
        return Ok(Command::ShowCluster);
    }
    if parser.eat_word("databases") {
        return Ok(Command::ShowDatabases);
    }
    if parser.eat_word("extents") {
        return Ok(Command::ShowExtents { table: None });
    }
    if parser.eat_word("tables") {
        return Ok(if parser.eat_word("details") {
            Command::ShowTableDetails { table: None }
        } else {
            Command::ShowTables
        });
    }
    if parser.eat_word("database") {
        if !parser.is_word("schema") && !parser.is_word("extents") {
            parser.name()?;
        }
        if parser.eat_word("extents") {
            return Ok(Command::ShowExtents { table: None });
        }
        parser.expect_word("schema")?;
        if parser.eat_word("as") {
            parser.expect_word("json")?;
        }
        return Ok(Command::ShowDatabaseSchema);
    }
    parser.expect_word("table")?;
    let table = parser.name()?.text;
    if parser.eat_word("details") {
        return Ok(Command::ShowTableDetails { table: Some(table) });
    }
    if parser.eat_word("extents") {
        return Ok(Command::ShowExtents { table: Some(table) });
    }
    if parser.eat_word("patterns") {
        return Ok(Command::ShowTablePatterns { table });
    }
    if parser.eat_word("cslschema") {
        return Ok(Command::ShowTableCslSchema { table });
    }
    parser.expect_word("schema")?;
    parser.expect_word("as")?;
    if parser.eat_word("csl") {
        return Ok(Command::ShowTableCslSchema { table });
    }
    parser.expect_word("json")?;
    Ok(Command::ShowTableSchemaJson { table })
}

fn create(parser: &mut Parser<'_>) -> Parsed<Command> {
    let merge = parser.eat("-");
    if merge {
        parser.expect_word("merge")?;
    }
    parser.expect_word("table")?;
    let table = parser.name()?.text;
    let columns = parser.columns()?;
    let columns = columns.into_iter().filter_map(|param| param.ty.map(|ty| Column::new(param.name.text, ty))).collect();
    Ok(Command::CreateTable { table, columns, merge })
}

fn alter(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.expect_word("table")?;
    let table = parser.name()?.text;
    parser.expect_word("policy")?;
    parser.expect_word("format")?;
    Ok(Command::AlterTableFormat { table, format: parser.text()? })
}

fn ingest(parser: &mut Parser<'_>, data: Option<&str>) -> Parsed<Command> {
    parser.expect_word("inline")?;
    parser.expect_word("into")?;
    parser.expect_word("table")?;
    let table = parser.name()?.text;
    match data {
        Some(data) => Ok(Command::IngestInline {
            table,
            data: data.trim_start_matches([' ', '\t']).trim_start_matches(['\r', '\n']).to_owned(),
        }),
        None => {
            let message = "the data is missing: .ingest inline into table T <| a,b";
            Err(Box::new(Diagnostic::error("kql.syntax", message, parser.span())))
        }
    }
}
