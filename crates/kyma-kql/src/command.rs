//! Management commands: `.show tables`, `.create table T (...)`, `.ingest inline into table T <| ...`.
//!
//! 1. The text before `<|` is read as tokens, what stands after it is data or a query and is taken as it is.
//! 2. The first word says which file goes on: `show`, `table`, `define` (functions, mappings, policies), `store`.
//! 3. What stands after a command, from its first `|`, is a query over its result.

mod define;
mod show;
mod store;
mod table;

use kyma_core::error::Span;
use kyma_core::limits::QUERY_TEXT_BYTES_MAX;
use kyma_plan::functions::nearest;
use kyma_plan::{Command, Diagnostic, Diagnostics, Texts};

use crate::parse::Parser;

type Parsed<T> = Result<T, Box<Diagnostic>>;

/// How commands begin, to tell what was meant; `T` stands for any name.
const KNOWN: [&str; 67] = [
    ".show version",
    ".show cluster",
    ".show capacity",
    ".show databases",
    ".show database",
    ".show database schema",
    ".show database schema as json",
    ".show schema as json",
    ".show tables",
    ".show tables details",
    ".show table T",
    ".show table T details",
    ".show table T schema as json",
    ".show table T cslschema",
    ".show table T extents",
    ".show table T patterns",
    ".show table T ingestion mappings",
    ".show table T policy",
    ".show extents",
    ".show functions",
    ".show function T",
    ".show operations",
    ".show tasks",
    ".show queries",
    ".show running queries",
    ".show ingestion failures",
    ".show principal",
    ".create database T",
    ".create table T",
    ".create tables T",
    ".create-merge table T",
    ".create-merge tables T",
    ".create function T",
    ".create-or-alter function T",
    ".create table T ingestion csv mapping",
    ".create-or-alter table T ingestion csv mapping",
    ".alter table T",
    ".alter-merge table T",
    ".alter table T docstring",
    ".alter table T folder",
    ".alter table T column-docstrings",
    ".alter table T policy",
    ".alter database T policy",
    ".alter column T",
    ".alter function T",
    ".rename table T to T",
    ".rename tables T",
    ".rename column T to T",
    ".drop table T",
    ".drop tables",
    ".drop column T",
    ".drop table T columns",
    ".drop function T",
    ".drop functions",
    ".drop extents",
    ".drop table T ingestion csv mapping",
    ".delete table T policy",
    ".delete table T records",
    ".clear table T data",
    ".undo drop table T",
    ".set T",
    ".append T",
    ".set-or-append T",
    ".set-or-replace T",
    ".ingest inline into table T",
    ".retry task",
    ".cancel query",
];

/// What Kusto has and kyma does not, with what can be done instead.
const ABSENT: [(&str, &str); 14] = [
    (".purge", "write .delete table T records <| T | where ...; the bytes go after the grace period"),
    (".export", "read the rows with a query; /v1/query answers CSV, NDJSON and Arrow, too"),
    (".ingest into", "send the data itself to /v1/ingest/{database}/{table}, or write .ingest inline"),
    (".ingest async", "send the data itself to /v1/ingest/{database}/{table}, or write .ingest inline"),
    (".drop database", "drop its tables"),
    (".move", "write the rows anew with .set-or-append"),
    (".replace", "write the rows anew with .set-or-replace"),
    (".attach", "the catalog says what there is"),
    (".detach", "the catalog says what there is"),
    (".add", "there are no principals: access is decided before kyma"),
    (".create materialized-view", "write a stored function, or store results with .set-or-replace"),
    (".create external", "load the data with /v1/ingest/{database}/{table}"),
    (".create workload_group", "limits are settings of the node"),
    (".execute", "send the commands one by one"),
];

/// Reads a command; `None` when the text does not begin with a dot.
pub(crate) fn command(text: &str) -> Option<Result<Command, Diagnostics>> {
    let start = skip_comments(text);
    let after_dot = text[start..].strip_prefix('.')?;
    let verb: String = after_dot.chars().take_while(|letter| letter.is_alphabetic()).collect();
    let verb = verb.to_ascii_lowercase();
    if text.len() > QUERY_TEXT_BYTES_MAX && verb != "ingest" {
        let message = format!("the command is longer than the limit: limit={QUERY_TEXT_BYTES_MAX}");
        return Some(Err(Diagnostic::error("kql.too_long", message, Span::default()).into()));
    }
    let takes_data = matches!(verb.as_str(), "ingest" | "set" | "append" | "delete" | "purge" | "drop");
    let (head, data) = match text.find("<|").filter(|_| takes_data) {
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
    let text = parser.rest_of_text();
    let known = dispatch(parser, data).map_err(|error| explained(error, text))?;
    let Some(command) = known else { return unknown(parser, text) };
    // Options that do not change the meaning.
    parser.with_properties()?;
    parser.eat(";");
    if parser.at_end() {
        return Ok(command);
    }
    if parser.is_punct("|") && data.is_none() {
        return Ok(Command::Piped { command: Box::new(command), pipeline: parser.rest_of_text().to_owned() });
    }
    unknown(parser, text)
}

/// The command that the first words say; `None` when they say none.
fn dispatch(parser: &mut Parser<'_>, data: Option<&str>) -> Parsed<Option<Command>> {
    const VERBS: [&str; 19] = [
        "show",
        "create",
        "create-or-alter",
        "create-merge",
        "alter",
        "alter-merge",
        "rename",
        "drop",
        "delete",
        "clear",
        "set",
        "append",
        "set-or-append",
        "set-or-replace",
        "append-or-set",
        "ingest",
        "cancel",
        "retry",
        "undo",
    ];
    parser.expect(".")?;
    let Some(verb) = parser.eat_hyphenated(&VERBS) else { return Ok(None) };
    match verb {
        "show" => show::show(parser),
        "create" | "create-or-alter" | "create-merge" | "alter" | "alter-merge" => table::change(parser, verb),
        "rename" => table::rename(parser),
        "drop" => table::drop(parser),
        "delete" => store::delete(parser, data),
        "clear" => table::clear(parser),
        "undo" => table::undo(parser),
        "ingest" => store::ingest(parser, data),
        "cancel" => store::cancel(parser),
        "retry" => store::retry(parser),
        _ => store::store(parser, verb, data).map(Some),
    }
}

/// An error of a command that kyma does not have says so.
fn explained(error: Box<Diagnostic>, text: &str) -> Box<Diagnostic> {
    match absent(text) {
        Some((what, hint)) if error.code == "kql.syntax" => Box::new(refused(what, hint, error.span)),
        _ => error,
    }
}

fn unknown<T>(parser: &Parser<'_>, text: &str) -> Parsed<T> {
    if let Some((what, hint)) = absent(text) {
        return Err(Box::new(refused(what, hint, parser.span())));
    }
    let asked = opening(text);
    let near = nearest(&asked, KNOWN.iter().copied()).map(|near| format!("did you mean '{near}'?"));
    let hint = near.unwrap_or_else(|| "docs/commands.md lists the commands".to_owned());
    let message = "the command is not supported";
    Err(Box::new(Diagnostic::error("kql.unknown_command", message, parser.span()).hint(hint)))
}

fn refused(what: &str, hint: &str, span: Span) -> Diagnostic {
    Diagnostic::error("kql.unsupported_command", format!("'{what}' is not supported"), span).hint(hint)
}

/// What of [`ABSENT`] a command is: its words begin with all words of it, names left out.
fn absent(text: &str) -> Option<(&'static str, &'static str)> {
    let words = words(text);
    let is_asked = |what: &str| {
        let mut wanted = what.split(' ');
        let starts = wanted.next().is_some_and(|first| words.first().is_some_and(|word| word == first));
        starts && wanted.all(|word| words.iter().take(4).any(|found| found == word))
    };
    ABSENT.iter().copied().find(|(what, _)| is_asked(what))
}

/// The first words of a command in lower case, hyphens kept.
fn words(text: &str) -> Vec<String> {
    let ends = |letter: char| !(letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_'));
    text.split(ends).filter(|word| !word.is_empty()).take(7).map(str::to_lowercase).collect()
}

/// The first words of a command with `T` for what is likely a name: what follows the noun.
fn opening(text: &str) -> String {
    const NOUNS: [&str; 6] = ["table", "function", "column", "database", "set", "to"];
    let mut words = words(text);
    let follows = |words: &[String], at: usize| at > 0 && NOUNS.contains(&words[at - 1].as_str());
    for at in 1..words.len() {
        if follows(&words, at) {
            "t".clone_into(&mut words[at]);
        }
    }
    words.join(" ")
}

/// The folder and docstring of `with (...)`.
fn texts_of(properties: &[(String, String)]) -> Texts {
    let find = |wanted: &str| properties.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.clone());
    Texts { folder: find("folder"), docstring: find("docstring") }
}

/// `(a, b)`, or one name.
fn names(parser: &mut Parser<'_>) -> Parsed<Vec<String>> {
    if parser.eat("(") {
        return parser.list_until(")", |parser| Ok(parser.name()?.text));
    }
    Ok(vec![parser.name()?.text])
}

/// `T.c`, `D.T.c`: table and column.
fn column_of_table(parser: &mut Parser<'_>) -> Parsed<(String, String)> {
    let mut table = parser.name()?.text;
    parser.expect(".")?;
    let mut column = parser.name()?.text;
    if parser.eat(".") {
        table = std::mem::replace(&mut column, parser.name()?.text);
    }
    Ok((table, column))
}
