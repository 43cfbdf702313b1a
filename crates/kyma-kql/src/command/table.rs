//! Commands that change tables, and the way to what else can be created and altered.

use kyma_core::Column;
use kyma_plan::{Command, Texts};

use super::{Parsed, column_of_table, define, names, texts_of};
use crate::parse::Parser;

/// `.create`, `.create-or-alter`, `.create-merge`, `.alter`, `.alter-merge`.
pub(super) fn change(parser: &mut Parser<'_>, verb: &'static str) -> Parsed<Option<Command>> {
    let if_not_exists = parser.eat_word("ifnotexists");
    let Some(noun) = parser.eat_hyphenated(&["table", "tables", "column", "function", "database", "cluster"]) else {
        return Ok(None);
    };
    match (verb, noun) {
        ("create" | "create-or-alter" | "alter", "function") => define::function(parser, verb, if_not_exists).map(Some),
        ("create" | "create-merge", "table") => create_table(parser, verb).map(Some),
        ("create" | "create-merge", "tables") => create_tables(parser, verb).map(Some),
        ("create", "database") => {
            let name = parser.name()?.text;
            // Where Kusto's own engines would keep it; the bucket is kyma's.
            if parser.eat_word("persist") {
                parser.bracketed_text()?;
            }
            parser.eat_word("volatile");
            parser.eat_word("ifnotexists");
            Ok(Some(Command::CreateDatabase { name }))
        }
        ("create-or-alter", "table") => {
            let table = parser.name()?.text;
            define::mapping(parser, verb, table).map(Some)
        }
        ("alter" | "alter-merge", "table") => alter_table(parser, verb),
        ("alter" | "alter-merge", "database" | "cluster") => define::alter_policy(parser, verb, noun).map(Some),
        ("alter", "column") => {
            let (table, column) = column_of_table(parser)?;
            parser.expect_word("type")?;
            parser.expect("=")?;
            Ok(Some(Command::AlterColumnType { table, column, ty: parser.ty()? }))
        }
        _ => Ok(None),
    }
}

fn columns(parser: &mut Parser<'_>) -> Parsed<Vec<Column>> {
    let params = parser.columns()?.into_iter();
    Ok(params.filter_map(|param| Some(Column::new(param.name.text, param.ty?))).collect())
}

fn create_table(parser: &mut Parser<'_>, verb: &str) -> Parsed<Command> {
    let table = parser.name()?.text;
    if parser.is_word("ingestion") {
        return define::mapping(parser, verb, table);
    }
    let tables = vec![(table, columns(parser)?)];
    let texts = texts_of(&parser.with_properties()?);
    Ok(Command::CreateTables { tables, merge: verb == "create-merge", texts })
}

fn create_tables(parser: &mut Parser<'_>, verb: &str) -> Parsed<Command> {
    let tables = parser.list(|parser| {
        let table = parser.name()?.text;
        Ok((table, columns(parser)?))
    })?;
    let texts = texts_of(&parser.with_properties()?);
    Ok(Command::CreateTables { tables, merge: verb == "create-merge", texts })
}

fn alter_table(parser: &mut Parser<'_>, verb: &'static str) -> Parsed<Option<Command>> {
    let table = parser.name()?.text;
    let merge = verb == "alter-merge";
    if parser.is_punct("(") {
        let columns = columns(parser)?;
        let texts = texts_of(&parser.with_properties()?);
        return Ok(Some(Command::AlterTable { table, columns, merge, texts }));
    }
    const PARTS: [&str; 5] = ["docstring", "folder", "column-docstrings", "ingestion", "policy"];
    let Some(part) = PARTS.iter().find(|part| parser.hyphenated().is_some_and(|(word, _)| word == **part)) else {
        return Ok(None);
    };
    if *part == "ingestion" {
        return define::mapping(parser, verb, table).map(Some);
    }
    parser.eat_hyphenated(&[part]);
    Ok(Some(match *part {
        "docstring" => {
            Command::AlterTableTexts { table, texts: Texts { docstring: Some(parser.text()?), folder: None } }
        }
        "folder" => Command::AlterTableTexts { table, texts: Texts { folder: Some(parser.text()?), docstring: None } },
        "column-docstrings" => {
            parser.expect("(")?;
            let texts = parser.list_until(")", |parser| {
                let column = parser.name()?.text;
                parser.expect(":")?;
                Ok((column, parser.text()?))
            })?;
            Command::AlterColumnTexts { table, texts, merge }
        }
        _ => return define::table_policy(parser, merge, table).map(Some),
    }))
}

pub(super) fn rename(parser: &mut Parser<'_>) -> Parsed<Option<Command>> {
    let Some(noun) = parser.eat_hyphenated(&["table", "tables", "column", "columns"]) else { return Ok(None) };
    Ok(Some(match noun {
        "table" => {
            let from = parser.name()?.text;
            parser.expect_word("to")?;
            Command::RenameTables { names: vec![(from, parser.name()?.text)] }
        }
        "tables" => {
            let names = parser.list(|parser| {
                let to = parser.name()?.text;
                parser.expect("=")?;
                Ok((parser.name()?.text, to))
            })?;
            Command::RenameTables { names }
        }
        "column" => {
            let (table, from) = column_of_table(parser)?;
            parser.expect_word("to")?;
            Command::RenameColumns { table, names: vec![(from, parser.name()?.text)] }
        }
        _ => {
            let renamed = parser.list(|parser| {
                let to = parser.name()?.text;
                parser.expect("=")?;
                let (table, from) = column_of_table(parser)?;
                Ok((table, from, to))
            })?;
            let table = renamed.first().map(|(table, ..)| table.clone()).unwrap_or_default();
            if renamed.iter().any(|(other, ..)| *other != table) {
                return Err(parser.unexpected("columns of one table"));
            }
            Command::RenameColumns { table, names: renamed.into_iter().map(|(_, from, to)| (from, to)).collect() }
        }
    }))
}

pub(super) fn drop(parser: &mut Parser<'_>) -> Parsed<Option<Command>> {
    const NOUNS: [&str; 7] = ["table", "tables", "column", "function", "functions", "extent", "extents"];
    let Some(noun) = parser.eat_hyphenated(&NOUNS) else { return Ok(None) };
    Ok(Some(match noun {
        "table" => return drop_of_table(parser).map(Some),
        "tables" => {
            let tables = names(parser)?;
            Command::DropTables { tables, if_exists: parser.eat_word("ifexists") }
        }
        "column" => {
            let (table, column) = column_of_table(parser)?;
            Command::DropColumns { table, columns: vec![column] }
        }
        "function" | "functions" => {
            let names = names(parser)?;
            Command::DropFunctions { names, if_exists: parser.eat_word("ifexists") }
        }
        _ => drop_extents(parser)?,
    }))
}

fn drop_of_table(parser: &mut Parser<'_>) -> Parsed<Command> {
    let table = parser.name()?.text;
    if parser.eat_word("columns") {
        return Ok(Command::DropColumns { table, columns: names(parser)? });
    }
    if parser.is_word("ingestion") {
        return define::drop_mapping(parser, table);
    }
    Ok(Command::DropTables { tables: vec![table], if_exists: parser.eat_word("ifexists") })
}

/// `.drop extent id [from T]`, `.drop extents (ids) [from T]`
fn drop_extents(parser: &mut Parser<'_>) -> Parsed<Command> {
    let id = |parser: &mut Parser<'_>| Ok(parser.raw_word()?.to_owned());
    let ids = if parser.eat("(") { parser.list_until(")", id)? } else { vec![id(parser)?] };
    let table = if parser.eat_word("from") { Some(parser.name()?.text) } else { None };
    Ok(Command::DropExtents { ids, table })
}

/// `.undo drop table T [as New]`
pub(super) fn undo(parser: &mut Parser<'_>) -> Parsed<Option<Command>> {
    parser.expect_word("drop")?;
    parser.expect_word("table")?;
    let table = parser.name()?.text;
    let name = if parser.eat_word("as") { Some(parser.name()?.text) } else { None };
    Ok(Some(Command::UndoDropTable { table, name }))
}

pub(super) fn clear(parser: &mut Parser<'_>) -> Parsed<Option<Command>> {
    parser.expect_word("table")?;
    let table = parser.name()?.text;
    parser.expect_word("data")?;
    Ok(Some(Command::ClearTable { table }))
}
