//! Management commands: what a language's `.show`, `.create`, `.alter`, `.drop` and `.ingest` do.
//!
//! A command answers like a query, with one table; its columns carry Kusto's names, so that tools find what they know.
//! What is piped after a command is a query over that table.

mod change;
mod delete;
mod function;
mod mapping;
mod policy;
mod queries;
mod schema;
mod show;
mod store;
mod table;
mod tasks;
mod write;

use kyma_core::catalog::{Database, Table};
use kyma_core::ids::check_name;
use kyma_core::{Error, Result};
use kyma_exec::snapshot::GivenTable;
use kyma_exec::{Answer, QueryRequest};
use kyma_plan::{Command, SchemaForm};

use self::table::SmallTable;
use crate::failure::{Failure, Outcome};
use crate::http::query::Turn;
use crate::settings::Role;
use crate::state::Shared;

/// The language of what follows a command, and of what commands store.
const LANGUAGE: &str = "kql";
/// How a query names the rows of a command. No stored table has a slash in its name.
const RESULT_NAME: &str = "/command";

/// What a command shows.
enum Shown {
    /// These rows.
    Rows(SmallTable),
    /// The rows of a query.
    Query(String),
}

impl From<SmallTable> for Shown {
    fn from(table: SmallTable) -> Self {
        Shown::Rows(table)
    }
}

/// The command that `text` is; `None` when it is a query.
pub(crate) fn parse(state: &Shared, language: &str, text: &str) -> Outcome<Option<Command>> {
    let parsed = state.engine.frontend(language).and_then(|frontend| frontend.command(text));
    parsed.transpose().map_err(|diagnostics| Failure::of_diagnostics(&diagnostics, text))
}

/// Runs a command in `database`.
pub(crate) async fn execute(state: &Shared, database: &str, command: Command) -> Outcome<Answer> {
    let (command, pipeline) = match command {
        Command::Piped { command, pipeline } => (*command, Some(pipeline)),
        command => (command, None),
    };
    let shown = run(state, database, command).await?;
    match (shown, pipeline) {
        (Shown::Rows(table), None) => Ok(table.into_answer()?),
        (Shown::Rows(table), Some(pipeline)) => {
            let text = format!("['{RESULT_NAME}']\n{pipeline}");
            let (schema, rows) = table.into_rows();
            query(state, database, text, Some(GivenTable { name: RESULT_NAME.to_owned(), schema, rows })).await
        }
        (Shown::Query(text), pipeline) => {
            query(state, database, format!("{text}\n{}", pipeline.unwrap_or_default()), None).await
        }
    }
}

/// Runs a query for a command.
async fn query(state: &Shared, database: &str, text: String, given: Option<GivenTable>) -> Outcome<Answer> {
    let request = QueryRequest::new(LANGUAGE, database, text.clone());
    let turn = Turn::take(state).await?;
    let answer = match given {
        Some(given) => state.engine.run_over(request, given, turn.cancel.clone()).await,
        None => state.engine.run(request, turn.cancel.clone()).await,
    };
    answer.map_err(|error| Failure::of_query(error, &text))
}

async fn run(state: &Shared, database: &str, command: Command) -> Outcome<Shown> {
    if is_change(&command) {
        state.require(Role::Ingest)?;
        return changed(state, database, command).await.map(Shown::Rows);
    }
    Ok(match command {
        Command::ShowIngestionFailures => return Ok(Shown::Query(show::ingestion_failures(state, database).await?)),
        Command::ShowVersion => show::version(state),
        Command::ShowCluster => show::cluster(state).await?,
        Command::ShowCapacity => show::capacity(state),
        Command::ShowPrincipals { of } => show::principals(&of),
        Command::ShowNone { what } => show::none_of(&what)?,
        Command::ShowDatabases => show::databases(state, database).await?,
        Command::ShowDatabase { database: named } => show::database(state, database, named.as_deref()).await?,
        Command::ShowTables { tables } => show::tables(state, database, &tables).await?,
        Command::ShowTable { table } => show::table(state, database, &table).await?,
        Command::ShowTableDetails { tables } => show::details(state, database, &tables).await?,
        Command::ShowTableSchemaJson { table } => {
            let table = find_table(state, database, &table).await?;
            schema::of_table_json(&table, &texts_of(state, &table).await?)
        }
        Command::ShowTableCslSchema { table } => {
            let table = find_table(state, database, &table).await?;
            schema::of_table_csl(&table, &texts_of(state, &table).await?)
        }
        Command::ShowSchema { databases, form } => match form {
            SchemaForm::Rows => schema::rows(state, database, &databases).await?,
            SchemaForm::Script => schema::script(state, database, &databases).await?,
            form => schema::json(state, database, &databases, form).await?,
        },
        Command::ShowExtents { table } => show::list_extents(state, database, table.as_deref()).await?,
        Command::ShowTablePatterns { table } => {
            show::patterns(state, &find_table(state, database, &table).await?).await?
        }
        Command::ShowFunctions { name } => function::show(state, database, name.as_deref()).await?,
        Command::ShowMappings { table, kind, name } => {
            mapping::show(state, database, table.as_deref(), kind.as_deref(), name.as_deref()).await?
        }
        Command::ShowOperations { ids } => store::operations(state, &ids).await?,
        Command::ShowQueries { running } => queries::show(state, running),
        Command::ShowTasks => tasks::show(state).await?,
        Command::RetryTask { id } => tasks::retry(state, &id).await?,
        Command::CancelQuery { id } => queries::cancel(state, &id)?,
        Command::ShowPolicy { of, kind } => policy::show(state, database, &of, &kind).await?,
        other => return Err(Error::internal(format!("a command has no handler: command={other:?}")).into()),
    }
    .into())
}

fn is_change(command: &Command) -> bool {
    use Command::*;
    matches!(
        command,
        CreateDatabase { .. }
            | CreateTables { .. }
            | AlterTable { .. }
            | AlterTableTexts { .. }
            | AlterColumnTexts { .. }
            | AlterTableFormat { .. }
            | AlterColumnType { .. }
            | RenameTables { .. }
            | RenameColumns { .. }
            | DropColumns { .. }
            | DropTables { .. }
            | UndoDropTable { .. }
            | ClearTable { .. }
            | DeleteRecords { .. }
            | DropExtents { .. }
            | PutFunction { .. }
            | AlterFunctionTexts { .. }
            | DropFunctions { .. }
            | PutMapping { .. }
            | DropMapping { .. }
            | PutPolicy { .. }
            | DropPolicy { .. }
            | Store { .. }
            | IngestInline { .. }
    )
}

async fn changed(state: &Shared, database: &str, command: Command) -> Outcome<SmallTable> {
    Ok(match command {
        Command::CreateDatabase { name } => change::create_database(state, &name).await?,
        Command::CreateTables { tables, merge, texts } => {
            write::create_tables(state, database, tables, merge, &texts).await?
        }
        Command::AlterTable { table, columns, merge, texts } => {
            change::alter_table(state, database, &table, columns, merge, &texts).await?
        }
        Command::AlterTableTexts { table, texts } => change::table_texts(state, database, &table, &texts).await?,
        Command::AlterColumnTexts { table, texts, merge } => {
            change::column_texts(state, database, &table, texts, merge).await?
        }
        Command::AlterTableFormat { table, format } => write::alter_format(state, database, &table, &format).await?,
        Command::AlterColumnType { table, column, ty } => {
            change::column_type(state, database, &table, &column, ty).await?
        }
        Command::RenameTables { names } => change::rename_tables(state, database, &names).await?,
        Command::RenameColumns { table, names } => change::rename_columns(state, database, &table, &names).await?,
        Command::DropColumns { table, columns } => change::drop_columns(state, database, &table, &columns).await?,
        Command::DropTables { tables, if_exists } => write::drop_tables(state, database, &tables, if_exists).await?,
        Command::UndoDropTable { table, name } => delete::undo_drop(state, database, &table, name.as_deref()).await?,
        Command::DeleteRecords { table, is_async, query } => {
            delete::records(state, database, &table, query, is_async).await?
        }
        Command::ClearTable { table } => change::clear(state, database, &table).await?,
        Command::DropExtents { ids, table } => change::drop_extents(state, database, &ids, table.as_deref()).await?,
        Command::PutFunction { function, put, texts, validate } => {
            function::put(state, database, function, put, &texts, validate).await?
        }
        Command::AlterFunctionTexts { name, texts } => function::alter_texts(state, database, &name, &texts).await?,
        Command::DropFunctions { names, if_exists } => function::drop(state, database, &names, if_exists).await?,
        Command::PutMapping { table, kind, name, json, put } => {
            mapping::put(state, database, &table, kind, name, json, put).await?
        }
        Command::DropMapping { table, kind, name } => mapping::drop(state, database, &table, &kind, &name).await?,
        Command::PutPolicy { of, kind, value, merge } => {
            policy::put(state, database, &of, &kind, &value, merge).await?
        }
        Command::DropPolicy { of, kind } => policy::drop(state, database, &of, &kind).await?,
        Command::Store { table, mode, is_async, texts, query } => {
            let job = store::Job { database: database.to_owned(), table, mode, texts, query };
            store::store(state, job, is_async).await?
        }
        Command::IngestInline { table, data } => write::ingest_inline(state, database, &table, data).await?,
        other => return Err(Error::internal(format!("a command has no handler: command={other:?}")).into()),
    })
}

/// The database, if it exists. Unknown databases read as empty: a query that needs no table works anywhere.
async fn find_database(state: &Shared, name: &str) -> Result<Option<Database>> {
    state.catalog.database(name).await
}

/// A database that must exist.
async fn existing_database(state: &Shared, name: &str) -> Result<Database> {
    find_database(state, name).await?.ok_or_else(|| {
        Error::not_found("database.unknown", format!("the database does not exist: database={name}"))
            .hint("`.show databases` lists the databases; a first write makes one, or .create database")
    })
}

/// A table that must exist.
async fn find_table(state: &Shared, database: &str, name: &str) -> Result<Table> {
    let unknown = || {
        Error::not_found("table.unknown", format!("the table does not exist: database={database}, table={name}"))
            .hint("`.show tables` lists the tables")
    };
    let found = find_database(state, database).await?.ok_or_else(unknown)?;
    state.catalog.table(found.id, name).await?.ok_or_else(unknown)
}

/// The tables that a command speaks of: some that must exist, or all.
async fn chosen_tables(state: &Shared, database: &str, names: &[String]) -> Result<Vec<Table>> {
    if names.is_empty() {
        return all_tables(state, database).await;
    }
    let mut chosen = Vec::with_capacity(names.len());
    for name in names {
        chosen.push(find_table(state, database, name).await?);
    }
    Ok(chosen)
}

async fn all_tables(state: &Shared, database: &str) -> Result<Vec<Table>> {
    match find_database(state, database).await? {
        Some(found) => state.catalog.tables(found.id).await,
        None => Ok(Vec::new()),
    }
}

/// What is said about a table.
async fn texts_of(state: &Shared, table: &Table) -> Result<kyma_core::catalog::TableTexts> {
    Ok(state.catalog.table_texts(table.database).await?.remove(&table.id).unwrap_or_default())
}

/// The database that a write goes to, created if need be.
async fn ensure_database(state: &Shared, name: &str) -> Result<Database> {
    check_name("database", name)?;
    state.catalog.ensure_database(name).await
}
