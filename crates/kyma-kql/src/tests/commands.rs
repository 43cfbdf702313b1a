//! Commands as they are read.

use kyma_core::{Column, Type};
use kyma_plan::{Command, PolicyOwner, Put, QueryFrontend, SchemaForm, StoreMode, StoredFunction, Texts};

use crate::Kql;

fn read(text: &str) -> Command {
    match Kql.command(text) {
        Some(Ok(command)) => command,
        other => panic!("{text}: {other:?}"),
    }
}

/// Code and hint.
fn refused(text: &str) -> (String, String) {
    match Kql.command(text) {
        Some(Err(errors)) => {
            let error = &errors.0[0];
            assert!(error.span.end <= text.len(), "{text}: {error:?}");
            (error.code.clone(), error.hint.clone().unwrap_or_default())
        }
        other => panic!("{text}: {other:?}"),
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn what_is_no_command() {
    for query in ["", "T", "print '.show tables'", "// .show tables\nT"] {
        assert_eq!(Kql.command(query), None, "{query}");
    }
}

#[test]
fn shows() {
    for (line, command) in [
        (".show tables", Command::ShowTables { tables: vec![] }),
        ("// a comment\n .show tables (A, ['b c'])", Command::ShowTables { tables: vec![text("A"), text("b c")] }),
        (".show table T", Command::ShowTable { table: text("T") }),
        (".show table T details;", Command::ShowTableDetails { tables: vec![text("T")] }),
        (".show table T cslschema", Command::ShowTableCslSchema { table: text("T") }),
        (".show database schema", Command::ShowSchema { databases: vec![text("")], form: SchemaForm::Rows }),
        (
            ".show database D schema if_later_than \"v1.0\" as json",
            Command::ShowSchema { databases: vec![text("D")], form: SchemaForm::Json },
        ),
        (".show schema as json", Command::ShowSchema { databases: vec![], form: SchemaForm::ClusterJson }),
        (
            ".show database D schema as csl script with (IncludeEncodingPolicies=false)",
            Command::ShowSchema { databases: vec![text("D")], form: SchemaForm::Script },
        ),
        (".show database", Command::ShowDatabase { database: None }),
        (".show function f", Command::ShowFunctions { name: Some(text("f")) }),
        (
            ".show operations 3827def6-0773-4f2a-859e-c02cf395deaf",
            Command::ShowOperations { ids: vec![text("3827def6-0773-4f2a-859e-c02cf395deaf")] },
        ),
        (".show running queries", Command::ShowQueries { running: true }),
        (".show tasks", Command::ShowTasks),
        (".retry task 7", Command::RetryTask { id: text("7") }),
        (
            ".show table T ingestion csv mapping \"m\"",
            Command::ShowMappings { table: Some(text("T")), kind: Some(text("csv")), name: Some(text("m")) },
        ),
        (".show table T ingestion mappings", Command::ShowMappings { table: Some(text("T")), kind: None, name: None }),
        (".show ingestion failures", Command::ShowIngestionFailures),
        (
            ".show table * policy retention",
            Command::ShowPolicy { of: PolicyOwner::EveryTable, kind: text("retention") },
        ),
        (".show external tables", Command::ShowNone { what: text("external-tables") }),
        (".show materialized-views", Command::ShowNone { what: text("materialized-views") }),
    ] {
        assert_eq!(read(line), command, "{line}");
    }
}

#[test]
fn a_pipeline_follows() {
    let piped = read(".show tables | where TableName has 'x' | count");
    let wanted = Command::Piped {
        command: Box::new(Command::ShowTables { tables: vec![] }),
        pipeline: text("| where TableName has 'x' | count"),
    };
    assert_eq!(piped, wanted);
    assert_eq!(
        read(".show table T|take 1"),
        Command::Piped { command: Box::new(Command::ShowTable { table: text("T") }), pipeline: text("|take 1") }
    );
}

#[test]
fn functions() {
    let function = |parameters: &str, body: &str| StoredFunction {
        name: text("f"),
        parameters: text(parameters),
        body: text(body),
        folder: String::new(),
        docstring: String::new(),
    };
    let line = ".create-or-alter function with (folder = 'a/b', docstring=\"it's <| so\", skipvalidation=true) \
                f(a:long, T:(*)) { T | where s == '}' | take a }";
    assert_eq!(
        read(line),
        Command::PutFunction {
            function: function("(a:long, T:(*))", "{ T | where s == '}' | take a }"),
            put: Put::CreateOrAlter,
            texts: Texts { folder: Some(text("a/b")), docstring: Some(text("it's <| so")) },
            validate: false,
        }
    );
    for (line, put) in [
        (".create function f() { 1 }", Put::Create),
        (".create function ifnotexists f() { 1 }", Put::CreateIfNotExists),
        (".create ifnotexists function f() { 1 }", Put::CreateIfNotExists),
        (".alter function f() { 1 }", Put::Alter),
    ] {
        let wanted =
            Command::PutFunction { function: function("()", "{ 1 }"), put, texts: Texts::default(), validate: true };
        assert_eq!(read(line), wanted, "{line}");
    }
    assert_eq!(
        read(".alter function f docstring 'd'"),
        Command::AlterFunctionTexts { name: text("f"), texts: Texts { folder: None, docstring: Some(text("d")) } }
    );
    assert_eq!(
        read(".drop functions (f, g) ifexists"),
        Command::DropFunctions { names: vec![text("f"), text("g")], if_exists: true }
    );
    assert_eq!(refused(".create function f { 1 }").0, "kql.syntax");
    assert_eq!(refused(".create function f() { 1 ").0, "kql.syntax");
}

#[test]
fn tables() {
    let column = |name: &str, ty| Column::new(name, ty);
    for (line, command) in [
        (
            ".create tables A (x:long), B (y:string) with (folder='f')",
            Command::CreateTables {
                tables: vec![(text("A"), vec![column("x", Type::Long)]), (text("B"), vec![column("y", Type::String)])],
                merge: false,
                texts: Texts { folder: Some(text("f")), docstring: None },
            },
        ),
        (
            ".alter-merge table T (x:long)",
            Command::AlterTable {
                table: text("T"),
                columns: vec![column("x", Type::Long)],
                merge: true,
                texts: Texts::default(),
            },
        ),
        (".rename table A to B", Command::RenameTables { names: vec![(text("A"), text("B"))] }),
        (
            ".rename tables A=B, B=A",
            Command::RenameTables { names: vec![(text("B"), text("A")), (text("A"), text("B"))] },
        ),
        (".rename column T.a to b", Command::RenameColumns { table: text("T"), names: vec![(text("a"), text("b"))] }),
        (
            ".rename columns a=T.b, b=D.T.a",
            Command::RenameColumns { table: text("T"), names: vec![(text("b"), text("a")), (text("a"), text("b"))] },
        ),
        (
            ".alter column ['T'].['c d'] type=string",
            Command::AlterColumnType { table: text("T"), column: text("c d"), ty: Type::String },
        ),
        (".drop column T.c", Command::DropColumns { table: text("T"), columns: vec![text("c")] }),
        (
            ".drop table T columns (a, b)",
            Command::DropColumns { table: text("T"), columns: vec![text("a"), text("b")] },
        ),
        (".drop tables (A, B) ifexists", Command::DropTables { tables: vec![text("A"), text("B")], if_exists: true }),
        (
            ".alter table T column-docstrings (a:'x', b:'y')",
            Command::AlterColumnTexts {
                table: text("T"),
                texts: vec![(text("a"), text("x")), (text("b"), text("y"))],
                merge: false,
            },
        ),
        (".clear table T data", Command::ClearTable { table: text("T") }),
        (".undo drop table T", Command::UndoDropTable { table: text("T"), name: None }),
        (".undo drop table T as ['U v']", Command::UndoDropTable { table: text("T"), name: Some(text("U v")) }),
        (".create database D ifnotexists", Command::CreateDatabase { name: text("D") }),
    ] {
        assert_eq!(read(line), command, "{line}");
    }
}

#[test]
fn mappings_policies_and_stores() {
    for (line, command) in [
        (
            ".create table T ingestion csv mapping 'm' '[{\"column\":\"a\",' '\"Properties\":{\"Ordinal\":\"0\"}}]'",
            Command::PutMapping {
                table: text("T"),
                kind: text("csv"),
                name: text("m"),
                json: text(r#"[{"column":"a","Properties":{"Ordinal":"0"}}]"#),
                put: Put::Create,
            },
        ),
        (
            ".create-or-alter table T ingestion json mapping \"m\" ```[]```",
            Command::PutMapping {
                table: text("T"),
                kind: text("json"),
                name: text("m"),
                json: text("[]"),
                put: Put::CreateOrAlter,
            },
        ),
        (
            ".drop table T ingestion csv mapping 'm'",
            Command::DropMapping { table: text("T"), kind: text("csv"), name: text("m") },
        ),
        (
            ".alter-merge table T policy retention softdelete = 10d",
            Command::PutPolicy {
                of: PolicyOwner::Table(text("T")),
                kind: text("retention"),
                value: text("softdelete = 10d"),
                merge: true,
            },
        ),
        (
            ".alter database D policy caching hot = 3d",
            Command::PutPolicy {
                of: PolicyOwner::Database(Some(text("D"))),
                kind: text("caching"),
                value: text("hot = 3d"),
                merge: false,
            },
        ),
        (
            ".delete table T policy retention",
            Command::DropPolicy { of: PolicyOwner::Table(text("T")), kind: text("retention") },
        ),
        (
            ".set-or-append async T with (folder='f') <|\n U | take 1\n",
            Command::Store {
                table: text("T"),
                mode: StoreMode::SetOrAppend,
                is_async: true,
                texts: Texts { folder: Some(text("f")), docstring: None },
                query: text("U | take 1"),
            },
        ),
        (
            ".delete async table T records <| T | where a == 1 or b\n| where c",
            Command::DeleteRecords {
                table: text("T"),
                is_async: true,
                query: text("['T']\n| where (a == 1 or b\n)\n| where (c\n)"),
            },
        ),
        (".ingest inline into table T <|\n1,2", Command::IngestInline { table: text("T"), data: text("1,2") }),
        (".cancel query 'a;b'", Command::CancelQuery { id: text("a;b") }),
    ] {
        assert_eq!(read(line), command, "{line}");
    }
}

#[test]
fn what_is_not_there_is_refused_with_a_hint() {
    for (line, code, hint) in [
        (".shw tables", "kql.unknown_command", "did you mean '.show tables'?"),
        (".show tabels", "kql.unknown_command", "did you mean '.show tables'?"),
        (".show table Logs detials", "kql.unknown_command", "did you mean '.show table T details'?"),
        (".frobnicate everything", "kql.unknown_command", "docs/commands.md lists the commands"),
        (".", "kql.unknown_command", "docs/commands.md lists the commands"),
        (".purge table T records in database D <| where a == 1", "kql.unsupported_command", ".delete table T records"),
        (".delete table T records <| U | where a == 1", "kql.delete_predicate", ".delete table T records"),
        (".delete table T records <| T | take 1", "kql.delete_predicate", ".delete table T records"),
        (".delete table T records <| T", "kql.delete_predicate", ".delete table T records"),
        (".delete table T records <| T | where ;", "kql.delete_predicate", ".delete table T records"),
        (".delete table T records with (whatif=true) <| T | where a == 1", "kql.delete_property", "count the rows"),
        (".delete everything", "kql.unknown_command", ""),
        (".ingest into table T ('https://x')", "kql.unsupported_command", "/v1/ingest"),
        (".create materialized-view V on table T { T | count }", "kql.unsupported_command", "stored function"),
        (".show tables nonsense", "kql.unknown_command", ""),
        (".set T", "kql.syntax", ""),
        (".create table T (a:nonsense)", "kql.syntax", ""),
    ] {
        let (found, said) = refused(line);
        assert!(found == code && said.contains(hint), "{line}: {found}: {said}");
    }
}

/// Words of commands in any order.
const WORDS: [&str; 40] = [
    ".show",
    ".create",
    ".alter",
    ".drop",
    ".delete",
    ".rename",
    ".set",
    ".",
    "-",
    "merge",
    "or",
    "table",
    "tables",
    "function",
    "database",
    "schema",
    "as",
    "json",
    "T",
    "['x y']",
    "(",
    ")",
    "{",
    "}",
    "=",
    ",",
    ":long",
    "with",
    "policy",
    "retention",
    "ingestion",
    "csv",
    "mapping",
    "'m'",
    "records",
    "<|",
    "|",
    "where",
    "ä",
    ";",
];

proptest::proptest! {
    /// No text panics, and an error's place is in the text.
    #[test]
    fn any_soup_of_words_is_a_command_or_an_error(
        verb in 0..8_usize,
        words in proptest::collection::vec(0..WORDS.len(), 0..14),
    ) {
        let words: Vec<&str> = std::iter::once(verb).chain(words).map(|at| WORDS[at]).collect();
        let text = words.join(" ");
        if let Some(Err(errors)) = Kql.command(&text) {
            for error in errors.0 {
                assert!(error.span.start <= error.span.end && error.span.end <= text.len(), "{text}: {error:?}");
            }
        }
    }

    #[test]
    fn no_text_after_a_dot_panics(text in "\\.\\PC{0,60}") {
        let _ = Kql.command(&text);
    }
}
