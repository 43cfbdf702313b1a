//! A catalog that is older than a migration answers after it as before.

use futures::TryStreamExt;
use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
use kyma_core::catalog::{ChangeQuery, ExtentOrder, ExtentQuery, Extents, TableTotals, Tables};
use kyma_core::predicate::ColumnRange;
use kyma_core::time::TimeRange;
use kyma_core::{Sequence, TableId, Value};
use kyma_testkit::postgres;

const CREATE: &str = include_str!("../../../../migrations/0001_create_catalog.sql");
const ADD_MANIFESTS: &str = include_str!("../../../../migrations/0002_add_manifests.sql");
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
