//! The promises that every catalog makes, and what only this one does.

use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
use kyma_core::Kind;
use kyma_core::catalog::{Catalog, Garbage, Tables};
use kyma_testkit::postgres;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_promise() {
    let (catalog, _database) = postgres::catalog().await;
    kyma_testkit::catalog::catalog_suite(catalog).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_exported_and_imported() {
    let (catalog, _database) = postgres::catalog().await;
    let (empty, other) = postgres::catalog().await;
    other.execute("UPDATE catalog SET id = gen_random_uuid()").await;
    kyma_testkit::catalog::recovery_suite((catalog.clone(), catalog), (empty.clone(), empty)).await;
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

/// The other form of URL, for both clients: a port of TCP in front of the test server's socket.
#[tokio::test]
async fn connects_and_migrates_over_tcp() {
    let database = postgres::empty_database().await;
    let url: url::Url = database.url.parse().unwrap();
    let (_, socket) = url.query_pairs().find(|(name, _)| name == "host").expect("a test server on a socket");
    let socket = std::path::Path::new(&*socket).join(".s.PGSQL.5432");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp_url = format!("postgres://kyma@{}{}", listener.local_addr().unwrap(), url.path());
    let mut forwarding = tokio::task::JoinSet::new();
    forwarding.spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = tokio::net::UnixStream::connect(&socket).await.unwrap();
            connections.spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let catalog = PostgresCatalog::connect(&tcp_url, &CatalogSettings::default()).await.unwrap();
    catalog.migrate().await.unwrap();
    catalog.ensure_database("logs").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_an_extent_is_being_added_to_is_not_doomed() {
    const EXTENT: &str = "INSERT INTO extents SELECT gen_random_uuid(), 1, 1, 1, REMOVED, 0, 9, 0, 'tlm', 'k', 0, 1, 1, 1, \
                          1, 1, '{}', '{}', NULL, '{}'";
    let (catalog, database) = postgres::catalog().await;
    database.execute("INSERT INTO objects (key, state) VALUES ('k', 'registered')").await;
    database.execute(&EXTENT.replace("REMOVED", "2, now() - interval '1 day'")).await;
    let (mut client, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.unwrap();
    let mut connections = tokio::task::JoinSet::new();
    connections.spawn(connection);
    let adoption = client.transaction().await.unwrap();
    adoption.execute("SELECT key FROM objects WHERE key = 'k' FOR SHARE", &[]).await.unwrap();
    adoption.execute(&EXTENT.replace("REMOVED", "NULL, NULL"), &[]).await.unwrap();
    let (doomed, ()) = tokio::join!(catalog.doom_removed(std::time::Duration::ZERO, 10), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        adoption.commit().await.unwrap();
    });
    assert_eq!(doomed.unwrap(), []);
    assert_eq!(catalog.doom_removed(std::time::Duration::ZERO, 10).await.unwrap(), []);
}
