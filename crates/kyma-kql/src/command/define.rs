//! Functions, ingestion mappings, policies.

use kyma_plan::{Command, PolicyOwner, Put, StoredFunction, Texts};

use super::show::policy_kind;
use super::{Parsed, texts_of};
use crate::parse::Parser;

/// `.create function [ifnotexists] [with (...)] f(a:long) { ... }`, `.alter function f docstring "..."`
pub(super) fn function(parser: &mut Parser<'_>, verb: &str, if_not_exists: bool) -> Parsed<Command> {
    let if_not_exists = parser.eat_word("ifnotexists") || if_not_exists;
    let properties = parser.with_properties()?;
    let if_not_exists = parser.eat_word("ifnotexists") || if_not_exists;
    let name = parser.name()?.text;
    if verb == "alter" && parser.eat_word("docstring") {
        let texts = Texts { docstring: Some(parser.text()?), folder: None };
        return Ok(Command::AlterFunctionTexts { name, texts });
    }
    if verb == "alter" && parser.eat_word("folder") {
        let texts = Texts { folder: Some(parser.text()?), docstring: None };
        return Ok(Command::AlterFunctionTexts { name, texts });
    }
    if !parser.is_punct("(") {
        return Err(parser.unexpected("'('"));
    }
    let parameters = parser.bracketed_text()?.to_owned();
    if !parser.is_punct("{") {
        return Err(parser.unexpected("'{'"));
    }
    let body = parser.bracketed_text()?.to_owned();
    let put = match verb {
        "create-or-alter" => Put::CreateOrAlter,
        "alter" => Put::Alter,
        _ if if_not_exists => Put::CreateIfNotExists,
        _ => Put::Create,
    };
    let skips = |(name, value): &(String, String)| name == "skipvalidation" && value.eq_ignore_ascii_case("true");
    let validate = !properties.iter().any(skips);
    let texts = texts_of(&properties);
    let (folder, docstring) = (String::new(), String::new());
    let function = StoredFunction { name, parameters, body, folder, docstring };
    Ok(Command::PutFunction { function, put, texts, validate })
}

/// `ingestion csv mapping "m" '[...]'` after the table's name.
pub(super) fn mapping(parser: &mut Parser<'_>, verb: &str, table: String) -> Parsed<Command> {
    let (kind, name) = mapping_name(parser)?;
    let mut json = parser.text()?;
    // Long mappings are written as several strings one after another.
    while !parser.at_end() && !parser.is_word("with") && !parser.is_punct(";") && !parser.is_punct("|") {
        json.push_str(&parser.text()?);
    }
    let put = match verb {
        "create-or-alter" => Put::CreateOrAlter,
        "alter" | "alter-merge" => Put::Alter,
        _ => Put::Create,
    };
    Ok(Command::PutMapping { table, kind, name, json, put })
}

pub(super) fn drop_mapping(parser: &mut Parser<'_>, table: String) -> Parsed<Command> {
    let (kind, name) = mapping_name(parser)?;
    Ok(Command::DropMapping { table, kind, name })
}

fn mapping_name(parser: &mut Parser<'_>) -> Parsed<(String, String)> {
    parser.expect_word("ingestion")?;
    let kind = parser.name()?.text.to_lowercase();
    parser.expect_word("mapping")?;
    Ok((kind, parser.text()?))
}

/// What follows `.alter table T policy`.
pub(super) fn table_policy(parser: &mut Parser<'_>, merge: bool, table: String) -> Parsed<Command> {
    if parser.eat_word("format") {
        return Ok(Command::AlterTableFormat { table, format: parser.text()? });
    }
    put_policy(parser, PolicyOwner::Table(table), merge)
}

/// `.alter database D policy ...`, `.alter cluster policy ...`
pub(super) fn alter_policy(parser: &mut Parser<'_>, verb: &str, noun: &str) -> Parsed<Command> {
    let of = owner(parser, noun)?;
    parser.expect_word("policy")?;
    put_policy(parser, of, verb == "alter-merge")
}

fn owner(parser: &mut Parser<'_>, noun: &str) -> Parsed<PolicyOwner> {
    Ok(match noun {
        "cluster" => PolicyOwner::Cluster,
        "database" if parser.is_word("policy") => PolicyOwner::Database(None),
        "database" => PolicyOwner::Database(Some(parser.name()?.text)),
        _ => PolicyOwner::Table(parser.name()?.text),
    })
}

/// The policy's value is a string with JSON, or words up to the end.
fn put_policy(parser: &mut Parser<'_>, of: PolicyOwner, merge: bool) -> Parsed<Command> {
    let kind = policy_kind(parser)?;
    if let Ok(value) = parser.text() {
        return Ok(Command::PutPolicy { of, kind, value, merge });
    }
    let value = parser.rest_of_text().trim().trim_end_matches(';').trim().to_owned();
    parser.skip_to_end();
    if value.is_empty() {
        return Err(parser.unexpected("what the policy says"));
    }
    Ok(Command::PutPolicy { of, kind, value, merge })
}

/// `.delete table T policy retention`, after the noun.
pub(super) fn delete_policy(parser: &mut Parser<'_>, noun: &str) -> Parsed<Option<Command>> {
    let of = owner(parser, noun)?;
    parser.expect_word("policy")?;
    Ok(Some(Command::DropPolicy { of, kind: policy_kind(parser)? }))
}
