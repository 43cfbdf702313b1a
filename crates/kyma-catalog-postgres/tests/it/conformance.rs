//! The promises that every catalog makes, and what only this one does.

use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
use kyma_core::Kind;
use kyma_core::catalog::{Catalog, Tables};
use kyma_testkit::postgres;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_promise() {
    let (catalog, _database) = postgres::catalog().await;
    kyma_testkit::catalog::catalog_suite(catalog).await;
}

#[tokio::test]
async fn migrations_run_once_also_from_many_nodes() {
    let database = postgres::empty_database().await;
    let catalog = PostgresCatalog::connect(&database.url, &CatalogSettings::default()).await.unwrap();
    let error = catalog.ensure_database("logs").await.unwrap_err();
    assert_eq!(error.code(), "catalog.not_migrated");
    let (one, other) = tokio::join!(catalog.migrate(), catalog.migrate());
    one.unwrap();
    other.unwrap();
    catalog.migrate().await.unwrap();
    catalog.ensure_database("logs").await.unwrap();
}

#[tokio::test]
async fn a_wrong_url_says_so() {
    let settings = CatalogSettings { connect_timeout_millis: 500, ..CatalogSettings::default() };
    let error = PostgresCatalog::connect("mysql://nowhere", &settings).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "catalog.url_invalid"));
    for url in ["postgres://kyma@127.0.0.1:1/kyma", "postgres:///kyma?host=/nonexistent&user=kyma"] {
        let error = PostgresCatalog::connect(url, &settings).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "catalog.unavailable"), "{error:?}");
        assert!(error.hint_text().is_some());
    }
    let (catalog, database) = postgres::catalog().await;
    catalog.ping().await.unwrap();
    let missing = database.url.replace("test_", "missing_");
    let error = PostgresCatalog::connect(&missing, &settings).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "catalog.refused"), "{error:?}");
}
