//! The `.show` commands.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use kyma_core::catalog::Table;
use kyma_core::{Column, Error, Result, Type, Value};
use serde_json::json;

use super::table::{SmallTable, long, string};
use super::{all_tables, chosen_tables};
use crate::extents;
use crate::settings::{SHOW_EXTENTS_MAX, SHOW_PATTERNS_MAX};
use crate::state::Shared;

use Type::{Bool, Datetime, Dynamic, Guid, Int, Long, String as Text};

pub(super) fn version(state: &Shared) -> SmallTable {
    let columns = [("BuildVersion", Text), ("BuildTime", Datetime), ("ServiceType", Text), ("ProductVersion", Text)];
    let mut table = SmallTable::new(columns);
    let product = string(format!("kyma {}", state.node.version));
    table.row([string(&state.node.version), Value::Null(Datetime), string("Engine"), product]);
    table
}

pub(super) async fn cluster(state: &Shared) -> Result<SmallTable> {
    let mut table = SmallTable::new([
        ("NodeId", Text),
        ("Address", Text),
        ("Name", Text),
        ("Roles", Dynamic),
        ("ProductVersion", Text),
        ("Zone", Text),
    ]);
    let within = std::time::Duration::from_secs(3 * state.settings.heartbeat_seconds.max(1));
    for node in state.catalog.live(within).await? {
        let (id, roles) = (node.id.to_string(), json!(node.roles).to_string());
        table.row([
            string(&id),
            string(node.http_address),
            string(id),
            Value::Dynamic(roles),
            string(node.version),
            string(node.zone),
        ]);
    }
    Ok(table)
}

pub(super) async fn databases(state: &Shared, current: &str) -> Result<SmallTable> {
    let mut table = SmallTable::new([
        ("DatabaseName", Text),
        ("PersistentStorage", Text),
        ("Version", Text),
        ("IsCurrent", Bool),
        ("DatabaseAccessMode", Text),
        ("PrettyName", Text),
        ("DatabaseId", Guid),
    ]);
    for database in state.catalog.databases().await? {
        let is_current = Value::Bool(database.name == current);
        let id = Value::Guid(u128::from(database.id.0.unsigned_abs()));
        table.row([string(database.name), string(""), string("v1.0"), is_current, string("ReadWrite"), string(""), id]);
    }
    Ok(table)
}

pub(super) async fn tables(state: &Shared, database: &str) -> Result<SmallTable> {
    Ok(table_list(all_tables(state, database).await?))
}

/// The four columns that Kusto lists tables with.
pub(super) fn table_list(tables: Vec<Table>) -> SmallTable {
    let mut list =
        SmallTable::new([("TableName", Text), ("DatabaseName", Text), ("Folder", Text), ("DocString", Text)]);
    for table in tables {
        list.row([string(table.name), string(table.database_name), string(""), string("")]);
    }
    list
}

pub(super) async fn details(state: &Shared, database: &str, name: Option<&str>) -> Result<SmallTable> {
    let mut details = SmallTable::new([
        ("TableName", Text),
        ("DatabaseName", Text),
        ("Folder", Text),
        ("DocString", Text),
        ("TotalExtents", Long),
        ("TotalExtentSize", Long),
        ("TotalOriginalSize", Long),
        ("TotalRowCount", Long),
        ("HotExtents", Long),
        ("HotExtentSize", Long),
        ("HotOriginalSize", Long),
        ("HotRowCount", Long),
        ("TimeColumn", Text),
        ("SortKey", Dynamic),
        ("Format", Text),
    ]);
    for table in chosen_tables(state, database, name).await? {
        let at = state.catalog.pin(table.database).await?;
        let totals = state.catalog.totals(table.id, at).await?;
        let (extents, bytes) = (long(totals.extents), long(totals.bytes));
        let (raw, rows) = (long(totals.raw_bytes), long(totals.rows));
        let sort_key = Value::Dynamic(json!(table.sort_key).to_string());
        details.row([
            string(table.name),
            string(table.database_name),
            string(""),
            string(""),
            extents.clone(),
            bytes.clone(),
            raw.clone(),
            rows.clone(),
            extents,
            bytes,
            raw,
            rows,
            string(table.time_column),
            sort_key,
            string(table.format),
        ]);
    }
    Ok(details)
}

fn schema_columns() -> SmallTable {
    SmallTable::new([
        ("TableName", Text),
        ("Schema", Text),
        ("DatabaseName", Text),
        ("Folder", Text),
        ("DocString", Text),
    ])
}

pub(super) fn schema_json(table: &Table) -> SmallTable {
    let column =
        |column: &Column| json!({ "Name": column.name, "Type": dotnet_type(column.ty), "CslType": column.ty.name() });
    let columns: Vec<_> = table.schema.columns().iter().map(column).collect();
    let schema = json!({ "Name": table.name, "OrderedColumns": columns }).to_string();
    let mut shown = schema_columns();
    shown.row([string(&table.name), string(schema), string(&table.database_name), string(""), string("")]);
    shown
}

pub(super) fn csl_schema(table: &Table) -> SmallTable {
    let columns: Vec<String> =
        table.schema.columns().iter().map(|column| format!("{}:{}", column.name, column.ty)).collect();
    let mut shown = schema_columns();
    shown.row([string(&table.name), string(columns.join(",")), string(&table.database_name), string(""), string("")]);
    shown
}

pub(super) async fn database_schema(state: &Shared, database: &str) -> Result<SmallTable> {
    let mut shown = SmallTable::new([
        ("DatabaseName", Text),
        ("TableName", Text),
        ("ColumnName", Text),
        ("ColumnType", Text),
        ("IsDefaultTable", Bool),
        ("IsDefaultColumn", Bool),
        ("PrettyName", Text),
        ("Version", Text),
        ("Folder", Text),
        ("DocString", Text),
    ]);
    let no = || Value::Bool(false);
    for table in all_tables(state, database).await? {
        for column in table.schema.columns() {
            let (name, ty) = (string(&column.name), string(dotnet_type(column.ty)));
            let owner = (string(&table.database_name), string(&table.name));
            shown.row([owner.0, owner.1, name, ty, no(), no(), string(""), string(""), string(""), string("")]);
        }
    }
    Ok(shown)
}

pub(super) async fn list_extents(state: &Shared, database: &str, name: Option<&str>) -> Result<SmallTable> {
    let mut shown = SmallTable::new([
        ("ExtentId", Guid),
        ("DatabaseName", Text),
        ("TableName", Text),
        ("OriginalSize", Long),
        ("ExtentSize", Long),
        ("Blocks", Long),
        ("RowCount", Long),
        ("MinTime", Datetime),
        ("MaxTime", Datetime),
        ("Tags", Text),
        ("Kind", Text),
        ("Level", Int),
        ("AddedSequence", Long),
        ("ObjectKey", Text),
        ("ObjectOffset", Long),
    ]);
    let mut listed = 0;
    for table in chosen_tables(state, database, name).await? {
        let mut extents = extents::list(state, &table).await?;
        while let Some(extent) = extents.try_next().await? {
            listed += 1;
            if listed > SHOW_EXTENTS_MAX {
                let message = format!("there are more extents than are listed: extents_max={SHOW_EXTENTS_MAX}");
                return Err(Error::exhausted("command.extents", message).hint("name one table"));
            }
            shown.row([
                Value::Guid(extent.id.0.as_u128()),
                string(&table.database_name),
                string(&table.name),
                long(extent.raw_bytes),
                long(extent.location.length),
                long(u64::from(extent.blocks)),
                long(extent.rows),
                Value::Datetime(extent.time.start),
                Value::Datetime(extent.time.end),
                string(extent.tags.join(" ")),
                string(&extent.format),
                Value::Int(i32::from(extent.level)),
                Value::Long(extent.added.0),
                string(&extent.location.key),
                long(extent.location.offset),
            ]);
        }
    }
    Ok(shown)
}

/// The shapes of a table's lines with how many there are, the most frequent first; from footers, no line is read.
pub(super) async fn patterns(state: &Shared, table: &Table) -> Result<SmallTable> {
    let names = table.schema.columns().iter().filter(|column| column.ty == Text).map(|column| &column.name);
    let names: Vec<&String> = names.collect();
    let mut counts: BTreeMap<(&String, String), u64> = BTreeMap::new();
    let mut extents = extents::list(state, table).await?;
    while let Some(extent) = extents.try_next().await? {
        let (opened, _) = extents::open(state, &extent).await?;
        for &name in &names {
            for pattern in opened.patterns(name) {
                *counts.entry((name, pattern.text)).or_default() += pattern.rows;
            }
        }
        if counts.len() > SHOW_PATTERNS_MAX {
            let message = format!("the table has too many patterns: patterns_max={SHOW_PATTERNS_MAX}");
            return Err(Error::exhausted("command.patterns", message).hint("`kyma inspect` shows those of one extent"));
        }
    }
    let mut counts: Vec<((&String, String), u64)> = counts.into_iter().filter(|(_, rows)| *rows > 0).collect();
    counts.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
    let mut shown = SmallTable::new([("ColumnName", Text), ("Pattern", Text), ("Count", Long)]);
    for ((name, pattern), rows) in counts {
        shown.row([string(name), string(pattern), long(rows)]);
    }
    Ok(shown)
}

/// The .NET type that Kusto's schemas name.
fn dotnet_type(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "System.SByte",
        Type::Int => "System.Int32",
        Type::Long => "System.Int64",
        Type::Real => "System.Double",
        Type::Decimal => "System.Data.SqlTypes.SqlDecimal",
        Type::Datetime => "System.DateTime",
        Type::Timespan => "System.TimeSpan",
        Type::Guid => "System.Guid",
        Type::String => "System.String",
        Type::Dynamic => "System.Object",
    }
}
