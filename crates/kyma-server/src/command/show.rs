//! The `.show` commands.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use kyma_core::catalog::{Table, TableTexts};
use kyma_core::schema::REJECTED_TABLE;
use kyma_core::{Error, Result, TableId, Type, Value};
use serde_json::json;

use super::table::{SmallTable, long, string};
use super::{chosen_tables, existing_database, find_database, find_table, texts_of};
use crate::extents;
use crate::settings::{SHOW_EXTENTS_MAX, SHOW_FAILURES_MAX, SHOW_PATTERNS_MAX};
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

/// One database, or the request's.
pub(super) async fn database(state: &Shared, current: &str, named: Option<&str>) -> Result<SmallTable> {
    let wanted = named.unwrap_or(current);
    existing_database(state, wanted).await?;
    Ok(databases(state, current)
        .await?
        .filtered(|row| matches!(row.first(), Some(Value::String(name)) if name == wanted)))
}

pub(super) async fn tables(state: &Shared, database: &str, names: &[String]) -> Result<SmallTable> {
    let tables = chosen_tables(state, database, names).await?;
    Ok(table_list(tables.into_iter(), &all_texts(state, database).await?))
}

/// What is said about the tables of a database.
pub(super) async fn all_texts(state: &Shared, database: &str) -> Result<BTreeMap<TableId, TableTexts>> {
    match find_database(state, database).await? {
        Some(found) => state.catalog.table_texts(found.id).await,
        None => Ok(BTreeMap::new()),
    }
}

/// The four columns that Kusto lists tables with.
pub(super) fn table_list(tables: impl Iterator<Item = Table>, texts: &BTreeMap<TableId, TableTexts>) -> SmallTable {
    let mut list =
        SmallTable::new([("TableName", Text), ("DatabaseName", Text), ("Folder", Text), ("DocString", Text)]);
    for table in tables {
        let said = texts.get(&table.id).cloned().unwrap_or_default();
        list.row([string(table.name), string(table.database_name), string(said.folder), string(said.docstring)]);
    }
    list
}

/// `.show table T`: its columns.
pub(super) async fn table(state: &Shared, database: &str, name: &str) -> Result<SmallTable> {
    let table = find_table(state, database, name).await?;
    let texts = texts_of(state, &table).await?;
    let mut shown = SmallTable::new([
        ("AttributeName", Text),
        ("AttributeType", Text),
        ("CslType", Text),
        ("IsTimeColumn", Bool),
        ("DocString", Text),
    ]);
    for column in table.schema.columns() {
        let said = texts.columns.get(&column.name).cloned().unwrap_or_default();
        shown.row([
            string(&column.name),
            string(dotnet_type(column.ty)),
            string(column.ty.name()),
            Value::Bool(column.name == table.time_column),
            string(said),
        ]);
    }
    Ok(shown)
}

pub(super) async fn details(state: &Shared, database: &str, names: &[String]) -> Result<SmallTable> {
    let all = all_texts(state, database).await?;
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
    for table in chosen_tables(state, database, names).await? {
        let at = state.catalog.pin(table.database).await?;
        let totals = state.catalog.totals(table.id, at).await?;
        let (extents, bytes) = (long(totals.extents), long(totals.bytes));
        let (raw, rows) = (long(totals.raw_bytes), long(totals.rows));
        let sort_key = Value::Dynamic(json!(table.sort_key).to_string());
        let said = all.get(&table.id).cloned().unwrap_or_default();
        details.row([
            string(table.name),
            string(table.database_name),
            string(said.folder),
            string(said.docstring),
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
    let names: Vec<String> = name.map(str::to_owned).into_iter().collect();
    for table in chosen_tables(state, database, &names).await? {
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

/// What the node runs at once.
pub(super) fn capacity(state: &Shared) -> SmallTable {
    let mut shown = SmallTable::new([
        ("Resource", Text),
        ("Total", Long),
        ("Consumed", Long),
        ("Remaining", Long),
        ("Origin", Text),
    ]);
    let total = state.settings.queries_max as u64;
    let consumed = state.queries.running_count().min(total);
    shown.row([string("queries"), long(total), long(consumed), long(total - consumed), string("queries_max")]);
    shown
}

/// Kyma knows no principals: everyone whom the network lets in may do everything. Said as it is, in Kusto's columns.
pub(super) fn principals(of: &str) -> SmallTable {
    let mut shown = SmallTable::new([
        ("Role", Text),
        ("PrincipalType", Text),
        ("PrincipalDisplayName", Text),
        ("PrincipalObjectId", Text),
        ("PrincipalFQN", Text),
        ("Notes", Text),
    ]);
    let role = if of == "principal" { "Anyone" } else { "Everyone may do everything" };
    let notes = "access is decided before kyma: by the network or a proxy";
    shown.row([string(role), string("None"), string("anonymous"), string(""), string("anonymous"), string(notes)]);
    shown
}

/// What there is none of, in Kusto's columns: tools list these.
pub(super) fn none_of(what: &str) -> Result<SmallTable> {
    Ok(match what {
        "materialized-views" => SmallTable::new([
            ("Name", Text),
            ("SourceTable", Text),
            ("Query", Text),
            ("MaterializedTo", Datetime),
            ("LastRun", Datetime),
            ("LastRunResult", Text),
            ("IsHealthy", Bool),
            ("IsEnabled", Bool),
            ("Folder", Text),
            ("DocString", Text),
        ]),
        "external-tables" => SmallTable::new([
            ("TableName", Text),
            ("TableType", Text),
            ("Folder", Text),
            ("DocString", Text),
            ("Properties", Dynamic),
            ("ConnectionStrings", Dynamic),
            ("Partitions", Dynamic),
            ("PathFormat", Text),
        ]),
        "continuous-exports" => SmallTable::new([
            ("Name", Text),
            ("ExternalTableName", Text),
            ("Query", Text),
            ("LastRunTime", Datetime),
            ("IsRunning", Bool),
            ("IsDisabled", Bool),
        ]),
        "entity_groups" => SmallTable::new([("Name", Text), ("Entities", Text)]),
        other => return Err(Error::invalid("command.unknown", format!("nothing is known of {other}"))),
    })
}

/// The query for rows that could not be ingested, in Kusto's columns.
pub(super) async fn ingestion_failures(state: &Shared, database: &str) -> Result<String> {
    let found = match find_database(state, database).await? {
        Some(found) => state.catalog.table(found.id, REJECTED_TABLE).await?,
        None => None,
    };
    let source = match found {
        Some(_) => format!("['{REJECTED_TABLE}'] | top {SHOW_FAILURES_MAX} by Timestamp desc"),
        None => "datatable(Timestamp:datetime, Table:string, Reason:string, Source:string, Raw:string)[]".to_owned(),
    };
    Ok(format!(
        "{source} | project OperationId = guid(null), Database = {database:?}, Table, FailedOn = Timestamp, \
         IngestionSourcePath = Source, Details = Reason, FailureKind = 'Permanent', OperationKind = 'DataIngest', \
         OriginatesFromUpdatePolicy = false, ErrorCode = 'BadRequest_RowRejected', ShouldRetry = false, Raw"
    ))
}

/// The .NET type that Kusto's schemas name.
pub(super) fn dotnet_type(ty: Type) -> &'static str {
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
