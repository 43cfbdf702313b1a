//! Databases, tables and columns.

use std::collections::BTreeSet;

use async_trait::async_trait;
use kyma_core::catalog::{Database, NewTable, Table, TableTotals, Tables};
use kyma_core::ids::check_name;
use kyma_core::limits::TABLE_COLUMNS_MAX;
use kyma_core::schema::UNMAPPED_COLUMN;
use kyma_core::stats::can_promote;
use kyma_core::time::SECOND;
use kyma_core::{Column, DatabaseId, Error, ExtentId, Result, Schema, Sequence, TableId, Type};

use super::{DatabaseRow, Model, State, TableRow};

fn shown(row: &DatabaseRow) -> Database {
    Database { id: row.id, name: row.name.clone() }
}

#[async_trait]
impl Tables for Model {
    async fn ensure_database(&self, name: &str) -> Result<Database> {
        check_name("database", name)?;
        let mut state = self.state();
        if let Some(row) = state.databases.iter().find(|row| row.name == name) {
            return Ok(shown(row));
        }
        let id = DatabaseId(state.databases.len() as i64 + 1);
        let row = DatabaseRow {
            id,
            name: name.to_owned(),
            sequence: Sequence(0),
            schema_version: 0,
            definitions_version: 0,
            mark: super::recovery::NO_MARK,
            complete_from: Sequence(0),
            times: [(self.now().div_euclid(SECOND), Sequence(0))].into(),
        };
        let database = shown(&row);
        state.databases.push(row);
        Ok(database)
    }

    async fn database(&self, name: &str) -> Result<Option<Database>> {
        Ok(self.state().databases.iter().find(|row| row.name == name).map(shown))
    }

    async fn databases(&self) -> Result<Vec<Database>> {
        let mut databases: Vec<Database> = self.state().databases.iter().map(shown).collect();
        databases.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(databases)
    }

    async fn ensure_table(&self, database: DatabaseId, name: &str, new: &NewTable) -> Result<Table> {
        check_name("table", name)?;
        check_time(new.schema.columns(), &new.time_column)?;
        if new.schema.len() > TABLE_COLUMNS_MAX {
            return Err(Error::exhausted("catalog.columns", "too many columns"));
        }
        let mut state = self.state();
        let database_name = state.database(database)?.name.clone();
        if let Some(table) = named(&state, database, name) {
            return Ok(table.clone());
        }
        state.tables_made += 1;
        let id = TableId(state.tables_made);
        let table = Table {
            id,
            database,
            database_name,
            name: name.to_owned(),
            schema: new.schema.clone(),
            schema_version: 1,
            time_column: new.time_column.clone(),
            sort_key: new.sort_key.clone(),
            format: new.format.clone(),
            deduplication_seconds: 0,
        };
        let row = TableRow {
            table: table.clone(),
            dropped: None,
            given_up: false,
            gaps: Vec::new(),
            changed: None,
            forgotten: Sequence(0),
            extents: Vec::new(),
        };
        state.tables.insert(id, row);
        state.schema_changed(database);
        Ok(table)
    }

    async fn table(&self, database: DatabaseId, name: &str) -> Result<Option<Table>> {
        Ok(named(&self.state(), database, name).cloned())
    }

    async fn table_by_id(&self, table: TableId) -> Result<Option<Table>> {
        Ok(self.state().live_table(table).ok().map(|row| row.table.clone()))
    }

    async fn tables(&self, database: DatabaseId) -> Result<Vec<Table>> {
        let state = self.state();
        let live = state.tables.values().filter(|row| row.dropped.is_none() && row.table.database == database);
        let mut tables: Vec<Table> = live.map(|row| row.table.clone()).collect();
        tables.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(tables)
    }

    async fn grow_table(&self, table: TableId, columns: &[Column]) -> Result<Table> {
        let mut state = self.state();
        let row = state.live_table(table)?;
        let grown = grow(row.table.schema.columns(), columns);
        if grown == row.table.schema.columns() {
            return Ok(row.table.clone());
        }
        Ok(change(&mut state, table, |table| table.schema = Schema::new(grown)))
    }

    async fn set_format(&self, table: TableId, format: &str) -> Result<Table> {
        let mut state = self.state();
        let row = state.live_table(table)?;
        if row.table.format == format {
            return Ok(row.table.clone());
        }
        Ok(change(&mut state, table, |table| table.format = format.to_owned()))
    }

    async fn set_deduplication(&self, table: TableId, seconds: u32) -> Result<Table> {
        let mut state = self.state();
        let row = state.live_table(table)?;
        if row.table.deduplication_seconds == seconds {
            return Ok(row.table.clone());
        }
        Ok(change(&mut state, table, |table| table.deduplication_seconds = seconds))
    }

    async fn set_columns(&self, table: TableId, version: i64, columns: &[Column]) -> Result<Table> {
        let mut state = self.state();
        let row = state.live_table(table)?;
        if row.table.schema_version != version {
            return Err(Error::conflict("catalog.schema_changed", "the table's schema changed meanwhile"));
        }
        check_time(columns, &row.table.time_column)?;
        let mut names = BTreeSet::new();
        if !columns.iter().all(|column| names.insert(&column.name)) {
            return Err(Error::invalid("catalog.column_twice", "a column is named twice"));
        }
        if columns.len() > TABLE_COLUMNS_MAX {
            return Err(Error::exhausted("catalog.columns", "too many columns"));
        }
        let stays = |old: &Column| columns.iter().any(|new| new.name == old.name && can_promote(old.ty, new.ty));
        let loses = !row.table.schema.columns().iter().all(stays);
        let ids = row.extents.clone();
        let is_visible = |id: &ExtentId| state.extents.get(id).is_some_and(|row| row.extent.removed.is_none());
        if loses && ids.iter().any(is_visible) {
            return Err(Error::invalid("catalog.columns_in_use", "a column that extents hold cannot go"));
        }
        Ok(change(&mut state, table, |table| table.schema = Schema::new(columns.to_vec())))
    }

    async fn rename_tables(&self, database: DatabaseId, names: &[(String, String)]) -> Result<()> {
        names.iter().try_for_each(|(_, to)| check_name("table", to))?;
        let mut state = self.state();
        let mut moves = Vec::new();
        for (from, to) in names {
            let table = named(&state, database, from)
                .ok_or_else(|| Error::not_found("catalog.table_unknown", format!("no such table: table={from}")))?;
            moves.push((table.id, to.clone()));
        }
        let mut after = BTreeSet::new();
        for row in state.tables.values().filter(|row| row.dropped.is_none() && row.table.database == database) {
            let moved = moves.iter().find(|(id, _)| *id == row.table.id);
            if !after.insert(moved.map_or(row.table.name.clone(), |(_, to)| to.clone())) {
                return Err(Error::conflict("catalog.table_exists", "a table of that name exists"));
            }
        }
        for (id, to) in moves {
            change(&mut state, id, |table| table.name = to);
        }
        Ok(())
    }

    async fn drop_table(&self, table: TableId) -> Result<()> {
        let mut state = self.state();
        let database = state.live_table(table)?.table.database;
        let at = self.now();
        let sequence = state.next_sequence(database, at)?;
        state.live_table(table)?.dropped = Some((sequence, at));
        state.schema_changed(database);
        self.observer().dropped(table, sequence, at);
        Ok(())
    }

    async fn totals(&self, table: TableId, at: Sequence) -> Result<TableTotals> {
        let state = self.state();
        let mut totals = TableTotals::default();
        for id in state.tables.get(&table).map_or(&[][..], |row| &row.extents) {
            if let Some(row) = state.extents.get(id).filter(|row| row.is_visible(at)) {
                totals.extents += 1;
                totals.rows += row.extent.rows;
                totals.bytes += row.extent.location.length;
                totals.raw_bytes += row.extent.raw_bytes;
            }
        }
        Ok(totals)
    }
}

impl Model {
    /// The table of a name, in whichever database.
    pub(crate) fn table_id(&self, name: &str) -> Option<TableId> {
        let state = self.state();
        let found = state.tables.values().find(|row| row.dropped.is_none() && row.table.name == name);
        found.map(|row| row.table.id)
    }
}

pub(super) fn named<'a>(state: &'a State, database: DatabaseId, name: &str) -> Option<&'a Table> {
    let is_named = |row: &&TableRow| row.dropped.is_none() && row.table.database == database && row.table.name == name;
    state.tables.values().find(is_named).map(|row| &row.table)
}

/// Changes a table that exists, with its versions.
pub(super) fn change(state: &mut State, id: TableId, with: impl FnOnce(&mut Table)) -> Table {
    let row = state.tables.get_mut(&id).expect("the table was found before");
    with(&mut row.table);
    row.table.schema_version += 1;
    let table = row.table.clone();
    state.schema_changed(table.database);
    table
}

fn check_time(columns: &[Column], name: &str) -> Result<()> {
    if columns.iter().any(|column| column.name == name && column.ty == Type::Datetime) {
        return Ok(());
    }
    Err(Error::invalid("catalog.time_column_missing", "the event-time column is not a datetime column of the table"))
}

fn grow(current: &[Column], wanted: &[Column]) -> Vec<Column> {
    let mut grown = current.to_vec();
    for column in wanted {
        match grown.iter().position(|known| known.name == column.name) {
            Some(place) if can_promote(grown[place].ty, column.ty) => grown[place].ty = column.ty,
            Some(_) => {}
            None if grown.len() < TABLE_COLUMNS_MAX || column.name == UNMAPPED_COLUMN => grown.push(column.clone()),
            None => {}
        }
    }
    grown
}
