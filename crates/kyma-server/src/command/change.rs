//! Commands that change what is there: columns, names, texts, extents.
//!
//! Extents know their table by identity and columns by name. So a table may get another name at any time, while a column
//! that extents hold keeps its name and its type, but for widening: the catalog refuses the rest.

use futures::TryStreamExt;
use kyma_core::catalog::{Commit, ExtentOrder, ExtentQuery, Table, TableTexts};
use kyma_core::schema::{INGESTION_TIME_COLUMN, UNMAPPED_COLUMN};
use kyma_core::time::TimeRange;
use kyma_core::{Column, Error, ExtentId, Result, Sequence, Type, Value};
use kyma_plan::Texts;

use super::show::{self, table_list};
use super::table::{SmallTable, string};
use super::write::refuse_other_types;
use super::{all_tables, ensure_database, existing_database, find_table, schema, texts_of};
use crate::extents;
use crate::state::Shared;

/// How often a change is tried when others change the same table.
const ATTEMPTS_MAX: usize = 5;

/// `.create database D`.
pub(super) async fn create_database(state: &Shared, name: &str) -> Result<SmallTable> {
    ensure_database(state, name).await?;
    show::databases(state, name).await
}

/// `.alter table T (...)`: these columns, in this order. `.alter-merge table T (...)`: these columns, too.
pub(super) async fn alter_table(
    state: &Shared,
    database: &str,
    name: &str,
    columns: Vec<Column>,
    merge: bool,
    texts: &Texts,
) -> Result<SmallTable> {
    let table = if merge {
        let table = find_table(state, database, name).await?;
        refuse_other_types(&table.schema, &columns)?;
        let grown = state.catalog.grow_table(table.id, &columns).await?;
        state.ingester.forget_table(database, name);
        grown
    } else {
        set_columns(state, database, name, |table| {
            // What kyma fills stays, named or not.
            let own = [INGESTION_TIME_COLUMN, UNMAPPED_COLUMN];
            let is_left = |column: &&Column| {
                own.contains(&column.name.as_str()) && !columns.iter().any(|new| new.name == column.name)
            };
            Ok(columns.iter().chain(table.schema.columns().iter().filter(is_left)).cloned().collect())
        })
        .await?
    };
    put_texts(state, &table, texts).await?;
    Ok(schema::of_table_csl(&table, &texts_of(state, &table).await?))
}

/// Replaces a table's columns by what `change` makes of them.
async fn set_columns(
    state: &Shared,
    database: &str,
    name: &str,
    change: impl Fn(&Table) -> Result<Vec<Column>>,
) -> Result<Table> {
    let mut attempt = 1;
    loop {
        let table = find_table(state, database, name).await?;
        let set = state.catalog.set_columns(table.id, table.schema_version, &change(&table)?).await;
        state.ingester.forget_table(database, name);
        match set {
            Err(error) if error.code() == "catalog.schema_changed" && attempt < ATTEMPTS_MAX => attempt += 1,
            set => return set,
        }
    }
}

/// `.alter column T.c type=long`.
pub(super) async fn column_type(
    state: &Shared,
    database: &str,
    table: &str,
    column: &str,
    ty: Type,
) -> Result<SmallTable> {
    let change = |table: &Table| {
        known_column(table, column)?;
        let retyped = |old: &Column| if old.name == column { Column::new(column, ty) } else { old.clone() };
        Ok(table.schema.columns().iter().map(retyped).collect())
    };
    let table = set_columns(state, database, table, change).await?;
    Ok(schema::of_table_csl(&table, &texts_of(state, &table).await?))
}

fn known_column(table: &Table, column: &str) -> Result<()> {
    if table.schema.column(column).is_some() {
        return Ok(());
    }
    let message = format!("the column does not exist: table={}, column={column}", table.name);
    Err(Error::not_found("column.unknown", message).hint("`.show table T` lists the columns"))
}

/// `.rename column T.a to b`, `.rename columns b=T.a, ...`.
pub(super) async fn rename_columns(
    state: &Shared,
    database: &str,
    table: &str,
    names: &[(String, String)],
) -> Result<SmallTable> {
    let change = |table: &Table| {
        names.iter().try_for_each(|(from, _)| known_column(table, from))?;
        let renamed = |old: &Column| {
            let new = names.iter().find(|(from, _)| *from == old.name);
            new.map_or_else(|| old.clone(), |(_, to)| Column::new(to, old.ty))
        };
        Ok(table.schema.columns().iter().map(renamed).collect())
    };
    let table = set_columns(state, database, table, change).await?;
    let mut texts = texts_of(state, &table).await?;
    let moved: Vec<(String, String)> =
        names.iter().filter_map(|(from, to)| Some((to.clone(), texts.columns.remove(from)?))).collect();
    texts.columns.extend(moved);
    state.catalog.put_table_texts(table.id, &texts).await?;
    Ok(schema::of_table_csl(&table, &texts))
}

/// `.drop column T.c`, `.drop table T columns (a, b)`.
pub(super) async fn drop_columns(
    state: &Shared,
    database: &str,
    table: &str,
    columns: &[String],
) -> Result<SmallTable> {
    let change = |table: &Table| {
        columns.iter().try_for_each(|column| known_column(table, column))?;
        Ok(table.schema.columns().iter().filter(|column| !columns.contains(&column.name)).cloned().collect())
    };
    let table = set_columns(state, database, table, change).await?;
    Ok(schema::of_table_csl(&table, &texts_of(state, &table).await?))
}

/// `.rename tables`: all or none.
pub(super) async fn rename_tables(state: &Shared, database: &str, names: &[(String, String)]) -> Result<SmallTable> {
    let found = existing_database(state, database).await?;
    state.catalog.rename_tables(found.id, names).await?;
    for name in names.iter().flat_map(|(from, to)| [from, to]) {
        state.ingester.forget_table(database, name);
    }
    let texts = state.catalog.table_texts(found.id).await?;
    let renamed = all_tables(state, database).await?.into_iter();
    Ok(table_list(renamed.filter(|table| names.iter().any(|(_, to)| *to == table.name)), &texts))
}

/// `.alter table T docstring "..."`, `.alter table T folder "..."`.
pub(super) async fn table_texts(state: &Shared, database: &str, table: &str, texts: &Texts) -> Result<SmallTable> {
    let table = find_table(state, database, table).await?;
    put_texts(state, &table, texts).await?;
    Ok(schema::of_table_csl(&table, &texts_of(state, &table).await?))
}

/// Keeps what is said about a table; what is not said stays.
pub(super) async fn put_texts(state: &Shared, table: &Table, texts: &Texts) -> Result<()> {
    if *texts == Texts::default() {
        return Ok(());
    }
    let before = texts_of(state, table).await?;
    let said = TableTexts {
        folder: texts.folder.clone().unwrap_or(before.folder),
        docstring: texts.docstring.clone().unwrap_or(before.docstring),
        columns: before.columns,
    };
    state.catalog.put_table_texts(table.id, &said).await
}

/// `.alter table T column-docstrings (a: "...")`.
pub(super) async fn column_texts(
    state: &Shared,
    database: &str,
    table: &str,
    said: Vec<(String, String)>,
    merge: bool,
) -> Result<SmallTable> {
    let table = find_table(state, database, table).await?;
    said.iter().try_for_each(|(column, _)| known_column(&table, column))?;
    let mut texts = texts_of(state, &table).await?;
    if !merge {
        texts.columns.clear();
    }
    texts.columns.extend(said);
    texts.columns.retain(|_, text| !text.is_empty());
    state.catalog.put_table_texts(table.id, &texts).await?;
    Ok(schema::of_table_csl(&table, &texts))
}

/// The extents of a table that are visible now.
pub(super) async fn visible_extent_ids(state: &Shared, table: &Table) -> Result<Vec<ExtentId>> {
    let at = state.catalog.pin(table.database).await?;
    extent_ids(state, table, at).await
}

/// The extents of a table that are visible at a sequence.
pub(super) async fn extent_ids(state: &Shared, table: &Table, at: Sequence) -> Result<Vec<ExtentId>> {
    let (time, order) = (TimeRange::ALL, ExtentOrder::NewestFirst);
    let listed = state.catalog.list(ExtentQuery { table: table.id, at, time, order, ranges: Vec::new() });
    listed.map_ok(|extent| extent.id).try_collect().await
}

/// `.clear table T data`: everything that is visible goes at once; what is being written meanwhile stays.
pub(super) async fn clear(state: &Shared, database: &str, name: &str) -> Result<SmallTable> {
    let table = find_table(state, database, name).await?;
    let mut attempt = 1;
    loop {
        let ids = visible_extent_ids(state, &table).await?;
        if ids.is_empty() {
            break;
        }
        match state.catalog.replace(table.id, &ids, &Commit::default()).await {
            // Compaction took some of them.
            Err(error) if error.code() == "catalog.sources_changed" && attempt < ATTEMPTS_MAX => attempt += 1,
            cleared => {
                cleared?;
                break;
            }
        }
    }
    let mut shown = SmallTable::new([("Status", Type::String)]);
    shown.row([string("Succeeded")]);
    Ok(shown)
}

/// `.drop extents`: of one table, all or none of it.
pub(super) async fn drop_extents(
    state: &Shared,
    database: &str,
    ids: &[String],
    table: Option<&str>,
) -> Result<SmallTable> {
    let wanted = ids.iter().map(|id| extent_id(id)).collect::<Result<Vec<ExtentId>>>()?;
    let names: Vec<String> = table.map(str::to_owned).into_iter().collect();
    let mut shown =
        SmallTable::new([("ExtentId", Type::Guid), ("TableName", Type::String), ("CreatedOn", Type::Datetime)]);
    let mut left = wanted.clone();
    let mut found = Vec::new();
    for table in super::chosen_tables(state, database, &names).await? {
        let mut listed = extents::list(state, &table).await?;
        let mut of_table = Vec::new();
        while let Some(extent) = listed.try_next().await? {
            if let Some(at) = left.iter().position(|id| *id == extent.id) {
                left.swap_remove(at);
                of_table.push(extent.id);
            }
        }
        found.push((table, of_table));
    }
    if let Some(absent) = left.first() {
        let message = format!("the extent is not there: extent={}", absent.0);
        return Err(Error::not_found("extent.unknown", message).hint("`.show extents` lists the extents"));
    }
    for (table, of_table) in found.into_iter().filter(|(_, ids)| !ids.is_empty()) {
        state.catalog.replace(table.id, &of_table, &Commit::default()).await?;
        for id in of_table {
            shown.row([Value::Guid(id.0.as_u128()), string(&table.name), Value::Null(Type::Datetime)]);
        }
    }
    Ok(shown)
}

fn extent_id(text: &str) -> Result<ExtentId> {
    let plain = text.trim_matches(['"', '\'']);
    plain.parse().map(ExtentId).map_err(|_| {
        Error::invalid("command.extent_id", format!("this is not an extent's id: id={text}"))
            .hint("`.show extents` lists the extents with their ids")
    })
}
