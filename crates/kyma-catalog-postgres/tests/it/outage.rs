//! PostgreSQL goes away and comes back.

use std::time::{Duration, Instant};

use kyma_catalog_postgres::local::{Options, Server};
use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
use kyma_core::Kind;
use kyma_core::catalog::{Catalog, Tables};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_unavailable_in_time_and_ends_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = Options::throw_away(directory.path().join("catalog"));
    let server = Server::start(options.clone()).await.unwrap();
    let settings = CatalogSettings { connect_timeout_millis: 1_000, ..CatalogSettings::default() };
    let catalog = PostgresCatalog::connect(&server.url(), &settings).await.unwrap();
    catalog.migrate().await.unwrap();
    let made = catalog.ensure_database("logs").await.unwrap();

    server.stop().await.unwrap();
    let begun = Instant::now();
    let error = catalog.database("logs").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "catalog.unavailable"), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());

    let server = Server::start(options).await.unwrap();
    assert_eq!(catalog.database("logs").await.unwrap(), Some(made));
    catalog.ping().await.unwrap();
    server.stop().await.unwrap();
}
