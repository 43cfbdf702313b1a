//! Management commands: what a language's `.show`, `.create`, `.alter`, `.drop` and `.ingest` do.
//!
//! A command answers like a query, with one table; its columns carry Kusto's names, so that tools find what they know.

mod show;
mod table;
mod write;

use kyma_core::catalog::{Database, Table};
use kyma_core::ids::check_name;
use kyma_core::{Error, Result};
use kyma_exec::Answer;
use kyma_plan::Command;

use crate::failure::{Failure, Outcome};
use crate::settings::Role;
use crate::state::Shared;

/// The command that `text` is; `None` when it is a query.
pub(crate) fn parse(state: &Shared, language: &str, text: &str) -> Outcome<Option<Command>> {
    let parsed = state.engine.frontend(language).and_then(|frontend| frontend.command(text));
    parsed.transpose().map_err(|diagnostics| Failure::of_diagnostics(&diagnostics, text))
}

/// Runs a command in `database`.
pub(crate) async fn execute(state: &Shared, database: &str, command: Command) -> Outcome<Answer> {
    let table = match command {
        Command::ShowVersion => show::version(state),
        Command::ShowCluster => show::cluster(state).await?,
        Command::ShowDatabases => show::databases(state, database).await?,
        Command::ShowTables => show::tables(state, database).await?,
        Command::ShowTableDetails { table } => show::details(state, database, table.as_deref()).await?,
        Command::ShowTableSchemaJson { table } => show::schema_json(&find_table(state, database, &table).await?),
        Command::ShowTableCslSchema { table } => show::csl_schema(&find_table(state, database, &table).await?),
        Command::ShowDatabaseSchema => show::database_schema(state, database).await?,
        Command::ShowExtents { table } => show::list_extents(state, database, table.as_deref()).await?,
        Command::ShowTablePatterns { table } => {
            show::patterns(state, &find_table(state, database, &table).await?).await?
        }
        Command::CreateTable { table, columns, merge } => {
            state.require(Role::Ingest)?;
            write::create_table(state, database, &table, columns, merge).await?
        }
        Command::AlterTableFormat { table, format } => {
            state.require(Role::Ingest)?;
            write::alter_format(state, database, &table, &format).await?
        }
        Command::DropTable { table, if_exists } => {
            state.require(Role::Ingest)?;
            write::drop_table(state, database, &table, if_exists).await?
        }
        Command::IngestInline { table, data } => {
            state.require(Role::Ingest)?;
            write::ingest_inline(state, database, &table, data).await?
        }
    };
    Ok(table.into_answer()?)
}

/// The database, if it exists. Unknown databases read as empty: a query that needs no table works anywhere.
async fn find_database(state: &Shared, name: &str) -> Result<Option<Database>> {
    state.catalog.database(name).await
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

/// The tables that a command speaks of: one that must exist, or all.
async fn chosen_tables(state: &Shared, database: &str, name: Option<&str>) -> Result<Vec<Table>> {
    match name {
        Some(name) => Ok(vec![find_table(state, database, name).await?]),
        None => all_tables(state, database).await,
    }
}

async fn all_tables(state: &Shared, database: &str) -> Result<Vec<Table>> {
    match find_database(state, database).await? {
        Some(found) => state.catalog.tables(found.id).await,
        None => Ok(Vec::new()),
    }
}

/// The database that a write goes to, created if need be.
async fn ensure_database(state: &Shared, name: &str) -> Result<Database> {
    check_name("database", name)?;
    state.catalog.ensure_database(name).await
}
