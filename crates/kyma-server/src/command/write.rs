//! The commands that change something.

use bytes::Bytes;
use futures::{StreamExt, stream};
use kyma_core::catalog::{Database, NewTable, Table};
use kyma_core::ids::check_name;
use kyma_core::schema::{INGESTION_TIME_COLUMN, TIME_COLUMN_NAMES};
use kyma_core::{Column, Error, Result, Schema, Type, Value};
use kyma_ingest::{BodyFormat, Encoding, IngestRequest};
use kyma_plan::Texts;

use super::change::put_texts;
use super::schema::of_tables_csl;
use super::show::{details, tables};
use super::table::{SmallTable, long};
use super::{ensure_database, find_table, texts_of};
use crate::state::Shared;

/// `.create table`, `.create tables`, `.create-merge table`.
pub(super) async fn create_tables(
    state: &Shared,
    database: &str,
    tables: Vec<(String, Vec<Column>)>,
    merge: bool,
    texts: &Texts,
) -> Result<SmallTable> {
    tables.iter().try_for_each(|(name, _)| check_name("table", name))?;
    let database = ensure_database(state, database).await?;
    let mut created = Vec::with_capacity(tables.len());
    for (name, columns) in tables {
        let table = create_table(state, &database, &name, columns, merge).await?;
        put_texts(state, &table, texts).await?;
        let said = texts_of(state, &table).await?;
        created.push((table, said));
    }
    Ok(of_tables_csl(created.iter().map(|(table, said)| (table, said.clone()))))
}

pub(super) async fn create_table(
    state: &Shared,
    database: &Database,
    name: &str,
    columns: Vec<Column>,
    merge: bool,
) -> Result<Table> {
    Ok(match state.catalog.table(database.id, name).await? {
        Some(existing) if merge => {
            refuse_other_types(&existing.schema, &columns)?;
            let grown = state.catalog.grow_table(existing.id, &columns).await?;
            state.ingester.forget_table(&database.name, name);
            grown
        }
        // As in Kusto: creating a table that exists changes nothing.
        Some(existing) => existing,
        None => state.catalog.ensure_table(database.id, name, &new_table(state, columns)?).await?,
    })
}

/// A new table: its event time is the column of a usual name, else the time of ingestion.
fn new_table(state: &Shared, mut columns: Vec<Column>) -> Result<NewTable> {
    let mut names = std::collections::BTreeSet::new();
    if let Some(twice) = columns.iter().find(|column| !names.insert(&column.name)) {
        return Err(Error::invalid("command.column_twice", format!("a column is named twice: column={}", twice.name)));
    }
    let time_column = time_column(&columns);
    if time_column.is_none() && !columns.iter().any(|column| column.name == INGESTION_TIME_COLUMN) {
        columns.push(Column::new(INGESTION_TIME_COLUMN, Type::Datetime));
    }
    Ok(NewTable {
        schema: Schema::new(columns),
        time_column: time_column.unwrap_or_else(|| INGESTION_TIME_COLUMN.to_owned()),
        sort_key: Vec::new(),
        format: state.default_format.clone(),
    })
}

fn time_column(columns: &[Column]) -> Option<String> {
    let named = |wanted: &&str| {
        columns.iter().find(|column| column.ty == Type::Datetime && column.name.eq_ignore_ascii_case(wanted))
    };
    TIME_COLUMN_NAMES.iter().find_map(named).map(|column| column.name.clone())
}

pub(super) fn refuse_other_types(schema: &Schema, columns: &[Column]) -> Result<()> {
    for column in columns {
        let Some(existing) = schema.column(&column.name) else { continue };
        let widens = matches!((existing.ty, column.ty), (Type::Int, Type::Long) | (Type::Int | Type::Long, Type::Real));
        if existing.ty != column.ty && !widens {
            let message = format!(
                "a column cannot change its type: column={}, type={}, wanted={}",
                column.name, existing.ty, column.ty
            );
            return Err(Error::invalid("command.column_type", message));
        }
    }
    Ok(())
}

/// `.alter table T policy format`: new extents get the format once every writer has looked the table up again.
pub(super) async fn alter_format(state: &Shared, database: &str, name: &str, format: &str) -> Result<SmallTable> {
    state.formats.get(format).map_err(|_| {
        let known = state.formats.names().collect::<Vec<_>>().join(", ");
        Error::invalid("command.format_unknown", format!("the format is not known: format={format}"))
            .hint(format!("this node knows: {known}"))
    })?;
    let table = find_table(state, database, name).await?;
    state.catalog.set_format(table.id, format).await?;
    details(state, database, &[name.to_owned()]).await
}

/// `.drop table`, `.drop tables`: answers with the tables that are left.
pub(super) async fn drop_tables(
    state: &Shared,
    database: &str,
    names: &[String],
    if_exists: bool,
) -> Result<SmallTable> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        match find_table(state, database, name).await {
            Ok(table) => found.push(table),
            Err(error) if if_exists && error.code() == "table.unknown" => {}
            Err(error) => return Err(error),
        }
    }
    for table in found {
        state.catalog.drop_table(table.id).await?;
        state.ingester.forget_table(database, &table.name);
    }
    tables(state, database, &[]).await
}

/// `.ingest inline`: rows of CSV in column order.
pub(super) async fn ingest_inline(state: &Shared, database: &str, name: &str, data: String) -> Result<SmallTable> {
    let table = find_table(state, database, name).await?;
    let request = IngestRequest {
        database: table.database_name,
        table: table.name,
        format: BodyFormat::CsvPositional,
        encoding: Encoding::Identity,
        idempotency_key: None,
        source: "inline".to_owned(),
    };
    let body = stream::iter([Ok(Bytes::from(data))]).boxed();
    let answer = state.ingester.ingest(&request, body).await?;
    let mut shown = SmallTable::new([
        ("ExtentId", Type::Guid),
        ("ItemLoaded", Type::String),
        ("HasErrors", Type::Bool),
        ("RowCount", Type::Long),
        ("RejectedCount", Type::Long),
    ]);
    let extent = answer.extents.first().map_or(Value::Null(Type::Guid), |extent| Value::Guid(extent.0.as_u128()));
    let item = Value::String(format!("inproc:{}", uuid::Uuid::new_v4()));
    shown.row([extent, item, Value::Bool(answer.rejected > 0), long(answer.rows), long(answer.rejected)]);
    Ok(shown)
}
