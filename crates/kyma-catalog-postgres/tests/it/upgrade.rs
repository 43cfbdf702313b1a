//! A catalog that is older than a migration answers after it as before.

use futures::TryStreamExt;
use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
use kyma_core::catalog::{ChangeQuery, ExtentOrder, ExtentQuery, Extents, History, TableTotals, Tables};
use kyma_core::predicate::ColumnRange;
use kyma_core::time::TimeRange;
use kyma_core::{Sequence, TableId, Value};
use kyma_testkit::postgres;

const CREATE: &str = include_str!("../../../../migrations/0001_create_catalog.sql");
const ADD_MANIFESTS: &str = include_str!("../../../../migrations/0002_add_manifests.sql");
const ADD_DEFINITIONS: &str = include_str!("../../../../migrations/0003_add_definitions.sql");
const ADD_UPKEEP: &str = include_str!("../../../../migrations/0004_add_upkeep.sql");
const ADD_HISTORY: &str = include_str!("../../../../migrations/0006_add_history.sql");
/// Of table 7: one extent that was replaced by one of all time, and one of nine nanoseconds.
const OLD_ROWS: &str = "
    INSERT INTO databases (name, sequence) VALUES ('db', 5);
    INSERT INTO extents SELECT gen_random_uuid(), 1, 7, a, r, NULL, s, e, 0, 'tlm', 'k', 0, 100, 1, 10, 1, 1000, '{}', '{}', NULL, '{}'
    FROM (VALUES (1, 3, 0, 9), (3, NULL, -9223372036854775808, 9223372036854775807), (4, NULL, 10, 19)) AS old(a, r, s, e);";

#[tokio::test]
async fn extents_that_are_older_than_manifests_are_counted_and_found() {
    let database = postgres::empty_database().await;
    for sql in [CREATE, OLD_ROWS, ADD_MANIFESTS] {
        database.execute(sql).await;
    }
    let catalog = PostgresCatalog::connect(&database.url, &CatalogSettings::default()).await.unwrap();
    let (table, at) = (TableId(7), Sequence(5));
    let totals = catalog.totals(table, at).await.unwrap();
    assert_eq!(totals, TableTotals { extents: 2, rows: 20, bytes: 200, raw_bytes: 2_000 });
    assert_eq!(catalog.totals(table, Sequence(2)).await.unwrap().extents, 1);

    // Old extents have no keys: no range excludes them.
    let ranges = vec![ColumnRange { column: "n".to_owned(), min: Some(Value::Long(1)), max: None }];
    let query = ExtentQuery { table, at, time: TimeRange::new(15, 15), order: ExtentOrder::NewestFirst, ranges };
    let listed: Vec<_> = catalog.list(query).try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|extent| extent.added.0).collect::<Vec<_>>(), [3, 4]);

    // What was forgotten before is not known.
    let since = |after| ChangeQuery { table, after: Sequence(after), to: at, time: TimeRange::ALL, limit: 10 };
    assert_eq!(catalog.changes(&since(4)).await.unwrap(), None);
    assert_eq!(catalog.changes(&since(5)).await.unwrap(), Some(vec![]));
}

/// A table that was dropped before the migration, and one that a node from before it drops afterwards.
#[tokio::test]
async fn drops_of_older_nodes_are_final_and_known() {
    let database = postgres::empty_database().await;
    let table = |name: &str| {
        format!(
            "INSERT INTO tables (database_id, name, columns, time_column, sort_key, format) \
             VALUES (1, '{name}', '[{{\"name\":\"t\",\"type\":\"datetime\"}}]', 't', '{{}}', 'tlm');"
        )
    };
    let drop = |id: i64| format!("UPDATE tables SET dropped_at = clock_timestamp() WHERE id = {id};");
    let next = "UPDATE databases SET sequence = sequence + 1;";
    database.execute(&format!("{CREATE} {OLD_ROWS}")).await;
    let tables = table("Before") + &table("After") + &drop(1);
    for sql in [ADD_MANIFESTS, ADD_DEFINITIONS, &tables, ADD_UPKEEP, ADD_HISTORY] {
        database.execute(sql).await;
    }
    database.execute(&(drop(2) + next)).await;
    let catalog = PostgresCatalog::connect(&database.url, &CatalogSettings::default()).await.unwrap();
    let home = catalog.database("db").await.unwrap().unwrap().id;
    assert!(catalog.dropped_tables(home).await.unwrap().is_empty());
    assert_eq!(catalog.oldest(home).await.unwrap(), Sequence(5), "what there was before is not known");
    let seen = async |at: i64| catalog.tables_at(home, Sequence(at)).await.unwrap().len();
    assert_eq!((catalog.pin(home).await.unwrap(), seen(5).await, seen(6).await), (Sequence(6), 1, 0));
    let given_up = catalog.give_up_dropped(std::time::Duration::ZERO, 10).await.unwrap();
    assert_eq!((given_up.tables, given_up.forgotten), (0, 2));
}
