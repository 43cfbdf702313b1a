//! Databases, tables and columns.

use futures::future::join_all;

use super::*;

pub(super) async fn names_are_checked_and_unique(catalog: &Arc<dyn Catalog>) {
    refused(catalog.ensure_database("a/b").await, Kind::Invalid, "name.invalid");
    let name = unique("db");
    assert_eq!(catalog.database(&name).await.unwrap(), None);
    let made = join_all((0..8).map(|_| catalog.ensure_database(&name))).await;
    let made: Vec<Database> = made.into_iter().map(Result::unwrap).collect();
    assert!(made.iter().all(|database| *database == made[0]), "{made:?}");
    assert!(catalog.databases().await.unwrap().contains(&made[0]));
    let hostile = catalog.database("'; DROP TABLE databases; --").await.unwrap();
    assert_eq!(hostile, None);
}

pub(super) async fn a_table_is_created_once_by_many(catalog: &Arc<dyn Catalog>) {
    let database = database(catalog).await;
    let new = new_table();
    let made = join_all((0..8).map(|_| catalog.ensure_table(database.id, "Logs", &new))).await;
    let made: Vec<Table> = made.into_iter().map(Result::unwrap).collect();
    assert!(made.iter().all(|table| *table == made[0]), "{made:?}");
    assert_eq!(made[0].schema, new.schema);
    assert_eq!(made[0].database_name, database.name);
    assert_eq!(catalog.table(database.id, "Logs").await.unwrap().as_ref(), Some(&made[0]));
    assert_eq!(catalog.table_by_id(made[0].id).await.unwrap().as_ref(), Some(&made[0]));
    assert_eq!(catalog.tables(database.id).await.unwrap(), made[..1]);
    let nowhere = kyma_core::DatabaseId(i64::MAX);
    refused(catalog.ensure_table(nowhere, "Logs", &new).await, Kind::NotFound, "catalog.database_unknown");
    let timeless = NewTable { time_column: "Message".to_owned(), ..new };
    refused(catalog.ensure_table(database.id, "Other", &timeless).await, Kind::Invalid, "catalog.time_column_missing");
}

/// Columns are added once, widened, never narrowed, and every caller gets what then is.
pub(super) async fn grown_columns_agree(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let common = column("count", Type::Int);
    let wanted: Vec<Vec<Column>> =
        (0..8).map(|i| vec![common.clone(), column(&format!("own{i}\0"), Type::Bool)]).collect();
    for grown in join_all(wanted.iter().map(|columns| catalog.grow_table(table.id, columns))).await {
        assert!(grown.unwrap().schema.column("count").is_some());
    }
    let grown = catalog.table_by_id(table.id).await.unwrap().unwrap();
    assert_eq!(grown.schema.len(), table.schema.len() + 1 + wanted.len());
    assert_eq!(grown.schema_version, table.schema_version + 8);
    let widened = catalog.grow_table(table.id, &[column("count", Type::Long), column("Message", Type::Int)]).await;
    let widened = widened.unwrap();
    assert_eq!(widened.schema.column("count").unwrap().ty, Type::Long);
    assert_eq!(widened.schema.column("Message").unwrap().ty, Type::String);
    let same = catalog.grow_table(table.id, std::slice::from_ref(&common)).await.unwrap();
    assert_eq!(same, widened);
    let many: Vec<Column> = (0..1_100).map(|i| column(&format!("many{i}"), Type::Long)).collect();
    let full = catalog.grow_table(table.id, &many).await.unwrap();
    assert_eq!(full.schema.len(), kyma_core::limits::TABLE_COLUMNS_MAX);
}

/// The format changes once, with the version, and only of a table that exists.
pub(super) async fn a_format_is_for_new_extents(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    add(catalog, &table, 0, 9).await;
    let changed = catalog.set_format(table.id, "other").await.unwrap();
    assert_eq!((changed.format.as_str(), changed.schema_version), ("other", table.schema_version + 1));
    assert_eq!(catalog.set_format(table.id, "other").await.unwrap(), changed, "the same again changes nothing");
    let at = catalog.pin(table.database).await.unwrap();
    let extents = list(catalog, &table, at, TimeRange::ALL, ExtentOrder::NewestFirst).await;
    assert_eq!(extents.first().map(|extent| extent.format.as_str()), Some("tlm"));
    let nobody = kyma_core::TableId(i64::MAX);
    refused(catalog.set_format(nobody, "other").await, Kind::NotFound, "catalog.table_unknown");
}

/// Columns come, go and change places in a table without extents; with one they only come and widen.
pub(super) async fn columns_that_extents_hold_stay(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let time = column("Timestamp", Type::Datetime);
    let wanted = [column("n", Type::Int), time.clone()];
    let changed = catalog.set_columns(table.id, table.schema_version, &wanted).await.unwrap();
    assert_eq!(changed.schema.columns(), wanted);
    let again = catalog.set_columns(table.id, table.schema_version, &wanted).await;
    refused(again, Kind::Conflict, "catalog.schema_changed");
    let timeless = catalog.set_columns(table.id, changed.schema_version, &wanted[..1]).await;
    refused(timeless, Kind::Invalid, "catalog.time_column_missing");
    add(catalog, &table, 0, 9).await;
    for lost in [vec![time.clone()], vec![time.clone(), column("n", Type::String)]] {
        let error = catalog.set_columns(table.id, changed.schema_version, &lost).await;
        refused(error, Kind::Invalid, "catalog.columns_in_use");
    }
    let wider = [time, column("more", Type::Guid), column("n", Type::Long)];
    let widened = catalog.set_columns(table.id, changed.schema_version, &wider).await.unwrap();
    assert_eq!(widened.schema.columns(), wider);
}

pub(super) async fn names_are_swapped_or_nothing_is(catalog: &Arc<dyn Catalog>) {
    let one = table(catalog).await;
    let other = catalog.ensure_table(one.database, "Other", &new_table()).await.unwrap();
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    catalog.rename_tables(one.database, &[pair("Logs", "Other"), pair("Other", "Logs")]).await.unwrap();
    assert_eq!(catalog.table_by_id(one.id).await.unwrap().unwrap().name, "Other");
    assert_eq!(catalog.table_by_id(other.id).await.unwrap().unwrap().name, "Logs");
    let taken = catalog.rename_tables(one.database, &[pair("Logs", "New"), pair("Other", "New")]).await;
    refused(taken, Kind::Conflict, "catalog.table_exists");
    let absent = catalog.rename_tables(one.database, &[pair("Logs", "New"), pair("None", "Newer")]).await;
    refused(absent, Kind::NotFound, "catalog.table_unknown");
    assert_eq!(catalog.table_by_id(other.id).await.unwrap().unwrap().name, "Logs", "all or none");
    refused(catalog.rename_tables(one.database, &[pair("Logs", "a/b")]).await, Kind::Invalid, "name.invalid");
}

pub(super) async fn a_dropped_table_is_gone_but_its_past_is_not(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let (extent, before) = add(catalog, &table, 0, 9).await;
    catalog.drop_table(table.id).await.unwrap();
    assert_eq!(catalog.table_by_id(table.id).await.unwrap(), None);
    assert_eq!(visible(catalog, &table, before).await, [extent.id]);
    let now = catalog.pin(table.database).await.unwrap();
    assert!(now > before);
    assert!(catalog.tables_at(table.database, now).await.unwrap().is_empty());
    let reservation = reserve(catalog).await;
    let late = super::extent(&table, &reservation.object_key, 0, 9);
    let commit = Commit { reservation: Some(reservation), extents: vec![late], receipts: vec![] };
    refused(catalog.commit(&commit).await, Kind::NotFound, "catalog.table_unknown");
    refused(catalog.drop_table(table.id).await, Kind::NotFound, "catalog.table_unknown");
    let again = catalog.ensure_table(table.database, "Logs", &new_table()).await.unwrap();
    assert_ne!(again.id, table.id);
}

pub(super) async fn a_window_of_deduplication_is_kept(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    assert_eq!(table.deduplication_seconds, 0);
    let set = catalog.set_deduplication(table.id, 600).await.unwrap();
    assert_eq!((set.deduplication_seconds, set.schema_version), (600, table.schema_version + 1));
    assert_eq!(catalog.set_deduplication(table.id, 600).await.unwrap(), set, "nothing changes");
    assert_eq!(catalog.table_by_id(table.id).await.unwrap(), Some(set));
}
